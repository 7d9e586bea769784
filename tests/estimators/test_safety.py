"""Nothing crashes, nothing is half-changed, nothing is swallowed."""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from skgd import GDRegressor
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
        signal.raise_signal(signal.SIGINT)
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
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
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
        cwd=tmp_path,  # not where the uncompiled sources may be
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
