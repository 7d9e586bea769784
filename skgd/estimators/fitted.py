"""Attributes of a fitted estimator, of a state."""

from dataclasses import replace
from typing import Any

import numpy as np

from skgd.estimators.inputs import dense, shaped
from skgd.objective.own import NEGATIVE
from skgd.training.state import MEMORY_VERSION, Memory, State

ROUNDING = 1e-9  # of a loss that is not negative
RECORDED_CALLS = 2000  # of partial_fit, before their history is thinned out


class Attributes:
    """Types of what the docstrings of the estimators describe."""

    coef_: np.ndarray
    intercept_: np.ndarray
    n_iter_: int
    t_: int
    eta0_: float
    batch_size_: int
    objective_: float
    gap_: float
    stop_reason_: str
    loss_curve_: list[float]
    history_: dict[str, list[Any]]
    update_history_: dict[str, np.ndarray]
    path_: dict[str, np.ndarray]
    n_features_in_: int
    feature_names_in_: np.ndarray


class Transaction:
    """What an estimator was before a call, to give it back if the call fails.

    Columns of `history_` are lists, and may have grown. `also` holds what else is to be
    called then. Not a context manager: an interrupt between the last line of a block
    and its end would be missed.
    """

    def __init__(self, estimator):
        self.estimator = estimator
        self.before = vars(estimator).copy()
        self.history = self.before.get("history_", {})
        self.lengths = {name: len(column) for name, column in self.history.items()}
        self.also = []

    def undo(self):
        for undo in self.also:
            undo()
        attributes = vars(self.estimator)
        attributes.update(self.before)  # at once: another thread may be predicting
        for name in attributes.keys() - self.before.keys():
            del attributes[name]
        for name in list(self.history):
            del self.history[name][self.lengths.get(name, 0) :]
            if name not in self.lengths:
                del self.history[name]


def keep(estimator, ending, history, dtype, memory):
    """Copy the state and history of training to attributes."""
    state = ending.state
    if ending.objective < 0.0 and not isinstance(estimator.loss, str):
        largest = max((abs(record["objective"]) for record in history), default=0.0)
        if ending.objective < -ROUNDING * largest:
            raise ValueError(NEGATIVE)
    new = attributes(estimator, estimator.history_, state, history, dtype)
    vars(estimator).update(new)
    estimator.stop_reason_ = ending.reason
    estimator.objective_, estimator.gap_ = ending.objective, ending.gap
    trained = state if state.average or state.velocity[0] is not None else None
    estimator._memory = replace(memory, eta=state.eta, trained=trained)


def memory_of(estimator):
    """What `partial_fit` goes on from."""
    memory = getattr(estimator, "_memory", None) or Memory()
    if memory.version != MEMORY_VERSION:
        raise ValueError(
            f"This {type(estimator).__name__} was fitted with another version of skgd, "
            "and partial_fit cannot go on from what it kept. Call fit, or make a new "
            "estimator and set its coef_ and intercept_."
        )
    return memory


def attributes(estimator, history, state, records, dtype):
    """Attributes at `state`; records of this call's epochs go into `history`."""
    extend(history, records)
    return {
        **coefficients(estimator, state, dtype),
        "t_": state.t,
        "n_iter_": len(records),
        "history_": history,
        "loss_curve_": history["objective"],
    }


def coefficients(estimator, state, dtype):
    coef, intercept = state.result()
    return {
        "coef_": estimator._shape_coef(coef.astype(dtype, order="C")),
        "intercept_": intercept.astype(dtype),
    }


def round_ending(ending, problem, dtype, tol):
    """Judge the coefficients as they are given out, in single precision."""
    coef, intercept = (
        array.astype(dtype).astype(np.float64) for array in ending.state.result()
    )
    objective = problem.objective(
        State(np.array(coef, order=problem.data.order), intercept)
    )
    lost = max(objective - ending.objective, 0.0)
    ending.objective = objective
    if ending.gap < 1.0:
        gain = max(problem.constant_objective - objective, 1e-300)
        ending.gap += lost / (lost + gain)
        if ending.reason == "converged" and tol is not None and ending.gap > tol:
            ending.reason = "stalled"


def extend(history, records):
    """Append records of epochs to the columns of `history`, whose time goes on."""
    n_before = len(history.get("objective", ()))
    elapsed = history["seconds"][-1] if n_before else 0.0
    for record in records:
        for key in record:
            history.setdefault(key, [np.nan] * n_before)
        for key, column in history.items():
            column.append(record.get(key, np.nan))
        history["seconds"][-1] += elapsed
        n_before += 1


def path(estimator, coefs, intercepts, dtype):
    """`path_` with these behind what it has; the first of them it may have already."""
    with np.errstate(over="ignore"):  # divergence looks like this
        coefs = np.array([estimator._shape_coef(c).astype(dtype) for c in coefs])
        intercepts = np.array(intercepts, dtype=dtype)
    path = {"coef": coefs, "intercept": intercepts}
    before = getattr(estimator, "path_", None)
    if before is None:
        return path
    path = {name: np.concatenate([before[name], path[name][1:]]) for name in path}
    last = len(path["coef"]) - 1
    if last > RECORDED_CALLS:  # as of `thin`
        kept = [0, *range(2, last, 2), last]
        path = {name: column[kept] for name, column in path.items()}
    return path


def thin(history):
    """A history of too many calls without every other row, but with the last."""
    if len(history["objective"]) <= RECORDED_CALLS:
        return history
    return {name: column[1:-1:2] + column[-1:] for name, column in history.items()}


def resumed(estimator, problem, average):
    """The state that the last call of fit or partial_fit left.

    `average` is the number of the first update to be averaged; 0 for none.
    """
    memory, order = memory_of(estimator), problem.data.order
    last = memory.trained
    if last is None or not _stands(estimator, last):
        last = State(None, None)  # or else the user set other coefficients
    trained = last if average and last.average else None
    coef = dense(estimator.coef_) if trained is None else trained.coef
    intercept = estimator.intercept_ if trained is None else trained.intercept
    shape = (estimator._n_outputs, problem.data.n_features)
    state = State(
        np.array(shaped(coef, shape, "coef_"), order=order),
        np.array(shaped(intercept, shape[:1], "intercept_")),
        t=getattr(estimator, "t_", 1),
        eta=memory.eta,
    )
    if trained is None:
        state.start_average(average)
    else:
        state.average = trained.average
        state.average_coef = np.array(trained.average_coef, order=order)
        state.average_intercept = trained.average_intercept.copy()
    goes_on = trained is not None or not last.average
    if estimator.momentum and goes_on and last.velocity[0] is not None:
        coef_velocity, intercept_velocity = last.velocity
        state.velocity = np.array(coef_velocity, order=order), intercept_velocity.copy()
    return state


def _stands(estimator, state):
    """Whether the coefficients are those that `state` gave out."""
    given = np.atleast_2d(dense(estimator.coef_)), np.asarray(estimator.intercept_)
    return all(
        np.array_equal(now, kept.astype(now.dtype))
        for now, kept in zip(given, state.result(), strict=True)
    )
