# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Updates whose gradient is summed before W moves: any storage, batch and outputs."""

from libc.math cimport fmax

from skgd.kernels.batch cimport batch_gradient
from skgd.kernels.metric cimport Metric, first_kept, keep, penalise, prox, step_of
from skgd.kernels.passes cimport Buffers, Pass
from skgd.kernels.rows cimport Rows, add, dot, norm, scaled_add, shrink
from skgd.objective.loss cimport Loss


cdef void accelerate(
    Pass* p, double* w, double* velocity, double factor, const double* gradient,
    double decay, Py_ssize_t size,
) noexcept nogil:
    """v <- m v - g, w <- w + v; of Nesterov's momentum, w <- w + m v - g.

    g is the step times the gradient of loss and penalty.
    """
    cdef double m = p.momentum, g
    cdef Py_ssize_t j
    for j in range(size):
        g = factor * gradient[j] + decay * w[j]
        velocity[j] = m * velocity[j] - g
        w[j] += m * velocity[j] - g if p.nesterovs else velocity[j]


cdef void textbook_update(
    Pass* p, Py_ssize_t update, Py_ssize_t n_rows, const double* gradient
) noexcept nogil:
    """W <- shrink(max(0, 1 - eta l2) W - eta R, eta l1), with R the mean gradient.

    With momentum, W <- W + V, see `accelerate`.
    """
    cdef Py_ssize_t n_outputs = p.n_outputs, j, k
    cdef Py_ssize_t n_coefs = n_outputs * p.n_features
    cdef const double* intercept_gradient = gradient + n_coefs
    cdef double eta = p.steps[update * p.steps_stride]
    cdef double decay = fmax(0.0, 1.0 - eta * p.l2)
    cdef double factor = eta / n_rows
    cdef double threshold = eta * p.l1
    if p.coef_velocity != NULL:
        accelerate(p, p.coef, p.coef_velocity, factor, gradient, eta * p.l2, n_coefs)
        if p.fit_intercept:
            accelerate(p, p.intercept, p.intercept_velocity, factor,
                       intercept_gradient, 0.0, n_outputs)
    else:
        for j in range(n_coefs):
            p.coef[j] = decay * p.coef[j] - factor * gradient[j]
        if p.fit_intercept:
            for k in range(n_outputs):
                p.intercept[k] -= factor * intercept_gradient[k]
    if p.l1 > 0.0:
        for j in range(n_coefs):
            p.coef[j] = shrink(p.coef[j], threshold)
    if p.coef_sum != NULL and update >= p.average_from:
        for j in range(n_coefs):
            p.coef_sum[j] += p.coef[j]
        for k in range(n_outputs):
            p.intercept_sum[k] += p.intercept[k]


cdef double squared_norm(
    Pass* p, Metric* metric, bint sparse, const double* gradient
) noexcept nogil:
    """Of a gradient, in the metric."""
    cdef Py_ssize_t n_outputs = p.n_outputs, n = p.n_features, j, k
    cdef const double* intercept_gradient = gradient + n_outputs * n
    cdef double squares = 0.0
    for k in range(n_outputs):
        if p.fit_intercept:
            squares += intercept_gradient[k] * intercept_gradient[k]
        if not sparse:
            squares += norm(gradient + k * n, intercept_gradient[k],
                            metric.mean, metric.scale, n)
    if sparse:
        for j in range(n):
            for k in range(n_outputs):
                squares += metric.scale[j] * gradient[j * n_outputs + k] ** 2
    return squares


cdef double metric_update(
    Pass* p, Metric* metric, bint sparse, Py_ssize_t update, Py_ssize_t n_rows,
    double value, const double* gradient,
) noexcept nogil:
    """A step in the metric; returns its size. `value` is the loss of the batch."""
    cdef Py_ssize_t n_outputs = p.n_outputs, n = p.n_features, j, k
    cdef const double* intercept_gradient = gradient + n_outputs * n
    cdef const double* scale = metric.scale
    cdef double factor = 1.0 / n_rows
    cdef double squares = squared_norm(p, metric, sparse, gradient)
    cdef double eta = step_of(metric, p.steps[update * p.steps_stride], value * factor,
                              squares * factor * factor)
    factor *= -eta
    if sparse:
        for j in range(n):
            for k in range(n_outputs):
                p.coef[j * n_outputs + k] += (
                    factor * scale[j] * gradient[j * n_outputs + k]
                )
    else:
        for k in range(n_outputs):
            scaled_add(p.coef + k * n, factor, scale, gradient + k * n, n, NULL)
            add(p.coef + k * n, -factor * intercept_gradient[k], metric.direction, n,
                NULL)
    if p.fit_intercept:
        for k in range(n_outputs):
            p.intercept[k] += factor * intercept_gradient[k]
    return eta


cdef void penalise_sparse(Pass* p, const double* scale, double path) noexcept nogil:
    """prox of W that is Fortran-ordered."""
    cdef Py_ssize_t j, k
    if p.l1 > 0.0 or p.l2 > 0.0:
        for j in range(p.n_features):
            for k in range(p.n_outputs):
                p.coef[j * p.n_outputs + k] = prox(
                    p.coef[j * p.n_outputs + k], path * scale[j], p
                )


cdef double block_epoch(
    Rows X, Loss loss, Pass* p, Metric* metric, Buffers* buffers
) noexcept nogil:
    """One epoch of textbook updates or, if there is one, in a metric.

    Batches in a metric differ in size by one row at most.
    """
    cdef Py_ssize_t update, start, stop, k
    cdef Py_ssize_t n = p.n_features, n_outputs = p.n_outputs
    cdef double total = 0.0, value, path = 0.0
    cdef double* gradient = buffers.gradient
    cdef double* centred = p.intercept
    cdef Py_ssize_t next_kept = first_kept(p, metric) if metric != NULL else 0

    for update in range(p.n_updates):
        if metric == NULL:
            start = update * p.batch_size
            stop = min(start + p.batch_size, p.n_order)
        else:
            start = update * p.n_order // p.n_updates
            stop = (update + 1) * p.n_order // p.n_updates
            # Predictions are made with the intercept of features as they are.
            p.intercept = gradient + n_outputs * (n + 1)
            for k in range(n_outputs):
                p.intercept[k] = centred[k]
                if not X.sparse:
                    p.intercept[k] -= dot(metric.mean, p.coef + k * n, n, NULL)
        value = batch_gradient(X, loss, loss, p, start, stop, buffers)
        p.intercept = centred
        total += value
        if p.losses != NULL:
            p.losses[update] = value / (stop - start)
        if metric == NULL:
            textbook_update(p, update, stop - start, gradient)
            continue
        path += metric_update(p, metric, X.sparse, update, stop - start, value,
                              gradient)
        if path > metric.lazy_budget or update == next_kept:
            if X.sparse:
                penalise_sparse(p, metric.scale, path)
            else:
                penalise(p, metric.scale, path)
            path = 0.0
            if update == next_kept:
                keep(p, metric, update)
                next_kept += metric.average_every
    return total
