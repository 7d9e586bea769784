"""The training loop: epochs, and what ends them."""

from math import isfinite
from time import perf_counter

import numpy as np

from skgd.training.interrupt import Interrupt
from skgd.training.method import Ending
from skgd.training.progress import Progress
from skgd.training.visits import Visits


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
    path=None,
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
    method : Method
        What an epoch is, and when there is nothing left to do.
    max_iter : int
        Largest number of epochs.
    tol : float or None
        An epoch gains if it lowers the best objective by more than the fraction
        `tol` of what `method` measures it by, or raises the best score by more than
        `tol`. With None, all epochs gain.
    n_iter_no_change : int
        Epochs in a row without gain that end training by the score, or of a `patient`
        method, unless it lowers its step and goes on; times the `inertia` of the
        method.
    shuffle : Generator or None
        Source of the order of rows; None keeps their order.
    score : callable or None
        score(state) -> validation score and loss. The state with the best score is
        kept, not the last; the loss decides between equal scores.
    largest : float
        Largest value of a coefficient that its final dtype can hold.
    verbose : int
        1 prints a line per epoch.
    updates : UpdateRecord or None
        Takes the objective of each update's batch.
    path : PathRecord or None
        Takes the state after each epoch.
    tasks : FitTasks or None
        What scikit-learn's callbacks are told of each epoch, and may end it with.
    watch : callable or None
        watch(state) is called after each epoch and, where the method can, each update.
    judge : bool
        Whether the model is judged by all rows at the end, which may put another one
        in its place; if not, it is the last one.

    Returns
    -------
    ending : Ending
    history : list of dict
        One per epoch.
    """
    progress = Progress(state.copy(), method, tol, n_iter_no_change, score is not None)
    history, reason, start = [], "max_iter", perf_counter()
    # Overflow is what divergence looks like; it is looked for after each epoch.
    quiet = np.errstate(over="ignore", under="ignore", invalid="ignore")
    with (
        quiet,
        Visits(problem.data, shuffle, method.n_shuffled(max_iter)) as visits,
        Interrupt(max_iter > 1) as interrupt,
    ):
        for _ in range(max_iter):
            if tasks is not None:
                tasks.begin()
            result = _epoch(problem, state, method, visits.draw(), updates, watch)
            record = record_of(result, state, start)
            history.append(record)
            sane = is_sane(result, state, largest)
            diverged = not (sane or method.recovers)
            if score is not None and not diverged:
                record.update(score(state))
            if verbose:
                print(_line(len(history), record))
            if path is not None:
                path.add(state)
            if watch is not None:
                watch(state)
            stopped = tasks is not None and tasks.end(state if sane else None, history)
            if watch or tasks or score:
                problem.data.check()  # the user's code may have changed X
            if diverged:
                reason = "diverged"
                break
            progress.update(state, record)
            if stopped or interrupt.caught:
                reason = "callback" if stopped else "interrupted"
                break
            if ended := method.ending() or progress.ending(state, result.objective):
                reason = ended
                break
        ending = Ending(state, reason)
        if score is not None:
            ending = _of_best_score(problem, progress, reason, tol)
        elif judge:
            ending = method.finish(ending, progress, largest)
        elif reason == "diverged":
            ending.state = progress.initial
    if interrupt.caught:
        # Or else one that came while the result was chosen would be swallowed.
        ending.reason = "interrupted"
    if verbose and max_iter > 1:
        print(f"ended after {len(history)} epochs: {ending.reason}")
    return ending, history


def record_of(result, state, start):
    """The entry of the history for an epoch."""
    return {
        "objective": result.objective,
        "method": result.method,
        "eta": result.eta,
        "n_updates": state.t - 1,
        "seconds": perf_counter() - start,
        "gap": result.gap,
        "gradient_norm": result.gradient_norm,
    }


def is_sane(result, state, largest):
    """Whether an epoch did not diverge."""
    return isfinite(result.objective) and state.within(largest)


def _epoch(problem, state, method, visits, updates, watch):
    """Make an epoch, and record its updates."""
    first, objectives = state.t, None
    if updates is not None:
        objectives = np.empty(-(-problem.n_rows // method.batch_size))
    result = method.epoch(state, visits, objectives, watch)
    if updates is not None:
        updates.add(first, objectives)
    return result


def _of_best_score(problem, progress, reason, tol):
    """The state with the best score."""
    state, gap = progress.best, progress.gap
    if reason == "converged" and not gap <= tol:
        # Training did, but the model with the best score is another one.
        reason = "early_stopping"
    return Ending(state, reason, problem.objective(state), gap)


def _line(epoch, record):
    gap = record["gap"]
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
