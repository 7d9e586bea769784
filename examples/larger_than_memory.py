"""Train on a file that need not fit the memory: a memory map, or Parquet by dask.

    python examples/larger_than_memory.py --gb 40    # of a machine with less memory
    python examples/larger_than_memory.py --quick

Rows are written to a temporary folder, sorted by the target, which is the worst order
that a file can have. A .npy file is fitted as a memory map: from 1 GB on, in blocks
that are read ahead. Parquet files need `pip install ".[dask]"`, and are read anew in
each pass if they do not fit.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from skgd import GDRegressor

P = 50
BLOCK = 50_000  # rows that are made at a time


def write(folder, n_rows, parquet):
    """A file of rows sorted by y, one of targets, and perhaps Parquet files."""
    rng = np.random.default_rng(0)
    coef = rng.normal(size=P)
    direction = coef / np.linalg.norm(coef)
    y = np.sort(rng.normal(size=n_rows)) * np.linalg.norm(coef)
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", "float64", (n_rows, P))
    for start in range(0, n_rows, BLOCK):
        z = y[start : start + BLOCK] / np.linalg.norm(coef)
        rows = rng.normal(size=(len(z), P))
        rows += np.outer(z - rows @ direction, direction)  # so that rows @ coef is y
        X[start : start + BLOCK] = rows
        y[start : start + BLOCK] += rng.normal(size=len(z))
        if parquet:
            import pandas as pd

            table = pd.DataFrame(rows, columns=[f"x{k}" for k in range(P)])
            table["y"] = y[start : start + BLOCK]
            table.to_parquet(folder / f"part{start // BLOCK:06d}.parquet")
    X.flush()
    np.save(folder / "y.npy", y)


def forget(path):
    """Ask the system to drop what it has cached of a file."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def report(name, model, start):
    seconds = time.perf_counter() - start
    methods = "+".join(dict.fromkeys(model.history_["method"]))
    print(
        f"{name}: {model.n_iter_} epochs ({methods}) in {seconds:.1f} s, "
        f"{model.stop_reason_}, gap {model.gap_:.1g}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gb", type=float, default=2.0, help="of rows, as float64")
    parser.add_argument("--folder", help="where the files are, for a while")
    parser.add_argument("--quick", action="store_true", help="20 MB")
    options = parser.parse_args()
    n_rows = int((0.02 if options.quick else options.gb) * 1e9 / (8 * P))
    try:
        import dask.dataframe as dd
    except ImportError:
        dd = None
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        write(folder, n_rows, parquet=dd is not None)
        print(f"{n_rows:,} x {P}, {8 * P * n_rows / 1e9:.2f} GB, sorted by y")
        forget(folder / "X.npy")
        y, start = np.load(folder / "y.npy"), time.perf_counter()
        X = np.load(folder / "X.npy", mmap_mode="r")
        model = GDRegressor(random_state=0).fit(X, y)
        report("memory map", model, start)
        if dd is None:
            print("Parquet skipped: dask is not installed")
            return
        start, table = time.perf_counter(), dd.read_parquet(folder)
        features = [f"x{k}" for k in range(P)]
        other = GDRegressor(random_state=0).fit(table[features], table["y"])
        report("Parquet by dask", other, start)
        print(f"coefficients differ by {np.abs(model.coef_ - other.coef_).max():.1g}")


if __name__ == "__main__":
    main()
