"""Momentum, next to that of scikit-learn's MLPs, whose updates are the same."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor

N, P, STEP, ALPHA = 60, 4, 0.01, 0.01
rng = np.random.default_rng(0)
X = rng.normal(size=(N, P)) + 0.5
Y = X @ rng.normal(size=(P, 2)) + rng.normal(size=(N, 2))
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def network(estimator, y, nesterovs, batch_size, n_epochs, start, penalty=ALPHA):
    """The coefficients (K, p) and intercepts of a network without hidden layers."""
    model = estimator(
        hidden_layer_sizes=(), solver="sgd", alpha=penalty * batch_size, shuffle=False,
        batch_size=batch_size, learning_rate_init=STEP, momentum=0.9, max_iter=n_epochs,
        nesterovs_momentum=nesterovs, tol=0.0, n_iter_no_change=10**6, warm_start=True,
    )  # fmt: skip
    model.set_params(max_iter=1).fit(X, y)
    model.coefs_, model.intercepts_ = [start[0].T.copy()], [start[1].copy()]
    model.set_params(max_iter=n_epochs).fit(X, y)
    return model.coefs_[0].T, model.intercepts_[0]


def descent(estimator=GDRegressor, **parameters):
    return estimator(**{
        "eta0": STEP, "learning_rate": "constant", "momentum": 0.9, "alpha": ALPHA,
        "shuffle": False, "tol": None, "max_iter": 20, **parameters,
    })  # fmt: skip


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("batch_size", [60, 20, 2])
@pytest.mark.parametrize("nesterovs", [True, False])
def test_the_coefficients_of_a_network(nesterovs, batch_size, n_outputs):
    y = Y[:, 0] if n_outputs == 1 else Y
    start = rng.normal(size=(n_outputs, P)), rng.normal(size=n_outputs)
    model = descent(
        solver="batch" if batch_size == N else "minibatch",
        batch_size="auto" if batch_size == N else batch_size,
        nesterovs_momentum=nesterovs,
    )  # fmt: skip
    model.fit(X, y, coef_init=start[0].reshape((*y.shape[1:], P)),
              intercept_init=start[1])  # fmt: skip
    coef, intercept = network(MLPRegressor, y, nesterovs, batch_size, 20, start)
    np.testing.assert_allclose(np.atleast_2d(model.coef_), coef, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.intercept_, intercept, rtol=0, atol=1e-10)


@pytest.mark.parametrize("nesterovs", [True, False])
def test_the_coefficients_of_a_classifying_network(nesterovs):
    y = Y[:, 0] > 0
    start = np.zeros((1, P)), np.zeros(1)
    model = descent(GDClassifier, batch_size=20, nesterovs_momentum=nesterovs).fit(X, y)
    coef, intercept = network(MLPClassifier, y, nesterovs, 20, 20, start)
    np.testing.assert_allclose(model.coef_, coef, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.intercept_, intercept, rtol=0, atol=1e-10)


@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
@pytest.mark.parametrize("solver", ["batch", "minibatch"])
@pytest.mark.parametrize("store", [
    sp.csr_array, lambda X: X.astype(np.float32),
    lambda X: sp.csr_array(X.astype(np.float32)),
])  # fmt: skip
def test_storages(store, solver, loss):
    y, weight = np.argmax(np.c_[Y, X[:, 0]], axis=1), rng.integers(0, 3, N)
    rounded = X.astype(np.float32).astype(float)
    model = descent(GDClassifier, loss=loss, solver=solver)
    expected = model.fit(rounded, y, weight).coef_
    np.testing.assert_allclose(model.fit(store(rounded), y, weight).coef_, expected,
                               rtol=1e-5, atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("average", [False, True, 7])
@pytest.mark.parametrize("solver", ["batch", "minibatch"])
def test_a_stream_goes_on_with_its_last_move(solver, average):
    model = descent(solver=solver, average=average, max_iter=4).fit(X, Y)
    stream = descent(solver=solver, average=average)
    for k in range(4):
        stream = pickle.loads(pickle.dumps(stream))
        stream.partial_fit(X if k % 2 else sp.csr_array(X), Y)
    np.testing.assert_allclose(stream.coef_, model.coef_, rtol=1e-10)
    np.testing.assert_allclose(stream.intercept_, model.intercept_, rtol=1e-10)


def test_a_stream_begins_and_ends_momentum():
    plain = descent(momentum=0.0).partial_fit(X, Y)
    plain.set_params(momentum=0.9, average=True).partial_fit(X, Y)
    assert not np.allclose(plain._memory.trained.velocity[0], 0.0)
    plain.set_params(momentum=0.0).partial_fit(X, Y)
    assert plain._memory.trained.velocity == (None, None)


def test_a_fit_begins_at_rest():
    model = descent(max_iter=1).fit(X, Y)
    once = model.coef_
    np.testing.assert_array_equal(model.fit(X, Y).coef_, once)
    warm = descent(max_iter=1, warm_start=True).fit(X, Y).fit(X, Y)
    again = descent(max_iter=1).fit(
        X, Y, coef_init=once, intercept_init=model.intercept_
    )
    np.testing.assert_array_equal(warm.coef_, again.coef_)


def test_narrow_valleys_are_crossed_sooner():
    # Polyak: the rate is 1 - 2 / sqrt(condition) in place of 1 - 2 / condition.
    stretched = rng.normal(size=(N, 2)) * [1.0, 0.05]
    y = stretched @ [1.0, 20.0]
    left = {}
    for momentum in (0.0, 0.9):
        model = descent(
            solver="batch", momentum=momentum, eta0=0.5, penalty=None, max_iter=500,
            fit_intercept=False,
        )  # fmt: skip
        left[momentum] = model.fit(stretched, y).objective_
    assert left[0.9] < 0.01 * left[0.0]


def test_no_gradient_norm_is_told():
    # A move is no multiple of the gradient.
    model = descent(solver="batch").fit(X, Y)
    assert np.isnan(model.history_["gradient_norm"]).all()


def test_too_large_a_step_diverges():
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model = descent(solver="batch", eta0=5.0).fit(X, Y)
    assert model.stop_reason_ == "diverged"


def test_elasticnet_of_l1_ratio_zero():
    model = descent(penalty="elasticnet", l1_ratio=0.0).fit(X, Y)
    np.testing.assert_array_equal(model.coef_, descent().fit(X, Y).coef_)


@pytest.mark.parametrize("parameters, said", [
    ({"eta0": "auto", "learning_rate": "auto"}, "set eta0 to a number"),
    ({"solver": "sgd"}, "use solver='minibatch' or 'batch'"),
    ({"penalty": "l1"}, "use penalty 'l2' or None"),
    ({"penalty": "elasticnet"}, "use penalty 'l2' or None"),
    ({"momentum": 1.0}, "The 'momentum' parameter of GDRegressor must be a float in"),
    ({"nesterovs_momentum": 2}, "The 'nesterovs_momentum' parameter of GDRegressor"),
])  # fmt: skip
def test_where_there_is_none(parameters, said):
    for call in (descent(**parameters).fit, descent(**parameters).partial_fit):
        with pytest.raises(ValueError, match=said):
            call(X, Y)


def heavy_ball(eta, momentum, X, y, n_epochs):
    """Objectives of the heavy ball from 0, without a penalty, for comparison."""
    A = np.c_[X, np.ones(len(X))]
    w = move = np.zeros(A.shape[1])
    objectives = []
    for _ in range(n_epochs):
        residual = A @ w - y
        objectives.append(residual @ residual / (2 * len(y)))
        move = momentum * move - eta * A.T @ residual / len(y)
        w = w + move
    return np.array(objectives)


@pytest.fixture
def rippling():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 3))
    return X, X @ [1.0, -2.0, 0.5] + 0.1 * rng.normal(size=150) + 1.0


@pytest.mark.parametrize("learning_rate", ["constant", "adaptive"])
@pytest.mark.parametrize("nesterovs", [False, True])
@pytest.mark.parametrize("eta0, momentum", [(0.1, 0.9), (0.1, 0.98), (0.5, 0.95)])
def test_training_outlasts_ripples(rippling, eta0, momentum, nesterovs, learning_rate):
    X, y = rippling
    model = descent(
        solver="batch", eta0=eta0, momentum=momentum, nesterovs_momentum=nesterovs,
        learning_rate=learning_rate, penalty=None, tol=1e-3, max_iter=5000,
    ).fit(X, y)  # fmt: skip
    optimum = GDRegressor(solver="batch", penalty=None, tol=1e-10).fit(X, y).objective_
    assert model.stop_reason_ == "no_progress"
    assert model.objective_ < optimum + 1e-3 * (np.var(y) / 2 - optimum)


def test_early_stopping_outlasts_ripples(rippling):
    X, y = rippling
    model = descent(
        solver="batch", eta0=0.1, momentum=0.95, nesterovs_momentum=False, tol=1e-3,
        early_stopping=True, penalty=None, max_iter=5000, random_state=0,
    ).fit(X, y)  # fmt: skip
    assert model.stop_reason_ == "early_stopping" and model.n_iter_ > 100
    assert model.score(X, y) > 0.998


def test_updates_that_share_an_epoch_are_waited_for_together(rippling):
    # 50 updates at momentum 0.9 are 5 epochs of 10 batches, or 10 of 5. The first epoch
    # gains, or the second one where the first objective is that of the start.
    X, y = rippling
    for batch_size, n_epochs in ((15, 1 + 5), (30, 1 + 10), (150, 2 + 50)):
        model = descent(batch_size=batch_size, eta0=1e-9, tol=1e9, max_iter=100)
        assert model.fit(X, y).n_iter_ == n_epochs


@pytest.mark.parametrize("tol", [None, 1e-3])
def test_the_end_of_epochs_in_a_ripple(rippling, tol):
    X, y = rippling
    objectives = heavy_ball(0.1, 0.98, X, y, 40)
    best = int(np.argmin(objectives))
    last = next(k for k in range(best, 40) if objectives[k] > objectives[0] / 2)
    model = descent(
        solver="batch", eta0=0.1, momentum=0.98, nesterovs_momentum=False,
        penalty=None, tol=tol, max_iter=last,
    )  # fmt: skip
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    assert model.stop_reason_ == "max_iter"
    if tol is None:
        assert not caught
        np.testing.assert_allclose(model.objective_, objectives[last], rtol=1e-10)
    else:
        assert "Maximum number of iteration" in str(caught[0].message)
        np.testing.assert_allclose(model.objective_, objectives[best], rtol=1e-10)


@pytest.mark.parametrize("max_iter", [20, 25, 30, 35, 40])
def test_ripples_are_no_rest(rippling, max_iter):
    model = descent(solver="batch", eta0=0.1, momentum=0.98, tol=1e-3,
                    nesterovs_momentum=False, max_iter=max_iter)  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="Maximum number of iteration"):
        model.fit(*rippling)


def test_no_warning_where_a_ripple_has_died_out(rippling, recwarn):
    warnings.simplefilter("always")
    model = descent(solver="batch", eta0=0.1, tol=1e-3, n_iter_no_change=500,
                    max_iter=300)  # fmt: skip
    assert model.fit(*rippling).stop_reason_ == "max_iter"
    assert not recwarn.list


def test_advice_knows_of_momentum(rippling):
    # Stable is less than 2 (1 + momentum) / L, here 3.1.
    X, y = rippling
    with pytest.warns(ConvergenceWarning, match="diverged") as caught:
        descent(solver="batch", eta0=3.5, penalty=None, nesterovs_momentum=False,
                tol=1e-3, max_iter=500).fit(X, y)  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="diverged") as plain:
        descent(solver="batch", eta0=3.5, penalty=None, momentum=0.0, tol=1e-3).fit(
            X, y
        )
    said = str(caught[0].message)
    assert "and momentum=0" in said and "momentum" not in str(plain[0].message)
    step, without = (
        float(str(c[0].message).split("set eta0=")[1].split()[0])
        for c in (caught, plain)
    )
    assert step == pytest.approx(0.1 * without, rel=0.01)
    model = descent(solver="batch", eta0=step, penalty=None, tol=1e-3, max_iter=5000)
    assert model.fit(X, y).stop_reason_ == "no_progress"
    assert model.score(X, y) > 0.99


@pytest.mark.parametrize("average", [False, 10**6])
def test_coefficients_of_the_user_begin_at_rest(average):
    model = descent(average=average).partial_fit(X, Y)
    assert np.any(model._memory.trained.velocity[0])
    model.coef_ = np.ones((2, P))
    other = clone(model).partial_fit(X[:1], Y[:1])  # of other moves
    other.coef_, other.intercept_ = np.ones((2, P)), model.intercept_
    assert not np.array_equal(model.coef_, model.partial_fit(X, Y).coef_)
    np.testing.assert_array_equal(model.coef_, other.partial_fit(X, Y).coef_)


BLOWN_UP = [  # and not come down
    (GDRegressor, {"momentum": 0.99}), (GDRegressor, {"momentum": 0.95}),
    (GDRegressor, {"momentum": 0.97}),
    (GDRegressor, {"momentum": 0.99, "max_iter": 40}),
    (GDRegressor, {
        "learning_rate": "constant", "tol": None, "max_iter": 300, "random_state": 2
    }),
    (GDRegressor, {
        "eta0": 0.01, "momentum": 0.99, "nesterovs_momentum": False,
        "learning_rate": "constant",
    }),
    (GDRegressor, {"momentum": 0.5, "learning_rate": "constant"}),
    (GDClassifier, {"eta0": 100.0, "momentum": 0.99, "solver": "batch"}),
    (GDClassifier, {"eta0": 100.0, "solver": "batch", "max_iter": 30}),
]  # fmt: skip


@pytest.mark.parametrize("estimator, parameters", BLOWN_UP)
def test_no_model_is_far_above_its_start_or_best_epoch(estimator, parameters):
    X, y = load_breast_cancer(return_X_y=True)
    model = estimator(**{
        "eta0": 0.1, "momentum": 0.9, "random_state": 0, "record": "path", **parameters
    }).fit(StandardScaler().fit_transform(X), y)  # fmt: skip
    start = {GDRegressor: np.mean(y) / 2, GDClassifier: np.log(2)}[estimator]
    assert model.objective_ <= start * (1 + 1e-9)
    if model.solver == "batch":
        assert model.objective_ <= min(model.loss_curve_) * (1 + 1e-9)


def test_what_comes_to_rest_far_above_is_diverged():
    X, y = make_regression(300, 10, noise=10.0, random_state=0)
    L = np.linalg.eigvalsh(X.T @ X / 300).max()
    model = GDRegressor(eta0=1.9 / L, learning_rate="constant", random_state=0)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.fit(X, y)
    assert model.objective_ <= np.mean(y**2) / 2 * (1 + 1e-9)


@pytest.mark.parametrize("max_iter", [15, 25, 40, 1000])
@pytest.mark.parametrize("n_iter_no_change", [1, 5])
def test_the_best_epoch_is_kept(rippling, n_iter_no_change, max_iter):
    X, y = rippling
    model = descent(
        solver="batch", eta0=0.05, momentum=0.97, nesterovs_momentum=False, tol=1e-3,
        penalty=None, n_iter_no_change=n_iter_no_change, max_iter=max_iter,
    ).fit(X, y + 5.0)  # fmt: skip
    assert model.objective_ <= min(model.loss_curve_) * (1 + 1e-9)
