"""The rows of all partitions, as the training loop sees them."""

from functools import cached_property

import numpy as np
import scipy.sparse as sp

from skgd.distributed import parts
from skgd.distributed.targets import PartTargets
from skgd.kernels import loss_totals
from skgd.training.data import LocalData, draw

MOST_BYTES = 64_000_000  # of rows that are taken to the client
MOST_LOOKED_AT = 100_000  # rows of which the client keeps multipliers, too


class PartitionedData:
    """Rows in partitions, wherever they are. As `skgd.training.data.Data`.

    Parameters
    ----------
    engine : Graph or Futures
        Of `Part` with weights of mean 1.
    described : list of dict
        What `skgd.distributed.parts.describe` says of each.
    classes : Targets or None
        Those of the loss, one for each class, with its weight.
    engines : list
        What is to be closed with the data.
    mean_weight : float
        Of the rows as they were described.
    """

    local = False

    def __init__(self, engine, described, classes=None, engines=(), mean_weight=1.0):
        self.engine, self.classes, self.engines = engine, classes, engines
        self.described, self.mean_weight = described, mean_weight
        self.sampled = None
        self.part_rows = np.array([part["n_rows"] for part in described])
        self.n_rows = int(self.part_rows.sum())
        self.n_features = described[0]["n_features"]
        self.sparse = described[0]["sparse"]
        self.dtype = np.result_type(*(part["dtype"] for part in described))
        self.order = "F" if self.sparse else "C"
        self.mean_stored = sum(part["stored"] for part in described) / self.n_rows
        row = max(sum(part["bytes"] for part in described) / self.n_rows, 1.0)
        self.most_rows = min(self.n_rows, max(1, int(MOST_BYTES / row)))

    def close(self):
        for engine in self.engines:
            engine.close()

    def check(self):
        pass  # the user's code does not reach the rows

    def visits(self):
        return range(self.n_rows), None, None

    def take(self, rows):
        if rows is None:
            rows = np.arange(self.n_rows)
        if len(rows) > self.most_rows:
            raise ValueError(f"No more than {self.most_rows} rows can be taken.")
        ends = np.cumsum(self.part_rows)
        cuts = np.searchsorted(rows, ends)
        own = [
            (rows[first:last] - start,)
            for first, last, start in zip(
                np.append(0, cuts[:-1]), cuts, ends - self.part_rows, strict=True
            )
        ]
        X, y, weight = zip(*self.engine.each(parts.rows_at, own=own), strict=True)
        X = sp.vstack(X, format="csr") if self.sparse else np.concatenate(X)
        weight = np.concatenate(weight)
        y = np.concatenate(y)
        return LocalData(X, y, None if np.all(weight == 1.0) else weight)

    def sample(self, size, rng):
        # One that was taken has others in it, which no worker need be asked for.
        if self.sampled is None or self.sampled.n_rows < min(size, self.most_rows):
            self.sampled = self.take(draw(self.n_rows, size, rng))
        return self.sampled.sample(size, rng)

    def targets(self, outputs=slice(None)):
        if self.classes is not None:
            return self.classes
        _, weight, mean, _, _ = self._moments
        mean = mean[self.n_features :][outputs]
        return PartTargets(self.engine, weight, mean, outputs)

    def totals(self, loss, intercept):
        intercept = np.asarray(intercept)[None]
        if self.classes is not None:
            return loss_totals(loss, self.classes.y, self.classes.weight, intercept)
        if loss.quadratic:
            # That of two targets for each output, of the same mean and variance.
            _, weight, mean, variance, _ = self._moments
            mean, variance = mean[self.n_features :], variance[self.n_features :]
            if np.all(np.isfinite(variance)):
                y = np.sqrt(variance) * np.array([[1.0], [-1.0]])
                return loss_totals(loss, y, np.full(2, weight / 2), intercept - mean)
        return self.engine.total(parts.totals, loss, intercept[0])[0]

    def squared_weight(self):
        return float(self._moments[0]) / self.n_rows

    def moments(self):
        _, weight, *moments = self._moments
        return weight, *(values[: self.n_features] for values in moments)

    @cached_property
    def _moments(self):
        """Of all partitions what `parts.moments` says of each.

        Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
        computing sample variances", 1979, equation 2.1.
        """
        squares = total = mean = variance = stored = 0.0
        found, unit = [part["moments"] for part in self.described], self.mean_weight
        if None in found:
            found, unit = self.engine.each(parts.moments, self.classes is not None), 1.0
        with np.errstate(over="ignore", invalid="ignore"):
            for q, w, m, v, s in found:
                q, w = q / unit**2, w / unit
                share = w / (total + w)
                distance = m - mean
                mean = mean + share * distance
                variance = variance + share * (v - variance)
                variance = variance + share * (1.0 - share) * distance**2
                stored = stored + share * (s - stored)
                squares, total = squares + q, total + w
        return squares, total, mean, variance, stored

    def largest_row(self, fit_intercept):
        return max(self.engine.each(parts.largest_row, fit_intercept))

    def loss(self, loss, coef, intercept):
        return float(self.engine.total(parts.loss_sum, loss, coef, intercept)[0])

    def multipliers(self, n_outputs):
        every = -(-self.n_rows // min(self.most_rows, MOST_LOOKED_AT))
        near = self.take(np.arange(0, self.n_rows, every)).multipliers(n_outputs)
        held = self.engine.hold(parts.offsets, n_outputs)
        return PartMultipliers(self.engine, held, near)

    def gradient(
        self, loss, coef, intercept, outputs=None, multipliers=None, exact=None
    ):
        own = None if multipliers is None else multipliers.held
        totals, gradient, slope, exact_totals = self.engine.total(
            parts.gradient, loss, coef, intercept, outputs, exact, own=own
        )
        return totals, np.asarray(gradient, order=self.order), slope, exact_totals


class PartMultipliers:
    """Multipliers that stay with the rows. As `skgd.training.data.Multipliers`.

    `near` are those of some rows, which the client has.
    """

    def __init__(self, engine, held, near):
        self.engine, self.held, self.near = engine, held, near

    def columns(self, kept):
        held = self.engine.hold(parts.offset_columns, kept, own=self.held)
        return PartMultipliers(self.engine, held, self.near.columns(kept))

    def move(self, own, loss, target, widths, point):
        moved = self.engine.hold(
            parts.move, own, loss, target, widths, *point, own=self.held
        )
        (squares,) = self.engine.total(parts.squares, own=moved)
        self.held = self.engine.hold(parts.moved, own=moved)
        self.near.predict(own, *point)
        self.near.move(own, loss, target, widths, point)
        return float(squares)

    def look(self, own, n_rows, point, fresh):
        return self.near.look(own, n_rows, point, fresh=False)
