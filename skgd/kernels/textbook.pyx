# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Textbook updates, row by row: each row is added to W directly.

The decay by L2 is kept in one scalar (W = scale * V). On sparse rows, the L1 threshold
and the running average are lazy too: a feature is brought up to date when a row holds
it (see lazy.pxd), so that an update costs nothing for features that are absent. Nothing
lazy survives the epoch.
"""

from libc.math cimport fmax
from libc.stdint cimport int32_t, int64_t

from skgd.kernels.lazy cimport Lazy, catch_up, flush
from skgd.kernels.passes cimport (
    BATCH_AHEAD, BYTES_AHEAD, BYTES_NEAR, COEFS_AHEAD, COEFS_NEAR, LONG_ROW, ROWS_AHEAD,
    ROWS_NEAR, Pass, add_rows, look_ahead, look_at_coefs, look_near, predictions,
    rows_within, slopes_at,
)
from skgd.kernels.rows cimport (
    Index, Rows, Values, add, dot, prefetch_bytes, row_add, row_at, row_dot, shrink,
)
from skgd.objective.loss cimport Loss


# W = scale * V is multiplied out when scale falls below this. A running average
# subtracts sums of scales, and loses as many digits as the scale has fallen.
cdef double MIN_SCALE = 1e-9
cdef double MIN_SCALE_AVERAGED = 1e-3


cdef double plain_loop(
    const Values* values, const Index* indices, const Index* indptr,
    Py_ssize_t stride, Loss loss, Pass* p, Lazy* lazy,
) noexcept nogil:
    """`row_loop` for one row per update, one output and nothing that is lazy.

    Plain stochastic gradient descent spends more time on the bookkeeping of the
    general case than on a row of few features.
    """
    cdef bint sparse = indptr != NULL
    cdef bint beyond_cache = sparse and p.n_features > COEFS_NEAR
    # The compiler can't know that writing to W leaves *p alone.
    cdef const Py_ssize_t* order = p.order
    cdef const double* y = p.y
    cdef const double* weight = p.weight
    cdef const double* steps = p.steps
    cdef Py_ssize_t n_order = p.n_order
    cdef Py_ssize_t n = p.n_features
    cdef Py_ssize_t t
    cdef bint fit_intercept = p.fit_intercept
    cdef double* coef = p.coef
    cdef double* losses = p.losses
    cdef double l2 = p.l2
    cdef double intercept = p.intercept[0]
    cdef double total = 0.0, scale = 1.0, z = 0.0, slope = 0.0, eta, factor, value
    # Lines of long rows are prefetched one by one, while an earlier row is in use:
    # loads would wait behind all of them at once.
    cdef bint long_rows = not sparse and n >= LONG_ROW
    cdef Py_ssize_t lead = ROWS_AHEAD, near = ROWS_NEAR
    cdef const Values* next_row = NULL
    cdef const Values* x = values
    cdef const Index* columns = NULL

    if not sparse:
        lead = rows_within(ROWS_AHEAD, BYTES_AHEAD, n * sizeof(Values))
        near = rows_within(ROWS_NEAR, BYTES_NEAR, n * sizeof(Values))
    for t in range(n_order):
        eta = steps[0]
        steps += p.steps_stride
        x = row_at(values, indices, indptr, stride, order[t], &columns, &n)
        if long_rows:
            next_row = values + order[min(t + lead, n_order - 1)] * stride
        else:
            look_ahead(values, indices, indptr, stride, n, p, t + lead)
        if beyond_cache:
            look_at_coefs(coef, p.n_outputs, indices, indptr, p, t + COEFS_AHEAD)
        if sparse:
            row_dot(x, columns, n, coef, 1, &z)
        else:
            look_near(values, stride, p, t + near)
            z = dot(x, coef, n, next_row)
        z = scale * z + intercept
        scale *= 1.0 - eta * l2
        if scale < MIN_SCALE:
            flush(lazy, p, fmax(0.0, scale), sparse, t)
            scale = 1.0
        # Divided by here, the scale is not waited for: the loss is what takes longer.
        factor = -eta / scale
        value = loss.point(y[t], z, &slope)
        if weight != NULL:
            value *= weight[t]
            slope *= weight[t]
        total += value
        if losses != NULL:
            losses[t] = value
        if fit_intercept:
            intercept -= eta * slope
        slope *= factor
        if sparse:
            row_add(coef, 1, &slope, x, columns, n)
        elif slope != 0.0:
            add(coef, slope, x, n, next_row)
        elif long_rows:
            prefetch_bytes(next_row, n * sizeof(Values), False)

    p.intercept[0] = intercept
    flush(lazy, p, scale, sparse, n_order)
    return total


cdef double row_loop(
    const Values* values, const Index* indices, const Index* indptr,
    Py_ssize_t stride, Loss loss, Pass* p, Lazy* lazy,
) noexcept nogil:
    cdef bint sparse = indptr != NULL
    cdef bint averaging = p.coef_sum != NULL
    cdef bint lazily = sparse and (averaging or p.l1 > 0.0)
    cdef bint beyond_cache = sparse and p.n_features * p.n_outputs > COEFS_NEAR
    cdef double min_scale = MIN_SCALE_AVERAGED if averaging else MIN_SCALE
    # Batches of a few rows are read twice in a row. Rows are prefetched in both passes,
    # at half the pace, so that memory is never idle; lead is half a batch more then.
    cdef Py_ssize_t lead = 0
    if 1 < p.batch_size <= BATCH_AHEAD:
        lead = ROWS_AHEAD + p.batch_size // 2
    # The compiler can't know that writing to W leaves *p alone.
    cdef const Py_ssize_t* order = p.order
    cdef Py_ssize_t n_order = p.n_order
    cdef Py_ssize_t n_outputs = p.n_outputs
    cdef Py_ssize_t n = p.n_features
    cdef double l1 = p.l1
    cdef double l2 = p.l2
    cdef double* coef = p.coef
    cdef double* intercept = p.intercept
    cdef double* z = p.z
    cdef double* slopes = p.slopes
    cdef Py_ssize_t update, start, stop, t, i, j, k, r
    cdef double total = 0.0, scale = 1.0, value, eta, decay, factor, threshold
    cdef const Values* x = values
    cdef const Index* columns = NULL

    for update in range(p.n_updates):
        start = update * p.batch_size
        stop = min(start + p.batch_size, n_order)
        eta = p.steps[update * p.steps_stride]

        for t in range(start, stop):
            i = order[t]
            if lead == 0:
                look_ahead(values, indices, indptr, stride, n, p, t + ROWS_AHEAD)
            elif (t - start) % 2 == 0:
                look_ahead(values, indices, indptr, stride, n, p,
                           (start + t) // 2 + lead)
            if beyond_cache:
                look_at_coefs(coef, p.n_outputs, indices, indptr, p, t + COEFS_AHEAD)
            x = row_at(values, indices, indptr, stride, i, &columns, &n)
            if lazily:
                for j in range(n):
                    catch_up(lazy, coef + columns[j] * n_outputs,
                             p.coef_sum + columns[j] * n_outputs, n_outputs,
                             columns[j], update)
            row_dot(x, columns, n, coef, n_outputs, z + (t - start) * n_outputs)
        predictions(p, stop - start, scale)
        value = slopes_at(loss, p, start, stop - start)
        total += value
        if p.losses != NULL:
            p.losses[update] = value / (stop - start)

        if l2 > 0.0:
            decay = 1.0 - eta * l2
            scale *= decay
            if scale < min_scale:
                flush(lazy, p, fmax(0.0, scale), sparse, update)
                scale = 1.0

        factor = -eta / (stop - start)
        if p.fit_intercept:
            add_rows(intercept, factor, slopes, stop - start, n_outputs)
        factor /= scale
        for r in range((stop - start) * n_outputs):
            slopes[r] *= factor
        for t in range(start, stop):
            if lead > 0 and (t - start) % 2 == 0:
                look_ahead(values, indices, indptr, stride, n, p,
                           (stop + t) // 2 + lead)
            i = order[t]
            x = row_at(values, indices, indptr, stride, i, &columns, &n)
            row_add(coef, n_outputs, slopes + (t - start) * n_outputs, x, columns, n)

        if l1 > 0.0:
            threshold = eta * l1 / scale
            if sparse:
                lazy.threshold += threshold
            else:
                for j in range(n_outputs * n):
                    coef[j] = shrink(coef[j], threshold)
        if averaging:
            if update >= p.average_from:
                for k in range(n_outputs):
                    p.intercept_sum[k] += intercept[k]
                if sparse:
                    lazy.weight += scale
                    lazy.moment += scale * lazy.threshold
                else:
                    add(p.coef_sum, scale, coef, n_outputs * n, NULL)
            if lazy.history != NULL:
                lazy.history[3 * update] = lazy.threshold
                lazy.history[3 * update + 1] = lazy.weight
                lazy.history[3 * update + 2] = lazy.moment

    flush(lazy, p, scale, sparse, p.n_updates)
    return total


cdef double typed(
    const Values* values, const Index* indices, const Index* indptr,
    Py_ssize_t stride, Loss loss, Pass* p, Lazy* lazy, bint plain,
) noexcept nogil:
    if plain:
        return plain_loop(values, indices, indptr, stride, loss, p, lazy)
    return row_loop(values, indices, indptr, stride, loss, p, lazy)


cdef double row_epoch(Rows X, Loss loss, Pass* p, Lazy* lazy) noexcept nogil:
    """One epoch; `lazy` is all zeros, but for memory where it is needed."""
    cdef bint plain = (
        p.batch_size == 1 and p.n_outputs == 1 and p.l1 == 0.0 and p.coef_sum == NULL
        and p.y_columns == 1
    )
    if X.single and X.wide_index:
        return typed(
            <const float*> X.values, <const int64_t*> X.indices,
            <const int64_t*> X.indptr, X.stride, loss, p, lazy, plain
        )
    if X.single:
        return typed(
            <const float*> X.values, <const int32_t*> X.indices,
            <const int32_t*> X.indptr, X.stride, loss, p, lazy, plain
        )
    if X.wide_index:
        return typed(
            <const double*> X.values, <const int64_t*> X.indices,
            <const int64_t*> X.indptr, X.stride, loss, p, lazy, plain
        )
    return typed(
        <const double*> X.values, <const int32_t*> X.indices,
        <const int32_t*> X.indptr, X.stride, loss, p, lazy, plain
    )
