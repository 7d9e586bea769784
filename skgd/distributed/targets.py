"""Means and quantiles of targets over partitions."""

import numpy as np

from skgd.distributed import parts

BINS = 1000  # of a partition, in which a quantile is looked for


class PartTargets:
    """Targets in partitions. As `skgd.objective.targets.Targets`.

    Parameters
    ----------
    engine : Graph or Futures
    weight : float
        Of all rows.
    mean : ndarray or None
        Of the targets, as far as it is known.
    outputs : slice
    centre : ndarray or None
        If given, targets are the distances from it.
    """

    def __init__(self, engine, weight, mean=None, outputs=slice(None), centre=None):
        self.engine, self.weight, self.known_mean = engine, weight, mean
        self.which = outputs, centre

    def mean(self):
        if self.known_mean is None:
            (total,) = self.engine.total(parts.target_sums, *self.which)
            self.known_mean = total / self.weight
        return self.known_mean

    def largest(self):
        return max(self.engine.each(parts.largest_target, *self.which))

    def distances(self, centre):
        return PartTargets(self.engine, self.weight, None, self.which[0], centre)

    def quantile(self, level):
        columns = range(len(self.mean()))
        return np.array([self._quantile(level * self.weight, k) for k in columns])

    def _quantile(self, wanted, column):
        """The mean of the least targets up to which `wanted` is reached, and passed.

        Each round narrows an interval that holds both; the last one knows all targets
        in it.
        """
        low, high, n_bins = -np.inf, np.inf, BINS
        while True:
            bins = self.engine.each(
                parts.target_bins, *self.which, column, low, high, n_bins
            )
            ends = np.unique(np.concatenate([ends for _, ends, _, _ in bins]))
            # What all partitions weigh up to each end, at least and at most.
            least, most = np.zeros((2, len(ends)))
            for below, own, weights, _ in bins:
                sums = below + np.append(0.0, np.cumsum(weights))
                least += sums[np.searchsorted(own, ends, side="right")]
                after = np.searchsorted(own, ends, side="left") + 1
                most += sums[np.minimum(after, len(weights))]
            if all(exact for *_, exact in bins):
                first = np.searchsorted(least, wanted, side="left")
                second = np.searchsorted(least, wanted, side="right")
                return ends[np.minimum([first, second], len(ends) - 1)].mean()
            n_bins *= 2  # so that it ends where the interval stays
            before, after = most < wanted, least > wanted
            low = ends[before].max(initial=low)
            high = ends[after].min(initial=high)
