# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Textbook updates of many models over the same dense rows, each with its own steps.

W is (p, K), the K models of a feature side by side, K a multiple of 8. All models visit
the same rows in the same batches, and each makes the updates of `Epoch`.
"""

from libc.math cimport fmax
from libc.string cimport memset

from skgd.kernels.passes cimport Arguments, Buffers, Pass
from skgd.kernels.rows cimport Rows
from skgd.objective.loss cimport Loss

import numpy as np

cdef extern from "stack.h":
    void sums "skgd_stack_sums"(
        const double* z, double* sums, Py_ssize_t n_rows, Py_ssize_t K) noexcept nogil
    void multiply "skgd_stack_multiply"(
        bint single, const void** x, Py_ssize_t n_rows, Py_ssize_t n_ahead,
        Py_ssize_t p, const double* w, Py_ssize_t K, const double* b,
        double* z) noexcept nogil
    void accumulate "skgd_stack_accumulate"(
        bint single, const void** x, Py_ssize_t n_rows, Py_ssize_t p, const double* f,
        Py_ssize_t K, bint first, double* g, const double* decay,
        const double* factor, double* w) noexcept nogil


cdef void stack_epoch(
    Rows X, Loss loss, Pass* p, Buffers* buffers, const double* l2, double* decay,
    double* factor, double* slope_sums, double* totals,
) noexcept nogil:
    """The updates of an epoch; without steps, the losses alone."""
    cdef Py_ssize_t update, start, stop, t, m, r, k, row_bytes
    cdef Py_ssize_t K = p.n_outputs, n = p.n_features
    cdef const void** rows = buffers.rows
    cdef const char* values = <const char*> X.values
    cdef const double* steps = p.steps
    row_bytes = X.stride * <Py_ssize_t> (sizeof(float) if X.single else sizeof(double))
    for update in range(p.n_updates):
        start = t = update * p.batch_size
        stop = min(start + p.batch_size, p.n_order)
        if steps != NULL:
            for k in range(K):
                decay[k] = fmax(0.0, 1.0 - steps[k] * l2[k])
                factor[k] = steps[k] / (stop - start)
            steps += p.steps_stride
            memset(slope_sums, 0, K * sizeof(double))
        while t < stop:
            m = min(buffers.block_size, stop - t)
            for r in range(min(2 * m, p.n_order - t)):
                rows[r] = values + p.order[t + r] * row_bytes
            multiply(X.single, rows, m, min(2 * m, p.n_order - t), n, p.coef, K,
                     p.intercept, p.z)
            loss.models(p.y + t, p.weight + t if p.weight != NULL else NULL,
                        p.z, totals, m, K)
            if steps != NULL:
                accumulate(X.single, rows, m, n, p.z, K, t == start, buffers.gradient,
                           decay if t + m == stop else NULL, factor, p.coef)
                sums(p.z, slope_sums, m, K)
            t += m
        if steps != NULL and p.fit_intercept:
            for k in range(K):
                p.intercept[k] -= factor[k] * slope_sums[k]


def run_stack(Rows X, visits, Loss loss, Py_ssize_t batch_size, double[:, ::1] coef,
              double[::1] intercept, const double[:, ::1] steps=None,
              const double[::1] l2=None, bint fit_intercept=True):
    """Make an epoch of all models, in place; without steps, sum their losses only.

    Parameters
    ----------
    X : Rows
        Dense.
    visits : tuple
        As of `Epoch.run`, of one target.
    loss : Loss
        Of one output.
    batch_size : int
    coef : ndarray of shape (p, K)
        K is a multiple of 8.
    intercept : ndarray of shape (K,)
    steps : ndarray of shape (ceil(n / batch_size), K) or (1, K), or None
        Step sizes of each update, or of all.
    l2 : ndarray of shape (K,) or None
    fit_intercept : bool

    Returns
    -------
    ndarray of shape (K,)
        Sums over rows of weight times loss, each before the update it is part of.
    """
    cdef Py_ssize_t K = intercept.shape[0]
    cdef Arguments a = Arguments(X, batch_size, K, fit_intercept, True,
                                 0 if steps is None else X.n_features * K)
    cdef double[::1] totals = np.zeros(max(K, 1))
    cdef double* small = a.numbers(3 * K)
    cdef const double* l2s = NULL
    a.visit(visits[0], visits[1], visits[2])
    if X.sparse or K == 0 or K % 8 or a.p.y_columns != 1 or X.n_features == 0 or not (
        coef.shape[0] == X.n_features and coef.shape[1] == K
    ):
        raise ValueError("A stack is of K models, 8 or a multiple, on dense rows.")
    if steps is not None:
        if steps.shape[0] not in (1, a.p.n_updates) or not (
            l2 is not None and steps.shape[1] == l2.shape[0] == K
        ):
            raise ValueError("There must be steps and an L2 for each model.")
        a.p.steps_stride = 0 if steps.shape[0] == 1 else K
        a.p.steps, l2s = &steps[0, 0], &l2[0]
    a.p.coef, a.p.intercept = &coef[0, 0], &intercept[0]
    with nogil:
        stack_epoch(X, loss, &a.p, &a.buffers, l2s, small, small + K, small + 2 * K,
                    &totals[0])
    return np.asarray(totals)
