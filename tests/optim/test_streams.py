"""partial_fit at eta0="auto": rows learnt one by one, whatever the chunks."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
)
from sklearn.linear_model import Ridge

from samples import LOSSES_OF_CLASSES
from skgd import GDClassifier, GDRegressor
from skgd.estimators.fitted import RECORDED_CALLS
from streams import (
    LOSSES,
    PENALTIES,
    data,
    learn,
    model_of,
    percent_left,
    same,
    targets,
)

pytestmark = pytest.mark.usefixtures("sparse_is_sparse")


# ------------------------------------------------------------------ whatever the chunks


@pytest.mark.parametrize("options", PENALTIES)
@pytest.mark.parametrize("form", ["dense", "sparse", "float32"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", [1, 5, 97])
def test_same_bits_whatever_the_chunks(loss, form, options, size):
    X, z = data()
    y = targets(loss, z)
    X = sp.csr_array(X) if form == "sparse" else X
    X = X.astype(np.float32) if form == "float32" else X
    weight = np.random.default_rng(0).uniform(0.5, 3.0, len(y))
    whole = learn(model_of(loss, **options), X, y, len(y), weight)
    assert np.isfinite(whole.coef_).all() and whole.coef_.any()
    assert whole.coef_.dtype == X.dtype
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


# ---------------------------------------------------------- a chunk takes no model away


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


@pytest.mark.parametrize("k", [1, 10, 100, 1000])
def test_k_rows_move_a_fit_about_as_a_fit_of_all_rows(k):
    rng = np.random.default_rng(5)
    coef = rng.normal(size=8)
    X = rng.normal(size=(2000, 8))
    y = X @ coef + rng.normal(size=2000)
    fitted = GDRegressor(tol=1e-8, random_state=0).fit(X[:1000], y[:1000])
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


@pytest.mark.parametrize("loss", ["log_loss", "hinge", "squared_hinge"])
def test_one_class_first(loss):
    X, y = load_breast_cancer(return_X_y=True)
    order = np.concatenate(
        [np.flatnonzero(y == 1)[:100], np.random.default_rng(0).permutation(len(y))]
    )
    model = learn(GDClassifier(loss, random_state=0), X[order], y[order], 25)
    assert model.score(X, y) > 0.85


# --------------------------------------------------------------------- how far one gets


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
    y = (z > 0).astype(int) if loss in LOSSES_OF_CLASSES else z
    X = sp.csr_array(X) if sparse else X
    model = learn(model_of(loss, penalty=None), X, y, 100)
    assert 0 <= percent_left(model, X, y) < 2


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
    assert percent_left(learn(model_of(loss), X, y, 50), X, y) < 5


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_a_feature_that_appears_late(storage):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(10_000, 4))
    X[:8000, 3] = 0.0
    y = X @ [1.0, -2.0, 0.5, 3.0] + rng.normal(size=len(X))
    model = learn(GDRegressor(random_state=0), storage(X), y, 100)
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


# ----------------------------------------------------------------- what one can look at


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
