"""Seconds and memory of one shuffled epoch, next to SGDRegressor and SGDClassifier.

    python examples/bench_epoch.py             # a few minutes
    python examples/bench_epoch.py --quick     # a tenth of the rows, few turns
    python examples/bench_epoch.py --kernels   # row kernel against block kernel
    python examples/bench_epoch.py --auto      # automatic steps against a fixed one
    python examples/bench_epoch.py --small     # default fits of small data

An epoch is the difference between fits of several epochs and of one, so that checking
the input, which all do alike, does not count. Every turn times all estimators once, on
the same data; printed are medians over the turns.
"""

import argparse
import statistics
import time
import tracemalloc
import warnings
from functools import partial

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier, SGDRegressor

from skgd import GDClassifier, GDRegressor
from skgd.kernels import Epoch, Rows
from skgd.objective.regression import SquaredError

warnings.simplefilter("ignore", ConvergenceWarning)
EPOCHS = 5


def dense(n, p, dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p), dtype=np.float64).astype(dtype, copy=False)
    y = X @ rng.standard_normal(p).astype(dtype) + rng.standard_normal(n)
    return X, y


def sparse(n, p, nnz):
    rng = np.random.default_rng(0)
    X = sp.csr_matrix(
        (
            rng.standard_normal(n * nnz),
            rng.integers(p, size=n * nnz, dtype=np.int32),
            np.arange(0, n * nnz + 1, nnz, dtype=np.int32),
        ),
        shape=(n, p),
    )
    return X, rng.choice([-1.0, 1.0], size=n)


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def epoch_seconds(model, X, y):
    """Seconds of an epoch; negative ones are noise."""
    times = [
        seconds(lambda m=model, e=epochs: m.set_params(max_iter=e).fit(X, y))
        for epochs in (1, 1 + EPOCHS)
    ]
    return (times[1] - times[0]) / EPOCHS


def models(classify):
    # A step so small that nothing diverges: the time of a step does not depend on it.
    common = dict(eta0=1e-6, learning_rate="constant", tol=None, random_state=0)
    ours = GDClassifier if classify else GDRegressor
    theirs = SGDClassifier if classify else SGDRegressor
    loss = "hinge" if classify else "squared_error"
    return {
        theirs.__name__: theirs(loss, **common),
        "sgd": ours(loss, solver="sgd", **common),
        "minibatch": ours(loss, solver="minibatch", batch_size=32, **common),
        "batch": ours(loss, solver="batch", **common),
    }


def products(X, y):
    """The two products that a full gradient takes, by NumPy or scipy."""
    w = np.zeros(X.shape[1], dtype=X.dtype)
    r = y.astype(X.dtype)
    return seconds(lambda: X @ w) + seconds(lambda: X.T @ r)


def compare(title, X, y, classify, turns):
    candidates = models(classify)
    times = {name: [] for name in [*candidates, "products"]}
    for _ in range(turns):
        for name, model in candidates.items():
            times[name].append(epoch_seconds(model, X, y))
        times["products"].append(products(X, y))
    medians = {name: statistics.median(values) for name, values in times.items()}
    peer, *ours = candidates
    cells = [f"{1e3 * medians[peer]:.0f}"]
    cells += [
        f"{1e3 * medians[name]:.0f} ({medians[peer] / medians[name]:.1f}x)"
        for name in ours
    ]
    cells.append(f"{1e3 * medians['products']:.0f}")
    print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


def compare_small(turns):
    """Whole fits where the epochs are not what takes the time."""
    X, y = dense(100, 5)
    for epochs in (1, 5, 20, 100):
        times = {"SGDRegressor": [], "sgd": [], "minibatch": []}
        candidates = {name: m for name, m in models(False).items() if name in times}
        for model in candidates.values():
            model.set_params(max_iter=epochs)
        for _ in range(20 * turns):
            for name, model in candidates.items():
                times[name].append(seconds(lambda m=model: m.fit(X, y)))
        medians = {name: statistics.median(values) for name, values in times.items()}
        peer = medians.pop("SGDRegressor")
        print(
            f"100 x 5, {epochs:3} epochs   SGDRegressor {1e3 * peer:.2f} ms"
            + "".join(
                f"   {name} {1e3 * value:.2f} ms ({peer / value:.2f}x)"
                for name, value in medians.items()
            )
        )


def small_defaults(turns):
    """Whole fits at the defaults, in pairs with SGDRegressor's and SGDClassifier's."""
    print("fits at the defaults, ms; ratio: median over pairs")
    for n, p in ((100, 5), (1000, 10)):
        X, y = dense(n, p)
        for ours, theirs, target in (
            (GDRegressor(random_state=0), SGDRegressor(random_state=0), y),
            (GDClassifier(random_state=0), SGDClassifier(random_state=0), y > 0),
        ):
            fits = [partial(model.fit, X, target) for model in (ours, theirs)]
            pairs = [[seconds(fit) for fit in fits] for _ in range(20 * turns)]
            pairs = np.array(pairs)
            a, b = 1e3 * np.median(pairs, axis=0)
            ratio = np.median(pairs[:, 0] / pairs[:, 1])
            print(
                f"{n} x {p}   {type(ours).__name__} {a:.2f}   "
                f"{type(theirs).__name__} {b:.2f}   ratio {ratio:.2f}"
            )


def memory(title, X, y, classify):
    size = X.nbytes if isinstance(X, np.ndarray) else X.data.nbytes + X.indices.nbytes
    parts = []
    for name, model in list(models(classify).items())[1:]:
        model.set_params(max_iter=2)
        tracemalloc.start()
        model.fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        n, p = X.shape
        parts.append(
            f"{name} {peak / 1e6:.1f} MB ({100 * peak / size:.1f} % of X, "
            f"{peak / (8 * (n + p)):.1f} doubles per row and feature)"
        )
    return f"{title}: X {size / 1e6:.0f} MB, peak beyond it: " + "; ".join(parts)


def autopilot(scale, turns):
    """What eta0="auto" costs: per epoch, and once per fit."""
    print('eta0="auto" next to a fixed step: time of an epoch; once per fit, in epochs')
    data = [(dense(n // scale, p), False) for n, p in ((1_000_000, 10), (200_000, 100))]
    data.append((sparse(400_000 // scale, 47_000, 75), True))
    for (X, y), classify in data:
        cells = []
        for name, fixed in list(models(classify).items())[1:]:
            auto = clone(fixed).set_params(
                eta0="auto", learning_rate="auto", finish=False
            )
            times = {key: [] for key in ("fixed", "fixed 1", "auto", "auto 1")}
            for _ in range(turns):
                for key, model in (("fixed", fixed), ("auto", auto)):
                    times[key].append(epoch_seconds(model, X, y))
                    model.set_params(max_iter=1)
                    times[f"{key} 1"].append(seconds(partial(model.fit, X, y)))
            t = {key: statistics.median(values) for key, values in times.items()}
            once = (t["auto 1"] - t["auto"]) - (t["fixed 1"] - t["fixed"])
            ratio, once = t["auto"] / t["fixed"], once / t["fixed"]
            cells.append(f"{name} {ratio:.2f}x, {once:.1f} epochs")
        print(f"{X.shape[0]} x {X.shape[1]}   " + "   ".join(cells), flush=True)


def kernels(scale, turns):
    """Milliseconds of an epoch by the row kernel and by the block kernel."""
    loss = SquaredError()
    rng = np.random.default_rng(0)
    print("batch_size, outputs: row kernel / block kernel, ms of an epoch")
    for n, p in ((1_000_000, 10), (400_000, 54), (200_000, 100), (20_000, 1000)):
        n //= scale
        X, y = dense(n, p)
        rows = Rows(X)
        for n_outputs in (1, 2, 4, 10):
            Y = np.repeat(y[:, None], n_outputs, axis=1)
            cells = []
            for batch_size in (1, 2, 4, 8, 16, 32, 64, 128, 256):
                steps = np.array([1e-6])
                times = {False: [], True: []}
                for _ in range(turns):
                    order = rng.permutation(n)
                    for by_blocks in times:
                        W, b = np.zeros((n_outputs, p)), np.zeros(n_outputs)
                        updates = Epoch(
                            rows, loss, 0.0, 1e-4, batch_size=batch_size,
                            n_outputs=n_outputs, fit_intercept=True,
                            by_blocks=by_blocks,
                        )  # fmt: skip
                        arguments = (order, Y, None), steps, W, b
                        times[by_blocks].append(
                            seconds(lambda e=updates, a=arguments: e.run(*a))
                        )
                row, block = (1e3 * statistics.median(times[k]) for k in times)
                cells.append(f"{batch_size}: {row:.0f}/{block:.0f}")
            print(f"{n} x {p}, K = {n_outputs:2}   " + "   ".join(cells), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--kernels", action="store_true")
    parser.add_argument("--auto", action="store_true")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--turns", type=int)
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    turns = options.turns or (3 if options.quick else 7)
    if options.kernels:
        return kernels(scale, turns)
    if options.auto:
        return autopilot(scale, turns)
    if options.small:
        return small_defaults(turns)

    notes = []
    print("Milliseconds per epoch (times as fast as scikit-learn)\n")
    print("| data | scikit-learn | sgd | minibatch, 32 rows | batch | X @ w, X.T @ r |")
    print("| --- | --- | --- | --- | --- | --- |")
    for n, p in ((1_000_000, 10), (400_000, 54), (200_000, 100), (200_000, 1000)):
        n //= scale
        X, y = dense(n, p)
        compare(f"{n:,} x {p}", X, y, False, turns)
        if p == 100:
            notes.append(memory(f"{n:,} x {p}", X, y, False))
            compare(f"{n:,} x {p} float32", X.astype(np.float32), y, False, turns)
    for n, p, nnz in ((400_000, 47_000, 75), (1_000_000, 1_000_000, 20)):
        n //= scale
        X, y = sparse(n, p, nnz)
        compare(f"CSR {n:,} x {p:,}, {nnz} per row", X, y, True, turns)
        notes.append(memory(f"CSR {n:,} x {p:,}", X, y, True))
    print("\nMemory\n", *notes, sep="\n")
    print("\nSmall data, whole fits\n")
    compare_small(turns)


if __name__ == "__main__":
    main()
