"""Data and losses that the compiled loops are tried on."""

import numpy as np
import scipy.sparse as sp

from skgd.objective.table import CLASSIFICATION_LOSSES, REGRESSION_LOSSES

PARAMETERS = {"epsilon": 0.3, "quantile": 0.7}
LOSSES = {
    name: cls(*(PARAMETERS[p] for p in parameters))
    for name, (cls, parameters) in (REGRESSION_LOSSES | CLASSIFICATION_LOSSES).items()
}
STORAGES = ["dense", "csr32", "csr64"]
PENALTIES = {
    "none": (0.0, 0.0),
    "l2": (0.0, 0.1),
    "l1": (0.05, 0.0),
    "both": (0.05, 0.3),
}
# Half of all combinations of four switches: all of each three of them are among these.
SWITCHES = [
    (dtype, intercept, n_outputs, weighted)
    for dtype in (np.float64, np.float32)
    for intercept in (False, True)
    for n_outputs in (1, 3)
    for weighted in (False, True)
    if ((dtype is np.float32) + intercept + (n_outputs > 1) + weighted) % 2 == 0
]


def make_data(n=13, p=7, n_outputs=1, loss="squared_error", seed=0, density=0.5):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * (rng.random((n, p)) < density)
    Y = rng.normal(size=(n, n_outputs))
    if loss in CLASSIFICATION_LOSSES:
        Y = np.where(Y > 0, 1.0, -1.0)
    elif loss == "poisson":
        Y = np.abs(Y)
    W = rng.normal(size=(n_outputs, p)) * 0.3
    b = rng.normal(size=n_outputs) * 0.3
    return X, Y, W, b, rng


def stored(X, storage):
    if storage == "dense":
        return X
    csr = sp.csr_array(X)
    index = np.int32 if storage == "csr32" else np.int64
    csr.indices, csr.indptr = csr.indices.astype(index), csr.indptr.astype(index)
    return csr


def assert_close(actual, desired, tolerance=1e-12):
    np.testing.assert_allclose(actual, desired, rtol=tolerance, atol=tolerance)
