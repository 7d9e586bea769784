# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Loss functions: value and slope of a prediction.

Design
------
A loss is a function of a target y and a linear prediction z = w.x + b. It knows
nothing of features, storage, penalties or solvers, and no other module knows
which loss it is running.

- A new loss is one subclass of `Loss` with one C method, `point`, which returns
  loss(y, z) and writes its derivative in z, and one line in table.py.
  Value and derivative share their exponentials, so they come from one method.
- Kernels call `rows` once per batch. The base class loops over rows and outputs
  and calls `point`; a loss that couples the outputs of a row overrides `rows`.
- Classification losses take y in {-1, +1}. `OneVsRest` turns one of them into a
  loss over K outputs whose target is a class index, so that no (n, K) array of
  labels is ever made. So does `Multinomial`, log_loss with more than two classes.
- `models` is for searches, whose models share each row: `rows` of one output and many
  models. Those of models.h do without the calls of `point`.
- `max_curvature` and `max_slope` are the suprema of |d2 loss/dz2| and
  |dloss/dz| (inf where there is none). Step sizes are derived from them.
- A loss says by flags what training must know of it: `kinked`, it is trained
  through its Moreau envelope (method `envelope`); `convex`; `quadratic`;
  `curvature_jumps`; `coupled`, the outputs of a row do not stand on their own;
  `residual`, it is a function of z - y; `degenerate`.
"""

from libc.math cimport INFINITY, fmax

import numpy as np


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
        `slopes` may be the memory of `z`.
        """
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
        """Replace predictions of many models by weighted slopes; add up their losses.

        `z` is (n_rows, n_models), `y` (n_rows,): a loss of one output. The losses of
        each model are added to `totals`, (n_models,).
        """
        cdef Py_ssize_t i, k
        cdef double s = 1.0, slope
        for i in range(n_rows):
            if weight != NULL:
                s = weight[i]
            for k in range(n_models):
                totals[k] += s * self.point(y[i], z[k], &slope)
                z[k] = s * slope
            z += n_models

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

    def sums(self, y, z, weight):
        """The weighted sum of losses, and that of the slopes of each output.

        Parameters
        ----------
        y : ndarray of shape (n, K), or of class indices (n, 1)
        z : ndarray of shape (n, K)
        weight : ndarray of shape (n,)

        Returns
        -------
        total : float
        slopes : ndarray of shape (K,)
        """
        cdef const double[:, ::1] targets = np.ascontiguousarray(y, float)
        cdef const double[:, ::1] at = np.ascontiguousarray(z, float)
        cdef const double[::1] weights = np.ascontiguousarray(weight, float)
        out = np.empty_like(at)
        cdef double[:, ::1] slopes = out
        if not targets.shape[0] == at.shape[0] == weights.shape[0] > 0:
            raise ValueError("There must be a target and a weight for each row.")
        total = self.rows(&targets[0, 0], &at[0, 0], &weights[0], &slopes[0, 0],
                          at.shape[0], at.shape[1], NULL)
        self.check()
        return total, out.sum(axis=0)

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

    def curvature(self, targets):
        """A bound of the second derivative, for choosing a step size.

        A loss with kinks has no such bound. There the slope changes by at most
        2 max_slope over residuals of the size of the spread of y, and the
        quotient of the two takes its place. Parameters as of `constant`.
        """
        if np.isinf(self.max_slope):
            return self.max_curvature
        distances = targets.distances(targets.quantile(0.5))
        spread, mean = distances.quantile(0.5), distances.mean()
        spread = np.where(spread > 0.0, spread, np.where(mean > 0.0, mean, 1.0))
        return min(self.max_curvature, self.max_slope / np.min(spread))

    def envelope_curvature(self, double width):
        """The largest curvature of the Moreau envelope of this width."""
        return min(self.max_curvature, 1.0 / width)

    def constant(self, targets, n_outputs=1):
        """The best prediction that is the same for all rows.

        Parameters
        ----------
        targets : skgd.objective.targets.Targets
        n_outputs : int
            K; what targets do not tell if they are class indices.

        Returns
        -------
        ndarray of shape (K,)
        """
        return targets.mean()

    def check(self):
        """Raise what the user's code raised since; to be called after each loop."""

    def check_targets(self, y):
        """Raise ValueError where y lies outside the domain of the loss."""

    def predict(self, z):
        """Turn linear predictions into predictions of y (the inverse link)."""
        return z


cdef class Wrapper(Loss):
    """A loss made of another, whose properties it has.

    But `residual` and `quadratic`, which a subclass may have of its own.
    """

    def __init__(self, Loss loss):
        self.loss = loss
        self.max_curvature, self.max_slope = loss.max_curvature, loss.max_slope

    def check(self):
        self.loss.check()

    def curvature(self, targets):
        return self.loss.curvature(targets)

    def predict(self, z):
        return self.loss.predict(z)

    @property
    def degenerate(self):
        return self.loss.degenerate

    @property
    def kinked(self):
        return self.loss.kinked

    @property
    def convex(self):
        return self.loss.convex

    @property
    def coupled(self):
        return self.loss.coupled

    @property
    def curvature_jumps(self):
        return self.loss.curvature_jumps

    @property
    def starts_at_first_row(self):
        return self.loss.starts_at_first_row


cdef class Outputs(Wrapper):
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

    def __init__(self, Loss loss, classes=None, widths=None):
        Wrapper.__init__(self, loss)
        self.classes = classes
        self.widths = widths

    def __reduce__(self):
        classes = None if self.classes is None else np.asarray(self.classes)
        widths = None if self.widths is None else np.asarray(self.widths)
        return Outputs, (self.loss, classes, widths)

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
