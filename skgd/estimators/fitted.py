"""Attributes of a fitted estimator, of a state."""

from contextlib import contextmanager

import numpy as np

from skgd.training.state import State

RECORDED_CALLS = 2000  # of partial_fit, before their history is thinned out
# What an averaging estimator keeps to go on from, besides coef_ and intercept_.
AVERAGING = (
    "_standard_coef",
    "_standard_intercept",
    "_average_coef",
    "_average_intercept",
    "_average_from",
)


@contextmanager
def unchanged_on_error(estimator):
    """Give the estimator back its attributes if the block raises."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def keep(estimator, outcome, dtype):
    """Copy the state and history of training to attributes."""
    state = outcome.state
    new = attributes(estimator, estimator.history_, state, outcome.history, dtype)
    vars(estimator).update(new)
    estimator.stop_reason_ = outcome.reason
    estimator.objective_, estimator.gap_ = outcome.objective, outcome.gap
    estimator._eta = state.eta
    for name in AVERAGING:
        vars(estimator).pop(name, None)
    if state.average:
        estimator._standard_coef = np.ascontiguousarray(state.coef)
        estimator._standard_intercept = state.intercept
        estimator._average_coef = np.ascontiguousarray(state.average_coef)
        estimator._average_intercept = state.average_intercept
        estimator._average_from = state.average


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


def round_outcome(outcome, problem, dtype, tol):
    """Judge the coefficients as they are given out, in single precision."""
    coef, intercept = (
        array.astype(dtype).astype(np.float64) for array in outcome.state.result()
    )
    objective = problem.objective(
        State(np.array(coef, order=problem.X.order), intercept)
    )
    lost = max(objective - outcome.objective, 0.0)
    outcome.objective = objective
    if outcome.gap < 1.0:
        gain = max(problem.constant_objective() - objective, 1e-300)
        outcome.gap += lost / (lost + gain)
        if outcome.reason == "converged" and tol is not None and outcome.gap > tol:
            outcome.reason = "stalled"


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


def thin(history):
    """Keep every other row of a history of too many calls, but the last."""
    if len(history["objective"]) > RECORDED_CALLS:
        for column in history.values():
            del column[:-1:2]
