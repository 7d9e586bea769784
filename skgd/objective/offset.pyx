# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Losses at predictions that known numbers are added to: z = w.x + b + offset.

Of a loss of residuals, an offset is no more than other targets, y - offset. For other
losses there is `Offset`.
"""

from skgd.objective.loss cimport Loss, Wrapper

import numpy as np
from scipy.special import logsumexp

from skgd.objective.constant import best_constant


cdef class Offset(Wrapper):
    """A loss whose targets have the offsets of the row behind them.

    A row of y is the targets of `loss`, and then an offset for each of K outputs.

    Parameters
    ----------
    loss : Loss
    by_index : bool
        Whether the target of `loss` is one class index, however many outputs there are.
    """

    cdef readonly bint by_index

    def __init__(self, Loss loss, by_index):
        Wrapper.__init__(self, loss)
        self.by_index = by_index

    def __reduce__(self):
        return Offset, (self.loss, self.by_index)

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
        cdef Py_ssize_t n_targets = 1 if self.by_index else n_outputs
        cdef Py_ssize_t i, k
        cdef double total = 0.0
        for i in range(n_rows):
            # Losses read a prediction before they write its slope.
            for k in range(n_outputs):
                slopes[k] = z[k] + y[n_targets + k]
            total += self.loss.rows(
                y, slopes, weight + i if weight != NULL else NULL, slopes, 1,
                n_outputs, totals,
            )
            y += n_targets + n_outputs
            z += n_outputs
            slopes += n_outputs
        return total

    def constant(self, targets, n_outputs=1):
        """The best intercepts, by L-BFGS."""
        start = self.loss.constant(targets, n_outputs)
        # With a log link, the mean of exp(offset) makes it the optimum.
        weight = targets.weights()
        shift = logsumexp(targets.offset, axis=0, b=weight[:, None])
        return best_constant(self.loss, targets, start - shift + np.log(weight.sum()))


def with_offset(loss, targets, offset):
    """A loss and targets, (n, K) or class indices, which an offset, (n, K), is part of.

    Returns
    -------
    loss : Loss
    targets : ndarray of shape (n, C)
    n_offsets : int
        How many of the columns of targets are offsets: the last ones.
    """
    by_index = targets.shape[1] < offset.shape[1] or loss.coupled
    if loss.residual and not by_index:
        with np.errstate(over="ignore"):  # which is looked for later
            return loss, targets - offset, 0
    return Offset(loss, by_index), np.hstack([targets, offset]), offset.shape[1]
