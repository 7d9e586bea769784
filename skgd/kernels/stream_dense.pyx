# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""A stream of dense rows, which are centred."""

from libc.math cimport fmax, sqrt

from skgd.kernels.products cimport welford_double, welford_float
from skgd.kernels.rows cimport Rows, Values, dot, norm, scaled_add, shrink
from skgd.kernels.stream cimport (
    AVERAGE_ROWS, FIRST_ROWS, N_ROWS, NOW, PAST, PENDING, WEIGHT, Stream,
    stream_average, stream_begin_anew, stream_forgets, stream_learn, stream_may_forget,
    stream_next,
)
from skgd.objective.loss cimport Loss


cdef double stream_dense(
    const Values* values, Py_ssize_t stride, const Py_ssize_t* order,
    Py_ssize_t n_order, const double* y, Py_ssize_t y_columns, const double* weight,
    Loss loss, Stream* s, double* losses,
) noexcept nogil:
    cdef Py_ssize_t n = s.n_features, K = s.n_outputs, t, j, k
    cdef const Values* x
    cdef double w, total = 0.0, limit = s.noise * s.noise
    cdef double share, old, new, q, u, step, size, factor
    cdef bint doubled, early
    cdef double* W
    cdef const double* scale = s.scale
    for t in range(n_order):
        x = values + order[t] * stride
        w = weight[t] if weight != NULL else 1.0
        stream_next(s, w)
        w *= s.scalars[NOW]
        share = w / s.scalars[WEIGHT] if s.centred else 0.0
        # The row is in its own metric, so that none is far from all.
        if Values is float:
            doubled = welford_float(
                x, w, s.scalars[WEIGHT], share, limit, s.mean, s.square, s.moved,
                s.row, s.scale, s.variance, n)
        else:
            doubled = welford_double(
                x, w, s.scalars[WEIGHT], share, limit, s.mean, s.square, s.moved,
                s.row, s.scale, s.variance, n)
        q = norm(<const double*> s.row, 0.0, s.mean, s.scale, n)
        if not q < 1e300:
            # Features whose squares overflow do not move.
            q = 0.0
            for j in range(n):
                if not (s.square[j] < 1e300 and s.scale[j] < 1e300):
                    s.scale[j] = s.variance[j] = 0.0
                else:
                    q += s.scale[j] * s.row[j] * s.row[j]
        if doubled and stream_may_forget(s):
            # A feature of another scale than before begins anew, if that fits the row.
            for j in range(n):
                new = s.square[j]
                old = new - w * s.moved[j] * s.row[j]
                s.kept[j] = fmax(old, 0.0) / new if new > 2.0 * old else 1.0
            for k in range(K):
                s.z[k] = s.other[k] = s.intercept[k]
                for j in range(n):
                    u = s.moved[j] * s.coef[k * n + j]
                    s.z[k] += u
                    s.other[k] += u * s.kept[j]
            if stream_forgets(loss, s, y + t * y_columns):
                for j in range(n):
                    if s.kept[j] < 1.0:
                        stream_begin_anew(s, j, s.kept[j])
        for k in range(K):
            u = dot(<const double*> s.moved, s.coef + k * n, n, NULL)
            s.z[k] = s.intercept[k] + u
            # The model stays; only its centre moves.
            s.intercept[k] += share * u
        u = stream_learn(
            loss, s, y + t * y_columns, weight[t] if weight != NULL else 1.0, q,
            fmax(1.0, (n + 1.0) * s.scalars[NOW] / s.scalars[N_ROWS]))
        total += u
        if losses != NULL:
            losses[t] = u
        size = 0.0
        for k in range(K):
            step = s.step[k]
            if not s.coupled:
                size = 0.0
            if step == 0.0:
                continue
            W = s.coef + k * n
            scaled_add(W, -step * s.g[k], s.scale, <const double*> s.row, n, NULL)
            if s.l1 > 0.0:
                factor = step * s.l1
                for j in range(n):
                    W[j] = shrink(W[j], factor * scale[j])
            if s.l2 > 0.0:
                factor = step * s.l2
                for j in range(n):
                    W[j] /= 1.0 + factor * scale[j]
            size += norm(<const double*> W, 0.0, s.mean, s.variance, n)
            if not s.coupled or k == K - 1:
                j = 0 if s.coupled else k
                s.distance[j] = fmax(s.distance[j], sqrt(size))
        if not s.frozen:
            u = s.scalars[NOW]
            s.scalars[PENDING] += u
            early = s.scalars[PAST] < FIRST_ROWS * u
            if early or s.scalars[PENDING] >= AVERAGE_ROWS * u:
                stream_average(s)
    return total


cdef double stream_of_dense(
    Rows X, const Py_ssize_t* order, Py_ssize_t n_order, const double* y,
    Py_ssize_t y_columns, const double* weight, Loss loss, Stream* s, double* losses,
) noexcept nogil:
    """Learn the rows; returns their loss, each before it was learnt."""
    if X.single:
        return stream_dense(
            <const float*> X.values, X.stride, order, n_order, y, y_columns, weight,
            loss, s, losses
        )
    return stream_dense(
        <const double*> X.values, X.stride, order, n_order, y, y_columns, weight, loss,
        s, losses
    )
