"""X is read in place, and nothing of its size is allocated."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from samples import SOLVERS, assert_same, classification
from skgd import GDClassifier, GDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("storage", ["C", "float32", "memmap", "csr", "csr_readonly"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("penalty", ["l2", "l1"])
@pytest.mark.parametrize("average", [False, True])
def test_memory_beyond_x_is_small(storage, solver, penalty, average, tmp_path):
    n, p = 40_000, 40
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, p)), rng.normal(size=n)
    if storage == "float32":
        X = X.astype(np.float32)
    elif storage == "memmap":
        np.save(tmp_path / "X.npy", X)
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
    elif storage.startswith("csr"):
        X = sp.csr_array(X)
        if storage == "csr_readonly":
            for array in (X.data, X.indices, X.indptr):
                array.flags.writeable = False
    size = X.nbytes if isinstance(X, np.ndarray) else X.data.nbytes + X.indices.nbytes
    model = GDRegressor(
        solver=solver, penalty=penalty, average=average, max_iter=2, random_state=0
    )
    model.fit(X[:100], y[:100])  # imports, caches
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.05 * size + 12 * 8 * n


@pytest.mark.parametrize("solver", SOLVERS)
def test_read_only_memory_maps_are_not_written_to(solver, tmp_path):
    X, y = classification(2000)
    for name, array in (("X", X), ("s", np.ones(2000))):
        np.save(tmp_path / f"{name}.npy", array)
    X_map = np.load(tmp_path / "X.npy", mmap_mode="r")
    s_map = np.load(tmp_path / "s.npy", mmap_mode="r")
    model = GDClassifier(solver=solver, random_state=0, max_iter=3)
    mapped = clone(model).fit(X_map, y, sample_weight=s_map)
    assert_same(mapped, clone(model).fit(X, y), 0)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
@pytest.mark.parametrize(
    "parameters", [{}, {"early_stopping": True}, {"eta0": 0.1, "solver": "batch"}]
)
def test_no_array_of_rows_times_classes(storage, parameters):
    n, p, n_classes = 20_000, 5, 300
    rng = np.random.default_rng(0)
    X = storage(rng.normal(size=(n, p)))
    y = rng.integers(n_classes, size=n)
    model = GDClassifier(max_iter=2, random_state=0, **parameters)
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * n_classes * 8 / 4
