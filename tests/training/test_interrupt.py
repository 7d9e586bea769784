"""Ctrl-C ends training after the epoch."""

import signal
import threading

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from samples import SOLVERS, linear, same_model
from skgd import GDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Interrupts:
    """A constant schedule that sends SIGINT before the epochs listed, once each."""

    def __init__(self, *epochs):
        self.epochs = epochs
        self.calls = 0

    def __call__(self, t, eta0):
        self.calls += 1
        for _ in range(self.epochs.count(self.calls)):
            signal.raise_signal(signal.SIGINT)
        return np.full(np.shape(t), eta0)


def interruptible(*epochs, **parameters):
    return GDRegressor(
        learning_rate=Interrupts(*epochs), eta0=0.01, random_state=0, tol=None,
        **{"max_iter": 20, **parameters},
    )  # fmt: skip


@pytest.fixture
def ctrl_c():
    """Python's own handler, which background jobs of a shell start without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("solver", SOLVERS)
def test_ctrl_c_ends_training_after_the_epoch(ctrl_c, solver):
    X, y = linear()
    model = interruptible(3, solver=solver)
    with pytest.warns(ConvergenceWarning, match="interrupted by user after 3 epochs"):
        model.fit(X, y)
    assert model.n_iter_ == 3
    assert model.stop_reason_ == "interrupted"
    assert same_model(model, interruptible(solver=solver, max_iter=3).fit(X, y))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("epochs, max_iter", [((3, 3), 20), ((1,), 1)])
def test_a_second_ctrl_c_and_that_of_a_single_epoch_are_raised(
    ctrl_c, epochs, max_iter
):
    X, y = linear()
    model = interruptible(max_iter=5).fit(X, y)
    before = dict(vars(model))
    model.set_params(learning_rate=Interrupts(*epochs), max_iter=max_iter)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.coef_ is before["coef_"]
    assert model.history_ is before["history_"]
    with pytest.raises(KeyboardInterrupt):
        model.set_params(learning_rate=Interrupts(1)).partial_fit(X, y)
    assert model.coef_ is before["coef_"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_handlers_are_left_alone():
    X, y = linear()
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        model = interruptible(2, max_iter=4).fit(X, y)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [1]
    assert model.n_iter_ == 4


def test_fit_in_a_thread():
    X, y = linear()
    model = interruptible(max_iter=4)
    thread = threading.Thread(target=model.fit, args=(X, y))
    thread.start()
    thread.join()
    assert same_model(model, interruptible(max_iter=4).fit(X, y))
