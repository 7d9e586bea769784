"""Time of a call of partial_fit, next to SGDRegressor and SGDClassifier.

    python examples/bench_stream.py [--quick]

Medians over calls that take turns on the same chunks, in microseconds, and the median
of the ratio of the two calls of a pair. Dense rows of 10 and 100 features, and CSR rows
of 50,000 features of which 20 are stored. Defaults everywhere; the objective that comes
out is another matter (`stream.py`).
"""

import argparse
import time
import warnings

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import SGDClassifier, SGDRegressor

from skgd import GDClassifier, GDRegressor


def make_data(kind, n_rows, rng):
    """Standard normal features; of a CSR matrix, those stored."""
    if kind == "csr":
        X = sp.random_array(
            (n_rows, 50_000), density=20 / 50_000, format="csr", random_state=rng,
            data_sampler=rng.standard_normal,
        )  # fmt: skip
    else:
        X = rng.normal(size=(n_rows, kind))
    z = X @ rng.normal(size=X.shape[1])
    return X, z + rng.normal(size=n_rows)


def time_calls(pair, X, y, size, n_calls, arguments):
    seconds = np.empty((n_calls, 2))
    n_chunks = X.shape[0] // size
    for call in range(n_calls):
        start = call % n_chunks * size
        rows = slice(start, start + size)
        chunk = X[rows], y[rows]
        for turn in (0, 1) if call % 2 else (1, 0):
            before = time.perf_counter()
            pair[turn].partial_fit(*chunk, **arguments)
            seconds[call, turn] = time.perf_counter() - before
    return seconds[n_calls // 10 :]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few calls")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    print(f"{'data':>12} {'task':>14} {'rows':>5} {'skgd':>8} {'SGD':>8} {'ratio':>6}")
    for kind in (10, 100, "csr"):
        X, y = make_data(kind, 2000, np.random.default_rng(0))
        for task in ("regression", "classification"):
            for size in (1, 10, 100, 1000):
                if task == "regression":
                    pair, arguments = (GDRegressor(), SGDRegressor()), {}
                    target = y
                else:
                    pair = GDClassifier(), SGDClassifier(loss="log_loss")
                    target, arguments = (y > 0).astype(int), {"classes": [0, 1]}
                n_calls = 20 if quick else 300 if size == 1000 else 1000
                seconds = time_calls(pair, X, target, size, n_calls, arguments)
                ours, theirs = np.median(seconds, axis=0) * 1e6
                ratio = np.median(seconds[:, 0] / seconds[:, 1])
                name = f"dense {kind}" if kind != "csr" else "CSR 50,000"
                print(
                    f"{name:>12} {task:>14} {size:5} {ours:8.0f} {theirs:8.0f} "
                    f"{ratio:6.2f}"
                )


if __name__ == "__main__":
    main()
