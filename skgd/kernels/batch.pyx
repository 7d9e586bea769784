# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The gradient of a batch of rows, up to all of them.

Rows are taken in blocks that stay in cache, between the product that predicts and the
one that sums the gradient.
"""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from skgd.kernels.passes cimport (
    BATCH_AHEAD, COEFS_AHEAD, COEFS_NEAR, ROWS_AHEAD, Arguments, Buffers, Pass,
    add_rows, look_ahead, look_at_coefs, predictions, slopes_at,
)
from skgd.kernels.products cimport (
    accumulate_double, accumulate_float, multiply_double, multiply_float,
)
from skgd.kernels.rows cimport Index, Rows, Values, row_add, row_at, row_dot
from skgd.objective.loss cimport Loss

import numpy as np

from skgd.objective.regression import SquaredError

cdef enum:
    TOTALS_ROWS = 256       # that a loss is asked for at a time


cdef inline void multiply(
    const Values** x, Py_ssize_t n_rows, Py_ssize_t n_ahead, Pass* p
) noexcept nogil:
    """Z = X W^T for dense rows."""
    if Values is float:
        multiply_float(x, n_rows, n_ahead, p.n_features, p.coef, p.n_outputs, p.z)
    else:
        multiply_double(x, n_rows, n_ahead, p.n_features, p.coef, p.n_outputs, p.z)


cdef inline void accumulate(
    const Values** x, Py_ssize_t n_rows, Py_ssize_t n_ahead, Pass* p, double* gradient,
) noexcept nogil:
    """G += (slopes)^T X for dense rows."""
    if Values is float:
        accumulate_float(x, n_rows, n_ahead, p.n_features, p.slopes, p.n_outputs,
                         gradient)
    else:
        accumulate_double(x, n_rows, n_ahead, p.n_features, p.slopes, p.n_outputs,
                          gradient)


cdef inline double slopes_of_pass(
    Loss loss, Loss exact, Pass* p, Py_ssize_t start, Py_ssize_t n_rows
) noexcept nogil:
    """`slopes_at` with what else a pass over all rows may want."""
    cdef Py_ssize_t i
    cdef Py_ssize_t first = start * p.n_outputs, size = n_rows * p.n_outputs
    if p.exact_totals != NULL:
        exact.rows(p.y + start * p.y_columns, p.z,
                   p.weight + start if p.weight != NULL else NULL,
                   p.slopes, n_rows, p.n_outputs, p.exact_totals)
    if p.offset != NULL:
        for i in range(size):
            p.z[i] += p.offset[first + i]
    if p.all_z != NULL:
        for i in range(size):
            p.all_z[first + i] = p.z[i]
    return slopes_at(loss, p, start, n_rows)


cdef double gradient_of(
    const Values* values, const Index* indices, const Index* indptr,
    Py_ssize_t stride, Loss loss, Loss exact, Pass* p, Py_ssize_t start,
    Py_ssize_t stop, Buffers* buffers,
) noexcept nogil:
    """Sum of the gradients in W, then in b, over visits; returns their loss.

    The loss alone, if `gradient` is NULL.
    """
    cdef bint sparse = indptr != NULL
    cdef bint beyond_cache = sparse and p.n_features * p.n_outputs > COEFS_NEAR
    cdef Py_ssize_t block_size = buffers.block_size
    cdef const void** rows = buffers.rows
    cdef double* gradient = buffers.gradient
    cdef Py_ssize_t n_outputs = p.n_outputs
    cdef Py_ssize_t n_features = p.n_features
    cdef Py_ssize_t n = n_features
    cdef Py_ssize_t t = start, i, r, m, n_ahead = 0
    cdef double total = 0.0
    # The next block is prefetched during one of the two products.
    cdef bint early = gradient == NULL or n_features < BLOCK_LONG_ROW
    # As in `row_loop`, rows of small batches are prefetched in both passes.
    cdef Py_ssize_t lead = 0
    cdef double* intercept_gradient = gradient + n_outputs * n_features
    cdef const Values* x = NULL
    cdef const Index* columns = NULL

    if 1 < stop - start <= BATCH_AHEAD:
        lead = ROWS_AHEAD + (stop - start) // 2
    if gradient != NULL:
        memset(gradient, 0, n_outputs * (n_features + 1) * sizeof(double))
    while t < stop:
        m = min(block_size, stop - t)
        if sparse:
            for r in range(m):
                i = p.order[t + r]
                if lead == 0:
                    look_ahead(values, indices, indptr, stride, n_features, p,
                               t + r + ROWS_AHEAD)
                elif r % 2 == 0:
                    look_ahead(values, indices, indptr, stride, n_features, p,
                               t + r // 2 + lead)
                if beyond_cache:
                    look_at_coefs(p.coef, n_outputs, indices, indptr, p,
                                  t + r + COEFS_AHEAD)
                x = row_at(values, indices, indptr, stride, i, &columns, &n)
                row_dot(x, columns, n, p.coef, n_outputs, p.z + r * n_outputs)
        else:
            n_ahead = min(2 * m, p.n_order - t)
            for r in range(n_ahead):
                rows[r] = values + p.order[t + r] * stride
            multiply(<const Values**> rows, m, n_ahead if early else m, p)
        predictions(p, m, 1.0)
        total += slopes_of_pass(loss, exact, p, t, m)
        if gradient == NULL:
            t += m
            continue

        if sparse:
            for r in range(m):
                i = p.order[t + r]
                if lead > 0 and r % 2 == 0:
                    look_ahead(values, indices, indptr, stride, n_features, p,
                               t + (m + r) // 2 + lead)
                if beyond_cache:
                    look_at_coefs(gradient, n_outputs, indices, indptr, p,
                                  t + r + COEFS_AHEAD)
                x = row_at(values, indices, indptr, stride, i, &columns, &n)
                row_add(gradient, n_outputs, p.slopes + r * n_outputs, x, columns, n)
        else:
            accumulate(<const Values**> rows, m, m if early else n_ahead, p, gradient)
        add_rows(intercept_gradient, 1.0, p.slopes, m, n_outputs)
        t += m
    return total


cdef double batch_gradient(
    Rows X, Loss loss, Loss exact, Pass* p, Py_ssize_t start, Py_ssize_t stop,
    Buffers* buffers,
) noexcept nogil:
    """Sum of the gradients over visits, in `buffers.gradient`; returns their loss.

    The loss alone, if there is no room for a gradient.
    """
    if X.single and X.wide_index:
        return gradient_of(
            <const float*> X.values, <const int64_t*> X.indices,
            <const int64_t*> X.indptr, X.stride, loss, exact, p, start, stop, buffers
        )
    if X.single:
        return gradient_of(
            <const float*> X.values, <const int32_t*> X.indices,
            <const int32_t*> X.indptr, X.stride, loss, exact, p, start, stop, buffers
        )
    if X.wide_index:
        return gradient_of(
            <const double*> X.values, <const int64_t*> X.indices,
            <const int64_t*> X.indptr, X.stride, loss, exact, p, start, stop, buffers
        )
    return gradient_of(
        <const double*> X.values, <const int32_t*> X.indices,
        <const int32_t*> X.indptr, X.stride, loss, exact, p, start, stop, buffers
    )


def loss_at(
    Rows X,
    const Py_ssize_t[::1] order,
    const double[:, ::1] y,
    const double[::1] weight,
    Loss loss,
    coef,
    double[::1] intercept,
):
    """Sum over rows of weight times loss. Parameters as of `Epoch`."""
    cdef Arguments a = Arguments(
        X, order.shape[0], intercept.shape[0], True, True
    )
    a.visit(order, y, weight)
    a.model(coef, intercept, None, None)
    total = batch_gradient(X, loss, loss, &a.p, 0, a.p.n_order, &a.buffers)
    loss.check()
    return total


cdef check_shape(const double[:, ::1] array, Py_ssize_t n_rows, Py_ssize_t n_outputs):
    if array.shape[0] != n_rows or array.shape[1] != n_outputs:
        raise ValueError("There must be a value for each visit and output.")


def loss_gradient(
    Rows X,
    const Py_ssize_t[::1] order,
    const double[:, ::1] y,
    const double[::1] weight,
    Loss loss,
    coef,
    double[::1] intercept,
    const double[:, ::1] offset=None,
    double[:, ::1] z=None,
    Loss exact=None,
):
    """Sums over rows of weight times loss, and their gradients in W and b.

    Parameters
    ----------
    X, order, y, weight, loss, coef, intercept
        As of `Epoch.run`.
    offset : ndarray of shape (len(order), K) or None
        Added to the predictions.
    z : ndarray of shape (len(order), K) or None
        Filled with the predictions, with the offset.
    exact : Loss or None
        A loss that is summed, too, at the predictions without the offset.

    Returns
    -------
    totals : ndarray of shape (K,)
        The sum of each output; of coupled outputs, all of it in the first.
    gradient : ndarray of shape (K, p), in the memory order `X.order`
    slope_sums : ndarray of shape (K,)
        The gradient in b.
    exact_totals : ndarray of shape (K,)
        The sums of `exact`; those of `loss` if there is none.
    """
    cdef Py_ssize_t n_values = coef.size, n_outputs = intercept.shape[0]
    cdef Arguments a = Arguments(X, order.shape[0], n_outputs, True, True)
    cdef double[::1] gradient, totals, exact_totals
    out = np.empty(n_values + n_outputs)
    sums = np.zeros((2, n_outputs))
    gradient, totals, exact_totals = out, sums[0], sums[1]
    a.visit(order, y, weight)
    a.model(coef, intercept, None, None)
    a.buffers.gradient = &gradient[0]
    a.p.totals = &totals[0]
    if offset is not None:
        check_shape(offset, order.shape[0], n_outputs)
        a.p.offset = &offset[0, 0]
    if z is not None:
        check_shape(z, order.shape[0], n_outputs)
        a.p.all_z = &z[0, 0]
    if exact is not None:
        a.p.exact_totals = &exact_totals[0]
    batch_gradient(X, loss, loss if exact is None else exact, &a.p, 0, a.p.n_order,
                   &a.buffers)
    loss.check()
    return (
        sums[0],
        out[:n_values].reshape(coef.shape, order=X.order),
        out[n_values:],
        sums[0 if exact is None else 1],
    )


def predictions_at(Rows X, const Py_ssize_t[::1] order, coef, double[::1] intercept):
    """Linear predictions of rows, (len(order), K)."""
    cdef Arguments a = Arguments(
        X, order.shape[0], intercept.shape[0], True, True
    )
    cdef double[:, ::1] z = np.empty((order.shape[0], intercept.shape[0]))
    cdef Loss loss = SquaredError()
    a.visit(order, np.zeros_like(z), None)
    a.model(coef, intercept, None, None)
    a.p.all_z = &z[0, 0]
    batch_gradient(X, loss, loss, &a.p, 0, a.p.n_order, &a.buffers)
    return np.asarray(z)


def loss_totals(
    Loss loss,
    const double[:, ::1] y,
    const double[::1] weight,
    const double[:, ::1] z,
):
    """Sums of weight times loss at predictions z, (n, K), or (1, K) for all rows.

    Returns
    -------
    ndarray of shape (K,)
        The sum of each output; of coupled outputs, all of it in the first.
    """
    cdef Py_ssize_t n_outputs = z.shape[1], block, start, size
    cdef Py_ssize_t stride = 0 if z.shape[0] == 1 else 1
    cdef const double[:, ::1] at = z
    cdef double[:, ::1] slopes = np.empty((TOTALS_ROWS, n_outputs))
    cdef double[::1] totals = np.zeros(n_outputs)
    if not stride:
        at = np.repeat(z, TOTALS_ROWS, axis=0)
    with nogil:
        for block in range((y.shape[0] + TOTALS_ROWS - 1) // TOTALS_ROWS):
            start = block * TOTALS_ROWS
            size = min(TOTALS_ROWS, y.shape[0] - start)
            loss.rows(&y[start, 0], &at[stride * start, 0],
                      &weight[start] if weight is not None else NULL,
                      &slopes[0, 0], size, n_outputs, &totals[0])
    loss.check()
    return np.asarray(totals)
