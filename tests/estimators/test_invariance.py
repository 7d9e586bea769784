"""What must change nothing: storage, dtype, weights, scale of targets, threads."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import make_regression
from sklearn.multiclass import OneVsRestClassifier
from threadpoolctl import threadpool_limits

from samples import (
    PENALTIES,
    SOLVERS,
    assert_same,
    classification,
    every_loss,
    regression,
)
from skgd import GDClassifier, GDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# -------------------------------------------------------------- one rule, three solvers


@every_loss
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
@pytest.mark.parametrize(
    "batch_size, solver", [(1, "sgd"), (120, "batch"), (1200, "batch")]
)
def test_batch_sizes_one_and_n_are_sgd_and_batch(
    cls, loss, data, penalty, average, storage, batch_size, solver
):
    X, y = data()
    common = dict(penalty=penalty, eta0=0.01, learning_rate="invscaling", tol=None,
                  max_iter=4, random_state=0, average=average, alpha=0.01)  # fmt: skip
    ours = cls(loss, batch_size=batch_size, **common).fit(storage(X), y)
    assert_same(ours, cls(loss, solver=solver, **common).fit(storage(X), y))
    assert ours.batch_size_ == min(batch_size, len(y))


# -------------------------------------------------------------------- storage and dtype


def csr(X, index):
    X = sp.csr_array(X)
    X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    return X


FORMS = {
    "fortran": np.asfortranarray,
    "csr_matrix": sp.csr_matrix,
    "csr32": lambda X: csr(X, np.int32),
    "csr64": lambda X: csr(X, np.int64),
    "float32": lambda X: X.astype(np.float32),
    "float32 csr32": lambda X: csr(X.astype(np.float32), np.int32),
    "float32 csr64": lambda X: csr(X.astype(np.float32), np.int64),
}


@every_loss
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_same_data(cls, loss, data, solver, penalty, average, form):
    X, y = data()
    X[np.abs(X) < 0.8] = 0.0
    model = cls(loss, solver=solver, penalty=penalty, eta0=0.01, max_iter=5, tol=None,
                learning_rate="constant", random_state=0, average=average,
                alpha=0.01)  # fmt: skip
    dense = clone(model).fit(X, y)
    other = clone(model).fit(FORMS[form](X), y)
    single = form.startswith("float32")
    assert dense.coef_.dtype == np.float64
    assert other.coef_.dtype == (np.float32 if single else np.float64)
    assert other.intercept_.dtype == other.coef_.dtype
    assert_same(other, dense, 1e-4 if single else 1e-10)


def test_one_pass_over_several_classes_equals_separate_fits():
    X, y = classification()
    parameters = dict(loss="hinge", solver="sgd", eta0=0.05, max_iter=3, tol=None,
                      shuffle=False, learning_rate="constant")  # fmt: skip
    together = GDClassifier(**parameters).fit(X, y)
    separate = OneVsRestClassifier(GDClassifier(**parameters)).fit(X, y)
    for k, estimator in enumerate(separate.estimators_):
        np.testing.assert_allclose(together.coef_[k], estimator.coef_[0], rtol=1e-10)
    assert together.loss_curve_[-1] == pytest.approx(
        sum(estimator.loss_curve_[-1] for estimator in separate.estimators_)
    )


# ----------------------------------------------------------------------- sample weights


@every_loss
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_weight_zero_is_absence(cls, loss, data, solver, early_stopping, storage):
    X, y = data()
    s = np.random.default_rng(1).integers(0, 3, size=len(y)).astype(float)
    kept = s > 0
    model = cls(loss, solver=solver, random_state=0, max_iter=3, tol=None,
                early_stopping=early_stopping)  # fmt: skip
    all_rows = clone(model).fit(storage(X), y, sample_weight=s)
    some = clone(model).fit(storage(X[kept]), y[kept], sample_weight=s[kept])
    np.testing.assert_allclose(all_rows.coef_, some.coef_, rtol=1e-13)
    assert all_rows.eta0_ == pytest.approx(some.eta0_, rel=1e-12)
    assert all_rows.t_ == some.t_


@pytest.mark.parametrize("solver", SOLVERS)
def test_weight_zero_is_absence_exactly_for_given_steps(solver):
    X, y = regression()
    s = np.random.default_rng(1).integers(0, 3, size=len(y)).astype(float)
    model = GDRegressor(solver=solver, random_state=0, eta0=0.01, max_iter=5)
    all_rows = clone(model).fit(X, y, sample_weight=s)
    some = clone(model).fit(X[s > 0], y[s > 0], sample_weight=s[s > 0])
    assert all_rows.n_iter_ == some.n_iter_
    np.testing.assert_allclose(all_rows.coef_, some.coef_, rtol=1e-14)


@every_loss
def test_integer_weights_are_repeated_rows_for_batch(cls, loss, data):
    X, y = data()
    s = np.random.default_rng(1).integers(0, 4, size=len(y))
    model = cls(loss, solver="batch", eta0=0.05, max_iter=20, tol=None)
    weighted = clone(model).fit(X, y, sample_weight=s)
    repeated = clone(model).fit(np.repeat(X, s, axis=0), np.repeat(y, s))
    assert_same(weighted, repeated, 1e-11)


def test_balanced_classes_count_weights_as_rows():
    X, y = classification()
    s = np.random.default_rng(1).integers(0, 4, size=len(y))
    model = GDClassifier(
        solver="batch", eta0=0.05, max_iter=20, class_weight="balanced"
    )
    weighted = clone(model).fit(X, y, sample_weight=s)
    repeated = clone(model).fit(np.repeat(X, s, axis=0), np.repeat(y, s))
    assert_same(weighted, repeated, 1e-11)


@every_loss
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("factor", [1e-300, 7.0, 1e300])
def test_weights_times_a_constant_change_nothing(cls, loss, data, solver, factor):
    X, y = data()
    s = np.random.default_rng(1).random(len(y)) + 0.1
    model = cls(loss, solver=solver, random_state=0, max_iter=3)
    one = clone(model).fit(X, y, sample_weight=s)
    assert_same(clone(model).fit(X, y, sample_weight=factor * s), one, 1e-11)


@every_loss
@pytest.mark.parametrize("solver", SOLVERS)
def test_equal_weights_are_none(cls, loss, data, solver):
    X, y = data()
    model = cls(loss, solver=solver, random_state=0, max_iter=3)
    equal = clone(model).fit(X, y, sample_weight=np.full(len(y), 3.0))
    assert_same(equal, clone(model).fit(X, y), 0)


def test_class_weights_multiply_sample_weights():
    X, y = classification()
    s = np.random.default_rng(0).random(len(y)) + 0.1
    by_class = {"a": 0.5, "b": 2.0, "c": 1.0}
    model = GDClassifier(random_state=0, max_iter=5)
    both = clone(model).set_params(class_weight=by_class).fit(X, y, sample_weight=s)
    product = s * np.array([by_class[label] for label in y])
    assert_same(both, clone(model).fit(X, y, sample_weight=product))


def test_class_of_weight_zero_is_never_visited():
    X, y = classification()
    model = GDClassifier(
        "hinge", random_state=0, max_iter=2, class_weight={"a": 1, "b": 1, "c": 0}
    ).fit(X, y)
    assert list(model.classes_) == ["a", "b", "c"]
    n_visits = (y != "c").sum()
    assert model.t_ - 1 == 2 * -(-n_visits // 32)


# --------------------------------------------------------------------- scale of targets


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("learning_rate", ["auto", "constant", "invscaling"])
def test_stopping_does_not_depend_on_the_scale_of_y(solver, learning_rate):
    X, y = regression()
    model = GDRegressor(
        solver=solver, eta0=0.02, learning_rate=learning_rate, random_state=0, tol=1e-3
    )
    plain = clone(model).fit(X, y)
    large = clone(model).fit(X, 1e6 * y)
    assert large.n_iter_ == plain.n_iter_ < model.max_iter
    np.testing.assert_allclose(large.coef_, 1e6 * plain.coef_, rtol=1e-8)


# ---------------------------------------------------------------------- reproducibility


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("p", [20, 700])
@pytest.mark.parametrize("n_classes", [2, 12])
def test_same_bits_whatever_the_number_of_threads(solver, storage, p, n_classes):
    rng = np.random.default_rng(0)
    X, y = storage(rng.normal(size=(600, p))), rng.integers(n_classes, size=600)
    results = []
    for n_threads in (1, 2, 4, 1):
        with threadpool_limits(n_threads):
            model = GDClassifier(
                solver=solver, random_state=3, eta0=1e-3, max_iter=3,
                batch_size=200 if solver == "minibatch" else "auto",
            )  # fmt: skip
            results.append(model.fit(X, y).coef_)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_random_state_decides_the_order_of_fit():
    X, y = regression()
    fits = [GDRegressor(random_state=seed, max_iter=3).fit(X, y) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(fits[0].coef_, fits[1].coef_)
    assert np.any(fits[0].coef_ != fits[2].coef_)


def test_random_state_decides_the_order_of_partial_fit():
    X, y = regression()
    calls = [GDRegressor(random_state=0, eta0=0.1) for _ in range(2)]
    for model in calls:
        for _ in range(3):
            model.partial_fit(X, y)
    np.testing.assert_array_equal(calls[0].coef_, calls[1].coef_)


def test_index_arrays_of_two_types():
    X, y = make_regression(60, 5, random_state=0)
    csr = sp.csr_array(X)
    csr.indptr = csr.indptr.astype(np.int64)  # only one of the two
    model = GDRegressor(random_state=0, eta0=0.01)
    assert_same(clone(model).fit(csr, y), clone(model).fit(X, y), 1e-8)
