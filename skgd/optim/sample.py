"""The curvature of the objective in standardised features, by a sample of rows."""

import contextlib

import numpy as np
from scipy.linalg.lapack import dpotrf
from threadpoolctl import threadpool_limits  # scikit-learn has it

from skgd.optim.quasi_newton import largest_eigenvalue
from skgd.optim.sums import times

# Rows of the sample, or this many for each feature; with a tenth of both, hinge took
# three times as many epochs on 327,000 rows.
SAMPLE, ROWS_A_FEATURE = 5000, 10
# It is all rows if their variances differ from its own by more, in logarithms, and
# features of each output are no more than this.
SKEWED, FEW = 0.7, 60
COST = 300.0  # products, in those of a pass; p of 100 to 300: 31 epochs without, 8
UNSHARED = 100  # rows of a matrix that LAPACK factorises by one thread anyway
COUPLED = 300  # coefficients of a softmax whose curvature is made as a whole, at most
RIDGE = (
    1e-12  # of the bound of the curvature; 1e-8 hides what is left of lognormal(0, 4)
)


class Sample:
    """Rows that tell the curvature of the objective in standardised features."""

    def __init__(self, problem, mean, second, rng):
        self.problem, self.mean = problem, mean
        self.root = reciprocal(np.sqrt(second))
        self.penalty = np.append(problem.l2 * self.root**2, 0.0)
        n, m = problem.n_rows, self.size(problem)
        self.take(m, rng)
        variances = np.diag(self.moments)[:-1][self.root > 0.0]
        few = len(self.penalty) <= FEW * problem.n_outputs
        if m < n and few and not np.all(np.abs(np.log(variances)) < SKEWED):
            # A few rows make the variance, of which the sample has too few.
            self.take(problem.data.most_rows, rng)

    def take(self, size, rng):
        self.data = self.problem.data.sample(size, rng)
        self.n_rows = self.data.n_rows
        self.moments = self.products(self.data, self.data.weight) / self.n_rows

    @staticmethod
    def size(problem):
        """Rows that are taken."""
        many = max(SAMPLE, ROWS_A_FEATURE * (problem.data.n_features + 1))
        return min(problem.n_rows, many)

    @classmethod
    def is_worth_it(cls, problem):
        """Whether products of features take no longer than some passes."""
        X, n = problem.data, problem.n_rows
        size = X.n_features + 1
        pass_over_all = n * problem.n_outputs * max(X.mean_stored, 1.0)
        # With more features than rows, rounding errors are what would be amplified.
        rows = cls.size(problem)
        return (
            n > size and rows <= X.most_rows and rows * size**2 <= COST * pass_over_all
        )

    def serves(self, n_outputs):
        """Whether the curvature of so many coupled outputs can be looked at."""
        size = n_outputs * len(self.moments)
        work = 0.5 * size * n_outputs * self.n_rows
        if size >= self.problem.n_rows:
            return False
        return n_outputs == 1 or (
            size <= COUPLED and work <= COST * self.problem.n_rows
        )

    def products(self, data, h):
        """Sum of h z z' over rows, (p + 1, p + 1)."""
        return data.second_moments(h, self.mean, self.root, self.problem.fit_intercept)

    def largest_eigenvalue(self, scale, rng):
        """That of the moments, with features times sqrt(scale)."""
        ratio = np.append(np.sqrt(scale) * reciprocal(self.root), 1.0)
        start = rng.standard_normal(len(ratio))
        return largest_eigenvalue(self.moments, ratio, start)

    def regular(self, curvature, bound):
        """The curvature with that of the penalty, and a ridge.

        `bound` is that of the curvature of the loss.
        """
        matrix = curvature.copy()
        diagonal = matrix.reshape(-1)[:: len(matrix) + 1]
        ridge = max(RIDGE * bound, 1e-300)
        diagonal.reshape(-1, len(self.penalty))[:] += self.penalty + ridge
        return matrix


def cholesky(matrix):
    """The lower Cholesky factor; None if there is none."""
    # LAPACK shares larger ones among threads, on whose number the last bits depend.
    limits = contextlib.nullcontext()
    if len(matrix) > UNSHARED:
        limits = threadpool_limits(1, user_api="blas")
    with limits:
        factor, bad = dpotrf(matrix, lower=1)
    return None if bad or not np.isfinite(factor.trace()) else factor


def reciprocal(array):
    """1 / array, and 0 where that is 0."""
    return np.divide(1.0, array, out=np.zeros_like(array), where=array > 0.0)


class Coordinates:
    """u = (W / root, b + W mean): those of standardised features."""

    def __init__(self, mean, root):
        self.mean = mean
        self.root = np.append(root, 1.0)
        self.inverse_root = reciprocal(self.root)

    def of(self, coef, intercept):
        centred = intercept + times(coef, self.mean)
        return np.column_stack([coef, centred]) * self.inverse_root

    def coefs(self, u):
        point = u * self.root
        coef = point[:, :-1]
        return coef, point[:, -1] - times(coef, self.mean)
