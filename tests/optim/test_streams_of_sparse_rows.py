"""How a stream keeps sparse rows: like dense ones, or in place."""

import copy
import pickle
from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from samples import LOSSES_OF_CLASSES
from skgd import GDRegressor
from skgd.optim import streaming
from skgd.training.state import State
from streams import (
    learn,
    model_of,
    percent_left,
    same,
)


@pytest.mark.parametrize("fit_first", [False, True])
@pytest.mark.parametrize("loss", ["squared_error", "huber", "log_loss", "hinge"])
def test_sparse_columns_far_from_zero(loss, fit_first):
    rng = np.random.default_rng(0)
    X = rng.normal([0.0, 3.0, 10.0, 100.0, 1000.0], size=(20_000, 5))
    z = (X - X.mean(axis=0)) @ rng.normal(size=5) + rng.normal(size=len(X))
    y = (z > 0).astype(int) if loss in LOSSES_OF_CLASSES else z
    model, dense = model_of(loss), model_of(loss)
    rows = sp.csr_array(X)
    if fit_first:
        model.fit(rows[:50], y[:50])
        dense.fit(X[:50], y[:50])
        assert percent_left(learn(model, rows, y, 100), rows, y) < 3
        assert percent_left(learn(dense, X, y, 100), X, y) < 3
    else:
        same(learn(model, rows, y, 100), learn(dense, X, y, 100))


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize("single", [False, True])
def test_more_than_100_columns_are_learnt_sparse(loss, single):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 150)) * (rng.uniform(size=(3000, 150)) < 0.05)
    z = X @ rng.normal(size=150)
    y = (z > 0).astype(int) if loss == "log_loss" else z
    X = sp.csr_array(X.astype(np.float32) if single else X)
    model = learn(model_of(loss), X, y, 50)
    assert model._memory.stream["sparse"] and model.score(X, y) > 0.8
    same(learn(model_of(loss), X, y, 7), model)


@pytest.mark.parametrize("kwargs", [{}, {"penalty": "l1"}, {"half_life": 50}])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_sparse_rows_change_the_state_in_place_and_are_undone(kwargs, n_outputs):
    """Few values of many features: only what they hold is written, and given back."""
    rng = np.random.default_rng(0)
    X = sp.random_array((400, 2000), density=0.01, format="csr", random_state=rng)
    y = X @ rng.normal(size=(2000, n_outputs)) + 5.0
    y = y[:, 0] if n_outputs == 1 else y
    model = GDRegressor(random_state=0, **kwargs).partial_fit(X[:300], y[:300])
    state = model._memory.stream
    kept, before = copy.copy(model), pickle.dumps(model)
    with (
        mock.patch.object(streaming, "stream_result", side_effect=RuntimeError("stop")),
        pytest.raises(RuntimeError, match="stop"),
    ):
        model.partial_fit(X[300:310], y[300:310])
    assert pickle.dumps(model) == before
    with (
        mock.patch.object(State, "within", return_value=False),
        pytest.warns(ConvergenceWarning, match="too large"),
    ):
        model.partial_fit(X[300:310], y[300:310])
    assert pickle.dumps(model) == before
    model.partial_fit(X[300:310], y[300:310])
    assert model._memory.stream is state
    # A copy does not see it.
    assert pickle.dumps(kept) == before
    kept.partial_fit(X[300:310], y[300:310])
    assert_array_equal(kept.coef_, model.coef_)
    # As if the state had been copied.
    whole = pickle.loads(before)
    with mock.patch.object(streaming, "touched", return_value=None):
        whole.partial_fit(X[300:310], y[300:310])
    assert_array_equal(whole.coef_, model.coef_)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_the_penalty_may_change_between_calls(n_outputs):
    """Of sparse rows, what a penalty needs is made, or dropped, in between."""
    rng = np.random.default_rng(0)
    X = sp.random_array((900, 150), density=0.05, format="csr", random_state=rng)
    y = X @ rng.normal(size=(150, n_outputs)) + 1.0
    y = y[:, 0] if n_outputs == 1 else y
    model = GDRegressor(random_state=0, shuffle=False)
    for k, penalty in enumerate((None, "l2", "l1", "l2", None, "elasticnet")):
        rows = slice(150 * k, 150 * k + 150)
        model.set_params(penalty=penalty, alpha=1e-3).partial_fit(X[rows], y[rows])
        state = model._memory.stream
        assert bool(state["seen"].size) == (penalty is not None)
        assert bool(state["sign_mean"].size) == (penalty in ("l1", "elasticnet"))
    assert model.score(X, y) > 0.5


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_losses_of_updates_are_those_of_calls_of_one_row(n_outputs):
    rng = np.random.default_rng(0)
    X = sp.random_array((40, 150), density=0.05, format="csr", random_state=rng)
    Y = X @ rng.normal(size=(150, n_outputs)) + 1.0
    settings = {"penalty": None, "shuffle": False, "random_state": 0}
    together = GDRegressor(record="update", **settings)
    together.partial_fit(X, Y)
    alone = GDRegressor(**settings)
    for row in range(40):
        alone.partial_fit(X[row : row + 1], Y[row : row + 1])
    np.testing.assert_allclose(
        together.update_history_["objective"], alone.history_["objective"], rtol=1e-12
    )
