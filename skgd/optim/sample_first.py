"""The first epoch where rows are not in memory: a fit of some of them that are."""

from copy import copy
from dataclasses import replace

import numpy as np

from skgd.training.loop import train
from skgd.training.method import EpochResult

# Of 327,000 rows sorted by the target, 50,000 left 0.1 % or less to all rows, which a
# pass of averaged local descent never reached.
SAMPLE = 50_000


class SampleFirst:
    """An epoch that takes the model of a sample of the rows.

    Parameters
    ----------
    problem : Problem
    make : callable
        make(problem, state, rng) -> the method for a problem in memory.
    measured : Measured
    rng : Generator
    parameters : dict
        Of the estimator.
    """

    n_epochs = 1
    name = "sample"

    def __init__(self, problem, make, measured, rng, parameters):
        self.problem, self.make, self.rng = problem, make, rng
        self.eta0 = 1.0 / (measured.curvature * measured.smoothness)
        self.max_iter, self.tol = parameters["max_iter"], parameters["tol"]
        self.n_iter_no_change = parameters["n_iter_no_change"]
        self.shuffle = parameters["shuffle"]
        self.batch_size = problem.n_rows  # one update

    def epoch(self, state, visits, objectives=None):
        """As in `Method`. The objective is that of the sample."""
        problem, rng = self.problem, self.rng
        data = copy(problem.data.sample(min(SAMPLE, problem.data.most_rows), rng))
        if data.weight is not None:
            data.weight = data.weight / data.weight.mean()
        sample = replace(problem, data=data)
        if not self.lacks_a_class(data):
            start = state.copy()
            ending, _ = train(
                sample, start, self.make(sample, start, rng),
                max_iter=self.max_iter, tol=self.tol,
                n_iter_no_change=self.n_iter_no_change,
                shuffle=rng if self.shuffle else None,
            )  # fmt: skip
            coef, intercept = ending.state.result()
            state.coef[:], state.intercept[:] = coef, intercept
        objective = sample.objective(state)
        state.t += 1
        if objectives is not None:
            objectives[:] = objective
        return EpochResult(objective, self.name, self.eta0)

    def lacks_a_class(self, data):
        """Its coefficients would be anything then."""
        loss, n_outputs = self.problem.loss, self.problem.n_outputs
        if not loss.residual and n_outputs > 1 and data.y.shape[1] == 1:
            return not np.all(data.targets().class_totals(n_outputs))
        return not loss.residual and len(np.unique(data.y)) < 2
