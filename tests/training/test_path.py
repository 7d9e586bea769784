"""record="path": the coefficients of each epoch."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from samples import SOLVERS, classification, linear, regression
from skgd import GDClassifier, GDRegressor
from skgd.estimators import fitted

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("settings", [{}, dict(eta0=0.1), dict(eta0=0.1, average=20)])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    "cls, data", [(GDRegressor, regression), (GDClassifier, classification)]
)
def test_path_is_what_shorter_fits_return(cls, data, solver, settings):
    X, y = data()
    settings = dict(solver=solver, tol=None, random_state=0, **settings)
    if cls is GDRegressor:
        y = np.c_[y, y + X[:, 0] ** 2]
    model = cls(record="path", max_iter=6, **settings).fit(X, y)
    assert model.path_["coef"].shape == (7, *model.coef_.shape)
    assert model.path_["intercept"].shape == (7, *model.intercept_.shape)
    assert not model.path_["coef"][0].any()
    for n in range(3, 7):
        shorter = cls(max_iter=n, **settings).fit(X, y)
        np.testing.assert_array_equal(model.path_["coef"][n], shorter.coef_)
        np.testing.assert_array_equal(model.path_["intercept"][n], shorter.intercept_)


def test_path_by_hand():
    X, y = linear()
    start = np.arange(4.0)
    model = GDRegressor(
        solver="batch", eta0=0.1, learning_rate="constant", penalty=None, max_iter=3,
        tol=None, fit_intercept=False, record="path",
    ).fit(X.astype(np.float32), y, coef_init=start)  # fmt: skip
    w, want = start, [start]
    for _ in range(3):
        w = w - 0.1 * X.T @ (X @ w - y) / len(y)
        want.append(w)
    assert model.path_["coef"].dtype == np.float32
    np.testing.assert_allclose(model.path_["coef"], want, rtol=1e-5)
    assert not model.path_["intercept"].any()


def test_path_of_training_that_diverged():
    X, y = linear()
    with np.errstate(all="raise"):
        model = GDRegressor(eta0=1e300, record="path", max_iter=3).fit(X, y)
    assert model.stop_reason_ == "diverged"
    assert not np.isfinite(model.path_["coef"][-1]).all()
    assert np.isfinite(model.coef_).all()


@pytest.mark.parametrize("settings", [{}, dict(eta0=0.01)])
def test_path_goes_on_with_partial_fit_and_starts_anew_with_fit(settings):
    X, y = linear()
    model = GDRegressor(record="path", random_state=0, **settings)
    seen = [np.zeros(4)]
    for start in range(0, 80, 20):
        rows = slice(start, start + 20)
        seen.append(model.partial_fit(X[rows], y[rows]).coef_)
        model = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(model.path_["coef"], seen)
    assert len(model.path_["intercept"]) == 1 + len(model.history_["objective"])
    with pytest.raises(ValueError, match="NaN"):
        model.partial_fit(X * np.nan, y)
    np.testing.assert_array_equal(model.path_["coef"], seen)
    model.fit(X, y)
    assert len(model.path_["coef"]) == 1 + model.n_iter_
    model.partial_fit(X, y)
    assert len(model.path_["coef"]) == 1 + len(model.history_["objective"])
    np.testing.assert_array_equal(model.path_["coef"][-1], model.coef_)
    model.set_params(record="epoch").fit(X, y)
    assert not hasattr(model, "path_")
    same = clone(model).fit(X, y)
    np.testing.assert_array_equal(same.coef_, model.coef_)


def test_path_of_a_stream_is_bounded(monkeypatch):
    monkeypatch.setattr(fitted, "RECORDED_CALLS", 10)
    X, y = linear()
    model, seen = GDRegressor(record="path", random_state=0), [np.zeros(4)]
    for k in range(47):
        seen.append(model.partial_fit(X[k : k + 20], y[k : k + 20]).coef_)
        assert len(model.path_["coef"]) == 1 + len(model.history_["objective"]) <= 11
    at = np.array([0, *model.history_["n_updates"]]) // 20
    np.testing.assert_array_equal(model.path_["coef"], np.array(seen)[at])
