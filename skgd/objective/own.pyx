# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Losses of the user: Python objects, and compiled functions.

Both take the targets that a built-in loss would: numbers, or labels of -1 and +1, and
linear predictions z, and tell loss(y, z) and its derivative in z. See `loss` of
:class:`skgd.GDRegressor` for what they promise.
"""

from cpython.pycapsule cimport (
    PyCapsule_GetContext, PyCapsule_GetName, PyCapsule_GetPointer,
)
from libc.math cimport INFINITY, NAN
from libc.string cimport memcpy

from skgd.objective.loss cimport Loss, Wrapper

import numpy as np
from scipy import LowLevelCallable

from skgd.objective.constant import best_constant
from skgd.objective.targets import Targets

NEGATIVE = "The loss is negative. Add to it what makes it least 0."
RETURNS = "value_and_slope(y, z) must return two arrays of the shape of y, {}"
SIGNATURE = "double (double, double, double *)"
WITH_DATA = "double (double, double, double *, void *)"
ROWS = 1000  # that a bound of the curvature is looked for in
# Where kinks are looked for: targets, and predictions around each of them. Between two,
# the jump of a smooth slope halves with their distance.
KINK_TARGETS, KINK_POINTS, KINK_HALVINGS = 20, 200, 20

ctypedef double (*Function)(double, double, double*) noexcept nogil
ctypedef double (*FunctionOfData)(double, double, double*, void*) noexcept nogil


cdef class OwnLoss(Loss):
    """Of which nothing is known but values and slopes."""

    convex = False

    def __init__(self):
        self.max_curvature = self.max_slope = INFINITY

    def constant(self, targets, n_outputs=1):
        """The best intercepts, from the mean of y or, where that is worse, from 0."""
        return best_constant(self, targets, self._start(targets))

    def check_targets(self, y):
        """Raise ValueError where the loss is not what it must be, of some rows."""
        y = y.reshape(len(y), -1)
        self._start(Targets(y[:: -(-len(y) // ROWS)]))

    def _start(self, targets):
        """The mean of y or 0, where the loss is less; an error where it is none."""
        starts = np.zeros((2, targets.y.shape[1]))
        starts[1] = targets.mean()
        with np.errstate(all="ignore"):
            values = [self._value(targets, start) for start in starts]
        if not np.any(np.isfinite(values)):
            raise ValueError(
                "The loss or its slope is NaN or infinite, both at z = 0 and where z "
                "is the mean of y."
            )
        return starts[np.nanargmin(values)]

    def _value(self, targets, start):
        at = np.broadcast_to(start + targets.offset, targets.y.shape)
        value, slopes = self.sums(targets.y, at, targets.weights())
        if value < 0.0:
            raise ValueError(NEGATIVE)
        return value if np.all(np.isfinite(slopes)) else np.nan

    def curvature(self, targets):
        """The largest one at the best constant model, of some rows."""
        every = -(-len(targets.y) // ROWS)
        y = targets.y[::every]
        z = self.constant(targets) + np.zeros(y.shape)
        step = 1e-4 * max(1.0, float(np.abs(z).max()))
        largest = self.second_derivative(y, z, 0.0, step).max()
        return largest if 0.0 < largest < INFINITY else 1.0


cdef class CompiledLoss(OwnLoss):
    """A compiled function.

    Parameters
    ----------
    function : scipy.LowLevelCallable
    """

    cdef Function function
    cdef FunctionOfData function_of_data
    cdef void* data
    cdef object kept  # alive

    def __init__(self, function):
        OwnLoss.__init__(self)
        if function.signature not in (SIGNATURE, WITH_DATA):
            raise ValueError(
                f"A compiled loss must have the signature {SIGNATURE!r} or "
                f"{WITH_DATA!r}; got {function.signature!r}."
            )
        self.kept = function
        capsule = tuple.__getitem__(function, 0)
        cdef void* pointer = PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))
        if function.signature == SIGNATURE:
            self.function = <Function> pointer
        else:
            self.function_of_data = <FunctionOfData> pointer
            self.data = PyCapsule_GetContext(capsule)

    cdef double point(self, double y, double z, double* slope) noexcept nogil:
        if self.function != NULL:
            return self.function(y, z, slope)
        return self.function_of_data(y, z, slope, self.data)


cdef class PythonLoss(OwnLoss):
    """An object with a method `value_and_slope`, which is called with the GIL.

    Loops cannot raise: what it raises is kept for `check`, and every loss is NaN until
    then.
    """

    cdef readonly object loss
    cdef object error
    cdef bint smooth  # as far as `curvature` has seen

    def __init__(self, loss):
        if isinstance(loss, type):
            raise ValueError(f"loss must be an object, not the class {loss.__name__}.")
        OwnLoss.__init__(self)
        self.loss, self.smooth = loss, True

    def __reduce__(self):
        return PythonLoss, (self.loss,)

    @property
    def convex(self):
        # Of kinks, the slopes of some rows tell no curvature to go by.
        return self.smooth and bool(getattr(self.loss, "convex", False))

    def predict(self, z):
        inverse_link = getattr(self.loss, "inverse_link", None)
        return z if inverse_link is None else inverse_link(z)

    def check(self):
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    def value_and_slope(self, y, z, double width=0.0):
        """As of `Loss`, by one call."""
        y, z = np.broadcast_arrays(np.asarray(y, float), np.asarray(z, float))
        # Copies, which the user may keep or change.
        value, slope = self._call(y.flatten(), z.flatten())
        return value.reshape(y.shape), slope.reshape(y.shape)

    def _call(self, y, z):
        found = self.loss.value_and_slope(y, z)
        if not hasattr(found, "__len__") or len(found) != 2:
            raise ValueError(f"{RETURNS.format(y.shape)}: the loss and its slope.")
        value, slope = (np.ascontiguousarray(a, float) for a in found)
        for shape in map(np.shape, found):
            if shape != y.shape:
                raise ValueError(f"{RETURNS.format(y.shape)}; got one of {shape}.")
        if np.any(np.isnan(slope) & np.isfinite(value)):
            raise ValueError("The slope of the loss is NaN where its value is finite.")
        return value, slope

    def curvature(self, targets):
        if getattr(self.loss, "convex", False):
            self.smooth = self._is_smooth(targets)
        return OwnLoss.curvature(self, targets)

    def _is_smooth(self, targets):
        """Whether no slope jumps, for some targets and predictions around them."""
        y = targets.y.ravel()
        chosen = np.linspace(0, y.size - 1, min(y.size, KINK_TARGETS)).astype(int)
        z = np.broadcast_to(self._start(targets), targets.y.shape).ravel()
        y, z = y[chosen, None], z[chosen, None]
        far = 3.0 * max(1e-300, float(np.abs(y - z).max()), float(np.ptp(y)))
        at = z + far * np.linspace(-1.0, 1.0, KINK_POINTS)
        with np.errstate(all="ignore"):
            jumps = np.abs(np.diff(self.value_and_slope(y, at)[1], axis=1))
            widest = np.nanargmax(np.nan_to_num(jumps), axis=1)[:, None]
            first = np.take_along_axis(jumps, widest, axis=1)
            low = np.take_along_axis(at, widest, axis=1)
            width = at[:, 1:2] - at[:, :1]
            for _ in range(KINK_HALVINGS):
                width = width / 2.0
                points = low + width * np.arange(3)
                jumps = np.abs(np.diff(self.value_and_slope(y, points)[1], axis=1))
                second = jumps[:, 1:] > jumps[:, :1]
                low = np.where(second, points[:, 1:2], low)
            last = jumps.max(axis=1, keepdims=True)
        return not np.any(last > 1e-3 * first)

    def second_derivative(self, y, z, double width, double step):
        """As of `Loss`, by two calls."""
        z = np.asarray(z, float)
        _, low = self.value_and_slope(y, z - step)
        _, high = self.value_and_slope(y, z + step)
        return np.maximum((high - low) / (2.0 * step), 0.0)

    cdef double point(self, double y, double z, double* slope) noexcept nogil:
        return self.rows(&y, &z, NULL, slope, 1, 1, NULL)

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
        with gil:
            return self.rows_of_object(
                y, z, weight, slopes, n_rows, n_outputs, totals
            )

    cdef double rows_of_object(
        self, const double* y, const double* z, const double* weight, double* slopes,
        Py_ssize_t n_rows, Py_ssize_t n_outputs, double* totals,
    ) noexcept:
        cdef Py_ssize_t size = n_rows * n_outputs, i, k
        cdef double total = 0.0, s = 1.0, value
        cdef const double[::1] values
        cdef const double[::1] given
        cdef double[::1] targets
        cdef double[::1] at
        if self.error is None:
            try:
                # Copies, which the user may keep or change.
                own = np.empty(size), np.empty(size)
                targets, at = own
                memcpy(&targets[0], y, size * sizeof(double))
                memcpy(&at[0], z, size * sizeof(double))
                values, given = self._call(*own)
            except BaseException as error:
                self.error = error
        if self.error is not None:
            for i in range(size):
                slopes[i] = NAN
            return NAN
        for i in range(n_rows):
            if weight != NULL:
                s = weight[i]
            for k in range(n_outputs):
                value = s * values[i * n_outputs + k]
                slopes[i * n_outputs + k] = s * given[i * n_outputs + k]
                total += value
                if totals != NULL:
                    totals[k] += value
        return total


def is_own(loss):
    """Whether this is a loss of the user, or made of one."""
    while isinstance(loss, Wrapper):
        loss = loss.loss
    return isinstance(loss, OwnLoss)


def own_loss(given):
    """The loss that a user gave: an object, or a compiled function."""
    if hasattr(given, "value_and_slope"):
        return PythonLoss(given)
    if not isinstance(given, LowLevelCallable):
        given = LowLevelCallable(given.ctypes)  # of numba
    return CompiledLoss(given)
