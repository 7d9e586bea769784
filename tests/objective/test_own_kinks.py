"""Losses of the user that have kinks, are negative, or are no objects."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from own_losses import Asymmetric, Count, Hinge, LogLoss, Pinball, Steep
from skgd import GDClassifier, GDRegressor
from skgd.objective import classification
from skgd.objective.classification import OneVsRest
from skgd.objective.offset import Offset
from skgd.objective.own import PythonLoss, is_own
from skgd.objective.targets import Targets

rng = np.random.default_rng(0)
X = rng.normal(size=(200, 3))
Y = X @ rng.normal(size=(3, 2)) + rng.normal(size=(200, 2))
BINARY = X[:, 0] > 0.0


@pytest.mark.parametrize("solver", ["batch", "minibatch"])
@pytest.mark.parametrize("convex", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_kinks_of_losses_said_to_be_convex(seed, convex, solver):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(300, 5))
    y = X @ rng.normal(size=5) * 2.0 + rng.standard_t(2, size=300)
    for cls, own, name, target in (
        (GDRegressor, Pinball, {"loss": "quantile", "quantile": 0.9}, y),
        (GDClassifier, Hinge, {"loss": "hinge"}, y > 0),
    ):
        model = cls(own(convex), solver=solver, random_state=0).fit(X, target)
        optimum = cls(**name, tol=1e-9).fit(X, target).objective_
        assert model.stop_reason_ == "converged"
        gain = np.mean(np.abs(y)) if cls is GDRegressor else 1.0
        assert model.objective_ - optimum < 1e-4 * gain


@pytest.mark.parametrize("loss, smooth", [
    (Pinball(True), False), (Hinge(True), False), (Steep(True), True),
    (LogLoss(), True), (Asymmetric(0.9), True), (Count(), True),
])  # fmt: skip
@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e4])
def test_what_has_kinks(loss, smooth, unit):
    y = np.where(BINARY, 1.0, -1.0)[:, None]
    if isinstance(loss, (Asymmetric, Count)) or type(loss) is Pinball:
        y = unit * np.abs(Y[:, :1])
        y = np.minimum(y, 100.0) if isinstance(loss, Count) else y
    loss = PythonLoss(loss)
    loss.curvature(Targets(y))
    assert loss.convex == smooth


def test_losses_that_are_negative_away_from_the_constant_model():
    class Below(Asymmetric):
        def value_and_slope(self, y, z):
            value, slope = super().value_and_slope(y, z)
            return value - 0.01, slope

    y = X @ [1.0, 2.0, -1.0] + 1.0
    for parameters in ({}, {"eta0": 0.05}):
        model = GDRegressor(Below(), **parameters)
        with pytest.raises(ValueError, match="The loss is negative"):
            model.fit(X, y)
        assert not hasattr(model, "coef_")


def test_a_loss_is_no_class():
    with pytest.raises(ValueError, match="must be an object, not the class Asymmetric"):
        GDRegressor(Asymmetric).fit(X, Y)


class OfSmallPredictions(Asymmetric):
    def value_and_slope(self, y, z):
        value, slope = super().value_and_slope(y, z)
        return np.where(abs(z) > 1.8, np.nan, value), slope


@pytest.mark.parametrize("offset", [None, np.zeros(200)])
def test_advice_where_the_loss_is_at_fault(offset):
    y = X @ [1.0, 2.0, -1.0] + 1.0
    model = GDRegressor(OfSmallPredictions(), eta0=0.01)
    with pytest.warns(ConvergenceWarning, match="values and slopes of the loss are ri"):
        model.fit(X, y, offset=offset)
    with pytest.warns(ConvergenceWarning, match="eta0=3 is too large for these data"):
        GDRegressor(Asymmetric(), eta0=3.0).fit(X, y, offset=offset)


def test_what_is_made_of_a_loss_of_the_user():
    own, house = PythonLoss(LogLoss()), classification.Hinge()
    for loss, expected in ((own, True), (house, False)):
        assert is_own(loss) == expected
        assert is_own(Offset(OneVsRest(loss, 3), True)) == expected
