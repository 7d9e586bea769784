"""fit on dask collections against fit on the same arrays."""

import numpy as np
import pytest
import scipy.sparse as sp

from partitions import collection, of_unknown_sizes, one_thread  # noqa: F401
from samples import classification, every_loss, linear, targets_of
from skgd import GDClassifier, GDRegressor
from skgd.distributed.data import PartitionedData
from skgd.distributed.engines import Graph, added, merge, root
from skgd.distributed.parts import Part
from skgd.distributed.targets import PartTargets
from skgd.objective.targets import Targets

pytestmark = pytest.mark.usefixtures("one_thread")


def both(model, X, y, weight=None, chunks=90):
    """The coefficients of a fit of arrays, and of one of collections."""
    one = model.fit(X, y, weight)
    one = one.coef_.copy(), one.intercept_.copy(), one.n_iter_
    weight = None if weight is None else collection(weight, chunks)
    model.fit(collection(X, chunks), collection(y, chunks), weight)
    return one, (model.coef_, model.intercept_, model.n_iter_)


def assert_equal_fits(model, X, y, weight=None, chunks=90, tolerance=1e-10):
    (coef, intercept, n_iter), (other, other_intercept, other_n) = both(
        model, X, y, weight, chunks
    )
    assert n_iter == other_n
    scale = np.abs(coef).max()
    np.testing.assert_allclose(other, coef, rtol=0, atol=tolerance * scale)
    if hasattr(model, "classes_") and len(intercept) > 1 and model.loss == "log_loss":
        # What is added to all of them changes no probability.
        intercept, other_intercept = (
            b - b.mean() for b in (intercept, other_intercept)
        )
    np.testing.assert_allclose(other_intercept, intercept, rtol=tolerance, atol=1e-9)


@every_loss
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_batch_is_as_in_memory(cls, loss, data, weighted, penalty):
    if loss == "perceptron":
        pytest.skip("no objective")
    X, y = data(400)
    weight = None
    if weighted:
        weight = np.random.default_rng(1).random(400)
        weight[:95] = 0.0  # all of a partition
    # Few passes: rounding errors grow along the way of losses with kinks.
    model = cls(loss, solver="batch", penalty=penalty, alpha=1e-3, tol=1e-3)
    assert_equal_fits(model.set_params(random_state=0), X, y, weight, tolerance=1e-8)


@pytest.mark.parametrize("average", [False, 3])
@pytest.mark.parametrize("penalty", [None, "l2", "l1", "elasticnet"])
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
def test_textbook_batch_is_as_in_memory(average, penalty, learning_rate):
    X, y = linear(400)
    model = GDRegressor(
        solver="batch", eta0=0.1, learning_rate=learning_rate, penalty=penalty,
        alpha=1e-2, average=average, max_iter=40, tol=None,
    )  # fmt: skip
    assert_equal_fits(model, X, y)
    model.fit_intercept = False
    assert_equal_fits(model, X, np.column_stack([y, -y, X[:, 0]]))


def test_textbook_batch_chooses_a_stable_step_as_in_memory():
    X, y = linear(400)
    model = GDRegressor(
        solver="batch", eta0="auto", learning_rate="constant", max_iter=20, tol=None
    )
    weight = np.random.default_rng(0).random(400)
    assert_equal_fits(model.set_params(random_state=0), X, y, weight)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("penalty", ["l2", "l1"])
@pytest.mark.parametrize("kwargs", [{}, {"eta0": 0.5, "max_iter": 30, "tol": None}])
def test_sparse_rows(dtype, penalty, kwargs):
    rng = np.random.default_rng(0)
    X = sp.random_array((400, 150), density=0.05, format="csr", random_state=rng)
    X = X.astype(dtype)
    y = X @ rng.normal(size=150) + 0.1 * rng.normal(size=400)
    model = GDRegressor(solver="batch", penalty=penalty, alpha=1e-3, random_state=0)
    tolerance = 1e-10 if dtype == np.float64 else 1e-5
    assert_equal_fits(model.set_params(**kwargs), X, y, tolerance=tolerance)
    assert model.coef_.dtype == dtype
    lazy = model.predict(collection(X))
    np.testing.assert_allclose(lazy.compute(), model.predict(X), rtol=1e-6)


@pytest.mark.parametrize("solver", ["minibatch", "sgd"])
@every_loss
def test_sample_first_ends_at_the_optimum(cls, loss, data, solver):
    """Rows sorted by y, which local epochs would not mix."""
    if loss in ("perceptron", "cauchy"):
        pytest.skip("no optimum to end at")
    X, y = data(400)
    order = np.argsort(y)
    X, y = X[order], y[order]
    model = cls(loss, solver=solver, tol=1e-6, alpha=1e-3, random_state=0)
    one = model.fit(X, y).objective_
    model.fit(collection(X), collection(y))
    assert model.stop_reason_ == "converged"
    assert model.gap_ <= 1e-6
    assert model.objective_ == pytest.approx(one, rel=1e-5)
    assert model.history_["method"][0] == "sample"
    assert len(model.history_["objective"]) == model.n_iter_


def test_a_small_sample_is_put_right_by_passes(monkeypatch):
    """Where it is not all rows, whose model would be the optimum at once."""
    monkeypatch.setattr("skgd.optim.sample_first.SAMPLE", 60)
    monkeypatch.setattr("skgd.optim.sample.SAMPLE", 100)
    X, y = classification(900, n_classes=3)
    model = GDClassifier(tol=1e-8, random_state=0)
    least = model.fit(X, y).objective_
    model.fit(collection(X), collection(y))
    assert model.stop_reason_ == "converged"
    assert model.n_iter_ > 3
    assert model.objective_ == pytest.approx(least, rel=1e-7)


@pytest.mark.parametrize("chunks", [400, 37, (1, 250, 149), (200, 200)])
def test_partitions_do_not_matter(chunks):
    X, y = classification(400)
    model = GDClassifier(solver="batch", random_state=0)
    assert_equal_fits(model, X, y, chunks=chunks)


def test_partitions_of_unknown_sizes_empty_and_of_one_class():
    X, y = classification(400)
    order = np.argsort(y)
    X, y = X[order], y[order]
    model = GDClassifier(solver="batch", random_state=0)
    coef = model.fit(X, y).coef_.copy()
    X, y = (of_unknown_sizes(collection(a, (0, 200, 0, 150, 50, 0))) for a in (X, y))
    np.testing.assert_allclose(model.fit(X, y).coef_, coef, atol=1e-10)
    assert list(model.classes_) == ["a", "b", "c"]
    assert model.predict(X).compute().shape == (400,)
    assert model.predict_proba(X).compute().shape == (400, 3)


def test_column_chunks_and_other_chunks_of_y_are_joined():
    X, y = linear(400)
    model = GDRegressor(solver="batch", random_state=0)
    coef = model.fit(X, y).coef_.copy()
    model.fit(collection(X).rechunk((90, 2)), collection(y, 130))
    np.testing.assert_allclose(model.coef_, coef, atol=1e-10)


def test_partitions_of_single_and_double_precision():
    X, y = linear(400)
    X = X.astype(np.float32).astype(float)
    model = GDRegressor(solver="batch", random_state=0)
    coef = model.fit(X, y).coef_.copy()
    lazy = collection(X).map_blocks(
        lambda block, block_info=None: block.astype(
            [np.float32, np.float64][block_info[0]["chunk-location"][0] % 2]
        ),
        meta=X[:0],
    )
    model.fit(lazy, collection(y))
    assert model.coef_.dtype == np.float64
    np.testing.assert_allclose(model.coef_, coef, atol=1e-8)


@pytest.mark.parametrize("class_weight", ["balanced", {"a": 2.0, "b": 0.5, "c": 0.0}])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_class_weights(class_weight, weighted, loss):
    X, y = classification(400)
    weight = np.random.default_rng(0).random(400) if weighted else None
    model = GDClassifier(loss, solver="batch", class_weight=class_weight)
    assert_equal_fits(model.set_params(random_state=0, tol=1e-2), X, y, weight)


def test_warm_start_and_initial_coefficients():
    X, y = linear(400)
    lazy = collection(X), collection(y)
    model = GDRegressor(solver="batch", random_state=0, warm_start=True).fit(*lazy)
    coef = model.coef_.copy()
    assert model.fit(*lazy).n_iter_ <= 2
    np.testing.assert_allclose(model.coef_, coef, atol=1e-8)
    model.set_params(warm_start=False)
    assert model.fit(*lazy, coef_init=coef, intercept_init=model.intercept_)


@pytest.mark.parametrize("data", [linear, classification])
@pytest.mark.parametrize("scoring", [None, "loss"])
def test_early_stopping_by_arrays_or_collections(data, scoring):
    X, y = data(400)
    cls = GDRegressor if data is linear else GDClassifier
    model = cls(solver="batch", early_stopping=True, scoring=scoring, random_state=0)
    if data is classification:
        model.set_params(class_weight="balanced")
    weight = np.random.default_rng(0).random(100)
    fits = []
    for make in (np.asarray, collection):
        model.fit(
            collection(X[100:]), collection(y[100:]), X_val=make(X[:100]),
            y_val=make(y[:100]), sample_weight_val=make(weight),
        )  # fmt: skip
        fits.append(model.history_)
    for name in ("validation_score", "validation_loss"):
        np.testing.assert_allclose(*(history[name] for history in fits))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("data", [linear, classification])
def test_score_is_a_float_from_sums(data, weighted):
    X, y = data(400)
    cls = GDRegressor if data is linear else GDClassifier
    model = cls(random_state=0).fit(X, y)
    weight = np.random.default_rng(0).random(400) if weighted else None
    lazy = collection(X), collection(y), collection(weight) if weighted else None
    score = model.score(*lazy)
    assert isinstance(score, float)
    assert score == pytest.approx(model.score(X, y, weight), abs=1e-12)


def test_score_of_constant_targets_is_that_of_scikit_learn():
    X, y = linear(400)
    Y = np.column_stack([y, np.ones(400)])
    model = GDRegressor(random_state=0).fit(X, Y)
    score = model.score(collection(X), collection(Y))
    assert score == pytest.approx(model.score(X, Y))


@pytest.mark.parametrize("method", ["decision_function", "predict_log_proba"])
def test_methods_of_classifiers_are_lazy(method):
    for n_classes in (2, 3):
        X, y = classification(400, n_classes=n_classes)
        model = GDClassifier(random_state=0).fit(X, y)
        lazy = getattr(model, method)(collection(X))
        now = getattr(model, method)(X)
        assert lazy.shape == now.shape
        np.testing.assert_array_equal(lazy.compute(), now)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.75])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["normal", "counts", "heavy"])
def test_quantiles_are_exact(level, weighted, kind, monkeypatch):
    """With far fewer bins than targets, over several rounds."""
    monkeypatch.setattr("skgd.distributed.targets.BINS", 4)
    rng = np.random.default_rng(0)
    y = rng.normal(size=(500, 2))
    y = {"normal": y, "counts": np.floor(3 * y), "heavy": np.exp(9 * y)}[kind]
    weight = rng.integers(1, 5, size=500).astype(float) if weighted else None
    cuts = np.unique(rng.integers(1, 500, size=6))
    parts = []
    for number, rows in enumerate(np.split(np.arange(500), cuts)):
        own = None if weight is None else weight[rows]
        parts.append(Part(number, np.zeros((len(rows), 1)), y[rows], own))
    total = 500.0 if weight is None else weight.sum()
    got, want = PartTargets(Graph(parts), total), Targets(y, weight)
    np.testing.assert_array_equal(got.quantile(level), want.quantile(level))
    centre = want.quantile(0.5)
    np.testing.assert_array_equal(
        got.distances(centre).quantile(level), want.distances(centre).quantile(level)
    )
    np.testing.assert_allclose(got.mean(), want.mean())
    assert got.largest() == want.largest()


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 13])
def test_sums_do_not_depend_on_bundles(n):
    rng = np.random.default_rng(0)
    values = [(v, np.array([v, 1 / v])) for v in rng.normal(size=n) * 1e8]
    leaves = {(0, i): value for i, value in enumerate(values)}
    (total,) = added(dict(leaves), n).values()
    np.testing.assert_allclose(total[1], sum(v[1] for v in values), rtol=1e-9)
    for k in (1, 2, 3, 5):
        groups = np.array_split(rng.permutation(n), k)
        sums = [added({(0, int(i)): values[i] for i in g}, n) for g in groups]
        found = merge(n, *sums)
        assert list(found) == [root(n)]
        for a, b in zip(found[root(n)], total, strict=True):
            np.testing.assert_array_equal(a, b)


def test_rows_are_taken_by_number():
    X, y = linear(400)
    cuts = np.split(np.arange(400), [90, 91, 300])
    parts = [Part(k, X[rows], y[rows, None], None) for k, rows in enumerate(cuts)]
    described = [
        {
            "n_rows": len(p.y), "n_features": 4, "sparse": False, "dtype": p.X.dtype,
            "stored": p.X.size, "bytes": p.__sizeof__(),
        }
        for p in parts
    ]  # fmt: skip
    data = PartitionedData(Graph(parts), described)
    rows = np.array([0, 89, 90, 91, 299, 300, 399])
    taken = data.take(rows)
    np.testing.assert_array_equal(taken.array, X[rows])
    np.testing.assert_array_equal(taken.y[:, 0], y[rows])
    assert data.take(None).n_rows == 400
    data.most_rows = 6
    with pytest.raises(ValueError, match="No more than 6 rows"):
        data.take(rows)


def test_targets_of_losses_are_the_loss_domain():
    X, y = linear(400)
    y = targets_of("poisson", y)
    y[250] = -1.0
    model = GDRegressor("poisson")
    with pytest.raises(ValueError, match="negative values") as raised:
        model.fit(collection(X), collection(y))
    assert raised.value.__notes__ == ["in partition 2"]
    assert not hasattr(model, "coef_")
