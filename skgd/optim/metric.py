"""Statistics of the rows, and the metric that they give."""

from dataclasses import dataclass

import numpy as np

from skgd.optim.stability import largest_eigenvalue
from skgd.optim.sums import times


@dataclass
class Measured:
    """Statistics of the rows seen: what the metric and the step sizes derive from.

    `mean` and `variance` are those of each feature, `stored` is the share of rows that
    hold it (1 if X is dense). `curvature` bounds that of the loss, `smoothness` that of
    the objective in the metric; `dtype` is that of the features, `squared_weight` the
    mean of squared weights.
    """

    weight: float
    mean: np.ndarray
    variance: np.ndarray
    stored: np.ndarray
    dtype: np.dtype
    squared_weight: float = 1.0
    curvature: float = 1.0
    smoothness: float = 1.0

    def about(self, centred):
        """Origin of the features, and their mean squares about it; 0 if too small.

        The origin is their mean, or zero.
        """
        if not centred:
            return np.zeros_like(self.mean), self.variance + self.mean**2
        # What a feature varies by may be rounding errors of its mean.
        noise = 10.0 * np.finfo(self.dtype).eps * np.abs(self.mean)
        return self.mean, np.where(self.variance > noise**2, self.variance, 0.0)


@dataclass(frozen=True)
class Metric:
    """The features z = (x - mean) sqrt(scale) that steps are made in.

    `mean` and `scale` are (p,); `norm` is E|z|^2. L2 is applied once the steps since
    the last time add up to more than `lazy_budget`. A point is (K, p + 1): W and,
    behind it, the intercept of centred features.
    """

    mean: np.ndarray
    scale: np.ndarray
    norm: float
    lazy_budget: float

    def coef_and_intercept(self, point):
        coef, centred = point[:, :-1], point[:, -1]
        return coef, centred - times(coef, self.mean)


def measure(problem, rng, sample):
    """Statistics of the training rows, and a metric.

    `sample(measured)` returns rows that say more of them, or None; see `Sample`.

    Returns
    -------
    measured : Measured
    metric : Metric
    sample : Sample or None
    """
    data = problem.data
    # Squares of extreme features overflow or vanish. Such features do not move.
    with np.errstate(all="ignore"):
        measured = Measured(*data.moments(), data.dtype)
        measured.squared_weight = data.squared_weight()
        measured.curvature = problem.loss.curvature(data.targets())
        sample = sample(measured)
        metric = _metric(problem, measured)
        if sample is not None and not problem.data.sparse:
            smoothness = sample.largest_eigenvalue(metric.scale, rng)
        else:
            smoothness = largest_eigenvalue(problem, rng, metric.mean, metric.scale)
    if not np.isfinite(smoothness):
        smoothness = metric.norm
    measured.smoothness = smoothness or 1.0  # nothing moves: any step will do
    return measured, metric, sample


def _metric(problem, measured):
    """The metric: standardised features, but for those that penalties rule.

    The curvature of the objective in w_j is at most curvature * second + l2. On sparse
    data, rare features would make steps as noisy as they are rare; hence the root of
    their share, which is what makes E (sqrt(scale) x)^4 the same for all of them.
    """
    centred = problem.fit_intercept and not problem.data.sparse
    mean, second = measured.about(centred)
    spread = second / np.sqrt(np.maximum(measured.stored, 1e-300))
    scale = 1.0 / (spread + problem.l2 / measured.curvature)
    scale = np.where((second > 0.0) & np.isfinite(spread + scale), scale, 0.0)
    norm = float(np.sum(scale * second, where=scale > 0.0))
    norm += float(problem.fit_intercept)
    # L2 may be late by steps that shrink a coefficient by 2 % at most.
    strength = problem.l2 * float(scale.max(initial=0.0))
    lazy_budget = 0.02 / strength if strength > 0.0 else np.inf
    return Metric(mean, scale, norm or 1.0, lazy_budget)


def noise_share(batch_size, n_rows):
    """The share nu of one row's noise that is left in a batch of b of n rows."""
    return (n_rows - batch_size) / (batch_size * max(n_rows - 1, 1))
