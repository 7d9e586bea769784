"""What is minimised: data, loss and penalty."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skgd.kernels import Rows, loss_at, loss_totals
from skgd.objective import penalties
from skgd.objective.loss import Loss


@dataclass(frozen=True)
class Problem:
    """What is minimised: the inputs, which training never changes.

    `rows` are the indices of the rows of X to train on, None for all of them. `y`,
    (n_rows, K) or class indices (n_rows, 1), and `weight`, (n_rows,) or None where all
    weigh 1, are those of these rows only.
    """

    X: Rows
    rows: np.ndarray | None
    y: np.ndarray
    weight: np.ndarray | None
    loss: Loss
    n_outputs: int
    l1: float
    l2: float
    fit_intercept: bool

    @property
    def n_rows(self):
        return len(self.y)

    def visits(self, order=None, room=(None, None)):
        """Rows of X, targets and weights in the order of visits.

        The latter two are written to the arrays of `room`, if there are any.
        """
        if order is None:
            return self._all_rows, self.y, self.weight
        rows = order if self.rows is None else self.rows[order]
        # Indices are in range; to find out would take a copy of the result.
        y = self.y.take(order, axis=0, out=room[0], mode="clip")
        weight = self.weight
        if weight is not None:
            weight = weight.take(order, out=room[1], mode="clip")
        return rows, y, weight

    @cached_property
    def _all_rows(self):
        return np.arange(self.n_rows) if self.rows is None else self.rows

    def objective(self, state):
        """The objective at the coefficients that `state` would give out."""
        coef, intercept = state.result()
        with np.errstate(over="ignore", invalid="ignore"):
            total = loss_at(self.X, *self.visits(), self.loss, coef, intercept)
            return total / self.n_rows + penalties.value(coef, self.l1, self.l2)

    def constant(self):
        """The intercepts of the best model with W = 0."""
        return self._constant

    @cached_property
    def _constant(self):
        if not self.fit_intercept:
            return np.zeros(self.n_outputs)
        constant = self.loss.constant(self.y, self.weight, self.n_outputs)
        return np.asarray(constant, dtype=np.float64)

    @cached_property
    def constant_totals(self):
        """The objective at W = 0 with the best intercepts, of each output."""
        return self.totals_at(self._constant)

    def constant_objective(self):
        """The objective at W = 0 with the best intercepts."""
        return float(self.constant_totals.sum())

    def zero_objective(self):
        """The objective at W = 0, b = 0."""
        return float(self.totals_at(np.zeros(self.n_outputs)).sum())

    def totals_at(self, intercept):
        """The objective of each output at W = 0."""
        z = np.asarray(intercept)[None]
        return loss_totals(self.loss, self.y, self.weight, z) / self.n_rows
