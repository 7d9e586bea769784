# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Moments and products of features over rows."""

from libc.math cimport fmax
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from skgd.kernels.batch cimport CACHED_VALUES
from skgd.kernels.products cimport (
    accumulate_double, add_squares_double, add_squares_float,
)
from skgd.kernels.rows cimport Index, Rows, Values, add, row_at

import numpy as np


cdef enum:
    PRODUCT_ROWS = 64       # in a block of `second_moments`


cdef double sum_moments(
    const Values* values, const Index* indices, const Index* indptr, Py_ssize_t stride,
    const Py_ssize_t* rows, const double* weight, Py_ssize_t n_rows,
    Py_ssize_t n_features, double* mean, double* second, double* stored,
) noexcept nogil:
    """Weighted means of features, and sums of squares about them.

    Of sparse ones, also the weights of nonzero elements. Returns the sum of weights.
    """
    cdef Py_ssize_t t, j, n = n_features
    cdef double total = 0.0, w = 1.0, d
    cdef const Values* x
    cdef const Index* columns = NULL
    for t in range(n_rows):
        total += weight[t] if weight != NULL else 1.0
    for t in range(n_rows):
        w = weight[t] if weight != NULL else 1.0
        x = row_at(values, indices, indptr, stride, rows[t], &columns, &n)
        if columns == NULL:
            add(mean, w / total, x, n, NULL)
        else:
            for j in range(n):
                mean[columns[j]] += w / total * x[j]
    for t in range(n_rows):
        w = weight[t] if weight != NULL else 1.0
        x = row_at(values, indices, indptr, stride, rows[t], &columns, &n)
        if columns != NULL:
            for j in range(n):
                if x[j] != 0.0:
                    d = x[j] - mean[columns[j]]
                    second[columns[j]] += w * d * d
                    stored[columns[j]] += w
        elif Values is float:
            add_squares_float(second, w, x, mean, n)
        else:
            add_squares_double(second, w, x, mean, n)
    if indptr != NULL:
        for j in range(n_features):
            # Elements that are stored twice count twice.
            second[j] += fmax(0.0, total - stored[j]) * mean[j] * mean[j]
    return total


cdef double moments(
    const Values* values, const Index* indices, const Index* indptr, Py_ssize_t stride,
    const Py_ssize_t* rows, const double* weight, Py_ssize_t n_rows,
    Py_ssize_t n_features, double* mean, double* second, double* stored,
    double* scratch,
) noexcept nogil:
    """`sum_moments`, of dense rows by blocks that stay in cache meanwhile."""
    cdef Py_ssize_t start = 0, m, j
    cdef Py_ssize_t block = 1 + CACHED_VALUES // n_features
    cdef double* part_mean = scratch
    cdef double* part_second = scratch + n_features
    cdef double total = 0.0, part, share, difference
    if indptr != NULL:
        return sum_moments(values, indices, indptr, stride, rows, weight, n_rows,
                           n_features, mean, second, stored)
    while start < n_rows:
        m = min(block, n_rows - start)
        memset(scratch, 0, 2 * n_features * sizeof(double))
        part = sum_moments(values, indices, indptr, stride, rows + start,
                           weight + start if weight != NULL else NULL, m, n_features,
                           part_mean, part_second, stored)
        total += part
        share = part / total
        for j in range(n_features):
            # Chan, Golub and LeVeque (1979), equation 2.1.
            difference = part_mean[j] - mean[j]
            mean[j] += share * difference
            second[j] += part_second[j] + (total - part) * share * difference**2
        start += m
    return total


cdef double moments_of(
    Rows X, const Py_ssize_t* rows, const double* weight, Py_ssize_t n_rows,
    double* mean, double* second, double* stored, double* scratch,
) noexcept nogil:
    if X.single and X.wide_index:
        return moments(
            <const float*> X.values, <const int64_t*> X.indices,
            <const int64_t*> X.indptr, X.stride, rows, weight, n_rows, X.n_features,
            mean, second, stored, scratch
        )
    if X.single:
        return moments(
            <const float*> X.values, <const int32_t*> X.indices,
            <const int32_t*> X.indptr, X.stride, rows, weight, n_rows, X.n_features,
            mean, second, stored, scratch
        )
    if X.wide_index:
        return moments(
            <const double*> X.values, <const int64_t*> X.indices,
            <const int64_t*> X.indptr, X.stride, rows, weight, n_rows, X.n_features,
            mean, second, stored, scratch
        )
    return moments(
        <const double*> X.values, <const int32_t*> X.indices,
        <const int32_t*> X.indptr, X.stride, rows, weight, n_rows, X.n_features, mean,
        second, stored, scratch
    )


def feature_moments(Rows X, const Py_ssize_t[::1] rows, const double[::1] weight):
    """Moments of the features over rows, weighted by `weight` (or None).

    Returns
    -------
    total : float
        Sum of weights.
    mean : ndarray of shape (p,)
    variance : ndarray of shape (p,)
    stored : ndarray of shape (p,)
        Share of rows whose element is not zero; ones if X is dense.
    """
    cdef double[:, ::1] sums = np.zeros((3, X.n_features))
    cdef double[::1] scratch = np.empty(2 * X.n_features)
    cdef double* a = &sums[0, 0]
    cdef double* b = &sums[1, 0]
    cdef double* c = &sums[2, 0]
    cdef double* d = &scratch[0]
    cdef const double* w = &weight[0] if weight is not None else NULL
    cdef const Py_ssize_t* r = &rows[0]
    cdef Py_ssize_t n = rows.shape[0]
    cdef Py_ssize_t p = X.n_features
    cdef double total
    with nogil:
        total = moments_of(X, r, w, n, a, b, c, d)
    mean, second, stored = np.asarray(sums)
    return (
        total, mean, second / total, stored / total if X.sparse else np.ones(p)
    )


cdef void sum_products(
    const Values* values, const Index* indices, const Index* indptr, Py_ssize_t stride,
    const Py_ssize_t* rows, const double* weight, Py_ssize_t n_rows,
    Py_ssize_t n_features, const double* mean, const double* root, bint fit_intercept,
    double* scratch, const double** starts, double* out,
) noexcept nogil:
    cdef Py_ssize_t t = 0, r, m, j, size = n_features + 1, n = n_features
    cdef double w
    cdef double* z
    cdef double* weighted = scratch + PRODUCT_ROWS * size
    cdef const Values* x
    cdef const Index* columns = NULL
    while t < n_rows:
        m = min(<Py_ssize_t> PRODUCT_ROWS, n_rows - t)
        for r in range(m):
            z = scratch + r * size
            w = weight[t + r] if weight != NULL else 1.0
            x = row_at(values, indices, indptr, stride, rows[t + r], &columns, &n)
            if columns == NULL:
                for j in range(n_features):
                    z[j] = (x[j] - mean[j]) * root[j]
            else:
                for j in range(n_features):
                    z[j] = -mean[j] * root[j]
                for j in range(n):
                    z[columns[j]] += x[j] * root[columns[j]]
            z[n_features] = fit_intercept
            for j in range(size):
                weighted[r * size + j] = w * z[j]
        accumulate_double(starts, m, m, size, weighted, size, out)
        t += m


cdef void products_of(
    Rows X, const Py_ssize_t* rows, const double* weight, Py_ssize_t n_rows,
    const double* mean, const double* root, bint fit_intercept, double* scratch,
    const double** starts, double* out,
) noexcept nogil:
    if X.single and X.wide_index:
        sum_products(
            <const float*> X.values, <const int64_t*> X.indices,
            <const int64_t*> X.indptr, X.stride, rows, weight, n_rows, X.n_features,
            mean, root, fit_intercept, scratch, starts, out
        )
    elif X.single:
        sum_products(
            <const float*> X.values, <const int32_t*> X.indices,
            <const int32_t*> X.indptr, X.stride, rows, weight, n_rows, X.n_features,
            mean, root, fit_intercept, scratch, starts, out
        )
    elif X.wide_index:
        sum_products(
            <const double*> X.values, <const int64_t*> X.indices,
            <const int64_t*> X.indptr, X.stride, rows, weight, n_rows, X.n_features,
            mean, root, fit_intercept, scratch, starts, out
        )
    else:
        sum_products(
            <const double*> X.values, <const int32_t*> X.indices,
            <const int32_t*> X.indptr, X.stride, rows, weight, n_rows, X.n_features,
            mean, root, fit_intercept, scratch, starts, out
        )


def second_moments(
    Rows X,
    const Py_ssize_t[::1] rows,
    const double[::1] weight,
    const double[::1] mean,
    const double[::1] root,
    bint fit_intercept,
):
    """Sum over rows of weight z z' with z = ((x - mean) root, 1), or 0 behind it.

    `weight` may be negative, and None stands for ones.

    Returns
    -------
    ndarray of shape (p + 1, p + 1)
    """
    cdef Py_ssize_t n = rows.shape[0], p = X.n_features, r
    if not mean.shape[0] == root.shape[0] == p or (
        weight is not None and weight.shape[0] != n
    ):
        raise ValueError("There must be a mean and a root for each feature.")
    cdef double[:, ::1] out = np.zeros((p + 1, p + 1))
    cdef double[::1] scratch = np.empty(2 * PRODUCT_ROWS * (p + 1))
    cdef const double* starts[PRODUCT_ROWS]
    cdef const double* w = &weight[0] if weight is not None else NULL
    cdef const Py_ssize_t* i = &rows[0]
    cdef double* s = &scratch[0]
    cdef double* o = &out[0, 0]
    cdef const double* a = &mean[0]
    cdef const double* b = &root[0]
    for r in range(PRODUCT_ROWS):
        starts[r] = s + r * (p + 1)
    with nogil:
        products_of(X, i, w, n, a, b, fit_intercept, s, starts, o)
    return np.asarray(out)
