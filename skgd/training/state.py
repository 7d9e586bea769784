"""What training changes, and how it ended."""

from dataclasses import dataclass

import numpy as np

MEMORY_VERSION = 1


@dataclass
class State:
    """What training changes: coefficients (K, p), intercepts (K,), and its clock.

    `t` is the number of the next update, `eta` the eta0 handed to the schedule.
    `average` is the number of the first update whose result enters the averages;
    0 for no averaging. `velocity` is the last move of coefficients and intercepts, of
    descent with momentum.
    """

    coef: np.ndarray
    intercept: np.ndarray
    t: int = 1
    eta: float = 0.0
    average: int = 0
    average_coef: np.ndarray | None = None
    average_intercept: np.ndarray | None = None
    velocity: tuple = (None, None)

    def start_average(self, first):
        """Average the iterates from update number `first` on; 0 for none of them."""
        if first > 0:
            self.average = max(first, self.t)
            self.average_coef = np.zeros_like(self.coef)
            self.average_intercept = np.zeros_like(self.intercept)

    def averaged(self):
        """Whether the averages, not the last iterates, are the result."""
        return 0 < self.average < self.t

    def result(self):
        """The coefficients and intercepts to predict with."""
        if self.averaged():
            return self.average_coef, self.average_intercept
        return self.coef, self.intercept

    def within(self, largest):
        """Whether all coefficients are finite and at most `largest`."""
        arrays = self.result()
        # A sum of squares, quick to get, settles it nearly always.
        if sum(np.vdot(array, array) for array in arrays) < min(largest, 1e150) ** 2:
            return True
        return all(
            np.isfinite(array).all() and np.abs(array).max() <= largest
            for array in arrays
        )

    def copy(self):
        def copied(array):
            return None if array is None else array.copy(order="A")

        return State(
            copied(self.coef),
            copied(self.intercept),
            self.t,
            self.eta,
            self.average,
            copied(self.average_coef),
            copied(self.average_intercept),
            tuple(map(copied, self.velocity)),
        )


@dataclass
class Memory:
    """What the next call of `partial_fit` goes on from, besides `coef_`.

    Attributes
    ----------
    eta : float
        The eta0 that a schedule was handed.
    trained : State or None
        The state behind averaged coefficients, or with momentum.
    stream : dict or None
        The state of a stream (see `skgd.optim.streaming`), and in
    given : tuple
        the coefficients, (K, p), and intercepts that were given out with it: others are
        the user's.
    version : int
        Of what stands here; another version cannot go on from it.
    """

    eta: float = 0.0
    trained: State | None = None
    stream: dict | None = None
    given: tuple = ()
    version: int = MEMORY_VERSION


def best_of(problem, states):
    """The state with the lowest objective, and that objective."""
    objectives = [np.nan_to_num(problem.objective(s), nan=np.inf) for s in states]
    best = int(np.argmin(objectives))
    return states[best], objectives[best]
