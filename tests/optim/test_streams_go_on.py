"""A stream goes on: from models of users, after mistakes and outliers, for ever."""

import pickle
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import Ridge

from skgd import GDClassifier, GDRegressor
from skgd.training.state import MEMORY_VERSION
from streams import (
    data,
    learn,
    model_of,
    same,
    targets,
)

pytestmark = pytest.mark.usefixtures("sparse_is_sparse")


# -------------------------------------------------------------- models that users bring


@pytest.mark.parametrize("parameters", [{}, {"eta0": 1e-3}, {"average": True}])
def test_coefficients_set_by_the_user_are_what_goes_on(parameters):
    X, z = data()
    model = GDRegressor(random_state=0, **parameters).partial_fit(X, z)
    model.coef_, model.intercept_ = np.full(5, 50.0), np.array([7.0])
    model.partial_fit(X[:1], [X[0] @ model.coef_ + 7.0])
    np.testing.assert_allclose(model.coef_, 50.0, rtol=0.01)


def test_coefficients_of_sparse_classes_set_by_the_user():
    # Penalties that were due before are not those of the new coefficients.
    X, z = data()
    y, X = targets("log_loss", z), sp.csr_array(X)
    model = learn(GDClassifier(alpha=0.01, random_state=0), X, y, 20)
    model.coef_ = np.ones_like(model.coef_) * [[50.0], [51.0], [52.0]]
    given = model.coef_.copy()
    model.partial_fit(X[:1], y[:1])
    # The classes share their steps, and so what L2 takes of them.
    assert np.ptp(model._memory.stream["path"]) == 0.0
    np.testing.assert_allclose(model.coef_, given, rtol=0.01)
    assert np.ptp(model.coef_ / given) < 3e-4


def test_a_class_that_the_user_adds():
    X, z = data(2000)
    y = targets("log_loss", z)
    model = learn(GDClassifier(random_state=0), X[:50], y[:50] % 2, 10)
    assert model.coef_.shape == (1, 5)
    # Two classes have one row of coefficients, three of them three.
    model.classes_ = np.arange(3)
    model.coef_ = np.vstack([-model.coef_, model.coef_, 0 * model.coef_]) / 2
    model.intercept_ = np.repeat(model.intercept_, 3) * [-0.5, 0.5, 0.0]
    learn(model, X, y, 50)
    assert model.coef_.shape == (3, 5)
    best = GDClassifier(random_state=0).fit(X, y).score(X, y)
    assert model.score(X, y) > best - 0.1


def test_federated_rounds():
    X, z = data(600)
    sites = [GDRegressor(random_state=0) for _ in range(3)]
    for _ in range(5):
        for k, site in enumerate(sites):
            site.partial_fit(X[k::3], z[k::3])
        coef = np.mean([site.coef_ for site in sites], axis=0)
        intercept = np.mean([site.intercept_ for site in sites], axis=0)
        for site in sites:
            site.coef_, site.intercept_ = coef.copy(), intercept.copy()
    best = Ridge(alpha=1e-4).fit(X, z).score(X, z)
    assert sites[0].score(X, z) > best - 0.01


def test_a_model_that_was_never_fitted():
    X, z = data()
    model = GDRegressor(random_state=0)
    model.coef_, model.intercept_ = np.arange(5.0), np.array([2.0])
    np.testing.assert_allclose(model.predict(X), X @ np.arange(5.0) + 2.0)
    assert np.isfinite(model.score(X, z))
    model.partial_fit(X[:1], [X[0] @ np.arange(5.0) + 2.0])
    np.testing.assert_allclose(model.coef_, np.arange(5.0), rtol=0.01, atol=0.01)


def test_a_classifier_that_was_never_fitted():
    X, z = data()
    y = (z > 0).astype(int)
    model = GDClassifier(random_state=0)
    model.coef_, model.intercept_ = np.ones((1, 5)), np.array([-2.0])
    model.classes_ = np.array([0, 1])
    assert np.array_equal(model.predict(X), (X.sum(axis=1) > 2.0).astype(int))
    assert np.isfinite(model.score(X, y))


def test_coefficients_of_a_wrong_shape():
    X, z = data()
    model = GDRegressor(random_state=0).partial_fit(X, z)
    model.coef_ = np.ones(4)
    with pytest.raises(ValueError, match="coef_"):
        model.partial_fit(X, z)


@pytest.mark.parametrize(
    "first, then", [("float32", "float64"), ("float64", "float32")]
)
def test_dtype_is_that_of_the_first_chunk(first, then):
    X, z = data()
    model = GDRegressor(random_state=0).partial_fit(X.astype(first), z)
    assert model.partial_fit(X.astype(then), z).coef_.dtype == first


@pytest.mark.parametrize(
    "parameters", [{"early_stopping": True}, {"class_weight": "balanced"}]
)
def test_what_streams_cannot_do_changes_nothing(parameters):
    X, y = load_wine(return_X_y=True)
    model = GDClassifier(random_state=0, **parameters).fit(X, y)
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match="partial_fit"):
        model.partial_fit(X[:5], y[:5])
    assert pickle.dumps(model) == before


@pytest.mark.parametrize("bad", ["nan", "label", "columns", "parameter"])
def test_a_failed_call_changes_nothing(bad):
    X, y = load_wine(return_X_y=True)
    model = learn(GDClassifier(random_state=0), X, y, 50)
    X, y = X.copy(), y.copy()
    if bad == "nan":
        X[0, 0] = np.nan
    if bad == "label":
        y[0] = 17
    if bad == "columns":
        X = X[:, 1:]
    if bad == "parameter":
        model.half_life = 0
    before = pickle.dumps(model)
    with pytest.raises(ValueError):
        model.partial_fit(X, y)
    assert pickle.dumps(model) == before


# --------------------------------------------------------------------------- forgetting


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("loss", ["squared_error", "huber", "log_loss"])
def test_half_life_follows_a_flip(loss, sparse):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(22_000, 5))
    coef = np.array([1.0, -2.0, 0.5, 1.5, 0.0])
    z = X @ coef
    z[20_000:] *= -1.0
    z += 0.3 * rng.normal(size=len(z))
    y = (z > 0).astype(int) if loss == "log_loss" else z
    X = sp.csr_array(X) if sparse else X
    follows = learn(model_of(loss, half_life=200), X[:21_000], y[:21_000], 50)
    stays = learn(model_of(loss), X[:21_000], y[:21_000], 50)
    after = slice(21_000, None)
    assert follows.score(X[after], y[after]) > 0.85 > stays.score(X[after], y[after])


@pytest.mark.parametrize("loss", ["squared_error", "log_loss", "hinge"])
def test_a_long_half_life_is_none(loss):
    X, z = data()
    y = targets(loss, z)
    long = learn(model_of(loss, half_life=1e12), X, y, 20)
    never = learn(model_of(loss), X, y, 20)
    np.testing.assert_allclose(long.coef_, never.coef_, rtol=1e-6)


def test_half_life_over_a_very_long_stream():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 3))
    y = X @ [1.0, 2.0, 3.0]
    model = learn(GDRegressor(half_life=5, random_state=0), X, y, 1000)  # 2^4000
    np.testing.assert_allclose(model.coef_, [1.0, 2.0, 3.0], rtol=0.01)


# ------------------------------------------------------ outliers, mixtures and mistakes


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("distance", [50, 100, 1000])
@pytest.mark.parametrize("loss", ["squared_error", "huber", "absolute_error"])
def test_a_row_far_out_takes_no_model_away(loss, distance, sparse):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 3))
    y = X @ [1.0, 2.0, 3.0] + 1.0 + 0.1 * rng.normal(size=5000)
    far = np.full((1, 3), float(distance))
    target = far @ [1.0, 2.0, 3.0] + 1.0
    X = sp.csr_array(X) if sparse else X
    far = sp.csr_array(far) if sparse else far
    fitted = model_of(loss).fit(X[:4000], y[:4000])
    streamed = learn(model_of(loss), X[:4000], y[:4000], 100)
    for model in (fitted, streamed):
        model.partial_fit(far, target)
        assert model.score(X, y) > 0.99


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "epsilon_insensitive"])
def test_one_target_far_out_does_not_move_a_robust_loss(loss):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6000, 3))
    y = X @ [1.0, 2.0, 3.0] + 1.0 + 0.1 * rng.normal(size=6000)
    model = learn(model_of(loss), X[:4000], y[:4000], 100)
    model.partial_fit(X[:1], [1e9])
    for size in (1, 50, 1000):
        model.partial_fit(X[4000 : 4000 + size], y[4000 : 4000 + size])
        assert model.score(X, y) > 0.98


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("loss", ["squared_error", "huber", "cauchy", "log_loss"])
def test_a_stream_goes_on_in_the_storage_it_began_in(loss, sparse):
    X, z = data()
    y, csr = targets(loss, z), sp.csr_array(X)
    first, then = (csr, X) if sparse else (X, csr)
    model = model_of(loss).fit(first, y)
    other = pickle.loads(pickle.dumps(model))
    same(model.partial_fit(first[:9], y[:9]), other.partial_fit(then[:9], y[:9]))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "hinge"])
def test_a_textbook_fit_weighs_its_rows(loss, sparse):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 4))
    z = X @ [1.0, 2.0, 3.0, 4.0] + 0.1 * rng.normal(size=4000)
    y = (z > 0).astype(int) if loss == "hinge" else z
    X = sp.csr_array(X) if sparse else X
    model = model_of(loss, eta0=0.01, max_iter=50, tol=None).fit(X, y)
    score = model.score(X, y)
    model.set_params(eta0="auto")
    for row in range(10):
        model.partial_fit(X[row : row + 1], y[row : row + 1])
        assert model.score(X, y) > score - 0.03


def test_another_penalty_goes_on():
    X, z = data(2000)
    model = learn(GDRegressor(random_state=0), X, z, 100)
    score = model.score(X, z)
    for penalty in ("l1", None, "elasticnet", "l2"):
        model.set_params(penalty=penalty, l1_ratio=0.5).partial_fit(X[:2], z[:2])
        assert model.score(X, z) > score - 0.01


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_coefficients_changed_in_place_are_what_goes_on(method):
    X, z = data()
    model = getattr(GDRegressor(random_state=0), method)(X, z)
    model.coef_[:] = 100.0
    model.intercept_[:] = -7.0
    model.partial_fit(X[:1], [X[0].sum() * 100.0 - 7.0])
    np.testing.assert_allclose(model.coef_, 100.0, rtol=0.01)


def test_a_first_chunk_that_overflows_leaves_an_unfitted_model():
    X, z = data()
    model = GDRegressor()
    with pytest.warns(ConvergenceWarning, match="too large"):
        model.partial_fit(X, z * 1e200)
    with pytest.raises(NotFittedError):
        model.predict(X)
    assert model.partial_fit(X, z).score(X, z) > 0.5


def test_classes_may_be_a_list():
    X, z = data()
    y = (z > 0).astype(int)
    model = GDClassifier(random_state=0)
    model.coef_, model.intercept_ = np.zeros((1, 5)), np.zeros(1)
    model.classes_ = [0, 1]
    assert model.partial_fit(X, y).score(X, y) > 0.7


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("half_life", [1, 10, 100, 1000])
@pytest.mark.parametrize("loss", ["squared_error", "huber", "log_loss", "hinge"])
def test_half_life_of_any_length(loss, half_life, sparse):
    X, z = data(3000)
    y = targets(loss, z)
    X = sp.csr_array(X) if sparse else X
    model = learn(model_of(loss, half_life=half_life), X, y, 20)
    state = model._memory.stream
    assert np.isfinite(model.coef_).all()
    past, pending, now = state["scalars"][[2, 3, 5]]
    rows = 1.0 / (1.0 - 0.5 ** (1.0 / half_life))
    assert (past + pending) / now == pytest.approx(min(rows, 3000), rel=0.3)
    assert np.all(state["birth"] <= past)  # in the same unit


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("kind", [GDRegressor, GDClassifier])
def test_others_may_predict_while_rows_are_learnt(kind, storage):
    """At each line of partial_fit, predictions are those before or after the call."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 5)) + 3.0
    y = np.sign(X @ rng.normal(size=5) - 1.0)
    X = sp.csr_array(X) if storage == "csr" else X
    model = kind(random_state=0).partial_fit(
        X[:30], y[:30], **({"classes": [-1, 1]} if kind is GDClassifier else {})
    )

    def predict():
        if kind is GDClassifier:
            return model.decision_function(X).tobytes()
        return model.predict(X).tobytes()

    seen, before = set(), predict()

    def trace(frame, event, argument):
        if "skgd" not in frame.f_code.co_filename:
            return None
        sys.settrace(None)
        seen.add(predict())
        sys.settrace(trace)
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        model.partial_fit(X[30:], y[30:])
    finally:
        sys.settrace(former)
    assert seen == {before, predict()}
    assert before != predict()


@pytest.mark.parametrize("eta0", ["auto", 0.01])
def test_memory_of_another_version_is_refused(eta0):
    X, z = data(200)
    model = GDRegressor(eta0=eta0, random_state=0).partial_fit(X, z)
    model._memory.version = 0
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match="fitted with another version of skgd"):
        model.partial_fit(X, z)
    assert pickle.dumps(model) == before
    assert model.fit(X, z).partial_fit(X, z)._memory.version == MEMORY_VERSION
