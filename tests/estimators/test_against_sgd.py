"""Solver 'sgd' gives the coefficients of SGDRegressor and SGDClassifier."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SHARED_REGRESSION = ("squared_error", "huber", "epsilon_insensitive",
                     "squared_epsilon_insensitive")  # fmt: skip
SHARED_CLASSIFICATION = ("log_loss", "hinge", "squared_hinge", "modified_huber",
                         "perceptron", *SHARED_REGRESSION)  # fmt: skip
SCHEDULES = {
    "constant": dict(learning_rate="constant", eta0=1e-3),
    "invscaling": dict(learning_rate="invscaling", eta0=1e-2, power_t=0.3),
    # Its first step is alpha^(-1/4), whatever the data. Where that is too large for a
    # loss with curvature, rounding errors are all that is left, and the slopes that
    # SGDRegressor clips at 1e12: there is nothing to compare with.
    "optimal": dict(learning_rate="optimal", alpha=1.0),
}


def scaled(loader, n=None):
    X, y = loader(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(X))[:n]
    return StandardScaler().fit_transform(X)[rows] / X.shape[1] ** 0.5, y[rows]


def fit_both(cls, peer, X, y, loss, **parameters):
    parameters = dict(shuffle=False, tol=None, max_iter=3) | parameters
    ours = cls(loss, solver="sgd", **parameters).fit(X, y)
    theirs = peer(loss, **parameters).fit(X, y)
    return ours, theirs


def assert_same(ours, theirs):
    for name in ("coef_", "intercept_"):
        a, b = getattr(ours, name), getattr(theirs, name)
        assert a.shape == b.shape
        scale = np.abs(b).max() + 1e-3
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10 * scale)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.t_ == theirs.t_


@pytest.mark.parametrize("average", [False, True, 700])
@pytest.mark.parametrize("penalty", [None, "l2"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("loss", SHARED_REGRESSION)
def test_regressor_equals_sgd_regressor(loss, schedule, penalty, average):
    X, y = scaled(load_diabetes)
    y = (y - y.mean()) / y.std()
    ours, theirs = fit_both(
        GDRegressor, SGDRegressor, X, y, loss, penalty=penalty, average=average,
        **dict(alpha=0.01) | SCHEDULES[schedule],
    )  # fmt: skip
    assert_same(ours, theirs)


@pytest.mark.parametrize("average", [False, True, 700])
@pytest.mark.parametrize("penalty", [None, "l2"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("loss", SHARED_CLASSIFICATION)
@pytest.mark.parametrize("loader", [load_breast_cancer, load_iris])
def test_classifier_equals_sgd_classifier(loader, loss, schedule, penalty, average):
    """Two classes, and three of them one-vs-rest (but log_loss, multinomial here)."""
    X, y = scaled(loader, 300)
    if loss == "log_loss" and loader is load_iris:
        y = y == 1
    ours, theirs = fit_both(
        GDClassifier, SGDClassifier, X, y, loss, penalty=penalty, average=average,
        **dict(alpha=0.01) | SCHEDULES[schedule],
    )  # fmt: skip
    assert_same(ours, theirs)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_weights_equal_those_of_sgd_up_to_their_mean(fit_intercept):
    """SGDRegressor takes weights as they are: give it some of mean 1."""
    X, y = scaled(load_diabetes)
    s = np.random.default_rng(0).random(len(y)) + 0.1
    parameters = dict(
        shuffle=False, tol=None, max_iter=3, learning_rate="constant", eta0=1e-3,
        fit_intercept=fit_intercept,
    )  # fmt: skip
    ours = GDRegressor(solver="sgd", **parameters).fit(X, y, sample_weight=s)
    theirs = SGDRegressor(**parameters).fit(X, y, sample_weight=s / s.mean())
    assert_same(ours, theirs)


def test_start_values_and_partial_fit_equal_those_of_sgd():
    X, y = scaled(load_diabetes)
    w = np.random.default_rng(0).normal(size=10)
    parameters = dict(shuffle=False, tol=None, max_iter=2, eta0=1e-3,
                      learning_rate="invscaling", average=True)  # fmt: skip
    ours = GDRegressor(solver="sgd", **parameters)
    theirs = SGDRegressor(**parameters)
    for model in (ours, theirs):
        model.fit(X, y, coef_init=w, intercept_init=[3.0])
    assert_same(ours, theirs)
    for start in range(0, 400, 100):
        for model in (ours, theirs):
            model.partial_fit(X[start : start + 100], y[start : start + 100])
    for name in ("coef_", "intercept_"):
        np.testing.assert_allclose(
            getattr(ours, name), getattr(theirs, name), rtol=1e-10, atol=1e-10
        )
