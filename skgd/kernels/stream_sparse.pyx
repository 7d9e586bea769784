# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""A stream of sparse rows, which are not centred; penalties are lazy."""

from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t

from skgd.kernels.products cimport prefetch
from skgd.kernels.rows cimport Index, Rows, Values, shrink
from skgd.kernels.stream cimport (
    AVERAGE_VALUES, DUE, FIRST_SPARSE, NOW, PAST, PENDING, Stream, stream_average,
    stream_begin_anew, stream_forgets, stream_learn, stream_may_forget, stream_next,
)
from skgd.objective.loss cimport Loss


cdef inline double stream_kept(
    Stream* s, Py_ssize_t j, double square, double w
) noexcept nogil:
    """Part of a coefficient that is kept: the mean square of rows before over now."""
    cdef double stored = s.stored[j] - w, before
    if s.square[j] <= 2.0 * (s.square[j] - square):
        return 1.0
    if stored <= 0.0:
        return 0.0
    before = (s.square[j] - square) / stored / (s.square[j] / s.stored[j])
    return before if before < 0.5 else 1.0


cdef inline void stream_penalise(Stream* s, Py_ssize_t j) noexcept nogil:
    """Penalise coefficients of a sparse feature for the path since the last time."""
    cdef Py_ssize_t K = s.n_outputs, k, cell
    cdef double step, scale = sparse_scale(s, j)
    for k in range(K):
        cell = j * K + k
        step = scale * (s.path[k] - s.seen[cell])
        s.seen[cell] = s.path[k]
        if step > 0.0:
            s.coef[cell] = shrink(s.coef[cell], step * s.l1) / (1.0 + step * s.l2)


cdef inline void stream_look_ahead(
    Stream* s, const Index* columns, Py_ssize_t length
) noexcept nogil:
    """Prefetch what is kept of the features of the next row."""
    cdef Py_ssize_t a, j, K = s.n_outputs
    for a in range(length):
        j = columns[a]
        prefetch(s.square + j)
        prefetch(s.stored + j)
        prefetch(s.ratio + j)
        prefetch(s.coef + j * K)
        if s.seen != NULL:
            prefetch(s.seen + j * K)


cdef double stream_sparse(
    const Values* values, const Index* indices, const Index* indptr,
    const Py_ssize_t* order, Py_ssize_t n_order, const double* y, Py_ssize_t y_columns,
    const double* weight, Loss loss, Stream* s, double* losses,
) noexcept nogil:
    cdef Py_ssize_t n = s.n_features, K = s.n_outputs, t, i, j, k, a, length, place
    cdef const Values* x
    cdef const Index* columns
    cdef double w, total = 0.0, q, old, scale, before, u, factor
    cdef bint penalised = s.l1 > 0.0 or s.l2 > 0.0, changed, early
    for t in range(n_order):
        i = order[t]
        x = values + indptr[i]
        columns = indices + indptr[i]
        length = indptr[i + 1] - indptr[i]
        if t + 1 < n_order:
            i = order[t + 1]
            stream_look_ahead(s, indices + indptr[i], indptr[i + 1] - indptr[i])
        w = weight[t] if weight != NULL else 1.0
        stream_next(s, w)
        w *= s.scalars[NOW]
        q, changed = 0.0, False
        for k in range(K):
            s.z[k] = s.other[k] = s.intercept[k]
        for a in range(length):
            j = columns[a]
            if penalised:
                stream_penalise(s, j)
            s.square[j] += w * x[a] * x[a]
            s.stored[j] += w
            s.ratio[j] = 0.0
            if 0.0 < s.square[j] < 1e300:
                s.ratio[j] = sqrt(s.stored[j]) / s.square[j]
            before = stream_kept(s, j, w * x[a] * x[a], w)
            changed |= before < 1.0
            q += sparse_scale(s, j) * x[a] * x[a]
            for k in range(K):
                u = x[a] * s.coef[j * K + k]
                s.z[k] += u
                s.other[k] += u * before
        changed = changed and stream_may_forget(s)
        if changed and stream_forgets(loss, s, y + t * y_columns):
            for a in range(length):
                j = columns[a]
                before = stream_kept(s, j, w * x[a] * x[a], w)
                if before < 1.0:
                    stream_begin_anew(s, j, before)
            for k in range(K):
                s.z[k] = s.other[k]
        u = stream_learn(
            loss, s, y + t * y_columns, weight[t] if weight != NULL else 1.0, q, 1.0)
        total += u
        if losses != NULL:
            losses[t] = u
        for k in range(K):
            place = 0 if s.coupled else k
            s.path[k] += s.step[k]
            if s.step[k] == 0.0:
                continue
            factor = -s.step[k] * s.g[k]
            for a in range(length):
                j = columns[a]
                scale = sparse_scale(s, j)
                if scale > 0.0:
                    old = s.coef[j * K + k]
                    u = factor * x[a]
                    s.coef[j * K + k] = old + scale * u
                    s.norms[place] += u * (2.0 * old + scale * u)
            if s.norms[place] > s.distance[place] * s.distance[place]:
                s.distance[place] = sqrt(s.norms[place])
        if s.frozen:
            continue
        s.scalars[PENDING] += s.scalars[NOW]
        s.scalars[DUE] += length
        early = s.scalars[PAST] < FIRST_SPARSE * s.scalars[NOW]
        if early or s.scalars[DUE] >= AVERAGE_VALUES * n:
            s.scalars[DUE] = 0.0
            for k in range(K):
                s.norms[k] = 0.0
            for j in range(n):
                if penalised:
                    stream_penalise(s, j)
                scale = sparse_scale(s, j)
                if scale > 0.0:
                    for k in range(K):
                        s.norms[0 if s.coupled else k] += s.coef[j * K + k] ** 2 / scale
            stream_average(s)
    return total


cdef double stream_of_sparse(
    Rows X, const Py_ssize_t* order, Py_ssize_t n_order, const double* y,
    Py_ssize_t y_columns, const double* weight, Loss loss, Stream* s, double* losses,
) noexcept nogil:
    """Learn the rows; returns their loss, each before it was learnt."""
    if X.single and X.wide_index:
        return stream_sparse(
            <const float*> X.values, <const int64_t*> X.indices,
            <const int64_t*> X.indptr, order, n_order, y, y_columns, weight, loss, s,
            losses
        )
    if X.single:
        return stream_sparse(
            <const float*> X.values, <const int32_t*> X.indices,
            <const int32_t*> X.indptr, order, n_order, y, y_columns, weight, loss, s,
            losses
        )
    if X.wide_index:
        return stream_sparse(
            <const double*> X.values, <const int64_t*> X.indices,
            <const int64_t*> X.indptr, order, n_order, y, y_columns, weight, loss, s,
            losses
        )
    return stream_sparse(
        <const double*> X.values, <const int32_t*> X.indices,
        <const int32_t*> X.indptr, order, n_order, y, y_columns, weight, loss, s,
        losses
    )
