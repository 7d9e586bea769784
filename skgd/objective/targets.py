"""What losses ask of targets: where to start, and how far they spread."""

import numpy as np


class Targets:
    """Targets in memory, and their weights.

    Rows elsewhere have a class of their own with these methods. K is the number of
    targets of a row, each of which is answered for on its own.

    Parameters
    ----------
    y : ndarray of shape (n, K), or of class indices (n, 1)
    weight : ndarray of shape (n,) or None
        None if all weigh 1.
    offset : ndarray of shape (n, K) or float
        What is added to predictions; see `skgd.objective.offset`.
    """

    def __init__(self, y, weight=None, offset=0.0):
        self.y, self.weight, self.offset = y, weight, offset

    def weights(self):
        """Weights of the rows, (n,)."""
        return np.ones(len(self.y)) if self.weight is None else self.weight

    def mean(self):
        """The mean by weight, (K,)."""
        return np.average(self.y, axis=0, weights=self.weight)

    def largest(self):
        """The largest target of all."""
        return np.max(self.y)

    def quantile(self, level):
        """The quantile by weight, (K,)."""
        return weighted_quantile(self.y, self.weight, level)

    def distances(self, centre):
        """The distances from a centre, (K,), as targets."""
        return Targets(np.abs(self.y - centre), self.weight)

    def class_totals(self, n_classes):
        """The weight of each class, (n_classes,), of class indices."""
        index = self.y[:, 0].astype(np.intp)
        return np.bincount(index, self.weight, minlength=n_classes)


def weighted_quantile(y, weight, level):
    """Quantile of each column of y by weight: the mean of the lower and the upper one.

    A row of weight 2 counts as two rows.
    """
    if weight is None:
        return np.quantile(y, level, axis=0, method="averaged_inverted_cdf")
    result = []
    for column in y.T:
        order = np.argsort(column)
        below = np.cumsum(weight[order])
        level_of_weight = level * below[-1]
        low = np.searchsorted(below, level_of_weight, side="left")
        high = np.searchsorted(below, level_of_weight, side="right")
        ends = order[np.minimum([low, high], len(order) - 1)]
        result.append(column[ends].mean())
    return np.array(result)
