# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Updates in a metric, row by row: dense rows and one output."""

from skgd.kernels.metric cimport Metric, first_kept, keep, penalise, step_of
from skgd.kernels.passes cimport (
    BYTES_AHEAD, BYTES_NEAR, LONG_ROW, ROWS_AHEAD, ROWS_NEAR, Pass, look_near,
    rows_within,
)
from skgd.kernels.products cimport prefetch
from skgd.kernels.rows cimport (
    Rows, Values, add, dot, norm, prefetch_bytes, scaled_add,
)
from skgd.objective.loss cimport Loss

import numpy as np


cdef double metric_plain_loop(
    const Values* values, Py_ssize_t stride, Loss loss, Pass* p, Metric* metric,
) noexcept nogil:
    """One dense row per update, one output.

    Rows are not centred: their part along `direction` is kept in one scalar, so that
    W = V - shift * direction.
    """
    cdef Py_ssize_t n = p.n_features
    cdef Py_ssize_t t, i
    cdef double total = 0.0, z, value, slope = 0.0, eta, path = 0.0, shift = 0.0
    cdef const double* scale = metric.scale
    cdef const Py_ssize_t* order = p.order
    cdef const double* y = p.y
    cdef const double* weight = p.weight
    cdef const double* products
    cdef double* coef = p.coef
    cdef bint fit_intercept = p.fit_intercept
    cdef double intercept = p.intercept[0]
    cdef double offset = intercept - dot(metric.mean, coef, n, NULL)
    # How the offset, -W mean, moves with V and with the shift.
    cdef double mean_norm = dot(metric.mean, metric.direction, n, NULL)
    cdef Py_ssize_t next_kept = first_kept(p, metric)
    cdef Py_ssize_t lead = rows_within(ROWS_AHEAD, BYTES_AHEAD, n * sizeof(Values))
    cdef Py_ssize_t near = rows_within(ROWS_NEAR, BYTES_NEAR, n * sizeof(Values))
    cdef bint long_rows = n >= LONG_ROW  # as in `plain_loop`
    cdef const Values* x
    cdef const Values* next_row = NULL

    for t in range(p.n_order):
        i = order[min(t + lead, p.n_order - 1)]
        prefetch(metric.products + 2 * i)
        if long_rows:
            next_row = values + i * stride
        else:
            prefetch_bytes(values + i * stride, n * sizeof(Values), False)
        look_near(values, stride, p, t + near)
        x = values + order[t] * stride
        products = metric.products + 2 * order[t]
        z = dot(x, coef, n, next_row) - shift * products[1] + offset
        if p.y_columns == 1:
            value = loss.point(y[t], z, &slope)
        else:
            value = loss.rows(y + t * p.y_columns, &z, NULL, &slope, 1, 1, NULL)
        if weight != NULL:
            value *= weight[t]
            slope *= weight[t]
        total += value
        if p.losses != NULL:
            p.losses[t] = value
        eta = step_of(metric, p.steps[t * p.steps_stride], value,
                      slope * slope * (products[0] + fit_intercept))
        path += eta
        if slope != 0.0:
            slope *= -eta
            scaled_add(coef, slope, scale, x, n, next_row)
            shift += slope
            offset -= slope * (products[1] - mean_norm)
            if fit_intercept:
                offset += slope
                intercept += slope
        elif long_rows:
            prefetch_bytes(next_row, n * sizeof(Values), False)
        if path > metric.lazy_budget or t == next_kept:
            add(coef, -shift, metric.direction, n, NULL)
            shift = 0.0
            penalise(p, scale, path)
            path = 0.0
            offset = intercept - dot(metric.mean, coef, n, NULL)
            if t == next_kept:
                p.intercept[0] = intercept
                keep(p, metric, t)
                next_kept += metric.average_every
    return total


cdef double metric_rows(Rows X, Loss loss, Pass* p, Metric* metric) noexcept nogil:
    """One epoch."""
    if X.single:
        return metric_plain_loop(<const float*> X.values, X.stride, loss, p, metric)
    return metric_plain_loop(<const double*> X.values, X.stride, loss, p, metric)


def row_products(Rows X, const double[::1] mean, const double[::1] scale):
    """Sums of scale * (x - mean)^2 and of scale * x * mean, for each dense row x.

    Returns
    -------
    ndarray of shape (n, 2)
    """
    cdef Py_ssize_t n = X.n_features
    cdef Py_ssize_t i
    cdef double[::1] direction = np.multiply(mean, scale)
    cdef double[:, ::1] out = np.empty((X.n_rows, 2))
    cdef const float* single = <const float*> X.values
    cdef const double* wide = <const double*> X.values
    if X.sparse or not mean.shape[0] == scale.shape[0] == n:
        raise ValueError("X must be dense, with a mean and a scale for each feature.")
    with nogil:
        for i in range(X.n_rows):
            if X.single:
                out[i, 0] = norm(single, 1.0, &mean[0], &scale[0], n)
                out[i, 1] = dot(single, &direction[0], n, NULL)
                single += X.stride
            else:
                out[i, 0] = norm(wide, 1.0, &mean[0], &scale[0], n)
                out[i, 1] = dot(wide, &direction[0], n, NULL)
                wide += X.stride
    return np.asarray(out)
