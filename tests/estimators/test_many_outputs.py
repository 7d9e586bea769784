"""Several targets, and several classes by softmax."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, load_linnerud
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, r2_score
from sklearn.preprocessing import StandardScaler

from objectives import constant_objective, objective
from samples import SOLVERS
from skgd import GDClassifier, GDRegressor
from skgd.kernels import loss_totals
from skgd.objective.classification import Multinomial
from skgd.objective.table import REGRESSION_LOSSES
from skgd.objective.targets import Targets

STORAGES = [np.asarray, sp.csr_array]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def targets(n=60, p=5, n_outputs=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * (rng.random((n, p)) < 0.7)
    Y = X @ rng.normal(size=(p, n_outputs)) + rng.normal(size=(n, n_outputs))
    return X, Y, rng.random(n) + 0.1


def classes(n=150, p=6, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * (rng.random((n, p)) < 0.7)
    Z = X @ rng.normal(size=(p, n_classes)) + rng.normal(size=(n, n_classes))
    return X, np.array(list("dbca"))[Z.argmax(axis=1)], rng.random(n) + 0.1


# ------------------------------------------------------------- several targets


@pytest.mark.parametrize("loss", REGRESSION_LOSSES)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "penalty, average, weighted",
    [("l2", False, False), ("elasticnet", True, True), (None, False, True)],
)
def test_several_targets_equal_separate_fits(
    loss, solver, storage, dtype, penalty, average, weighted
):
    X, Y, s = targets()
    X = storage(X.astype(dtype))
    Y = np.abs(Y) if loss == "poisson" else Y
    weight = s if weighted else None
    model = GDRegressor(
        loss, solver=solver, batch_size=7 if solver == "minibatch" else "auto",
        penalty=penalty, alpha=0.05, eta0=0.02, learning_rate="invscaling", max_iter=4,
        tol=None, random_state=0, average=average,
    )  # fmt: skip
    together = clone(model).fit(X, Y, sample_weight=weight)
    separate = [clone(model).fit(X, y, sample_weight=weight) for y in Y.T]
    tolerance = 1e-10 if dtype == np.float64 else 1e-5
    for name in ("coef_", "intercept_"):
        np.testing.assert_allclose(
            getattr(together, name).reshape(3, -1),
            np.stack([np.ravel(getattr(one, name)) for one in separate]),
            rtol=tolerance,
            atol=tolerance,
        )
    np.testing.assert_allclose(
        together.predict(X),
        np.stack([one.predict(X) for one in separate], axis=1),
        rtol=10 * tolerance,
        atol=10 * tolerance,
    )
    np.testing.assert_allclose(
        together.loss_curve_, np.sum([one.loss_curve_ for one in separate], axis=0)
    )


@pytest.mark.parametrize(
    "columns, coef, prediction",
    [
        (0, (5,), (60,)),
        (slice(1), (1, 5), (60, 1)),
        (slice(3), (3, 5), (60, 3)),
    ],
)
def test_shapes_follow_those_of_y(columns, coef, prediction):
    X, Y, _ = targets()
    model = GDRegressor(random_state=0).fit(X, Y[:, columns])
    assert model.coef_.shape == coef
    assert model.n_outputs_ == len(model.intercept_)
    assert model.predict(X).shape == prediction
    again = pickle.loads(pickle.dumps(model)).sparsify()
    np.testing.assert_allclose(again.predict(X), model.predict(X))


def test_one_column_of_targets_is_fitted_as_a_line_of_them():
    X, Y, _ = targets()
    column = GDRegressor(random_state=0).fit(X, Y[:, :1])
    line = GDRegressor(random_state=0).fit(X, Y[:, 0])
    np.testing.assert_array_equal(column.coef_[0], line.coef_)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_defaults_reach_the_optimum_for_several_targets(solver, weighted):
    X, Y = load_linnerud(return_X_y=True)
    weight = np.linspace(0.5, 2.0, len(X)) if weighted else np.ones(len(X))
    ridge = Ridge(alpha=0.1 * len(X))
    ridge.fit(X, Y, sample_weight=weight / weight.mean())
    model = GDRegressor(solver=solver, alpha=0.1, random_state=0)
    model.fit(X, Y, sample_weight=weight if weighted else None)
    least = objective(model, X, Y, ridge.coef_, ridge.intercept_, weight)
    constant = constant_objective(model, X, Y, weight)
    value = objective(model, X, Y, weight=weight)
    assert value - least < 0.01 * (constant - least)


def test_early_stopping_with_several_targets():
    X, Y, s = targets(200)
    model = GDRegressor(early_stopping=True, random_state=0).fit(
        X[:100], Y[:100], X_val=X[100:], y_val=Y[100:], sample_weight_val=s[100:]
    )
    want = r2_score(Y[100:], model.predict(X[100:]), sample_weight=s[100:])
    assert max(model.history_["validation_score"]) == pytest.approx(want)


def test_partial_fit_with_several_targets():
    X, Y, _ = targets(200)
    model = GDRegressor(eta0=0.01, learning_rate="constant", shuffle=False)
    for _ in range(3):
        model.partial_fit(X, Y)
    fitted = clone(model).set_params(max_iter=3, tol=None).fit(X, Y)
    np.testing.assert_allclose(model.coef_, fitted.coef_, rtol=1e-12)


@pytest.mark.parametrize("columns", [0, slice(2)])
def test_fewer_targets_than_before_are_turned_away(columns):
    X, Y, _ = targets(200)
    model = GDRegressor(eta0=0.01).partial_fit(X, Y)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="coef_ does not match"):
        model.partial_fit(X, Y[:, columns])
    assert vars(model) == before


def test_a_stream_of_several_targets():
    X, Y, _ = targets(200)
    streamed = GDRegressor(random_state=0)
    for start in range(0, 200, 50):
        streamed.partial_fit(X[start : start + 50], Y[start : start + 50])
    assert streamed.score(X, Y) > 0.5 * GDRegressor().fit(X, Y).score(X, Y)


def test_a_kinked_loss_takes_steps_that_fit_its_narrowest_target():
    X, Y, _ = targets(500)
    Y = np.column_stack([Y[:, 0], 0.01 * Y[:, 1]])
    model = GDRegressor("absolute_error", alpha=0.0, random_state=0).fit(X, Y)
    for k, y in enumerate(Y.T):
        alone = GDRegressor("absolute_error", alpha=0.0, random_state=0).fit(X, y)
        error = np.abs(model.predict(X)[:, k] - y).mean()
        assert error < 1.1 * np.abs(alone.predict(X) - y).mean()


# ---------------------------------------------------------------------- softmax


def test_multinomial_loss_by_its_formula():
    rng = np.random.default_rng(0)
    z, labels = 5 * rng.normal(size=(40, 6)), rng.integers(6, size=40)
    index, s = labels[:, None].astype(float), rng.random(40)
    want = -log_softmax(z, axis=1)[np.arange(40), labels]
    totals = loss_totals(Multinomial(), index, s, z)
    assert totals[0] == pytest.approx(s @ want)
    assert not totals[1:].any()
    nan = np.full((1, 6), np.nan)
    assert np.isnan(loss_totals(Multinomial(), index[:1], None, nan)[0])


@pytest.mark.parametrize("scale", [1e3, 1e300])
@pytest.mark.parametrize("label, value", [(0, 0.0), (1, 2.0), (2, 1.0)])
def test_multinomial_loss_of_extreme_predictions(label, value, scale):
    z = scale * np.array([[1.0, -1.0, 0.0]])
    got = loss_totals(Multinomial(), np.array([[float(label)]]), None, z)
    assert got[0] == pytest.approx(scale * value)


def test_multinomial_constant_is_the_best_one():
    rng = np.random.default_rng(0)
    index = rng.integers(3, size=(50, 1)).astype(float)
    s = rng.random(50)
    best = Multinomial().constant(Targets(index, s), 3)
    assert best.sum() == pytest.approx(0.0)
    share = np.bincount(index[:, 0].astype(int), s) / s.sum()
    np.testing.assert_allclose(softmax(best), share)
    absent = Multinomial().constant(Targets(index, s), 4)
    assert np.isfinite(absent).all()
    assert absent[3] < absent[:3].min()


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
def test_batch_reaches_logistic_regression(storage, dtype, weighted):
    X, y, s = classes()
    s = s if weighted else np.ones(len(y))
    alpha, weights = 0.01, {"a": 1.0, "b": 2.0, "c": 0.5, "d": 1.0}
    model = GDClassifier(
        solver="batch",
        alpha=alpha,
        tol=0.0,
        class_weight=weights,
        max_iter=5000,
        random_state=0,
    ).fit(storage(X.astype(dtype)), y, sample_weight=s)
    total = (s * np.array([weights[label] for label in y])).sum()
    peer = LogisticRegression(C=1 / (alpha * total), class_weight=weights, tol=1e-10)
    peer.set_params(max_iter=10_000).fit(X, y, sample_weight=s)
    tolerance = 3e-4 if dtype == np.float64 else 1e-3
    np.testing.assert_allclose(model.coef_, peer.coef_, atol=tolerance)
    np.testing.assert_allclose(
        model.predict_proba(X), peer.predict_proba(X), atol=tolerance
    )
    np.testing.assert_allclose(
        model.predict_log_proba(X), np.log(model.predict_proba(X))
    )


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X, y, LogisticRegression(C=1 / (1e-3 * len(y)), max_iter=5000).fit(X, y)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("storage", STORAGES)
def test_defaults_are_near_logistic_regression(digits, solver, storage):
    X, y, peer = digits
    model = GDClassifier(solver=solver, alpha=1e-3, random_state=0).fit(storage(X), y)
    ours, theirs = (
        log_loss(y, m.predict_proba(X)) + 5e-4 * (m.coef_**2).sum()
        for m in (model, peer)
    )
    assert ours - theirs < 0.02 * (np.log(10) - theirs)
    assert model.score(X, y) > peer.score(X, y) - 0.01


def test_probabilities_of_many_classes():
    X, y, _ = classes()
    model = GDClassifier(random_state=0).fit(X, y)
    p = model.predict_proba(X)
    np.testing.assert_allclose(p, softmax(model.decision_function(X), axis=1))
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    np.testing.assert_array_equal(model.classes_[p.argmax(axis=1)], model.predict(X))
    far = 1e4 * X
    assert np.isfinite(model.predict_log_proba(far)).all()


def test_other_losses_stay_one_vs_rest():
    X, y, _ = classes()
    hinge = GDClassifier("hinge", random_state=0).fit(X, y)
    for k, label in enumerate(hinge.classes_):
        alone = GDClassifier("hinge", solver="batch").fit(X, y == label)
        assert np.corrcoef(alone.coef_[0], hinge.coef_[k])[0, 1] > 0.95


@pytest.mark.parametrize("eta0", ["auto", 0.1])
def test_a_class_that_comes_late(eta0):
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = GDClassifier(random_state=0, eta0=eta0)
    model.partial_fit(X[:100], y[:100], classes=[0, 1, 2])
    assert set(model.predict(X[:100])) <= {0, 1}
    for _ in range(30):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.9
