"""What must always hold of the estimators."""

import io
import pickle
import warnings

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    make_classification,
    make_regression,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
)
from sklearn.model_selection import GridSearchCV, ShuffleSplit, StratifiedShuffleSplit
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from skgd import GDClassifier, GDRegressor
from skgd.objective.table import CLASSIFICATION_LOSSES, REGRESSION_LOSSES
from skgd.optim.schedules import SCHEDULES
from skgd.training import visits as visits_module
from skgd.training.data import LocalData

SOLVERS = ("batch", "minibatch", "sgd")
PENALTIES = (None, "l2", "l1", "elasticnet")
quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
pytestmark = quiet


def regression(n=120, p=6, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    y = X @ rng.normal(size=p) + 0.5 + 0.3 * rng.normal(size=n)
    return X, np.abs(y)  # poisson wants no negative targets


def classification(n=120, p=6, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    z = X @ rng.normal(size=(p, n_classes)) + rng.normal(size=(n, n_classes))
    return X, np.array(["a", "b", "c", "d"])[z.argmax(axis=1)]


ALL_LOSSES = [
    *((GDRegressor, loss, regression) for loss in REGRESSION_LOSSES),
    *((GDClassifier, loss, classification) for loss in CLASSIFICATION_LOSSES),
]
every_loss = pytest.mark.parametrize("cls, loss, data", ALL_LOSSES)


def assert_same(a, b, tolerance=1e-12):
    for name in ("coef_", "intercept_"):
        np.testing.assert_allclose(
            getattr(a, name), getattr(b, name), rtol=tolerance, atol=tolerance
        )


# ------------------------------------------------------- 1: one rule, three solvers


@every_loss
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("average", [False, True])
def test_batch_sizes_one_and_n_are_sgd_and_batch(cls, loss, data, penalty, average):
    X, y = data()
    common = dict(penalty=penalty, eta0=0.01, learning_rate="invscaling", tol=None,
                  max_iter=4, random_state=0, average=average, alpha=0.01)  # fmt: skip
    for storage in (np.asarray, sp.csr_array):
        data_in = storage(X)
        sgd = cls(loss, solver="sgd", **common).fit(data_in, y)
        one = cls(loss, solver="minibatch", batch_size=1, **common).fit(data_in, y)
        assert_same(one, sgd)
        batch = cls(loss, solver="batch", **common).fit(data_in, y)
        for batch_size in (len(y), 10 * len(y)):
            big = cls(loss, batch_size=batch_size, **common).fit(data_in, y)
            assert_same(big, batch)
            assert big.batch_size_ == len(y)


# ------------------------------------------------------------ 3: storage and dtype


@every_loss
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
@pytest.mark.parametrize("average", [False, True])
def test_dense_equals_csr_and_float32_is_close(
    cls, loss, data, solver, penalty, average
):
    X, y = data()
    X[np.abs(X) < 0.8] = 0.0
    model = cls(loss, solver=solver, penalty=penalty, eta0=0.01, max_iter=5, tol=None,
                learning_rate="constant", random_state=0, average=average,
                alpha=0.01)  # fmt: skip
    dense = clone(model).fit(X, y)
    assert dense.coef_.dtype == np.float64
    for index in (np.int32, np.int64):
        csr = sp.csr_array(X)
        csr.indices, csr.indptr = csr.indices.astype(index), csr.indptr.astype(index)
        assert_same(clone(model).fit(csr, y), dense, 1e-10)
        single = clone(model).fit(csr.astype(np.float32), y)
        assert single.coef_.dtype == single.intercept_.dtype == np.float32
        assert_same(single, dense, 1e-4)
    assert_same(clone(model).fit(sp.csr_matrix(X), y), dense, 1e-10)
    assert_same(clone(model).fit(X.astype(np.float32), y), dense, 1e-4)
    assert_same(clone(model).fit(np.asfortranarray(X), y), dense)


# -------------------------------------------------- 5: the batch solver's optimum


def optimum(model, X, y, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        return model.set_params(
            solver="batch", tol=1e-12, max_iter=200_000
        ).fit(X, y, **kwargs)  # fmt: skip


@pytest.mark.parametrize("alpha", [0.01, 0.5])
def test_batch_reaches_the_optimum_of_least_squares(alpha):
    X, y = regression()
    n = len(y)
    peers = {
        "l2": Ridge(alpha=n * alpha),
        "l1": Lasso(alpha=alpha, tol=1e-12),
        "elasticnet": ElasticNet(alpha=alpha, l1_ratio=0.3, tol=1e-12),
    }
    for penalty, peer in peers.items():
        ours = optimum(GDRegressor(penalty=penalty, alpha=alpha, l1_ratio=0.3), X, y)
        peer.fit(X, y)
        np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-5)
        np.testing.assert_allclose(ours.intercept_, peer.intercept_, atol=1e-5)


def test_batch_reaches_the_optimum_of_other_losses():
    X, y = regression(80, 3)
    alpha = 0.1
    ours = optimum(GDRegressor("poisson", alpha=alpha, penalty="l2"), X, y)
    peer = PoissonRegressor(alpha=alpha, tol=1e-12, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.predict(X), peer.predict(X), rtol=1e-4)

    labels = y > np.median(y)
    ours = optimum(GDClassifier(alpha=alpha), X, labels)
    peer = LogisticRegression(C=1 / (alpha * len(y)), tol=1e-12).fit(X, labels)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-5)

    # LinearSVC penalises the intercept, and its squared hinge has no factor.
    ours = optimum(
        GDClassifier("squared_hinge", alpha=alpha, fit_intercept=False), X, labels
    )
    peer = LinearSVC(
        C=1 / (alpha * len(y)), fit_intercept=False, tol=1e-12, max_iter=100_000
    ).fit(X, labels)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-4)


def test_batch_reaches_the_optimum_of_the_quantile_loss():
    """Subgradient steps on a loss with kinks need to fall to get there."""
    X, y = regression(200, 3)
    alpha = 0.02
    peer = QuantileRegressor(quantile=0.8, alpha=alpha).fit(X, y)
    ours = GDRegressor(
        "quantile", quantile=0.8, penalty="l1", alpha=alpha, solver="batch", eta0=1.0,
        learning_rate="invscaling", power_t=0.9, tol=None, max_iter=30_000,
    ).fit(X, y)  # fmt: skip

    def objective(model):
        r = y - model.predict(X)
        return (
            np.mean(np.maximum(0.8 * r, -0.2 * r)) + alpha * np.abs(model.coef_).sum()
        )

    assert objective(ours) < objective(peer) * (1 + 1e-3)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=0.02)


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


# ---------------------------------------------------------------- 6: sample weights


@every_loss
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_weight_zero_is_absence(cls, loss, data, solver, early_stopping):
    X, y = data()
    s = np.random.default_rng(1).integers(0, 3, size=len(y)).astype(float)
    kept = s > 0
    for storage in (np.asarray, sp.csr_array):
        model = cls(loss, solver=solver, random_state=0, max_iter=3, tol=None,
                    early_stopping=early_stopping)  # fmt: skip
        all_rows = clone(model).fit(storage(X), y, sample_weight=s)
        some = clone(model).fit(storage(X[kept]), y[kept], sample_weight=s[kept])
        np.testing.assert_allclose(all_rows.coef_, some.coef_, rtol=1e-13)
        assert all_rows.eta0_ == pytest.approx(some.eta0_, rel=1e-12)
        assert all_rows.t_ == some.t_


def test_weight_zero_is_absence_exactly_for_given_steps():
    X, y = regression()
    s = np.random.default_rng(1).integers(0, 3, size=len(y)).astype(float)
    for solver in SOLVERS:
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
def test_weights_times_a_constant_change_nothing(cls, loss, data, solver):
    X, y = data()
    s = np.random.default_rng(1).random(len(y)) + 0.1
    model = cls(loss, solver=solver, random_state=0, max_iter=3)
    one = clone(model).fit(X, y, sample_weight=s)
    for factor in (1e-300, 7.0, 1e300):
        assert_same(clone(model).fit(X, y, sample_weight=factor * s), one, 1e-11)
    assert_same(
        clone(model).fit(X, y, sample_weight=np.full(len(y), 3.0)),
        clone(model).fit(X, y),
        0,
    )


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


# -------------------------------------------------------------- 7: scale of targets


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


# -------------------------------------------------------------------- 8: divergence


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("average", [False, True])
def test_divergence_is_never_silent(loss, solver, dtype, average):
    X, y = load_diabetes(return_X_y=True, scaled=False)
    X = X.astype(dtype)
    model = GDRegressor(loss, solver=solver, eta0=1.0, random_state=0, average=average)
    with pytest.warns(ConvergenceWarning) as record:
        model.fit(X, y)
    message = str(record[0].message)
    assert np.all(np.isfinite(model.coef_)) and np.all(np.isfinite(model.intercept_))
    assert model.stop_reason_ == "diverged"
    assert "diverged" in message and "too large for these data" in message
    # No worse than the start, and the step size that it names, last, is stable.
    assert np.mean((y - model.predict(X)) ** 2) <= np.mean(y**2) * 1.001
    automatic, scaled, number = (
        message.index(words) for words in ("eta0='auto'", "scale the", "or set eta0=")
    )
    assert automatic < scaled < number
    assert "epochs" in message[number:]
    advised = float(message[number:].split("eta0=")[1].split(" ")[0])
    model.set_params(eta0=advised, max_iter=50, tol=None).fit(X, y)
    assert model.stop_reason_ == "max_iter"
    assert model.loss_curve_[-1] < model.loss_curve_[0]


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_best_coefficients_survive_divergence(solver):
    """A schedule that goes well for ten epochs and then explodes."""
    X, y = regression()
    updates = 10 * {"batch": 1, "minibatch": 4, "sgd": 120}[solver]

    def explode(t, eta0):
        return np.where(t <= updates, eta0, 1e30)

    parameters = dict(solver=solver, eta0=0.02, shuffle=False, tol=None)
    model = GDRegressor(learning_rate=explode, max_iter=30, **parameters)
    with pytest.warns(ConvergenceWarning, match="Gradient descent diverged"):
        model.fit(X, y)
    seen = [
        GDRegressor(learning_rate="constant", max_iter=k, **parameters).fit(X, y).coef_
        for k in range(1, 11)
    ]
    distance = [np.abs(model.coef_ - coef).max() for coef in seen]
    assert min(distance) < 1e-12
    assert np.argmin(distance) >= 5 or solver == "sgd"


def test_diverging_partial_fit_keeps_the_state():
    X, y = regression()
    model = GDRegressor(eta0=0.01, random_state=0).partial_fit(X, y)
    coef, t = model.coef_.copy(), model.t_
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.partial_fit(1e200 * X, y)
    np.testing.assert_array_equal(model.coef_, coef)
    assert model.t_ == t
    model.partial_fit(X, y)
    assert model.t_ > t


# --------------------------------------------------------------- 9: reproducibility


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
                solver=solver, random_state=3, eta0=1e-3, batch_size=200, max_iter=3
            )
            results.append(model.fit(X, y).coef_)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("some", [False, True])
@pytest.mark.parametrize("ahead", ["nothing", "order", "order and targets"])
def test_visits_are_those_of_random_orders(monkeypatch, ahead, some, weighted):
    """Large data draw the next order in a thread, while one is in use."""
    n = visits_module.DRAW_AHEAD_FROM - (ahead == "nothing")
    if ahead == "order":
        monkeypatch.setattr(visits_module, "GATHER_AHEAD_UP_TO", 0)
    y, weight = np.arange(2.0 * n).reshape(n, 2), np.arange(1.0, n + 1)
    rows = np.arange(n, 2 * n) if some else None
    local = LocalData(np.zeros((2 * n, 1)), y, weight if weighted else None, rows)
    generator = np.random.default_rng(0)
    with visits_module.Visits(local, np.random.default_rng(0), n_epochs=4) as visits:
        for _ in range(4):
            drawn = visits.draw()
            if visits.ahead:
                visits.ahead.end()  # is not written over what was drawn
            order = generator.permutation(n)
            np.testing.assert_array_equal(drawn[0], order + n * some)
            np.testing.assert_array_equal(drawn[1], y[order])
            if weighted:
                np.testing.assert_array_equal(drawn[2], weight[order])
            else:
                assert drawn[2] is None


def test_random_state_decides_the_order():
    X, y = regression()
    fits = [GDRegressor(random_state=seed, max_iter=3).fit(X, y) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(fits[0].coef_, fits[1].coef_)
    assert np.any(fits[0].coef_ != fits[2].coef_)
    calls = [GDRegressor(random_state=0, eta0=0.1) for _ in range(2)]
    for model in calls:
        for _ in range(3):
            model.partial_fit(X, y)
    np.testing.assert_array_equal(calls[0].coef_, calls[1].coef_)


# ---------------------------------------------------- 10: partial_fit, warm starts


@every_loss
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "optimal"])
@pytest.mark.parametrize("average", [False, True, 3])
def test_two_epochs_of_fit_are_two_calls_of_partial_fit(
    cls, loss, data, solver, learning_rate, average
):
    X, y = data()
    classes = {} if cls is GDRegressor else {"classes": np.unique(y)}
    model = cls(loss, solver=solver, penalty="elasticnet", eta0=0.01, shuffle=False,
                learning_rate=learning_rate, max_iter=2, tol=None, average=average,
                alpha=1.0)  # fmt: skip
    for storage in (np.asarray, sp.csr_array):
        fitted = clone(model).fit(storage(X), y)
        called = clone(model)
        for _ in range(2):
            called.partial_fit(storage(X), y, **classes)
        assert_same(called, fitted, 1e-11)
        assert called.t_ == fitted.t_
        np.testing.assert_allclose(called.loss_curve_, fitted.loss_curve_, rtol=1e-11)
        assert called.history_["n_updates"] == fitted.history_["n_updates"]


@pytest.mark.parametrize("how", ["pickle", "joblib", "copy"])
@pytest.mark.parametrize("average", [False, True])
def test_a_stored_estimator_goes_on_identically(how, average):
    X, y = classification()
    model = GDClassifier(random_state=0, average=average, eta0=0.1)
    model.partial_fit(X, y, classes=["a", "b", "c"])
    if how == "pickle":
        again = pickle.loads(pickle.dumps(model))
    elif how == "joblib":
        buffer = io.BytesIO()
        joblib.dump(model, buffer)
        buffer.seek(0)
        again = joblib.load(buffer)
    else:
        import copy

        again = copy.deepcopy(model)
    for _ in range(2):
        model.partial_fit(X, y)
        again.partial_fit(X, y)
    np.testing.assert_array_equal(again.coef_, model.coef_)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.loss_curve_ == model.loss_curve_
    fitted = clone(model).fit(X, y)
    np.testing.assert_array_equal(fitted.coef_, clone(model).fit(X, y).coef_)


def test_warm_start_equals_given_start():
    X, y = regression()
    model = GDRegressor(eta0=0.01, max_iter=3, random_state=0)
    first = clone(model).fit(X, y)
    given = clone(model).fit(
        X, y, coef_init=first.coef_, intercept_init=first.intercept_
    )
    warm = clone(model).set_params(warm_start=True).fit(X, y).fit(X, y)
    assert_same(warm, given, 0)
    assert warm.t_ == given.t_ == first.t_
    assert given.loss_curve_[0] < first.loss_curve_[0]


def test_warm_start_goes_on_after_sparsify():
    X, y = classification()
    model = GDClassifier(penalty="l1", alpha=0.05, warm_start=True, random_state=0)
    model.fit(X, y)
    want = clone(model).fit(
        X, y, coef_init=model.coef_, intercept_init=model.intercept_
    )
    model.sparsify()
    assert sp.issparse(model.coef_)
    predicted = model.predict(X)
    assert_same(model.fit(X, y), want)
    model.sparsify().partial_fit(X, y)
    assert not sp.issparse(model.coef_)
    assert model.densify() is model
    assert np.mean(model.predict(X) == predicted) > 0.9


def test_coefficients_set_by_the_user_are_where_partial_fit_starts():
    """Federated learning does this."""
    X, y = regression()
    model = GDRegressor(eta0=1e-9, random_state=0).partial_fit(X, y)
    model.coef_ = np.full(6, 5.0)
    model.intercept_ = np.array([2.0])
    model.partial_fit(X, y)
    np.testing.assert_allclose(model.coef_, 5.0, rtol=1e-6)


@pytest.mark.parametrize("coef", [np.zeros(3), np.full(6, np.nan), np.zeros((2, 6))])
def test_unusable_coefficients_set_by_the_user_are_turned_away(coef):
    X, y = regression()
    model = GDRegressor(eta0=0.01, random_state=0).partial_fit(X, y)
    model.coef_ = coef
    with pytest.raises(ValueError, match=r"coef_ (does not match|contains NaN)"):
        model.partial_fit(X, y)


def test_eta0_set_between_calls_of_partial_fit_counts_at_once():
    X, y = regression()
    model = GDRegressor(eta0=0.01, random_state=0).partial_fit(X, y)
    model.set_params(eta0=0.001).partial_fit(X, y)
    assert model.history_["eta"] == [0.01, 0.001]


def test_partial_fit_takes_weights_as_they_are():
    X, y = regression()
    halves = GDRegressor(eta0=0.1, shuffle=False, solver="batch", alpha=0)
    wholes = clone(halves).set_params(eta0=0.05)
    halves.partial_fit(X, y, sample_weight=np.full(len(y), 0.5))
    wholes.partial_fit(X, y)
    assert_same(halves, wholes)


def test_average_from_a_late_update_on():
    X, y = regression()
    parameters = dict(eta0=0.01, shuffle=False, learning_rate="constant", tol=None)
    late = GDRegressor(average=1000, max_iter=2, **parameters).fit(X, y)
    never = GDRegressor(max_iter=2, **parameters).fit(X, y)
    assert_same(late, never, 0)
    for _ in range(300):
        late.partial_fit(X, y)
    assert np.any(late.coef_ != late._memory.trained.coef[0])


# ---------------------------------------------------------- 11: no copy of the data


@pytest.mark.parametrize("storage", ["C", "float32", "memmap", "csr", "csr_readonly"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("penalty", ["l2", "l1"])
@pytest.mark.parametrize("average", [False, True])
def test_memory_beyond_x_is_small(storage, solver, penalty, average, tmp_path):
    import tracemalloc

    n, p = 40_000, 40
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, p)), rng.normal(size=n)
    if storage == "float32":
        X = X.astype(np.float32)
    elif storage == "memmap":
        np.save(tmp_path / "X.npy", X)
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
    elif storage.startswith("csr"):
        X = sp.csr_array(X)
        if storage == "csr_readonly":
            for array in (X.data, X.indices, X.indptr):
                array.flags.writeable = False
    size = X.nbytes if isinstance(X, np.ndarray) else X.data.nbytes + X.indices.nbytes
    model = GDRegressor(
        solver=solver, penalty=penalty, average=average, max_iter=2, random_state=0
    )
    model.fit(X[:100], y[:100])  # imports, caches
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.05 * size + 12 * 8 * n


def test_read_only_memory_maps_are_not_written_to(tmp_path):
    X, y = classification(2000)
    for name, array in (("X", X), ("s", np.ones(2000))):
        np.save(tmp_path / f"{name}.npy", array)
    X_map = np.load(tmp_path / "X.npy", mmap_mode="r")
    s_map = np.load(tmp_path / "s.npy", mmap_mode="r")
    for solver in SOLVERS:
        model = GDClassifier(solver=solver, random_state=0, max_iter=3)
        assert_same(
            clone(model).fit(X_map, y, sample_weight=s_map), clone(model).fit(X, y), 0
        )


# ------------------------------------------------------------------- early stopping


def test_early_stopping_restores_the_best_coefficients():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    X_val, y_val = X[400:], y[400:]
    model = GDClassifier(
        "hinge", solver="sgd", eta0=0.5, learning_rate="constant", random_state=0,
        early_stopping=True, n_iter_no_change=8,
    ).fit(X[:400], y[:400], X_val=X_val, y_val=y_val)  # fmt: skip
    scores = model.history_["validation_score"]
    assert model.score(X_val, y_val) == max(scores) > scores[-1]
    assert len(scores) == model.n_iter_


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_early_stopping_scores_what_predict_predicts(storage, loss):
    X, y = regression(300)
    s = np.random.default_rng(0).random(300) + 0.1
    model = GDRegressor(
        loss, early_stopping=True, validation_fraction=0.3, random_state=7, max_iter=5,
        average=True,
    ).fit(storage(X), y, sample_weight=s)  # fmt: skip
    split = ShuffleSplit(test_size=0.3, random_state=7)
    val = next(split.split(X))[1]
    assert max(model.history_["validation_score"]) == pytest.approx(
        model.score(X[val], y[val], sample_weight=s[val])
    )


def test_early_stopping_trains_on_the_other_rows_only():
    X, y = load_iris(return_X_y=True)
    parameters = dict(shuffle=False, eta0=0.01, tol=None, max_iter=7, random_state=3)
    stopped = GDClassifier(
        early_stopping=True, validation_fraction=0.4, **parameters
    ).fit(X, y)  # fmt: skip
    split = StratifiedShuffleSplit(test_size=0.4, random_state=3)
    train = np.sort(next(split.split(X, y))[0])
    plain = GDClassifier(**parameters).fit(X[train], y[train])
    assert stopped.loss_curve_ == pytest.approx(plain.loss_curve_, rel=1e-12)


def test_validation_data_in_a_pipeline_are_transformed():
    X, y = load_diabetes(return_X_y=True, scaled=False)
    from sklearn import config_context

    with config_context(enable_metadata_routing=True):
        model = GDRegressor(early_stopping=True, random_state=0).set_fit_request(
            X_val=True, y_val=True
        )
        scaler = StandardScaler()
        pipeline = make_pipeline(scaler, model, transform_input=["X_val"])
        pipeline.fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    assert max(model.history_["validation_score"]) == pytest.approx(
        pipeline.score(X[300:], y[300:])
    )


# ------------------------------------------------------------- use in scikit-learn


@pytest.mark.parametrize("solver", SOLVERS)
def test_grid_search_over_learning_rates_in_a_pipeline(solver):
    X, y = load_diabetes(return_X_y=True, scaled=False)
    pipeline = make_pipeline(
        StandardScaler(), GDRegressor(solver=solver, random_state=0)
    )
    search = GridSearchCV(
        pipeline,
        {"gdregressor__eta0": [1e-4, 1e-3, 1e-2, "auto"],
         "gdregressor__learning_rate": ["constant", "invscaling"]},
        n_jobs=2,
    ).fit(X, y)  # fmt: skip
    assert search.best_score_ > 0.45


@pytest.mark.parametrize("solver", SOLVERS)
def test_defaults_on_real_data(solver):
    X, y = load_diabetes(return_X_y=True)
    model = GDRegressor(solver=solver, random_state=0)
    assert make_pipeline(StandardScaler(), model).fit(X, y).score(X, y) > 0.5
    X, y = load_breast_cancer(return_X_y=True)
    model = GDClassifier(solver=solver, random_state=0)
    assert make_pipeline(StandardScaler(), model).fit(X, y).score(X, y) > 0.97
    X, y = load_digits(return_X_y=True)
    assert clone(model).fit(X, y).score(X, y) > 0.94


def test_pandas_input_and_history():
    pd = pytest.importorskip("pandas")
    X, y = regression()
    frame = pd.DataFrame(X, columns=list("uvwxyz"))
    model = GDRegressor(random_state=0).fit(frame, pd.Series(y))
    assert list(model.feature_names_in_) == list("uvwxyz")
    assert model.predict(frame).shape == y.shape
    table = pd.DataFrame(model.history_)
    assert len(table) == model.n_iter_
    assert list(table["n_updates"].diff()[1:]) == [4] + [1] * (model.n_iter_ - 2)
    assert table["seconds"].is_monotonic_increasing
    assert list(table["objective"]) == model.loss_curve_
    assert list(table) == [
        "objective", "method", "eta", "n_updates", "seconds", "gap", "gradient_norm",
    ]  # fmt: skip
    assert table["gap"].iloc[-1] == model.gap_ <= model.tol
    assert table["objective"].iloc[-1] == model.objective_


def test_history_has_equal_lengths_after_early_stopping_and_partial_fit():
    X, y = regression()
    model = GDRegressor(early_stopping=True, random_state=0, max_iter=4).fit(X, y)
    model.set_params(early_stopping=False).partial_fit(X, y)
    assert {len(column) for column in model.history_.values()} == {5}
    assert np.isnan(model.history_["validation_score"][-1])


def test_objective_of_batch_is_exact():
    X, y = regression()
    model = GDRegressor(
        solver="batch", penalty="elasticnet", alpha=0.1, eta0=0.1, max_iter=5, tol=None
    ).fit(X, y)
    again = clone(model).set_params(max_iter=4).fit(X, y)
    w = again.coef_
    want = np.mean((y - again.predict(X)) ** 2) / 2 + 0.1 * (
        0.85 / 2 * w @ w + 0.15 * np.abs(w).sum()
    )
    assert model.loss_curve_[-1] == pytest.approx(want, rel=1e-12)


def test_verbose_prints_a_line_an_epoch(capsys):
    X, y = regression()
    GDRegressor(verbose=1, max_iter=3, tol=None, early_stopping=True).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert lines.pop() == "ended after 3 epochs: max_iter"
    assert len(lines) == 3
    assert lines[2].startswith("epoch    3  objective")
    assert "validation score" in lines[2]


@pytest.mark.parametrize("learning_rate", SCHEDULES)
def test_schedules_by_their_formulas(learning_rate):
    X, y = regression()
    model = GDRegressor(
        solver="sgd", eta0=0.02, power_t=0.4, alpha=0.5, learning_rate=learning_rate,
        max_iter=2, tol=None,
    ).fit(X, y)  # fmt: skip
    t = np.array([120, 240])
    want = {
        "constant": [0.02, 0.02],
        "invscaling": 0.02 / t**0.4,
        "optimal": 1 / (0.5 * (0.5**-0.75 + t - 1)),
    }[learning_rate]
    np.testing.assert_allclose(model.history_["eta"], want)


def test_callable_schedule():
    X, y = regression()
    seen = []

    def schedule(t, eta0):
        seen.append((t.copy(), eta0))
        return eta0 / np.sqrt(t)

    model = GDRegressor(
        solver="sgd", learning_rate=schedule, eta0=0.03, max_iter=2, tol=None,
        random_state=0,
    )  # fmt: skip
    model.fit(X, y)
    np.testing.assert_array_equal(
        np.concatenate([t for t, _ in seen]), np.arange(1, 241)
    )
    same = clone(model).set_params(learning_rate="invscaling", power_t=0.5).fit(X, y)
    assert_same(model, same)
    clone(model).set_params(learning_rate=lambda t, eta0: eta0).fit(X, y)


def test_adaptive_lowers_the_step_and_ends():
    X, y = regression()
    model = GDRegressor(
        solver="sgd", eta0=0.1, learning_rate="adaptive", random_state=0
    )
    model.fit(X, y)
    steps = np.unique(model.history_["eta"])[::-1]
    np.testing.assert_allclose(steps[:-1] / steps[1:], 5.0)
    assert steps[-1] <= 1e-4 * 0.1 < steps[-2]
    assert model.n_iter_ < model.max_iter


def test_probabilities():
    X, y = classification()
    for loss in ("log_loss", "modified_huber"):
        for labels in (y, y == "a"):
            model = GDClassifier(loss, random_state=0).fit(X, labels)
            p = model.predict_proba(X)
            np.testing.assert_allclose(p.sum(axis=1), 1.0)
            with np.errstate(divide="ignore"):
                np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), p)
            agree = model.classes_[p.argmax(axis=1)] == model.predict(X)
            assert agree.mean() > 0.9
    for loss in set(CLASSIFICATION_LOSSES) - {"log_loss", "modified_huber"}:
        assert not hasattr(GDClassifier(loss), "predict_proba")


def test_probabilities_where_all_classes_are_ruled_out():
    X, y = classification()
    model = GDClassifier("modified_huber", random_state=0).fit(X, y)
    model.coef_[:] = 0.0
    model.intercept_[:] = -5.0
    np.testing.assert_allclose(model.predict_proba(X), 1 / 3)


def test_index_arrays_of_two_types():
    X, y = make_regression(60, 5, random_state=0)
    csr = sp.csr_array(X)
    csr.indptr = csr.indptr.astype(np.int64)  # only one of the two
    model = GDRegressor(random_state=0, eta0=0.01)
    assert_same(clone(model).fit(csr, y), clone(model).fit(X, y), 1e-8)


def test_many_classes():
    X, y = make_classification(
        800, 30, n_informative=20, n_classes=20, n_clusters_per_class=1, random_state=0
    )
    for storage in (np.asarray, sp.csr_array):
        model = GDClassifier(random_state=0).fit(storage(X), y)
        assert model.coef_.shape == (20, 30)
        assert model.score(X, y) > 0.5
