"""What is minimised: the mean loss over data, and a penalty."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skgd.objective import penalties
from skgd.objective.loss import Loss
from skgd.training.data import Data


@dataclass(frozen=True)
class Problem:
    """What is minimised: the inputs, which training never changes."""

    data: Data
    loss: Loss
    n_outputs: int
    l1: float
    l2: float
    fit_intercept: bool

    @property
    def n_rows(self):
        return self.data.n_rows

    def objective(self, state):
        """The objective at the coefficients that `state` would give out."""
        coef, intercept = state.result()
        with np.errstate(over="ignore", invalid="ignore"):
            total = self.data.loss(self.loss, coef, intercept)
            return total / self.n_rows + penalties.value(coef, self.l1, self.l2)

    @cached_property
    def constant(self):
        """The intercepts of the best model with W = 0."""
        if not self.fit_intercept:
            return np.zeros(self.n_outputs)
        constant = self.loss.constant(self.data.targets(), self.n_outputs)
        return np.asarray(constant, dtype=np.float64)

    @cached_property
    def constant_totals(self):
        """The objective at W = 0 with the best intercepts, of each output."""
        return self.totals_at(self.constant)

    @property
    def constant_objective(self):
        """The objective at W = 0 with the best intercepts."""
        return float(self.constant_totals.sum())

    @cached_property
    def zero_objective(self):
        """The objective at W = 0, b = 0."""
        return float(self.totals_at(np.zeros(self.n_outputs)).sum())

    def with_penalty(self, l1, l2):
        """The same with another penalty: what is known of W = 0 stays."""
        other = replace(self, l1=l1, l2=l2)
        vars(other).update(vars(self) | vars(other))
        return other

    def totals_at(self, intercept):
        """The objective of each output at W = 0."""
        return self.data.totals(self.loss, intercept) / self.n_rows
