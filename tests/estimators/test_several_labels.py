"""GDClassifier with an indicator y: several labels per row, or none."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier

from skgd import GDClassifier
from skgd.objective.table import CLASSIFICATION_LOSSES

N, P, L = 300, 4, 3
rng = np.random.default_rng(0)
X = rng.normal(size=(N, P))
Y = (X @ rng.normal(size=(P, L)) + rng.normal(size=(N, L)) > 0.5).astype(int)
WEIGHT = rng.integers(0, 4, N).astype(float)
STORAGES = {
    "dense": X,
    "csr": sp.csr_array(X),
    "float32": X.astype(np.float32),
    "csr32": sp.csr_array(X.astype(np.float32)),
}
PROBABLE = ("log_loss", "modified_huber")


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("loss", sorted(CLASSIFICATION_LOSSES))
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_each_label_is_a_problem(loss, storage, weight):
    # With steps of their own and rows in order, problems do not know each other.
    stored = STORAGES[storage]
    model = GDClassifier(
        loss, eta0=0.01, learning_rate="constant", max_iter=3, tol=None, shuffle=False
    ).fit(stored, Y, sample_weight=weight)
    np.testing.assert_array_equal(model.classes_, np.arange(L))
    assert model.multilabel_
    z = model.decision_function(stored)
    for k in range(L):
        one = GDClassifier(**model.get_params()).fit(stored, Y[:, k], weight)
        assert not one.multilabel_
        np.testing.assert_allclose(model.coef_[k], one.coef_[0], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(model.intercept_[k], one.intercept_, rtol=1e-6)
        np.testing.assert_allclose(z[:, k], one.decision_function(stored), rtol=1e-4,
                                   atol=1e-6)  # fmt: skip
        if loss in PROBABLE:
            for method in ("predict_proba", "predict_log_proba"):
                with np.errstate(divide="ignore"):
                    all_of_them = getattr(model, method)(stored)
                    its_own = getattr(one, method)(stored)[:, 1]
                np.testing.assert_allclose(
                    all_of_them[:, k], its_own, rtol=1e-4, atol=1e-6
                )
    np.testing.assert_array_equal(model.predict(stored), z > 0)
    assert model.score(stored, Y, weight) == pytest.approx(
        np.average(np.all((z > 0) == Y, axis=1), weights=weight)
    )


@pytest.mark.parametrize("solver", ["batch", "minibatch", "sgd"])
def test_the_optimum(solver):
    model = GDClassifier(solver=solver, tol=1e-8, alpha=1e-2, random_state=0).fit(X, Y)
    other = OneVsRestClassifier(LogisticRegression(C=1 / (1e-2 * N), tol=1e-10))
    other.fit(X, Y)
    assert model.stop_reason_ == "converged"
    for k, one in enumerate(other.estimators_):
        np.testing.assert_allclose(model.coef_[k], one.coef_[0], rtol=1e-3)
    np.testing.assert_allclose(
        model.predict_proba(X), other.predict_proba(X), atol=1e-4
    )


@pytest.mark.parametrize("storage", ["dense", "csr"])
def test_streams(storage):
    model = GDClassifier(random_state=0)
    for start in 4 * [*range(0, N, 30)]:
        rows = slice(start, start + 30)
        model.partial_fit(STORAGES[storage][rows], Y[rows])
    best = GDClassifier().fit(X, Y).score(X, Y)
    assert model.score(X, Y) > best - 0.05
    assert model.predict(X[:1]).shape == (1, L)


@pytest.mark.parametrize("labels", [
    sp.csr_matrix(Y), sp.csc_array(Y), Y.tolist(), Y.astype(bool), Y.astype(float),
    Y.astype(object),
])  # fmt: skip
def test_ways_to_write_an_indicator(labels):
    expected = GDClassifier(random_state=0).fit(X, Y)
    model = GDClassifier(random_state=0).fit(X, labels)
    np.testing.assert_array_equal(model.coef_, expected.coef_)
    first = GDClassifier(random_state=0).partial_fit(X, labels, classes=[2, 0, 1])
    again = GDClassifier(random_state=0).partial_fit(X, Y)
    np.testing.assert_array_equal(first.coef_, again.coef_)


def test_two_labels_are_not_two_classes():
    model = GDClassifier().fit(X, Y[:, :2])
    assert model.coef_.shape == (2, P)
    assert model.predict_proba(X).shape == model.predict(X).shape == (N, 2)


def test_a_column_is_a_label_per_row():
    with pytest.warns(UserWarning, match="column-vector y"):
        model = GDClassifier().fit(X, Y[:, :1])
    assert model.coef_.shape == (1, P)


def test_early_stopping():
    # A row whose labels no other row has can not be in both parts.
    y = Y.copy()
    y[0] = 1
    model = GDClassifier(early_stopping=True, random_state=0).fit(X, y)
    assert max(model.history_["validation_score"]) > 0.4
    model.fit(X[:200], Y[:200], X_val=X[200:], y_val=Y[200:])
    last = model.score(X[200:], Y[200:])
    assert last == pytest.approx(max(model.history_["validation_score"]))


def test_searches():
    search = GridSearchCV(GDClassifier(random_state=0), {"alpha": [1e-4, 1e4]}, cv=3)
    search.fit(X, Y)
    assert search.best_params_ == {"alpha": 1e-4}
    p = cross_val_predict(GDClassifier(), X, Y, method="predict_proba", cv=3)
    assert p.shape == (N, L)


@pytest.mark.parametrize("labels, said", [
    (Y + 1, "must be an indicator of labels, all 0 or 1"),
    (2 * Y - 1, "must be an indicator of labels, all 0 or 1"),
    (np.where(Y, "a", "b"), "must be an indicator of labels, all 0 or 1"),
    (Y[:-1], "inconsistent numbers of samples"),
])  # fmt: skip
def test_what_is_none(labels, said):
    model = GDClassifier()
    with pytest.raises(ValueError, match=said):
        model.fit(X, labels)
    with pytest.raises(ValueError, match=said):
        model.partial_fit(X, labels)
    assert not hasattr(model, "classes_")


def test_what_does_not_go_together():
    model = GDClassifier().fit(X, Y)
    coef = model.coef_
    with pytest.raises(ValueError, match=r"of shape \(n_samples, 3\), as before; got"):
        model.partial_fit(X, Y[:, :2])
    with pytest.raises(ValueError, match=r"of shape \(n_samples, 3\), as before; got"):
        model.partial_fit(X, Y[:, 0])
    with pytest.raises(ValueError, match="the numbers of its columns"):
        GDClassifier().partial_fit(X, Y, classes=["a", "b", "c"])
    one = GDClassifier().fit(X, Y[:, 0])
    with pytest.raises(ValueError, match=r"of shape \(n_samples,\), as before; got"):
        one.partial_fit(X, Y)
    with pytest.raises(ValueError, match="class_weight is not supported for y with"):
        GDClassifier(class_weight="balanced").fit(X, Y)
    warm = GDClassifier(warm_start=True).fit(X, Y[:, :2])
    with pytest.raises(ValueError, match="warm_start"):
        warm.fit(X, Y[:, 0])
    assert model.coef_ is coef


@pytest.mark.parametrize("begin, then, said", [
    (Y.sum(axis=1) % 3, Y, "y has several labels per row, but warm_start=True goes on "
     "from a model of one"),
    (Y, Y.sum(axis=1) % 3, "y has one label per row, but warm_start=True goes on from "
     "a model of several"),
])  # fmt: skip
def test_warm_starts_tell_one_label_from_several(begin, then, said):
    model = GDClassifier(warm_start=True).fit(X, begin)
    before = model.predict(X)
    with pytest.raises(ValueError, match=said):
        model.fit(X, then)
    np.testing.assert_array_equal(model.predict(X), before)
    assert np.mean(model.fit(X, begin).predict(X) == before) > 0.9


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "Float64", "int8", "object"])
def test_scores_of_frames(dtype):
    pd = pytest.importorskip("pandas")
    labels = pd.DataFrame(Y.astype(bool)).astype(dtype)
    model = GDClassifier().fit(X, labels)
    expected = np.mean(np.all(model.predict(X) == Y, axis=1))
    for given in (labels, Y.tolist(), sp.csr_array(Y)):
        assert model.score(X, given) == pytest.approx(expected)
    assert model.score(X, labels, WEIGHT) == model.score(X, Y, WEIGHT)


def test_dask_takes_one_label_per_row():
    da = pytest.importorskip("dask.array")
    with pytest.raises(ValueError, match="1d array"):
        GDClassifier().fit(da.from_array(X, (100, P)), da.from_array(Y, (100, L)))
