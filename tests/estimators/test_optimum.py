"""Batch training ends where scikit-learn's solvers of the same objective do."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
)
from sklearn.svm import LinearSVC

from samples import regression
from skgd import GDClassifier, GDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def optimum(model, X, y, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        return model.set_params(
            solver="batch", tol=1e-12, max_iter=200_000
        ).fit(X, y, **kwargs)  # fmt: skip


@pytest.mark.parametrize("alpha", [0.01, 0.5])
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
def test_batch_reaches_the_optimum_of_least_squares(penalty, alpha):
    X, y = regression()
    peer = {
        "l2": Ridge(alpha=len(y) * alpha),
        "l1": Lasso(alpha=alpha, tol=1e-12),
        "elasticnet": ElasticNet(alpha=alpha, l1_ratio=0.3, tol=1e-12),
    }[penalty].fit(X, y)
    ours = optimum(GDRegressor(penalty=penalty, alpha=alpha, l1_ratio=0.3), X, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.intercept_, peer.intercept_, atol=1e-5)


def test_batch_reaches_the_optimum_of_the_poisson_loss():
    X, y = regression(80, 3)
    alpha = 0.1
    ours = optimum(GDRegressor("poisson", alpha=alpha, penalty="l2"), X, y)
    peer = PoissonRegressor(alpha=alpha, tol=1e-12, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.predict(X), peer.predict(X), rtol=1e-4)


def test_batch_reaches_the_optimum_of_logistic_regression():
    X, y = regression(80, 3)
    alpha, labels = 0.1, y > np.median(y)
    ours = optimum(GDClassifier(alpha=alpha), X, labels)
    peer = LogisticRegression(C=1 / (alpha * len(y)), tol=1e-12).fit(X, labels)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-5)


def test_batch_reaches_the_optimum_of_the_squared_hinge():
    X, y = regression(80, 3)
    alpha, labels = 0.1, y > np.median(y)
    # LinearSVC penalises the intercept, and its squared hinge has no factor.
    ours = optimum(
        GDClassifier("squared_hinge", alpha=alpha, fit_intercept=False), X, labels
    )
    peer = LinearSVC(
        C=1 / (alpha * len(y)), fit_intercept=False, tol=1e-12, max_iter=100_000
    ).fit(X, labels)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-4)


def test_batch_reaches_the_optimum_of_the_quantile_loss():
    """Subgradient steps on a loss with kinks need to fall to get there."""
    X, y = regression(200, 3)
    alpha = 0.02
    peer = QuantileRegressor(quantile=0.8, alpha=alpha).fit(X, y)
    ours = GDRegressor(
        "quantile", quantile=0.8, penalty="l1", alpha=alpha, solver="batch", eta0=1.0,
        learning_rate="invscaling", power_t=0.9, tol=None, max_iter=30_000,
    ).fit(X, y)  # fmt: skip

    def objective(model):
        r = y - model.predict(X)
        return (
            np.mean(np.maximum(0.8 * r, -0.2 * r)) + alpha * np.abs(model.coef_).sum()
        )

    assert objective(ours) < objective(peer) * (1 + 1e-3)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=0.02)


def test_objective_of_batch_is_exact():
    X, y = regression()
    model = GDRegressor(
        solver="batch", penalty="elasticnet", alpha=0.1, eta0=0.1, max_iter=5, tol=None
    ).fit(X, y)
    again = clone(model).set_params(max_iter=4).fit(X, y)
    w = again.coef_
    want = np.mean((y - again.predict(X)) ** 2) / 2 + 0.1 * (
        0.85 / 2 * w @ w + 0.15 * np.abs(w).sum()
    )
    assert model.loss_curve_[-1] == pytest.approx(want, rel=1e-12)
