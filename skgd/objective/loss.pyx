# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Loss functions: value and slope, and the tables of their names.

Design
------
A loss is a function of a target y and a linear prediction z = w.x + b. It knows
nothing of features, storage, penalties or solvers, and no other module knows
which loss it is running.

- A new loss is one subclass of `Loss` with one C method, `point`, which returns
  loss(y, z) and writes its derivative in z, and one line in a table at the end
  of this file. Value and derivative share their exponentials, so they come from
  one method.
- Kernels call `rows` once per batch. The base class loops over rows and outputs
  and calls `point`; a loss that couples the outputs of a row overrides `rows`.
- Classification losses take y in {-1, +1}. `OneVsRest` turns one of them into a
  loss over K outputs whose target is a class index, so that no (n, K) array of
  labels is ever made. So does `Multinomial`, log_loss with more than two classes.
- `max_curvature` and `max_slope` are the suprema of |d2 loss/dz2| and
  |dloss/dz| (inf where there is none). Step sizes are derived from them.
- A loss says by flags what training must know of it: `kinked`, it is trained
  through its Moreau envelope (method `envelope`); `convex`; `quadratic`;
  `curvature_jumps`; `coupled`, the outputs of a row do not stand on their own;
  `residual`, it is a function of z - y; `degenerate`.
"""

cimport cython
from libc.math cimport INFINITY, copysign, exp, fabs, fmax, log, log1p

import numpy as np

cdef extern from "softmax.h":
    void exps "skgd_exps"(
        double* e, const double* z, double largest, Py_ssize_t size) noexcept nogil


def quantile(y, weight, level):
    """Quantile of each column of y by weight: the mean of the lower and the upper one.

    A row of weight 2 counts as two rows.
    """
    if weight is None:
        return np.quantile(
            y.reshape(len(y), -1), level, axis=0, method="averaged_inverted_cdf"
        )
    result = []
    for column in y.reshape(len(y), -1).T:
        order = np.argsort(column)
        below = np.cumsum(weight[order])
        level_of_weight = level * below[len(below) - 1]
        low = np.searchsorted(below, level_of_weight, side="left")
        high = np.searchsorted(below, level_of_weight, side="right")
        ends = order[np.minimum([low, high], len(order) - 1)]
        result.append(column[ends].mean())
    return np.array(result)


cdef class Loss:
    """Base class: a loss that treats every output on its own."""

    # Whether W = 0 minimises it whatever the data, so that its value guides nothing.
    degenerate = False
    kinked = False
    convex = True
    coupled = False
    quadratic = False
    curvature_jumps = False
    residual = False

    cdef double point(self, double y, double z, double* slope) noexcept nogil:
        """Return loss(y, z) and write dloss/dz to slope[0]."""
        slope[0] = 0.0
        return 0.0

    cdef double envelope(
        self, double y, double z, double width, double* slope
    ) noexcept nogil:
        """`point` of the Moreau envelope of this width, where the loss has kinks.

        At z it is the minimum over u of loss(y, u) + (z - u)^2 / (2 width).
        """
        return self.point(y, z, slope)

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
        """Return the weighted sum of losses and write the weighted slopes.

        `z` and `slopes` are (n_rows, n_outputs) and C-ordered, and so is `y`;
        `weight` is (n_rows,) or NULL. The sum of each output is added to `totals`,
        (n_outputs,), unless that is NULL; if outputs are coupled, all to the first.
        """
        return sum_of_points[Loss](
            self, y, z, weight, slopes, n_rows, n_outputs, totals
        )

    @property
    def starts_at_first_row(self):
        """Whether the first row says where to start; a class tells no shares."""
        return self.residual

    @property
    def bounded_residuals(self):
        """Whether it is a loss of residuals whose slope does not grow with them."""
        return self.residual and self.max_slope < INFINITY

    def value_and_slope(self, y, z, double width=0.0):
        """Evaluate the loss, or its Moreau envelope, at arrays.

        Parameters
        ----------
        y, z : array-like of the same shape
            Targets and linear predictions.
        width : float, default=0.0
            Width of the envelope; 0 for the loss itself.

        Returns
        -------
        value, slope : ndarray of the same shape
            loss(y, z) and its derivative in z.
        """
        y, z = np.broadcast_arrays(np.asarray(y, float), np.asarray(z, float))
        cdef const double[::1] y_flat = np.ascontiguousarray(y).ravel()
        cdef const double[::1] z_flat = np.ascontiguousarray(z).ravel()
        value = np.empty(z.size)
        slope = np.empty(z.size)
        cdef double[::1] value_view = value
        cdef double[::1] slope_view = slope
        cdef Py_ssize_t i
        for i in range(z_flat.shape[0]):
            if width > 0.0:
                value_view[i] = self.envelope(
                    y_flat[i], z_flat[i], width, &slope_view[i]
                )
            else:
                value_view[i] = self.point(y_flat[i], z_flat[i], &slope_view[i])
        return value.reshape(z.shape), slope.reshape(z.shape)

    def second_derivative(self, y, z, double width, double step):
        """That of the loss, or of its Moreau envelope, at arrays; not below zero.

        By the difference of the slopes at z + step and z - step. Parameters as in
        `value_and_slope`.
        """
        cdef const double[::1] targets = np.ascontiguousarray(y, float).reshape(-1)
        cdef const double[::1] at = np.ascontiguousarray(z, float).reshape(-1)
        out = np.empty(at.shape[0])
        cdef double[::1] h = out
        cdef double low = 0.0, high = 0.0
        cdef Py_ssize_t i
        if targets.shape[0] != at.shape[0]:
            raise ValueError("y and z must have the same size.")
        for i in range(at.shape[0]):
            if width > 0.0:
                self.envelope(targets[i], at[i] - step, width, &low)
                self.envelope(targets[i], at[i] + step, width, &high)
            else:
                self.point(targets[i], at[i] - step, &low)
                self.point(targets[i], at[i] + step, &high)
            h[i] = fmax((high - low) / (2.0 * step), 0.0)
        return out.reshape(np.shape(z))

    def curvature(self, y, weight=None):
        """A bound of the second derivative, for choosing a step size.

        A loss with kinks has no such bound. There the slope changes by at most
        2 max_slope over residuals of the size of the spread of y, and the
        quotient of the two takes its place.
        """
        if np.isinf(self.max_slope):
            return self.max_curvature
        distance = np.abs(y - quantile(y, weight, 0.5))
        spread = quantile(distance, weight, 0.5)
        mean = np.average(distance, axis=0, weights=weight)
        spread = np.where(spread > 0.0, spread, np.where(mean > 0.0, mean, 1.0))
        return min(self.max_curvature, self.max_slope / np.min(spread))

    def envelope_curvature(self, double width):
        """The largest curvature of the Moreau envelope of this width."""
        return min(self.max_curvature, 1.0 / width)

    def constant(self, y, weight=None, n_outputs=1):
        """The best prediction that is the same for all rows.

        Parameters
        ----------
        y : ndarray of shape (n, K)
        weight : ndarray of shape (n,) or None
        n_outputs : int
            K; what y does not tell if it is a class index.

        Returns
        -------
        ndarray of shape (K,)
        """
        return np.average(y, axis=0, weights=weight)

    def check_targets(self, y):
        """Raise ValueError where y lies outside the domain of the loss."""

    def predict(self, z):
        """Turn linear predictions into predictions of y (the inverse link)."""
        return z


ctypedef fused Pointwise:
    Loss
    SquaredError


cdef inline double sum_of_points(
    Pointwise loss,
    const double* y,
    const double* z,
    const double* weight,
    double* slopes,
    Py_ssize_t n_rows,
    Py_ssize_t n_outputs,
    double* totals,
) noexcept nogil:
    """`Loss.rows` by calls of `point`, which is inlined if the class is final."""
    cdef Py_ssize_t i, k
    cdef double total = 0.0, value
    cdef double s = 1.0
    for i in range(n_rows):
        if weight != NULL:
            s = weight[i]
        for k in range(n_outputs):
            value = s * loss.point(y[k], z[k], &slopes[k])
            slopes[k] *= s
            total += value
            if totals != NULL:
                totals[k] += value
        y += n_outputs
        z += n_outputs
        slopes += n_outputs
    return total


# ---------------------------------------------------------------- regression


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
        return sum_of_points[SquaredError](
            self, y, z, weight, slopes, n_rows, n_outputs, totals
        )


cdef inline double kink(
    double r, double low, double high, double width, double* slope
) noexcept nogil:
    """The envelope of max(low r, high r), with low <= 0 <= high.

    Beck and Teboulle, "Smoothing and first order methods", SIAM J. Optim. 22, 2012,
    section 4.2: its slope is r / width within [low, high]. Without a branch that noise
    would mispredict.
    """
    cdef double s = r / width
    s = low if s < low else s
    s = high if s > high else s
    slope[0] = s
    return s * (r - 0.5 * width * s)


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

    def envelope_curvature(self, double width):
        return 1.0 / (1.0 + width)

    def constant(self, y, weight=None, n_outputs=1):
        return quantile(y, weight, 0.5)


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

    def constant(self, y, weight=None, n_outputs=1):
        return quantile(y, weight, 0.5)


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

    def constant(self, y, weight=None, n_outputs=1):
        return quantile(y, weight, 0.5)


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

    def constant(self, y, weight=None, n_outputs=1):
        return quantile(y, weight, self.quantile)


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

    def curvature(self, y, weight=None):
        """exp(z) has no bound; predictions seldom exceed the largest target."""
        return np.max(y) or 1.0

    def constant(self, y, weight=None, n_outputs=1):
        mean = np.average(y, axis=0, weights=weight)
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

    def constant(self, y, weight=None, n_outputs=1):
        return quantile(y, weight, 0.5)


# ------------------------------------------------------------ classification


cdef class BinaryLoss(Loss):
    """Base class of the losses of the margin y z, with y in {-1, +1}."""

    def curvature(self, y, weight=None):
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

    def constant(self, y, weight=None, n_outputs=1):
        # The log-odds; of data with one class only, they would be infinite.
        mean = np.clip(np.average(y, axis=0, weights=weight), -1.0 + 1e-6, 1.0 - 1e-6)
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

    def constant(self, y, weight=None, n_outputs=1):
        return np.sign(np.average(y, axis=0, weights=weight))


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


cdef class Outputs(Loss):
    """A loss of one output for several of them, each as it is told.

    Parameters
    ----------
    loss : Loss
    classes : ndarray of intp of shape (K,) or None
        The target of a row is its class then, and that of an output 1 for the rows of
        its class, -1 for the others.
    widths : ndarray of shape (K,) or None
        Widths of the Moreau envelopes that take the place of the loss.
    """

    cdef readonly Loss loss
    cdef const Py_ssize_t[::1] classes
    cdef const double[::1] widths

    def __init__(self, Loss loss, classes=None, widths=None):
        self.loss = loss
        self.classes = classes
        self.widths = widths
        self.max_curvature = loss.max_curvature
        self.max_slope = loss.max_slope

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
        cdef Py_ssize_t i, k
        cdef double total = 0.0, value, target
        cdef double s = 1.0
        cdef bint by_class = self.classes is not None
        cdef const Py_ssize_t* classes = &self.classes[0] if by_class else NULL
        cdef const double* widths = NULL
        if self.widths is not None:
            widths = &self.widths[0]
        for i in range(n_rows):
            if weight != NULL:
                s = weight[i]
            for k in range(n_outputs):
                if by_class:
                    target = 1.0 if classes[k] == <Py_ssize_t> y[0] else -1.0
                else:
                    target = y[k]
                if widths != NULL:
                    value = s * self.loss.envelope(target, z[k], widths[k], &slopes[k])
                else:
                    value = s * self.loss.point(target, z[k], &slopes[k])
                slopes[k] *= s
                total += value
                if totals != NULL:
                    totals[k] += value
            y += 1 if by_class else n_outputs
            z += n_outputs
            slopes += n_outputs
        return total

    @property
    def residual(self):
        return self.loss.residual

    @property
    def kinked(self):
        return self.loss.kinked

    @property
    def convex(self):
        return self.loss.convex

    @property
    def degenerate(self):
        return self.loss.degenerate


cdef class OneVsRest(Outputs):
    """K binary problems at once; the target is the index of the true class."""

    def __init__(self, Loss binary, n_classes):
        Outputs.__init__(self, binary, np.arange(n_classes))

    def __reduce__(self):
        return OneVsRest, (self.loss, len(self.classes))

    def curvature(self, y, weight=None):
        return self.loss.curvature(np.array([[-1.0], [1.0]]))

    def constant(self, y, weight=None, n_outputs=1):
        index = y[:, 0].astype(np.intp)
        total = np.bincount(index, weight, minlength=n_outputs)
        share = total / total.sum()
        labels = np.array([[-1.0], [1.0]])
        return np.array(
            [self.loss.constant(labels, np.array([1 - p, p]))[0] for p in share]
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
        cdef double largest, sum_exp, factor
        for i in range(n_rows):
            if weight != NULL:
                s = weight[i]
            label = <Py_ssize_t> y[i]
            largest = z[0]
            for k in range(1, n_outputs):
                largest = fmax(largest, z[k])
            sum_exp = 0.0
            exps(slopes, z, largest, n_outputs)
            for k in range(n_outputs):
                sum_exp += slopes[k]
            total += s * (log(sum_exp) + (largest - z[label]))
            factor = s / sum_exp
            for k in range(n_outputs):
                slopes[k] *= factor
            slopes[label] -= s
            z += n_outputs
            slopes += n_outputs
        if totals != NULL:
            totals[0] += total
        return total

    def curvature(self, y, weight=None):
        return self.max_curvature

    def constant(self, y, weight=None, n_outputs=1):
        index = y[:, 0].astype(np.intp)
        total = np.bincount(index, weight, minlength=n_outputs)
        # Of classes not seen yet, the logarithm would be infinite.
        logs = np.log(np.maximum(total / total.sum(), 1e-6))
        return logs - logs.mean()


# Name -> (class, names of the estimator parameters it takes).
REGRESSION_LOSSES = {
    "squared_error": (SquaredError, ()),
    "huber": (Huber, ("epsilon",)),
    "absolute_error": (AbsoluteError, ()),
    "quantile": (Quantile, ("quantile",)),
    "epsilon_insensitive": (EpsilonInsensitive, ("epsilon",)),
    "squared_epsilon_insensitive": (SquaredEpsilonInsensitive, ("epsilon",)),
    "poisson": (Poisson, ()),
    "cauchy": (Cauchy, ("epsilon",)),
}

CLASSIFICATION_LOSSES = {
    "log_loss": (LogLoss, ()),
    "hinge": (Hinge, ()),
    "squared_hinge": (SquaredHinge, ()),
    "modified_huber": (ModifiedHuber, ()),
    "perceptron": (Perceptron, ()),
}

# As in SGDClassifier, a classifier may also regress on the labels -1 and +1.
for _name in (
    "squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"
):
    CLASSIFICATION_LOSSES[_name] = REGRESSION_LOSSES[_name]
