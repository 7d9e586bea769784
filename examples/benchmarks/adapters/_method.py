"""What the benchmarks ask of a library."""

import numpy as np
import scipy.sparse as sp

ALL = "all"  # a batch size
ALPHA = 1e-4  # of the common objective: mean loss + alpha / 2 |w|^2

# Where only time is measured, a step so small that nothing diverges: the time of a
# step does not depend on it.
TINY = 1e-6


class Method:
    """A way of a library to train a linear model.

    Subclasses fill in what differs. Everything is timed by fits of a given number of
    passes over the data, because all libraries can do that.
    """

    name: str
    tasks = ("regression", "binary", "multiclass")
    sparse = True  # takes CSR matrices
    batch_sizes = (1,)  # of those the benchmarks ask for
    one_vs_rest = False  # the objective of more than two classes; else softmax
    clips = False  # predictions of a regression to the range of the targets
    has_default = True
    default_passes = None  # of the defaults, where they may take long
    direct = False  # solves without passes over the data
    # An update takes Python's time. With small batches, epochs of large data are timed
    # on some of the rows.
    python_updates = False

    def refuses(self, data):
        """Why the library can't take the data, or None."""
        if data.task not in self.tasks:
            return f"no {data.task}"
        if sp.issparse(data.X) and not self.sparse:
            return "no sparse data"
        return None

    def prepare(self, data):
        """The data as the library wants them. Takes part in no time."""
        return data

    def fit(self, data, passes, batch_size, **setting):
        """A model after some passes over the prepared data."""
        raise NotImplementedError

    def fit_default(self, data):
        """A model with the library's default parameters."""
        raise NotImplementedError

    def few_epochs(self):
        """Keywords of `fit` for a few epochs of softmax: {row of the table: ...}."""
        return {self.name: {}}

    def settings(self, data):
        """What to try for the optimum: {row of the table: keywords of `fit`, ...}."""
        return {}

    def coefficients(self, model):
        """Coefficients of shape (K, p) and intercepts of shape (K,)."""
        coef = np.atleast_2d(model.coef_)
        return coef, np.broadcast_to(np.ravel(model.intercept_), len(coef))

    def passes(self, model, asked):
        """Passes that were made, where training may end before those asked for."""
        return asked

    def usual_batch_size(self, wanted=32):
        """32 rows, or what the library can instead."""
        return wanted if wanted in self.batch_sizes else self.batch_sizes[0]


def rows_per_update(batch_size, n):
    return n if batch_size == ALL else min(batch_size, n)
