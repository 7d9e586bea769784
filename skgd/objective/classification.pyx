# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Losses of classification: of two classes, with y in {-1, +1}, and of several."""

from libc.math cimport INFINITY, exp, fabs, fmax, log, log1p

from skgd.objective.loss cimport Loss, Outputs, kink

import numpy as np

from skgd.objective.targets import Targets

cdef extern from "softmax.h":
    void exps "skgd_exps"(
        double* e, const double* z, double largest, Py_ssize_t size) noexcept nogil

cdef extern from "models.h":
    void hinge_models "skgd_hinge_models"(
        const double* y, const double* weight, double* z, double* totals,
        Py_ssize_t n_rows, Py_ssize_t n_models, double threshold) noexcept nogil
    void log_models "skgd_log_models"(
        const double* y, const double* weight, double* z, double* totals,
        Py_ssize_t n_rows, Py_ssize_t n_models, double unused) noexcept nogil


cdef class BinaryLoss(Loss):
    """Base class of the losses of the margin y z, with y in {-1, +1}."""

    def curvature(self, targets):
        return min(self.max_curvature, self.max_slope)


cdef class LogLoss(BinaryLoss):
    """log(1 + exp(-y z)), the logistic loss."""

    def __init__(self):
        self.max_curvature = 0.25
        self.max_slope = 1.0

    cdef double point(self, double y, double z, double* slope) noexcept nogil:
        cdef double margin = y * z
        cdef double e = exp(-fabs(margin))
        if margin >= 0.0:
            slope[0] = -y * e / (1.0 + e)
            return log1p(e)
        slope[0] = -y / (1.0 + e)
        return log1p(e) - margin

    cdef void models(
        self, const double* y, const double* weight, double* z, double* totals,
        Py_ssize_t n_rows, Py_ssize_t n_models,
    ) noexcept nogil:
        log_models(y, weight, z, totals, n_rows, n_models, 0.0)

    def constant(self, targets, n_outputs=1):
        # The log-odds; of data with one class only, they would be infinite.
        mean = np.clip(targets.mean(), -1.0 + 1e-6, 1.0 - 1e-6)
        return np.log((1.0 + mean) / (1.0 - mean))


cdef class Hinge(BinaryLoss):
    """max(0, 1 - y z), the loss of the linear support vector machine."""

    kinked = True
    cdef double threshold

    def __init__(self):
        self.threshold = 1.0
        self.max_curvature = INFINITY
        self.max_slope = 1.0

    cdef double point(self, double y, double z, double* slope) noexcept nogil:
        cdef double margin = y * z
        # The slope at the kink is that of the line, as in scikit-learn: with the
        # zero slope, the perceptron would never leave its zero start.
        if margin <= self.threshold:
            slope[0] = -y
            return self.threshold - margin
        slope[0] = 0.0
        return 0.0

    cdef double envelope(
        self, double y, double z, double width, double* slope
    ) noexcept nogil:
        cdef double value = kink(self.threshold - y * z, 0.0, 1.0, width, slope)
        slope[0] *= -y
        return value

    cdef void models(
        self, const double* y, const double* weight, double* z, double* totals,
        Py_ssize_t n_rows, Py_ssize_t n_models,
    ) noexcept nogil:
        hinge_models(y, weight, z, totals, n_rows, n_models, self.threshold)

    def constant(self, targets, n_outputs=1):
        return np.sign(targets.mean())


cdef class Perceptron(Hinge):
    """max(0, -y z)."""

    degenerate = True

    def __init__(self):
        Hinge.__init__(self)
        self.threshold = 0.0


cdef class SquaredHinge(BinaryLoss):
    """max(0, 1 - y z)^2."""

    curvature_jumps = True

    def __init__(self):
        self.max_curvature = 2.0
        self.max_slope = INFINITY

    cdef double point(self, double y, double z, double* slope) noexcept nogil:
        cdef double gap = 1.0 - y * z
        if gap <= 0.0:
            slope[0] = 0.0
            return 0.0
        slope[0] = -2.0 * y * gap
        return gap * gap


cdef class ModifiedHuber(BinaryLoss):
    """max(0, 1 - y z)^2, made linear for margins below -1 (Zhang, 2004)."""

    curvature_jumps = True

    def __init__(self):
        self.max_curvature = 2.0
        self.max_slope = 4.0

    cdef double point(self, double y, double z, double* slope) noexcept nogil:
        cdef double margin = y * z
        if margin >= 1.0:
            slope[0] = 0.0
            return 0.0
        if margin >= -1.0:
            slope[0] = -2.0 * y * (1.0 - margin)
            return (1.0 - margin) * (1.0 - margin)
        slope[0] = -4.0 * y
        return -4.0 * margin


cdef class OneVsRest(Outputs):
    """K binary problems at once; the target is the index of the true class."""

    def __init__(self, Loss binary, n_classes):
        Outputs.__init__(self, binary, np.arange(n_classes))

    def __reduce__(self):
        return OneVsRest, (self.loss, len(self.classes))

    def curvature(self, targets):
        return self.loss.curvature(Targets(np.array([[-1.0], [1.0]])))

    def constant(self, targets, n_outputs=1):
        total = targets.class_totals(n_outputs)
        share = total / total.sum()
        labels = np.array([[-1.0], [1.0]])
        return np.concatenate(
            [self.loss.constant(Targets(labels, np.array([1 - p, p]))) for p in share]
        )


cdef class Multinomial(Loss):
    """log(sum_k exp(z_k)) - z_y, with y the index of the true class (softmax)."""

    coupled = True

    def __init__(self):
        # Of the Hessian diag(p) - pp' in z: D. Boehning, "Multinomial logistic
        # regression algorithm", Ann. Inst. Statist. Math. 44, 1992, section 2.
        self.max_curvature = 0.5
        self.max_slope = 1.0

    cdef double rows(
        self,
        const double* y,
        const double* z,
        const double* weight,
        double* slopes,
        Py_ssize_t n_rows,
        Py_ssize_t n_outputs,
        double* totals,
    ) noexcept nogil:
        cdef Py_ssize_t i, k, label
        cdef double total = 0.0
        cdef double s = 1.0
        cdef double largest, sum_exp, factor, own
        for i in range(n_rows):
            if weight != NULL:
                s = weight[i]
            label = <Py_ssize_t> y[i]
            own = z[label]
            largest = z[0]
            for k in range(1, n_outputs):
                largest = fmax(largest, z[k])
            sum_exp = 0.0
            exps(slopes, z, largest, n_outputs)
            for k in range(n_outputs):
                sum_exp += slopes[k]
            total += s * (log(sum_exp) + (largest - own))
            factor = s / sum_exp
            for k in range(n_outputs):
                slopes[k] *= factor
            slopes[label] -= s
            z += n_outputs
            slopes += n_outputs
        if totals != NULL:
            totals[0] += total
        return total

    def curvature(self, targets):
        return self.max_curvature

    def constant(self, targets, n_outputs=1):
        total = targets.class_totals(n_outputs)
        # Of classes not seen yet, the logarithm would be infinite.
        logs = np.log(np.maximum(total / total.sum(), 1e-6))
        return logs - logs.mean()
