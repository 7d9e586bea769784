# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Updates in a metric by sparse batches that hold fewer values than there are features.

The loop keeps what it needs of a feature next to each other, in a cell of doubles, so
that a feature costs one miss of the cache: two floats in place of the first double, the
K coefficients and, for batches of several rows, the last batch (from 1) that the
feature was in and K gradients.
"""

from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from skgd.kernels.metric cimport Metric, first_kept, step_of, weight_of
from skgd.kernels.passes cimport (
    COEFS_AHEAD, COEFS_NEAR, ROWS_AHEAD, Buffers, Pass, add_rows, look_ahead,
    look_at_coefs, predictions, slopes_at,
)
from skgd.kernels.rows cimport Index, Rows, Values, add, add_outputs, row_at, shrink
from skgd.objective.loss cimport Loss


cdef inline double scale_of(const double* cell) noexcept nogil:
    """The scale of a feature; its root is what is kept, in single precision."""
    cdef double root = (<const float*> cell)[0]
    return root * root


cdef inline float* seen_in(double* cell) noexcept nogil:
    """Length of the path when the feature was last penalised."""
    return <float*> cell + 1


cdef inline Py_ssize_t penalise_cell(
    double* cell, Pass* p, Py_ssize_t n_outputs, double path, double lazy_budget
) noexcept nogil:
    """prox of a feature's coefficients if it is due; whether it was."""
    cdef double late = path - seen_in(cell)[0]
    cdef double step, factor
    cdef Py_ssize_t k
    if late < lazy_budget:
        return 0
    seen_in(cell)[0] = <float> path
    step = scale_of(cell) * late
    factor = 1.0 / (1.0 + step * p.l2)
    if p.l1 > 0.0:
        for k in range(1, 1 + n_outputs):
            cell[k] = shrink(cell[k], step * p.l1)
    for k in range(1, 1 + n_outputs):
        cell[k] *= factor
    return 1


cdef inline Py_ssize_t cell_dot(
    const Values* x, const Index* columns, Py_ssize_t n, double* cells,
    Py_ssize_t width, Pass* p, double path, double lazy_budget, double* z,
    double* squares,
) noexcept nogil:
    """z = W x, and the sum of scale * x^2; how many features were due for a penalty."""
    cdef bint penalised = p.l1 > 0.0 or p.l2 > 0.0
    cdef Py_ssize_t n_outputs = p.n_outputs
    cdef Py_ssize_t n_due = 0, j = 0
    cdef double z0 = 0.0, z1 = 0.0, q0 = 0.0, q1 = 0.0
    cdef double* cell
    if n_outputs > 1:
        memset(z, 0, n_outputs * sizeof(double))
        for j in range(n):
            cell = cells + columns[j] * width
            if penalised:
                n_due += penalise_cell(cell, p, n_outputs, path, lazy_budget)
            add(z, x[j], cell + 1, n_outputs, NULL)
            q0 += x[j] * x[j] * scale_of(cell)
        squares[0] = q0
        return n_due
    while j < n:
        cell = cells + columns[j] * width
        if penalised:
            n_due += penalise_cell(cell, p, 1, path, lazy_budget)
        z0 += x[j] * cell[1]
        q0 += x[j] * x[j] * scale_of(cell)
        j += 1
        if j == n:
            break
        cell = cells + columns[j] * width
        if penalised:
            n_due += penalise_cell(cell, p, 1, path, lazy_budget)
        z1 += x[j] * cell[1]
        q1 += x[j] * x[j] * scale_of(cell)
        j += 1
    z[0] = z0 + z1
    squares[0] = q0 + q1
    return n_due


cdef double metric_sparse_loop(
    const Values* values, const Index* indices, const Index* indptr, Loss loss,
    Pass* p, Metric* metric, Buffers* buffers,
) noexcept nogil:
    """Batches that hold fewer values than there are features.

    Penalties are lazy: they are applied to features that a row holds. `touched` has
    room for the features of a batch, of which there may be p.
    """
    cdef double* cells = buffers.cells
    cdef Py_ssize_t width = buffers.width
    cdef int64_t* touched = buffers.touched
    cdef bint penalised = p.l1 > 0.0 or p.l2 > 0.0
    cdef bint beyond_cache = p.n_features * width > COEFS_NEAR
    cdef Py_ssize_t n_outputs = p.n_outputs
    cdef Py_ssize_t n = p.n_features
    cdef Py_ssize_t update, start, stop, t, i, j, k, r, n_touched
    cdef Py_ssize_t n_due = 0, n_values = 0
    cdef Py_ssize_t next_kept = first_kept(p, metric)
    cdef Py_ssize_t last = 1 + p.n_outputs
    cdef double total = 0.0, path = 0.0, eta, value, factor, squares, part, weight
    cdef double lazy_budget = metric.lazy_budget
    cdef double* cell
    cdef double* slopes
    cdef const Values* x = NULL
    cdef const Index* columns = NULL

    memset(cells, 0, p.n_features * width * sizeof(double))
    for j in range(p.n_features):
        cell = cells + j * width
        (<float*> cell)[0] = <float> sqrt(metric.scale[j])
        for k in range(n_outputs):
            cell[1 + k] = p.coef[j * n_outputs + k]

    for update in range(p.n_updates):
        start = update * p.n_order // p.n_updates
        stop = (update + 1) * p.n_order // p.n_updates
        squares = 0.0
        for t in range(start, stop):
            i = p.order[t]
            look_ahead(values, indices, indptr, 0, n, p, t + ROWS_AHEAD)
            if beyond_cache:
                look_at_coefs(cells, width, indices, indptr, p, t + COEFS_AHEAD)
            x = row_at(values, indices, indptr, 0, i, &columns, &n)
            n_due += cell_dot(x, columns, n, cells, width, p, path, lazy_budget,
                              p.z + (t - start) * n_outputs, &squares)
            n_values += n
        # A mispredicted branch costs more than the penalty.
        if 8 * n_due > n_values * n_outputs:
            lazy_budget = 0.0
        predictions(p, stop - start, 1.0)
        value = slopes_at(loss, p, start, stop - start)
        total += value

        factor = 1.0 / (stop - start)
        if p.losses != NULL:
            p.losses[update] = value * factor
        n_touched = 0
        if stop - start == 1:
            part = 0.0
            for k in range(n_outputs):
                part += p.slopes[k] * p.slopes[k]
            squares = part * (squares + p.fit_intercept)
        else:
            squares = 0.0
            for t in range(start, stop):
                slopes = p.slopes + (t - start) * n_outputs
                x = row_at(values, indices, indptr, 0, p.order[t], &columns, &n)
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
                    squares += scale_of(cell) * cell[last + 1 + k] ** 2
            if p.fit_intercept:
                for k in range(n_outputs):
                    part = 0.0
                    for t in range(stop - start):
                        part += p.slopes[t * n_outputs + k]
                    squares += part * part
        eta = step_of(metric, p.steps[update * p.steps_stride], value * factor,
                      squares * factor * factor)
        factor *= -eta

        if stop - start == 1:
            for j in range(n):
                cell = cells + columns[j] * width
                add_outputs(cell + 1, factor * scale_of(cell) * x[j], p.slopes,
                            n_outputs)
        for r in range(n_touched):
            cell = cells + touched[r] * width
            for k in range(n_outputs):
                cell[1 + k] += factor * scale_of(cell) * cell[last + 1 + k]
        if p.fit_intercept:
            add_rows(p.intercept, factor, p.slopes, stop - start, n_outputs)
        path += eta
        if update == next_kept:
            next_kept += metric.average_every
            weight = weight_of(p, metric, update)
            add(p.intercept_sum, weight, p.intercept, n_outputs, NULL)
            for j in range(p.n_features):
                cell = cells + j * width
                if penalised:
                    penalise_cell(cell, p, n_outputs, path, 0.0)
                    seen_in(cell)[0] = 0.0
                for k in range(n_outputs):
                    p.coef_sum[j * n_outputs + k] += weight * cell[1 + k]
            # From zero again, so that single precision is enough for `seen`.
            path = 0.0

    # The last update was kept, so that nothing is left to penalise.
    for j in range(p.n_features):
        for k in range(n_outputs):
            p.coef[j * n_outputs + k] = cells[j * width + 1 + k]
    return total


cdef double metric_cells(
    Rows X, Loss loss, Pass* p, Metric* metric, Buffers* buffers
) noexcept nogil:
    """One epoch."""
    if X.single and X.wide_index:
        return metric_sparse_loop(
            <const float*> X.values, <const int64_t*> X.indices,
            <const int64_t*> X.indptr, loss, p, metric, buffers
        )
    if X.single:
        return metric_sparse_loop(
            <const float*> X.values, <const int32_t*> X.indices,
            <const int32_t*> X.indptr, loss, p, metric, buffers
        )
    if X.wide_index:
        return metric_sparse_loop(
            <const double*> X.values, <const int64_t*> X.indices,
            <const int64_t*> X.indptr, loss, p, metric, buffers
        )
    return metric_sparse_loop(
        <const double*> X.values, <const int32_t*> X.indices,
        <const int32_t*> X.indptr, loss, p, metric, buffers
    )
