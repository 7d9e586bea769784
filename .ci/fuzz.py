"""Random fits, for a build that watches memory and arithmetic.

    python fuzz.py NUMBER [SEED]

Over dtype, storage, shape (about the tiles of the products, and more than 65,536 sparse
features), loss, solver, penalty, weights, offsets, averages, momentum and outputs; each
fit is followed by predict and, where it may be, by partial_fit, and some of dense rows
by a search over rates that fill one to three tiles. Only ValueErrors may be raised.
"""

import sys
import warnings

import numpy as np
import scipy.sparse as sp

from skgd import GDClassifier, GDRegressor, GridSearchCV
from skgd.objective.table import CLASSIFICATION_LOSSES, REGRESSION_LOSSES

FEATURES = (
    1, 2, 3, 4, 5, 11, 12, 13, 15, 16, 17, 47, 48, 49, 63, 64, 65, 255, 256, 257
)  # fmt: skip
SPARSE = (*FEATURES, 1000, 30_000, 65_535, 65_536, 65_537, 100_000)


def fit(rng):
    """One random fit; whether it went without a ValueError."""

    def pick(*values):
        return values[rng.integers(len(values))]

    n, K = int(pick(1, 2, 3, 4, 5, 7, 8, 9, 30, 80)), int(pick(1, 1, 1, 2, 3, 4, 5, 12))
    dtype = pick(np.float32, np.float64)
    if rng.random() < 0.5:
        p = int(pick(*SPARSE))
        stored = int(rng.integers(0, 200))
        places = rng.integers(n, size=stored), rng.integers(p, size=stored)
        X = sp.csr_array((rng.normal(size=stored), places), shape=(n, p)).astype(dtype)
        if rng.random() < 0.5:
            X.indices, X.indptr = X.indices.astype("i8"), X.indptr.astype("i8")
    else:
        p = int(pick(*FEATURES))
        X = rng.normal(size=(n, 2 * p)).astype(dtype)
        X = X[:, :p] if rng.random() < 0.5 else np.ascontiguousarray(X[:, p:])
    automatic = rng.random() < 0.5
    settings = dict(
        solver=pick("batch", "minibatch", "sgd"),
        batch_size=int(pick(1, 2, 3, 5, 8, 16, 64)),
        penalty=pick(None, "l2", "l1", "elasticnet"),
        alpha=float(10.0 ** rng.uniform(-6, 0)),
        eta0="auto" if automatic else 0.01,
        max_iter=int(pick(1, 2, 5)),
        fit_intercept=bool(rng.random() < 0.8),
        random_state=int(rng.integers(1000)),
        record=pick("epoch", "update"),
        average=pick(False, True, 7),
    )
    plain = settings["penalty"] in (None, "l2") and settings["solver"] != "sgd"
    if plain and not automatic:
        settings["momentum"] = pick(0.0, 0.9)
    classes = rng.random() < 0.5
    several = classes and K > 1 and rng.random() < 0.3
    if several:
        model = GDClassifier(pick(*CLASSIFICATION_LOSSES), **settings)
        y = rng.integers(2, size=(n, K))
    elif classes:
        model = GDClassifier(pick(*CLASSIFICATION_LOSSES), **settings)
        y = rng.integers(max(2, K), size=n)
    else:
        model = GDRegressor(pick(*REGRESSION_LOSSES), **settings)
        y = np.abs(rng.normal(size=(n, K) if K > 1 else n))
    weight = pick(None, rng.random(n), rng.integers(0, 3, n))
    try:
        model.fit(X, y, sample_weight=weight)
        model.predict(X)
        offset = None
        if rng.random() < 0.3:
            n_outputs = np.size(model.intercept_)
            offset = rng.normal(size=(n, n_outputs) if n_outputs > 1 else n)
            model.fit(X, y, sample_weight=weight, offset=offset)
            model.predict(X, offset)
        for rows in (slice(0, 1), slice(0, n)):
            arguments = {"classes": np.arange(max(2, K))} if classes else {}
            if offset is not None:
                arguments["offset"] = offset[rows]
            model.partial_fit(X[rows], y[rows], **arguments)
        if not automatic and not sp.issparse(X) and rng.random() < 0.3:
            rates = {"eta0": np.geomspace(1e-3, 10.0, int(pick(2, 7, 8, 9, 17, 24)))}
            GridSearchCV(model, rates, cv=2, refit=False).fit(
                X, y, sample_weight=weight
            )
    except ValueError:
        return False
    return True


def main():
    number, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(seed)
    good = sum(fit(rng) for _ in range(number))
    print(f"{number} random fits, {good} without a ValueError")
    assert good > number / 2


if __name__ == "__main__":
    main()
