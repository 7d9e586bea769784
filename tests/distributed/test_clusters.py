"""Fits on clusters of dask.distributed within this process."""

import logging
import signal
import time
import tracemalloc
import warnings
from contextlib import contextmanager

import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster
from sklearn.exceptions import ConvergenceWarning

from partitions import collection
from samples import classification, linear
from skgd import GDClassifier, GDRegressor
from skgd.distributed import engines, parts
from skgd.distributed.data import PartitionedData

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@contextmanager
def client_of(n_workers, threads_per_worker=1):
    with (
        LocalCluster(
            n_workers=n_workers, threads_per_worker=threads_per_worker,
            processes=False, dashboard_address=":0",
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        yield client


def tasks_of(client):
    """The tasks that the scheduler knows, once it had time to forget."""
    for _ in range(50):
        n = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
        if not n:
            break
        time.sleep(0.1)
    return n


MODELS = {
    "huber": (GDRegressor("huber", random_state=0), linear),
    "softmax": (GDClassifier(random_state=0), classification),
    "hinge": (GDClassifier("hinge", tol=1e-2, random_state=0), classification),
    "textbook": (
        GDRegressor(solver="batch", eta0=0.1, max_iter=15, tol=None), linear
    ),
}  # fmt: skip


def fitted(name, chunks=30):
    model, data = MODELS[name]
    X, y = data(400)
    return model.fit(collection(X, chunks), collection(y, chunks)).coef_.copy()


@pytest.mark.parametrize("n_workers", [1, 2, 3])
def test_the_same_bits_on_any_number_of_workers(n_workers):
    usual = {name: fitted(name) for name in MODELS}
    with client_of(n_workers) as client:
        for name, coef in usual.items():
            np.testing.assert_array_equal(fitted(name), coef)
        assert tasks_of(client) == 0


def test_the_same_bits_in_any_bundles():
    coef = fitted("softmax")
    with client_of(2, threads_per_worker=3):
        np.testing.assert_array_equal(fitted("softmax"), coef)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss", "squared_hinge"])
@pytest.mark.parametrize("solver", ["batch", "minibatch"])
def test_workers_are_asked_seldom(solver, loss, weighted, monkeypatch):
    """What partitions and moments are, a sample of rows; then once in a pass."""
    monkeypatch.setattr("skgd.optim.sample_first.SAMPLE", 1200)
    monkeypatch.setattr("skgd.optim.sample.SAMPLE", 1100)
    usual, asked = engines.Futures._gathered, []

    def gathered(self, futures):
        asked.append(len(futures))
        return usual(self, futures)

    regression = loss == "squared_error"
    X, y = linear(1500) if regression else classification(1500, n_classes=2)
    cls = GDRegressor if regression else GDClassifier
    model = cls(loss, solver=solver, tol=1e-6, random_state=0)
    weight = np.random.default_rng(0).random(1500) if weighted else None
    lazy = [None if a is None else collection(a, 100) for a in (X, y, weight)]
    monkeypatch.setattr(engines.Futures, "_gathered", gathered)
    with client_of(2):
        model.fit(*lazy)
    # A second sample, the larger one, is that of the first epoch.
    assert len(asked) == model.n_iter_ + 2
    assert set(asked) == {2}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_many_coefficients_are_sent_apart_and_added_by_tasks(monkeypatch):
    """As arguments of two passes, they would be tasks of the same name."""
    monkeypatch.setattr(engines, "TREE_FROM", 1_000_000)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3000))
    y = np.arange(300) % 10
    model = GDClassifier(
        "squared_hinge", solver="batch", eta0=1e-4, max_iter=3, tol=None
    )
    coef = model.fit(X, y).coef_.copy()
    assert coef.nbytes > 4 * engines.SENT_APART
    with client_of(2) as client:
        model.fit(collection(X, 10), collection(y, 10))
        assert tasks_of(client) == 0
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-9, atol=1e-15)


def test_partitions_that_do_not_fit_are_read_anew(caplog):
    caplog.set_level(logging.INFO, logger="skgd")
    coef = fitted("softmax")
    assert not [r for r in caplog.records if r.name == "skgd"]
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch, client_of(2) as client:
        patch.setattr(engines, "MEMORY_SHARE", 1e-9)
        np.testing.assert_array_equal(fitted("softmax"), coef)
        fitted("hinge", chunks=130)  # which has multipliers
        assert tasks_of(client) == 0
    (said,) = {r.message for r in caplog.records if r.name == "skgd"}
    assert "read anew in each pass" in said


def test_predictions_are_made_by_the_client():
    X, y = linear(400)
    model = GDRegressor(random_state=0).fit(X, y)
    with client_of(2):
        lazy = model.predict(collection(X)).compute()
        assert model.score(collection(X), collection(y)) == pytest.approx(
            model.score(X, y)
        )
    np.testing.assert_array_equal(lazy, model.predict(X))


def fail(part, *args):
    raise RuntimeError(f"no {part.number}")


def test_an_exception_names_its_partition_and_the_model_stays(monkeypatch):
    X, y = linear(400)
    model = GDRegressor(random_state=0).fit(X, y)
    before = vars(model).copy()
    with client_of(2) as client:
        monkeypatch.setattr(parts, "gradient", fail)
        with pytest.raises(RuntimeError, match="no") as raised:
            model.fit(collection(X, 200), collection(y, 200))
        assert "in partition" in str(raised.value.__notes__)
        assert vars(model) == before
        assert tasks_of(client) == 0


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_of_validation_data_or_bad_input(fails):
    """Though the error still refers to what it came from."""
    X, y = linear(400)
    val = X[:100].copy()
    val[7] = np.nan if fails else 0.0
    model = GDRegressor(solver="batch", early_stopping=True, random_state=0)
    validation = {"X_val": collection(val), "y_val": collection(y[:100])}
    with client_of(2) as client:
        if fails:
            with pytest.raises(ValueError, match="contains NaN") as raised:
                model.fit(collection(X), collection(y), **validation)
            with pytest.raises(ValueError, match="contains NaN") as other:
                model.fit(collection(np.full_like(X, np.nan)), collection(y))
            assert tasks_of(client) == 0, (raised, other)
        else:
            model.fit(collection(X), collection(y), **validation)
            assert tasks_of(client) == 0


@pytest.fixture
def usual_handler():
    """That of Ctrl-C, which processes in the background do not have."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def interrupted(model, n_times):
    """Fit while Ctrl-C is pressed, in the third pass."""
    X, y = linear(400)
    usual, passes = PartitionedData.gradient, []

    def gradient(self, *args, **kwargs):
        passes.append(1)
        if len(passes) == 3:
            for _ in range(n_times):
                signal.raise_signal(signal.SIGINT)
        return usual(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PartitionedData, "gradient", gradient)
        return model.fit(collection(X, 30), collection(y, 30))


@pytest.mark.parametrize("eta0", [0.01, "auto"])
def test_one_interrupt_keeps_the_model_so_far(eta0, usual_handler):
    model = GDRegressor("huber", solver="batch", eta0=eta0, max_iter=500, tol=0.0)
    with client_of(2) as client:
        with pytest.warns(ConvergenceWarning, match="interrupted by user"):
            interrupted(model, 1)
        assert model.stop_reason_ == "interrupted"
        assert 1 <= model.n_iter_ <= 4
        assert tasks_of(client) == 0


def test_two_interrupts_are_a_keyboard_interrupt(usual_handler):
    model = GDRegressor("huber", solver="batch", max_iter=500, tol=0.0)
    with client_of(2) as client:
        with pytest.raises(KeyboardInterrupt):
            interrupted(model, 2)
        assert not hasattr(model, "coef_")
        assert tasks_of(client) == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_nothing_of_all_rows_comes_to_the_client():
    """Of 400,000 rows, which are made on the workers, no array of their number does."""
    n = 400_000
    X = da.random.default_rng(0).normal(size=(n, 3), chunks=(20_000, -1))
    y = (X[:, 0] + 0.1 * X[:, 1]).persist(scheduler="threads")
    X = X.persist(scheduler="threads")
    model = GDRegressor("absolute_error", tol=1e-2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)  # imports, and what is made once
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("skgd.optim.sample_first.SAMPLE", 5000)
            patch.setattr("skgd.distributed.data.MOST_LOOKED_AT", 5000)
            tracemalloc.start()
            model.set_params(max_iter=3).fit(X, y)
            largest = max(
                (trace.size for trace in tracemalloc.take_snapshot().traces), default=0
            )
            tracemalloc.stop()
    assert largest < 8 * n / 4
