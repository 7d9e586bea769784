"""Step sizes at which gradient descent is stable."""

import numpy as np

from skgd.kernels import loss_gradient
from skgd.objective.regression import SquaredError
from skgd.optim.quasi_newton import inner


def stable_step(problem, batch_size, rng):
    """A step size at which gradient descent with batches of b rows is stable.

    It is 1 / (2 L(b)), with L(b) the expected smoothness of the objective. With L its
    smoothness and L_max the largest of one row's loss,

        L(b) = n (b - 1) / (b (n - 1)) L + (n - b) / (b (n - 1)) L_max

    Gower, Loizou, Qian, Sailanbayev, Shulgin and Richtarik, "SGD: General analysis and
    improved rates", ICML 2019, proposition 3.8 and theorem 3.1.

    Parameters
    ----------
    problem : Problem
    batch_size : int
        Rows per update, at most the training rows.
    rng : Generator

    Returns
    -------
    float
    """
    n, data = problem.n_rows, problem.data
    largest = smoothness = data.largest_row(problem.fit_intercept)
    if batch_size > 1 and np.isfinite(largest):
        # Scaled, so that squares neither overflow nor vanish.
        scale = largest or 1.0
        ones = np.ones(data.n_features)
        overall = scale * largest_eigenvalue(
            problem, rng, 0.0 * ones, ones / scale, scale
        )
        smoothness = (
            n * (batch_size - 1) * min(overall, largest) + (n - batch_size) * largest
        ) / (batch_size * (n - 1))
    smoothness = problem.loss.curvature(data.targets()) * smoothness + problem.l2
    # The square of a feature of 1e200 is too large for a double.
    return 1.0 / (2.0 * min(smoothness, 1e307)) if smoothness > 0.0 else 1.0


def largest_eigenvalue(problem, rng, mean, scale, unit=1.0, max_rows=1000, n_iter=20):
    """Largest eigenvalue of the mean of s_i z_i z_i' by the power method.

    z_i is (x_i - mean) sqrt(scale), with the intercept's 1 / sqrt(unit) behind it. The
    mean is over at most `max_rows` random rows.
    """
    data, K = problem.data.sample(max_rows, rng), 1
    rows, _, weight = data.visits()
    root, zeros = np.sqrt(scale), np.zeros((len(rows), K))
    one = float(problem.fit_intercept) / np.sqrt(unit)
    v, v0 = rng.standard_normal(data.n_features), rng.standard_normal()
    eigenvalue = 0.0
    for _ in range(n_iter):
        norm = np.sqrt(inner(v, v) + v0 * v0)
        if norm == 0.0 or not np.isfinite(norm):
            break
        # Half of the squared predictions has the product as its gradient.
        coef, b = root * v / norm, one * v0 / norm
        _, gradient, slope, _ = loss_gradient(
            data.X, rows, zeros, weight, SquaredError(), coef.reshape(K, -1),
            np.array([b - inner(mean, coef)]),
        )  # fmt: skip
        v = root * (gradient[0] - mean * slope[0]) / len(rows)
        v0 = one * slope[0] / len(rows)
        eigenvalue = float(np.sqrt(inner(v, v) + v0 * v0))
    return eigenvalue
