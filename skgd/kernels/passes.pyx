# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Arguments of the loops, checked, and their memory."""

import numpy as np

from skgd.kernels.batch cimport CACHED_VALUES, NEAR_VALUES


cdef class Arguments:
    """A `Pass` and its `Buffers`, checked and filled, and the arrays they point to.

    Options are checked here, once; arrays by `visit` and `model`, for each pass.

    Parameters
    ----------
    X : Rows
    batch_size : int
        Rows per update.
    n_outputs : int
    fit_intercept : bool
    by_blocks : bool
        Whether batches are read in blocks that stay in cache.
    n_gradient : int
        Numbers that a gradient is kept in.
    """

    def __init__(self, Rows X, Py_ssize_t batch_size, Py_ssize_t n_outputs,
                 bint fit_intercept, bint by_blocks, Py_ssize_t n_gradient=0):
        cdef Py_ssize_t most, n_blocks, size = max(1, batch_size)
        cdef Py_ssize_t[::1] rows
        self.arrays, self.X = [X], X
        self.p.batch_size = self.buffers.block_size = size
        self.p.n_features, self.p.n_outputs = X.n_features, n_outputs
        self.p.fit_intercept = fit_intercept
        if by_blocks:
            # Of equal size: a block prefetches as many rows as it has itself.
            most = rows_of_block(X)
            n_blocks = (size + most - 1) // most
            self.buffers.block_size = size = (size + n_blocks - 1) // n_blocks
            rows = np.zeros(2 * size, dtype=np.intp)
            self.buffers.rows = <const void**> &rows[0]
            self.arrays.append(rows)
        self.p.z = self.numbers(2 * size * n_outputs)
        self.p.slopes = self.p.z + size * n_outputs
        if n_gradient:
            self.buffers.gradient = self.numbers(n_gradient)

    cdef double* numbers(self, Py_ssize_t size):
        """Zeros that live as long as this object."""
        cdef double[::1] array = np.zeros(max(size, 1))
        self.arrays.append(array)
        return &array[0]

    cdef visit(self, order, y, weight):
        """Point to the rows of a pass, their targets and weights."""
        cdef const Py_ssize_t[::1] rows = order
        cdef const double[:, ::1] targets = y
        cdef const double[::1] weights = weight
        cdef Py_ssize_t n = rows.shape[0]
        if targets.shape[0] != n or (weight is not None and weights.shape[0] != n):
            raise ValueError("There must be a target and a weight for each visit.")
        self.p.order = &rows[0] if n else NULL
        self.p.y, self.p.y_columns = &targets[0, 0] if n else NULL, targets.shape[1]
        self.p.weight = &weights[0] if weight is not None and n else NULL
        self.p.n_order = n
        self.p.n_updates = (n + self.p.batch_size - 1) // self.p.batch_size

    cdef model(self, coef, intercept, coef_sum, intercept_sum, coef_velocity=None,
               intercept_velocity=None):
        """Point to a model, the sums of its iterates and its last move (or None)."""
        cdef double[::1] b = intercept
        for array in (coef, coef_sum, coef_velocity):
            if array is not None and not (
                array.shape == (b.shape[0], self.p.n_features)
                and array.flags["F_CONTIGUOUS" if self.X.sparse else "C_CONTIGUOUS"]
            ):
                raise ValueError(
                    f"W must be {self.X.order}-ordered, with the shape of b and X."
                )
        if b.shape[0] != self.p.n_outputs:
            raise ValueError("There must be an intercept for each output.")
        self.p.coef, self.p.intercept = pointer(flat(coef)), &b[0]
        self.p.coef_sum = pointer(flat(coef_sum))
        self.p.intercept_sum = pointer(intercept_sum)
        self.p.coef_velocity = pointer(flat(coef_velocity))
        self.p.intercept_velocity = pointer(intercept_velocity)


cdef double* pointer(double[::1] array) noexcept:
    return &array[0] if array is not None and array.shape[0] else NULL


cdef double[::1] flat(array):
    # A view on the memory, whichever its order: a copy would lose what is written.
    return None if array is None else array.reshape(-1, order="A")


cdef Py_ssize_t rows_of_block(Rows X):
    cdef double stored = max(X.mean_stored, 1.0)
    if X.sparse:
        return max(1, min(1024, int(CACHED_VALUES / stored)))
    # Twenty rows at least, if that is not too much for the second level.
    return max(1, int(NEAR_VALUES / stored), min(20, int(CACHED_VALUES / stored)))
