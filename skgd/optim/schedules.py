"""Schedules: step sizes as functions of the update number t.

A schedule is called as `schedule(t, eta0)` with an array t of update numbers, the
first being 1. It returns an array of step sizes: one for each, or one for all.
"""

import numpy as np


def constant(t, eta0):
    return np.array([eta0])


def steps(schedule, first, n_updates, eta0):
    """Step sizes from update number `first` on: one for each, or one for all."""
    if schedule is constant:
        # To count the updates can take a tenth of an epoch, if rows are short.
        return constant(first, eta0)
    return schedule(np.arange(first, first + n_updates), eta0)


class InverseScaling:
    """eta0 / t^power_t."""

    def __init__(self, power_t):
        self.power_t = power_t

    def __call__(self, t, eta0):
        return eta0 / np.asarray(t, dtype=np.float64) ** self.power_t


class Optimal:
    """1 / (alpha (t0 + t - 1)), with t0 such that the first step is alpha^(-1/4).

    The rule of SGDClassifier, due to L. Bottou. It knows nothing of the data and
    takes no eta0.
    """

    def __init__(self, alpha):
        self.alpha = alpha
        self.t0 = alpha**-0.75

    def __call__(self, t, eta0=None):
        return 1.0 / (self.alpha * (self.t0 + np.asarray(t, dtype=np.float64) - 1.0))


class Checked:
    """A user's callable, with its answers checked."""

    def __init__(self, function):
        self.function = function

    def __call__(self, t, eta0):
        try:
            eta = np.asarray(self.function(t, eta0), dtype=np.float64)
        except (TypeError, ValueError) as error:
            if np.ndim(t) and self.serves_numbers(eta0):
                raise ValueError(
                    "A callable learning_rate is given an array t of numbers of "
                    "updates, and returns as many step sizes: use np.where(t < 10, "
                    "a, b) for `a if t < 10 else b`, and np.exp for math.exp."
                ) from error
            raise
        if eta.shape not in ((), (1,), t.shape):
            raise ValueError(
                "A callable learning_rate must return one step size for each update: "
                f"expected shape {t.shape}, got {eta.shape}."
            )
        if not np.all(np.isfinite(eta)) or np.any(eta < 0):
            raise ValueError(
                "A callable learning_rate must return finite, nonnegative step sizes."
            )
        return np.ascontiguousarray(eta).reshape(-1)

    def serves_numbers(self, eta0):
        """Whether the function takes a number for t."""
        try:
            return np.asarray(self.function(1, eta0), dtype=np.float64).ndim == 0
        except Exception:
            return False


# Name -> (what makes it, names of the estimator parameters it takes).
SCHEDULES = {
    "constant": (lambda: constant, ()),
    "invscaling": (InverseScaling, ("power_t",)),
    "optimal": (Optimal, ("alpha",)),
}


def make_schedule(learning_rate, parameters):
    """The schedule named (or given) by `learning_rate`."""
    if callable(learning_rate):
        return Checked(learning_rate)
    if learning_rate == "adaptive":
        return constant  # the training loop lowers eta0 at a plateau
    make, names = SCHEDULES[learning_rate]
    return make(*(parameters[name] for name in names))
