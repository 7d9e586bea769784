"""The training loop: epochs, stopping, history and the guard against divergence."""

from time import perf_counter

import numpy as np

from skgd.training.interrupt import Interrupt
from skgd.training.progress import Progress
from skgd.training.state import Outcome
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
    progress = Progress(initial, tol, by_score=score is not None, method=method)
    history, reason = [], "max_iter"
    method.watch = watch
    start = perf_counter()

    # Overflow is what divergence looks like; it is looked for after each epoch.
    quiet = np.errstate(over="ignore", under="ignore", invalid="ignore")
    with (
        quiet,
        Visits(problem, shuffle, method.n_shuffled(max_iter)) as visits,
        Interrupt(max_iter > 1) as interrupt,
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
