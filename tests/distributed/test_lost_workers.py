"""Workers that are killed: the fit ends, with the same bits."""

import os
import signal
import threading

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

from skgd import GDClassifier, GDRegressor
from skgd.distributed.data import PartitionedData

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of distributed, of the workers it lost
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX"),
]


@pytest.fixture(scope="module")
def cluster():
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "10s"}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0",
            silence_logs=50,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        yield client


def rows(n, p):
    """Made on the workers, as they are from a file."""
    rng = da.random.default_rng(0)
    X = rng.normal(size=(n, p), chunks=(n // 8, -1))
    return X, X[:, 0] + rng.normal(size=n, chunks=n // 8)


def kill(client):
    """Kill a worker that did something."""
    pids = client.run(os.getpid)
    os.kill(next(iter(pids.values())), signal.SIGKILL)


@pytest.mark.parametrize(
    "loss, p, when",
    [
        ("huber", 5, "take"),
        ("huber", 5, "gradient"),
        ("squared_error", 7000, "gradient"),
    ],
)
def test_a_killed_worker_costs_time_only(loss, p, when, cluster):
    """Of few coefficients and of 56 kB, which are sent apart."""
    model = GDRegressor(loss, max_iter=8, tol=1e-3, random_state=0)
    X, y = rows(1600, p)
    with dask.config.set(scheduler="synchronous"):
        coef = model.fit(X, y).coef_.copy()
    usual, killed = getattr(PartitionedData, when), []

    def once(self, *args, **kwargs):
        if not killed:
            killed.append(True)
            timer = threading.Timer(0.01, kill, [cluster])
            timer.start()
            timer.join()
        return usual(self, *args, **kwargs)

    cluster.wait_for_workers(1, timeout=60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PartitionedData, when, once)
        model.fit(X, y)
    assert killed
    np.testing.assert_array_equal(model.coef_, coef)


def test_a_fitted_model_serves_without_dask(cluster):
    X, y = rows(800, 3)
    model = GDClassifier(random_state=0).fit(X, y > 0)
    assert model.predict(X.compute()).shape == (800,)
