"""The rows that a problem is about, and the sums over them that training needs."""

from functools import cached_property
from typing import Protocol

import numpy as np

from skgd.kernels import (
    Rows,
    feature_moments,
    loss_at,
    loss_gradient,
    loss_totals,
)


class Data(Protocol):
    """Training rows with their targets and weights.

    Methods of whole passes need no more than this, which is sums over rows: another
    class may hold rows elsewhere. `y` are what the loss takes, class indices among
    them; weights have mean 1 in `fit`.

    `constant` and `totals` are called once per fit, by `Problem`; `moments`,
    `curvature` and `squared_weight` once, by a method that chooses its steps;
    `loss` and `gradient` once per pass over the rows.
    """

    n_rows: int
    n_features: int
    sparse: bool
    dtype: np.dtype  # of X
    order: str  # "C" or "F": the memory order of coefficients
    mean_stored: float  # stored values per row

    def check(self):
        """Raise ValueError if X, which the user's code may change, cannot be read."""

    def constant(self, loss, n_outputs: int):
        """The best intercepts with W = 0, (K,)."""

    def totals(self, loss, intercept):
        """Sums of weight times loss at W = 0, one for each output."""

    def curvature(self, loss, outputs=slice(None)) -> float:
        """A bound of the curvature of the loss at the targets of these outputs."""

    def squared_weight(self) -> float:
        """Mean of squared weights."""

    def moments(self):
        """Sum of weights; mean, variance and share of stored values by feature."""

    def loss(self, loss, coef, intercept) -> float:
        """Sum of weight times loss."""

    def gradient(self, loss, coef, intercept, y=None, **arguments):
        """Sums of weight times loss, and of their gradients in W and b."""


class LocalData:
    """Rows in the memory of this process.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, p)
        Read in place.
    y : ndarray of shape (n_rows, K), or of class indices (n_rows, 1)
        Targets of the rows trained on.
    weight : ndarray of shape (n_rows,) or None
        Their weights; None if all weigh 1.
    rows : ndarray of intp of shape (n_rows,) or None
        Which rows of X those are; None for all of them.
    """

    def __init__(self, X, y, weight=None, rows=None):
        self.array, self.X = X, Rows(X)
        self.y, self.weight, self.rows = y, weight, rows
        self.n_rows, self.n_features = len(y), X.shape[1]
        self.sparse, self.order = self.X.sparse, self.X.order
        self.dtype, self.mean_stored = X.dtype, self.X.mean_stored

    def visits(self, order=None, buffers=(None, None)):
        """Rows of X, targets and weights in the order of visits; None: as they are.

        The latter two are written to the arrays of `buffers`, if there are any.
        """
        if order is None:
            return self._all_rows, self.y, self.weight
        rows = order if self.rows is None else self.rows[order]
        # Indices are in range; to find out would take a copy of the result.
        y = self.y.take(order, axis=0, out=buffers[0], mode="clip")
        weight = self.weight
        if weight is not None:
            weight = weight.take(order, out=buffers[1], mode="clip")
        return rows, y, weight

    @cached_property
    def _all_rows(self):
        return np.arange(self.n_rows) if self.rows is None else self.rows

    def check(self):
        self.X.check()

    def constant(self, loss, n_outputs):
        return np.asarray(loss.constant(self.y, self.weight, n_outputs), dtype=float)

    def totals(self, loss, intercept):
        return loss_totals(loss, self.y, self.weight, np.asarray(intercept)[None])

    def curvature(self, loss, outputs=slice(None)):
        return loss.curvature(self.y[:, outputs], self.weight)

    def squared_weight(self):
        return 1.0 if self.weight is None else float(np.mean(self.weight**2))

    def moments(self):
        return feature_moments(self.X, self._all_rows, self.weight)

    def loss(self, loss, coef, intercept):
        return loss_at(self.X, *self.visits(), loss, coef, intercept)

    def gradient(self, loss, coef, intercept, y=None, **arguments):
        """As in `Data`. `y` may hold the targets of fewer outputs.

        Further arguments are those of `skgd.kernels.loss_gradient`.
        """
        y = self.y if y is None else y
        return loss_gradient(
            self.X, self._all_rows, y, self.weight, loss, coef, intercept, **arguments
        )
