"""Grid searches of learning rates: skgd.GridSearchCV next to scikit-learn's.

    python examples/benchmarks/search.py             # a quarter of an hour
    python examples/benchmarks/search.py --quick     # small data, under a minute

16 rates x 5 folds x 10 epochs, without refit. Printed are the CPU seconds (with
--n-jobs, seconds) of `skgd.GridSearchCV` and how many times as long scikit-learn's
`GridSearchCV` takes, over the same GDRegressor or GDClassifier, and over SGDRegressor
or SGDClassifier with as many epochs (one of its rates in four is timed, which counts
four times). All are run in turns, and the median of their ratios counts. The last
column is the largest difference of a split's score between the first two, of rates that
score above 0. The second table is of other searches, some of which are, in part or at
all, not trained together.
"""

import argparse
import logging
import re
import time
import warnings

import numpy as np
import scipy.sparse as sp
from sklearn import model_selection
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skgd

RATES = np.logspace(-4, 0, 16)
EPOCHS = 10


def make_data(n, p, loss, n_classes=2):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p))
    if loss == "log_loss":
        z = X @ rng.normal(size=(p, n_classes)) / p**0.5
        return X, (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    return X, X @ rng.normal(size=p) / p**0.5 + rng.normal(size=n)


def ours(loss, **parameters):
    cls = skgd.GDClassifier if loss == "log_loss" else skgd.GDRegressor
    given = dict(max_iter=EPOCHS, tol=None, learning_rate="invscaling", random_state=0)
    return cls(loss, **given | parameters)


def theirs(loss):
    cls = SGDClassifier if loss == "log_loss" else SGDRegressor
    return cls(
        loss, max_iter=EPOCHS, tol=None, learning_rate="invscaling", random_state=0
    )


class Count(logging.Handler):
    """How many fits the last search trained together, as it logs."""

    def emit(self, record):
        self.said = re.match(r"\d+ of \d+", record.getMessage())[0]


def timed(cls, model, grid, X, y, n_jobs):
    search = cls(model, grid, cv=5, refit=False, n_jobs=n_jobs)
    # What else the machine does counts less in CPU seconds, but not those of processes.
    clock = time.process_time if n_jobs == 1 else time.perf_counter
    start = clock()
    search.fit(X, y)
    return clock() - start, search.cv_results_


def difference(a, b):
    """The largest of a split's score, of settings that score above 0."""
    splits = [key for key in a if re.match(r"split\d+_test_score", key)]
    a, b = (np.array([result[key] for key in splits]) for result in (a, b))
    good = (b > 0.0).all(axis=0)
    return np.abs(a - b)[:, good].max(initial=0.0)


def compare(name, model, grid, X, y, peer, options, count):
    """A line of the table."""
    times, count.said = [], "none"
    for _ in range(options.turns):
        mine, found = timed(skgd.GridSearchCV, model, grid, X, y, options.n_jobs)
        same, other = timed(
            model_selection.GridSearchCV, model, grid, X, y, options.n_jobs
        )
        sgd = np.nan
        if peer is not None:
            few = {"eta0": grid["eta0"][1::4]}
            cls = model_selection.GridSearchCV
            sgd = 4.0 * timed(cls, peer, few, X, y, options.n_jobs)[0]
        times.append((mine, same, sgd))
    times = np.array(times)
    ratios = np.median(times / times[:, :1], axis=0)
    sgd = f"{ratios[2]:8.1f}x" if peer is not None else f"{'-':>9}"
    print(
        f"{name:34} {np.median(times[:, 0]):8.3f} s {ratios[1]:7.2f}x {sgd}"
        f"   {count.said:>9}   {difference(found, other):.0e}",
        flush=True,
    )


def others(n):
    """Searches that scikit-learn, or one fit at a time, has a part in."""
    grid = {"eta0": RATES}
    regression, classes = make_data(n, 20, None), make_data(n, 20, "log_loss")
    several = make_data(n // 2, 20, "log_loss", n_classes=4)
    csr = sp.random_array((n // 2, 2000), density=0.01, format="csr", rng=0)
    target = csr @ np.ones(2000)
    yield "CSR", ours("squared_error"), grid, csr, target
    yield "sgd", ours("squared_error", solver="sgd"), grid, *regression
    yield "sgd, log_loss", ours("log_loss", solver="sgd"), grid, *classes
    yield "four classes", ours("log_loss"), grid, *several
    yield "averaged", ours("squared_error", average=True), grid, *regression
    mixed = grid | {"solver": ["minibatch", "sgd"]}
    yield "minibatch and sgd", ours("squared_error"), mixed, *regression
    yield "two rates", ours("squared_error"), {"eta0": [0.01, 0.1]}, *regression
    yield "batch", ours("squared_error", solver="batch"), grid, *regression
    stopping = ours("log_loss", max_iter=100, tol=1e-3)
    yield "until tol=1e-3, log_loss", stopping, grid, *classes
    scaled = make_pipeline(StandardScaler(), ours("squared_error"))
    yield "scaled", scaled, {"gdregressor__eta0": RATES}, *regression
    yield "200 x 5", ours("squared_error"), grid, *make_data(200, 5, None)
    yield "auto", ours("squared_error"), {"eta0": ["auto"]}, *regression


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small data, one turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--n-jobs", type=int, default=1)
    options = parser.parse_args()
    shapes = [(1000, 10), (50_000, 20), (200_000, 50), (20_000, 500)]
    if options.quick:
        shapes, options.turns = [(500, 10), (2000, 20)], 1
    warnings.simplefilter("ignore")  # rates too small and too large
    count = Count()
    logger = logging.getLogger("skgd.search")
    logger.setLevel(logging.INFO)
    logger.addHandler(count)
    logger.propagate = False
    print(f"{'':34} {'skgd':>10} {'GD*':>8} {'SGD*':>9}   {'together':>9}   differ")
    for n, p in shapes:
        for loss in ("squared_error", "log_loss"):
            data = make_data(n, p, loss)
            name = f"{n:,} x {p} {loss}"
            grid = {"eta0": RATES}
            compare(name, ours(loss), grid, *data, theirs(loss), options, count)
    print()
    for name, model, grid, X, y in others(500 if options.quick else 20_000):
        compare(name, model, grid, X, y, None, options, count)


if __name__ == "__main__":
    main()
