# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Losses of regression."""

cimport cython
from libc.math cimport INFINITY, copysign, exp, fabs, log, log1p

from skgd.objective.loss cimport Loss, kink

import numpy as np

cdef extern from "models.h":
    void squared_models "skgd_squared_models"(
        const double* y, const double* weight, double* z, double* totals,
        Py_ssize_t n_rows, Py_ssize_t n_models, double unused) noexcept nogil
    void huber_models "skgd_huber_models"(
        const double* y, const double* weight, double* z, double* totals,
        Py_ssize_t n_rows, Py_ssize_t n_models, double epsilon) noexcept nogil


@cython.final
cdef class SquaredError(Loss):
    """(z - y)^2 / 2."""

    residual = True

    quadratic = True

    def __init__(self):
        self.max_curvature = 1.0
        self.max_slope = INFINITY

    cdef double point(self, double y, double z, double* slope) noexcept nogil:
        cdef double r = z - y
        slope[0] = r
        return 0.5 * r * r

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
        # On rows of few features, virtual calls of `point` take a quarter of the time.
        cdef Py_ssize_t i, k
        cdef double total = 0.0, value
        cdef double s = 1.0
        for i in range(n_rows):
            if weight != NULL:
                s = weight[i]
            for k in range(n_outputs):
                value = s * self.point(y[k], z[k], &slopes[k])
                slopes[k] *= s
                total += value
                if totals != NULL:
                    totals[k] += value
            y += n_outputs
            z += n_outputs
            slopes += n_outputs
        return total

    cdef void models(
        self, const double* y, const double* weight, double* z, double* totals,
        Py_ssize_t n_rows, Py_ssize_t n_models,
    ) noexcept nogil:
        squared_models(y, weight, z, totals, n_rows, n_models, 0.0)


cdef inline double huber(
    double r, double epsilon, double width, double* slope
) noexcept nogil:
    """Huber's loss, which is the envelope of width 1 of epsilon |r|; or another."""
    if fabs(r) <= epsilon * width:
        slope[0] = r / width
        return 0.5 * r * slope[0]
    slope[0] = epsilon if r > 0 else -epsilon
    return epsilon * (fabs(r) - 0.5 * epsilon * width)


cdef class Huber(Loss):
    """Quadratic within epsilon of the target, linear beyond (Huber, 1964)."""

    residual = True

    kinked = True  # nearly, where epsilon is small next to the residuals
    cdef readonly double epsilon

    def __init__(self, double epsilon):
        self.epsilon = epsilon
        self.max_curvature = 1.0
        self.max_slope = epsilon

    cdef double point(self, double y, double z, double* slope) noexcept nogil:
        return huber(z - y, self.epsilon, 1.0, slope)

    cdef double envelope(
        self, double y, double z, double width, double* slope
    ) noexcept nogil:
        return huber(z - y, self.epsilon, 1.0 + width, slope)

    cdef void models(
        self, const double* y, const double* weight, double* z, double* totals,
        Py_ssize_t n_rows, Py_ssize_t n_models,
    ) noexcept nogil:
        huber_models(y, weight, z, totals, n_rows, n_models, self.epsilon)

    def envelope_curvature(self, double width):
        return 1.0 / (1.0 + width)

    def constant(self, targets, n_outputs=1):
        return targets.quantile(0.5)


cdef class EpsilonInsensitive(Loss):
    """max(0, |y - z| - epsilon); with epsilon = 0 the absolute error."""

    residual = True

    kinked = True
    cdef readonly double epsilon

    def __init__(self, double epsilon):
        self.epsilon = epsilon
        self.max_curvature = INFINITY
        self.max_slope = 1.0

    cdef double point(self, double y, double z, double* slope) noexcept nogil:
        cdef double r = z - y
        if fabs(r) <= self.epsilon:
            slope[0] = 0.0
            return 0.0
        slope[0] = 1.0 if r > 0 else -1.0
        return fabs(r) - self.epsilon

    cdef double envelope(
        self, double y, double z, double width, double* slope
    ) noexcept nogil:
        cdef double value
        if self.epsilon == 0.0:
            return kink(z - y, -1.0, 1.0, width, slope)
        value = kink(fabs(z - y) - self.epsilon, 0.0, 1.0, width, slope)
        slope[0] = copysign(slope[0], z - y)
        return value

    def constant(self, targets, n_outputs=1):
        return targets.quantile(0.5)


cdef class AbsoluteError(EpsilonInsensitive):
    """|y - z|."""

    def __init__(self):
        EpsilonInsensitive.__init__(self, 0.0)

    def __reduce__(self):
        return AbsoluteError, ()


cdef class SquaredEpsilonInsensitive(Loss):
    """max(0, |y - z| - epsilon)^2."""

    residual = True

    curvature_jumps = True

    cdef readonly double epsilon

    def __init__(self, double epsilon):
        self.epsilon = epsilon
        self.max_curvature = 2.0
        self.max_slope = INFINITY

    cdef double point(self, double y, double z, double* slope) noexcept nogil:
        cdef double r = z - y
        cdef double excess = fabs(r) - self.epsilon
        if excess <= 0.0:
            slope[0] = 0.0
            return 0.0
        slope[0] = 2.0 * excess if r > 0 else -2.0 * excess
        return excess * excess

    def constant(self, targets, n_outputs=1):
        return targets.quantile(0.5)


cdef class Quantile(Loss):
    """Pinball loss: q (y - z) above the prediction, (1 - q) (z - y) below it.

    Koenker and Bassett, "Regression quantiles", Econometrica 46, 1978, eq. 2.1.
    """

    residual = True

    kinked = True
    cdef readonly double quantile

    def __init__(self, double quantile):
        self.quantile = quantile
        self.max_curvature = INFINITY
        self.max_slope = max(quantile, 1.0 - quantile)

    cdef double point(self, double y, double z, double* slope) noexcept nogil:
        cdef double r = z - y
        # Zero at the kink, and without a branch that noise would mispredict.
        slope[0] = (r > 0.0) - self.quantile * (r != 0.0)
        return slope[0] * r

    cdef double envelope(
        self, double y, double z, double width, double* slope
    ) noexcept nogil:
        return kink(z - y, -self.quantile, 1.0 - self.quantile, width, slope)

    def constant(self, targets, n_outputs=1):
        return targets.quantile(self.quantile)


cdef class Poisson(Loss):
    """Half the Poisson deviance with a log link: exp(z) - y - y (z - log y).

    The terms in y alone make the loss nonnegative and zero at a perfect
    prediction, without which a relative tolerance would have no meaning.
    """

    def __init__(self):
        self.max_curvature = INFINITY
        self.max_slope = INFINITY

    cdef double point(self, double y, double z, double* slope) noexcept nogil:
        cdef double mean = exp(z)
        slope[0] = mean - y
        if y > 0.0:
            return mean - y - y * (z - log(y))
        return mean

    starts_at_first_row = True

    def curvature(self, targets):
        """exp(z) has no bound; predictions seldom exceed the largest target."""
        return targets.largest() or 1.0

    def constant(self, targets, n_outputs=1):
        mean = targets.mean()
        # All targets zero: the best constant is -inf.
        return np.log(np.where(mean > 0.0, mean, 1e-10))

    def check_targets(self, y):
        if np.min(y) < 0:
            raise ValueError(
                "Some value(s) of y are out of the valid range of the loss 'poisson': "
                "negative values."
            )

    def predict(self, z):
        return np.exp(z)


cdef class Cauchy(Loss):
    """c^2/2 log(1 + ((z - y)/c)^2) with scale c = epsilon; not convex.

    Black and Anandan, "The robust estimation of multiple motions", 1996.
    """

    residual = True

    convex = False
    cdef readonly double epsilon

    def __init__(self, double epsilon):
        self.epsilon = epsilon
        self.max_curvature = 1.0
        self.max_slope = 0.5 * epsilon

    cdef double point(self, double y, double z, double* slope) noexcept nogil:
        cdef double r = z - y
        cdef double u = r / self.epsilon
        slope[0] = r / (1.0 + u * u)
        return 0.5 * self.epsilon * self.epsilon * log1p(u * u)

    def constant(self, targets, n_outputs=1):
        return targets.quantile(0.5)
