"""The method of eta0="auto": stochastic epochs, then all rows."""

import numpy as np

from skgd.training.state import best_of

# Constants of the rules; examples/bench_no_tuning.py hardly depends on them.
EPOCHS = 2  # stochastic ones. "Until one gains less than 5 %" is slower by a quarter


class Automatic:
    """The method of a default fit: epochs of the named solver, then all rows.

    Parameters
    ----------
    problem : Problem
    measured : Measured
    stochastic : Stochastic or None
        None begins with all rows.
    finish : Finish or None
        None leaves all epochs to `stochastic`.
    """

    recovers = True
    watch = None

    def __init__(self, problem, measured, stochastic, finish):
        self.measured = measured
        self.stochastic, self.finish = stochastic, finish
        self.now = stochastic or finish
        self.n_rows = problem.n_rows
        self.reference = problem.constant_objective()
        self.n_epochs = 0
        self.l1, self.has_stepped = problem.l1 > 0.0, False
        self.patient = finish is None

    @property
    def batch_size(self):
        return self.now.batch_size

    def n_shuffled(self, max_iter):
        """Epochs that want their rows in random order."""
        if self.now.batch_size == self.n_rows:
            return 0
        return min(EPOCHS, max_iter) if self.finish else max_iter

    def epoch(self, problem, state, visits, objectives=None):
        """Make an epoch. Returns its record."""
        record = self.now.epoch(problem, state, visits, objectives)
        self.n_epochs += 1
        if self.n_epochs == EPOCHS and self.finish is not None:
            self.now = self.finish
        return record

    def evaluated(self, state):
        """The state that the objective of the last epoch belongs to."""
        return state

    def to_gain(self, objective):
        """What a tolerance is a fraction of: the gain on the best constant model."""
        return max(self.reference - objective, 0.0)

    def lower(self, state):
        return False

    def begins_anew(self):
        """Whether states before this epoch are not to be kept.

        With L1, those before the first step on all rows have few of its zeros.
        """
        before, self.has_stepped = (
            self.has_stepped,
            bool(self.finish and self.finish.has_stepped()),
        )
        return self.l1 and self.has_stepped and not before

    def diverges(self, objective):
        return False

    def ending(self):
        """Why training ends here; None if it does not."""
        begun = self.finish is not None and self.finish.descents
        return self.finish.ending() if begun else None

    def result(self, problem, state, reason, progress, largest):
        """The state to keep, its objective, why training ended, and what is left."""
        if self.now is self.finish and self.finish.descents and state.within(largest):
            gap = self.finish.final_gap()
            tol = self.finish.tol
            if tol is not None and gap <= tol and reason in ("max_iter", "stalled"):
                reason = "converged"
            return state, self.finish.best_objective(), reason, gap
        # Noise is none of the exact objective. A constant model may be better still.
        states = [state, progress.initial]
        if progress.initial.coef.any():
            constant = progress.initial.copy()
            constant.average = 0
            constant.coef[:], constant.intercept[:] = 0.0, problem.constant()
            states.append(constant)
        states = [s for s in states if s.within(largest)] or [progress.initial]
        best, objective = best_of(problem, states)
        return best, objective, reason, np.nan
