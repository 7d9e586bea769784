"""eta0="auto": step sizes from data, and the metric they are measured in.

Design
------
Nothing here is a loop over epochs; `train` owns that. This module measures the data
(`Measured`) and says what an epoch is to be:

- Gradient descent works on features (x - mean) sqrt(scale), which are never made: the
  same steps are made in the metric that these features induce (see _kernels). The
  objective, its penalty and its optimum are the user's own; the path alone differs.
- `Stochastic`, for batches of less than all rows. The step size is bounded by the
  curvature of a batch and falls as noise comes to dominate. Between epochs it grows or
  shrinks, by whether the last two moved the same way. An epoch starts ahead of where
  the last one ended; its result is its average.
- `Accelerated`, for all rows at once: Nesterov's method, with a step size from the
  curvature met on the way.
"""

from dataclasses import dataclass

import numpy as np

from skgd import _penalties, _solvers, _step_size
from skgd._kernels import (
    feature_moments,
    loss_gradient,
    row_products,
    run_metric_epoch,
)

# Constants of the rules; examples/bench_no_tuning.py hardly depends on them.
ROWS_OF_LARGE_STEPS = 100.0  # times E|z|^2: rows after which steps begin to fall,
SHRUNK = 0.5  # or after those in which L2 alone shrinks any error by exp(-this)
TURN = -0.1  # cosine of two epochs' moves at which the step size stays as it is
GROWTH = 0.8  # curvature that is not met again is forgotten at this rate
POOR = 2.0  # multiples of the constant model's objective from which an epoch is undone
LOWERED = 5.0  # the step is divided by this where training would end, twice
TRIES = 5  # times that all rows' training would end, not ending before it gained
UNDONE = 10.0  # the step is divided by this if it was
STEPS_TO_ZEROS = 10  # on all rows, with L1, after the last epoch
ROWS_A_THRESHOLD = 8  # rows after which L1 follows
AVERAGED_VALUES = 64  # an average is taken after 64 rows' worth of values


@dataclass
class Measured:
    """Statistics of the rows seen: what the metric and the step sizes derive from.

    `mean` and `second` are those of each feature: its mean and variance or, if it is
    not centred, zero and its mean square. `stored` is the share of rows that hold a
    feature (1 if X is dense). `curvature` bounds that of the loss, `smoothness` that
    of the objective in the metric; `squared_weight` is the mean of squared weights.
    """

    weight: float
    mean: np.ndarray
    second: np.ndarray
    stored: np.ndarray | float
    squared_weight: float = 1.0
    curvature: float = 1.0
    smoothness: float = 1.0
    n_rows: int = 0

    def merged(self, new):
        """These and new statistics together (Chan, Golub and LeVeque, 1979, eq. 2.1).

        Means of all rows; the bounds of curvature are averaged, so that one bad batch
        of rows does not rule for good.
        """
        total = self.weight + new.weight
        share = new.weight / total
        difference = new.mean - self.mean

        def mixed(old, new):
            return old + share * (new - old)

        return Measured(
            weight=total,
            mean=self.mean + share * difference,
            second=mixed(self.second, new.second)
            + share * (1.0 - share) * difference**2,
            stored=mixed(self.stored, new.stored),
            squared_weight=mixed(self.squared_weight, new.squared_weight),
            curvature=mixed(self.curvature, new.curvature),
            smoothness=mixed(self.smoothness, new.smoothness),
            n_rows=self.n_rows + new.n_rows,
        )


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

    def point(self, coef, intercept):
        return np.column_stack([coef, intercept + coef @ self.mean])

    def coef_and_intercept(self, point):
        coef, centred = point[:, :-1], point[:, -1]
        return coef, centred - coef @ self.mean

    def inner(self, a, b):
        """Inner product of two moves. Features that cannot move do not count."""
        inverse = np.divide(
            1.0, self.scale, out=np.zeros_like(self.scale), where=self.scale > 0.0
        )
        return float(np.sum(a * b * np.append(inverse, 1.0)))


def measure(problem, X, rng, precondition, before=None):
    """Statistics of the training rows, merged with those from `before`, and a metric.

    Returns
    -------
    measured : Measured
    metric : Metric
    """
    rows, y, weight = problem.visits()
    # Squares of extreme features overflow or vanish. Such features do not move.
    with np.errstate(all="ignore"):
        measured = _moments(problem, precondition)
        measured.squared_weight = 1.0 if weight is None else float(np.mean(weight**2))
        measured.curvature = problem.loss.curvature(y, weight)
        measured.n_rows = len(rows)
        so_far = measured if before is None else before.merged(measured)
        metric = _metric(problem, X, so_far, precondition)
        smoothness = _step_size.largest_eigenvalue(
            X, rows, weight, problem.fit_intercept, rng, metric.mean, metric.scale
        )
    if not np.isfinite(smoothness):
        smoothness = metric.norm
    measured.smoothness = smoothness or 1.0  # nothing moves: any step will do
    return (measured if before is None else before.merged(measured)), metric


def _moments(problem, precondition):
    """Weighted moments of the features."""
    rows, _, weight = problem.visits()
    centre = problem.fit_intercept and precondition
    total, mean, second = feature_moments(problem.X, rows, weight, centre)
    if problem.X.sparse:
        return Measured(total, np.zeros_like(mean), second, stored=mean)
    return Measured(total, mean, second, stored=1.0)


def _metric(problem, X, measured, precondition):
    """The metric: standardised features, but for those that penalties rule.

    The curvature of the objective in w_j is at most curvature * second + l2. On sparse
    data, rare features would make steps as noisy as they are rare; hence the root of
    their share, which is what makes E (sqrt(scale) x)^4 the same for all of them.
    """
    second = measured.second / np.sqrt(np.maximum(measured.stored, 1e-300))
    if not precondition:
        scale = np.ones_like(second)
    else:
        # What a feature varies by may be rounding errors of its mean.
        noise = 10.0 * np.finfo(X.dtype).eps * np.abs(measured.mean)
        alive = (measured.second > noise**2) & np.isfinite(second)
        scale = 1.0 / (second + problem.l2 / measured.curvature)
        scale = np.where(alive & np.isfinite(scale), scale, 0.0)
    norm = float(np.sum(scale * measured.second, where=scale > 0.0))
    norm += float(problem.fit_intercept)
    if not np.isfinite(norm):
        norm = 1e300
    # L2 may be late by steps that shrink a coefficient by 2 % at most.
    strength = problem.l2 * float(scale.max(initial=0.0))
    patience = 0.02 / strength if strength > 0.0 else np.inf
    return Metric(measured.mean, scale, norm or 1.0, patience)


def noise_share(batch_size, n_rows):
    """The share nu of one row's noise that is left in a batch of b of n rows."""
    return (n_rows - batch_size) / (batch_size * max(n_rows - 1, 1))


def first_step(measured, metric, nu):
    """The step size of the first update; see `Stochastic`."""
    noise = nu * metric.norm * measured.squared_weight
    return 1.0 / (measured.curvature * ((1.0 - nu) * measured.smoothness + noise))


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

    def run(self, problem, state, visits, steps, cut, average_every, losses=None):
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
            metric.scale, coef_sum, centred_sum, patience, cut, average_every,
            self.products, self.by_blocks, losses,
        )  # fmt: skip
        state.intercept[:] = centred - state.coef @ metric.mean
        state.t += len(steps)
        average = np.column_stack([coef_sum, centred_sum]) / weight_sum
        return total / problem.n_rows, average


class Preconditioned(_solvers.Textbook):
    """The user's schedule, in the metric."""

    def __init__(self, problem, state, batch_size, schedule, adaptive, metric):
        super().__init__(problem, state, batch_size, schedule, adaptive)
        self.metric_epoch = _MetricEpoch(problem, metric, batch_size)

    def run(self, problem, state, visits, losses):
        n_updates = -(-problem.n_rows // self.batch_size)
        steps = _step_size.steps(self.schedule, state.t, n_updates, state.eta)
        steps = np.broadcast_to(steps, n_updates).copy()
        loss, _ = self.metric_epoch.run(
            problem, state, visits, steps, cut=False, average_every=n_updates,
            losses=losses,
        )  # fmt: skip
        return loss, float(steps[-1])

    def norm_of_move(self, before, state, eta):
        return None  # the move is not along the gradient


class _Automatic:
    """What the methods that choose their steps have in common."""

    recovers = True
    gradient_norm = None

    def __init__(self, problem, metric, measured):
        self.metric = metric
        self.measured = measured
        self.reference = problem.constant_objective()
        self.n_lowered = 0

    def failed(self, objective):
        """Whether an epoch is to be undone."""
        return not objective <= POOR * self.reference

    def evaluated(self, state):
        """The state that the objective of the last epoch belongs to."""
        return state

    def to_gain(self, objective):
        """What a tolerance is a fraction of: the gain on the best constant model."""
        return max(self.reference - objective, 0.0)

    def candidates(self, state):
        """States to choose the result from, besides the best one met."""
        return [state]

    def finish(self, problem, state, reason, progress, last, largest):
        """The best state by its exact objective, which is free of noise."""
        states = self.candidates(state)
        if progress.best_value < last:
            states.append(progress.best)
        if progress.initial.coef.any():
            states.append(progress.initial)
        states = [s for s in states if s.within(largest)]
        best, objective = _solvers.best_of(problem, states or [progress.initial])
        # W = 0 beats it, if at all, with the best intercept.
        if not objective <= self.reference:
            best, _ = _solvers.best_of(problem, [best, progress.initial])
        return best, reason, False


class Stochastic(_Automatic):
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
    Where noise is all that moves the ends of epochs, the cosine of two moves in a row
    is -1/2, -2/3 with momentum, and nearer to 0 the longer ends are remembered. Steps
    fall then, and noise with them, until there is progress again. Momentum does not
    begin anew when the objective rises, which noise makes it do, too.
    """

    shuffled = True

    def __init__(self, problem, state, metric, measured, batch_size, average, momentum):
        super().__init__(problem, metric, measured)
        self.metric_epoch = _MetricEpoch(problem, metric, batch_size)
        self.batch_size = batch_size
        self.average = average
        self.momentum = momentum
        self.factor = 1.0
        self.rows_seen = 0
        self.noise_share = noise_share(batch_size, problem.n_rows)
        self.eta0 = first_step(measured, metric, self.noise_share)
        self.large_rows = ROWS_OF_LARGE_STEPS * metric.norm
        if problem.l2 and metric.scale.any():
            smallest = metric.scale[metric.scale > 0.0].min()
            shrinking = max(self.eta0 * problem.l2 * smallest, 1e-300)  # of an update
            few = batch_size * max(1.0, SHRUNK / shrinking)
            self.large_rows = min(self.large_rows, few)
        self.move = None  # of the last epoch
        self.point = None  # that the last epoch ended at
        self.age = 0  # epochs since momentum began
        self.long_average = None
        self.n_averaged = 0
        if not state.average:
            # The averages are the result from the first epoch on.
            state.average = state.t
            state.average_coef = state.coef.copy(order="A")
            state.average_intercept = state.intercept.copy()

    def epoch(self, problem, state, visits, objectives=None):
        """Make an epoch, as `Textbook.epoch`."""
        start = state.copy()
        n_updates = -(-problem.n_rows // self.batch_size)
        steps = self.steps(problem.n_rows, n_updates)
        loss, average = self.metric_epoch.run(
            problem, state, visits, steps, True, self.average_every(problem, n_updates),
            objectives,
        )  # fmt: skip
        self.rows_seen += problem.n_rows
        penalty = _penalties.value(start.coef, problem.l1, problem.l2)
        objective = loss + penalty
        if objectives is not None:
            objectives += penalty
        last = self.metric.point(state.coef, state.intercept)
        if self.failed(objective) or not np.isfinite(last).all():
            self.undo(problem, state, start)
        else:
            point = average if self.average else last
            self.go_on(problem, state, start, point, last)
        return objective, float(steps[-1])

    def steps(self, n_rows, n_updates):
        """Step sizes of the next epoch, of n_rows rows and n_updates updates."""
        nu, m, norm = self.noise_share, self.measured, self.metric.norm
        # A thousand different steps are as good as one for each update.
        parts = min(n_updates, 1000)
        rows = self.rows_seen + np.arange(parts) * (n_rows / parts)
        fall = np.sqrt(1.0 + rows / self.large_rows)
        noise = nu * norm * m.squared_weight * fall
        steps = self.factor / (m.curvature * ((1.0 - nu) * m.smoothness + noise))
        first = np.arange(parts + 1) * n_updates // parts
        return np.repeat(steps, np.diff(first))

    def average_every(self, problem, n_updates):
        X = problem.X
        every = int(AVERAGED_VALUES * X.n_features / max(X.mean_stored, 1.0))
        # Eight of an epoch's iterates are averaged in any case.
        return max(1, min(every // self.batch_size, n_updates // 8))

    def undo(self, problem, state, start):
        """Go back to the epoch's start with smaller steps; if it is bad, to W = 0."""
        coef, intercept = start.result()
        if problem.objective(start) <= POOR * self.reference:
            self.shorten(UNDONE)
        else:
            coef, intercept = np.zeros_like(coef), problem.constant()
        state.coef[:], state.intercept[:] = coef, intercept
        state.average_coef, state.average_intercept = coef, intercept
        self.move = self.point = self.long_average = None

    def lower(self, state):
        """Shorten the steps instead of ending, but twice."""
        self.n_lowered += 1
        self.shorten(LOWERED)
        return self.n_lowered <= 2

    def shorten(self, divisor):
        self.factor /= divisor
        self.age = 0

    def go_on(self, problem, state, start, point, last):
        """Set the result, and what the next epoch starts from and with."""
        self.set_result(state, point)
        self.n_averaged += 1
        before = point if self.long_average is None else self.long_average
        # The k-th epoch weighs about k^3.
        self.long_average = before + 4.0 / (self.n_averaged + 3.0) * (point - before)

        move = last - self.metric.point(start.coef, start.intercept)
        if self.move is not None:
            # A longer step if two epochs moved alike, a shorter one if they did not.
            norms = [self.metric.inner(m, m) for m in (move, self.move)]
            if min(norms) > 0.0:
                cosine = self.metric.inner(move, self.move)
                cosine /= np.sqrt(norms[0]) * np.sqrt(norms[1])
                change = cosine - TURN
                # Steps that fall too soon leave the slow directions behind.
                self.factor *= 2.0 ** (change if change > 0.0 else change / 2.0)
        self.move = move

        # Nesterov's method, with epochs for steps.
        ahead = self.age / (self.age + 3.0) if self.momentum else 0.0
        before = last if self.point is None else self.point
        state.coef[:], state.intercept[:] = self.metric.coef_and_intercept(
            last + ahead * (last - before)
        )
        self.point = last
        self.age += 1

    def set_result(self, state, point):
        coef, intercept = self.metric.coef_and_intercept(point)
        order = "F" if state.coef.flags.f_contiguous else "C"
        state.average_coef = np.array(coef, order=order)
        state.average_intercept = intercept

    def finish(self, problem, state, reason, progress, last, largest):
        """The best state; with L1, after a few steps on all rows.

        Averages have no zeros, which are what L1 is for. Proximal steps without noise
        bring them back.
        """
        best, reason, poor = super().finish(
            problem, state, reason, progress, last, largest
        )
        if not problem.l1:
            return best, reason, poor
        polished = best.copy()
        polished.coef, polished.intercept = (a.copy("A") for a in best.result())
        polished.average = 0
        steps = Accelerated(
            problem, polished, self.metric, self.measured, self.momentum
        )
        for _ in range(STEPS_TO_ZEROS):
            steps.epoch(problem, polished, problem.visits())
        # Zeros are worth a thousandth of what was gained.
        objective = problem.objective(best)
        allowed = objective + 1e-3 * self.to_gain(objective)
        if polished.within(largest) and problem.objective(polished) <= allowed:
            best = best.copy()
            best.coef, best.intercept = polished.coef, polished.intercept
            best.average_coef = polished.coef.copy("A")
            best.average_intercept = polished.intercept.copy()
        return best, reason, poor

    def candidates(self, state):
        """The last epoch's result, and the average over epochs."""
        if self.n_averaged < 2 or self.long_average is None or not self.average:
            return [state]
        averaged = state.copy()
        self.set_result(averaged, self.long_average)
        return [state, averaged]


class Streaming(Stochastic):
    """`Stochastic` for `partial_fit`, whose calls bring rows that weren't seen before.

    Calls differ in their rows, not only in what was learnt, so that they say nothing
    of the step size, and there are rows to come without end.
    """

    def __init__(self, problem, state, metric, measured, batch_size, average, factor):
        super().__init__(problem, state, metric, measured, batch_size, average, False)
        self.noise_share = 1.0 / batch_size
        self.rows_seen = measured.n_rows - problem.n_rows
        self.factor = factor

    def go_on(self, problem, state, start, point, last):
        """Set the result: the average over rows, the k-th of which weighs k^3."""
        if self.average:
            share = 1.0 - (1.0 - problem.n_rows / self.rows_seen) ** 4
            before = self.metric.point(*start.result())
            point = before + share * (point - before)
        self.set_result(state, point)

    def finish(self, problem, state, reason, progress, last, largest):
        return (state if state.within(largest) else progress.initial), reason, False


class Accelerated(_Automatic):
    """Epochs of one update with all rows: Nesterov's method, preconditioned.

    A proximal gradient step with step size 1 / L from a point y_k gives x_{k+1}, from
    which y_{k+1} lies ahead by (t_k - 1) / t_{k+1} of the last move (Beck and Teboulle,
    "A fast iterative shrinkage-thresholding algorithm", SIAM J. Imaging Sci. 2, 2009,
    section 4); it begins anew when the gradient points back (O'Donoghue and Candes,
    "Adaptive restart for accelerated gradient schemes", Found. Comput. Math. 15, 2015,
    section 3.2). L follows the curvature met between y_k and y_{k+1}, at no cost.
    Kinks of a loss are smoothed over a width that falls as 1/k (Tran-Dinh, "Adaptive
    smoothing algorithms for nonsmooth composite convex minimization", Comput. Optim.
    Appl. 66, 2017).
    """

    shuffled = False

    def __init__(self, problem, state, metric, measured, momentum):
        super().__init__(problem, metric, measured)
        self.batch_size = problem.n_rows
        self.momentum = momentum
        self.smoothness = measured.curvature * measured.smoothness  # L
        self.eta0 = 1.0 / self.smoothness
        self.n_steps = 0
        self.least = np.inf  # of the objective
        self.t = 1.0
        self.point = metric.point(state.coef, state.intercept)  # y_k
        self.last = None  # y_{k-1} and the gradient there
        self.here = self.good = None  # states at y_k, and at the last sane one

    def epoch(self, problem, state, visits, objectives=None):
        """Make an update. Returns the objective before it, and the step."""
        metric, n = self.metric, problem.n_rows
        self.n_steps += 1
        self.here = state.copy()
        self.here.coef[:], self.here.intercept[:] = metric.coef_and_intercept(
            self.point
        )
        width = 1.0 / (self.measured.curvature * self.n_steps)
        rows, y, weight = visits
        total, gradient, slope = loss_gradient(
            problem.X, rows, y, weight, problem.loss.smoothed(width), self.here.coef,
            self.here.intercept,
        )  # fmt: skip
        penalty = _penalties.value(self.here.coef, problem.l1, problem.l2)
        objective = total / n + penalty
        if objectives is not None:
            objectives[:] = objective
        state.t += 1
        if self.failed(objective):
            self.undo(problem, state)
            self.gradient_norm = np.nan
            return objective, 1.0 / self.smoothness

        self.good = self.here
        self.least = min(self.least, objective)
        slope = slope * float(problem.fit_intercept) / n
        gradient = gradient / n + problem.l2 * self.here.coef
        centred = np.column_stack([gradient - np.outer(slope, metric.mean), slope])
        self.follow_curvature(centred)
        eta = 1.0 / self.smoothness
        self.gradient_norm = self.norm_of_mapping(problem, eta, gradient, slope)
        new = self.point - eta * np.append(metric.scale, 1.0) * centred
        if problem.l1:
            threshold = eta * problem.l1 * metric.scale
            new[:, :-1] = _penalties.shrink(new[:, :-1], threshold)

        move = new - metric.point(state.coef, state.intercept)
        if metric.inner(self.point - new, move) > 0.0 or not self.momentum:
            self.t = 1.0
        t = (1.0 + np.sqrt(1.0 + 4.0 * self.t**2)) / 2.0
        self.point = new + (self.t - 1.0) / t * move
        self.t = t
        state.coef[:], state.intercept[:] = metric.coef_and_intercept(new)
        return objective, eta

    def norm_of_mapping(self, problem, eta, gradient, slope):
        """Norm of the gradient mapping: of the gradient, if there is no L1."""
        if problem.l1:
            coef = self.here.coef
            moved = _penalties.shrink(coef - eta * gradient, eta * problem.l1)
            gradient = (coef - moved) / eta
        return float(np.sqrt(np.vdot(gradient, gradient) + np.vdot(slope, slope)))

    def undo(self, problem, state):
        """Go back to the last good point with smaller steps; if none, to W = 0."""
        if self.good is not None:
            state.coef[:], state.intercept[:] = self.good.coef, self.good.intercept
            self.shorten(UNDONE)
        else:
            state.coef[:], state.intercept[:] = 0.0, problem.constant()
        self.point = self.metric.point(state.coef, state.intercept)

    def lower(self, state):
        """Go on a few times if nothing beat the constant model yet."""
        self.n_lowered += 1
        return self.least >= self.reference and self.n_lowered < TRIES

    def shorten(self, divisor):
        self.smoothness *= divisor
        self.last, self.t = None, 1.0

    def evaluated(self, state):
        return self.here

    def follow_curvature(self, gradient):
        met = 0.0
        if self.last is not None:
            point, last_gradient = self.last
            change = gradient - last_gradient
            inner = float(np.sum((self.point - point) * change))
            if inner > 0.0:
                squares = np.sum(np.append(self.metric.scale, 1.0) * change**2)
                met = float(squares) / inner
        if np.isfinite(met):
            self.smoothness = max(GROWTH * self.smoothness, met)
        self.last = self.point, gradient
