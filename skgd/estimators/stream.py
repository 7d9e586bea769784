"""partial_fit, and what it does at automatic steps: learn rows one by one."""

import warnings
from dataclasses import replace
from math import sqrt
from time import perf_counter

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skgd.estimators.fitted import (
    ROUNDING,
    Transaction,
    extend,
    memory_of,
    path,
    thin,
)
from skgd.estimators.inputs import dense, seed, shaped
from skgd.estimators.parameters import check_parameters
from skgd.objective import penalties
from skgd.optim import streaming
from skgd.training.record import UpdateRecord
from skgd.training.state import State


def partial_fit(estimator, X, y, sample_weight, offset, begin=None):
    """A call of partial_fit; `begin(first)` is what a subclass does before."""
    transaction = Transaction(estimator)
    try:
        check_parameters(estimator, partial=True)
        first = not hasattr(estimator, "coef_")
        if begin is not None:
            begin(first)
        complaint = estimator._partial_fit(
            X, y, sample_weight, offset, first, transaction
        )
        if complaint:
            warnings.warn(complaint, stacklevel=4)
        return estimator
    except BaseException:
        transaction.undo()
        raise


def learn_stream(estimator, problem, X, first, transaction):
    """Learn the rows one by one. Returns what to warn of, or None.

    The `transaction` is that of the call of `partial_fit`.
    """
    start = perf_counter()
    state, features = stream_state(estimator, problem, X, first)
    t = 1 if first else getattr(estimator, "t_", 1)
    order = None
    if estimator.shuffle and problem.n_rows > 1:
        rng = np.random.default_rng([seed(estimator.random_state), t])
        order = rng.permutation(problem.n_rows)
    losses = np.empty(problem.n_rows) if estimator.record == "update" else None
    before = None
    if estimator.record == "path":
        before = [array.copy() for array in streaming.result(problem, state)]
    penalty = penalties.value(state["coef"], problem.l1, problem.l2)
    undo = streaming.undoing(state, features)
    transaction.also.append(undo)
    total = streaming.learn(
        problem, state, problem.data.visits(order), estimator.half_life, losses
    )
    least = -ROUNDING * problem.n_rows
    if not isinstance(estimator.loss, str) and not least <= total < np.inf:
        raise ValueError(
            f"The loss of these rows sums up to {total:.3g}: it must be finite, and "
            "not negative."
        )
    coef, intercept = streaming.result(problem, state)
    largest = float(np.finfo(state["dtype"]).max)
    if not State(coef, intercept).within(largest):
        undo()
        return ConvergenceWarning(
            "partial_fit met values too large to learn from. The model stays as it was."
        )
    # Coupled outputs use the first place only.
    sums = zip(state["distance"].tolist(), state["squares"].tolist(), strict=True)
    eta = max((d / sqrt(g) for d, g in sums if g > 0.0), default=0.0)
    eta *= sqrt(state["scalars"][streaming.NOW])
    record = {
        # Of the rows before they are learnt: progressive validation.
        "objective": total / problem.n_rows + penalty,
        "method": "stream",
        "eta": eta,
        "n_updates": t - 1 + problem.n_rows,
        "seconds": perf_counter() - start,
    }
    history = {} if first else getattr(estimator, "history_", {})
    extend(history, [record])
    history = thin(history)
    coef = coef.astype(state["dtype"], copy=False)
    intercept = intercept.astype(state["dtype"], copy=False)
    new = {
        "coef_": estimator._shape_coef(coef.copy()),
        "intercept_": intercept.copy(),
        "t_": t + problem.n_rows,
        "n_iter_": 1,
        "batch_size_": 1,
        "eta0_": eta,
        "objective_": record["objective"],
        "gap_": np.nan,
        "stop_reason_": "max_iter",
        "history_": history,
        "loss_curve_": history["objective"],
        "_memory": replace(memory_of(estimator), stream=state, given=(coef, intercept)),
    }
    if first:
        for name in ("update_history_", "path_"):
            vars(estimator).pop(name, None)
    if before is not None:
        coefs, intercepts = zip(before, (coef, intercept), strict=True)
        new["path_"] = path(estimator, coefs, intercepts, state["dtype"])
    if losses is not None:
        updates = UpdateRecord(**getattr(estimator, "update_history_", {}))
        updates.add(t, losses + penalty)
        new["update_history_"] = updates.columns()
    # At once: another thread may be predicting.
    vars(estimator).update(new)
    return None


def stream_state(estimator, problem, X, first):
    """The state that the last call left, with the user's model in it.

    And the features whose part of it may change; None if it is a copy.
    """
    if first:
        return streaming.start(problem, X.dtype), None
    shape = (estimator._n_outputs, problem.data.n_features)
    memory = memory_of(estimator)
    state = memory.stream
    if state is not None and state["coef"].shape != shape:
        state = None
    if state is not None:
        kept, kept_intercept = memory.given
        given = np.atleast_2d(dense(estimator.coef_))
        same = np.array_equal(given, kept) and np.array_equal(
            estimator.intercept_, kept_intercept
        )
        features = None
        if same and streaming.serves(problem, state):
            features = streaming.touched(state, X, estimator.half_life)
        if features is None:
            state = streaming.going_on(problem, state)
        if same:
            return state, features
    # Coefficients of a textbook fit, or the user's own.
    coef = shaped(dense(estimator.coef_), shape, "coef_")
    intercept = shaped(estimator.intercept_, shape[:1], "intercept_")
    rows = 0.0
    if state is None:
        # Only the number of rows that they come from is known.
        state = streaming.start(problem, np.result_type(estimator.coef_, np.float32))
        updates, epochs = (
            getattr(estimator, "t_", 1) - 1,
            getattr(estimator, "n_iter_", 1),
        )
        rows = updates * getattr(estimator, "batch_size_", 1) / epochs
    streaming.go_on_from(problem, state, coef, intercept, rows)
    return state, None
