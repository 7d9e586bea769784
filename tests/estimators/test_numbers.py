"""Numbers of any size, schedules and numbers of threads."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from skgd import GDClassifier, GDRegressor

quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def data(n=60, p=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, X @ np.arange(1.0, p + 1) + 0.1 * rng.normal(size=n)


# ------------------------------------------------------------------------ numbers


@pytest.mark.parametrize("exponent", [-25, -20, -10, 10, 20, 23, 25])
@pytest.mark.parametrize("solver", ["sgd", "minibatch", "batch"])
def test_sparse_features_of_any_scale_learn(solver, exponent):
    X, y = data(300, 5)
    scale = np.array([1.0, 1.0, 10.0**exponent, 10.0**exponent, 1.0])
    for scales in (10.0**exponent, scale):
        Z = sp.csr_array(X * scales)
        for finish in (True, False):
            model = GDRegressor(
                penalty=None, solver=solver, random_state=0, finish=finish, max_iter=200
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                assert model.fit(Z, y).score(Z, y) > 0.99


@pytest.mark.parametrize("eta0", ["auto", 0.01])
@pytest.mark.parametrize("size", [1e30, 1e38, 1e39, 1e100, 1e200])
def test_single_precision_gives_finite_coefficients_or_says_why_not(size, eta0):
    X, y = data()
    model = GDRegressor(random_state=0, eta0=eta0, max_iter=20, penalty=None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.fit(X.astype(np.float32), y * size)
        except ValueError as error:
            assert size > 1e38 and eta0 == "auto"
            assert "too large for the float32 of X" in str(error)  # noqa: PT017
            return
    assert np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()
    if size > 1e38 or not model.coef_.any():
        assert model.stop_reason_ == "diverged"
        assert caught
    elif eta0 == "auto":
        assert model.score(X.astype(np.float32), y * size) > 0.9


@pytest.mark.filterwarnings("ignore:overflow")
def test_numbers_beyond_double_precision_are_refused():
    X, _ = data(30)
    huge = np.full(30, np.longdouble("1e400"))
    if not np.isfinite(huge[0]):
        pytest.skip("long doubles are doubles here")
    with pytest.raises(ValueError, match="infinity"):
        GDRegressor().fit(X, huge)
    with pytest.raises(ValueError, match="infinity"):
        GDRegressor().partial_fit(X, huge)
    with pytest.raises(ValueError, match="infinity"):
        GDRegressor().fit(X, X[:, 0], sample_weight=huge)


@pytest.mark.parametrize("solver", ["batch", "minibatch", "sgd"])
@pytest.mark.parametrize("n_classes", [2, 3])
@quiet
def test_same_bits_whatever_the_number_of_threads(solver, n_classes):
    """At the defaults, where the data are measured."""
    rng = np.random.default_rng(0)
    X, c = rng.normal(size=(900, 700)), rng.integers(n_classes, size=900)
    models = []
    for n in (1, 2, 4):
        with threadpool_limits(n):
            model = GDClassifier(solver=solver, random_state=0, max_iter=6, tol=None)
            models.append(pickle.dumps([model.fit(X, c).coef_, model.loss_curve_]))
    assert models[0] == models[1] == models[2]


def same_rates():
    yield lambda t, eta0: np.broadcast_to(0.01, t.shape)
    yield lambda t, eta0: np.full(len(t), 0.01)[::-1]
    yield lambda t, eta0: [0.01] * len(t)
    yield lambda t, eta0: np.full(len(t), 0.01, dtype=np.float32).astype(float)
    yield lambda t, eta0: 0.01
    yield lambda t, eta0: [0.01]
    yield lambda t, eta0: np.full((2 * len(t),), 0.01)[::2]


@quiet
def test_a_schedule_may_return_any_array_that_broadcasts():
    X, y = data()
    settings = dict(eta0=0.01, max_iter=3, tol=None, random_state=0)
    want = GDRegressor(learning_rate="constant", **settings).fit(X, y).coef_
    for rate in same_rates():
        got = GDRegressor(learning_rate=rate, **settings).fit(X, y).coef_
        np.testing.assert_allclose(got, want, rtol=1e-6)
    ones = GDRegressor(
        learning_rate=lambda t, eta0: np.ones(len(t), int) // 50, **settings
    )
    np.testing.assert_array_equal(ones.fit(X, y).coef_, 0.0)


@quiet
def test_averages_that_never_begin():
    X, y = data()
    settings = dict(eta0=0.01, max_iter=3, tol=None, random_state=0)
    a = GDRegressor(average=10**20, **settings).fit(X, y)
    b = GDRegressor(**settings).fit(X, y)
    np.testing.assert_array_equal(a.coef_, b.coef_)
    np.testing.assert_array_equal(a.partial_fit(X, y).coef_, b.partial_fit(X, y).coef_)
