"""The first epochs of eta0="auto": stochastic steps in the metric of the data."""

import numpy as np

from skgd.kernels import MetricEpoch, by_blocks, row_products
from skgd.objective import penalties
from skgd.optim.metric import noise_share
from skgd.optim.sums import times
from skgd.training.method import EpochResult

ROWS_OF_LARGE_STEPS = 100.0  # times E|z|^2: rows after which steps begin to fall,
SHRUNK = 0.5  # or after those in which L2 alone shrinks any error by exp(-this)
POOR = 2.0  # multiples of the constant model's objective from which an epoch is undone
UNDONE = 10.0  # the step is divided by this if it was
ROWS_PER_THRESHOLD = 8  # rows after which L1 follows
AVERAGED_VALUES = 64  # an average is taken after 64 rows' worth of values


class Stochastic:
    """Epochs of stochastic or mini-batch gradient descent that choose their steps.

    The bound of a step is that of Gower et al. (2019, proposition 3.8), with E|z|^2
    in place of the largest |z|^2, whose steps the kernel cuts, and falling as noise
    comes to dominate:

        eta = factor / (c ((1 - nu) lambda + nu E|z|^2 sqrt(1 + rows / m)))

    with nu = (n - b) / (b (n - 1)) the share of one row's noise in a batch of b rows, c
    the curvature of the loss, and lambda the largest eigenvalue of E zz'. The rows of
    large steps, m, are 100 E|z|^2. Where L2 is strong, noise is all that is left before
    that: an update shrinks any error by 1 - eta l2 min(scale) at least, and m is at
    most the b / (2 eta l2 min(scale)) rows in which this amounts to exp(-1/2), or b.

    An epoch goes on from the last iterate, not from the average, which is the result:
    each row is visited once per epoch, so that the noise of whole epochs all but
    cancels (Mishchenko, Khaled and Richtarik, "Random reshuffling: simple analysis with
    vast improvements", NeurIPS 2020), which that of an average over parts of one does
    not.
    """

    # Before the finish; "until one gains less than 5 %" is slower by a quarter.
    n_epochs = 2

    def __init__(self, problem, state, metric, measured, name, batch_size):
        self.problem, self.name = problem, name
        self.metric = metric
        self.measured = measured
        self.updates = self.updates_in(metric, batch_size)
        self.batch_size = batch_size
        self.factor = 1.0
        self.rows_seen = 0
        self.noise_share = noise_share(batch_size, problem.n_rows)
        noise = self.noise_share * metric.norm * measured.squared_weight
        smoothness = (1.0 - self.noise_share) * measured.smoothness + noise
        self.eta0 = 1.0 / (measured.curvature * smoothness)
        self.large_rows = ROWS_OF_LARGE_STEPS * metric.norm
        if problem.l2 and metric.scale.any():
            smallest = metric.scale[metric.scale > 0.0].min()
            shrinking = max(self.eta0 * problem.l2 * smallest, 1e-300)  # of an update
            few = batch_size * max(1.0, SHRUNK / shrinking)
            self.large_rows = min(self.large_rows, few)
        at_start = problem.objective(state) if state.coef.any() else 0.0
        self.poor = POOR * max(problem.constant_objective, at_start)
        if not state.average:
            # The averages are the result from the first epoch on.
            state.average = state.t
            state.average_coef = state.coef.copy(order="A")
            state.average_intercept = state.intercept.copy()

    def epoch(self, state, visits, objectives=None):
        """As in `Method`."""
        problem = self.problem
        start = state.copy()
        n_updates = -(-problem.n_rows // self.batch_size)
        steps = self.steps(problem.n_rows, n_updates)
        loss, average = self.run(state, visits, steps, objectives)
        self.rows_seen += problem.n_rows
        penalty = penalties.value(start.coef, problem.l1, problem.l2)
        objective = loss + penalty
        if objectives is not None:
            objectives += penalty
        if objective <= self.poor and np.isfinite(average).all():
            self.set_result(problem, state, start, average)
        else:
            # Smaller steps from where the epoch began.
            self.factor /= UNDONE
            state.coef[:], state.intercept[:] = start.coef, start.intercept
        return EpochResult(objective, self.name, float(steps[-1]))

    def updates_in(self, metric, batch_size):
        """The compiled updates, in the metric."""
        problem, X, products = self.problem, self.problem.data.X, None
        if batch_size == problem.n_outputs == 1 and not X.sparse:
            products = row_products(X, metric.mean, metric.scale)
        return MetricEpoch(
            X, problem.loss, problem.l1, problem.l2, metric.mean, metric.scale,
            products,
            batch_size=batch_size,
            n_outputs=problem.n_outputs,
            fit_intercept=problem.fit_intercept,
            by_blocks=by_blocks(X, batch_size, problem.n_outputs),
        )  # fmt: skip

    def run(self, state, visits, steps, losses):
        """Update `state` in place. Returns the mean loss, and the average point."""
        metric, lazy_budget = self.metric, self.metric.lazy_budget
        if self.problem.l1:
            # A threshold for each row would take longer than the row itself.
            rows = ROWS_PER_THRESHOLD / self.batch_size
            lazy_budget = max(0.0, (rows - 1) * steps.max())
        centred = state.intercept + times(state.coef, metric.mean)
        coef_sum = np.zeros_like(state.coef)
        centred_sum = np.zeros_like(centred)
        total = weight_sum = 0.0
        every, done = self.average_every(len(steps)), 0
        for piece in self.problem.data.pieces(visits, self.batch_size):
            own = slice(done, done - (-len(piece[0]) // self.batch_size))
            losses_of_piece = None if losses is None else losses[own]
            if done:
                # Weights are the cubes of the number of an update over the last one's.
                shrink = (done / own.stop) ** 3
                coef_sum *= shrink
                centred_sum *= shrink
                weight_sum *= shrink
            loss, weight = self.updates.run(
                piece, steps[own], state.coef, centred, coef_sum, centred_sum,
                lazy_budget, every, losses_of_piece,
            )  # fmt: skip
            total, weight_sum, done = total + loss, weight_sum + weight, own.stop
        state.intercept[:] = centred - times(state.coef, metric.mean)
        state.t += len(steps)
        average = np.column_stack([coef_sum, centred_sum]) / weight_sum
        return total / len(visits[0]), average

    def steps(self, n_rows, n_updates):
        """Step sizes of the next epoch, of n_rows rows and n_updates updates."""
        nu, m, norm = self.noise_share, self.measured, self.metric.norm
        # A thousand different steps are as good as one for each update.
        parts = min(n_updates, 1000)
        rows = self.rows_seen + np.arange(parts) * (n_rows / parts)
        fall = np.sqrt(1.0 + rows / self.large_rows)
        noise = nu * norm * m.squared_weight * fall
        steps = self.factor / (m.curvature * ((1.0 - nu) * m.smoothness + noise))
        if parts == n_updates:
            return steps
        first = np.arange(parts + 1) * n_updates // parts
        return np.repeat(steps, np.diff(first))

    def average_every(self, n_updates):
        X = self.problem.data.X
        every = int(AVERAGED_VALUES * X.n_features / max(X.mean_stored, 1.0))
        # Eight of an epoch's iterates are averaged in any case.
        return max(1, min(every // self.batch_size, n_updates // 8))

    def set_result(self, problem, state, start, average):
        coef, intercept = self.metric.coef_and_intercept(average)
        if problem.l1:
            # Averages have no zeros, which are what L1 is for.
            coef = np.where(state.coef == 0.0, 0.0, coef)
            intercept = average[:, -1] - times(coef, self.metric.mean)
        order = "F" if state.coef.flags.f_contiguous else "C"
        state.average_coef = np.array(coef, order=order)
        state.average_intercept = intercept
