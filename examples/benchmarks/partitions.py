"""Fits of dask arrays: seconds, passes, bytes and what is left, next to peers.

    python examples/benchmarks/partitions.py             # half an hour
    python examples/benchmarks/partitions.py --quick     # small data, under a minute

Rows of 50 standard normal features in 16 partitions, which two worker processes hold:
in random order, and sorted by the target, as files often are. "Left" is
(F - F*) / (F_constant - F*) of the mean loss + 1e-4 / 2 |w|^2. Each fit runs in a
process of its own, with a cluster of its own that has made a fit of 1,000 rows before,
and is ended after --limit seconds; bytes are those that crossed the loopback interface
per pass (Linux). At last, what a pass over tiny partitions takes.

Peers need dask-ml and xgboost; those that are not installed are skipped.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from skgd import GDClassifier, GDRegressor

P, PARTS, ALPHA = 50, 16, 1e-4
FITS = {  # name: (task, package it needs)
    "skgd, one process, batch": ("both", None),
    "skgd, one process": ("both", None),
    "skgd, partitions, batch": ("both", None),
    "skgd, partitions": ("both", None),
    "dask-ml LogisticRegression, lbfgs": ("log_loss", "dask_ml"),
    "dask-ml LogisticRegression, admm": ("log_loss", "dask_ml"),
    "dask-ml LinearRegression, lbfgs": ("squared_error", "dask_ml"),
    "dask-ml Incremental(SGD*), one pass": ("both", "dask_ml"),
    "xgboost.dask gblinear": ("both", "xgboost"),
}


def make_data(loss, n_rows, in_order):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, P))
    z = X @ rng.normal(size=P) / 4 + 0.5
    if loss == "log_loss":
        y = (rng.random(n_rows) < 1 / (1 + np.exp(-z))).astype(int)
    else:
        y = z + rng.normal(size=n_rows)
    if in_order:
        order = np.argsort(y, kind="stable")
        X, y = X[order], y[order]
    return X, y


def objective(loss, X, y, coef, intercept):
    z = X @ np.ravel(coef) + np.ravel(intercept)
    if loss == "log_loss":
        value = np.logaddexp(0.0, (1 - 2 * y) * z).mean()
    else:
        value = 0.5 * np.mean((y - z) ** 2)
    return value + ALPHA / 2 * np.sum(np.square(coef))


def sent():
    """Bytes over the loopback interface so far; NaN if the system does not tell."""
    path = Path("/proc/net/dev")
    lines = path.read_text().splitlines() if path.exists() else []
    found = [line.split()[1] for line in lines if line.strip().startswith("lo:")]
    return float(found[0]) if found else np.nan


def ours(loss, **kwargs):
    cls = GDClassifier if loss == "log_loss" else GDRegressor
    return cls(loss, alpha=ALPHA, random_state=0, **kwargs)


def fit_ours(name, loss, X, y):
    kwargs = {"solver": "batch"} if name.endswith("batch") else {}
    model = ours(loss, tol=1e-6, **kwargs).fit(X, y)
    return model.coef_, model.intercept_, model.n_iter_


def fit_dask_ml(name, loss, X, y):
    from dask_ml.linear_model import LinearRegression, LogisticRegression
    from dask_ml.wrappers import Incremental
    from sklearn.linear_model import SGDClassifier, SGDRegressor

    n_rows = X.shape[0]
    if "Incremental" in name:
        first = {"loss": "log_loss"} if loss == "log_loss" else {}
        sgd = (SGDClassifier if first else SGDRegressor)(alpha=ALPHA, **first)
        model = Incremental(sgd, shuffle_blocks=False)
        model.fit(X, y, **({"classes": [0, 1]} if first else {}))
        return model.estimator_.coef_, model.estimator_.intercept_, 1
    solver = name.split()[-1]
    cls = LogisticRegression if loss == "log_loss" else LinearRegression
    model = cls(solver=solver, C=ALPHA * n_rows).fit(X, y)  # it multiplies the penalty
    return model.coef_, model.intercept_, np.nan


def fit_xgboost(name, loss, X, y):
    import xgboost.dask as xgb
    from distributed import get_client

    parameters = {
        "booster": "gblinear", "lambda": ALPHA, "updater": "coord_descent",
        "objective": "binary:logistic" if loss == "log_loss" else "reg:squarederror",
    }  # fmt: skip
    client = get_client()
    rows = xgb.DaskDMatrix(client, X, y)
    booster = xgb.train(client, parameters, rows, num_boost_round=20)["booster"]
    dump = booster.get_dump(dump_format="json")[-1]
    weights = json.loads(dump)
    return np.array(weights["weight"][:P]), np.array(weights["bias"]), 20


def run_one(name, loss, n_rows, in_order):
    """One fit, in this process. Prints a line of JSON."""
    warnings.simplefilter("ignore")
    X, y = make_data(loss, n_rows, in_order)
    fit = fit_ours if "skgd" in name else fit_dask_ml
    fit = fit_xgboost if "xgboost" in name else fit
    if "one process" in name:
        start, before = time.perf_counter(), sent()
        coef, intercept, passes = fit(name, loss, X, y)
        seconds, n_bytes = time.perf_counter() - start, 0.0
    else:
        with cluster() as client:
            few = np.linspace(0, n_rows - 1, 1000).astype(int)
            fit(name, loss, *persisted(client, X[few], y[few]))  # workers import
            lazy = persisted(client, X, y)
            start, before = time.perf_counter(), sent()
            coef, intercept, passes = fit(name, loss, *lazy)
            seconds, n_bytes = time.perf_counter() - start, sent() - before
    value = objective(loss, X, y, coef, intercept)
    constant = ours(loss).set_params(alpha=1e10, tol=1e-3).fit(X, y)
    best = ours(loss, solver="batch", tol=1e-11).fit(X, y)
    least = objective(loss, X, y, best.coef_, best.intercept_)
    worst = objective(loss, X, y, 0 * best.coef_, constant.intercept_)
    result = {
        "seconds": seconds, "passes": passes, "kB": n_bytes / 1e3,
        "left": (value - least) / (worst - least),
    }  # fmt: skip
    print(json.dumps({key: float(value) for key, value in result.items()}))


def cluster():
    from distributed import Client, LocalCluster

    return Client(
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0",
            silence_logs=50,
        ),
        set_as_default=True,
    )  # fmt: skip


def persisted(client, X, y):
    """Collections whose partitions the workers hold in turn, X and y together."""
    import dask
    import dask.array as da
    from distributed import wait

    workers = list(client.nthreads())
    lazy = []
    for array in (X, y):
        blocks = []
        for k, block in enumerate(np.array_split(array, PARTS)):
            worker = workers[k % len(workers)]
            # By hash, equal blocks of sorted labels would all be with one worker, and
            # rows be sent there.
            future = client.scatter(block, workers=[worker], hash=False)
            blocks.append(
                da.from_delayed(dask.delayed(future), shape=block.shape, meta=block[:0])
            )
        # What was sent is not aligned in memory, as rows read from files are.
        lazy.append(da.concatenate(blocks).map_blocks(np.copy, meta=array[:0]))
    lazy = client.persist(lazy)
    wait(lazy)
    time.sleep(1.0)  # while workers let go of what was sent
    return lazy


def fits(loss, n_rows, in_order, turns, limit):
    print(f"\n{loss}, {n_rows:,} x {P}, {'sorted' if in_order else 'random'} order")
    print(f"{'':38s} seconds  passes  kB/pass     left")
    names = [
        name for name, (task, package) in FITS.items()
        if task in ("both", loss)
        and (package is None or importlib.util.find_spec(package))
    ]  # fmt: skip
    found = {name: [] for name in names}
    for _ in range(turns):
        for name in names:
            if found[name] and not found[name][-1]:
                continue  # it was ended before
            command = [sys.executable, __file__, "--one", name, "--loss", loss]
            command += ["--rows", str(n_rows)] + ["--sorted"] * in_order
            try:
                run = subprocess.run(
                    command, timeout=limit, capture_output=True, text=True, check=True
                )
                found[name].append(json.loads(run.stdout.splitlines()[-1]))
            except subprocess.TimeoutExpired:
                found[name].append(None)
            except subprocess.CalledProcessError as error:
                print(f"{name}: {error.stderr.strip().splitlines()[-1][:90]}")
                found[name].append(None)
    for name, results in found.items():
        if not results[-1]:
            print(f"{name:38s} ended after {limit:g} s, or failed")
            continue
        middle = {key: np.median([r[key] for r in results]) for key in results[0]}
        per_pass = middle["kB"] / middle["passes"]
        print(
            f"{name:38s} {middle['seconds']:7.2f} {middle['passes']:7.0f}"
            f" {per_pass:8.0f} {middle['left']:8.1e}",
            flush=True,
        )


def overhead(n_times):
    """A pass over partitions of 10 rows: what the cluster itself takes."""
    import dask

    from skgd.distributed import parts
    from skgd.distributed.engines import Futures
    from skgd.objective.classification import LogLoss

    print("\nms of a pass over partitions of 10 rows, two worker processes")
    with cluster() as client:
        make = dask.delayed(parts.Part, pure=False)
        engines = {}
        for n_parts in (16, 64, 256):
            X, y = np.ones((10, P)), np.ones((10, 1))
            rows = [make(k, X, y, None) for k in range(n_parts)]
            engines[n_parts] = Futures.of(client, rows, client.nthreads())
        arguments = LogLoss(), np.zeros((1, P)), np.zeros(1), None, None
        times = {n_parts: [] for n_parts in engines}
        for _ in range(n_times):
            for n_parts, engine in engines.items():
                start = time.perf_counter()
                engine.total(parts.gradient, *arguments)
                times[n_parts].append(1e3 * (time.perf_counter() - start))
        for n_parts, found in times.items():
            print(f"{n_parts:4d} partitions: {np.median(found):6.1f}")
        for engine in engines.values():
            engine.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small data, one turn")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--limit", type=float, default=150.0, help="seconds per fit")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--loss", help=argparse.SUPPRESS)
    parser.add_argument("--sorted", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        run_one(options.one, options.loss, options.rows, options.sorted)
        return
    if options.quick:
        options.rows, options.turns, options.limit = 20_000, 1, 60.0
    for loss in ("log_loss", "squared_error")[: 1 if options.quick else 2]:
        for in_order in (False, True)[: 1 if options.quick else 2]:
            fits(loss, options.rows, in_order, options.turns, options.limit)
    overhead(5 if options.quick else 30)


if __name__ == "__main__":
    main()
