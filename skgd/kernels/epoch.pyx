# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The hot loops: one epoch of gradient descent, in two kernels.

Design
------
Both kernels take the rows to visit (`order`), the number of rows a batch and one
step size an update, and apply to every batch B the update

    W <- soft_threshold(max(0, 1 - eta l2) W - eta R, eta l1)
    b <- b - eta r

where R and r are means over B of the slopes times the rows. They differ in how:

- The row kernel (`row_loop`, and `plain_loop` for its simplest case) goes row by row
  and adds each row to W directly. The decay by L2 is kept in one scalar
  (W = scale * V). On sparse rows, the L1 threshold and the running average are lazy
  too: a feature is brought up to date when a row holds it (see `catch_up`), so that
  an update costs nothing for features that are absent. Nothing lazy survives the
  epoch.
- The block kernel (`block_loop`) takes a batch as blocks of rows that stay in cache,
  sums the gradient over the blocks, of dense rows by the products of products.h, and
  then makes one dense update.

Storage and dtype of X are known here and nowhere else: `Rows` holds pointers, and
`Values` x `Index` are the only fused types. Everything but X is double.

W has K rows and p columns. Dense kernels walk along features and want W and the
averages C-ordered; sparse kernels walk along the K outputs of one feature and want
them Fortran-ordered: `Rows.order` says which.

Everything runs on the calling thread, so that sums do not depend on the number of
threads.
"""

from libc.math cimport copysign, fabs, fmax, fmin, sqrt
from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.string cimport memset

from skgd.objective.loss cimport Loss

import numpy as np

from skgd.objective.loss import SquaredError

cdef extern from *:
    """
    #include "products.h"
    """
    void prefetch "SKGD_PREFETCH"(const void* address) noexcept nogil
    void prefetch_near "SKGD_PREFETCH_NEAR"(const void* address) noexcept nogil
    double dot_float "skgd_dot_float"(
        const float* x, const double* w, Py_ssize_t n, const float* next) noexcept nogil
    double dot_double "skgd_dot_double"(
        const double* x, const double* w, Py_ssize_t n, const double* next
    ) noexcept nogil
    void add_float "skgd_add_float"(
        double* w, double factor, const float* x, Py_ssize_t n, const float* next
    ) noexcept nogil
    void add_double "skgd_add_double"(
        double* w, double factor, const double* x, Py_ssize_t n, const double* next
    ) noexcept nogil
    void scaled_add_float "skgd_scaled_add_float"(
        double* w, double factor, const double* scale, const float* x,
        Py_ssize_t n, const float* next) noexcept nogil
    void scaled_add_double "skgd_scaled_add_double"(
        double* w, double factor, const double* scale, const double* x,
        Py_ssize_t n, const double* next) noexcept nogil
    void add_squares_float "skgd_add_squares_float"(
        double* w, double factor, const float* x, const double* mean,
        Py_ssize_t n) noexcept nogil
    void add_squares_double "skgd_add_squares_double"(
        double* w, double factor, const double* x, const double* mean,
        Py_ssize_t n) noexcept nogil
    double norm_float "skgd_norm_float"(
        const float* x, double shift, const double* mean, const double* scale,
        Py_ssize_t n) noexcept nogil
    double norm_double "skgd_norm_double"(
        const double* x, double shift, const double* mean, const double* scale,
        Py_ssize_t n) noexcept nogil
    void mix_sparse "skgd_mix_sparse"(
        double* out, const double* w, const double* average, const double* seen,
        const double* ratio, const double* birth, double l2, double path, double past,
        double new, Py_ssize_t n) noexcept nogil
    int welford_float "skgd_welford_float"(
        const float* x, double weight, double total, double share, double noise,
        double* mean, double* square, double* left, double* row, double* scale,
        double* variance, Py_ssize_t n) noexcept nogil
    int welford_double "skgd_welford_double"(
        const double* x, double weight, double total, double share, double noise,
        double* mean, double* square, double* left, double* row, double* scale,
        double* variance, Py_ssize_t n) noexcept nogil
    void multiply_float "skgd_multiply_float"(
        const float** x, Py_ssize_t n_rows, Py_ssize_t n_ahead, Py_ssize_t n_features,
        const double* w, Py_ssize_t n_outputs, double* z) noexcept nogil
    void multiply_double "skgd_multiply_double"(
        const double** x, Py_ssize_t n_rows, Py_ssize_t n_ahead, Py_ssize_t n_features,
        const double* w, Py_ssize_t n_outputs, double* z) noexcept nogil
    void accumulate_float "skgd_accumulate_float"(
        const float** x, Py_ssize_t n_rows, Py_ssize_t n_ahead, Py_ssize_t n_features,
        const double* f, Py_ssize_t n_outputs, double* g) noexcept nogil
    void accumulate_double "skgd_accumulate_double"(
        const double** x, Py_ssize_t n_rows, Py_ssize_t n_ahead, Py_ssize_t n_features,
        const double* f, Py_ssize_t n_outputs, double* g) noexcept nogil

ctypedef fused Values:
    float
    double

ctypedef fused Index:
    int32_t
    int64_t

cdef enum:
    CACHE_LINE = 64         # bytes
    # Rows are prefetched twice: from memory into the second-level cache, and from there
    # into the first. Loads of a row would have to queue behind misses of later rows.
    ROWS_AHEAD = 24         # how far a row is prefetched before it is used,
    BYTES_AHEAD = 65536     # if the rows up to it are no more than this
    ROWS_NEAR = 4           # the same for the first-level cache
    BYTES_NEAR = 16384
    LINES_AHEAD = 32        # how many lines of a row; the hardware goes on from there
    LONG_ROW = 256          # features from which a row is prefetched line by line
    BATCH_AHEAD = 64        # largest batch prefetched while the one before is added
    COEFS_AHEAD = 4         # how far the coefficients of a sparse row are,
    COEFS_NEAR = 65536      # if there are more than this: few stay in cache anyway
    NEAR_VALUES = 4096      # values of X in a block, to stay in the first level,
    CACHED_VALUES = 16384   # but of long rows, so many share the moves of the gradient
    BLOCK_LONG_ROW = 64     # features from which the gradient's product prefetches
    PRODUCT_ROWS = 64       # in a block of `second_moments`

# W = scale * V is multiplied out when scale falls below this. A running average
# subtracts sums of scales, and loses as many digits as the scale has fallen.
cdef double MIN_SCALE = 1e-9
cdef double MIN_SCALE_AVERAGED = 1e-3


cdef class Rows:
    """The rows of X, read in place.

    Parameters
    ----------
    X : ndarray of float32 or float64, or CSR matrix or array of them
        Rows of a dense X must be contiguous, but may be apart from each other.
    """

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

    def __init__(self, X):
        self.n_rows, self.n_features = X.shape
        self.sparse = not isinstance(X, np.ndarray)
        if self.sparse:
            values, indices, indptr = X.data, X.indices, X.indptr
            wide = indices.dtype.itemsize == 8 or indptr.dtype.itemsize == 8
            index = np.int64 if wide else np.int32
            indices = np.ascontiguousarray(indices, dtype=index)
            indptr = np.ascontiguousarray(indptr, dtype=index)
            values = np.ascontiguousarray(values)
            self._check_indices(indices, indptr, values)
        else:
            values, indices, indptr, wide = X, None, None, False
            if X.strides[1] != X.itemsize or X.strides[0] % X.itemsize:
                values = np.ascontiguousarray(X)
            self.stride = values.strides[0] // values.itemsize
        self.single = values.dtype == np.float32
        self.wide_index = wide
        self.values = address(values)
        self.indices = address(indices)
        self.indptr = address(indptr)
        self.arrays = (values, indices, indptr)

    def _check_indices(self, indices, indptr, values):
        # An index out of range would write outside W, so malformed matrices are
        # turned away, which scipy does not do by itself. As unsigned numbers,
        # negative indices are large ones.
        n_stored = int(indptr[self.n_rows])
        if (
            indptr[0] != 0
            or n_stored > min(indices.size, values.size)
            or np.any(np.diff(indptr) < 0)
        ):
            raise ValueError("X is not a valid CSR matrix: indptr is inconsistent.")
        unsigned = indices[:n_stored].view(f"u{indices.itemsize}")
        if n_stored and unsigned.max() >= self.n_features:
            raise ValueError(
                "X is not a valid CSR matrix: column indices must be nonnegative and "
                f"less than {self.n_features}."
            )

    def shares_memory_with(self, array):
        """Whether one of the arrays read by the kernels is `array`, not a copy."""
        return any(a is not None and np.shares_memory(a, array) for a in self.arrays)

    @property
    def order(self):
        """Memory order in which the kernels want arrays of shape (K, p)."""
        return "F" if self.sparse else "C"

    @property
    def mean_stored(self):
        """Stored elements a row, on average."""
        if self.sparse:
            return self.arrays[2][self.n_rows] / max(self.n_rows, 1)
        return float(self.n_features)


cdef const void* address(array):
    if array is None:
        return NULL
    return <const void*> <uintptr_t> array.__array_interface__["data"][0]


# ----------------------------------------------------------- vectors and rows


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


# ------------------------------------------------------------ arguments, lazy


cdef struct Epoch:
    # Arguments of both kernels, as pointers.
    const Py_ssize_t* order
    const double* y             # in the order of visits, as is weight
    Py_ssize_t y_columns
    const double* weight        # NULL: all rows have weight 1
    Py_ssize_t n_order
    Py_ssize_t n_updates
    Py_ssize_t batch_size
    const double* steps
    Py_ssize_t steps_stride     # 0: one step size serves all updates
    double l1
    double l2
    bint fit_intercept
    Py_ssize_t n_features
    Py_ssize_t n_outputs
    double* coef
    double* intercept
    # Running sums of W and b over updates, from update `average_from` on.
    double* coef_sum            # NULL: no averaging
    double* intercept_sum
    Py_ssize_t average_from
    double* losses              # mean loss of each update's batch; NULL: not wanted
    # Of a pass over all rows (`batch_gradient`); NULL: none, or not wanted. The first
    # two are (n_order, K), the others (K,).
    const double* offset        # added to predictions
    double* all_z               # predictions, with the offset
    double* totals              # loss of each output
    double* exact_totals        # that of another loss, without the offset
    # Scratch: predictions and slopes of a batch, or of a block of it.
    double* z
    double* slopes


cdef inline void look_ahead(
    const Values* values, const Index* indices, const Index* indptr,
    Py_ssize_t stride, Py_ssize_t n_features, Epoch* e, Py_ssize_t t,
) noexcept nogil:
    """Prefetch the row of visit t, and what leads to the rows after it."""
    if indptr != NULL and t + ROWS_AHEAD < e.n_order:
        prefetch(indptr + e.order[t + ROWS_AHEAD])
    if t < e.n_order:
        prefetch_row(values, indices, indptr, stride, n_features, e.order[t])


cdef inline void look_near(
    const Values* values, Py_ssize_t stride, Epoch* e, Py_ssize_t t
) noexcept nogil:
    """Prefetch the dense row of visit t from the second-level cache."""
    cdef Py_ssize_t size = e.n_features * sizeof(Values)
    if t < e.n_order and size >= 3 * CACHE_LINE:
        prefetch_bytes(values + e.order[t] * stride, size, True)


cdef void look_at_coefs(
    const double* coef, Py_ssize_t width, const Index* indices, const Index* indptr,
    Epoch* e, Py_ssize_t t,
) noexcept nogil:
    """Prefetch what visit t needs of `coef`, `width` numbers a feature.

    Its row is there by now.
    """
    cdef Py_ssize_t i, j
    if t >= e.n_order:
        return
    i = e.order[t]
    if width * sizeof(double) > CACHE_LINE:
        for j in range(<Py_ssize_t> indptr[i], <Py_ssize_t> indptr[i + 1]):
            prefetch_bytes(coef + indices[j] * width, width * sizeof(double), False)
    else:
        for j in range(<Py_ssize_t> indptr[i], <Py_ssize_t> indptr[i + 1]):
            prefetch(coef + indices[j] * width)


cdef inline Py_ssize_t rows_within(
    Py_ssize_t most, Py_ssize_t room, Py_ssize_t row_bytes
) noexcept nogil:
    """How many rows fit into `room` bytes, two at least."""
    return max(2, min(most, room // max(row_bytes, 1)))


cdef struct Lazy:
    # What sparse features have missed. Sums over the updates since the last flush:
    # of thresholds (in units of V), of scales, and of scale * threshold sum; the
    # latter two over averaged updates only. Per feature, their values when it was
    # last brought up to date; per update, their values after it.
    double threshold
    double weight
    double moment
    double* threshold_seen      # (p,), NULL without L1
    double* weight_seen         # (p,), NULL without averaging
    double* moment_seen         # (p,), NULL unless both
    double* history             # (n_updates, 3), NULL unless both
    Py_ssize_t history_from     # first update since the last flush


cdef void catch_up(
    Lazy* lazy, double* v, double* v_sum, Py_ssize_t n_outputs, Py_ssize_t j,
    Py_ssize_t update,
) noexcept nogil:
    """Apply to the outputs of feature j what earlier updates owe it.

    While a feature is absent, |v| after update s is max(0, |v| - (U_s - U)): U_s
    is the threshold sum, U its value when the feature was last seen. So its
    iterates scale_s v_s sum up to A (|v| + U) - C until it reaches zero, with A and
    C the sums of scale_s and of scale_s U_s since then.
    """
    cdef Py_ssize_t k, low, high, middle
    cdef double u_seen = 0.0, a_seen = 0.0, c_seen = 0.0, a, c, size, missed = 0.0
    if lazy.threshold_seen != NULL:
        u_seen = lazy.threshold_seen[j]
        missed = lazy.threshold - u_seen
        lazy.threshold_seen[j] = lazy.threshold
    if lazy.weight_seen != NULL:
        a_seen = lazy.weight_seen[j]
        lazy.weight_seen[j] = lazy.weight
        if lazy.moment_seen != NULL:
            c_seen = lazy.moment_seen[j]
            lazy.moment_seen[j] = lazy.moment
        for k in range(n_outputs):
            size = fabs(v[k])
            if size == 0.0:
                continue
            a, c = lazy.weight, lazy.moment
            if missed >= size:
                # Zero was reached on the way: find the update, stop summing there.
                low, high = lazy.history_from, update
                while low < high:
                    middle = (low + high) // 2
                    if lazy.history[3 * middle] - u_seen >= size:
                        high = middle
                    else:
                        low = middle + 1
                if low == lazy.history_from:
                    a, c = 0.0, 0.0
                else:
                    a = lazy.history[3 * low - 2]
                    c = lazy.history[3 * low - 1]
            if a > a_seen:
                a -= a_seen
                c -= c_seen
                v_sum[k] += copysign(a * (size + u_seen) - c, v[k])
    if missed > 0.0:
        for k in range(n_outputs):
            v[k] = shrink(v[k], missed)


cdef void flush(Lazy* lazy, Epoch* e, double scale, bint sparse,
                Py_ssize_t update) noexcept nogil:
    """Bring every feature up to date and multiply the scale into W."""
    cdef Py_ssize_t j
    if sparse and (lazy.threshold_seen != NULL or lazy.weight_seen != NULL):
        for j in range(e.n_features):
            catch_up(lazy, e.coef + j * e.n_outputs, e.coef_sum + j * e.n_outputs,
                     e.n_outputs, j, update)
        lazy.threshold = lazy.weight = lazy.moment = 0.0
        lazy.history_from = update
        if lazy.threshold_seen != NULL:
            memset(lazy.threshold_seen, 0, e.n_features * sizeof(double))
        if lazy.weight_seen != NULL:
            memset(lazy.weight_seen, 0, e.n_features * sizeof(double))
        if lazy.moment_seen != NULL:
            memset(lazy.moment_seen, 0, e.n_features * sizeof(double))
    for j in range(e.n_features * e.n_outputs):
        e.coef[j] *= scale


cdef inline void predictions(Epoch* e, Py_ssize_t n_rows, double scale) noexcept nogil:
    """z = scale * z + b."""
    cdef Py_ssize_t r, k
    if e.n_outputs == 1:
        for r in range(n_rows):
            e.z[r] = scale * e.z[r] + e.intercept[0]
    else:
        for r in range(n_rows):
            for k in range(e.n_outputs):
                e.z[r * e.n_outputs + k] = (
                    scale * e.z[r * e.n_outputs + k] + e.intercept[k]
                )


cdef inline void add_rows(
    double* total, double factor, const double* rows, Py_ssize_t n_rows,
    Py_ssize_t n_outputs,
) noexcept nogil:
    """total += factor * (sum of rows)."""
    cdef Py_ssize_t r, k
    cdef double one = 0.0
    if n_outputs == 1:
        for r in range(n_rows):
            one += rows[r]
        total[0] += factor * one
    else:
        for r in range(n_rows):
            for k in range(n_outputs):
                total[k] += factor * rows[r * n_outputs + k]


cdef inline double slopes_at(
    Loss loss, Epoch* e, Py_ssize_t start, Py_ssize_t n_rows
) noexcept nogil:
    """Slopes at the visits from `start` on; returns their loss."""
    return loss.rows(e.y + start * e.y_columns, e.z,
                     e.weight + start if e.weight != NULL else NULL,
                     e.slopes, n_rows, e.n_outputs, e.totals)


cdef inline double slopes_of_pass(
    Loss loss, Loss exact, Epoch* e, Py_ssize_t start, Py_ssize_t n_rows
) noexcept nogil:
    """`slopes_at` with what else a pass over all rows may want."""
    cdef Py_ssize_t i
    cdef Py_ssize_t first = start * e.n_outputs, size = n_rows * e.n_outputs
    if e.exact_totals != NULL:
        exact.rows(e.y + start * e.y_columns, e.z,
                   e.weight + start if e.weight != NULL else NULL,
                   e.slopes, n_rows, e.n_outputs, e.exact_totals)
    if e.offset != NULL:
        for i in range(size):
            e.z[i] += e.offset[first + i]
    if e.all_z != NULL:
        for i in range(size):
            e.all_z[first + i] = e.z[i]
    return slopes_at(loss, e, start, n_rows)


# ------------------------------------------------------------------ row kernel


cdef double plain_loop(
    const Values* values, const Index* indices, const Index* indptr,
    Py_ssize_t stride, Loss loss, Epoch* e, Lazy* lazy,
) noexcept nogil:
    """`row_loop` for one row an update, one output and nothing that is lazy.

    Plain stochastic gradient descent spends more time on the bookkeeping of the
    general case than on a row of few features.
    """
    cdef bint sparse = indptr != NULL
    cdef bint far = sparse and e.n_features > COEFS_NEAR
    # The compiler can't know that writing to W leaves *e alone.
    cdef const Py_ssize_t* order = e.order
    cdef const double* y = e.y
    cdef const double* weight = e.weight
    cdef const double* steps = e.steps
    cdef Py_ssize_t n_order = e.n_order
    cdef Py_ssize_t n = e.n_features
    cdef Py_ssize_t t
    cdef bint fit_intercept = e.fit_intercept
    cdef double* coef = e.coef
    cdef double* losses = e.losses
    cdef double l2 = e.l2
    cdef double intercept = e.intercept[0]
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
        steps += e.steps_stride
        x = row_at(values, indices, indptr, stride, order[t], &columns, &n)
        if long_rows:
            next_row = values + order[min(t + lead, n_order - 1)] * stride
        else:
            look_ahead(values, indices, indptr, stride, n, e, t + lead)
        if far:
            look_at_coefs(coef, e.n_outputs, indices, indptr, e, t + COEFS_AHEAD)
        if sparse:
            row_dot(x, columns, n, coef, 1, &z)
        else:
            look_near(values, stride, e, t + near)
            z = dot(x, coef, n, next_row)
        z = scale * z + intercept
        scale *= 1.0 - eta * l2
        if scale < MIN_SCALE:
            flush(lazy, e, fmax(0.0, scale), sparse, t)
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

    e.intercept[0] = intercept
    flush(lazy, e, scale, sparse, n_order)
    return total


cdef double row_loop(
    const Values* values, const Index* indices, const Index* indptr,
    Py_ssize_t stride, Loss loss, Epoch* e, Lazy* lazy,
) noexcept nogil:
    cdef bint sparse = indptr != NULL
    cdef bint averaging = e.coef_sum != NULL
    cdef bint lazily = sparse and (averaging or e.l1 > 0.0)
    cdef bint far = sparse and e.n_features * e.n_outputs > COEFS_NEAR
    cdef double min_scale = MIN_SCALE_AVERAGED if averaging else MIN_SCALE
    # Batches of a few rows are read twice in a row. Rows are prefetched in both passes,
    # at half the pace, so that memory is never idle; lead is half a batch more then.
    cdef Py_ssize_t lead = 0
    if 1 < e.batch_size <= BATCH_AHEAD:
        lead = ROWS_AHEAD + e.batch_size // 2
    # The compiler can't know that writing to W leaves *e alone.
    cdef const Py_ssize_t* order = e.order
    cdef Py_ssize_t n_order = e.n_order
    cdef Py_ssize_t n_outputs = e.n_outputs
    cdef Py_ssize_t n = e.n_features
    cdef double l1 = e.l1
    cdef double l2 = e.l2
    cdef double* coef = e.coef
    cdef double* intercept = e.intercept
    cdef double* z = e.z
    cdef double* slopes = e.slopes
    cdef Py_ssize_t update, start, stop, t, i, j, k, r
    cdef double total = 0.0, scale = 1.0, value, eta, decay, factor, threshold
    cdef const Values* x = values
    cdef const Index* columns = NULL

    for update in range(e.n_updates):
        start = update * e.batch_size
        stop = min(start + e.batch_size, n_order)
        eta = e.steps[update * e.steps_stride]

        for t in range(start, stop):
            i = order[t]
            if lead == 0:
                look_ahead(values, indices, indptr, stride, n, e, t + ROWS_AHEAD)
            elif (t - start) % 2 == 0:
                look_ahead(values, indices, indptr, stride, n, e,
                           (start + t) // 2 + lead)
            if far:
                look_at_coefs(coef, e.n_outputs, indices, indptr, e, t + COEFS_AHEAD)
            x = row_at(values, indices, indptr, stride, i, &columns, &n)
            if lazily:
                for j in range(n):
                    catch_up(lazy, coef + columns[j] * n_outputs,
                             e.coef_sum + columns[j] * n_outputs, n_outputs,
                             columns[j], update)
            row_dot(x, columns, n, coef, n_outputs, z + (t - start) * n_outputs)
        predictions(e, stop - start, scale)
        value = slopes_at(loss, e, start, stop - start)
        total += value
        if e.losses != NULL:
            e.losses[update] = value / (stop - start)

        if l2 > 0.0:
            decay = 1.0 - eta * l2
            scale *= decay
            if scale < min_scale:
                flush(lazy, e, fmax(0.0, scale), sparse, update)
                scale = 1.0

        factor = -eta / (stop - start)
        if e.fit_intercept:
            add_rows(intercept, factor, slopes, stop - start, n_outputs)
        factor /= scale
        for r in range((stop - start) * n_outputs):
            slopes[r] *= factor
        for t in range(start, stop):
            if lead > 0 and (t - start) % 2 == 0:
                look_ahead(values, indices, indptr, stride, n, e,
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
            if update >= e.average_from:
                for k in range(n_outputs):
                    e.intercept_sum[k] += intercept[k]
                if sparse:
                    lazy.weight += scale
                    lazy.moment += scale * lazy.threshold
                else:
                    add(e.coef_sum, scale, coef, n_outputs * n, NULL)
            if lazy.history != NULL:
                lazy.history[3 * update] = lazy.threshold
                lazy.history[3 * update + 1] = lazy.weight
                lazy.history[3 * update + 2] = lazy.moment

    flush(lazy, e, scale, sparse, e.n_updates)
    return total


# ---------------------------------------------------------------- block kernel


cdef inline void multiply(
    const Values** x, Py_ssize_t n_rows, Py_ssize_t n_ahead, Epoch* e
) noexcept nogil:
    """Z = X W^T for dense rows."""
    if Values is float:
        multiply_float(x, n_rows, n_ahead, e.n_features, e.coef, e.n_outputs, e.z)
    else:
        multiply_double(x, n_rows, n_ahead, e.n_features, e.coef, e.n_outputs, e.z)


cdef inline void accumulate(
    const Values** x, Py_ssize_t n_rows, Py_ssize_t n_ahead, Epoch* e, double* gradient,
) noexcept nogil:
    """G += (slopes)^T X for dense rows."""
    if Values is float:
        accumulate_float(x, n_rows, n_ahead, e.n_features, e.slopes, e.n_outputs,
                         gradient)
    else:
        accumulate_double(x, n_rows, n_ahead, e.n_features, e.slopes, e.n_outputs,
                          gradient)


cdef double batch_gradient(
    const Values* values, const Index* indices, const Index* indptr,
    Py_ssize_t stride, Loss loss, Loss exact, Epoch* e, Py_ssize_t start,
    Py_ssize_t stop,
    Py_ssize_t block_size, const void** rows, double* gradient,
) noexcept nogil:
    """Sum of the gradients in W, then in b, over visits; returns their loss.

    The loss alone, if `gradient` is NULL.
    """
    cdef bint sparse = indptr != NULL
    cdef bint far = sparse and e.n_features * e.n_outputs > COEFS_NEAR
    cdef Py_ssize_t n_outputs = e.n_outputs
    cdef Py_ssize_t n_features = e.n_features
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
                i = e.order[t + r]
                if lead == 0:
                    look_ahead(values, indices, indptr, stride, n_features, e,
                               t + r + ROWS_AHEAD)
                elif r % 2 == 0:
                    look_ahead(values, indices, indptr, stride, n_features, e,
                               t + r // 2 + lead)
                if far:
                    look_at_coefs(e.coef, n_outputs, indices, indptr, e,
                                  t + r + COEFS_AHEAD)
                x = row_at(values, indices, indptr, stride, i, &columns, &n)
                row_dot(x, columns, n, e.coef, n_outputs, e.z + r * n_outputs)
        else:
            n_ahead = min(2 * m, e.n_order - t)
            for r in range(n_ahead):
                rows[r] = values + e.order[t + r] * stride
            multiply(<const Values**> rows, m, n_ahead if early else m, e)
        predictions(e, m, 1.0)
        total += slopes_of_pass(loss, exact, e, t, m)
        if gradient == NULL:
            t += m
            continue

        if sparse:
            for r in range(m):
                i = e.order[t + r]
                if lead > 0 and r % 2 == 0:
                    look_ahead(values, indices, indptr, stride, n_features, e,
                               t + (m + r) // 2 + lead)
                if far:
                    look_at_coefs(gradient, n_outputs, indices, indptr, e,
                                  t + r + COEFS_AHEAD)
                x = row_at(values, indices, indptr, stride, i, &columns, &n)
                row_add(gradient, n_outputs, e.slopes + r * n_outputs, x, columns, n)
        else:
            accumulate(<const Values**> rows, m, m if early else n_ahead, e, gradient)
        add_rows(intercept_gradient, 1.0, e.slopes, m, n_outputs)
        t += m
    return total


cdef double block_loop(
    const Values* values, const Index* indices, const Index* indptr,
    Py_ssize_t stride, Loss loss, Epoch* e, Py_ssize_t block_size,
    const void** rows, double* gradient,
) noexcept nogil:
    cdef Py_ssize_t n_outputs = e.n_outputs
    cdef Py_ssize_t n_features = e.n_features
    cdef Py_ssize_t update, start, stop, j, k
    cdef double total = 0.0, value, eta, decay, factor, threshold
    cdef double* intercept_gradient = gradient + n_outputs * n_features

    for update in range(e.n_updates):
        start = update * e.batch_size
        stop = min(start + e.batch_size, e.n_order)
        eta = e.steps[update * e.steps_stride]
        value = batch_gradient(values, indices, indptr, stride, loss, loss, e, start,
                               stop, block_size, rows, gradient)
        total += value
        if e.losses != NULL:
            e.losses[update] = value / (stop - start)

        decay = fmax(0.0, 1.0 - eta * e.l2)
        factor = eta / (stop - start)
        threshold = eta * e.l1
        for j in range(n_outputs * n_features):
            e.coef[j] = decay * e.coef[j] - factor * gradient[j]
        if e.l1 > 0.0:
            for j in range(n_outputs * n_features):
                e.coef[j] = shrink(e.coef[j], threshold)
        if e.fit_intercept:
            for k in range(n_outputs):
                e.intercept[k] -= factor * intercept_gradient[k]
        if e.coef_sum != NULL and update >= e.average_from:
            for j in range(n_outputs * n_features):
                e.coef_sum[j] += e.coef[j]
            for k in range(n_outputs):
                e.intercept_sum[k] += e.intercept[k]

    return total


# -------------------------------------------------------------- metric kernels
#
# Gradient descent in a metric of its own for each feature j,
#
#     W_j <- W_j - eta scale_j (R_j - mean_j r),    c <- c - eta r
#
# that is on features (x - mean) sqrt(scale), without ever making them. The intercept
# is that of centred features, c = b + W mean. A step is cut to loss / |gradient|^2
# of its batch. Penalties follow when the steps since the last time add up to more than
# `patience`: W_j <- prox(W_j), with that sum times scale_j as its step.

cdef struct Metric:
    const double* mean
    const double* scale
    const double* direction     # scale * mean
    const double* products      # see `row_products`
    double patience
    Py_ssize_t average_every
    double weight_sum           # of the iterates in the averages


cdef inline double step_of(
    Metric* metric, double eta, double loss, double norm
) noexcept nogil:
    """The step, at most the one to where the linearised loss is zero.

    Losses are nonnegative, and so a better model of them than a line: Asi and Duchi,
    "Stochastic (approximate) proximal point methods: convergence, optimality, and
    adaptivity", SIAM J. Optim. 29, 2019, section 2 (the truncated model).
    """
    return loss / norm if eta * norm > loss else eta


cdef inline double prox(double w, double step, Epoch* e) noexcept nogil:
    """Minimise |v - w|^2 / (2 step) + l1 |v| + l2/2 v^2."""
    if e.l1 > 0.0:
        w = shrink(w, step * e.l1)
    return w / (1.0 + step * e.l2)


cdef inline Py_ssize_t first_kept(Epoch* e, Metric* metric) noexcept nogil:
    """The first update whose result enters the averages; the last one is among them."""
    return (e.n_updates - 1) % metric.average_every


cdef inline double weight_of(
    Epoch* e, Metric* metric, Py_ssize_t update
) noexcept nogil:
    cdef double age = (update + 1.0) / e.n_updates
    metric.weight_sum += age * age * age
    return age * age * age


cdef inline void keep(Epoch* e, Metric* metric, Py_ssize_t update) noexcept nogil:
    cdef double weight = weight_of(e, metric, update)
    add(e.coef_sum, weight, e.coef, e.n_outputs * e.n_features, NULL)
    add(e.intercept_sum, weight, e.intercept, e.n_outputs, NULL)


cdef void penalise(Epoch* e, const double* scale, double path) noexcept nogil:
    """prox of dense W."""
    cdef Py_ssize_t j, k
    if e.l1 > 0.0 or e.l2 > 0.0:
        for k in range(e.n_outputs):
            for j in range(e.n_features):
                e.coef[k * e.n_features + j] = prox(
                    e.coef[k * e.n_features + j], path * scale[j], e
                )


cdef double metric_plain_loop(
    const Values* values, Py_ssize_t stride, Loss loss, Epoch* e, Metric* metric,
) noexcept nogil:
    """One dense row an update, one output.

    Rows are not centred: their part along `direction` is kept in one scalar, so that
    W = V - shift * direction.
    """
    cdef Py_ssize_t n = e.n_features
    cdef Py_ssize_t t, i
    cdef double total = 0.0, z, value, slope = 0.0, eta, path = 0.0, shift = 0.0
    cdef const double* scale = metric.scale
    cdef const Py_ssize_t* order = e.order
    cdef const double* y = e.y
    cdef const double* weight = e.weight
    cdef const double* products
    cdef double* coef = e.coef
    cdef bint fit_intercept = e.fit_intercept
    cdef double intercept = e.intercept[0]
    cdef double offset = intercept - dot(metric.mean, coef, n, NULL)
    # How the offset, -W mean, moves with V and with the shift.
    cdef double mean_norm = dot(metric.mean, metric.direction, n, NULL)
    cdef Py_ssize_t next_kept = first_kept(e, metric)
    cdef Py_ssize_t lead = rows_within(ROWS_AHEAD, BYTES_AHEAD, n * sizeof(Values))
    cdef Py_ssize_t near = rows_within(ROWS_NEAR, BYTES_NEAR, n * sizeof(Values))
    cdef bint long_rows = n >= LONG_ROW  # as in `plain_loop`
    cdef const Values* x
    cdef const Values* next_row = NULL

    for t in range(e.n_order):
        i = order[min(t + lead, e.n_order - 1)]
        prefetch(metric.products + 2 * i)
        if long_rows:
            next_row = values + i * stride
        else:
            prefetch_bytes(values + i * stride, n * sizeof(Values), False)
        look_near(values, stride, e, t + near)
        x = values + order[t] * stride
        products = metric.products + 2 * order[t]
        z = dot(x, coef, n, next_row) - shift * products[1] + offset
        value = loss.point(y[t], z, &slope)
        if weight != NULL:
            value *= weight[t]
            slope *= weight[t]
        total += value
        if e.losses != NULL:
            e.losses[t] = value
        eta = step_of(metric, e.steps[t * e.steps_stride], value,
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
        if path > metric.patience or t == next_kept:
            add(coef, -shift, metric.direction, n, NULL)
            shift = 0.0
            penalise(e, scale, path)
            path = 0.0
            offset = intercept - dot(metric.mean, coef, n, NULL)
            if t == next_kept:
                e.intercept[0] = intercept
                keep(e, metric, t)
                next_kept += metric.average_every
    return total


cdef double metric_block_loop(
    const Values* values, const Index* indices, const Index* indptr,
    Py_ssize_t stride, Loss loss, Epoch* e, Metric* metric, Py_ssize_t block_size,
    const void** rows, double* gradient,
) noexcept nogil:
    """Batches whose gradient is summed before W moves: any storage and outputs."""
    cdef bint sparse = indptr != NULL
    cdef Py_ssize_t n_outputs = e.n_outputs
    cdef Py_ssize_t n = e.n_features
    cdef Py_ssize_t update, start, stop, j, k
    cdef double total = 0.0, eta, value, factor, squares, path = 0.0
    cdef double* intercept_gradient = gradient + n_outputs * n
    cdef double* centred = e.intercept
    cdef Py_ssize_t next_kept = first_kept(e, metric)
    cdef const double* mean = metric.mean
    cdef const double* scale = metric.scale

    for update in range(e.n_updates):
        start = update * e.n_order // e.n_updates
        stop = (update + 1) * e.n_order // e.n_updates
        # Predictions are made with the intercept of features as they are.
        e.intercept = intercept_gradient + n_outputs
        for k in range(n_outputs):
            e.intercept[k] = centred[k]
            if not sparse:
                e.intercept[k] -= dot(mean, e.coef + k * n, n, NULL)
        value = batch_gradient(values, indices, indptr, stride, loss, loss, e, start,
                               stop, block_size, rows, gradient)
        e.intercept = centred
        total += value

        factor = 1.0 / (stop - start)
        if e.losses != NULL:
            e.losses[update] = value * factor
        squares = 0.0
        for k in range(n_outputs):
            if e.fit_intercept:
                squares += intercept_gradient[k] * intercept_gradient[k]
            if not sparse:
                squares += norm(<const double*> gradient + k * n, intercept_gradient[k],
                                mean, scale, n)
        if sparse:
            for j in range(n):
                for k in range(n_outputs):
                    squares += scale[j] * gradient[j * n_outputs + k] ** 2
        eta = step_of(metric, e.steps[update * e.steps_stride], value * factor,
                      squares * factor * factor)
        factor *= -eta
        if sparse:
            for j in range(n):
                for k in range(n_outputs):
                    e.coef[j * n_outputs + k] += (
                        factor * scale[j] * gradient[j * n_outputs + k]
                    )
        else:
            for k in range(n_outputs):
                scaled_add(e.coef + k * n, factor, scale,
                           <const double*> gradient + k * n, n, NULL)
                add(e.coef + k * n, -factor * intercept_gradient[k], metric.direction,
                    n, NULL)
        if e.fit_intercept:
            for k in range(n_outputs):
                e.intercept[k] += factor * intercept_gradient[k]
        path += eta
        if path > metric.patience or update == next_kept:
            if sparse:
                if e.l1 > 0.0 or e.l2 > 0.0:
                    for j in range(n):
                        for k in range(n_outputs):
                            e.coef[j * n_outputs + k] = prox(
                                e.coef[j * n_outputs + k], path * scale[j], e
                            )
            else:
                penalise(e, scale, path)
            path = 0.0
            if update == next_kept:
                keep(e, metric, update)
                next_kept += metric.average_every
    return total


# The sparse loop keeps what it needs of a feature next to each other, in a cell of
# doubles, so that a feature costs one miss of the cache: two floats in place of the
# first double, the K coefficients and, for batches of several rows, the last batch
# (from 1) that the feature was in and K gradients.

cdef inline float* scale_of(double* cell) noexcept nogil:
    return <float*> cell


cdef inline float* seen_in(double* cell) noexcept nogil:
    """Length of the path when the feature was last penalised."""
    return <float*> cell + 1


cdef inline Py_ssize_t penalise_cell(
    double* cell, Epoch* e, Py_ssize_t n_outputs, double path, double patience
) noexcept nogil:
    """prox of a feature's coefficients if it is due; whether it was."""
    cdef double late = path - seen_in(cell)[0]
    cdef double step, factor
    cdef Py_ssize_t k
    if late < patience:
        return 0
    seen_in(cell)[0] = <float> path
    step = scale_of(cell)[0] * late
    factor = 1.0 / (1.0 + step * e.l2)
    if e.l1 > 0.0:
        for k in range(1, 1 + n_outputs):
            cell[k] = shrink(cell[k], step * e.l1)
    for k in range(1, 1 + n_outputs):
        cell[k] *= factor
    return 1


cdef inline Py_ssize_t cell_dot(
    const Values* x, const Index* columns, Py_ssize_t n, double* cells,
    Py_ssize_t width, Epoch* e, double path, double patience, double* z,
    double* squares,
) noexcept nogil:
    """z = W x, and the sum of scale * x^2; how many features were due for a penalty."""
    cdef bint penalised = e.l1 > 0.0 or e.l2 > 0.0
    cdef Py_ssize_t n_outputs = e.n_outputs
    cdef Py_ssize_t n_due = 0, j = 0
    cdef double z0 = 0.0, z1 = 0.0, q0 = 0.0, q1 = 0.0
    cdef double* cell
    if n_outputs > 1:
        memset(z, 0, n_outputs * sizeof(double))
        for j in range(n):
            cell = cells + columns[j] * width
            if penalised:
                n_due += penalise_cell(cell, e, n_outputs, path, patience)
            add(z, x[j], cell + 1, n_outputs, NULL)
            q0 += x[j] * x[j] * scale_of(cell)[0]
        squares[0] = q0
        return n_due
    while j < n:
        cell = cells + columns[j] * width
        if penalised:
            n_due += penalise_cell(cell, e, 1, path, patience)
        z0 += x[j] * cell[1]
        q0 += x[j] * x[j] * scale_of(cell)[0]
        j += 1
        if j == n:
            break
        cell = cells + columns[j] * width
        if penalised:
            n_due += penalise_cell(cell, e, 1, path, patience)
        z1 += x[j] * cell[1]
        q1 += x[j] * x[j] * scale_of(cell)[0]
        j += 1
    z[0] = z0 + z1
    squares[0] = q0 + q1
    return n_due


cdef double metric_sparse_loop(
    const Values* values, const Index* indices, const Index* indptr, Loss loss,
    Epoch* e, Metric* metric, double* cells, Py_ssize_t width, int64_t* touched,
) noexcept nogil:
    """Batches that hold fewer values than there are features.

    Penalties are lazy: they are applied to features that a row holds. `touched` has
    room for the features of a batch, of which there may be p.
    """
    cdef bint penalised = e.l1 > 0.0 or e.l2 > 0.0
    cdef bint far = e.n_features * width > COEFS_NEAR
    cdef Py_ssize_t n_outputs = e.n_outputs
    cdef Py_ssize_t n = e.n_features
    cdef Py_ssize_t update, start, stop, t, i, j, k, r, n_touched
    cdef Py_ssize_t n_due = 0, n_values = 0
    cdef Py_ssize_t next_kept = first_kept(e, metric)
    cdef Py_ssize_t last = 1 + e.n_outputs
    cdef double total = 0.0, path = 0.0, eta, value, factor, squares, part, weight
    cdef double patience = metric.patience
    cdef double* cell
    cdef double* slopes
    cdef const Values* x = NULL
    cdef const Index* columns = NULL

    for j in range(e.n_features):
        cell = cells + j * width
        scale_of(cell)[0] = <float> metric.scale[j]
        for k in range(n_outputs):
            cell[1 + k] = e.coef[j * n_outputs + k]

    for update in range(e.n_updates):
        start = update * e.n_order // e.n_updates
        stop = (update + 1) * e.n_order // e.n_updates
        squares = 0.0
        for t in range(start, stop):
            i = e.order[t]
            look_ahead(values, indices, indptr, 0, n, e, t + ROWS_AHEAD)
            if far:
                look_at_coefs(cells, width, indices, indptr, e, t + COEFS_AHEAD)
            x = row_at(values, indices, indptr, 0, i, &columns, &n)
            n_due += cell_dot(x, columns, n, cells, width, e, path, patience,
                              e.z + (t - start) * n_outputs, &squares)
            n_values += n
        # A wrong guess whether a feature is due takes longer than to penalise it.
        if 8 * n_due > n_values * n_outputs:
            patience = 0.0
        predictions(e, stop - start, 1.0)
        value = slopes_at(loss, e, start, stop - start)
        total += value

        factor = 1.0 / (stop - start)
        if e.losses != NULL:
            e.losses[update] = value * factor
        n_touched = 0
        if stop - start == 1:
            part = 0.0
            for k in range(n_outputs):
                part += e.slopes[k] * e.slopes[k]
            squares = part * (squares + e.fit_intercept)
        else:
            squares = 0.0
            for t in range(start, stop):
                slopes = e.slopes + (t - start) * n_outputs
                x = row_at(values, indices, indptr, 0, e.order[t], &columns, &n)
                for j in range(n):
                    cell = cells + columns[j] * width
                    if cell[last] != update + 1:
                        cell[last] = update + 1
                        touched[n_touched] = columns[j]
                        n_touched += 1
                        for k in range(n_outputs):
                            cell[last + 1 + k] = 0.0
                    add_outputs(cell + last + 1, x[j], slopes, n_outputs)
            for r in range(n_touched):
                cell = cells + touched[r] * width
                for k in range(n_outputs):
                    squares += scale_of(cell)[0] * cell[last + 1 + k] ** 2
            if e.fit_intercept:
                for k in range(n_outputs):
                    part = 0.0
                    for t in range(stop - start):
                        part += e.slopes[t * n_outputs + k]
                    squares += part * part
        eta = step_of(metric, e.steps[update * e.steps_stride], value * factor,
                      squares * factor * factor)
        factor *= -eta

        if stop - start == 1:
            for j in range(n):
                cell = cells + columns[j] * width
                add_outputs(cell + 1, factor * scale_of(cell)[0] * x[j], e.slopes,
                            n_outputs)
        for r in range(n_touched):
            cell = cells + touched[r] * width
            for k in range(n_outputs):
                cell[1 + k] += factor * scale_of(cell)[0] * cell[last + 1 + k]
        if e.fit_intercept:
            add_rows(e.intercept, factor, e.slopes, stop - start, n_outputs)
        path += eta
        if update == next_kept:
            next_kept += metric.average_every
            weight = weight_of(e, metric, update)
            add(e.intercept_sum, weight, e.intercept, n_outputs, NULL)
            for j in range(e.n_features):
                cell = cells + j * width
                if penalised:
                    penalise_cell(cell, e, n_outputs, path, 0.0)
                    seen_in(cell)[0] = 0.0
                for k in range(n_outputs):
                    e.coef_sum[j * n_outputs + k] += weight * cell[1 + k]
            # From zero again, so that single precision is enough for `seen`.
            path = 0.0

    # The last update was kept, so that nothing is left to penalise.
    for j in range(e.n_features):
        for k in range(n_outputs):
            e.coef[j * n_outputs + k] = cells[j * width + 1 + k]
    return total


# ---------------------------------------------------------------- entry points


cdef double* pointer(double[::1] array) noexcept:
    return &array[0] if array is not None and array.shape[0] else NULL


cdef double[::1] flat(array):
    # A view on the memory, whichever its order: a copy would lose what is written.
    return None if array is None else array.reshape(-1, order="A")


cdef struct Scratch:
    # Memory of the kernels, and what of them to run.
    Py_ssize_t block_size
    const void** rows       # of a block and the next one
    double* gradient
    double* cells
    Py_ssize_t width
    int64_t* touched


cdef class Arguments:
    """Epoch and Scratch, checked and filled, and the arrays they point to."""

    cdef Epoch e
    cdef Scratch scratch
    cdef list arrays

    def __init__(self, Rows X, const Py_ssize_t[::1] order, const double[:, ::1] y,
                 const double[::1] weight, Py_ssize_t batch_size, coef,
                 double[::1] intercept, bint fit_intercept, coef_sum,
                 double[::1] intercept_sum, bint by_blocks):
        cdef Py_ssize_t n_outputs = intercept.shape[0]
        cdef Py_ssize_t n_rows = order.shape[0], most, n_blocks
        cdef double[::1] coef_flat, sum_flat, buffer
        cdef Epoch* e = &self.e
        for array in (coef, coef_sum):
            if array is not None and not (
                array.shape == (n_outputs, X.n_features)
                and array.flags["F_CONTIGUOUS" if X.sparse else "C_CONTIGUOUS"]
            ):
                raise ValueError(
                    f"W must be {X.order}-ordered, with the shape of b and X."
                )
        if y.shape[0] != n_rows or (weight is not None and weight.shape[0] != n_rows):
            raise ValueError("There must be a target and a weight for each visit.")
        coef_flat, sum_flat = flat(coef), flat(coef_sum)
        batch_size = max(1, min(batch_size, n_rows))

        self.scratch.block_size = batch_size
        if by_blocks:
            # Of equal size: a block prefetches as many rows as it has itself.
            most = rows_of_block(X)
            n_blocks = (batch_size + most - 1) // most
            self.scratch.block_size = (batch_size + n_blocks - 1) // n_blocks
        buffer = np.empty(2 * self.scratch.block_size * n_outputs)

        e.y = &y[0, 0]
        e.y_columns = y.shape[1]
        e.weight = &weight[0] if weight is not None else NULL
        e.order = &order[0]
        e.n_order = n_rows
        e.n_updates = (n_rows + batch_size - 1) // batch_size
        e.batch_size = batch_size
        e.fit_intercept = fit_intercept
        e.n_features = X.n_features
        e.n_outputs = n_outputs
        e.coef = &coef_flat[0]
        e.intercept = &intercept[0]
        e.coef_sum = pointer(sum_flat)
        e.intercept_sum = pointer(intercept_sum)
        e.z = &buffer[0]
        e.slopes = e.z + self.scratch.block_size * n_outputs
        self.arrays = [order, y, weight, coef_flat, intercept, sum_flat, intercept_sum,
                       buffer]

    def set_steps(self, const double[::1] steps, double l1, double l2,
                  double[::1] losses):
        if losses is not None and losses.shape[0] != self.e.n_updates:
            raise ValueError("There must be room for the loss of each update.")
        self.e.losses = pointer(losses)
        self.e.steps = &steps[0]
        self.e.steps_stride = 0 if steps.shape[0] == 1 else 1
        self.e.l1 = l1
        self.e.l2 = l2
        self.arrays += [steps, losses]

    cdef double* numbers(self, Py_ssize_t size):
        """Zeros that live as long as this object."""
        cdef double[::1] array = np.zeros(max(size, 1))
        self.arrays.append(array)
        return &array[0]

    cdef void add_blocks(self, Py_ssize_t n_gradient):
        """Room for blocks of rows, and for a gradient if `n_gradient` is not 0."""
        cdef Py_ssize_t[::1] rows = np.zeros(
            2 * self.scratch.block_size, dtype=np.intp)
        self.scratch.gradient = self.numbers(n_gradient) if n_gradient else NULL
        self.scratch.rows = <const void**> &rows[0]
        self.arrays.append(rows)


def run_epoch(
    Rows X,
    const Py_ssize_t[::1] order,
    const double[:, ::1] y,
    const double[::1] weight,
    Py_ssize_t batch_size,
    const double[::1] steps,
    double l1,
    double l2,
    Loss loss,
    coef,
    double[::1] intercept,
    bint fit_intercept,
    coef_sum=None,
    double[::1] intercept_sum=None,
    Py_ssize_t average_from=0,
    bint by_blocks=False,
    double[::1] losses=None,
):
    """One epoch of updates, in place.

    Parameters
    ----------
    X : Rows
    order : ndarray of intp
        Rows to visit.
    y : ndarray of shape (len(order), K) or (len(order), 1)
        Their targets, or class indices: y[t] belongs to row order[t] of X.
    weight : ndarray of shape (len(order),) or None
        Their weights.
    batch_size : int
        Rows an update.
    steps : ndarray of shape (ceil(len(order) / batch_size),) or (1,)
        Step size of each update, or of all.
    l1, l2 : float
        Strengths of the penalties l1 |W|_1 and l2/2 |W|_F^2.
    loss : Loss
    coef : ndarray of shape (K, p), in the memory order `X.order`
    intercept : ndarray of shape (K,)
    fit_intercept : bool
    coef_sum, intercept_sum : ndarray like coef and intercept, or None
        The iterates after each update from number `average_from` of this epoch on
        are added to them.
    by_blocks : bool
        Use the block kernel instead of the row kernel.
    losses : ndarray of shape (number of updates,) or None
        Filled with the mean over each batch of weight times loss, before its update.

    Returns
    -------
    float
        Sum over rows of weight times loss, each before the update it is part of.
    """
    cdef Arguments a
    cdef bint averaging = coef_sum is not None
    cdef Lazy lazy

    if order.shape[0] == 0:
        return 0.0
    a = Arguments(X, order, y, weight, batch_size, coef, intercept, fit_intercept,
                  coef_sum, intercept_sum, by_blocks)
    a.set_steps(steps, l1, l2, losses)
    a.e.average_from = average_from
    if by_blocks:
        a.add_blocks(intercept.shape[0] * (X.n_features + 1))
        return dispatch(X, loss, loss, &a.e, NULL, NULL, &a.scratch)
    memset(&lazy, 0, sizeof(Lazy))
    if X.sparse and l1 > 0.0:
        lazy.threshold_seen = a.numbers(X.n_features)
    if X.sparse and averaging:
        lazy.weight_seen = a.numbers(X.n_features)
    if X.sparse and averaging and l1 > 0.0:
        lazy.moment_seen = a.numbers(X.n_features)
        lazy.history = a.numbers(3 * a.e.n_updates)
    return dispatch(X, loss, loss, &a.e, &lazy, NULL, &a.scratch)


def run_metric_epoch(
    Rows X,
    const Py_ssize_t[::1] order,
    const double[:, ::1] y,
    const double[::1] weight,
    Py_ssize_t batch_size,
    const double[::1] steps,
    double l1,
    double l2,
    Loss loss,
    coef,
    double[::1] intercept,
    bint fit_intercept,
    const double[::1] mean,
    const double[::1] scale,
    coef_sum,
    double[::1] intercept_sum,
    double patience=0.0,
    Py_ssize_t average_every=1,
    const double[:, ::1] products=None,
    bint by_blocks=False,
    double[::1] losses=None,
):
    """One epoch of updates in the metric of features (x - mean) sqrt(scale).

    Batches differ in size by one row at most.

    Parameters
    ----------
    X, order, y, weight, batch_size, l1, l2, loss, coef, fit_intercept, by_blocks
        As in `run_epoch`.
    steps : ndarray of shape (ceil(len(order) / batch_size),) or (1,)
        Largest step size of each update, or of all. A step that would take the
        linearised loss of its batch below zero is cut.
    intercept : ndarray of shape (K,)
        Intercepts of centred features, b + W mean.
    mean, scale : ndarray of shape (p,)
        `mean` must be zero if X is sparse.
    patience : float
        Penalties are applied when steps add up to more than this, and to iterates in
        the averages.
    coef_sum, intercept_sum : ndarray like coef and intercept
        The iterates after the last update, and before it after each
        `average_every`-th, are added to them, weighted by (number of update /
        number of updates)^3.
    products : ndarray of shape (n, 2) or None
        What `row_products` returns. Needed for batches of one row of a dense X and
        one output.
    losses : ndarray of shape (number of updates,) or None
        As in `run_epoch`.

    Returns
    -------
    total : float
        Sum over rows of weight times loss, each before the update it is part of.
    weight_sum : float
        Sum of the weights of the iterates.
    """
    cdef Arguments a
    cdef Metric metric
    cdef double total
    cdef double[::1] direction
    cdef int64_t[::1] touched
    cdef Py_ssize_t n_values

    if not mean.shape[0] == scale.shape[0] == X.n_features:
        raise ValueError("There must be a mean and a scale for each feature.")
    a = Arguments(X, order, y, weight, batch_size, coef, intercept, fit_intercept,
                  coef_sum, intercept_sum, by_blocks)
    a.set_steps(steps, l1, l2, losses)
    n_values = intercept.shape[0] * X.n_features
    metric.mean = &mean[0]
    metric.scale = &scale[0]
    direction = np.multiply(mean, scale)
    metric.direction = &direction[0]
    metric.patience = patience
    metric.average_every = average_every
    metric.weight_sum = 0.0
    if X.sparse and not by_blocks:
        touched = np.empty(X.n_features, dtype=np.int64)
        a.scratch.touched = &touched[0]
        a.scratch.width = 1 + intercept.shape[0]
        if a.e.batch_size > 1:
            a.scratch.width += 1 + intercept.shape[0]
        a.scratch.cells = a.numbers(X.n_features * a.scratch.width)
    else:
        if a.e.batch_size == 1 and intercept.shape[0] == 1 and not X.sparse:
            if products is None or not products.shape[0] == X.n_rows:
                raise ValueError("There must be products for each row.")
            metric.products = &products[0, 0]
        a.add_blocks(n_values + 2 * intercept.shape[0])
    total = dispatch(X, loss, loss, &a.e, NULL, &metric, &a.scratch)
    return total, metric.weight_sum


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
        if X.single and X.wide_index:
            total = moments(
                <const float*> X.values, <const int64_t*> X.indices,
                <const int64_t*> X.indptr, X.stride, r, w, n, p, a, b, c, d)
        elif X.single:
            total = moments(
                <const float*> X.values, <const int32_t*> X.indices,
                <const int32_t*> X.indptr, X.stride, r, w, n, p, a, b, c, d)
        elif X.wide_index:
            total = moments(
                <const double*> X.values, <const int64_t*> X.indices,
                <const int64_t*> X.indptr, X.stride, r, w, n, p, a, b, c, d)
        else:
            total = moments(
                <const double*> X.values, <const int32_t*> X.indices,
                <const int32_t*> X.indptr, X.stride, r, w, n, p, a, b, c, d)
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
        if X.single and X.wide_index:
            sum_products(
                <const float*> X.values, <const int64_t*> X.indices,
                <const int64_t*> X.indptr, X.stride, i, w, n, p, a, b, fit_intercept,
                s, starts, o)
        elif X.single:
            sum_products(
                <const float*> X.values, <const int32_t*> X.indices,
                <const int32_t*> X.indptr, X.stride, i, w, n, p, a, b, fit_intercept,
                s, starts, o)
        elif X.wide_index:
            sum_products(
                <const double*> X.values, <const int64_t*> X.indices,
                <const int64_t*> X.indptr, X.stride, i, w, n, p, a, b, fit_intercept,
                s, starts, o)
        else:
            sum_products(
                <const double*> X.values, <const int32_t*> X.indices,
                <const int32_t*> X.indptr, X.stride, i, w, n, p, a, b, fit_intercept,
                s, starts, o)
    return np.asarray(out)


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


def loss_at(
    Rows X,
    const Py_ssize_t[::1] order,
    const double[:, ::1] y,
    const double[::1] weight,
    Loss loss,
    coef,
    double[::1] intercept,
):
    """Sum over rows of weight times loss. Parameters as in `run_epoch`."""
    cdef Arguments a
    a = Arguments(X, order, y, weight, order.shape[0], coef, intercept, True, None,
                  None, True)
    a.add_blocks(0)
    a.e.n_updates = 0
    return dispatch(X, loss, loss, &a.e, NULL, NULL, &a.scratch)


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
        As in `run_epoch`.
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
    cdef Arguments a
    cdef double[::1] gradient, totals, exact_totals
    cdef Py_ssize_t n_values = coef.size, n_outputs = intercept.shape[0]
    a = Arguments(X, order, y, weight, order.shape[0], coef, intercept, True, None,
                  None, True)
    out = np.empty(n_values + n_outputs)
    sums = np.zeros((2, n_outputs))
    gradient, totals, exact_totals = out, sums[0], sums[1]
    a.add_blocks(0)
    a.scratch.gradient = &gradient[0]
    a.e.n_updates = 0
    a.e.totals = &totals[0]
    if offset is not None:
        check_shape(offset, order.shape[0], n_outputs)
        a.e.offset = &offset[0, 0]
    if z is not None:
        check_shape(z, order.shape[0], n_outputs)
        a.e.all_z = &z[0, 0]
    if exact is not None:
        a.e.exact_totals = &exact_totals[0]
    dispatch(X, loss, loss if exact is None else exact, &a.e, NULL, NULL, &a.scratch)
    return (
        sums[0],
        out[:n_values].reshape(coef.shape, order=X.order),
        out[n_values:],
        sums[0 if exact is None else 1],
    )


def predictions_at(Rows X, const Py_ssize_t[::1] order, coef, double[::1] intercept):
    """Linear predictions of rows, (len(order), K)."""
    cdef Arguments a
    cdef double[:, ::1] z = np.empty((order.shape[0], intercept.shape[0]))
    a = Arguments(X, order, np.zeros_like(z), None, order.shape[0], coef, intercept,
                  True, None, None, True)
    a.add_blocks(0)
    a.e.n_updates = 0
    a.e.all_z = &z[0, 0]
    dispatch(X, SquaredError(), SquaredError(), &a.e, NULL, NULL, &a.scratch)
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
    cdef double[::1] slopes = np.empty(z.shape[1])
    cdef double[::1] totals = np.zeros(z.shape[1])
    cdef Py_ssize_t stride = 0 if z.shape[0] == 1 else 1
    cdef Py_ssize_t i
    with nogil:
        for i in range(y.shape[0]):
            loss.rows(&y[i, 0], &z[stride * i, 0],
                      &weight[i] if weight is not None else NULL,
                      &slopes[0], 1, z.shape[1], &totals[0])
    return np.asarray(totals)


cdef double dispatch(
    Rows X, Loss loss, Loss exact, Epoch* e, Lazy* lazy, Metric* metric,
    Scratch* scratch,
) noexcept:
    with nogil:
        if X.single and X.wide_index:
            return typed(<const float*> X.values, <const int64_t*> X.indices, X, loss,
                         exact, e, lazy, metric, scratch)
        if X.single:
            return typed(<const float*> X.values, <const int32_t*> X.indices, X, loss,
                         exact, e, lazy, metric, scratch)
        if X.wide_index:
            return typed(<const double*> X.values, <const int64_t*> X.indices, X, loss,
                         exact, e, lazy, metric, scratch)
        return typed(<const double*> X.values, <const int32_t*> X.indices, X, loss,
                     exact, e, lazy, metric, scratch)


cdef double typed(
    const Values* values, const Index* indices, Rows X, Loss loss, Loss exact,
    Epoch* e, Lazy* lazy, Metric* metric, Scratch* scratch,
) noexcept nogil:
    cdef const Index* indptr = <const Index*> X.indptr
    cdef bint simple = e.batch_size == 1 and e.n_outputs == 1
    if e.n_updates == 0:
        return batch_gradient(values, indices, indptr, X.stride, loss, exact, e, 0,
                              e.n_order, scratch.block_size, scratch.rows,
                              scratch.gradient)
    if metric != NULL and scratch.touched != NULL:
        return metric_sparse_loop(values, indices, indptr, loss, e, metric,
                                  scratch.cells, scratch.width, scratch.touched)
    if metric != NULL and simple and not X.sparse:
        return metric_plain_loop(values, X.stride, loss, e, metric)
    if metric != NULL:
        return metric_block_loop(values, indices, indptr, X.stride, loss, e, metric,
                                 scratch.block_size, scratch.rows,
                                 scratch.gradient)
    if lazy != NULL and simple and e.l1 == 0.0 and e.coef_sum == NULL:
        return plain_loop(values, indices, indptr, X.stride, loss, e, lazy)
    if lazy != NULL:
        return row_loop(values, indices, indptr, X.stride, loss, e, lazy)
    return block_loop(values, indices, indptr, X.stride, loss, e, scratch.block_size,
                      scratch.rows, scratch.gradient)


cdef Py_ssize_t rows_of_block(Rows X):
    cdef double stored = max(X.mean_stored, 1.0)
    if X.sparse:
        return max(1, min(1024, int(CACHED_VALUES / stored)))
    # Twenty rows at least, if that is not too much for the second level.
    return max(1, int(NEAR_VALUES / stored), min(20, int(CACHED_VALUES / stored)))


# --------------------------------------------------------------------- streams
#
# Rows learnt one by one, each in the metric of the rows so far, with steps of DoG:
# "distance over gradients" (Ivgi, Hinder and Carmon, "DoG is SGD's best friend", ICML
# 2023, equation 1), the largest norm of W so far over the root of the sum of squared
# gradients. Everything that goes on from row to row is in the state, so that chunks
# make no difference. Sums weigh the latest row by `now`, which grows if rows are to be
# forgotten.

cdef struct Stream:
    Py_ssize_t n_features
    Py_ssize_t n_outputs
    double l1
    double l2
    bint fit_intercept
    bint centred
    bint coupled
    bint residual           # a loss of residuals, whose intercept is learnt apart
    bint frozen             # only the sums are taken
    double noise            # relative size of rounding errors of X
    double growth           # of `now`, per row
    double* scalars         # see the enum below
    # Of the features: means, sums of squares about them (of sparse X, about zero) and,
    # of sparse X, weights of the rows that hold them, and the root of these over the
    # squares: times the root of all weights, it is the scale of the feature.
    double* mean
    double* square
    double* stored
    double* ratio
    double root
    # W, and the intercepts of centred features.
    double* coef
    double* intercept
    # Of each output, or in the first place of coupled ones: the largest norm of W, sums
    # of squared gradients and of losses; of each, sums of squared slopes.
    double* distance
    double* squares
    double* losses
    double* slopes
    # The average of W and of the intercepts, at the means of then, and the sum of
    # weights in it at which a feature began; with L1, the mean of signs.
    double* coef_mean
    double* intercept_mean
    double* mean_then
    double* birth
    double* sign_mean
    # Of sparse X: the path of steps, and how far each coefficient was penalised; the
    # squared norm of W.
    double* path
    double* seen
    double* norms
    # Room of a row.
    double* moved
    double* row
    double* scale
    double* variance
    double* kept
    double* z
    double* other
    double* g
    double* v
    double* step

cpdef enum:
    # What `scalars` of a state are, for optim/streaming.py as well.
    WEIGHT = 0              # sums of weights and of rows
    N_ROWS = 1
    PAST = 2                # sums of rows in the average, and since; values since
    PENDING = 3
    DUE = 4
    NOW = 5                 # weight of the latest row in the sums
    N_SCALARS = 6
    AVERAGE_VALUES = 64     # values for each feature between two of sparse X,
    FIRST_SPARSE = 16       # from this many rows on

cdef enum:
    AVERAGE_ROWS = 8        # rows between two averages of dense X,
    FIRST_ROWS = 256        # from this many on

# The k-th iterate weighs about k^2 in the average; with 1: 0.17 % above the optimum, 2:
# 0.22, 4: 0.38, but the progressive loss falls with it (medians over 8 designs).
cdef double AVERAGE_POWER = 3.0
POWER = AVERAGE_POWER
# Sums are divided by `now` when it is that large.
cdef double LARGEST_NOW = 1e60
LARGEST = LARGEST_NOW


cdef inline double stream_step(
    Stream* s, Py_ssize_t k, double squares, double value
) noexcept nogil:
    """Step size of output k for a gradient of this squared norm.

    A row weighs at most what all before it do. The distance is at least that at which
    the linearised loss of a usual row is zero, and the step at most that of this row.
    """
    cdef double now = s.scalars[NOW]
    cdef double clip = 1.0, step
    if not squares > 0.0:
        return 0.0
    if s.squares[k] > 0.0 and now * squares > s.squares[k]:
        clip = sqrt(s.squares[k] / (now * squares))
    s.squares[k] += now * squares * clip * clip
    if s.frozen:
        return 0.0
    step = fmax(s.distance[k], s.losses[k] / sqrt(s.scalars[N_ROWS] * s.squares[k]))
    step *= clip / sqrt(s.squares[k] / now)
    return step if step * squares <= value else value / squares


cdef inline double stream_loss(
    Loss loss, Stream* s, const double* y, const double* z, double w
) noexcept nogil:
    """Loss of a row of weight w at predictions z, in `v` that of each output."""
    cdef double total = 0.0
    cdef Py_ssize_t k
    for k in range(s.n_outputs):
        s.v[k] = 0.0
    loss.rows(y, z, &w, s.g, 1, s.n_outputs, s.v)
    for k in range(s.n_outputs):
        total += s.v[k]
    return total


cdef inline bint stream_may_forget(Stream* s) noexcept nogil:
    """Whether a feature may begin anew: not in a model of rows that were not seen."""
    return (
        s.scalars[N_ROWS] > s.scalars[NOW]
        and s.scalars[PAST] <= AVERAGE_POWER * s.scalars[N_ROWS]
    )


cdef inline bint stream_forgets(Loss loss, Stream* s, const double* y) noexcept nogil:
    """Whether features begin anew: early on; later and after a fit, if it fits the row.

    That an outlier doubles a sum of squares is nothing against what many rows taught.
    """
    cdef double rows = s.scalars[N_ROWS]
    return (
        (rows <= FIRST_ROWS * s.scalars[NOW] and s.scalars[PAST] <= rows)
        or not stream_loss(loss, s, y, s.other, 1.0) > stream_loss(loss, s, y, s.z, 1.0)
    )


cdef inline void stream_begin_anew(
    Stream* s, Py_ssize_t j, double kept
) noexcept nogil:
    """Keep this part of the coefficients of a feature, and of their average."""
    cdef Py_ssize_t k, cell
    for k in range(s.n_outputs):
        cell = k * s.n_features + j if s.stored == NULL else j * s.n_outputs + k
        s.coef[cell] *= kept
        s.coef_mean[cell] *= kept
    s.birth[j] += (1.0 - kept) * (s.scalars[PAST] - s.birth[j])


cdef inline void stream_intercepts(Stream* s) noexcept nogil:
    """Newton's steps for a loss of residuals, by the curvature of a secant."""
    cdef Py_ssize_t k
    cdef double g, step, rows = s.scalars[N_ROWS] / s.scalars[NOW]
    for k in range(s.n_outputs):
        g = s.g[k]
        if g != 0.0 and s.slopes[k] > 0.0 and not s.frozen:
            step = 4.0 * s.losses[k] / (s.slopes[k] * rows)
            if step * g * g > s.v[k]:
                step = s.v[k] / (g * g)
            s.intercept[k] -= step * g


cdef inline double stream_learn(
    Loss loss, Stream* s, const double* y, double w, double q, double own
) noexcept nogil:
    """Loss of a row at `z`; slopes and steps of the outputs, and their intercepts.

    `q` is the squared norm of the row. Of a loss that is not one of residuals, the
    intercept is one more coefficient, the scale of which is `own`.
    """
    cdef Py_ssize_t k
    cdef double now = s.scalars[NOW], total, v, square, squares = 0.0
    total = stream_loss(loss, s, y, s.z, w)
    for k in range(s.n_outputs):
        square = s.g[k] * s.g[k]
        squares += square
        # An outlier counts at most what all before it do.
        v, square = now * s.v[k], now * square
        if not s.frozen and s.losses[k] > 0.0:
            v = fmin(v, s.losses[k])
        if not s.frozen and s.slopes[k] > 0.0:
            square = fmin(square, s.slopes[k])
        s.losses[k] += v
        s.slopes[k] += square
    if s.fit_intercept and s.residual:
        stream_intercepts(s)
    if s.residual or not s.fit_intercept:
        own = 0.0
    for k in range(s.n_outputs):
        if s.coupled and k > 0:
            s.step[k] = s.step[0]
        elif s.coupled:
            s.step[0] = stream_step(s, 0, squares * (q + own), total)
        else:
            s.step[k] = stream_step(s, k, s.g[k] * s.g[k] * (q + own), s.v[k])
        if s.step[k] != 0.0:
            s.intercept[k] -= s.step[k] * s.g[k] * own
    return total


cdef void stream_average(Stream* s) noexcept nogil:
    """Mix the present model into the average."""
    cdef Py_ssize_t n = s.n_features, K = s.n_outputs, j, k
    cdef bint sparse = s.stored != NULL
    cdef Py_ssize_t of_output = 1 if sparse else n
    cdef Py_ssize_t of_feature = K if sparse else 1
    cdef double* past = &s.scalars[PAST]
    cdef double new = AVERAGE_POWER * s.scalars[PENDING]
    cdef double share = new / (past[0] + new)
    cdef double own, sign
    cdef double* w
    cdef double* a
    if s.centred:
        for j in range(n):
            s.moved[j] = s.mean[j] - s.mean_then[j]
            s.mean_then[j] = s.mean[j]
        for k in range(K):
            s.intercept_mean[k] += dot(
                <const double*> s.moved, s.coef_mean + k * n, n, NULL
            )
    for k in range(K):
        s.intercept_mean[k] += share * (s.intercept[k] - s.intercept_mean[k])
        w = s.coef + k * of_output
        a = s.coef_mean + k * of_output
        for j in range(n):
            own = share
            if s.birth[j] > 0.0:
                own = new / (past[0] - s.birth[j] + new)
            a[j * of_feature] += own * (w[j * of_feature] - a[j * of_feature])
    if s.l1 > 0.0:
        for j in range(n * K):
            sign = 1.0 if s.coef[j] > 0.0 else (-1.0 if s.coef[j] < 0.0 else 0.0)
            s.sign_mean[j] += share * (sign - s.sign_mean[j])
    past[0] += s.scalars[PENDING]
    s.scalars[PENDING] = 0.0


cdef inline void stream_next(Stream* s, double w) noexcept nogil:
    """Count a row, the weight of which is w."""
    cdef Py_ssize_t j, k
    cdef double now
    if s.growth > 1.0 and not s.frozen:
        # What is past weighs less than what comes, in the average as well.
        s.scalars[NOW] *= s.growth
        now = s.scalars[NOW]
        if now > LARGEST_NOW:
            for j in range(s.n_features):
                s.square[j] /= now
                s.birth[j] /= now
                if s.stored != NULL:
                    s.stored[j] /= now
                    s.ratio[j] *= sqrt(now)
            for k in range(s.n_outputs):
                s.squares[k] /= now
                s.losses[k] /= now
                s.slopes[k] /= now
            s.scalars[WEIGHT] /= now
            s.scalars[N_ROWS] /= now
            s.scalars[PAST] /= now
            s.scalars[PENDING] /= now
            s.scalars[NOW] = 1.0
    s.scalars[N_ROWS] += s.scalars[NOW]
    s.scalars[WEIGHT] += w * s.scalars[NOW]
    s.root = sqrt(s.scalars[WEIGHT])


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


cdef inline double sparse_scale(Stream* s, Py_ssize_t j) noexcept nogil:
    return s.ratio[j] * s.root


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
        As in `run_epoch`.
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
        if X.sparse and X.single and X.wide_index:
            total = stream_sparse(
                <const float*> X.values, <const int64_t*> X.indices,
                <const int64_t*> X.indptr, rows, m, target, columns, w, loss, &s, out)
        elif X.sparse and X.single:
            total = stream_sparse(
                <const float*> X.values, <const int32_t*> X.indices,
                <const int32_t*> X.indptr, rows, m, target, columns, w, loss, &s, out)
        elif X.sparse and X.wide_index:
            total = stream_sparse(
                <const double*> X.values, <const int64_t*> X.indices,
                <const int64_t*> X.indptr, rows, m, target, columns, w, loss, &s, out)
        elif X.sparse:
            total = stream_sparse(
                <const double*> X.values, <const int32_t*> X.indices,
                <const int32_t*> X.indptr, rows, m, target, columns, w, loss, &s, out)
        elif X.single:
            total = stream_dense(<const float*> X.values, X.stride, rows, m, target,
                                 columns, w, loss, &s, out)
        else:
            total = stream_dense(<const double*> X.values, X.stride, rows, m, target,
                                 columns, w, loss, &s, out)
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
