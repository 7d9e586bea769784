# Rows of X, and what is done with one of them: inline, so that loops of other modules
# are compiled with it.

from libc.math cimport copysign, fabs
from libc.stdint cimport int32_t, int64_t

from skgd.kernels.products cimport (
    add_double, add_float, add_squares_double, add_squares_float, dot_double,
    dot_float, norm_double, norm_float, prefetch, prefetch_near, scaled_add_double,
    scaled_add_float,
)

ctypedef fused Values:
    float
    double


ctypedef fused Index:
    int32_t
    int64_t


cdef enum:
    CACHE_LINE = 64         # bytes
    LINES_AHEAD = 32        # how many lines of a row; the hardware goes on from there


cdef class Rows:

    cdef readonly Py_ssize_t n_rows
    cdef readonly Py_ssize_t n_features
    cdef readonly bint sparse
    cdef bint single
    cdef bint wide_index
    cdef Py_ssize_t stride
    cdef const void* values
    cdef const void* indices
    cdef const void* indptr
    cdef object arrays


cdef inline double dot(
    const Values* x, const double* w, Py_ssize_t n, const Values* next
) noexcept nogil:
    """x . w; if there is a row `next`, every second line of it is prefetched."""
    if Values is float:
        return dot_float(x, w, n, next)
    else:
        return dot_double(x, w, n, next)


cdef inline void add(
    double* w, double factor, const Values* x, Py_ssize_t n, const Values* next
) noexcept nogil:
    """w += factor * x; the other lines of a row `next` are prefetched meanwhile."""
    if Values is float:
        add_float(w, factor, x, n, next)
    else:
        add_double(w, factor, x, n, next)


cdef inline void add_outputs(
    double* w, double factor, const double* x, Py_ssize_t n_outputs
) noexcept nogil:
    """w += factor * x, without a call if there is one output."""
    if n_outputs == 1:
        w[0] += factor * x[0]
    else:
        add(w, factor, x, n_outputs, NULL)


cdef inline void scaled_add(
    double* w, double factor, const double* scale, const Values* x, Py_ssize_t n,
    const Values* next,
) noexcept nogil:
    """w += factor * scale * x; the other lines of `next` are prefetched meanwhile."""
    if Values is float:
        scaled_add_float(w, factor, scale, x, n, next)
    else:
        scaled_add_double(w, factor, scale, x, n, next)


cdef inline double norm(
    const Values* x, double shift, const double* mean, const double* scale, Py_ssize_t n
) noexcept nogil:
    """Sum of scale * (x - shift * mean)^2."""
    if Values is float:
        return norm_float(x, shift, mean, scale, n)
    else:
        return norm_double(x, shift, mean, scale, n)


cdef inline double shrink(double w, double threshold) noexcept nogil:
    cdef double size = fabs(w) - threshold
    # Not fmax, which would turn a NaN into a zero and hide that fit diverged.
    return copysign(0.0 if size < 0.0 else size, w)


cdef inline const Values* row_at(
    const Values* values, const Index* indices, const Index* indptr,
    Py_ssize_t stride, Py_ssize_t i, const Index** columns, Py_ssize_t* n,
) noexcept nogil:
    """Values of row i; of a sparse one, also their columns and number."""
    if indptr == NULL:
        return values + i * stride
    columns[0] = indices + indptr[i]
    n[0] = indptr[i + 1] - indptr[i]
    return values + indptr[i]


cdef inline void row_dot(
    const Values* x, const Index* columns, Py_ssize_t n,
    const double* coef, Py_ssize_t n_outputs, double* z,
) noexcept nogil:
    """z = W x for a row of n values, at `columns` if it is sparse."""
    cdef Py_ssize_t j, k
    cdef double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0
    if columns == NULL:
        for k in range(n_outputs):
            z[k] = dot(x, coef + k * n, n, NULL)
    elif n_outputs == 1:
        j = 0
        while j + 4 <= n:
            s0 += x[j] * coef[columns[j]]
            s1 += x[j + 1] * coef[columns[j + 1]]
            s2 += x[j + 2] * coef[columns[j + 2]]
            s3 += x[j + 3] * coef[columns[j + 3]]
            j += 4
        while j < n:
            s0 += x[j] * coef[columns[j]]
            j += 1
        z[0] = (s0 + s1) + (s2 + s3)
    else:
        for k in range(n_outputs):
            z[k] = 0.0
        for j in range(n):
            add(z, x[j], coef + columns[j] * n_outputs, n_outputs, NULL)


cdef inline void row_add(
    double* coef, Py_ssize_t n_outputs, const double* factors,
    const Values* x, const Index* columns, Py_ssize_t n,
) noexcept nogil:
    """W += factors x^T for a row of n values, at `columns` if it is sparse."""
    cdef Py_ssize_t j, k
    if columns == NULL:
        for k in range(n_outputs):
            if factors[k] != 0.0:
                add(coef + k * n, factors[k], x, n, NULL)
    elif n_outputs == 1:
        if factors[0] != 0.0:
            for j in range(n):
                coef[columns[j]] += factors[0] * x[j]
    else:
        for j in range(n):
            add(coef + columns[j] * n_outputs, x[j], factors, n_outputs, NULL)


cdef inline void prefetch_bytes(
    const void* start, Py_ssize_t size, bint near
) noexcept nogil:
    # As many for each row of X, wherever its lines begin: numbers that vary would be
    # mispredicted, which takes longer than to prefetch a line twice.
    cdef const char* byte = <const char*> start
    cdef const char* last = byte + min(size, LINES_AHEAD * CACHE_LINE) - 1
    while byte < last:
        if near:
            prefetch_near(byte)
        else:
            prefetch(byte)
        byte += CACHE_LINE
    if near:
        prefetch_near(last)
    else:
        prefetch(last)


cdef inline void prefetch_row(
    const Values* values, const Index* indices, const Index* indptr,
    Py_ssize_t stride, Py_ssize_t n_features, Py_ssize_t i,
) noexcept nogil:
    cdef Py_ssize_t n
    if indptr == NULL:
        prefetch_bytes(values + i * stride, n_features * sizeof(Values), False)
    else:
        n = indptr[i + 1] - indptr[i]
        prefetch_bytes(indices + indptr[i], n * sizeof(Index), False)
        prefetch_bytes(values + indptr[i], n * sizeof(Values), False)
