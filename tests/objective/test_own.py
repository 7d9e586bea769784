"""Losses of the user: objects, and compiled functions."""

import ctypes
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import LowLevelCallable
from scipy.optimize import check_grad
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from own_losses import Asymmetric, Count, LogLoss
from skgd import GDClassifier, GDRegressor
from skgd.objective.own import CompiledLoss, PythonLoss
from skgd.objective.targets import Targets

N, P = 200, 3
rng = np.random.default_rng(0)
X = rng.normal(size=(N, P))
Y = X @ rng.normal(size=(P, 2)) + rng.normal(size=(N, 2))
WEIGHT = rng.integers(0, 4, N).astype(float)
CLASSES = np.argmax(X + 0.5 * rng.normal(size=(N, P)), axis=1)
STORAGES = {
    "dense": X,
    "csr": sp.csr_array(X),
    "float32": X.astype(np.float32),
    "csr32": sp.csr_array(X.astype(np.float32)),
}
C_TYPE = ctypes.CFUNCTYPE(
    ctypes.c_double, ctypes.c_double, ctypes.c_double, ctypes.POINTER(ctypes.c_double)
)


@C_TYPE
def half_square(y, z, slope):
    slope[0] = z - y
    return 0.5 * (z - y) ** 2


@C_TYPE
def logistic(y, z, slope):
    e = np.exp(-y * z)
    slope[0] = -y * e / (1.0 + e)
    return np.log1p(e)


COMPILED = {
    "squared_error": LowLevelCallable(half_square),
    "log_loss": LowLevelCallable(logistic),
}


@pytest.mark.parametrize("loss", [Asymmetric(0.8), LogLoss(), Count()])
def test_slopes_of_these_tests(loss):
    for y in (0.0, 1.0, 3.0):
        for z in rng.normal(size=5):
            error = check_grad(
                lambda t, y=y: float(loss.value_and_slope(np.array([y]), t)[0][0]),
                lambda t, y=y: loss.value_and_slope(np.array([y]), t)[1],
                [z],
            )
            assert error < 1e-5


@pytest.mark.parametrize("parameters", [
    {}, {"eta0": 0.05}, {"finish": False}, {"eta0": 0.05, "penalty": "l1"},
    {"penalty": "elasticnet", "alpha": 0.01},
    {"eta0": 0.05, "momentum": 0.5, "solver": "batch"}, {"average": True, "eta0": 0.05},
])  # fmt: skip
@pytest.mark.parametrize("solver", ["batch", "minibatch", "sgd"])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("kind", ["object", "compiled"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_as_the_loss_of_the_house(kind, storage, solver, parameters):
    # Updates are the same; automatic steps and the finish find the same optimum.
    own = Asymmetric() if kind == "object" else COMPILED["squared_error"]
    parameters = {"solver": solver, "max_iter": 5, "random_state": 0} | parameters
    exact = "eta0" in parameters
    if not exact:
        parameters["max_iter"] = 100
    fits = []
    for loss in ("squared_error", own):
        model = GDRegressor(loss, **parameters, tol=None if exact else 1e-8)
        fits.append(model.fit(STORAGES[storage], Y, sample_weight=WEIGHT))
    tolerance = 1e-7 if exact else 1e-2 if "finish" in parameters else 1e-4
    np.testing.assert_allclose(fits[1].coef_, fits[0].coef_, atol=tolerance)
    np.testing.assert_allclose(fits[1].intercept_, fits[0].intercept_, atol=tolerance)
    np.testing.assert_allclose(fits[1].objective_, fits[0].objective_, rtol=1e-3)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("solver", ["batch", "minibatch", "sgd"])
@pytest.mark.parametrize("kind", ["object", "compiled"])
def test_classes(kind, solver, n_classes):
    own = LogLoss() if kind == "object" else COMPILED["log_loss"]
    y = np.minimum(CLASSES, n_classes - 1)
    model = GDClassifier(own, solver=solver, tol=1e-6, alpha=0.01, random_state=0)
    model.fit(X, y, sample_weight=WEIGHT)
    assert model.stop_reason_ == "converged"
    # One class against the rest.
    for k in range(model.coef_.shape[0]):
        label = y == (k if n_classes > 2 else 1)
        one = GDClassifier(alpha=0.01, tol=1e-8).fit(X, label, sample_weight=WEIGHT)
        np.testing.assert_allclose(model.coef_[k], one.coef_[0], atol=1e-2)
    assert model.score(X, y) > 0.6
    assert not hasattr(model, "predict_proba")
    early = GDClassifier(own, solver=solver, early_stopping=True).fit(X, y)
    assert max(early.history_["validation_score"]) > 0.5


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("kind", ["object", "compiled"])
def test_streams(kind, storage):
    own = Asymmetric() if kind == "object" else COMPILED["squared_error"]
    model = GDRegressor(own, random_state=0)
    for start in 3 * [*range(0, N, 20)]:
        rows = slice(start, start + 20)
        model.partial_fit(STORAGES[storage][rows], Y[rows, 0])
    best = GDRegressor(random_state=0).fit(X, Y[:, 0])
    assert model.score(X, Y[:, 0]) > best.score(X, Y[:, 0]) - 0.05


def test_a_link():
    y = rng.poisson(np.exp(X[:, 0] + 1.0))
    model = GDRegressor(Count(), tol=1e-8).fit(X, y, offset=X[:, 1])
    other = GDRegressor("poisson", tol=1e-8).fit(X, y, offset=X[:, 1])
    np.testing.assert_allclose(model.coef_, other.coef_, atol=1e-4)
    np.testing.assert_allclose(model.predict(X), other.predict(X), rtol=1e-3)


def test_targets_far_from_zero():
    # The first prediction is not zero.
    y = Y[:, 0] + 1e6
    model = GDRegressor(Asymmetric(), tol=1e-8).fit(X, y)
    other = GDRegressor(tol=1e-8).fit(X, y)
    np.testing.assert_allclose(model.coef_, other.coef_, atol=1e-3)


@pytest.mark.parametrize("level", [0.1, 0.9])
def test_it_is_called_once_per_batch(level):
    loss = Asymmetric(level)
    GDRegressor(loss, eta0=0.01, batch_size=50, max_iter=1, tol=None).fit(X, Y)
    assert loss.calls <= 4 + 30  # and for the best constant model


def test_expectiles():
    # The share of weight times distance that lies below is one minus the level.
    model = GDRegressor(Asymmetric(0.8), penalty=None, tol=1e-10).fit(X, Y[:, 0])
    r = Y[:, 0] - model.predict(X)
    assert 0.8 * r[r > 0].sum() == pytest.approx(-0.2 * r[r < 0].sum(), rel=1e-3)


class Raises(Asymmetric):
    def __init__(self, after, error):
        super().__init__()
        self.after, self.error = after, error

    def value_and_slope(self, y, z):
        self.after -= 1
        if self.after < 0:
            raise self.error
        return super().value_and_slope(y, z)


def until_it_raises(call):
    """What one of several calls raises; one may call a loss less often."""
    try:
        for _ in range(50):
            call()
    except BaseException as error:
        return error


@pytest.mark.parametrize("error", [KeyError("mine"), KeyboardInterrupt("mine")])
@pytest.mark.parametrize("after", [0, 1, 5, 20, 30, 40, 50])
@pytest.mark.parametrize("parameters", [
    {}, {"eta0": 0.05}, {"solver": "sgd"}, {"solver": "sgd", "eta0": 0.05},
    {"early_stopping": True}, {"penalty": "l1"},
])  # fmt: skip
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_it_raises_comes_out(parameters, after, error):
    model = GDRegressor(Asymmetric(), max_iter=3, tol=None, **parameters).fit(X, Y)
    before = pickle.dumps(model)
    model.loss = Raises(after, error)
    raised = until_it_raises(lambda: model.fit(X, Y))
    assert raised is error
    if "early_stopping" not in parameters:
        model.loss.after = after
        assert until_it_raises(lambda: model.partial_fit(X, Y)) is error
    if after == 0:
        model.loss = pickle.loads(before).loss
        assert pickle.dumps(model) == before


def test_what_was_raised_is_raised_once():
    loss = PythonLoss(Raises(0, KeyError("mine")))
    arguments = Y, np.zeros_like(Y), np.ones(N)
    with pytest.raises(KeyError, match="mine"):
        loss.sums(*arguments)
    loss.loss.after = 1
    assert loss.sums(*arguments)[0] == pytest.approx(0.5 * np.sum(Y**2))


@pytest.mark.parametrize("returned, said", [
    (lambda y, z: (z, z[:-1]), "must return two arrays of the shape of y"),
    (lambda y, z: (0.0, z), "must return two arrays of the shape of y"),
    (lambda y, z: (z, z, z), "of the shape of y, .*: the loss and its slope"),
    (lambda y, z: None, "of the shape of y, .*: the loss and its slope"),
    (lambda y, z: z, "two arrays of the shape of y"),
    (lambda y, z: (-np.ones(y.size), z), "The loss is negative"),
    (lambda y, z: (np.nan * z, z), "The loss or its slope is NaN or infinite"),
    (lambda y, z: (z * z, np.nan * z), "The slope of the loss is NaN where its value"),
    (lambda y, z: (z * z, z + np.inf), "The loss or its slope is NaN or infinite"),
    (lambda y, z: ((z * z).sum(), z), "must return two arrays of the shape of y"),
])  # fmt: skip
def test_what_it_must_return(returned, said):
    class Wrong:
        def value_and_slope(self, y, z):
            return returned(y, z)

    for y in (Y, Y[:, 0]):
        with pytest.raises(ValueError, match=said):
            GDRegressor(Wrong()).fit(X, y)
        for rows in (slice(None), slice(1)):
            model = GDRegressor(Wrong())
            with pytest.raises(ValueError, match=said):
                model.partial_fit(X[rows], y[rows])
            assert not hasattr(model, "coef_")
    if "two arrays" not in said:
        with pytest.raises(ValueError, match=said):
            GDClassifier(Wrong()).partial_fit(X, CLASSES, classes=range(3))


class OfSmallPredictions(Asymmetric):
    def value_and_slope(self, y, z):
        value, slope = super().value_and_slope(y, z)
        return np.where(abs(z) > 0.5, np.nan, value), slope


def test_nan_on_the_way_of_a_stream():
    model = GDRegressor(OfSmallPredictions(), shuffle=False)
    model.partial_fit(X[:1], Y[:1])
    calls, before = model.loss.calls, pickle.dumps(model)
    with pytest.raises(ValueError, match="these rows sums up to nan: it must be"):
        model.partial_fit(X, Y)
    model.loss.calls = calls
    assert pickle.dumps(model) == before


@pytest.mark.parametrize("solver", ["batch", "minibatch", "sgd"])
def test_a_loss_may_work_in_place(solver):
    class InPlace(Asymmetric):
        def value_and_slope(self, y, z):
            y -= z
            z[:] = -y
            y *= 0.5 * y
            return y, z

    y, y_val = Y[:, 0].copy(), Y[:, 0].copy()
    parameters = {"solver": solver, "early_stopping": True, "random_state": 0}
    fits = [
        GDRegressor(loss, **parameters).fit(X, y, X_val=X, y_val=y_val).coef_
        for loss in (InPlace(), Asymmetric())
    ]
    np.testing.assert_allclose(fits[0], fits[1], rtol=1e-10)
    GDRegressor(InPlace()).partial_fit(X, y)
    np.testing.assert_array_equal(y, Y[:, 0])
    np.testing.assert_array_equal(y_val, Y[:, 0])


@pytest.mark.parametrize("loss", [1, None, "mine", Asymmetric, object()])
def test_what_is_no_loss(loss):
    with pytest.raises((ValueError, TypeError)):
        GDRegressor(loss).fit(X, Y)


def test_signatures():
    wrong = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(lambda y: y)
    with pytest.raises(ValueError, match="must have the signature 'double"):
        GDRegressor(LowLevelCallable(wrong)).fit(X, Y)


def test_data_of_a_compiled_function():
    with_data = ctypes.CFUNCTYPE(
        ctypes.c_double, ctypes.c_double, ctypes.c_double,
        ctypes.POINTER(ctypes.c_double), ctypes.c_void_p,
    )  # fmt: skip

    @with_data
    def scaled(y, z, slope, data):
        scale = ctypes.cast(data, ctypes.POINTER(ctypes.c_double))[0]
        slope[0] = scale * (z - y)
        return 0.5 * scale * (z - y) ** 2

    scale = ctypes.c_double(3.0)
    data = ctypes.cast(ctypes.pointer(scale), ctypes.c_void_p)
    loss = CompiledLoss(LowLevelCallable(scaled, data))
    value, slope = loss.value_and_slope([1.0], [3.0])
    assert (value, slope) == (6.0, 6.0)


def test_a_function_of_numba():
    numba = pytest.importorskip("numba")
    types = numba.types

    @numba.cfunc(types.double(types.double, types.double, types.CPointer(types.double)))
    def half_square(y, z, slope):
        slope[0] = z - y
        return 0.5 * (z - y) ** 2

    expected = GDRegressor(COMPILED["squared_error"], random_state=0).fit(X, Y).coef_
    for loss in (half_square, LowLevelCallable(half_square.ctypes)):
        model = clone(GDRegressor(loss, random_state=0)).fit(X, Y)
        np.testing.assert_array_equal(model.coef_, expected)


def test_copies():
    model = GDRegressor(COMPILED["squared_error"], alpha=0.5)
    copied = clone(model.fit(X, Y))
    assert copied.loss is model.loss
    assert copied.alpha == 0.5
    assert not hasattr(copied, "coef_")
    search = GridSearchCV(model, {"alpha": [1e-4, 1e4]}, cv=3).fit(X, Y)
    assert search.best_params_ == {"alpha": 1e-4}
    again = pickle.loads(pickle.dumps(GDRegressor(Asymmetric(0.7)).fit(X, Y)))
    assert again.loss.level == 0.7
    assert pickle.loads(pickle.dumps(PythonLoss(Asymmetric(0.6)))).loss.level == 0.6


def test_the_best_constant():
    loss = PythonLoss(Asymmetric(0.5))
    constant = loss.constant(Targets(Y, WEIGHT), 2)
    expected = np.average(Y, axis=0, weights=WEIGHT)
    np.testing.assert_allclose(constant, expected, atol=1e-5)
    assert loss.curvature(Targets(Y, WEIGHT)) == pytest.approx(1.0, rel=1e-3)
