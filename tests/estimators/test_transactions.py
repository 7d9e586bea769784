"""A call that fails changes nothing, whichever line it fails at."""

import copy
import os
import pickle
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

import skgd
from skgd import GDRegressor
from skgd.estimators.fitted import RECORDED_CALLS, thin

quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def data(n=60, p=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, X @ np.arange(1.0, p + 1) + 0.1 * rng.normal(size=n)


# ----------------------------------------------------------------------- rollback

PACKAGE = os.path.dirname(skgd.__file__)
# Of the lines executed, each of so many; 1 takes minutes.
STEP = int(os.environ.get("SKGD_LINES", "13"))


class InjectedError(BaseException):
    """Like KeyboardInterrupt, no Exception."""


def raising_at(call, line):
    """Call with an exception at the n-th line executed in the package.

    Returns whether there was such a line.
    """
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if frame.f_code.co_name in ("undo", "__getstate__"):
            return None
        if event == "line":
            count += 1
            if count == line:
                sys.settrace(None)
                raise InjectedError
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except InjectedError:
        return True
    finally:
        sys.settrace(former)
    return False


TRANSACTIONS = {
    "first fit": (False, {}, "fit"),
    "fit": (True, {}, "fit"),
    "textbook fit": (True, {"eta0": 0.01, "average": True, "max_iter": 2}, "fit"),
    "early stopping": (True, {"early_stopping": True, "max_iter": 2}, "fit"),
    "first partial_fit": (False, {}, "partial_fit"),
    "partial_fit": (True, {"record": "update"}, "partial_fit"),
    "textbook partial_fit": (True, {"eta0": 0.01, "average": 3}, "partial_fit"),
}


def transaction(name, sparse):
    """A call that is to fail, and its model, as it was before."""
    fitted, settings, method = TRANSACTIONS[name]
    X, y = data(12, 130 if sparse else 2)
    if sparse:
        X = sp.csr_array(X * (np.random.default_rng(1).random(X.shape) < 0.02))
    model = GDRegressor(random_state=0, **settings)
    if fitted:
        model.set_params(early_stopping=False).partial_fit(X[:9], y[:9])
        model.partial_fit(X[:9], y[:9]).set_params(**settings)
    return lambda: getattr(model, method)(X, y), model, pickle.dumps(model)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", TRANSACTIONS)
@quiet
def test_an_exception_at_any_line_changes_nothing(name, sparse):
    call, model, before = transaction(name, sparse)
    line = 1 + len(name) % STEP
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not raising_at(call, line):
                break
        assert pickle.dumps(model) == before, line
        line += STEP
    assert line > 100


ALLOCATE = ("empty", "zeros", "ones", "empty_like", "zeros_like", "array", "arange")


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", TRANSACTIONS)
@quiet
def test_no_memory_for_any_array_is_said_and_changes_nothing(name, sparse):
    """Compiled modules take their memory from NumPy, too."""
    call, model, before = transaction(name, sparse)
    failing = 1
    while True:
        count = 0

        def failing_at(allocate):
            def allocated(*args, **kwargs):
                nonlocal count
                count += 1
                if count == failing:  # noqa: B023
                    raise MemoryError
                return allocate(*args, **kwargs)

            return allocated

        with pytest.MonkeyPatch.context() as patch:
            for function in ALLOCATE:
                patch.setattr(np, function, failing_at(getattr(np, function)))
            try:
                call()
            except MemoryError:
                pass
            else:
                break
        assert pickle.dumps(model) == before, failing
        failing += 3
    assert failing > 10
    assert count < failing  # no error was swallowed


def test_copies_share_nothing_that_changes():
    X, y = data()
    model = GDRegressor(random_state=0).partial_fit(X, y)
    other = copy.copy(model)
    before = pickle.dumps(model)
    other.partial_fit(X, y)
    assert pickle.dumps(model) == before
    assert (
        len(other.loss_curve_) == 2 and other.loss_curve_ is other.history_["objective"]
    )


@pytest.mark.parametrize("n", [RECORDED_CALLS, RECORDED_CALLS + 1, RECORDED_CALLS + 2])
def test_a_long_history_loses_every_other_call_but_not_the_last(n):
    thinned = thin({"objective": list(range(n)), "eta": [0.1] * n})
    kept = list(range(n)) if n == RECORDED_CALLS else [*range(1, n - 1, 2), n - 1]
    assert thinned["objective"] == kept
    assert thinned["eta"] == [0.1] * len(kept)
