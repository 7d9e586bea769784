"""The training loop: epochs, stopping, history and the guard against divergence."""

import signal
import threading
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter

import numpy as np

from skgd import _penalties, _solvers
from skgd._kernels import Rows, loss_at, loss_totals
from skgd._losses import Loss

# More updates than this are thinned out in their record.
RECORDED_UPDATES = 1_000_000


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

    def visits(self, order=None, room=(None, None)):
        """Rows of X, targets and weights in the order of visits.

        The latter two are written to the arrays of `room`, if there are any.
        """
        if order is None:
            return self._all_rows, self.y, self.weight
        rows = order if self.rows is None else self.rows[order]
        # Indices are in range; to find out would take a copy of the result.
        y = self.y.take(order, axis=0, out=room[0], mode="clip")
        weight = self.weight
        if weight is not None:
            weight = weight.take(order, out=room[1], mode="clip")
        return rows, y, weight

    @cached_property
    def _all_rows(self):
        return np.arange(self.n_rows) if self.rows is None else self.rows

    def objective(self, state):
        """The objective at the coefficients that `state` would give out."""
        coef, intercept = state.result()
        with np.errstate(over="ignore", invalid="ignore"):
            total = loss_at(self.X, *self.visits(), self.loss, coef, intercept)
            return total / self.n_rows + _penalties.value(coef, self.l1, self.l2)

    def constant(self):
        """The intercepts of the best model with W = 0."""
        return self._constant

    @cached_property
    def _constant(self):
        if not self.fit_intercept:
            return np.zeros(self.n_outputs)
        constant = self.loss.constant(self.y, self.weight, self.n_outputs)
        return np.asarray(constant, dtype=np.float64)

    @cached_property
    def constant_totals(self):
        """The objective at W = 0 with the best intercepts, of each output."""
        return self.totals_at(self._constant)

    def constant_objective(self):
        """The objective at W = 0 with the best intercepts."""
        return float(self.constant_totals.sum())

    def zero_objective(self):
        """The objective at W = 0, b = 0."""
        return float(self.totals_at(np.zeros(self.n_outputs)).sum())

    def totals_at(self, intercept):
        """The objective of each output at W = 0."""
        z = np.asarray(intercept)[None]
        return loss_totals(self.loss, self.y, self.weight, z) / self.n_rows


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
        arrays = self.result()
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

    `state` is the one to keep, `objective` the one there, and `gap` an estimate of what
    is left, or nan. `reason` is a value of `stop_reason_`. `history` has one dict per
    epoch.
    """

    state: State
    reason: str
    objective: float
    gap: float
    history: list


def train(
    problem,
    state,
    method,
    *,
    max_iter,
    tol=None,
    n_iter_no_change=5,
    shuffle=None,
    score=None,
    largest=np.inf,
    verbose=0,
    updates=None,
    tasks=None,
    watch=None,
    judge=True,
):
    """Run epochs until the objective, or the validation score, stops improving.

    Parameters
    ----------
    problem : Problem
    state : State
        Changed in place.
    method : Textbook or Automatic
        What an epoch is, and when there is nothing left to do.
    max_iter : int
        Largest number of epochs.
    tol : float or None
        An epoch gains if it lowers the best objective by more than the fraction
        `tol` of what `method` measures it by, or raises the best score by more than
        `tol`. With None, all epochs gain.
    n_iter_no_change : int
        Epochs in a row without gain that end training by the score, or of a `patient`
        method, unless it lowers its step and goes on.
    shuffle : Generator or None
        Source of the order of rows; None keeps their order.
    score : callable or None
        score(state) -> validation score and loss. The state with the best score is
        kept, not the last; the loss decides between equal scores.
    largest : float
        Largest value of a coefficient that its final dtype can hold.
    verbose : int
        1 prints a line an epoch.
    updates : UpdateRecord or None
        Takes the objective of each update's batch.
    tasks : FitTasks or None
        What scikit-learn's callbacks are told of each epoch, and may end it with.
    watch : callable or None
        watch(state) is called after each epoch and, where the method can, each update.
    judge : bool
        Whether the model is judged by all rows at the end, which may put another one
        in its place; if not, it is the last one.

    Returns
    -------
    Outcome
    """
    initial = state.copy()
    progress = _Progress(initial, tol, by_score=score is not None, method=method)
    history, reason = [], "max_iter"
    method.watch = watch
    start = perf_counter()

    # Overflow is what divergence looks like; it is looked for after each epoch.
    quiet = np.errstate(over="ignore", under="ignore", invalid="ignore")
    with (
        quiet,
        _solvers.Visits(problem, shuffle, method.n_shuffled(max_iter)) as visits,
        _Interrupt(max_iter > 1) as interrupt,
    ):
        for _ in range(max_iter):
            if tasks is not None:
                tasks.begin()
            first = state.t
            objectives = None
            if updates is not None:
                objectives = np.empty(-(-problem.n_rows // method.batch_size))
            record = method.epoch(problem, state, visits.draw(), objectives)
            if updates is not None:
                updates.add(first, objectives)
            record["n_updates"] = state.t - 1
            record["seconds"] = perf_counter() - start
            for name in ("gap", "gradient_norm"):
                # At the end of the columns, known or not.
                record[name] = record.pop(name, np.nan)
            history.append(record)
            sane = np.isfinite(record["objective"]) and state.within(largest)
            diverged = not (sane or method.recovers)
            if score is not None and not diverged:
                record.update(score(state))
            if verbose:
                print(_line(len(history), record))
            if watch is not None:
                watch(state)
            stopped = tasks is not None and tasks.end(state if sane else None, history)
            if diverged:
                reason = "diverged"
                break
            if score is not None or method.patient:
                if method.begins_anew():
                    progress.forget()
                progress.update(state if score else method.evaluated(state), record)
            if stopped or interrupt.caught:
                reason = "callback" if stopped else "interrupted"
                break
            if ended := method.ending():
                reason = ended
                break
            if progress.epochs_without_gain < n_iter_no_change:
                continue
            if progress.epochs_of_rise >= max(n_iter_no_change, 3):
                # A curve that rises has not come to rest.
                if method.diverges(record["objective"]):
                    reason = "diverged"
                    break
            elif method.lower(state):
                progress.epochs_without_gain = 0
            else:
                reason = "no_progress" if score is None else "early_stopping"
                break

        if score is not None:
            state = progress.best
            objective, gap = problem.objective(state), progress.gap
            if reason == "converged" and not gap <= tol:
                # Training did, but the model with the best score is another one.
                reason = "early_stopping"
        elif not judge:
            objective = gap = np.nan
            state = progress.initial if reason == "diverged" else state
        else:
            state, objective, reason, gap = method.result(
                problem, state, reason, progress, largest
            )
    if verbose and max_iter > 1:
        print(f"ended after {len(history)} epochs: {reason}")
    return Outcome(state, reason, objective, gap, history)


class _Progress:
    """The best state so far, and how long ago an epoch gained on it."""

    def __init__(self, state, tol, by_score, method):
        self.initial = self.best = state
        self.tol = tol
        self.by_score = by_score
        self.method = method
        self.patient = tol is not None and (by_score or method.patient)
        self.best_value = self.best_loss = np.inf
        self.gap = np.nan  # of the best state
        self.epochs_without_gain = 0
        self.epochs_of_rise = 0
        self.latest = []  # objectives of the latest epochs

    def update(self, state, record):
        tol = self.tol or 0.0
        value, loss, allowed = record["objective"], np.inf, np.inf
        if self.by_score:
            value, loss = -record["validation_score"], record["validation_loss"]
            allowed = tol
        elif np.isfinite(self.best_value):
            allowed = tol * self.method.to_gain(self.best_value)
        improved = (value, loss) < (self.best_value, self.best_loss)
        # A rare class may leave the accuracy as it is for long.
        gained = value < self.best_value - allowed or np.isinf(self.best_value)
        if self.by_score and value == self.best_value:
            gained = loss < self.best_loss - tol * abs(self.best_loss)
        if improved:
            self.best = state.copy()
            self.best_value, self.best_loss = value, loss
            self.gap = record.get("gap", np.nan)
        self.epochs_without_gain += 1
        if gained or not self.patient:
            self.epochs_without_gain = 0
        self.epochs_of_rise += 1
        if self.by_score or not self.latest or value <= self.latest[-1]:
            self.epochs_of_rise = 0
        self.latest = [*self.latest[-3:], value]

    def forget(self):
        """Let the next state be the best so far."""
        self.best_value = self.best_loss = np.inf

    def is_falling(self):
        """Whether the last epoch was below the three before it."""
        *before, last = self.latest
        return last < min(before, default=-np.inf)


class UpdateRecord:
    """Number of each update and the objective of its batch, at most `size` of them.

    If there are more, those whose number is a multiple of 2 are kept, or of 4, ...
    """

    def __init__(self, update=(), objective=(), size=RECORDED_UPDATES):
        self.update = [np.asarray(update, dtype=np.int64)]
        self.objective = [np.asarray(objective, dtype=np.float64)]
        self.size = size
        self.every = 1

    def add(self, first, objectives):
        """Record the updates from number `first` on."""
        last = first + len(objectives) - 1
        while last // self.every > self.size:
            self.every *= 2
            (update, objective) = self.columns().values()
            kept = update % self.every == 0
            self.update, self.objective = [update[kept]], [objective[kept]]
        start = first + -first % self.every
        self.update.append(np.arange(start, last + 1, self.every))
        self.objective.append(objectives[start - first :: self.every])

    def columns(self):
        """The record as one array each."""
        return {
            "update": np.concatenate(self.update),
            "objective": np.concatenate(self.objective),
        }


class _Interrupt:
    """Ctrl-C, which waits for the running epoch to end; a second one does not."""

    def __init__(self, wanted):
        # Signals reach the main thread only, and another handler may be there.
        self.installed = (
            wanted
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        self.caught = False

    def __enter__(self):
        if self.installed:
            signal.signal(signal.SIGINT, self.catch)
        return self

    def __exit__(self, *exception):
        if self.installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def catch(self, signum, frame):
        if self.caught:
            raise KeyboardInterrupt
        self.caught = True


def _line(epoch, record):
    gap = record.get("gap", np.nan)
    said = f"step {record['eta']:9.3g}" if np.isnan(gap) else f"gap {gap:10.3g}"
    line = (
        f"epoch {epoch:4d}  objective {record['objective']:12.6g}  "
        f"{said}  {record['seconds']:9.3f} s"
    )
    if "validation_score" in record:
        line += (
            f"  validation score {record['validation_score']:8.4f}"
            f"  loss {record['validation_loss']:10.6g}"
        )
    return line
