"""eta0="auto": what is measured of the data, and stochastic epochs that follow from it.

Design
------
Nothing here is a loop over epochs; `train` owns that. `Automatic` is the method that it
runs: two epochs of the named solver (`Stochastic`), then the finish on all rows of
_finish.py, with which solver "batch" begins.

Gradient descent works on features (x - mean) sqrt(scale), which are never made: the
same steps are made in the metric that these features induce (see _kernels). The
objective, its penalty and its optimum are the user's own; the path alone differs.
"""

from dataclasses import dataclass

import numpy as np

from skgd import _penalties, _solvers, _step_size
from skgd._kernels import feature_moments, row_products, run_metric_epoch

# Constants of the rules; examples/bench_no_tuning.py hardly depends on them.
EPOCHS = 2  # stochastic ones. "Until one gains less than 5 %" is slower by a quarter
ROWS_OF_LARGE_STEPS = 100.0  # times E|z|^2: rows after which steps begin to fall,
SHRUNK = 0.5  # or after those in which L2 alone shrinks any error by exp(-this)
POOR = 2.0  # multiples of the constant model's objective from which an epoch is undone
UNDONE = 10.0  # the step is divided by this if it was
ROWS_A_THRESHOLD = 8  # rows after which L1 follows
AVERAGED_VALUES = 64  # an average is taken after 64 rows' worth of values


@dataclass
class Measured:
    """Statistics of the rows seen: what the metric and the step sizes derive from.

    `mean` and `variance` are those of each feature, `stored` is the share of rows that
    hold it (1 if X is dense). `curvature` bounds that of the loss, `smoothness` that of
    the objective in the metric; `squared_weight` is the mean of squared weights.
    """

    weight: float
    mean: np.ndarray
    variance: np.ndarray
    stored: np.ndarray
    squared_weight: float = 1.0
    curvature: float = 1.0
    smoothness: float = 1.0

    def about(self, centred, dtype):
        """Origin of the features, and their mean squares about it; 0 if too small.

        The origin is their mean, or zero.
        """
        if not centred:
            return np.zeros_like(self.mean), self.variance + self.mean**2
        # What a feature varies by may be rounding errors of its mean.
        noise = 10.0 * np.finfo(dtype).eps * np.abs(self.mean)
        return self.mean, np.where(self.variance > noise**2, self.variance, 0.0)


@dataclass(frozen=True)
class Metric:
    """The features z = (x - mean) sqrt(scale) that steps are made in.

    `mean` and `scale` are (p,); `norm` is E|z|^2. `patience` is how long the steps may
    add up before L2 follows. A point is (K, p + 1): W and, behind it, the
    intercept of centred features.
    """

    mean: np.ndarray
    scale: np.ndarray
    norm: float
    patience: float

    def coef_and_intercept(self, point):
        coef, centred = point[:, :-1], point[:, -1]
        return coef, centred - coef @ self.mean


def measure(problem, X, rng, sample):
    """Statistics of the training rows, and a metric.

    `sample(measured)` returns rows that say more of them, or None; see `Sample`.

    Returns
    -------
    measured : Measured
    metric : Metric
    sample : Sample or None
    """
    rows, y, weight = problem.visits()
    # Squares of extreme features overflow or vanish. Such features do not move.
    with np.errstate(all="ignore"):
        measured = Measured(*feature_moments(problem.X, rows, weight))
        measured.squared_weight = 1.0 if weight is None else float(np.mean(weight**2))
        measured.curvature = problem.loss.curvature(y, weight)
        sample = sample(measured)
        metric = _metric(problem, measured, X.dtype)
        if sample is not None and not problem.X.sparse:
            smoothness = sample.largest_eigenvalue(metric.scale, rng)
        else:
            smoothness = _step_size.largest_eigenvalue(
                X, rows, weight, problem.fit_intercept, rng, metric.mean, metric.scale
            )
    if not np.isfinite(smoothness):
        smoothness = metric.norm
    measured.smoothness = smoothness or 1.0  # nothing moves: any step will do
    return measured, metric, sample


def _metric(problem, measured, dtype):
    """The metric: standardised features, but for those that penalties rule.

    The curvature of the objective in w_j is at most curvature * second + l2. On sparse
    data, rare features would make steps as noisy as they are rare; hence the root of
    their share, which is what makes E (sqrt(scale) x)^4 the same for all of them.
    """
    centred = problem.fit_intercept and not problem.X.sparse
    mean, second = measured.about(centred, dtype)
    spread = second / np.sqrt(np.maximum(measured.stored, 1e-300))
    scale = 1.0 / (spread + problem.l2 / measured.curvature)
    scale = np.where((second > 0.0) & np.isfinite(spread + scale), scale, 0.0)
    norm = float(np.sum(scale * second, where=scale > 0.0))
    norm += float(problem.fit_intercept)
    if not np.isfinite(norm):
        norm = 1e300
    # L2 may be late by steps that shrink a coefficient by 2 % at most.
    strength = problem.l2 * float(scale.max(initial=0.0))
    patience = 0.02 / strength if strength > 0.0 else np.inf
    return Metric(mean, scale, norm or 1.0, patience)


def noise_share(batch_size, n_rows):
    """The share nu of one row's noise that is left in a batch of b of n rows."""
    return (n_rows - batch_size) / (batch_size * max(n_rows - 1, 1))


class Automatic:
    """The method of a default fit: epochs of the named solver, then all rows.

    Parameters
    ----------
    problem : Problem
    measured : Measured
    stochastic : Stochastic or None
        None begins with all rows.
    finish : Finish or None
        None leaves all epochs to `stochastic`.
    """

    recovers = True
    watch = None

    def __init__(self, problem, measured, stochastic, finish):
        self.measured = measured
        self.stochastic, self.finish = stochastic, finish
        self.now = stochastic or finish
        self.n_rows = problem.n_rows
        self.reference = problem.constant_objective()
        self.n_epochs = 0
        self.l1, self.has_stepped = problem.l1 > 0.0, False
        self.patient = finish is None

    @property
    def batch_size(self):
        return self.now.batch_size

    def n_shuffled(self, max_iter):
        """Epochs that want their rows in random order."""
        if self.now.batch_size == self.n_rows:
            return 0
        return min(EPOCHS, max_iter) if self.finish else max_iter

    def epoch(self, problem, state, visits, objectives=None):
        """Make an epoch. Returns its record."""
        record = self.now.epoch(problem, state, visits, objectives)
        self.n_epochs += 1
        if self.n_epochs == EPOCHS and self.finish is not None:
            self.now = self.finish
        return record

    def evaluated(self, state):
        """The state that the objective of the last epoch belongs to."""
        return state

    def to_gain(self, objective):
        """What a tolerance is a fraction of: the gain on the best constant model."""
        return max(self.reference - objective, 0.0)

    def lower(self, state):
        return False

    def begins_anew(self):
        """Whether states before this epoch are not to be kept.

        With L1, those before the first step on all rows have few of its zeros.
        """
        before, self.has_stepped = (
            self.has_stepped,
            bool(self.finish and self.finish.has_stepped()),
        )
        return self.l1 and self.has_stepped and not before

    def diverges(self, objective):
        return False

    def ending(self):
        """Why training ends here; None if it does not."""
        begun = self.finish is not None and self.finish.descents
        return self.finish.ending() if begun else None

    def result(self, problem, state, reason, progress, largest):
        """The state to keep, its objective, why training ended, and what is left."""
        if self.now is self.finish and self.finish.descents and state.within(largest):
            gap = self.finish.final_gap()
            tol = self.finish.tol
            if tol is not None and gap <= tol and reason in ("max_iter", "stalled"):
                reason = "converged"
            return state, self.finish.best_objective(), reason, gap
        # Noise is none of the exact objective. A constant model may be better still.
        states = [state, progress.initial]
        if progress.initial.coef.any():
            constant = progress.initial.copy()
            constant.average = 0
            constant.coef[:], constant.intercept[:] = 0.0, problem.constant()
            states.append(constant)
        states = [s for s in states if s.within(largest)] or [progress.initial]
        best, objective = _solvers.best_of(problem, states)
        return best, objective, reason, np.nan


class _MetricEpoch:
    """A pass over the data in a metric."""

    def __init__(self, problem, metric, batch_size):
        self.metric = metric
        self.batch_size = batch_size
        X = problem.X
        self.by_blocks = _solvers.by_blocks(X, batch_size, problem.n_outputs)
        self.products = None
        if batch_size == 1 and problem.n_outputs == 1 and not X.sparse:
            self.products = row_products(X, metric.mean, metric.scale)

    def run(self, problem, state, visits, steps, average_every, losses=None):
        """Update `state` in place. Returns the mean loss, and the average point."""
        metric, patience = self.metric, self.metric.patience
        if problem.l1:
            # A threshold for each row would take longer than the row itself.
            patience = max(0.0, (ROWS_A_THRESHOLD / self.batch_size - 1) * steps.max())
        rows, y, weight = visits
        centred = state.intercept + state.coef @ metric.mean
        coef_sum = np.zeros_like(state.coef)
        centred_sum = np.zeros_like(centred)
        total, weight_sum = run_metric_epoch(
            problem.X, rows, y, weight, self.batch_size, steps, problem.l1, problem.l2,
            problem.loss, state.coef, centred, problem.fit_intercept, metric.mean,
            metric.scale, coef_sum, centred_sum, patience, average_every,
            self.products, self.by_blocks, losses,
        )  # fmt: skip
        state.intercept[:] = centred - state.coef @ metric.mean
        state.t += len(steps)
        average = np.column_stack([coef_sum, centred_sum]) / weight_sum
        return total / problem.n_rows, average


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
    each row is visited once an epoch, so that the noise of whole epochs all but cancels
    (Mishchenko, Khaled and Richtarik, "Random reshuffling: simple analysis with vast
    improvements", NeurIPS 2020), which that of an average over parts of one does not.
    """

    recovers = True
    patient = False
    watch = None

    def __init__(self, problem, state, metric, measured, name, batch_size):
        self.name = name
        self.metric = metric
        self.measured = measured
        self.metric_epoch = _MetricEpoch(problem, metric, batch_size)
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
        self.poor = POOR * max(problem.constant_objective(), at_start)
        if not state.average:
            # The averages are the result from the first epoch on.
            state.average = state.t
            state.average_coef = state.coef.copy(order="A")
            state.average_intercept = state.intercept.copy()

    def epoch(self, problem, state, visits, objectives=None):
        """Make an epoch. Returns its record; `objectives` as in `Textbook.epoch`."""
        start = state.copy()
        n_updates = -(-problem.n_rows // self.batch_size)
        steps = self.steps(problem.n_rows, n_updates)
        loss, average = self.metric_epoch.run(
            problem, state, visits, steps, self.average_every(problem, n_updates),
            objectives,
        )  # fmt: skip
        self.rows_seen += problem.n_rows
        penalty = _penalties.value(start.coef, problem.l1, problem.l2)
        objective = loss + penalty
        if objectives is not None:
            objectives += penalty
        if objective <= self.poor and np.isfinite(average).all():
            self.set_result(problem, state, start, average)
        else:
            # Smaller steps from where the epoch began.
            self.factor /= UNDONE
            state.coef[:], state.intercept[:] = start.coef, start.intercept
        return {"objective": objective, "method": self.name, "eta": float(steps[-1])}

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

    def average_every(self, problem, n_updates):
        X = problem.X
        every = int(AVERAGED_VALUES * X.n_features / max(X.mean_stored, 1.0))
        # Eight of an epoch's iterates are averaged in any case.
        return max(1, min(every // self.batch_size, n_updates // 8))

    def set_result(self, problem, state, start, average):
        coef, intercept = self.metric.coef_and_intercept(average)
        if problem.l1:
            # Averages have no zeros, which are what L1 is for.
            coef = np.where(state.coef == 0.0, 0.0, coef)
            intercept = average[:, -1] - coef @ self.metric.mean
        order = "F" if state.coef.flags.f_contiguous else "C"
        state.average_coef = np.array(coef, order=order)
        state.average_intercept = intercept
