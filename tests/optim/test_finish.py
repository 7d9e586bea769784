"""The finish: it ends at the optimum, and what it says of the end is true."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor
from skgd.optim.finish import Finish
from skgd.optim.l1 import Orthant, Proximal
from skgd.optim.sample import Sample

SOLVERS = ("batch", "minibatch", "sgd")
ALPHA = 1e-4


def values(model, y, Z):
    """The loss of each row at linear predictions (n, K)."""
    if getattr(model, "classes_", None) is not None:
        if model.loss == "log_loss" and Z.shape[1] > 1:
            largest = Z.max(axis=1)
            total = np.exp(Z - largest[:, None]).sum(axis=1)
            truth = np.searchsorted(model.classes_, y)
            return largest + np.log(total) - Z[np.arange(len(y)), truth]
        y = np.where(y[:, None] == model.classes_, 1.0, -1.0)[:, -Z.shape[1] :]
    else:
        y = y.reshape(len(y), -1)
    return model._one_loss().value_and_slope(y, Z)[0].sum(axis=1)


def objective(model, X, y, coef=None, intercept=None, weight=None):
    coef = np.atleast_2d(model.coef_ if coef is None else coef).astype(float)
    intercept = model.intercept_ if intercept is None else intercept
    Z = np.asarray(X @ coef.T) + intercept
    l1 = {"l1": 1.0, "elasticnet": model.l1_ratio}.get(model.penalty, 0.0)
    penalty = l1 * np.abs(coef).sum() + (1.0 - l1) / 2 * (coef**2).sum()
    mean = np.average(values(model, y, Z), weights=weight)
    return mean + (model.alpha * penalty if model.penalty else 0.0)


def constant(model, X, y, weight=None):
    """The objective of the best constant model."""
    K = np.atleast_2d(model.coef_).shape[0]
    best = model._loss().constant(model._encode(y).astype(float), weight, K)
    return objective(model, X, y, np.zeros((K, X.shape[1])), best, weight)


def optimum(model, X, y):
    """The least objective of a smooth loss by Newton's method, of K (p + 1) unknowns.

    In standardised features, with a line search; the Hessian by differences.
    """
    K, p = np.atleast_2d(model.coef_).shape
    mean, scale = X.mean(axis=0), X.std(axis=0)
    scale = np.where(scale > 1e-12 * np.abs(mean), scale, np.inf)

    def unpacked(u):
        w = u.reshape(K, p + 1)
        coef = w[:, :-1] / scale
        return coef, w[:, -1] - coef @ mean

    Z = np.column_stack([(X - mean) / scale, np.ones(len(X))])
    penalty = np.tile(np.append(model.alpha / scale**2, 0.0), K)
    loss = model._one_loss()
    target = y.reshape(len(y), -1)
    if hasattr(model, "classes_"):
        target = np.where(y[:, None] == model.classes_, 1.0, -1.0)[:, -K:]
    softmax = hasattr(model, "classes_") and model.loss == "log_loss" and K > 1

    def slopes(u):
        z = Z @ u.reshape(K, p + 1).T
        if softmax:
            e = np.exp(z - z.max(axis=1, keepdims=True))
            return e / e.sum(axis=1, keepdims=True) - (target > 0)
        return loss.value_and_slope(target, z)[1]

    def hessian(u):
        z = Z @ u.reshape(K, p + 1).T
        H = np.zeros((K, p + 1, K, p + 1))
        e = np.exp(z - z.max(axis=1, keepdims=True))
        P = e / e.sum(axis=1, keepdims=True)
        for i in range(K):
            for j in range(K):
                if softmax:
                    h = P[:, i] * ((i == j) - P[:, j])
                elif i == j:
                    h = loss.second_derivative(target[:, i], z[:, i], 0.0, 1e-6)
                else:
                    continue
                H[i, :, j] = (Z * h[:, None]).T @ Z / len(Z)
        H = H.reshape(len(u), len(u)) + np.diag(penalty)
        return H + 1e-14 * np.trace(H) / len(u) * np.eye(len(u))

    def f(u):
        with np.errstate(over="ignore"):
            return objective(model, X, y, *unpacked(u))

    u = np.zeros((K, p + 1))
    u[:, -1] = model._loss().constant(model._encode(y).astype(float), None, K)
    u, value = u.ravel(), f(u.ravel())
    for _ in range(200):
        g = (slopes(u).T @ Z / len(Z)).ravel() + penalty * u
        step, t = np.linalg.lstsq(hessian(u), g, rcond=None)[0], 1.0
        while t > 1e-10 and not f(u - t * step) <= value - 1e-4 * t * g @ step:
            t /= 2
        if t <= 1e-10:
            break
        u, before, value = u - t * step, value, f(u - t * step)
        if before - value < 1e-14 * abs(before):
            break
    return value


def suboptimality(model, X, y, least):
    least = min(least, objective(model, X, y))
    top = constant(model, X, y)
    return (objective(model, X, y) - least) / (top - least)


# ------------------------------------------------------------------- hard data
#
# What was slow, or called converged far from the optimum, before there was a finish.


def nearly_equal_columns(rng):
    x = rng.normal(size=(400, 1))
    X = np.hstack([x, x + 1e-3 * rng.normal(size=(400, 1)), rng.normal(size=(400, 3))])
    return X, 1e3 * (X[:, 0] - X[:, 1]) + X[:, 2] + 0.1 * rng.normal(size=400)


def sums(rng):
    X = rng.exponential(size=(500, 8)) * 10.0 ** rng.integers(-1, 3, 8)
    X = np.column_stack([X, X.sum(axis=1), X[:, :4].sum(axis=1)])
    return X, np.log(X[:, 0] / X[:, 1] + 1) + 0.1 * rng.normal(size=500)


def sentinel_values(rng):
    X = rng.normal(size=(600, 5))
    X[rng.random((600, 5)) < 0.05] = -9999.0
    return X, np.where(X > -9999, X, 0.0) @ rng.normal(size=5) + rng.normal(size=600)


def lognormal(rng):
    X = rng.lognormal(0, 4, size=(2000, 3))
    return X, np.log(X).sum(axis=1) + rng.normal(size=2000)


def exact_differences(rng):
    n = rng.poisson(200, size=(500, 2)).astype(float)
    return np.column_stack([n, n.sum(axis=1)]), n[:, 0] - n[:, 1] + rng.normal(size=500)


def rare_dummies(rng):
    X = np.eye(40)[np.minimum(rng.geometric(0.15, 800), 40) - 1]
    return X, X @ rng.normal(size=40) + 0.5 * rng.normal(size=800)


def powers(rng):
    x = rng.uniform(0, 10, 200)
    return np.column_stack([x, x**2, x**3, x**4]), np.sin(x) + 0.1 * rng.normal(
        size=200
    )


def far_from_zero(rng):
    year = rng.integers(2005, 2025, 1000)
    shop = np.eye(20)[rng.integers(0, 20, 1000)]
    y = shop @ rng.normal(size=20) + 0.4 * (year - 2015) + rng.normal(size=1000)
    return np.column_stack([shop, year]).astype(float), y


def more_features_than_rows(rng):
    X = rng.normal(size=(60, 300)) @ np.diag(rng.lognormal(0, 1, 300))
    return X, X[:, :5].sum(axis=1) + rng.normal(size=60)


HARD = (
    nearly_equal_columns, sums, sentinel_values, lognormal, exact_differences,
    rare_dummies, powers, far_from_zero, more_features_than_rows,
)  # fmt: skip


def model_of(loss, **parameters):
    classes = ("log_loss", "squared_hinge", "modified_huber", "hinge")
    cls = GDClassifier if loss in classes else GDRegressor
    return cls(loss, random_state=0, **parameters)


def targets(loss, y):
    if loss == "poisson":
        return np.floor(np.exp(np.clip((y - y.mean()) / y.std(), -3, 3)))
    if loss in ("log_loss", "squared_hinge"):
        return (y > np.median(y)).astype(int)
    return y


@pytest.mark.filterwarnings("ignore:The penalty takes")
@pytest.mark.parametrize(
    "loss", ["squared_error", "poisson", "log_loss", "squared_hinge"]
)
@pytest.mark.parametrize("data", HARD)
@pytest.mark.parametrize("solver", SOLVERS)
def test_hard_data_end_at_the_optimum(data, loss, solver):
    X, y = data(np.random.default_rng(0))
    y = targets(loss, y)
    # The curvature of exp over more columns than rows is only felt by steps.
    slow = data is more_features_than_rows and loss == "poisson"
    model = model_of(loss, solver=solver, max_iter=10_000 if slow else 1000).fit(X, y)
    assert model.stop_reason_ == "converged" and model.gap_ <= model.tol
    assert model.objective_ == pytest.approx(objective(model, X, y), rel=1e-9)
    assert suboptimality(model, X, y, optimum(model, X, y)) < 5 * model.tol


@pytest.mark.parametrize("n", [2000, 20_000])
def test_ordered_classes_over_heavy_tails(n):
    # A plateau: of the gain, a fifth was left where progress all but ended.
    rng = np.random.default_rng(0)
    X = rng.lognormal(0, 4, size=(n, 1))
    z = np.log(X[:, 0]) + 3 * rng.normal(size=n)
    y = np.searchsorted(np.quantile(z, [0.25, 0.5, 0.75]), z)
    for solver in ("batch", "minibatch"):
        model = model_of("log_loss", solver=solver).fit(X, y)
        assert model.stop_reason_ == "converged"
        assert suboptimality(model, X, y, optimum(model, X, y)) < 5 * model.tol


@pytest.mark.parametrize("loss", ["log_loss", "squared_hinge", "hinge"])
def test_separable_classes(loss):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 10)) * 10.0 ** rng.uniform(-3, 3, 10)
    y = (X / X.std(axis=0) @ rng.normal(size=10) > 0).astype(int)
    model = model_of(loss).fit(X, y)
    tight = model_of(loss, tol=1e-7, max_iter=10_000).fit(X, y)
    assert model.stop_reason_ == "converged"
    assert suboptimality(model, X, y, objective(tight, X, y)) < 2 * model.tol


def test_sparse_columns_far_from_zero_are_no_slower():
    X, y = far_from_zero(np.random.default_rng(0))
    for solver in SOLVERS:
        dense = GDRegressor(solver=solver, random_state=0).fit(X, y)
        sparse = GDRegressor(solver=solver, random_state=0).fit(sp.csr_array(X), y)
        assert sparse.stop_reason_ == "converged"
        assert sparse.objective_ == pytest.approx(dense.objective_, rel=1e-4)
        assert sparse.n_iter_ <= 3 * max(dense.n_iter_, 5)


# ----------------------------------------------------------------------- kinks


def least_quantile(X, y, q):
    """The least mean pinball loss, by linear programming."""
    n, p = X.shape
    A = np.column_stack([X, np.ones(n)])
    result = linprog(
        np.r_[np.zeros(p + 1), np.full(n, q / n), np.full(n, (1 - q) / n)],
        A_eq=np.hstack([A, np.eye(n), -np.eye(n)]), b_eq=y,
        bounds=[(None, None)] * (p + 1) + [(0, None)] * (2 * n),
    )  # fmt: skip
    return result.fun


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("data", [nearly_equal_columns, sentinel_values, powers])
def test_quantiles_of_hard_data(data, q):
    X, y = data(np.random.default_rng(0))
    least = least_quantile(X, y, q)
    for solver in ("batch", "minibatch"):
        model = GDRegressor(
            "quantile", quantile=q, solver=solver, penalty=None, random_state=0
        ).fit(X, y)
        assert model.stop_reason_ == "converged"
        assert suboptimality(model, X, y, least) < 2 * model.tol
    if q == 0.5:
        absolute = GDRegressor("absolute_error", penalty=None).fit(X, y)
        assert absolute.objective_ == pytest.approx(2 * model.objective_, rel=1e-3)


def test_raw_digits_with_hinge():
    X, y = load_digits(return_X_y=True)
    model = GDClassifier("hinge", random_state=0).fit(X, y)
    assert model.stop_reason_ == "converged"
    # One output at a time gives the same.
    alone = [
        GDClassifier("hinge", random_state=0, tol=1e-6, max_iter=5000).fit(X, y == k)
        for k in (1, 8)
    ]
    for k, one in zip((1, 8), alone, strict=True):
        top, least = constant(one, X, y == k), one.objective_
        coef, intercept = model.coef_[k], model.intercept_[k : k + 1]
        assert objective(one, X, y == k, coef, intercept) - least < 2e-4 * (top - least)


# ---------------------------------------------------------------------- outputs


@pytest.mark.filterwarnings("ignore:The penalty takes")
@pytest.mark.parametrize(
    "loss", ["absolute_error", "huber", "poisson", "squared_error"]
)
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_targets_of_different_units_end_each_at_its_optimum(loss, storage):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 6))
    Y = X @ rng.normal(size=(6, 3)) + 0.3 * rng.normal(size=(400, 3))
    if loss == "poisson":
        Y = rng.poisson(np.exp(0.3 * Y)) * [1.0, 400.0, 1.0]
    else:
        Y = Y * [1.0, 1e4, 1e-3]
    model = GDRegressor(loss, penalty=None, random_state=0)
    together = clone(model).fit(storage(X), Y)
    assert together.stop_reason_ == "converged"
    tight = clone(model).set_params(tol=1e-7, max_iter=10_000)
    for k in range(3):
        alone = clone(tight).fit(X, Y[:, k])
        gap = suboptimality(
            _with(alone, together.coef_[k], together.intercept_[k : k + 1]),
            X, Y[:, k], alone.objective_,
        )  # fmt: skip
        assert gap < 3 * together.tol


def _with(model, coef, intercept):
    other = clone(model)
    vars(other).update(vars(model))
    other.coef_, other.intercept_ = coef, intercept
    return other


def test_outputs_that_are_done_leave_the_pass():
    X, y = load_digits(return_X_y=True)
    seen = []
    evaluate = Finish.evaluate

    def counted(self):
        seen.append(len(self.open))
        return evaluate(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Finish, "evaluate", counted)
        model = GDClassifier("squared_hinge", solver="batch").fit(X, y)
    assert seen[0] == 10 and seen[-1] < 10
    assert sorted(seen, reverse=True) == seen
    assert len(seen) == model.n_iter_  # an epoch is one pass


# --------------------------------------------------------------------------- L1


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("settings", [{}, {"early_stopping": True, "tol": 1e-3}])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_support_is_that_of_lasso(storage, settings, solver):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 40)) * 10.0 ** rng.uniform(-1, 1, 40)
    y = X / X.std(axis=0) @ np.r_[3.0, -2, 1, np.zeros(37)] + rng.normal(size=2000)
    model = GDRegressor(penalty="l1", alpha=0.1, solver=solver, random_state=0)
    model.set_params(**settings).fit(storage(X), y)
    lasso = Lasso(alpha=0.1, tol=1e-10).fit(X, y)
    if settings:
        assert np.count_nonzero(model.coef_) <= 2 * np.count_nonzero(lasso.coef_)
        return
    np.testing.assert_array_equal(model.coef_ == 0.0, lasso.coef_ == 0.0)
    least = objective(model, X, y, lasso.coef_, lasso.intercept_)
    assert suboptimality(model, X, y, least) < 2 * model.tol


@pytest.mark.parametrize("data", [load_breast_cancer, load_iris])
@pytest.mark.parametrize("scaled", [False, True])
def test_l1_of_classes(data, scaled):
    X, y = data(return_X_y=True)
    X = StandardScaler().fit_transform(X) if scaled else X
    model = GDClassifier(penalty="l1", alpha=1e-3, random_state=0).fit(X, y)
    tight = clone(model).set_params(tol=1e-8, max_iter=20_000, solver="batch").fit(X, y)
    assert model.stop_reason_ == "converged"
    assert suboptimality(model, X, y, tight.objective_) < 2 * model.tol
    if scaled and data is load_iris:
        saga = LogisticRegression(
            l1_ratio=1.0, penalty="l1", C=1 / (1e-3 * len(y)), solver="saga",
            tol=1e-9, max_iter=100_000,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            saga.fit(X, y)
        best = objective(model, X, y, saga.coef_, saga.intercept_)
        assert tight.objective_ == pytest.approx(best, rel=1e-7)


def test_l1_where_features_are_many_is_orthant_wise():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 400))
    y = X[:, :4] @ [2.0, -1, 1, 1] + 0.1 * rng.normal(size=100)
    model = GDRegressor(penalty="elasticnet", alpha=0.05, l1_ratio=0.7, random_state=0)
    for solver in SOLVERS:
        model.set_params(solver=solver).fit(X, y)
        net = ElasticNet(alpha=0.05, l1_ratio=0.7, tol=1e-10).fit(X, y)
        least = objective(model, X, y, net.coef_, net.intercept_)
        assert suboptimality(model, X, y, least) < 5 * model.tol
        assert 0 < np.count_nonzero(model.coef_) < 60


# ---------------------------------------------------------------- what it says


def test_every_reason_to_stop():
    X, y = load_diabetes(return_X_y=True)

    def fit(**parameters):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = GDRegressor(random_state=0, **parameters).fit(X, y)
        return model, [str(w.message) for w in caught]

    model, messages = fit()
    assert (model.stop_reason_, messages) == ("converged", [])
    model, messages = fit(loss="quantile", max_iter=5)
    assert model.stop_reason_ == "max_iter" and "increasing max_iter" in messages[0]
    assert f"About {model.gap_:.1g} of the gain" in messages[0]
    model, messages = fit(loss="poisson", tol=1e-300, max_iter=10_000)
    assert (model.stop_reason_, messages) == ("stalled", [])
    assert model.gap_ < 1e-10  # not to be told from nothing
    single = (load_diabetes(scaled=False, return_X_y=True)[0] + 1e7).astype(np.float32)
    with pytest.warns(ConvergenceWarning, match="no step lowers the objective"):
        model = GDRegressor(random_state=0).fit(single, y)
    assert model.stop_reason_ == "stalled" and model.gap_ > model.tol
    assert model.objective_ == pytest.approx(objective(model, single, y), rel=1e-6)
    model, messages = fit(finish=False)
    assert (model.stop_reason_, messages) == ("no_progress", [])
    model, messages = fit(early_stopping=True)
    assert model.stop_reason_ in ("early_stopping", "converged") and not messages
    model, messages = fit(loss="huber", early_stopping=True, n_iter_no_change=1)
    assert (model.stop_reason_, messages) == ("early_stopping", [])
    model, messages = fit(eta0=1e3)
    assert model.stop_reason_ == "diverged" and "too large" in messages[0]
    assert np.isnan(model.gap_)
    model, messages = fit(eta0=1e-6, learning_rate="constant", max_iter=50)
    assert model.stop_reason_ == "max_iter"
    assert "times smaller than a stable step" in messages[0]
    model, messages = fit(eta0=0.5, max_iter=5000, batch_size=len(y))
    assert (model.stop_reason_, messages) == ("no_progress", [])
    model, messages = fit(max_iter=3, tol=None, loss="poisson")
    assert (model.stop_reason_, messages) == ("max_iter", [])


@pytest.mark.parametrize("factor", [1.01, 1.03, 1.5, 100.0])
def test_a_step_just_too_large_diverges(factor):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)) * [1.0, 1.0, 10.0]
    y = X @ [1.0, 2.0, 3.0] + rng.normal(size=200)
    Z = np.column_stack([X, np.ones(200)])
    eta0 = factor * 2.0 / np.linalg.eigvalsh(Z.T @ Z / 200)[-1]
    model = GDRegressor(
        solver="batch", penalty=None, eta0=eta0, learning_rate="constant"
    )
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.fit(X, y)
    assert model.stop_reason_ == "diverged"
    # The best epoch's coefficients are kept.
    assert objective(model, X, y) == pytest.approx(min(model.loss_curve_))


def test_a_curve_that_falls_again_has_not_diverged():
    # Steps of 'optimal' begin too long and fall.
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = GDClassifier(
        solver="sgd", learning_rate="optimal", alpha=1e-3, tol=None, max_iter=30,
        random_state=0,
    ).fit(X, y)  # fmt: skip
    assert model.loss_curve_[0] > model.loss_curve_[-1]
    assert model.stop_reason_ == "max_iter"


def test_textbook_fits_are_never_worse_than_a_constant_in_silence():
    for scaled in (False, True):
        X, y = load_breast_cancer(return_X_y=True)
        X = StandardScaler().fit_transform(X) if scaled else X
        for eta0 in 10.0 ** np.arange(-7, 2, 2):
            for solver in SOLVERS:
                model = GDClassifier(
                    solver=solver, eta0=eta0, random_state=0, max_iter=100
                )
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    model.fit(X, y)
                assert model.stop_reason_ != "converged"
                if objective(model, X, y) > constant(model, X, y):
                    assert caught


def test_advice_for_optimal_names_no_step():
    X, y = load_diabetes(return_X_y=True, scaled=False)
    model = GDRegressor(learning_rate="optimal", random_state=0)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(X, y)
    message = str(caught[0].message)
    assert "learning_rate='auto' with eta0='auto'" in message
    assert "set eta0=" not in message


def test_a_penalty_that_takes_all_warns():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 4))
    y = 3e5 + X @ [8e4, 4e4, -2e4, 1e4] + 2e4 * rng.standard_t(3, size=500)
    for loss in ("huber", "absolute_error", "quantile"):
        with pytest.warns(UserWarning, match="Scale y, or decrease alpha"):
            GDRegressor(loss, random_state=0).fit(X, y)
        for parameters in ({"penalty": None}, {"alpha": 1e-9}):
            GDRegressor(loss, random_state=0, **parameters).fit(X, y)
        GDRegressor(loss, random_state=0).fit(X, (y - y.mean()) / y.std())
    GDRegressor(random_state=0).fit(X, y)


def test_tol_is_what_is_left():
    X, y = load_diabetes(return_X_y=True, scaled=False)
    least = GDRegressor("absolute_error", tol=1e-8, max_iter=20_000).fit(X, y)
    epochs = []
    for tol in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
        model = GDRegressor("absolute_error", tol=tol, random_state=0).fit(X, y)
        assert suboptimality(model, X, y, least.objective_) <= tol
        assert model.history_["gap"][-1] == model.gap_ <= tol
        epochs.append(model.n_iter_)
    assert epochs == sorted(epochs) and epochs[0] < epochs[-1]


LOSSES = (
    "squared_error", "huber", "absolute_error", "quantile", "epsilon_insensitive",
    "squared_epsilon_insensitive", "poisson", "log_loss", "hinge", "squared_hinge",
    "modified_huber",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:The penalty takes")
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(LOSSES),
    st.sampled_from([None, "l2", "l1", "elasticnet"]),
    st.sampled_from(SOLVERS),
    st.integers(5, 120),
    st.integers(1, 12),
    st.integers(0, 10**6),
)
def test_converged_is_true(loss, penalty, solver, n, p, seed):
    """Against the best that many more epochs find, from elsewhere."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * 10.0 ** rng.uniform(-2, 2, p) + rng.normal(size=p)
    z = X / X.std(axis=0) @ rng.normal(size=p) + rng.normal(size=n)
    y = targets("log_loss" if loss in ("hinge", "modified_huber") else loss, z)
    model = model_of(loss, penalty=penalty, solver=solver, alpha=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
        other = clone(model).set_params(solver="batch", tol=1e-7, max_iter=3000)
        other.fit(X, y, coef_init=0.1 * rng.normal(size=p) / X.std(axis=0))
    assert model.objective_ == pytest.approx(objective(model, X, y), rel=1e-8)
    if model.stop_reason_ == "converged":
        top = constant(model, X, y)
        least = min(other.objective_, model.objective_)
        assert model.objective_ - least <= 10 * model.tol * (top - least) + 1e-9 * top
    else:
        assert model.stop_reason_ in ("max_iter", "stalled")
        assert model.gap_ > model.tol


# ----------------------------------------------------- early stopping, scoring


def test_ties_of_the_score_are_broken_by_the_loss():
    # A rare class leaves the accuracy as it is from the start on.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 10))
    z = X @ rng.normal(size=10) * 0.5 - 6.5
    y = (rng.random(4000) < 1 / (1 + np.exp(-z))).astype(int)
    for parameters in ({"solver": "batch"}, {"eta0": 0.1}):
        model = GDClassifier(early_stopping=True, random_state=0, **parameters)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X, y)
        scores, losses = (
            np.array(model.history_[f"validation_{name}"]) for name in ("score", "loss")
        )
        best = np.flatnonzero(scores == scores.max())
        kept = best[losses[best].argmin()]
        assert kept > 0
        assert losses[kept] < 0.9 * losses[0]
        assert model.history_["objective"][kept] == pytest.approx(
            model.objective_, rel=0.02
        )


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_scoring(storage):
    X, y = load_breast_cancer(return_X_y=True)
    X = storage(StandardScaler().fit_transform(X))
    model = GDClassifier(early_stopping=True, random_state=0, max_iter=8, tol=None)

    def brier(estimator, X, y, sample_weight=None):
        assert estimator.n_features_in_ == 30
        error = (estimator.predict_proba(X)[:, 1] - y) ** 2
        return -np.average(error, weights=sample_weight)

    fits = {
        scoring: clone(model).set_params(scoring=scoring).fit(X, y)
        for scoring in (None, "accuracy", "loss", "neg_brier_score", brier)
    }
    scores = {key: fit.history_["validation_score"] for key, fit in fits.items()}
    assert scores[None] == scores["accuracy"]
    losses = fits["loss"].history_["validation_loss"]
    assert scores["loss"] == [-loss for loss in losses]
    np.testing.assert_allclose(scores["neg_brier_score"], scores[brier], rtol=1e-6)
    weighted = (
        clone(model)
        .set_params(scoring=brier)
        .fit(X, y, sample_weight=np.where(y == 1, 1.0, 3.0))
    )
    assert not np.allclose(weighted.history_["validation_score"], scores[brier])
    for scoring in ("no such score", 3):
        with pytest.raises(ValueError, match="The 'scoring' parameter"):
            clone(model).set_params(scoring=scoring).fit(X, y)


def test_gap_of_early_stopping_is_that_of_the_model_kept():
    X, y = load_diabetes(return_X_y=True)
    model = GDRegressor("poisson", early_stopping=True, random_state=0).fit(X, y)
    history = model.history_
    best = int(np.argmax(history["validation_score"]))
    assert best >= 2
    np.testing.assert_equal(model.gap_, history["gap"][best])


# -------------------------------------------------------------------- the parts


def test_kinds_of_descent():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 5)), rng.normal(size=200)
    seen = []
    start = Finish.start

    def spy(self, state):
        start(self, state)
        seen.append({type(d) for d in self.descents})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Finish, "start", spy)
        GDRegressor(penalty="l1", alpha=0.01).fit(X, y)
        GDRegressor(penalty="l1", alpha=0.01).fit(X[:5], y[:5])
    assert seen == [{Proximal}, {Orthant}]


@pytest.mark.parametrize("weighted", [False, True])
def test_sample_of_heavy_tails_is_all_rows(weighted):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12_000, 3))
    weight = rng.random(12_000) if weighted else None
    for data, size in ((X, 5000), (np.exp(4 * X), 12_000)):
        problem, _ = GDRegressor()._prepare(data, X[:, 0], weight)
        array = problem.data.array
        mean = np.average(array, axis=0, weights=weight)
        second = np.average((array - mean) ** 2, axis=0, weights=weight)
        sample = Sample(problem, mean, second, rng)
        assert len(sample.rows) == size
        assert sample.moments.shape == (4, 4)
        if size == 12_000:
            np.testing.assert_allclose(np.diag(sample.moments), 1.0, rtol=1e-9)


def test_result_does_not_depend_on_the_sample_of_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12_000, 10)) @ rng.normal(size=(10, 10))
    y = (X @ rng.normal(size=10) + rng.normal(size=12_000) > 0).astype(int)
    least = optimum(GDClassifier(max_iter=1, tol=None).fit(X, y), X, y)
    for loss in ("log_loss",):
        for seed in range(3):
            model = GDClassifier(loss, solver="batch", random_state=seed).fit(X, y)
            assert suboptimality(model, X, y, least) < 2 * model.tol


def test_optimum_agrees_with_scipy():
    """The oracle of this file, next to another one."""
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = GDClassifier(random_state=0).fit(X, y)

    def f(u):
        return objective(model, X, y, u[None, :-1], u[-1:])

    result = minimize(f, np.zeros(31), method="L-BFGS-B", options={"maxfun": 10**6})
    assert optimum(model, X, y) <= result.fun
    assert optimum(model, X, y) == pytest.approx(result.fun, rel=1e-3)
