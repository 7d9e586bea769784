"""Streams against the formulas, row by row."""

import numpy as np
import pytest

from cases import LOSSES, PENALTIES, STORAGES, assert_close, stored
from reference import Stream
from skgd.kernels import LARGEST, NOW, run_stream, stream_result
from skgd.optim import streaming
from skgd.training.data import LocalData
from skgd.training.problem import Problem


def rows_of(n, p, n_outputs, loss, seed=0):
    """Rows of features far from zero, of which a few are far out, and weights."""
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, p)) + np.arange(p)) * (rng.random((n, p)) < 0.7)
    X[rng.integers(n, size=6), rng.integers(p, size=6)] *= 30.0
    Y = X[:, :n_outputs] - 0.5 * X[:, 1:2] + rng.normal(size=(n, n_outputs))
    Y = np.where(Y > 0.0, 1.0, -1.0) if loss == "log_loss" else Y
    return X, Y, rng.uniform(0.5, 2.0, size=n)


def state_of(X, Y, weight, loss, l1, l2, fit_intercept):
    """The problem, and the state before the first row: from zero."""
    problem = Problem(
        LocalData(X, Y, weight), LOSSES[loss], Y.shape[1], l1, l2, fit_intercept
    )
    state = streaming.start(problem, np.float64)
    state["intercept"][:] = state["intercept_mean"][:] = 0.0
    return problem, state


def learn(problem, state, growth=1.0):
    losses = np.empty(problem.n_rows)
    run_stream(
        problem.data.X, *problem.data.visits(), problem.l1, problem.l2, problem.loss,
        problem.fit_intercept, state, growth=growth, losses=losses,
    )  # fmt: skip
    coef, intercept = stream_result(state, problem.l1, problem.l2, 1.0)
    return coef, intercept, losses


@pytest.mark.parametrize("growth", [1.0, 1.02])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize("storage", ["dense", "csr32"])
@pytest.mark.parametrize("n", [12, 333])
def test_stream_equals_reference(
    n, storage, loss, penalty, n_outputs, fit_intercept, growth
):
    l1, l2 = PENALTIES[penalty]
    X, Y, weight = rows_of(n, 6, n_outputs, loss)
    residual = loss == "squared_error"
    expected = Stream(
        n_outputs, 6, LOSSES[loss].value_and_slope, l1, l2, fit_intercept,
        fit_intercept and not residual, storage != "dense", growth, 2.3e-15,
    )  # fmt: skip
    values = [expected.learn(*row) for row in zip(X, Y, weight, strict=True)]
    problem, state = state_of(
        stored(X, storage), Y, weight, loss, l1, l2, fit_intercept
    )
    coef, intercept, losses = learn(problem, state, growth)
    assert_close(losses, values, 1e-8)
    assert_close(state["coef"], expected.W, 1e-8)
    assert_close(state["distance"], expected.distance, 1e-8)
    W, b = expected.result(1.0)
    assert_close(coef, W, 1e-8)
    assert_close(intercept, b, 1e-8)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_sums_that_grow_too_large_are_divided(storage, penalty):
    """Only ratios of weights matter; there are rows that are not averaged yet."""
    X, Y, weight = rows_of(700, 4, 1, "squared_error")
    results = []
    for now in (1.0, 0.05 * LARGEST, 0.3 * LARGEST):
        problem, state = state_of(
            stored(X, storage), Y, weight, "squared_error", *PENALTIES[penalty], True
        )
        state["scalars"][NOW] = now
        results.append(learn(problem, state, 2.0 ** (1 / 150)))
        assert (state["scalars"][NOW] < now) == (now > 1.0)
    for other in results[1:]:
        for actual, desired in zip(other, results[0], strict=True):
            assert_close(actual, desired, 1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_a_constant_feature_varies_by_is_rounding(dtype):
    X = np.full((50, 2), 1e3, dtype)
    X[:, 0] = np.arange(50)
    X[::2, 1] = np.nextafter(X[0, 1], dtype(2e3))
    problem, state = state_of(
        X, X[:, :1].astype(np.float64), None, "squared_error", 0.0, 0.0, True
    )
    coef, _, _ = learn(problem, state)
    assert coef[0, 1] == 0.0 and coef[0, 0] > 0.5
