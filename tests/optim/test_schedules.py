"""Step sizes by their formulas."""

import numpy as np
import pytest
from sklearn.base import clone

from samples import assert_same, regression
from skgd import GDRegressor
from skgd.optim.schedules import SCHEDULES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


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
