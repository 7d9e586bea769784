# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The rows of X, read in place."""

from libc.stdint cimport uintptr_t

import numpy as np


cdef class Rows:
    """The rows of X, read in place.

    Parameters
    ----------
    X : ndarray of float32 or float64, or CSR matrix or array of them
        Rows of a dense X must be contiguous, but may be apart from each other.
    """

    def __init__(self, X):
        self.n_rows, self.n_features = X.shape
        self.sparse = not isinstance(X, np.ndarray)
        if self.sparse:
            values, indices, indptr = X.data, X.indices, X.indptr
            wide = indices.dtype.itemsize == 8 or indptr.dtype.itemsize == 8
            index = np.int64 if wide else np.int32
            indices = np.ascontiguousarray(indices, dtype=index)
            indptr = np.ascontiguousarray(indptr, dtype=index)
            values = np.ascontiguousarray(values)
            self._check_indices(indices, indptr, values)
        else:
            values, indices, indptr, wide = X, None, None, False
            if X.strides[1] != X.itemsize or X.strides[0] % X.itemsize:
                values = np.ascontiguousarray(X)
            self.stride = values.strides[0] // values.itemsize
        self.single = values.dtype == np.float32
        self.wide_index = wide
        self.values = address(values)
        self.indices = address(indices)
        self.indptr = address(indptr)
        self.arrays = (values, indices, indptr)

    def _check_indices(self, indices, indptr, values):
        # An index out of range would write outside W, so malformed matrices are
        # turned away, which scipy does not do by itself. As unsigned numbers,
        # negative indices are large ones.
        n_stored = int(indptr[self.n_rows])
        if (
            indptr[0] != 0
            or n_stored > min(indices.size, values.size)
            or np.any(np.diff(indptr) < 0)
        ):
            raise ValueError("X is not a valid CSR matrix: indptr is inconsistent.")
        unsigned = indices[:n_stored].view(f"u{indices.itemsize}")
        if n_stored and unsigned.max() >= self.n_features:
            raise ValueError(
                "X is not a valid CSR matrix: column indices must be nonnegative and "
                f"less than {self.n_features}."
            )

    def shares_memory_with(self, array):
        """Whether one of the arrays read by the kernels is `array`, not a copy."""
        return any(a is not None and np.shares_memory(a, array) for a in self.arrays)

    @property
    def order(self):
        """Memory order in which the kernels want arrays of shape (K, p)."""
        return "F" if self.sparse else "C"

    @property
    def mean_stored(self):
        """Stored elements per row, on average."""
        if self.sparse:
            return self.arrays[2][self.n_rows] / max(self.n_rows, 1)
        return float(self.n_features)


cdef const void* address(array):
    if array is None:
        return NULL
    return <const void*> <uintptr_t> array.__array_interface__["data"][0]
