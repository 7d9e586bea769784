"""Textbook gradient descent of many models in one pass over the same rows."""

import numpy as np

from skgd.kernels.stack import run_stack
from skgd.objective import penalties
from skgd.optim import schedules

LANES = 8  # the kernel takes models by so many
STEPS_AT_ONCE = 1 << 17  # step sizes in memory, of all models


class Stack:
    """The members of a search that are in training, and their epochs.

    Each is as its `Textbook` would train it, but for rounding: the same rows in the
    same batches, its own steps and L2 penalty. Their coefficients are columns of one
    array, of which the states of the members are views.

    Parameters
    ----------
    problem : Problem
        Of one output, dense rows and no penalty of its own.
    members : list of Member
        With methods of class `Textbook` and the same batch size; without averages.
    """

    def __init__(self, problem, members):
        self.problem = problem
        self.batch_size = members[0].method.batch_size
        self._take(members)

    def _take(self, members):
        """Put the models of these members side by side."""
        self.members = members
        self.coef, self.intercept = self._columns(members)
        for k, member in enumerate(members):
            member.state.coef = self.coef[:, k : k + 1].T
            member.state.intercept = self.intercept[k : k + 1]
        self.l2 = np.zeros(len(self.intercept))
        self.l2[: len(members)] = [m.method.problem.l2 for m in members]
        # Steps of equal schedules are those of one, at several eta0.
        self.schedules = {}
        for k, member in enumerate(members):
            schedule = member.method.schedule
            key = type(schedule), *sorted(getattr(schedule, "__dict__", {}).items())
            self.schedules.setdefault(key, (schedule, []))[1].append(k)

    def _columns(self, members):
        """Copies of coefficients, (p, K), and intercepts; K as the kernel wants it."""
        K = -(-len(members) // LANES) * LANES
        coef = np.zeros((self.problem.data.n_features, K))
        intercept = np.zeros(K)
        for k, member in enumerate(members):
            coef[:, k], intercept[k] = member.state.coef[0], member.state.intercept[0]
        return coef, intercept

    def leave(self, members):
        """Take these members out, with states of their own."""
        if members:
            for member in members:
                member.state = member.state.copy()
            self._take([m for m in self.members if m not in members])

    def epoch(self, visits):
        """Make an epoch of all members; the result of each."""
        n_rows, size = len(visits[0]), self.batch_size
        n_updates, first = -(-n_rows // size), self.members[0].state.t
        for member in self.members:
            member.method.begin(member.state)
        # Steps that do not change are one row for all updates.
        most = max(1, STEPS_AT_ONCE // len(self.intercept))
        totals = 0.0
        for done in range(0, n_updates, most):
            n = min(most, n_updates - done)
            steps = self._steps(first + done, n)
            rows = slice(done * size, (done + n) * size)
            part = [None if array is None else array[rows] for array in visits]
            totals = totals + run_stack(
                self.problem.data.X, part, self.problem.loss, size, self.coef,
                self.intercept, steps, self.l2, self.problem.fit_intercept,
            )  # fmt: skip
        results = []
        for member, total, eta in zip(self.members, totals, steps[-1], strict=False):
            member.state.t += n_updates
            results.append(
                member.method.result(member.state, float(total) / n_rows, float(eta))
            )
        return results

    def _steps(self, first, n_updates):
        """Step sizes from update `first` on, (n_updates or 1, K)."""
        eta = np.zeros(len(self.intercept))
        eta[: len(self.members)] = [m.state.eta for m in self.members]
        if all(
            schedule is schedules.constant for schedule, _ in self.schedules.values()
        ):
            return eta[None]
        steps = np.zeros((n_updates, len(eta)))
        t = np.arange(first, first + n_updates)[:, None]
        for schedule, own in self.schedules.values():
            steps[:, own] = (
                eta[own] if schedule is schedules.constant else schedule(t, eta[own])
            )
        return steps

    def objectives(self, members):
        """The objective of each member, in one pass."""
        data = self.problem.data
        totals = run_stack(
            data.X, data.visits(), self.problem.loss, data.n_rows,
            *self._columns(members),
        )  # fmt: skip
        return [
            float(total) / data.n_rows
            + penalties.value(m.state.coef, 0.0, m.method.problem.l2)
            for m, total in zip(members, totals, strict=False)
        ]
