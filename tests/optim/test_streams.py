"""partial_fit at eta0="auto": rows learnt one by one, whatever the chunks."""

import copy
import pickle
import sys
from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from objectives import constant_objective, objective
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_wine,
)
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import Ridge

from skgd import GDClassifier, GDRegressor
from skgd.estimators.fitted import RECORDED_CALLS
from skgd.objective.table import CLASSIFICATION_LOSSES, REGRESSION_LOSSES
from skgd.optim import streaming
from skgd.training.state import MEMORY_VERSION, State

DENSE_FEATURES = streaming.DENSE_FEATURES
OF_CLASSES = sorted(set(CLASSIFICATION_LOSSES) - set(REGRESSION_LOSSES))
# The objective of the perceptron guides no steps; its constant steps are textbook.
LOSSES = sorted({*REGRESSION_LOSSES, *CLASSIFICATION_LOSSES} - {"perceptron"})
PENALTIES = (
    {"penalty": None}, {"penalty": "l2"}, {"penalty": "l1", "alpha": 0.01},
    {"penalty": "elasticnet", "alpha": 0.01, "l1_ratio": 0.5},
)  # fmt: skip


@pytest.fixture(autouse=True)
def sparse_is_sparse(monkeypatch):
    """Few sparse columns are learnt as sparse here, as only many are elsewhere."""
    monkeypatch.setattr(streaming, "DENSE_FEATURES", 0)


def model_of(loss, **parameters):
    cls = GDClassifier if loss in OF_CLASSES else GDRegressor
    return cls(loss, **{"random_state": 0, "shuffle": False, **parameters})


def targets(loss, z):
    if loss in OF_CLASSES:
        return np.digitize(z, np.quantile(z, [0.4, 0.7]))
    return np.floor(np.exp(np.clip(z, -2, 2))) if loss == "poisson" else z


def learn(model, X, y, size, weight=None, classes=None, save=False):
    """One pass in chunks; `save`: go on from a pickle before each of them."""
    arguments = {}
    if isinstance(model, GDClassifier):
        arguments["classes"] = np.unique(y) if classes is None else classes
    for start in range(0, X.shape[0], size):
        rows = slice(start, start + size)
        if save:
            model = pickle.loads(pickle.dumps(model))
        if weight is not None:
            arguments["sample_weight"] = weight[rows]
        model.partial_fit(X[rows], y[rows], **arguments)
    return model


def data(n=200, p=5, seed=3):
    rng = np.random.default_rng(seed)
    X = rng.gamma(2.0, size=(n, p)) * (rng.uniform(size=(n, p)) < 0.7)
    z = X @ rng.normal(size=p)
    return X, (z - z.mean()) / z.std() + 0.3 * rng.normal(size=n)


def same(a, b):
    assert np.array_equal(a.coef_, b.coef_)
    assert np.array_equal(a.intercept_, b.intercept_)


def suboptimality(model, X, y):
    """Percent of what can be gained over the best constant that is left."""
    best = clone(model).set_params(tol=1e-8, max_iter=5000).fit(X, y)
    least, constant = objective(best, X, y), constant_objective(model, X, y)
    return 100.0 * (objective(model, X, y) - least) / (constant - least)


# ----------------------------------------------------------------- whatever the chunks


@pytest.mark.parametrize("options", PENALTIES)
@pytest.mark.parametrize("form", ["dense", "sparse", "float32"])
@pytest.mark.parametrize("loss", LOSSES)
def test_same_bits_whatever_the_chunks(loss, form, options):
    X, z = data()
    y = targets(loss, z)
    X = sp.csr_array(X) if form == "sparse" else X
    X = X.astype(np.float32) if form == "float32" else X
    weight = np.random.default_rng(0).uniform(0.5, 3.0, len(y))
    whole = learn(model_of(loss, **options), X, y, len(y), weight)
    assert np.isfinite(whole.coef_).all() and whole.coef_.any()
    assert whole.coef_.dtype == X.dtype
    for size in (1, 5, 97):
        same(learn(model_of(loss, **options), X, y, size, weight, save=size > 1), whole)


@pytest.mark.parametrize("parameters", [{"half_life": 30}, {"fit_intercept": False}])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss", "hinge"])
def test_same_bits_with_other_parameters(loss, parameters):
    X, z = data()
    y = targets(loss, z)
    whole = learn(model_of(loss, **parameters), X, y, len(y))
    same(learn(model_of(loss, **parameters), X, y, 7), whole)


@pytest.mark.parametrize("sparse", [False, True])
def test_same_bits_of_several_targets(sparse):
    X, z = data()
    Y = np.column_stack([z, 1e6 * z**2, X[:, 0] - 5.0])
    X = sp.csr_array(X) if sparse else X
    whole = learn(model_of("huber"), X, Y, len(Y))
    same(learn(model_of("huber"), X, Y, 11), whole)
    for k in range(3):  # each target has steps of its own
        alone = learn(model_of("huber"), X, Y[:, k], len(Y))
        np.testing.assert_allclose(whole.coef_[k], alone.coef_, rtol=1e-9)


@pytest.mark.parametrize("sparse", [False, True])
def test_same_bits_after_a_fit(sparse):
    X, z = data()
    X = sp.csr_array(X) if sparse else X
    fitted = model_of("squared_error").fit(X[:100], z[:100])
    copies = [pickle.loads(pickle.dumps(fitted)) for _ in range(2)]
    same(learn(copies[0], X[100:], z[100:], 100), learn(copies[1], X[100:], z[100:], 9))


# ------------------------------------------------------------------------------ weights


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "log_loss"])
def test_weight_zero_is_a_row_absent(loss, sparse):
    X, z = data()
    y = targets(loss, z)
    weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(float)
    X = sp.csr_array(X) if sparse else X
    with_zeros = learn(model_of(loss), X, y, 10, weight)
    kept = np.flatnonzero(weight)
    classes = np.unique(y)
    without = learn(model_of(loss), X[kept], y[kept], 10, weight[kept], classes)
    same(with_zeros, without)


@pytest.mark.parametrize("model", [GDRegressor(), GDClassifier()])
def test_a_chunk_of_weight_zero_is_skipped(model):
    X, z = data()
    y = targets(model.loss, z)
    arguments = {"classes": [0, 1, 2]} if model.loss == "log_loss" else {}
    model = clone(model)
    model.partial_fit(X, y, sample_weight=np.zeros(len(y)), **arguments)
    assert not hasattr(model, "coef_")
    model.partial_fit(X, y, **arguments)
    before = pickle.dumps(model)
    model.partial_fit(X, y, sample_weight=np.zeros(len(y)))
    assert pickle.dumps(model) == before
    with pytest.raises(ValueError, match="at least one non-zero"):
        clone(model).fit(X, y, sample_weight=np.zeros(len(y)))


@pytest.mark.parametrize("factor", [1e-6, 3.0, 365.0, 1e6])
@pytest.mark.parametrize("loss", ["squared_error", "huber", "log_loss", "hinge"])
def test_weights_times_a_constant(loss, factor):
    X, z = data()
    y = targets(loss, z)
    weighted = learn(
        model_of(loss, alpha=1e-4 * factor), X, y, 20, np.full(len(y), factor)
    )
    plain = learn(model_of(loss), X, y, 20)
    np.testing.assert_allclose(weighted.coef_, plain.coef_, rtol=1e-5, atol=1e-7)


# ------------------------------------------------------- a chunk takes no model away


@pytest.mark.parametrize("solver", ["batch", "minibatch", "sgd"])
@pytest.mark.parametrize("load", [load_breast_cancer, load_digits, load_iris])
def test_few_rows_after_a_fit_move_a_classifier_little(load, solver):
    X, y = load(return_X_y=True)
    model = GDClassifier(solver=solver, random_state=0, max_iter=3000).fit(X, y)
    score, coef = model.score(X, y), model.coef_.copy()
    model.partial_fit(X[:1], y[:1])
    assert np.linalg.norm(model.coef_ - coef) < 0.1 * np.linalg.norm(coef)
    one_class = y == y[-1]
    model.partial_fit(X[one_class], y[one_class])
    assert model.score(X, y) > score - 0.05


def test_k_rows_move_a_fit_about_as_a_fit_of_all_rows():
    rng = np.random.default_rng(5)
    coef = rng.normal(size=8)
    X = rng.normal(size=(2000, 8))
    y = X @ coef + rng.normal(size=2000)
    fitted = GDRegressor(tol=1e-8, random_state=0).fit(X[:1000], y[:1000])
    for k in (1, 10, 100, 1000):
        model = pickle.loads(pickle.dumps(fitted))
        model.partial_fit(X[1000 : 1000 + k], y[1000 : 1000 + k])
        exact = Ridge(alpha=1e-4 * (1000 + k)).fit(X[: 1000 + k], y[: 1000 + k])
        moved = np.linalg.norm(model.coef_ - fitted.coef_)
        assert moved < 1.5 * np.linalg.norm(exact.coef_ - fitted.coef_)


def test_three_rows_of_other_targets_after_a_stream():
    X, z = data(4000)
    model = learn(GDRegressor(random_state=0), X, z, 200)
    score = model.score(X, z)
    model.partial_fit(X[:3], [9.0, 9.1, 8.9])
    assert model.score(X, z) > score - 0.02


def test_chunks_of_one_group_each():
    rng = np.random.default_rng(0)
    level = rng.normal(size=20) * 3.0
    model, chunks = GDRegressor(random_state=0), []
    for k in range(20):  # all rows of one store per call
        X = np.column_stack([rng.normal(size=(200, 3)), np.full(200, k)])
        chunks.append((X, X[:, 0] * 4.0 + level[k] + rng.normal(size=200)))
        model.partial_fit(*chunks[-1])
    X, y = map(np.concatenate, zip(*chunks, strict=True))
    assert model.score(X, y) > 0.95 * Ridge().fit(X, y).score(X, y)


@pytest.mark.parametrize("size", [1, 10, 200])
def test_digits_in_small_chunks(size):
    X, y = load_digits(return_X_y=True)
    assert learn(GDClassifier(random_state=0), X, y, size).score(X, y) > 0.85


def test_one_class_first():
    X, y = load_breast_cancer(return_X_y=True)
    order = np.concatenate(
        [np.flatnonzero(y == 1)[:100], np.random.default_rng(0).permutation(len(y))]
    )
    for loss in ("log_loss", "hinge", "squared_hinge"):
        model = learn(GDClassifier(loss, random_state=0), X[order], y[order], 25)
        assert model.score(X, y) > 0.85


# ------------------------------------------------------------------- how far one gets


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    "loss", ["squared_error", "absolute_error", "huber", "log_loss", "hinge"]
)
def test_one_pass_over_features_of_all_scales(loss, sparse):
    rng = np.random.default_rng(7)
    X = rng.normal(size=(20_000, 8))
    z = X @ rng.normal(size=8) + rng.normal(size=len(X))
    scale = 10.0 ** np.linspace(-3, 6, 8)
    X = X * scale if sparse else (X + 5.0 * rng.normal(size=8)) * scale
    y = (z > 0).astype(int) if loss in OF_CLASSES else z
    X = sp.csr_array(X) if sparse else X
    model = learn(model_of(loss, penalty=None), X, y, 100)
    assert 0 <= suboptimality(model, X, y) < 2


@pytest.mark.parametrize("unit", [1e-6, 1e6, 1e12])
def test_the_unit_of_targets_is_of_no_effect(unit):
    X, z = data(1000)
    plain = learn(model_of("squared_error", penalty=None), X, z, 50)
    other = learn(model_of("squared_error", penalty=None), X, z * unit, 50)
    np.testing.assert_allclose(other.coef_ / unit, plain.coef_, rtol=1e-6)


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
@pytest.mark.parametrize("by", ["feature", "target"])
def test_sorted_rows(loss, by):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(20_000, 10))
    y = X @ rng.normal(size=10) + rng.normal(size=len(X))
    order = np.argsort(X[:, 0] if by == "feature" else y)
    X, y = X[order], y[order]
    assert suboptimality(learn(model_of(loss), X, y, 50), X, y) < 5


def test_a_feature_that_appears_late():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(10_000, 4))
    X[:8000, 3] = 0.0
    y = X @ [1.0, -2.0, 0.5, 3.0] + rng.normal(size=len(X))
    for rows in (X, sp.csr_array(X)):
        model = learn(GDRegressor(random_state=0), rows, y, 100)
        np.testing.assert_allclose(model.coef_, [1.0, -2.0, 0.5, 3.0], atol=0.2)


@pytest.mark.filterwarnings("ignore:partial_fit met values too large")
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("size", [1, 50])
@pytest.mark.parametrize("loss", LOSSES)
def test_hostile_rows_leave_a_finite_model(loss, size, sparse):
    rng = np.random.default_rng(1)
    X = np.column_stack(
        [
            rng.normal(size=200), np.full(200, 7.0), rng.standard_cauchy(200),
            1e9 + rng.normal(size=200), 1e150 * rng.normal(size=200),
            1e-150 * rng.normal(size=200), np.zeros(200),
        ]
    )  # fmt: skip
    X = np.column_stack([X, X[:, 0]])
    X[rng.integers(0, 200, 5), 0] = 1e9
    y = targets(loss, rng.standard_cauchy(200))
    X = sp.csr_array(X) if sparse else X
    model = learn(model_of(loss), X, y, size)
    assert np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()


@pytest.mark.parametrize("sparse", [False, True])
def test_l1_gives_zeros(sparse):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 40)) * (rng.uniform(size=(5000, 40)) < 0.5)
    y = X[:, :3] @ [3.0, -2.0, 1.0] + rng.normal(size=len(X))
    X = sp.csr_array(X) if sparse else X
    model = learn(GDRegressor(penalty="l1", alpha=0.05, random_state=0), X, y, 50)
    assert np.all(model.coef_[:3]) and np.count_nonzero(model.coef_) <= 8


# ---------------------------------------------------------- models that users bring


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


def test_dtype_is_that_of_the_first_chunk():
    X, z = data()
    single = GDRegressor(random_state=0).partial_fit(X.astype(np.float32), z)
    assert single.partial_fit(X, z).coef_.dtype == np.float32
    double = GDRegressor(random_state=0).partial_fit(X, z)
    assert double.partial_fit(X.astype(np.float32), z).coef_.dtype == np.float64


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


# ------------------------------------------------------------------------- forgetting


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


# ------------------------------------------------------------ what one can look at


def test_history_is_that_of_rows_before_they_are_learnt():
    X, z = data()
    model = model_of("squared_error", penalty=None, record="update")
    expected = []
    for row, target in zip(X, z, strict=True):
        known = hasattr(model, "coef_")
        # The model in training, not its average, meets the row: compare the first.
        if known and len(expected) == 1:
            centred = np.float64(model.predict(row[None])[0])
            expected.append((centred - target) ** 2 / 2)
        elif not known:
            expected.append(0.0)
        model.partial_fit(row[None], [target])
    assert model.history_["objective"][0] == expected[0]
    assert model.history_["objective"][1] == pytest.approx(expected[1])
    assert model.history_["objective"] == list(model.update_history_["objective"])
    assert set(model.history_["method"]) == {"stream"}
    assert model.history_["n_updates"] == list(range(1, len(z) + 1))
    assert model.batch_size_ == 1 and model.t_ == len(z) + 1
    # What is learnt is lower in the end than the variance of the targets.
    assert np.mean(model.history_["objective"][100:]) < 0.5 * z.var() / 2


@pytest.mark.parametrize("eta0", ["auto", 0.001])
def test_history_of_a_stream_is_bounded(eta0):
    X, z = data()
    model = GDRegressor(eta0=eta0, random_state=0).partial_fit(X, z)
    n_calls = 2 * RECORDED_CALLS + 10
    for _ in range(n_calls - 1):
        model.partial_fit(X[:1], z[:1])
    history = model.history_
    assert RECORDED_CALLS / 2 <= len(history["objective"]) <= RECORDED_CALLS
    assert len({len(column) for column in history.values()}) == 1
    assert history["n_updates"] == sorted(history["n_updates"])
    if eta0 == "auto":
        assert history["n_updates"][-1] == len(z) + n_calls - 1  # the last is kept


def test_size_does_not_grow_with_rows():
    X, z = data()
    model = learn(GDRegressor(random_state=0), X, z, 200)
    before = len(pickle.dumps(model._memory.stream))
    learn(model, X, z, 10)
    assert len(pickle.dumps(model._memory.stream)) == before


def test_shuffle_learns_each_call_in_an_order_of_its_own():
    X, z = data()
    a = learn(model_of("squared_error", shuffle=True), X, z, 50)
    b = learn(model_of("squared_error", shuffle=True), X, z, 50)
    same(a, b)
    c = learn(model_of("squared_error", shuffle=True, random_state=1), X, z, 50)
    assert not np.array_equal(a.coef_, c.coef_)


# ---------------------------------------------------- outliers, mixtures and mistakes


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


@pytest.mark.parametrize("loss", ["squared_error", "huber", "cauchy", "log_loss"])
def test_a_stream_goes_on_in_the_storage_it_began_in(loss):
    X, z = data()
    y = targets(loss, z)
    model = model_of(loss).fit(X, y)
    other = pickle.loads(pickle.dumps(model))
    same(model.partial_fit(X[:9], y[:9]), other.partial_fit(sp.csr_array(X[:9]), y[:9]))
    X = sp.csr_array(X)
    model = model_of(loss).fit(X, y)
    other = pickle.loads(pickle.dumps(model))
    same(model.partial_fit(X[:9], y[:9]), other.partial_fit(X[:9].toarray(), y[:9]))


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


def test_coefficients_changed_in_place_are_what_goes_on():
    X, z = data()
    for model in (
        GDRegressor(random_state=0).partial_fit(X, z),
        GDRegressor().fit(X, z),
    ):
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


@pytest.mark.parametrize("fit_first", [False, True])
@pytest.mark.parametrize("loss", ["squared_error", "huber", "log_loss", "hinge"])
def test_sparse_columns_far_from_zero(loss, fit_first, monkeypatch):
    monkeypatch.setattr(streaming, "DENSE_FEATURES", DENSE_FEATURES)
    rng = np.random.default_rng(0)
    X = rng.normal([0.0, 3.0, 10.0, 100.0, 1000.0], size=(20_000, 5))
    z = (X - X.mean(axis=0)) @ rng.normal(size=5) + rng.normal(size=len(X))
    y = (z > 0).astype(int) if loss in OF_CLASSES else z
    model, dense = model_of(loss), model_of(loss)
    rows = sp.csr_array(X)
    if fit_first:
        model.fit(rows[:50], y[:50])
        dense.fit(X[:50], y[:50])
        assert suboptimality(learn(model, rows, y, 100), rows, y) < 3
        assert suboptimality(learn(dense, X, y, 100), X, y) < 3
    else:
        same(learn(model, rows, y, 100), learn(dense, X, y, 100))


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize("single", [False, True])
def test_more_than_100_columns_are_learnt_sparse(loss, single, monkeypatch):
    monkeypatch.setattr(streaming, "DENSE_FEATURES", DENSE_FEATURES)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 150)) * (rng.uniform(size=(3000, 150)) < 0.05)
    z = X @ rng.normal(size=150)
    y = (z > 0).astype(int) if loss == "log_loss" else z
    X = sp.csr_array(X.astype(np.float32) if single else X)
    model = learn(model_of(loss), X, y, 50)
    assert model._memory.stream["sparse"] and model.score(X, y) > 0.8
    same(learn(model_of(loss), X, y, 7), model)


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


@pytest.mark.parametrize("kwargs", [{}, {"penalty": "l1"}, {"half_life": 50}])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_sparse_rows_change_the_state_in_place_and_are_undone(kwargs, n_outputs):
    """Few values of many features: only what they hold is written, and given back."""
    rng = np.random.default_rng(0)
    X = sp.random_array((400, 2000), density=0.01, format="csr", rng=rng)
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


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_the_penalty_may_change_between_calls(n_outputs):
    """Of sparse rows, what a penalty needs is made, or dropped, in between."""
    rng = np.random.default_rng(0)
    X = sp.random_array((900, 150), density=0.05, format="csr", rng=rng)
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
