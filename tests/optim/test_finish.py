"""The finish: it ends at the optimum."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linprog, minimize
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression
from sklearn.preprocessing import StandardScaler

from objectives import constant_objective, objective, optimum, suboptimality
from samples import SOLVERS, model_of, targets_of
from skgd import GDClassifier, GDRegressor
from skgd.optim.finish import Finish
from skgd.optim.l1 import Orthant, Proximal
from skgd.optim.sample import Sample

# ---------------------------------------------------------------------------- hard data
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


@pytest.mark.filterwarnings("ignore:The penalty takes")
@pytest.mark.parametrize(
    "loss", ["squared_error", "poisson", "log_loss", "squared_hinge"]
)
@pytest.mark.parametrize("data", HARD)
@pytest.mark.parametrize("solver", SOLVERS)
def test_hard_data_end_at_the_optimum(data, loss, solver):
    X, y = data(np.random.default_rng(0))
    y = targets_of(loss, y)
    # The curvature of exp over more columns than rows is only felt by steps.
    slow = data is more_features_than_rows and loss == "poisson"
    model = model_of(loss, solver=solver, max_iter=10_000 if slow else 1000).fit(X, y)
    assert model.stop_reason_ == "converged" and model.gap_ <= model.tol
    assert model.objective_ == pytest.approx(objective(model, X, y), rel=1e-9)
    assert suboptimality(model, X, y, optimum(model, X, y)) < 5 * model.tol


@pytest.mark.parametrize("n", [2000, 20_000])
@pytest.mark.parametrize("solver", ["batch", "minibatch"])
def test_ordered_classes_over_heavy_tails(n, solver):
    # A plateau: of the gain, a fifth was left where progress all but ended.
    rng = np.random.default_rng(0)
    X = rng.lognormal(0, 4, size=(n, 1))
    z = np.log(X[:, 0]) + 3 * rng.normal(size=n)
    y = np.searchsorted(np.quantile(z, [0.25, 0.5, 0.75]), z)
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


@pytest.mark.parametrize("solver", SOLVERS)
def test_sparse_columns_far_from_zero_are_no_slower(solver):
    X, y = far_from_zero(np.random.default_rng(0))
    dense = GDRegressor(solver=solver, random_state=0).fit(X, y)
    sparse = GDRegressor(solver=solver, random_state=0).fit(sp.csr_array(X), y)
    assert sparse.stop_reason_ == "converged"
    assert sparse.objective_ == pytest.approx(dense.objective_, rel=1e-4)
    assert sparse.n_iter_ <= 3 * max(dense.n_iter_, 5)


# -------------------------------------------------------------------------------- kinks


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
@pytest.mark.parametrize("solver", ["batch", "minibatch"])
def test_quantiles_of_hard_data(data, q, solver):
    X, y = data(np.random.default_rng(0))
    model = GDRegressor(
        "quantile", quantile=q, solver=solver, penalty=None, random_state=0
    ).fit(X, y)
    assert model.stop_reason_ == "converged"
    assert suboptimality(model, X, y, least_quantile(X, y, q)) < 2 * model.tol


@pytest.mark.parametrize("data", [nearly_equal_columns, sentinel_values, powers])
def test_half_of_the_absolute_error_is_that_of_the_median(data):
    X, y = data(np.random.default_rng(0))
    median = GDRegressor("quantile", penalty=None, random_state=0).fit(X, y)
    absolute = GDRegressor("absolute_error", penalty=None, random_state=0).fit(X, y)
    assert absolute.objective_ == pytest.approx(2 * median.objective_, rel=1e-3)


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
        top, least = constant_objective(one, X, y == k), one.objective_
        coef, intercept = model.coef_[k], model.intercept_[k : k + 1]
        assert objective(one, X, y == k, coef, intercept) - least < 2e-4 * (top - least)


# ------------------------------------------------------------------------------ outputs


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


# ----------------------------------------------------------------------------------- L1


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


@pytest.mark.parametrize("solver", SOLVERS)
def test_l1_where_features_are_many_is_orthant_wise(solver):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 400))
    y = X[:, :4] @ [2.0, -1, 1, 1] + 0.1 * rng.normal(size=100)
    common = dict(alpha=0.05, l1_ratio=0.7)
    model = GDRegressor(penalty="elasticnet", solver=solver, random_state=0, **common)
    model.fit(X, y)
    net = ElasticNet(tol=1e-10, **common).fit(X, y)
    least = objective(model, X, y, net.coef_, net.intercept_)
    assert suboptimality(model, X, y, least) < 5 * model.tol
    assert 0 < np.count_nonzero(model.coef_) < 60


# ---------------------------------------------------------------------------- the parts


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
@pytest.mark.parametrize("heavy, size", [(False, 5000), (True, 12_000)])
def test_sample_is_all_rows_where_one_makes_the_variance(heavy, size, weighted):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12_000, 3))
    weight = rng.random(12_000) if weighted else None
    if heavy:
        X[7] = 1e3  # a sample has it, and too much of it, or lacks it
    problem, _ = GDRegressor()._prepare(X, X[:, 0], weight)
    array = problem.data.array
    mean = np.average(array, axis=0, weights=weight)
    second = np.average((array - mean) ** 2, axis=0, weights=weight)
    sample = Sample(problem, mean, second, rng)
    assert sample.n_rows == size
    assert sample.moments.shape == (4, 4)
    if heavy:
        np.testing.assert_allclose(np.diag(sample.moments), 1.0, rtol=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_result_does_not_depend_on_the_sample_of_rows(seed):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12_000, 10)) @ rng.normal(size=(10, 10))
    y = (X @ rng.normal(size=10) + rng.normal(size=12_000) > 0).astype(int)
    model = GDClassifier(solver="batch", random_state=seed).fit(X, y)
    assert suboptimality(model, X, y, optimum(model, X, y)) < 2 * model.tol


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
