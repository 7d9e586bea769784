"""The best state so far, and how long ago an epoch gained on it."""

from math import ceil, inf, isfinite, isinf, nan


class Progress:
    """The best state so far, and how long ago an epoch gained on it."""

    def __init__(self, state, method, tol, n_iter_no_change, by_score):
        self.initial = self.best = state
        self.method = method
        self.tol = tol
        # What a move that goes on does to the objective passes; see `ending`.
        self.patience = ceil(n_iter_no_change * method.inertia)
        self.by_score = by_score
        self.patient = tol is not None and (by_score or method.patient)
        self.best_value = self.best_loss = inf
        self.gap = nan  # of the best state
        self.epochs_without_gain = 0
        self.epochs_of_rise = 0
        self.latest = []  # objectives of the latest epochs

    def update(self, state, record):
        """Take in an epoch, which ended at `state`."""
        if not (self.by_score or self.method.patient):
            return
        if self.method.begins_anew():
            self.best_value = self.best_loss = inf
        tol = self.tol or 0.0
        value, loss, allowed = record["objective"], inf, inf
        if self.by_score:
            value, loss = -record["validation_score"], record["validation_loss"]
            allowed = tol
        elif isfinite(self.best_value):
            allowed = tol * self.method.to_gain(self.best_value)
        improved = (value, loss) < (self.best_value, self.best_loss)
        # A rare class may leave the accuracy as it is for long.
        gained = value < self.best_value - allowed or isinf(self.best_value)
        if self.by_score and value == self.best_value:
            gained = loss < self.best_loss - tol * abs(self.best_loss)
        if improved:
            best = state if self.by_score else self.method.evaluated(state)
            self.best = best.copy()
            self.best_value, self.best_loss = value, loss
            self.gap = record["gap"]
        self.epochs_without_gain += 1
        if gained or not self.patient:
            self.epochs_without_gain = 0
        self.epochs_of_rise += 1
        if self.by_score or not self.latest or value <= self.latest[-1]:
            self.epochs_of_rise = 0
        self.latest = [*self.latest[-3:], value]

    def ending(self, state, objective):
        """Why training ends after too many epochs without gain; None if it does not."""
        if self.epochs_without_gain < self.patience:
            return None
        if self.epochs_of_rise >= max(self.patience, 3):
            # A curve that rises has not come to rest.
            return "diverged" if self.method.diverges(objective) else None
        if self.method.lower(state):
            self.epochs_without_gain = 0
            return None
        return "early_stopping" if self.by_score else "no_progress"

    def is_falling(self):
        """Whether the last epoch was below the three before it."""
        *before, last = self.latest
        return last < min(before, default=-inf)
