"""Data at the ends of double precision, and estimates that cannot be had."""

import numpy as np
import pytest
import scipy.sparse as sp

from objectives import constant_objective, objective, suboptimality
from samples import linear
from skgd import GDClassifier, GDRegressor
from skgd.optim.l1 import minimise_with_l1

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.filterwarnings("ignore:invalid value encountered in reduce")  # a check
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("penalty", [None, "l2", "l1"])
@pytest.mark.parametrize("alpha", [0.0, 1e-4])
def test_a_feature_whose_moments_overflow(storage, penalty, alpha):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = X[:, 0] + rng.normal(size=60)
    X[:, 1] = 1.7e308 * (-1.0) ** np.arange(60)
    model = GDRegressor(penalty=penalty, alpha=alpha, random_state=0, max_iter=30)
    model.fit(storage(X), y)
    assert np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()
    assert objective(model, X, y) <= constant_objective(model, X, y) * (1 + 1e-12)


@pytest.mark.parametrize("penalty", [None, "l2", "l1"])
def test_features_whose_squares_vanish(penalty):
    X, y = linear()
    X *= 1e-160
    model = GDRegressor(penalty=penalty, random_state=0).fit(X, y)
    assert np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()
    assert objective(model, X, y) <= constant_objective(model, X, y) * (1 + 1e-12)


@pytest.mark.parametrize("size", [1e-160, 1e160])
def test_a_stream_learns_beside_features_of_no_scale(size):
    # Their squares vanish or overflow, and so does what they would be scaled by.
    X, y = linear()
    rows = np.c_[X, size * X[:, 0]]
    model = GDRegressor(shuffle=False).partial_fit(rows, y)
    alone = GDRegressor(shuffle=False).partial_fit(X, y)
    assert model.coef_[-1] == 0.0
    np.testing.assert_allclose(model.coef_[:-1], alone.coef_, rtol=1e-10)


@pytest.mark.parametrize("loss", ["log_loss", "squared_hinge"])
def test_tol_is_what_is_left_where_curvature_is_never_looked_at(loss):
    """Many features for what their rows store, and many rows."""
    rng = np.random.default_rng(0)
    X = sp.random_array((5200, 200), density=0.01, format="csr", random_state=rng)
    y = X @ rng.normal(size=200) + 0.3 * rng.normal(size=5200) > 0
    model = GDClassifier(loss, random_state=0).fit(X, y)
    tight = GDClassifier(loss, tol=1e-8, max_iter=10_000, random_state=0).fit(X, y)
    assert model.stop_reason_ == "converged"
    assert suboptimality(model, X, y, tight.objective_) <= model.tol


def test_a_rising_curve_of_noise_is_no_divergence():
    """Epochs from the optimum on can only get worse, and end at no worse a model."""
    rng = np.random.default_rng(26)
    n = int(rng.choice([3, 10, 50, 200]))
    X = rng.normal(size=(n, 4))
    y = X @ rng.normal(size=4) + rng.normal(size=n)
    best = GDRegressor(tol=1e-10, max_iter=3000).fit(X, y)
    model = GDRegressor(solver="minibatch", finish=False, random_state=26).fit(
        X, y, coef_init=best.coef_, intercept_init=best.intercept_
    )
    assert model.stop_reason_ in ("max_iter", "no_progress")
    assert model.objective_ <= best.objective_ * (1 + 1e-12)


@pytest.mark.parametrize(
    "B",
    [
        np.array([[1.0, 2.0], [2.0, 1.0]]),  # has no factor of Cholesky's
        np.diag([1.0, 1e-320]),  # has one that overflows
    ],
)
def test_l1_of_a_curvature_that_gives_no_step(B):
    g, u, l1 = np.array([-3.0, -2.0]), np.zeros(2), np.ones(2)
    v = minimise_with_l1(B, g, u, l1)
    assert np.isfinite(v).all()
    assert g @ v + v @ B @ v / 2 + l1 @ np.abs(v) <= 0.0
