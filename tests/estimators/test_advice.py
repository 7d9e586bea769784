"""The numbers in warnings."""

import re

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skgd import GDRegressor


def warning_of(model, X, y):
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(X, y)
    return str(caught[0].message)


@pytest.fixture
def rows():
    """Features of different spread, centred."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    X = (X - X.mean(axis=0)) * [1.0, 0.02]
    return X, X @ [1.0, 50.0]


def test_how_small_a_step_is_and_how_slow_a_stable_one(rows):
    X, y = rows
    model = GDRegressor(
        solver="minibatch", batch_size=20, eta0=1e-4, penalty=None, max_iter=30,
        tol=1e-3, learning_rate="constant", random_state=0,
    )  # fmt: skip
    message = warning_of(model, X, y)
    ratio = float(re.search(r"is about (\S+) times smaller", message)[1])
    stable = float(re.search(r"set eta0=(\S+) or less", message)[1])
    epochs = float(re.search(r"slow: about (\S+) epochs", message)[1])
    assert 0.05 < stable < 0.5
    assert ratio == pytest.approx(stable / 1e-4, rel=0.06)
    Z = np.column_stack([X, np.ones(200)])
    slowest = np.linalg.eigvalsh(Z.T @ Z / 200)[0]
    # Errors fall to exp(-5), in ten updates an epoch; one digit is told.
    assert epochs == pytest.approx(5.0 / (stable * slowest * 10), rel=0.6)


def test_how_much_is_left(rows):
    X, y = rows
    model = GDRegressor(solver="batch", max_iter=1, tol=1e-9, loss="huber")
    message = warning_of(model, X, y)
    assert 0.0 < model.gap_ <= 1.0
    assert f"About {model.gap_:.1g} of the gain" in message
    assert "where tol=1e-09 was asked for" in message
