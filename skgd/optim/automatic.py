"""The method of eta0="auto": stochastic epochs, then all rows."""

from skgd.training.state import best_of


class Automatic:
    """The method of a default fit: epochs of the named solver, then all rows.

    Parameters
    ----------
    problem : Problem
    measured : Measured
    stochastic : Stochastic, SampleFirst or None
        None begins with all rows.
    all_rows : Finish or None
        None leaves all epochs to `stochastic`.
    """

    recovers = True

    def __init__(self, problem, measured, stochastic, all_rows):
        self.problem, self.measured = problem, measured
        self.stochastic, self.all_rows = stochastic, all_rows
        self.now = stochastic or all_rows
        self.reference = problem.constant_objective
        self.n_epochs = 0
        self.l1, self.has_stepped = problem.l1 > 0.0, False
        self.patient, self.inertia = all_rows is None, 1.0

    @property
    def batch_size(self):
        return self.now.batch_size

    def n_shuffled(self, max_iter):
        if self.now.batch_size == self.problem.n_rows:
            return 0
        return min(self.now.n_epochs, max_iter) if self.all_rows else max_iter

    def epoch(self, state, visits, objectives=None, watch=None):
        result = self.now.epoch(state, visits, objectives)
        self.n_epochs += 1
        first = self.now is self.stochastic
        if first and self.all_rows and self.n_epochs == self.stochastic.n_epochs:
            self.now = self.all_rows
        return result

    def evaluated(self, state):
        return state

    def to_gain(self, objective):
        """The gain on the best constant model."""
        return max(self.reference - objective, 0.0)

    def lower(self, state):
        return False

    def begins_anew(self):
        # With L1, states before the first step on all rows have few of its zeros.
        before, self.has_stepped = (
            self.has_stepped,
            bool(self.all_rows and self.all_rows.has_stepped()),
        )
        return self.l1 and self.has_stepped and not before

    def diverges(self, objective):
        return False

    def ending(self):
        begun = self.all_rows is not None and self.all_rows.descents
        return self.all_rows.ending() if begun else None

    def finish(self, ending, progress, largest):
        state, problem = ending.state, self.problem
        all_rows = self.all_rows
        if self.now is all_rows and all_rows.descents and state.within(largest):
            ending.gap, tol = all_rows.final_gap(), all_rows.tol
            ending.objective = all_rows.best_objective()
            reached = tol is not None and ending.gap <= tol
            if reached and ending.reason in ("max_iter", "stalled"):
                ending.reason = "converged"
            return ending
        if not state.within(largest):
            ending.reason = "diverged"
        # Noise is none of the exact objective. A constant model may be better still.
        states = [state, progress.initial]
        if progress.initial.coef.any():
            constant = progress.initial.copy()
            constant.average = 0
            constant.coef[:], constant.intercept[:] = 0.0, problem.constant
            states.append(constant)
        states = [s for s in states if s.within(largest)] or [progress.initial]
        ending.state, ending.objective = best_of(problem, states)
        return ending
