# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Streams: the state of rows learnt one by one, and the model that it gives."""

from libc.math cimport fabs, sqrt

from skgd.kernels.passes cimport flat, pointer
from skgd.kernels.products cimport mix_sparse
from skgd.kernels.rows cimport Rows, shrink
from skgd.kernels.stream_dense cimport stream_of_dense
from skgd.kernels.stream_sparse cimport sparse_scale, stream_of_sparse
from skgd.objective.loss cimport Loss

import numpy as np

POWER = AVERAGE_POWER
LARGEST = LARGEST_NOW


cdef double* part(state, name) except? NULL:
    cdef double[::1] view = flat(state[name])
    return pointer(view)


cdef point_to(Stream* s, state, double l1, double l2):
    """Set the penalties, and the arrays of a state."""
    cdef bint sparse = state["sparse"]
    s.n_outputs, s.n_features = state["coef"].shape
    s.l1, s.l2 = l1, l2
    s.scalars = part(state, "scalars")
    s.mean, s.square = part(state, "mean"), part(state, "square")
    s.stored = part(state, "stored") if sparse else NULL
    s.ratio = part(state, "ratio") if sparse else NULL
    s.root = sqrt(s.scalars[WEIGHT])
    s.coef, s.intercept = part(state, "coef"), part(state, "intercept")
    s.distance, s.squares = part(state, "distance"), part(state, "squares")
    s.losses, s.slopes = part(state, "losses"), part(state, "slopes")
    s.coef_mean = part(state, "coef_mean")
    s.intercept_mean = part(state, "intercept_mean")
    s.mean_then, s.birth = part(state, "mean_then"), part(state, "birth")
    s.sign_mean = part(state, "sign_mean") if l1 > 0.0 else NULL
    s.path, s.norms = part(state, "path"), part(state, "norms")
    s.seen = part(state, "seen") if sparse and (l1 > 0.0 or l2 > 0.0) else NULL


def run_stream(
    Rows X,
    const Py_ssize_t[::1] order,
    const double[:, ::1] y,
    const double[::1] weight,
    double l1,
    double l2,
    Loss loss,
    bint fit_intercept,
    state,
    double growth=1.0,
    bint frozen=False,
    double[::1] losses=None,
):
    """Learn from rows one by one.

    Parameters
    ----------
    X, order, y, weight, l1, l2, loss, fit_intercept
        As of `Epoch`.
    state : dict of ndarray
        What `skgd.optim.streaming.start` makes; changed in place.
    growth : float
        By which each row weighs more than the one before it.
    frozen : bool
        Only take the sums over gradients, losses and slopes.
    losses : ndarray of shape (len(order),) or None
        Filled with weight times loss of each row, before it is learnt.

    Returns
    -------
    float
        Sum over rows of weight times loss, each before it is learnt.
    """
    cdef Stream s
    cdef Py_ssize_t n = X.n_features, K = state["coef"].shape[0]
    cdef Py_ssize_t m = order.shape[0], columns = y.shape[1]
    cdef double[::1] room = np.empty(5 * n + 5 * K)
    cdef const Py_ssize_t* rows = &order[0] if m else NULL
    cdef const double* target = &y[0, 0] if m else NULL
    cdef const double* w = &weight[0] if weight is not None else NULL
    cdef double* out = pointer(losses)
    cdef double total = 0.0
    for name in ("coef", "coef_mean"):
        if state[name].shape != (K, n) or not state[name].flags[
            "F_CONTIGUOUS" if X.sparse else "C_CONTIGUOUS"
        ]:
            raise ValueError(f"W must be {X.order}-ordered, with the shape of b and X.")
    if y.shape[0] != m or (weight is not None and weight.shape[0] != m):
        raise ValueError("There must be a target and a weight for each visit.")
    if X.sparse != state["sparse"]:
        raise ValueError("X must be stored as the rows that the stream began with.")
    point_to(&s, state, l1, l2)
    s.fit_intercept = fit_intercept
    s.centred = fit_intercept and not X.sparse
    s.coupled, s.residual = loss.coupled, loss.residual
    s.frozen, s.growth = frozen, growth
    s.noise = 10.0 * (1.2e-7 if X.single else 2.3e-16)
    s.moved = &room[0]
    s.row = s.moved + n
    s.scale = s.row + n
    s.variance = s.scale + n
    s.kept = s.variance + n
    s.z = s.kept + n
    s.other = s.z + K
    s.g = s.other + K
    s.v = s.g + K
    s.step = s.v + K
    with nogil:
        if X.sparse:
            total = stream_of_sparse(X, rows, m, target, columns, w, loss, &s, out)
        else:
            total = stream_of_dense(X, rows, m, target, columns, w, loss, &s, out)
    loss.check()
    return total


cdef void average_of(
    Stream* s, double curvature, double* coef, double* intercept
) noexcept nogil:
    cdef Py_ssize_t n = s.n_features, K = s.n_outputs, j, k, cell
    cdef bint sparse = s.stored != NULL
    cdef double past = s.scalars[PAST], new = AVERAGE_POWER * s.scalars[PENDING]
    cdef double share = new / (past + new) if new else 0.0
    cdef double own, scale = 0.0, step, w, a, sign
    for k in range(K):
        a = s.intercept_mean[k]
        if not sparse:
            for j in range(n):
                a += s.coef_mean[k * n + j] * (s.mean[j] - s.mean_then[j])
        intercept[k] = a + share * (s.intercept[k] - a)
    if sparse and K == 1 and s.l1 == 0.0:
        mix_sparse(coef, s.coef, s.coef_mean, s.seen, s.ratio, s.birth,
                   s.l2 * s.root, s.path[0], past, new, n)
        return
    for j in range(n):
        own = new / (past - s.birth[j] + new) if new else 0.0
        if sparse:
            scale = sparse_scale(s, j)
        elif s.square[j] > 0.0:
            scale = s.scalars[WEIGHT] / s.square[j]
        else:
            scale = 0.0
        for k in range(K):
            cell = j * K + k if sparse else k * n + j
            w = s.coef[cell]
            if s.seen != NULL:
                # Penalties that are due.
                step = scale * (s.path[k] - s.seen[cell])
                if step > 0.0:
                    w = shrink(w, step * s.l1) / (1.0 + step * s.l2)
            a = s.coef_mean[cell]
            a += own * (w - a)
            if s.sign_mean != NULL:
                # A proximal step from the average, with the average gradient: where
                # the signs of W took turns, the gradient is within the threshold.
                sign = 1.0 if w > 0.0 else (-1.0 if w < 0.0 else 0.0)
                sign = s.sign_mean[cell] + share * (sign - s.sign_mean[cell])
                a = shrink(a, s.l1 * scale * (1.0 - fabs(sign)) / curvature)
            coef[k * n + j] = a
            if not sparse:
                intercept[k] -= a * s.mean[j]


def stream_result(state, double l1, double l2, double curvature):
    """Coefficients, (K, p), and intercepts of the average; `state` stays.

    `curvature` is that of the loss, for the zeros of L1.
    """
    cdef Stream s
    point_to(&s, state, l1, l2)
    coef, intercept = np.empty((s.n_outputs, s.n_features)), np.empty(s.n_outputs)
    cdef double[:, ::1] a = coef
    cdef double[::1] b = intercept
    with nogil:
        average_of(&s, curvature, &a[0, 0], &b[0])
    return coef, intercept
