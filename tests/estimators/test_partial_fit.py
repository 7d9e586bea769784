"""Going on: partial_fit, warm starts, stored estimators."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from samples import (
    SOLVERS,
    STORED,
    assert_same,
    classification,
    every_loss,
    regression,
)
from skgd import GDClassifier, GDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@every_loss
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "optimal"])
@pytest.mark.parametrize("average", [False, True, 3])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_two_epochs_of_fit_are_two_calls_of_partial_fit(
    cls, loss, data, solver, learning_rate, average, storage
):
    X, y = data()
    classes = {} if cls is GDRegressor else {"classes": np.unique(y)}
    model = cls(loss, solver=solver, penalty="elasticnet", eta0=0.01, shuffle=False,
                learning_rate=learning_rate, max_iter=2, tol=None, average=average,
                alpha=1.0)  # fmt: skip
    fitted = clone(model).fit(storage(X), y)
    called = clone(model)
    for _ in range(2):
        called.partial_fit(storage(X), y, **classes)
    assert_same(called, fitted, 1e-11)
    assert called.t_ == fitted.t_
    np.testing.assert_allclose(called.loss_curve_, fitted.loss_curve_, rtol=1e-11)
    assert called.history_["n_updates"] == fitted.history_["n_updates"]


@pytest.mark.parametrize("how", STORED)
@pytest.mark.parametrize("average", [False, True])
def test_a_stored_estimator_goes_on_identically(how, average):
    X, y = classification()
    model = GDClassifier(random_state=0, average=average, eta0=0.1)
    model.partial_fit(X, y, classes=["a", "b", "c"])
    again = STORED[how](model)
    for _ in range(2):
        model.partial_fit(X, y)
        again.partial_fit(X, y)
    np.testing.assert_array_equal(again.coef_, model.coef_)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.loss_curve_ == model.loss_curve_
    fitted = clone(model).fit(X, y)
    np.testing.assert_array_equal(fitted.coef_, clone(model).fit(X, y).coef_)


def test_warm_start_equals_given_start():
    X, y = regression()
    model = GDRegressor(eta0=0.01, max_iter=3, random_state=0)
    first = clone(model).fit(X, y)
    given = clone(model).fit(
        X, y, coef_init=first.coef_, intercept_init=first.intercept_
    )
    warm = clone(model).set_params(warm_start=True).fit(X, y).fit(X, y)
    assert_same(warm, given, 0)
    assert warm.t_ == given.t_ == first.t_
    assert given.loss_curve_[0] < first.loss_curve_[0]


def test_warm_start_goes_on_after_sparsify():
    X, y = classification()
    model = GDClassifier(penalty="l1", alpha=0.05, warm_start=True, random_state=0)
    model.fit(X, y)
    want = clone(model).fit(
        X, y, coef_init=model.coef_, intercept_init=model.intercept_
    )
    model.sparsify()
    assert sp.issparse(model.coef_)
    predicted = model.predict(X)
    assert_same(model.fit(X, y), want)
    model.sparsify().partial_fit(X, y)
    assert not sp.issparse(model.coef_)
    assert model.densify() is model
    assert np.mean(model.predict(X) == predicted) > 0.9


@pytest.mark.parametrize("average", [False, True, 10**6])
def test_coefficients_set_by_the_user_are_where_partial_fit_starts(average):
    """Federated learning does this."""
    X, y = regression()
    model = GDRegressor(eta0=1e-9, average=average, random_state=0).partial_fit(X, y)
    model.coef_ = np.full(6, 5.0)
    model.intercept_ = np.array([2.0])
    model.partial_fit(X, y)
    np.testing.assert_allclose(model.coef_, 5.0, rtol=1e-6)


def test_coefficients_set_as_a_list():
    X, y = regression()
    model = GDRegressor(eta0=1e-9, random_state=0).partial_fit(X, y)
    model.coef_, model.intercept_ = [5.0] * 6, [2.0]
    np.testing.assert_allclose(model.partial_fit(X, y).coef_, 5.0, rtol=1e-6)


@pytest.mark.parametrize("coef", [np.zeros(3), np.full(6, np.nan), np.zeros((2, 6))])
def test_unusable_coefficients_set_by_the_user_are_turned_away(coef):
    X, y = regression()
    model = GDRegressor(eta0=0.01, random_state=0).partial_fit(X, y)
    model.coef_ = coef
    with pytest.raises(ValueError, match=r"coef_ (does not match|contains NaN)"):
        model.partial_fit(X, y)


def test_eta0_set_between_calls_of_partial_fit_counts_at_once():
    X, y = regression()
    model = GDRegressor(eta0=0.01, random_state=0).partial_fit(X, y)
    model.set_params(eta0=0.001).partial_fit(X, y)
    assert model.history_["eta"] == [0.01, 0.001]


def test_partial_fit_takes_weights_as_they_are():
    X, y = regression()
    halves = GDRegressor(eta0=0.1, shuffle=False, solver="batch", alpha=0)
    wholes = clone(halves).set_params(eta0=0.05)
    halves.partial_fit(X, y, sample_weight=np.full(len(y), 0.5))
    wholes.partial_fit(X, y)
    assert_same(halves, wholes)


def test_average_from_a_late_update_on():
    X, y = regression()
    parameters = dict(eta0=0.01, shuffle=False, learning_rate="constant", tol=None)
    late = GDRegressor(average=1000, max_iter=2, **parameters).fit(X, y)
    never = GDRegressor(max_iter=2, **parameters).fit(X, y)
    assert_same(late, never, 0)
    for _ in range(300):
        late.partial_fit(X, y)
    assert np.any(late.coef_ != late._memory.trained.coef[0])
