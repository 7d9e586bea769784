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
        Rows of a dense X that are not contiguous or not aligned are copied, and so are
        indices of two types.

    Raises
    ------
    ValueError
        If a CSR matrix is malformed.
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
            values, indices, indptr = (
                np.require(array, requirements=["C", "A"])
                for array in (values, indices, indptr)
            )
        else:
            values, indices, indptr, wide = X, None, None, False
            if (
                X.strides[1] != X.itemsize
                or X.strides[0] % X.itemsize
                or not X.flags.aligned
            ):
                values = np.require(X, requirements=["C", "A"])
            self.stride = values.strides[0] // values.itemsize
        self.single = values.dtype == np.float32
        self.wide_index = wide
        self.values = address(values)
        self.indices = address(indices)
        self.indptr = address(indptr)
        self.arrays = (values, indices, indptr)
        self.check()

    def check(self):
        """Raise ValueError if the indices of a sparse X are malformed.

        An index out of range would write outside W, which scipy does not look for. Who
        may have changed X since has to check it again.
        """
        if not self.sparse:
            return
        values, indices, indptr = self.arrays
        # Differences would wrap around, comparisons do not.
        if (
            indptr.shape != (self.n_rows + 1,)
            or indptr[0] != 0
            or indptr[self.n_rows] > min(indices.size, values.size)
            or np.any(indptr[1:] < indptr[:-1])
        ):
            raise ValueError("X is not a valid CSR matrix: indptr is inconsistent.")
        n_stored = int(indptr[self.n_rows])
        # As unsigned numbers, negative indices are large ones.
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
