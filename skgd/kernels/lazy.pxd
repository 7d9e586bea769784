# Sparse rows, one by one: L1 and averages of features that a row does not hold.

from libc.math cimport copysign, fabs
from libc.string cimport memset

from skgd.kernels.passes cimport Pass
from skgd.kernels.rows cimport shrink


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


cdef inline void catch_up(
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


cdef inline void flush(
    Lazy* lazy, Pass* p, double scale, bint sparse, Py_ssize_t update
) noexcept nogil:
    """Bring every feature up to date and multiply the scale into W."""
    cdef Py_ssize_t j
    if sparse and (lazy.threshold_seen != NULL or lazy.weight_seen != NULL):
        for j in range(p.n_features):
            catch_up(lazy, p.coef + j * p.n_outputs, p.coef_sum + j * p.n_outputs,
                     p.n_outputs, j, update)
        lazy.threshold = lazy.weight = lazy.moment = 0.0
        lazy.history_from = update
        if lazy.threshold_seen != NULL:
            memset(lazy.threshold_seen, 0, p.n_features * sizeof(double))
        if lazy.weight_seen != NULL:
            memset(lazy.weight_seen, 0, p.n_features * sizeof(double))
        if lazy.moment_seen != NULL:
            memset(lazy.moment_seen, 0, p.n_features * sizeof(double))
    for j in range(p.n_features * p.n_outputs):
        p.coef[j] *= scale
