"""eta0="auto": what the choice of steps must hold to, on friendly and hostile data."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import (
    ElasticNet,
    LogisticRegression,
    QuantileRegressor,
    Ridge,
)
from sklearn.preprocessing import StandardScaler

from objectives import constant_objective, objective, suboptimality
from samples import SOLVERS
from skgd import GDClassifier, GDRegressor
from skgd.objective.table import CLASSIFICATION_LOSSES, REGRESSION_LOSSES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# ------------------------------------------------------------------ hostile data


def hostile(rng, kind):
    """Features that break step sizes chosen for well-behaved ones."""
    n = int(rng.choice([2, 3, 20, 257, 600]))
    p = int(rng.choice([1, 3, 10, 40]))
    X = rng.normal(size=(n, p))
    if kind == "cauchy":
        X = rng.standard_cauchy(size=(n, p))
    elif kind == "huge row":
        X[rng.integers(n)] *= 1e6
    elif kind == "constant":
        X[:, rng.random(p) < 0.5] = rng.normal() * 1e3
    elif kind == "duplicates":
        X = X[:, rng.integers(0, p, p)]
    elif kind == "scales":
        X = X * 10.0 ** rng.uniform(-100, 100, p)
    elif kind == "far":
        X = X + 10.0 ** rng.uniform(0, 12)
    elif kind == "rare":
        X = X * (rng.random((n, p)) < 0.02)
    elif kind == "powers":
        X = np.exp(3.0 * X)
    return X


HOSTILE = (
    "plain", "cauchy", "huge row", "constant", "duplicates", "scales", "far", "rare",
    "powers",
)  # fmt: skip


def hostile_fit(seed):
    """A random model on random hostile data: (objective, that of the constant)."""
    rng = np.random.default_rng(seed)
    kind = HOSTILE[seed % len(HOSTILE)]
    X = hostile(rng, kind)
    n = len(X)
    with np.errstate(all="ignore"):
        z = np.nan_to_num(X / np.abs(X).max(axis=0, initial=1e-300)) @ rng.normal(
            size=X.shape[1]
        )
    parameters = dict(
        solver=str(rng.choice(SOLVERS)),
        batch_size=int(rng.choice([1, 8, 32, 256])),
        penalty=[None, "l2", "l1", "elasticnet"][rng.integers(4)],
        alpha=float(rng.choice([0.0, 1e-4, 1.0, 100.0])),
        fit_intercept=bool(rng.random() < 0.8),
        epsilon=float(rng.choice([0.1, 1.0])),
        max_iter=int(rng.choice([1, 5, 30])),
        random_state=seed,
    )
    if rng.random() < 0.5:
        y = z + rng.normal(size=n)
        if rng.random() < 0.2:
            y[rng.integers(n)] = 1e9
        y *= 10.0 ** rng.choice([-6, 0, 6])
        loss = str(rng.choice(sorted(REGRESSION_LOSSES)))
        if loss == "poisson":
            y = np.abs(y)
        model = GDRegressor(loss, **parameters)
    else:
        y = (z + 0.1 * rng.normal(size=n) > np.median(z)).astype(int)
        if n > 20 and rng.random() < 0.3:
            y += (rng.random(n) < 0.3).astype(int)
        y[:2] = 0, 1
        losses = sorted(set(CLASSIFICATION_LOSSES) - {"perceptron"})
        model = GDClassifier(str(rng.choice(losses)), **parameters)
    weight = rng.exponential(size=n) if rng.random() < 0.3 else None
    storage = rng.integers(4)
    data = sp.csr_array(X) if storage == 0 else X
    if storage == 1 and kind not in ("scales", "far", "cauchy"):
        # Elsewhere, coefficients of single precision are what spoils the objective.
        data = X = X.astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model.fit(data, y, sample_weight=weight)
    assert np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()
    return (
        objective(model, X.astype(np.float64), y, weight=weight),
        constant_objective(model, X, y, weight),
        model,
    )


@pytest.mark.parametrize("seed", range(600))
def test_never_worse_than_the_constant_model(seed):
    value, constant, model = hostile_fit(seed)
    # float32 coefficients and intercepts are rounded.
    slack = 1e-4 if model.coef_.dtype == np.float32 else 1e-7
    assert value <= constant * (1 + slack) + 1e-12, model


# ----------------------------------------------------------------- friendly data


def behind(model, X, y, best):
    """How far `model` is from another estimator of the same objective."""
    least = objective(model, X, y, best.coef_, best.intercept_)
    return suboptimality(model, X, y, least)


def same_objective(model, n):
    """scikit-learn's estimator of the same objective over n rows."""
    alpha, loss = model.alpha, model.loss
    if loss == "squared_error" and model.penalty == "l2":
        return Ridge(alpha=alpha * n, tol=1e-10)
    if loss == "squared_error":
        ratio = 1.0 if model.penalty == "l1" else model.l1_ratio
        return ElasticNet(alpha=alpha, l1_ratio=ratio, tol=1e-10, max_iter=100_000)
    if loss == "absolute_error":
        return QuantileRegressor(alpha=0.5 * alpha, solver="highs")
    return LogisticRegression(
        C=1 / (alpha * n), tol=1e-10, solver="newton-cholesky", max_iter=1000
    )


DIABETES = load_diabetes(return_X_y=True, scaled=False)
CANCER = load_breast_cancer(return_X_y=True)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(
    "cls, loss, penalty",
    [
        (GDRegressor, "squared_error", "l2"),
        (GDRegressor, "squared_error", "elasticnet"),
        (GDRegressor, "absolute_error", "l1"),
        (GDClassifier, "log_loss", "l2"),
    ],
)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("form", ["float64", "float32", "csr"])
def test_near_the_optimum_at_the_defaults(cls, loss, penalty, scaled, solver, form):
    X, y = DIABETES if cls is GDRegressor else CANCER
    if scaled:
        X = StandardScaler().fit_transform(X)
    elif form == "csr":
        pytest.skip("sparse data is not centred, and this is far from zero")
    model = cls(loss, penalty=penalty, solver=solver, random_state=0, alpha=1e-3)
    best = same_objective(model, len(y)).fit(X, y)
    model.fit(sp.csr_array(X) if form == "csr" else X.astype(form), y)
    assert behind(model, X, y, best) < (5e-3 if solver == "batch" else 0.01)


@pytest.mark.parametrize("solver", ["minibatch", "sgd"])
def test_short_steps_do_not_leave_slow_directions_behind(solver):
    X, y = DIABETES  # whose features are correlated
    model = GDRegressor(solver=solver, max_iter=100, tol=None, random_state=0)
    best = same_objective(model, len(y)).fit(X, y)
    assert behind(model.fit(X, y), X, y, best) < 1e-4


@pytest.mark.parametrize("solver", ["minibatch", "sgd"])
def test_long_steps_are_not_all_noise(solver):
    # More coefficients than rows.
    rng = np.random.default_rng(0)
    X = sp.csr_array(rng.random((600, 300)) * (rng.random((600, 300)) < 0.03))
    noise = 0.2 * rng.gumbel(size=(600, 4))
    y = np.argmax(X @ rng.normal(size=(300, 4)) + noise, axis=1)
    model = GDClassifier(
        solver=solver, alpha=1e-3, max_iter=100, tol=None, random_state=0
    ).fit(X, y)
    best = LogisticRegression(C=1 / (1e-3 * 600), tol=1e-8, max_iter=1000).fit(X, y)
    assert behind(model, X.toarray(), y, best) < 7e-4


def test_a_strong_penalty_leaves_few_rows_for_large_steps():
    rng = np.random.default_rng(0)
    X = sp.csr_array(rng.random((5000, 2000)) * (rng.random((5000, 2000)) < 0.01))
    y = (X @ rng.normal(size=2000) + rng.normal(size=5000) > 0).astype(int)
    model = GDClassifier(alpha=1e-2, max_iter=8, tol=None, random_state=0).fit(X, y)
    best = LogisticRegression(C=1 / (1e-2 * 5000), tol=1e-8, max_iter=1000).fit(X, y)
    assert behind(model, X, y, best) < 0.01


@pytest.mark.parametrize("solver", SOLVERS)
def test_units_do_not_matter(solver):
    X, y = DIABETES
    model = GDRegressor(solver=solver, random_state=0, alpha=0.0)
    usual = clone(model).fit(X, y)
    large = clone(model).fit(X, y * 2.0**20)
    assert large.n_iter_ == usual.n_iter_
    np.testing.assert_allclose(large.coef_, usual.coef_ * 2.0**20, rtol=1e-6)
    units = 2.0 ** np.arange(-20, 20, 4)
    other = clone(model).fit(X * units, y)
    assert other.n_iter_ == usual.n_iter_
    np.testing.assert_allclose(other.coef_ * units, usual.coef_, rtol=1e-6)
    shifted = clone(model).fit(X, y + 1e3)
    assert shifted.n_iter_ == usual.n_iter_
    np.testing.assert_allclose(shifted.coef_, usual.coef_, rtol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_weights(solver, storage):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(90, 4)), rng.integers(0, 3, 90)
    weight = rng.integers(0, 3, 90).astype(float)
    model = GDClassifier("log_loss", solver=solver, random_state=0, max_iter=20)
    fitted = clone(model).fit(storage(X), y, sample_weight=weight)
    kept = weight > 0
    absent = clone(model).fit(storage(X[kept]), y[kept], sample_weight=weight[kept])
    np.testing.assert_array_equal(absent.coef_, fitted.coef_)
    scaled = clone(model).fit(storage(X), y, sample_weight=weight * 4)
    np.testing.assert_array_equal(scaled.coef_, fitted.coef_)
    if solver == "batch":
        rows = np.repeat(np.arange(90), weight.astype(int))
        repeated = clone(model).fit(storage(X[rows]), y[rows])
        np.testing.assert_allclose(repeated.coef_, fitted.coef_, rtol=1e-6)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
@pytest.mark.parametrize(
    "batch_size, solver", [(1, "sgd"), (442, "batch"), (10**6, "batch")]
)
def test_batch_sizes_one_and_n_are_sgd_and_batch(batch_size, solver, storage):
    X, y = DIABETES
    a = GDRegressor(batch_size=batch_size, random_state=0).fit(storage(X), y)
    b = GDRegressor(solver=solver, random_state=0).fit(storage(X), y)
    np.testing.assert_array_equal(a.coef_, b.coef_)


@pytest.mark.parametrize(
    "storage, n, eta0, batch_size",
    [
        (np.asarray, 1326, "auto", 32),
        (sp.csr_array, 1326, "auto", 1),
        (sp.csr_array, 99, "auto", 32),
        (sp.csr_array, 1326, 1e-9, 32),
    ],
)
def test_batch_size_follows_the_storage(storage, n, eta0, batch_size):
    X, y = (np.tile(a.T, 3).T[:n] for a in DIABETES)
    model = GDRegressor(max_iter=1, eta0=eta0).fit(storage(X), y)
    assert model.batch_size_ == batch_size


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_l1_ends_in_zeros(storage, solver):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 30))
    y = X[:, :3] @ [3.0, -2.0, 1.0] + 0.5 * rng.normal(size=400)
    lasso = ElasticNet(alpha=0.2, l1_ratio=1.0).fit(X, y)
    model = GDRegressor(penalty="l1", alpha=0.2, solver=solver, random_state=0)
    model.fit(storage(X), y)
    np.testing.assert_array_equal(model.coef_ == 0, lasso.coef_ == 0)
    assert behind(model, X, y, lasso) < 1e-3


# ------------------------------------------------------------------- partial_fit


@pytest.mark.parametrize("cls", [GDRegressor, GDClassifier])
@pytest.mark.parametrize("solver", ["minibatch", "sgd"])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_one_pass_in_chunks_is_as_good_as_an_epoch(cls, solver, storage):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(8000, 10)) * 10.0 ** rng.uniform(-2, 2, 10)
    z = X / X.std(axis=0) @ rng.normal(size=10) + rng.normal(size=8000)
    y = z if cls is GDRegressor else (z > 0).astype(int)
    model = cls(solver=solver, random_state=0)
    best = clone(model).set_params(solver="batch", tol=1e-9).fit(X, y)
    epoch = clone(model).set_params(max_iter=1).fit(storage(X), y)
    chunks = clone(model)
    kwargs = {} if cls is GDRegressor else {"classes": [0, 1]}
    for start in range(0, 8000, 1000):
        rows = slice(start, start + 1000)
        chunks.partial_fit(storage(X[rows]), y[rows], **kwargs)
    gap = behind(epoch, X, y, best)
    assert behind(chunks, X, y, best) < gap + 0.02
    assert gap < 0.1


@pytest.mark.parametrize("solver", SOLVERS)
def test_hopeless_start_is_left(solver):
    X, y = DIABETES
    model = GDRegressor(solver=solver, random_state=0)
    usual = model.fit(X, y).score(X, y)
    far = model.fit(X, y, coef_init=np.full(10, 1e9), intercept_init=-1e9)
    assert far.score(X, y) > usual - 0.01


def test_bad_first_chunk_is_forgotten():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 5))
    y = X @ rng.normal(size=5) + rng.normal(size=20_000)
    model = GDRegressor(random_state=0)
    model.partial_fit(X[:3] * 1e-3, y[:3] * 1e6)
    for start in range(0, 20_000, 500):
        model.partial_fit(X[start : start + 500], y[start : start + 500])
    best = GDRegressor(solver="batch").fit(X, y)
    assert behind(model, X, y, best) < 0.02


@pytest.mark.parametrize("solver", SOLVERS)
def test_partial_fit_after_fit_keeps_what_was_learnt(solver):
    X, y = DIABETES
    model = GDRegressor(solver=solver, random_state=0).fit(X, y)
    before = objective(model, X, y)
    for _ in range(3):
        model.partial_fit(X[:50], y[:50])
    assert objective(model, X, y) < 1.1 * before


# ------------------------------------------------------------------------- parts


@pytest.mark.parametrize("solver", SOLVERS)
def test_without_the_finish_epochs_are_those_of_the_solver(solver):
    X, y = DIABETES
    model = GDRegressor(solver=solver, random_state=0, finish=False).fit(X, y)
    assert set(model.history_["method"]) == {solver}
    assert np.isnan(model.history_["gap"]).all() and np.isnan(model.gap_)
    assert model.stop_reason_ == "no_progress"
    finished = GDRegressor(solver=solver, random_state=0).fit(X, y)
    constant = constant_objective(model, X, y)
    assert finished.objective_ < model.objective_ < 0.6 * constant
    assert model.objective_ == pytest.approx(objective(model, X, y))
    short = clone(model).set_params(max_iter=3)
    with pytest.warns(ConvergenceWarning, match="Maximum number of iteration"):
        short.fit(X, y)
    assert short.stop_reason_ == "max_iter"


def test_a_number_is_textbook_gradient_descent():
    X, y = DIABETES
    X = StandardScaler().fit_transform(X)
    model = GDRegressor(
        solver="batch", eta0=0.1, learning_rate="constant", alpha=0.0, max_iter=3,
        tol=None,
    ).fit(X, y)  # fmt: skip
    w, b = np.zeros(10), 0.0
    for _ in range(3):
        r = X @ w + b - y
        w, b = w - 0.1 * X.T @ r / len(y), b - 0.1 * r.mean()
    np.testing.assert_allclose(model.coef_, w, rtol=1e-10)
    np.testing.assert_allclose(model.intercept_, b, rtol=1e-10)


def test_perceptron_learns():
    X, y = CANCER
    X = StandardScaler().fit_transform(X)
    assert GDClassifier("perceptron", random_state=0).fit(X, y).score(X, y) > 0.9


@pytest.mark.parametrize("solver", SOLVERS)
def test_classes_share_the_metric(solver):
    X, y = load_digits(return_X_y=True)
    model = GDClassifier(solver=solver, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.97


@pytest.mark.parametrize("solver", ["sgd", "minibatch"])
def test_one_epoch_from_a_hopeless_start_gives_no_worse_than_the_constant(solver):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    y = X @ [1.0, 2.0, 3.0] + 5.0
    model = GDRegressor(solver=solver, finish=False, max_iter=1, random_state=0)
    model.fit(X, y, coef_init=np.full(3, 1e9))
    least = constant_objective(model, X, y)
    assert model.objective_ <= least * (1 + 1e-12)
    assert objective(model, X, y) == pytest.approx(model.objective_)
