"""The rows that a problem is about, and the sums over them that training needs."""

from copy import copy
from functools import cached_property
from typing import Protocol

import numpy as np
from sklearn.utils.extmath import row_norms

from skgd.kernels import (
    Rows,
    feature_moments,
    loss_at,
    loss_gradient,
    loss_totals,
    predictions_at,
    second_moments,
)
from skgd.objective.targets import Targets
from skgd.training.blocks import blocks_of


class Data(Protocol):
    """Training rows with their targets and weights.

    Methods of whole passes need no more than this, which is sums over rows: another
    class may hold rows elsewhere. Targets are what the loss takes, class indices among
    them; weights have mean 1 in `fit`.

    `totals` is called once per fit, by `Problem`; `targets`, `moments` and
    `squared_weight` a few times, by what chooses starts and steps, and so is `sample`;
    `largest_row` by textbook steps only; `loss` and `gradient` once per pass over the
    rows.
    """

    n_rows: int
    n_features: int
    sparse: bool
    dtype: np.dtype  # of X
    order: str  # "C" or "F": the memory order of coefficients
    mean_stored: float  # stored values per row
    local: bool  # whether rows are in the memory of this process
    most_rows: int  # that `take` and `sample` may be asked for

    def close(self):
        """Let go of what the rows took; nothing is asked afterwards."""

    def check(self):
        """Raise ValueError if X, which the user's code may change, cannot be read."""

    def visits(self):
        """All rows as they are; of rows elsewhere, their number is all that is told."""

    def take(self, rows) -> "LocalData":
        """Some rows, in memory; None for all of them."""

    def sample(self, size, rng) -> "LocalData":
        """At most so many rows at random, in memory and in their order."""

    def targets(self, outputs=slice(None)):
        """The targets of these outputs, see `skgd.objective.targets`."""

    def totals(self, loss, intercept):
        """Sums of weight times loss at W = 0, one for each output."""

    def squared_weight(self) -> float:
        """Mean of squared weights."""

    def moments(self):
        """Sum of weights; mean, variance and share of stored values by feature."""

    def largest_row(self, fit_intercept) -> float:
        """The largest squared norm of a row, times its weight."""

    def loss(self, loss, coef, intercept) -> float:
        """Sum of weight times loss."""

    def multipliers(self, n_outputs):
        """Zeros, one for each row and output; see `Multipliers`."""

    def gradient(
        self, loss, coef, intercept, outputs=None, multipliers=None, exact=None
    ):
        """Sums of weight times loss, and of their gradients in W and b.

        The targets are those of `outputs`, all of them by default. Multipliers shift
        the predictions; `exact` is a loss whose sums are wanted without them.
        Returns as `skgd.kernels.loss_gradient`.
        """


def draw(n_rows, size, rng):
    """Which of n rows to look at, in order, if not at more than `size`; None: all."""
    return np.sort(rng.choice(n_rows, size, replace=False)) if size < n_rows else None


class LocalData:
    """Rows in the memory of this process.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, p)
        Read in place.
    y : ndarray of shape (n_rows, K), or of class indices (n_rows, 1)
        Targets of the rows trained on.
    weight : ndarray of shape (n_rows,) or None
        Their weights; None if all weigh 1.
    rows : ndarray of intp of shape (n_rows,) or None
        Which rows of X those are; None for all of them.
    n_offsets : int
        How many of the columns of y are offsets, the last ones; see
        `skgd.objective.offset`.
    """

    local = True

    def __init__(self, X, y, weight=None, rows=None, n_offsets=0):
        self.n_targets = y.shape[1] - n_offsets
        self.array, self.X = X, Rows(X)
        self.y, self.weight, self.rows = y, weight, rows
        self.n_features = X.shape[1]
        self.sparse, self.order = self.X.sparse, self.X.order
        self.dtype, self.mean_stored = X.dtype, self.X.mean_stored
        self._column = None, None  # outputs, and their targets
        self.blocks = blocks_of(X)

    @property
    def n_rows(self):
        return len(self.y)

    @property
    def most_rows(self):
        return self.n_rows

    def visits(self, order=None, buffers=(None, None)):
        """Rows of X, targets and weights in the order of visits; None: as they are.

        The latter two are written to the arrays of `buffers`, if there are any.
        """
        if order is None:
            return self._all_rows, self.y, self.weight
        rows = order if self.rows is None else self.rows[order]
        # Indices are in range; to find out would take a copy of the result.
        y = self.y.take(order, axis=0, out=buffers[0], mode="clip")
        weight = self.weight
        if weight is not None:
            weight = weight.take(order, out=buffers[1], mode="clip")
        return rows, y, weight

    def random_order(self, generator):
        """A random order of visits."""
        if self.blocks is not None:
            return self.blocks.order(self.n_rows, generator)
        return generator.permutation(self.n_rows)

    def pieces(self, visits, batch_size):
        """The visits in pieces of whole batches, to be visited one after the other."""
        if self.blocks is None:
            return [visits]
        return self.blocks.pieces(visits, batch_size)

    @cached_property
    def _all_rows(self):
        return np.arange(self.n_rows) if self.rows is None else self.rows

    def close(self):
        pass

    def check(self):
        self.X.check()

    def take(self, rows):
        if rows is None:
            return self
        taken = copy(self)
        taken.rows, taken.y, taken.weight = self.visits(rows)
        taken._all_rows, taken._column = taken.rows, (None, None)
        return taken

    def sample(self, size, rng):
        return self.take(draw(self.n_rows, size, rng))

    def targets(self, outputs=slice(None)):
        y = self.y[:, : self.n_targets]
        return Targets(y[:, outputs], self.weight, self.offset(outputs))

    def offset(self, outputs=slice(None)):
        """What is added to predictions of these outputs, (n_rows, k), or 0."""
        offsets = self.y[:, self.n_targets :]
        return offsets[:, outputs] if offsets.shape[1] else 0.0

    def labels(self, output, by_class):
        """The targets of an output, (n_rows, 1); by class, 1 and -1."""
        if by_class:
            return np.where(self.y[:, :1] == output, 1.0, -1.0)
        return self.y[:, output : output + 1]

    def totals(self, loss, intercept):
        return loss_totals(loss, self.y, self.weight, np.asarray(intercept)[None])

    def squared_weight(self):
        return 1.0 if self.weight is None else float(np.mean(self.weight**2))

    def moments(self):
        return feature_moments(self.X, self._all_rows, self.weight)

    def largest_row(self, fit_intercept):
        with np.errstate(over="ignore"):
            norms = row_norms(self.array, squared=True)[self._all_rows]
            norms = norms.astype(np.float64) + float(fit_intercept)
            if self.weight is not None:
                norms *= self.weight
        return float(norms.max())

    def second_moments(self, h, mean, root, fit_intercept):
        """Sum of h z z', where z = (x - mean) root, and 1 behind it: (p + 1, p + 1)."""
        return second_moments(self.X, self._all_rows, h, mean, root, fit_intercept)

    def predictions(self, coef, intercept):
        """Linear ones, (n_rows, K)."""
        coef = np.array(coef, order=self.order)
        return predictions_at(self.X, self._all_rows, coef, intercept)

    def loss(self, loss, coef, intercept):
        return loss_at(self.X, *self.visits(), loss, coef, intercept)

    def multipliers(self, n_outputs):
        return Multipliers(self, np.zeros((self.n_rows, n_outputs)))

    def gradient(
        self, loss, coef, intercept, outputs=None, multipliers=None, exact=None
    ):
        offset = z = None
        if multipliers is not None:
            offset, z = multipliers.offset, multipliers.z
        return loss_gradient(
            self.X, self._all_rows, self._targets_of(outputs), self.weight, loss, coef,
            intercept, offset, z, exact,
        )  # fmt: skip

    def _targets_of(self, outputs):
        if outputs is None:
            return self.y
        key, columns = self._column
        if key != (key := tuple(outputs)):
            own = outputs if self.n_targets > 1 else [0]
            if self.y.shape[1] > self.n_targets:
                own = np.concatenate([own, self.n_targets + outputs])
            columns = np.ascontiguousarray(self.y[:, own])
            self._column = key, columns
        return columns


class Multipliers:
    """Those of a loss with kinks; see `skgd.optim.finish`.

    Attributes
    ----------
    offset : ndarray of shape (n_rows, k)
        Each times the width of its envelope, which is added to the predictions.
    z : ndarray of shape (n_rows, k)
        Those predictions, where the last pass was.
    """

    def __init__(self, data, offset):
        self.data, self.offset, self.z = data, offset, np.zeros_like(offset)

    def columns(self, kept):
        """Those of some of the outputs."""
        new = Multipliers(self.data, np.ascontiguousarray(self.offset[:, kept]))
        new.z = np.ascontiguousarray(self.z[:, kept])
        return new

    def predict(self, own, coef, intercept):
        """Set the predictions of some outputs, as a pass there does."""
        self.z[:, own] = self.data.predictions(coef, intercept) + self.offset[:, own]

    def move(self, own, loss, target, widths, point):
        """Make those of one output the slopes of its envelope where the last pass was.

        `target` is what `LocalData.labels` takes, `widths` that of the envelope, and
        the one from now on; `point` is W and b there, for those who do not know z.
        Returns the sum of weight d m^2.
        """
        width, next_width = widths
        y = self.data.labels(*target)
        z = self.z[:, own] + self.data.offset(slice(target[0], target[0] + 1))
        _, m = loss.value_and_slope(y, z, width)
        self.offset[:, own] = next_width * m
        squares = (m * self.offset[:, own])[:, 0]
        if self.data.weight is not None:
            squares *= self.data.weight
        return float(squares.sum())

    def look(self, own, n_rows, point, fresh):
        """About so many rows, and the predictions of an output with its multipliers.

        `fresh` says that the last pass was at `point`.
        """
        every = -(-self.data.n_rows // n_rows)
        data = self.data.take(np.arange(0, self.data.n_rows, every))
        if fresh:
            return data, self.z[::every, own]
        return data, data.predictions(*point) + self.offset[::every, own]
