# Gradient descent in a metric of its own for each feature j,
#
#     W_j <- W_j - eta scale_j (R_j - mean_j r),    c <- c - eta r
#
# that is on features (x - mean) sqrt(scale), without ever making them. The intercept
# is that of centred features, c = b + W mean. A step is truncated to
# loss / |gradient|^2 of its batch. Penalties are applied once the steps since the last
# time add up to more than `lazy_budget`: W_j <- prox(W_j), with that sum times scale_j
# as its step.

from skgd.kernels.passes cimport Pass
from skgd.kernels.rows cimport add, shrink

cdef struct Metric:
    const double* mean
    const double* scale
    const double* direction     # scale * mean
    const double* products      # see `row_products`
    double lazy_budget
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


cdef inline double prox(double w, double step, Pass* p) noexcept nogil:
    """Minimise |v - w|^2 / (2 step) + l1 |v| + l2/2 v^2."""
    if p.l1 > 0.0:
        w = shrink(w, step * p.l1)
    return w / (1.0 + step * p.l2)


cdef inline Py_ssize_t first_kept(Pass* p, Metric* metric) noexcept nogil:
    """The first update whose result enters the averages; the last one is among them."""
    return (p.n_updates - 1) % metric.average_every


cdef inline double weight_of(
    Pass* p, Metric* metric, Py_ssize_t update
) noexcept nogil:
    cdef double age = (update + 1.0) / p.n_updates
    metric.weight_sum += age * age * age
    return age * age * age


cdef inline void keep(Pass* p, Metric* metric, Py_ssize_t update) noexcept nogil:
    cdef double weight = weight_of(p, metric, update)
    add(p.coef_sum, weight, p.coef, p.n_outputs * p.n_features, NULL)
    add(p.intercept_sum, weight, p.intercept, p.n_outputs, NULL)


cdef inline void penalise(Pass* p, const double* scale, double path) noexcept nogil:
    """prox of dense W."""
    cdef Py_ssize_t j, k
    if p.l1 > 0.0 or p.l2 > 0.0:
        for k in range(p.n_outputs):
            for j in range(p.n_features):
                p.coef[k * p.n_features + j] = prox(
                    p.coef[k * p.n_features + j], path * scale[j], p
                )
