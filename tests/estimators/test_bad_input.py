"""Bad input: a clear error or a right answer, and nothing half-changed."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.linear_model import Ridge

from samples import SOLVERS
from skgd import GDClassifier, GDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 5))
Y = X @ rng.normal(size=5)
LABELS = np.where(Y > 0, "yes", "no")


def snapshot(estimator):
    return {
        key: value.copy() if hasattr(value, "copy") else value
        for key, value in vars(estimator).items()
    }


def assert_unchanged(estimator, before):
    after = vars(estimator)
    assert after.keys() == before.keys()
    for key, value in before.items():
        np.testing.assert_equal(after[key], value, err_msg=key)


def with_value(value, where=(3, 2)):
    bad = X.copy()
    bad[where] = value
    return bad


def target_with(value):
    bad = Y.copy()
    bad[3] = value
    return bad


BAD_CALLS = {
    "NaN in X": (dict(X=with_value(np.nan)), "Input X contains NaN"),
    "inf in X": (dict(X=with_value(np.inf)), "Input X contains infinity"),
    "NaN in CSR": (dict(X=sp.csr_array(with_value(np.nan))), "Input X contains NaN"),
    "1D X": (dict(X=X[0]), "Expected 2D array, got 1D array"),
    "3D X": (dict(X=X[None]), "Found array with dim 3"),
    "no rows": (dict(X=X[:0], y=Y[:0]), "minimum of 1 is required"),
    "no features": (dict(X=X[:, :0]), "minimum of 1 is required"),
    "strings in X": (dict(X=np.full((40, 5), "a")), "could not convert string"),
    "other lengths": (dict(y=Y[:-1]), "inconsistent numbers of samples"),
    "short weights": (dict(sample_weight=np.ones(39)), r"shape"),
    "2D weights": (dict(sample_weight=np.ones((40, 1))), "must be 1D array or scalar"),
    "NaN weights": (dict(sample_weight=np.full(40, np.nan)), "contains NaN"),
    "negative weights": (
        dict(sample_weight=np.r_[-1.0, np.ones(39)]),
        "Negative values in data passed to `sample_weight`",
    ),
}
BAD_FIT_CALLS = {
    "weights of zero": (
        dict(sample_weight=np.zeros(40)),
        "Sample weights must contain at least one non-zero number",
    ),
    "coef_init": (dict(coef_init=np.zeros(4)), "coef_init does not match"),
    "coef_init NaN": (dict(coef_init=np.full(5, np.nan)), "coef_init contains NaN"),
    "intercept_init": (dict(intercept_init=np.zeros(2)), "intercept_init does not"),
    "X_val alone": (dict(X_val=X), "y_val was not provided"),
    "y_val alone": (dict(y_val=Y), "X_val was not provided"),
    "sample_weight_val alone": (
        dict(sample_weight_val=np.ones(40)),
        "X_val was not provided",
    ),
    "X_val, no stopping": (dict(X_val=X, y_val=Y), "early_stopping is False"),
}
BAD_PARAMETERS = {
    "batch_size 0": (dict(batch_size=0), "'batch_size' parameter"),
    "batch_size 2.5": (dict(batch_size=2.5), "'batch_size' parameter"),
    "eta0 0": (dict(eta0=0), "eta0 must be > 0"),
    "eta0 negative": (dict(eta0=-1.0), "'eta0' parameter"),
    "solver": (dict(solver="adam"), "'solver' parameter"),
    "loss": (dict(loss="nonsense"), "'loss' parameter"),
    "penalty": (dict(penalty="l3"), "'penalty' parameter"),
    "alpha": (dict(alpha=-1), "'alpha' parameter"),
    "learning_rate": (dict(learning_rate="pa1"), "'learning_rate' parameter"),
    "tol": (dict(tol=-1.0), "'tol' parameter"),
    "l1_ratio": (dict(penalty="elasticnet", l1_ratio=None), "l1_ratio must be set"),
    "optimal": (dict(learning_rate="optimal", alpha=0), "alpha must be > 0 since"),
    "schedule shape": (
        dict(learning_rate=lambda t, eta0: np.ones(len(t) + 1)),
        "one step size for each update",
    ),
    "schedule NaN": (
        dict(learning_rate=lambda t, eta0: t * np.nan),
        "finite, nonnegative step sizes",
    ),
    "schedule raises": (dict(learning_rate=lambda t, eta0: t.nonsense), "nonsense"),
}


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("cls", [GDRegressor, GDClassifier])
@pytest.mark.parametrize("case", [*BAD_CALLS, *BAD_FIT_CALLS, *BAD_PARAMETERS])
def test_errors_are_clear_and_leave_the_estimator_alone(case, cls, method, fitted):
    y = Y if cls is GDRegressor else LABELS
    arguments, parameters = dict(X=X, y=y), {}
    if case in BAD_PARAMETERS:
        parameters, message = BAD_PARAMETERS[case]
    else:
        changed, message = (BAD_CALLS | BAD_FIT_CALLS)[case]
        changed = {
            key: LABELS[: len(value)] if key.startswith("y") and cls is GDClassifier
            else value
            for key, value in changed.items()
        }  # fmt: skip
        arguments |= changed
    if method == "partial_fit":
        if case in BAD_FIT_CALLS:
            pytest.skip("allowed, or an argument of fit only")
        if cls is GDClassifier and not fitted:
            arguments["classes"] = ["no", "yes"]
    model = cls(random_state=0, max_iter=3, average=True)
    if fitted:
        model.fit(X, y)
    model.set_params(**parameters)
    before = snapshot(model)
    with pytest.raises((ValueError, AttributeError), match=message):
        getattr(model, method)(**arguments)
    assert_unchanged(model, before)


@pytest.mark.parametrize(
    "y, message",
    [
        (target_with(np.nan), "contains NaN"),
        (target_with(np.inf), "contains infinity"),
        (np.zeros((40, 2, 2)), "dim 3"),
        (np.c_[Y, target_with(np.nan)], "contains NaN"),
        (np.full(40, "a"), "could not convert string"),
    ],
)
def test_bad_targets_of_the_regressor(y, message):
    model = GDRegressor()
    before = snapshot(model)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert_unchanged(model, before)


def test_negative_counts():
    with pytest.raises(
        ValueError, match="out of the valid range of the loss 'poisson'"
    ):
        GDRegressor("poisson").fit(X, Y)


def test_cauchy_without_a_width():
    with pytest.raises(ValueError, match="epsilon must be > 0"):
        GDRegressor("cauchy", epsilon=0).fit(X, Y)


@pytest.mark.parametrize(
    "y, weight, message",
    [
        (np.zeros(40), None, "greater than one; got 1 class"),
        (LABELS, LABELS == "yes", "greater than one; got 1 class"),
        (Y, None, "Unknown label type"),
    ],
)
def test_bad_labels(y, weight, message):
    with pytest.raises(ValueError, match=message):
        GDClassifier().fit(X, y, sample_weight=weight)


def test_the_first_call_of_partial_fit_wants_the_classes():
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        GDClassifier().partial_fit(X, LABELS)


@pytest.mark.parametrize(
    "y, classes, message",
    [
        (np.full(40, "maybe"), None, "previously unseen labels"),
        (LABELS, ["no", "yes", "maybe"], "is not the same as on last call"),
    ],
)
def test_bad_labels_after_the_first_call_of_partial_fit(y, classes, message):
    model = GDClassifier(random_state=0).partial_fit(X, LABELS, classes=["no", "yes"])
    before = snapshot(model)
    with pytest.raises(ValueError, match=message):
        model.partial_fit(X, y, classes=classes)
    assert_unchanged(model, before)


def test_bad_labels_of_validation_data():
    with pytest.raises(ValueError, match="previously unseen labels"):
        GDClassifier(early_stopping=True).fit(
            X, LABELS, X_val=X, y_val=np.full(40, "maybe")
        )


@pytest.mark.parametrize(
    "weights, message",
    [
        ({"nope": 1.0}, "are not in class_weight"),
        ({"no": 1.0, "yes": -1.0}, "Negative values in data passed to `class_weight`"),
        ({"no": 0, "yes": 0}, "at least one non-zero"),
    ],
)
def test_bad_class_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        GDClassifier(class_weight=weights).fit(X, LABELS)


def test_balanced_classes_of_partial_fit():
    with pytest.raises(ValueError, match="'balanced' is not supported for partial_fit"):
        GDClassifier(class_weight="balanced").partial_fit(
            X, LABELS, classes=["no", "yes"]
        )


def test_too_few_rows_to_set_some_aside():
    with pytest.raises(ValueError, match="less than two samples"):
        GDRegressor(early_stopping=True, validation_fraction=0.01).fit(X, Y)
    with pytest.raises(ValueError, match="least populated class"):
        GDClassifier(early_stopping=True).fit(X[:5], ["a", "b", "b", "b", "b"])


@pytest.mark.parametrize("cls, y", [(GDRegressor, Y), (GDClassifier, LABELS)])
def test_early_stopping_of_partial_fit(cls, y):
    with pytest.raises(ValueError, match="early_stopping should be False"):
        cls(early_stopping=True).partial_fit(X, y)


def test_a_failing_fit_can_be_repaired():
    model = GDRegressor(random_state=0).fit(X, Y)
    want = clone(model).fit(X[:, :3], Y)
    with pytest.raises(ValueError):
        model.fit(with_value(np.nan)[:, :4], Y)
    assert model.n_features_in_ == 5
    np.testing.assert_array_equal(model.fit(X[:, :3], Y).coef_, want.coef_)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_one_row(solver, storage):
    model = GDRegressor(solver=solver, alpha=0, tol=None, random_state=0)
    model.fit(storage(np.array([[2.0, 0.0]])), [3.0])
    np.testing.assert_allclose(model.predict([[2.0, 0.0]]), [3.0], rtol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_one_feature(solver, storage):
    x = np.arange(10.0)[:, None] / 10
    model = GDRegressor(solver=solver, alpha=0, tol=None, max_iter=3000, random_state=0)
    model.fit(storage(x), 3 * x[:, 0] + 1)
    np.testing.assert_allclose([*model.coef_, *model.intercept_], [3, 1], atol=1e-3)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_features_that_do_not_vary(solver, storage):
    constant = np.column_stack([X, np.zeros(40), np.ones(40)])
    model = GDRegressor(solver=solver, alpha=0.01, random_state=0).fit(
        storage(constant), Y
    )
    assert model.coef_[5] == 0.0
    assert model.score(constant, Y) > 0.95
    nothing = GDRegressor(solver=solver, random_state=0).fit(
        storage(np.zeros((40, 2))), Y + 3
    )
    np.testing.assert_array_equal(nothing.coef_, 0.0)
    np.testing.assert_allclose(nothing.intercept_, np.mean(Y + 3), atol=0.6)
    nothing = GDRegressor(solver=solver, fit_intercept=False).fit(
        storage(np.zeros((40, 2))), Y
    )
    np.testing.assert_array_equal(nothing.predict(X[:, :2]), 0.0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_targets_of_zero(solver):
    model = GDRegressor(solver=solver, random_state=0).fit(X, np.zeros(40))
    np.testing.assert_array_equal(model.coef_, 0.0)
    assert model.n_iter_ < 1000


def unsorted_with_duplicates():
    """X as CSR with reversed rows, each value as a sum of two entries."""
    columns = np.tile(np.r_[np.arange(5)[::-1], np.arange(5)], 40)
    values = np.concatenate([np.r_[row[::-1] / 2, row / 2] for row in X])
    return sp.csr_matrix((values, columns, np.arange(0, 401, 10)), shape=X.shape)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
def test_csr_that_is_not_canonical(solver, penalty):
    messy = unsorted_with_duplicates()
    assert not messy.has_canonical_format
    data = messy.data.copy()
    parameters = dict(
        solver=solver, penalty=penalty, alpha=0.1, eta0=0.01, average=True
    )
    model = GDRegressor(max_iter=5, random_state=0, **parameters)
    want = clone(model).fit(X, Y)
    np.testing.assert_allclose(model.fit(messy, Y).coef_, want.coef_, rtol=1e-10)
    np.testing.assert_array_equal(messy.data, data)  # left as it was


@pytest.mark.parametrize("format", ["csc", "coo", "lil"])
def test_other_sparse_formats(format):
    model = GDRegressor(max_iter=5, random_state=0, eta0=0.01)
    want = clone(model).fit(X, Y).coef_
    got = clone(model).fit(sp.csr_array(X).asformat(format), Y).coef_
    np.testing.assert_allclose(got, want, rtol=1e-10)


def test_integers_booleans_and_lists():
    model = GDRegressor(max_iter=5, random_state=0, eta0=0.01)
    integers = np.round(3 * X).astype(int)
    want = clone(model).fit(integers.astype(float), Y).coef_
    np.testing.assert_array_equal(clone(model).fit(integers, Y).coef_, want)
    np.testing.assert_array_equal(
        clone(model).fit(integers.tolist(), list(Y)).coef_, want
    )
    assert clone(model).fit(X > 0, Y > 0).coef_.dtype == np.float64


def test_batch_size_beyond_the_rows_means_all_of_them():
    model = GDRegressor(batch_size=10**9, max_iter=5, random_state=0, eta0=0.01)
    model.fit(X, Y)
    assert model.batch_size_ == 40 and model.t_ == 6


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e30, 1e150])
@pytest.mark.parametrize("solver", SOLVERS)
def test_extreme_scales_of_features(scale, solver):
    """With no intercept and no penalty, scaling X is scaling coefficients."""
    parameters = dict(solver=solver, alpha=0, fit_intercept=False, random_state=0)
    model = GDRegressor(**parameters).fit(scale * X, Y)
    assert model.score(scale * X, Y) > 0.99


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("cls, y", [(GDRegressor, Y), (GDClassifier, LABELS)])
def test_extreme_rows_end_in_finite_coefficients(cls, y, solver):
    model = cls(solver=solver, random_state=0, max_iter=20).fit(with_value(1e300), y)
    assert np.all(np.isfinite(model.coef_))
    assert np.all(np.isfinite(model.intercept_))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("penalty", ["l1", "l2", "elasticnet"])
def test_heavy_penalties_end_at_zero(penalty, solver):
    model = GDRegressor(solver=solver, penalty=penalty, alpha=1e6, random_state=0)
    np.testing.assert_allclose(model.fit(X, Y).coef_, 0.0, atol=1e-4)


def test_more_features_than_rows():
    wide = rng.normal(size=(10, 50))
    y = rng.normal(size=10)
    model = GDRegressor(solver="batch", alpha=0.1, tol=1e-12, max_iter=20_000)
    want = Ridge(alpha=10 * 0.1).fit(wide, y)
    np.testing.assert_allclose(model.fit(wide, y).coef_, want.coef_, atol=1e-5)
