"""Training that diverges says so, and keeps the best it had."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning

from samples import SOLVERS, regression
from skgd import GDClassifier, GDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


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


@pytest.mark.parametrize("cls", [GDRegressor, GDClassifier])
def test_diverging_partial_fit_keeps_the_state(cls):
    X, y = regression()
    model = cls("squared_error", eta0=0.01, random_state=0)
    if cls is GDClassifier:
        y = (y > np.median(y)).astype(int)
        model.partial_fit(X, y, classes=[0, 1])
    else:
        model.partial_fit(X, y)
    coef, t = model.coef_.copy(), model.t_
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.partial_fit(1e200 * X, y)
    np.testing.assert_array_equal(model.coef_, coef)
    assert model.t_ == t
    model.partial_fit(X, y)
    assert model.t_ > t
