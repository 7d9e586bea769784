# What all loops over rows share: arguments as pointers, prefetching, and predictions.

from libc.stdint cimport int64_t

from skgd.kernels.products cimport prefetch
from skgd.kernels.rows cimport (
    CACHE_LINE, Index, Rows, Values, prefetch_bytes, prefetch_row,
)
from skgd.objective.loss cimport Loss

cdef enum:
    # Rows are prefetched twice: from memory into the second-level cache, and from there
    # into the first. Loads of a row would have to queue behind misses of later rows.
    ROWS_AHEAD = 24         # how far a row is prefetched before it is used,
    BYTES_AHEAD = 65536     # if the rows up to it are no more than this
    ROWS_NEAR = 4           # the same for the first-level cache
    BYTES_NEAR = 16384
    LONG_ROW = 256          # features from which a row is prefetched line by line
    BATCH_AHEAD = 64        # largest batch prefetched while the one before is added
    COEFS_AHEAD = 4         # how far the coefficients of a sparse row are,
    COEFS_NEAR = 65536      # if there are more than this: few stay in cache anyway


cdef struct Pass:
    # Arguments of the loops, as pointers.
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
    double* coef_velocity       # NULL: no momentum
    double* intercept_velocity
    double momentum
    bint nesterovs
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


cdef struct Buffers:
    # Memory of the loops.
    Py_ssize_t block_size
    const void** rows       # of a block and the next one
    double* gradient
    double* cells
    Py_ssize_t width
    int64_t* touched


cdef class Arguments:
    cdef Pass p
    cdef Buffers buffers
    cdef Rows X
    cdef list arrays

    cdef visit(self, order, y, weight)
    cdef model(self, coef, intercept, coef_sum, intercept_sum, coef_velocity=*,
               intercept_velocity=*)
    cdef double* numbers(self, Py_ssize_t size)


cdef double* pointer(double[::1] array) noexcept
cdef double[::1] flat(array)


cdef inline void look_ahead(
    const Values* values, const Index* indices, const Index* indptr,
    Py_ssize_t stride, Py_ssize_t n_features, Pass* p, Py_ssize_t t,
) noexcept nogil:
    """Prefetch the row of visit t, and what leads to the rows after it."""
    if indptr != NULL and t + ROWS_AHEAD < p.n_order:
        prefetch(indptr + p.order[t + ROWS_AHEAD])
    if t < p.n_order:
        prefetch_row(values, indices, indptr, stride, n_features, p.order[t])


cdef inline void look_near(
    const Values* values, Py_ssize_t stride, Pass* p, Py_ssize_t t
) noexcept nogil:
    """Prefetch the dense row of visit t from the second-level cache."""
    cdef Py_ssize_t size = p.n_features * sizeof(Values)
    if t < p.n_order and size >= 3 * CACHE_LINE:
        prefetch_bytes(values + p.order[t] * stride, size, True)


cdef inline void look_at_coefs(
    const double* coef, Py_ssize_t width, const Index* indices, const Index* indptr,
    Pass* p, Py_ssize_t t,
) noexcept nogil:
    """Prefetch what visit t needs of `coef`, `width` numbers per feature.

    Its row is there by now.
    """
    cdef Py_ssize_t i, j
    if t >= p.n_order:
        return
    i = p.order[t]
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


cdef inline void predictions(Pass* p, Py_ssize_t n_rows, double scale) noexcept nogil:
    """z = scale * z + b."""
    cdef Py_ssize_t r, k
    if p.n_outputs == 1:
        for r in range(n_rows):
            p.z[r] = scale * p.z[r] + p.intercept[0]
    else:
        for r in range(n_rows):
            for k in range(p.n_outputs):
                p.z[r * p.n_outputs + k] = (
                    scale * p.z[r * p.n_outputs + k] + p.intercept[k]
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
    Loss loss, Pass* p, Py_ssize_t start, Py_ssize_t n_rows
) noexcept nogil:
    """Slopes at the visits from `start` on; returns their loss."""
    return loss.rows(p.y + start * p.y_columns, p.z,
                     p.weight + start if p.weight != NULL else NULL,
                     p.slopes, n_rows, p.n_outputs, p.totals)
