"""Nothing crashes, nothing is half-changed, nothing is swallowed."""

import copy
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import skgd
from skgd import GDClassifier, GDRegressor
from skgd.optim.automatic import Automatic
from skgd.training import visits
from skgd.training.interrupt import Interrupt

quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def data(n=60, p=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, X @ np.arange(1.0, p + 1) + 0.1 * rng.normal(size=n)


# ------------------------------------------------------------------------- memory


def malformed(kind):
    """A CSR matrix of 3 rows and 4 columns that scipy takes."""
    X = sp.csr_matrix(np.arange(1.0, 13.0).reshape(3, 4))
    if kind == "indptr wraps int32":
        X.indptr[:] = [0, 2147483647, -2, 10]
    elif kind == "indptr decreases":
        X.indptr[:] = [0, 8, 4, 12]
    elif kind == "indptr is negative":
        X.indptr[:] = [0, -4, 8, 12]
    elif kind == "indptr is beyond the data":
        X.indptr[-1] = 13
    elif kind == "indptr does not begin at 0":
        X.indptr[0] = 1
    elif kind == "indptr is short":
        X.indptr = X.indptr[:-1]
    elif kind == "indices are beyond the columns":
        X.indices[5] = 4
    elif kind == "indices are negative":
        X.indices[5] = -1
    return X


KINDS = (
    "indptr wraps int32", "indptr decreases", "indptr is negative",
    "indptr is beyond the data", "indptr does not begin at 0", "indptr is short",
    "indices are beyond the columns", "indices are negative",
)  # fmt: skip


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", ["fit", "X_val", "partial_fit", "predict", "score"])
def test_malformed_csr_is_refused(call, kind, wide):
    X, y = sp.csr_matrix(np.arange(1.0, 13.0).reshape(3, 4)), np.arange(3.0)
    bad = malformed(kind)
    if wide and kind != "indptr wraps int32":
        bad.indices, bad.indptr = bad.indices.astype("i8"), bad.indptr.astype("i8")
    model = GDRegressor(random_state=0).fit(X, y)
    before = pickle.dumps(model)
    arguments = {"predict": (bad,)}.get(call, (bad, y))
    if call == "X_val":
        model.set_params(early_stopping=True)
        call, arguments = "fit", (X, y, None, bad, y)
    with pytest.raises(ValueError, match=r"CSR|ind"):  # by scipy, if it looks
        getattr(model, call)(*arguments)
    assert pickle.dumps(model.set_params(early_stopping=False)) == before


@pytest.mark.parametrize("where", ["learning_rate", "scoring"])
def test_code_of_the_user_that_breaks_x_ends_in_an_error(where):
    X, y = data()
    X = sp.csr_array(X)

    def breaks(*arguments, **_):
        X.indices[7] = 10**6
        return 0.01

    settings = {"learning_rate": breaks, "eta0": 0.1}
    if where == "scoring":
        settings = {"scoring": breaks, "early_stopping": True}
    with pytest.raises(ValueError, match="not a valid CSR matrix"):
        GDRegressor(random_state=0, **settings).fit(X, y)


@pytest.mark.parametrize(
    "settings",
    [{}, {"solver": "sgd"}, {"solver": "batch"}, {"eta0": 0.01},
     {"eta0": 0.01, "solver": "sgd"}],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@quiet
def test_unaligned_memory_maps_are_read(dtype, settings):
    X, y = data(200, 37)
    X = X.astype(dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rows")
        with open(path, "wb") as file:
            file.write(b"H" + X.tobytes())
        held = np.memmap(path, dtype, "r", offset=1, shape=X.shape)
        assert not held.flags.aligned
        settings = {"random_state": 0, "max_iter": 5, "tol": None} | settings
        a, b = (GDRegressor(**settings).fit(Z, y) for Z in (held, X))
        np.testing.assert_array_equal(a.coef_, b.coef_)
        a.partial_fit(held, y), b.partial_fit(X, y)
        np.testing.assert_array_equal(a.coef_, b.coef_)
        del held


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


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", TRANSACTIONS)
@quiet
def test_an_exception_at_any_line_changes_nothing(name, sparse):
    fitted, settings, method = TRANSACTIONS[name]
    X, y = data(12, 130 if sparse else 2)
    if sparse:
        X = sp.csr_array(X * (np.random.default_rng(1).random(X.shape) < 0.02))
    model = GDRegressor(random_state=0, **settings)
    if fitted:
        model.set_params(early_stopping=False).partial_fit(X[:9], y[:9])
        model.partial_fit(X[:9], y[:9]).set_params(**settings)
    before = pickle.dumps(model)
    line = 1 + len(name) % STEP
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not raising_at(lambda: getattr(model, method)(X, y), line):
                break
        assert pickle.dumps(model) == before, line
        line += STEP
    assert line > 100


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


# ------------------------------------------------------- interrupts, exit and fork


@pytest.fixture
def default_handler():
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def test_ctrl_c_while_the_result_is_chosen_is_not_swallowed(
    default_handler, monkeypatch
):
    X, y = data()
    finish = Automatic.finish

    def interrupted(self, *arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return finish(self, *arguments)

    monkeypatch.setattr(Automatic, "finish", interrupted)
    with pytest.warns(ConvergenceWarning, match="interrupted by user"):
        model = GDRegressor(random_state=0).fit(X, y)
    assert model.stop_reason_ == "interrupted"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_on_the_way_out_gives_the_handler_back(
    default_handler, monkeypatch
):
    X, y = data()
    leave = Interrupt.__exit__

    def interrupted(self, *exception):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        return leave(self, *exception)

    monkeypatch.setattr(Interrupt, "__exit__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        GDRegressor(random_state=0).fit(X, y)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


START = """
import atexit, os, sys, threading, time
import numpy as np, warnings
warnings.simplefilter("ignore")
from skgd import GDRegressor
rng = np.random.default_rng(0)
X = rng.normal(size=(40_000, 5))
y = X.sum(axis=1)
"""
ENDS = {
    "thread": """
        def work():
            model = GDRegressor(eta0=0.01, random_state=0, max_iter=60, tol=None)
            print(model.fit(X, y).n_iter_)
        threading.Thread(target=work).start()
    """,
    "daemon": """
        def work():
            GDRegressor(eta0=0.01, max_iter=10_000, tol=None).fit(X, y)
        threading.Thread(target=work, daemon=True).start()
        time.sleep(0.2)
        print(60)
    """,
    "atexit": """
        model = GDRegressor(eta0=0.01, random_state=0, max_iter=60, tol=None)
        atexit.register(lambda: print(model.fit(X, y).n_iter_))
    """,
    "fork": """
        calls, child = 0, None
        def rate(t, eta0):
            global calls, child
            calls += 1
            if calls == 3 and child is None:
                child = os.fork()
            return 0.01
        model = GDRegressor(
            learning_rate=rate, eta0=0.01, max_iter=60, tol=None, random_state=0
        ).fit(X, y)
        if child == 0:
            with open(sys.argv[1], "wb") as file:
                file.write(model.coef_.tobytes())
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        with open(sys.argv[1], "rb") as file:
            assert file.read() == model.coef_.tobytes()
        print(model.n_iter_)
    """,
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="wants fork")
def test_a_fit_ends_well_when_its_process_does(end, tmp_path):
    script = START + textwrap.dedent(ENDS[end])
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "coef")],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "60\n", "")


@quiet
def test_nothing_is_drawn_after_the_fit(monkeypatch):
    """Nor does it depend on a race what is: the generator ends in one state."""
    X, y = data(visits.DRAW_AHEAD_FROM, 2)
    ends = []

    class Watched(visits.Visits):
        def __exit__(self, *exception):
            super().__exit__(*exception)
            ends.append(self.generator.bit_generator.state["state"]["state"])

    monkeypatch.setattr("skgd.training.loop.Visits", Watched)
    before = threading.active_count()
    for _ in range(10):
        GDRegressor(eta0=1e3, random_state=0, max_iter=5, batch_size=512).fit(X, y)
    assert len(set(ends)) == 1
    assert threading.active_count() == before


def test_errors_of_the_thread_that_draws_are_raised(monkeypatch):
    X, y = data(visits.DRAW_AHEAD_FROM, 2)
    model = GDRegressor(eta0=0.01, random_state=0, max_iter=5, tol=None)

    def fails(self, epoch):
        raise MemoryError("no room for an order")

    monkeypatch.setattr(visits.Visits, "next", fails)
    with pytest.raises(MemoryError, match="no room"):
        model.fit(X, y)
    assert not hasattr(model, "coef_")


# ------------------------------------------------------------------------ numbers


@pytest.mark.parametrize("exponent", [-25, -20, -10, 10, 20, 23, 25])
@pytest.mark.parametrize("solver", ["sgd", "minibatch", "batch"])
def test_sparse_features_of_any_scale_learn(solver, exponent):
    X, y = data(300, 5)
    scale = np.array([1.0, 1.0, 10.0**exponent, 10.0**exponent, 1.0])
    for scales in (10.0**exponent, scale):
        Z = sp.csr_array(X * scales)
        for finish in (True, False):
            model = GDRegressor(
                penalty=None, solver=solver, random_state=0, finish=finish, max_iter=200
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                assert model.fit(Z, y).score(Z, y) > 0.99


@pytest.mark.parametrize("eta0", ["auto", 0.01])
@pytest.mark.parametrize("size", [1e30, 1e38, 1e39, 1e100, 1e200])
def test_single_precision_gives_finite_coefficients_or_says_why_not(size, eta0):
    X, y = data()
    model = GDRegressor(random_state=0, eta0=eta0, max_iter=20, penalty=None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.fit(X.astype(np.float32), y * size)
        except ValueError as error:
            assert size > 1e38 and eta0 == "auto"
            assert "too large for the float32 of X" in str(error)  # noqa: PT017
            return
    assert np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()
    if size > 1e38 or not model.coef_.any():
        assert model.stop_reason_ == "diverged"
        assert caught
    elif eta0 == "auto":
        assert model.score(X.astype(np.float32), y * size) > 0.9


@pytest.mark.filterwarnings("ignore:overflow")
def test_numbers_beyond_double_precision_are_refused():
    X, _ = data(30)
    huge = np.full(30, np.longdouble("1e400"))
    if not np.isfinite(huge[0]):
        pytest.skip("long doubles are doubles here")
    with pytest.raises(ValueError, match="infinity"):
        GDRegressor().fit(X, huge)
    with pytest.raises(ValueError, match="infinity"):
        GDRegressor().partial_fit(X, huge)
    with pytest.raises(ValueError, match="infinity"):
        GDRegressor().fit(X, X[:, 0], sample_weight=huge)


@pytest.mark.parametrize("solver", ["batch", "minibatch", "sgd"])
@pytest.mark.parametrize("n_classes", [2, 3])
@quiet
def test_same_bits_whatever_the_number_of_threads(solver, n_classes):
    """At the defaults, where the data are measured."""
    rng = np.random.default_rng(0)
    X, c = rng.normal(size=(900, 700)), rng.integers(n_classes, size=900)
    models = []
    for n in (1, 2, 4):
        with threadpool_limits(n):
            model = GDClassifier(solver=solver, random_state=0, max_iter=6, tol=None)
            models.append(pickle.dumps([model.fit(X, c).coef_, model.loss_curve_]))
    assert models[0] == models[1] == models[2]


def same_rates():
    yield lambda t, eta0: np.broadcast_to(0.01, t.shape)
    yield lambda t, eta0: np.full(len(t), 0.01)[::-1]
    yield lambda t, eta0: [0.01] * len(t)
    yield lambda t, eta0: np.full(len(t), 0.01, dtype=np.float32).astype(float)
    yield lambda t, eta0: 0.01
    yield lambda t, eta0: [0.01]
    yield lambda t, eta0: np.full((2 * len(t),), 0.01)[::2]


@quiet
def test_a_schedule_may_return_any_array_that_broadcasts():
    X, y = data()
    settings = dict(eta0=0.01, max_iter=3, tol=None, random_state=0)
    want = GDRegressor(learning_rate="constant", **settings).fit(X, y).coef_
    for rate in same_rates():
        got = GDRegressor(learning_rate=rate, **settings).fit(X, y).coef_
        np.testing.assert_allclose(got, want, rtol=1e-6)
    ones = GDRegressor(
        learning_rate=lambda t, eta0: np.ones(len(t), int) // 50, **settings
    )
    np.testing.assert_array_equal(ones.fit(X, y).coef_, 0.0)


@quiet
def test_averages_that_never_begin():
    X, y = data()
    settings = dict(eta0=0.01, max_iter=3, tol=None, random_state=0)
    a = GDRegressor(average=10**20, **settings).fit(X, y)
    b = GDRegressor(**settings).fit(X, y)
    np.testing.assert_array_equal(a.coef_, b.coef_)
    np.testing.assert_array_equal(a.partial_fit(X, y).coef_, b.partial_fit(X, y).coef_)


# ------------------------------------------------------------------------ threads


@quiet
def test_threads_do_not_disturb_each_other():
    X, y = data(500, 20)
    shared = GDRegressor(random_state=0).fit(X, y)

    def work(seed):
        own = GDRegressor(random_state=seed).fit(X, y)
        for _ in range(20):
            own.partial_fit(X[:50], y[:50])
        return own.coef_.tobytes() + own.predict(X).tobytes(), shared.predict(
            X
        ).tobytes()

    alone = [work(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == alone
