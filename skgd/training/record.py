"""Records of updates and of epochs."""

import numpy as np

# More updates than this are thinned out in their record.
RECORDED_UPDATES = 1_000_000


class UpdateRecord:
    """Number of each update and the objective of its batch, at most `size` of them.

    If there are more, those whose number is a multiple of 2 are kept, or of 4, ...
    """

    def __init__(self, update=(), objective=(), size=RECORDED_UPDATES):
        self.update = [np.asarray(update, dtype=np.int64)]
        self.objective = [np.asarray(objective, dtype=np.float64)]
        self.size = size
        self.every = 1

    def add(self, first, objectives):
        """Record the updates from number `first` on."""
        last = first + len(objectives) - 1
        while last // self.every > self.size:
            self.every *= 2
            (update, objective) = self.columns().values()
            kept = update % self.every == 0
            self.update, self.objective = [update[kept]], [objective[kept]]
        start = first + -first % self.every
        self.update.append(np.arange(start, last + 1, self.every))
        self.objective.append(objectives[start - first :: self.every])

    def columns(self):
        """The record as one array each."""
        return {
            "update": np.concatenate(self.update),
            "objective": np.concatenate(self.objective),
        }


class PathRecord:
    """Coefficients and intercepts before training and after each epoch."""

    def __init__(self, state):
        self.coef, self.intercept = [], []
        self.add(state)

    def add(self, state):
        coef, intercept = state.result()
        self.coef.append(coef.copy())
        self.intercept.append(intercept.copy())
