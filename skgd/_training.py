"""The training loop: epochs, stopping, history and the guard against divergence."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from skgd import _penalties, _solvers
from skgd._kernels import Rows, run_epoch, zero_loss
from skgd._losses import Loss

# Adaptive steps end at this fraction of eta0. For SGDRegressor's eta0 = 0.01 that is
# its own bound of 1e-6; a bound relative to eta0 does not depend on the scale of X.
SMALLEST_STEP = 1e-4

# Multiples of the objective at W = 0 from which training failed, and from which the
# last coefficients are not worth keeping even if they are finite.
POOR = 2.0
DIVERGED = 1e10


@dataclass(frozen=True)
class Problem:
    """What is minimised: the inputs, which training never changes.

    `rows` are the indices of the rows of X to train on, None for all of them. `y`,
    (n_rows, K) or class indices (n_rows, 1), and `weight`, (n_rows,) or None where all
    weigh 1, are those of these rows only.
    """

    X: Rows
    rows: np.ndarray | None
    y: np.ndarray
    weight: np.ndarray | None
    loss: Loss
    n_outputs: int
    l1: float
    l2: float
    fit_intercept: bool

    @property
    def n_rows(self):
        return len(self.y)

    def visits(self, order=None):
        """Rows of X, targets and weights in the order of visits."""
        if order is None:
            rows = np.arange(self.n_rows) if self.rows is None else self.rows
            return rows, self.y, self.weight
        rows = order if self.rows is None else self.rows[order]
        weight = None if self.weight is None else self.weight[order]
        return rows, self.y[order], weight

    def objective(self, state):
        """The objective at the coefficients that `state` would give out."""
        coef, intercept = (array.copy(order="A") for array in state.result())
        rows, y, weight = self.visits()
        with np.errstate(over="ignore", invalid="ignore"):
            # An epoch of one update with a step of zero.
            total = run_epoch(
                self.X, rows, y, weight, self.n_rows, np.zeros(1), self.l1, self.l2,
                self.loss, coef, intercept, self.fit_intercept, by_blocks=True,
            )  # fmt: skip
            return total / self.n_rows + _penalties.value(coef, self.l1, self.l2)

    def zero_objective(self):
        """The objective at W = 0, b = 0."""
        return zero_loss(self.loss, self.y, self.weight, self.n_outputs) / self.n_rows


@dataclass
class State:
    """What training changes: coefficients (K, p), intercepts (K,), and its clock.

    `t` is the number of the next update, `eta` the eta0 handed to the schedule.
    `average` is the number of the first update whose result enters the averages;
    0 for no averaging.
    """

    coef: np.ndarray
    intercept: np.ndarray
    t: int = 1
    eta: float = 0.0
    average: int = 0
    average_coef: np.ndarray | None = None
    average_intercept: np.ndarray | None = None

    def start_average(self, first):
        """Average the iterates from update number `first` on; 0 for none of them."""
        if first > 0:
            self.average = max(first, self.t)
            self.average_coef = np.zeros_like(self.coef)
            self.average_intercept = np.zeros_like(self.intercept)

    def averaged(self):
        """Whether the averages, not the last iterates, are the result."""
        return 0 < self.average < self.t

    def result(self):
        """The coefficients and intercepts to predict with."""
        if self.averaged():
            return self.average_coef, self.average_intercept
        return self.coef, self.intercept

    def within(self, largest):
        """Whether all coefficients are finite and at most `largest`."""
        arrays = (self.coef, self.intercept)
        # A sum of squares, quick to get, settles it nearly always.
        if sum(np.vdot(array, array) for array in arrays) < min(largest, 1e150) ** 2:
            return True
        return all(
            np.isfinite(array).all() and np.abs(array).max() <= largest
            for array in arrays
        )

    def copy(self):
        def copied(array):
            return None if array is None else array.copy(order="A")

        return State(
            copied(self.coef),
            copied(self.intercept),
            self.t,
            self.eta,
            self.average,
            copied(self.average_coef),
            copied(self.average_intercept),
        )


@dataclass
class Outcome:
    """How training ended.

    `state` is the one to keep. `reason` is "max_iter", "converged" or "diverged";
    `poor` says that the objective ended well above that of W = 0, b = 0. `history`
    has one dict an epoch.
    """

    state: State
    reason: str
    poor: bool
    history: list


def train(
    problem,
    state,
    batch_size,
    schedule,
    *,
    max_iter,
    tol=None,
    n_iter_no_change=5,
    adaptive=False,
    shuffle=None,
    score=None,
    largest=np.inf,
    verbose=0,
):
    """Run epochs until the objective, or the validation score, stops improving.

    Parameters
    ----------
    problem : Problem
    state : State
        Changed in place.
    batch_size : int
        Rows an update.
    schedule : callable
        schedule(t, eta0) -> step sizes.
    max_iter : int
        Largest number of epochs.
    tol : float or None
        An epoch gains if it lowers the best objective by more than the fraction
        `tol` of it, or raises the best score by more than `tol`. With None, nothing
        but `max_iter` ends training.
    n_iter_no_change : int
        Epochs in a row without gain that end training, or lower an adaptive step.
    adaptive : bool
        Divide the step by 5 where training would end, until it is very small.
    shuffle : Generator or None
        Source of the order of rows; None keeps their order.
    score : callable or None
        score(state) -> validation score. The best state is kept, not the last.
    largest : float
        Largest value of a coefficient that its final dtype can hold.
    verbose : int
        1 prints a line an epoch.

    Returns
    -------
    Outcome
    """
    initial = state.copy()
    progress = _Progress(initial, tol, by_score=score is not None)
    smallest_step = state.eta * SMALLEST_STEP
    history, reason = [], "max_iter"
    full = batch_size == problem.n_rows
    shuffled = shuffle is not None and not full
    penalty = _penalties.value(state.coef, problem.l1, problem.l2)
    start = perf_counter()

    # Overflow is what divergence looks like; it is looked for after each epoch.
    quiet = np.errstate(over="ignore", under="ignore", invalid="ignore")
    with quiet, _solvers.Orders(shuffle, problem.n_rows) as orders:
        for _ in range(max_iter):
            order = orders.draw() if shuffled else None
            before = state.copy() if full and score is None else None
            t, penalty_before = state.t, penalty
            loss, eta = _solvers.epoch(problem, state, batch_size, schedule, order)
            penalty = _penalties.value(state.coef, problem.l1, problem.l2)
            record = {
                "objective": loss + _mean_penalty(penalty_before, penalty, state.t - t),
                "eta": eta,
                "n_updates": state.t - 1,
                "seconds": perf_counter() - start,
            }
            history.append(record)
            if not (np.isfinite(record["objective"]) and state.within(largest)):
                reason = "diverged"
                break
            if score is not None:
                record["validation_score"] = score(state)
            if verbose:
                print(_line(len(history), record))
            # The objective of one update an epoch is that of the state before it.
            progress.update(before or state, record)
            if progress.epochs_without_gain >= n_iter_no_change:
                if not adaptive or state.eta <= smallest_step:
                    reason = "converged"
                    break
                state.eta /= 5.0
                progress.epochs_without_gain = 0

    zero = problem.zero_objective()
    # With all targets zero, say, W = 0 is perfect, and the ratio says nothing.
    ratio = history[-1]["objective"] / zero if zero > 0.0 else 0.0
    if not ratio < DIVERGED:
        reason = "diverged"
    if score is not None:
        state = progress.best
    elif reason == "diverged":
        # That an epoch was the best on average does not say how it ended.
        candidates = (progress.best, initial)
        state = min(
            candidates, key=lambda s: np.nan_to_num(problem.objective(s), nan=np.inf)
        )
    return Outcome(state, reason, ratio > POOR, history)


class _Progress:
    """The best state so far, and how long ago an epoch gained on it."""

    def __init__(self, state, tol, by_score):
        self.best = state
        self.tol = tol
        self.by_score = by_score
        self.best_value = -np.inf if by_score else np.inf
        self.epochs_without_gain = 0

    def update(self, state, record):
        tol = self.tol or 0.0
        if self.by_score:
            value = record["validation_score"]
            improved, gained = value > self.best_value, value > self.best_value + tol
        else:
            value = record["objective"]
            improved = value < self.best_value
            gained = value < self.best_value * (1.0 - tol)
        if improved:
            self.best, self.best_value = state.copy(), value
        if gained or self.tol is None:
            self.epochs_without_gain = 0
        else:
            self.epochs_without_gain += 1


def _mean_penalty(before, after, n_updates):
    """Mean over the iterates before each update, if the penalty moves linearly.

    The loss is such a mean. With one update an epoch, both are exact.
    """
    return before + (after - before) * (n_updates - 1) / (2 * n_updates)


def _line(epoch, record):
    line = (
        f"epoch {epoch:4d}  objective {record['objective']:12.6g}  "
        f"step {record['eta']:9.3g}  {record['seconds']:8.2f} s"
    )
    if "validation_score" in record:
        line += f"  validation score {record['validation_score']:8.4f}"
    return line
