"""The ways of an output to its optimum with L1."""

import numpy as np
from scipy.linalg.lapack import dpotrs

from skgd.objective import penalties
from skgd.optim.descent import Descent
from skgd.optim.quasi_newton import inner, quadratic_with_l1
from skgd.optim.sample import cholesky


def least_norm(u, g, l1):
    """The subgradient of least norm of g(u) + l1 |u|."""
    return np.where(u != 0.0, g + l1 * np.sign(u), penalties.shrink(g, l1))


class Orthant(Descent):
    """L-BFGS with L1: each step stays in the orthant that it starts from.

    Andrew and Gao, "Scalable training of L1-regularized log-linear models", ICML 2007.
    """

    steps_by_sample = False

    def thresholds(self):
        l1 = self.problem.l1 * self.coordinates.root
        l1[-1] = 0.0
        return l1

    def propose(self):
        u, smooth = self.u, self.gradient
        self.gradient = g = least_norm(u, smooth, self.thresholds())
        self.orthant = np.where(u != 0.0, np.sign(u), -np.sign(g))
        super().propose()
        self.gradient = smooth
        self.d = np.where((self.d * g < 0.0) | self.is_intercept(), self.d, 0.0)
        self.least, self.slope = g, inner(g, self.d)

    def is_intercept(self):
        mask = np.zeros(self.u.shape, dtype=bool)
        mask[:, -1] = True
        return mask

    def trial(self, t):
        u = super().trial(t)
        return np.where((u * self.orthant > 0.0) | self.is_intercept(), u, 0.0)

    def is_enough(self, trial, t, new):
        return new <= self.value + 1e-4 * inner(self.least, trial - self.u)

    def is_long(self, gradient):
        return True

    def to_fall(self):
        # What is zero, and may stay so, does not move.
        coef, l1 = self.point[0], self.problem.l1
        g = np.column_stack(
            [least_norm(coef, self.centred[:, :-1], l1), self.centred[:, -1]]
        )
        free = self.is_intercept() | (g != 0.0)
        free[:, :-1] |= coef != 0.0
        return g, free.ravel()


class Matrix:
    """The Hessian as BFGS sees it, from a given one on; see `Pairs`."""

    def __init__(self, start):
        self.start = start
        self.count = 0

    @property
    def count(self):
        return self._count

    @count.setter
    def count(self, count):
        self._count = count
        if count == 0:
            self.matrix = self.start.copy()

    def add(self, s, y):
        s, y = s.ravel(), y.ravel()
        Bs = np.einsum("ij,j->i", self.matrix, s)
        self.matrix += np.outer(y, y / inner(s, y)) - np.outer(Bs, Bs / inner(s, Bs))
        self._count += 1


def minimise_with_l1(B, g, u, l1):
    """The v that minimises g'(v - u) + (v - u)'B(v - u)/2 + sum_j l1_j |v_j|.

    Coordinate descent finds the signs; as it is slow where features are nearly equal, a
    linear system then gives the values, as long as the signs hold.
    """
    v = quadratic_with_l1(B, g, u, l1)
    for _ in range(len(u)):
        kept = (v != 0.0) | ((l1 == 0.0) & (B.diagonal() > 0.0))
        slope = g + np.einsum("ij,j->i", B, v - u) + l1 * np.sign(v)
        factor = cholesky(B[kept][:, kept])
        if factor is None:
            break
        d = np.zeros_like(v)
        d[kept] = -dpotrs(factor, slope[kept], lower=1)[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = np.where((l1 > 0.0) & (v * d < 0.0), -v / d, np.inf)
        first = crossing.min(initial=np.inf)
        new = v + min(first, 1.0) * d
        if first < 1.0:
            new[crossing == first] = 0.0
        if not np.isfinite(new).all():
            break
        v = new
        if first >= 1.0:
            # Coefficients of zero may want to move again.
            slope = g + np.einsum("ij,j->i", B, v - u)
            if not np.any((v == 0.0) & (np.abs(slope) > l1 * (1.0 + 1e-9) + 1e-300)):
                break
            v = quadratic_with_l1(B, g + np.einsum("ij,j->i", B, v - u), v, l1)
    return v


class Proximal(Orthant):
    """L-BFGS's place with L1 where features are few: the Hessian is kept as a matrix.

    A step minimises the quadratic that it makes, and L1, by coordinate descent (Lee,
    Sun and Saunders, "Proximal Newton-type methods for minimizing composite functions",
    SIAM J. Optim. 24, 2014, section 2.3).
    """

    steps_by_sample = True

    def remembered(self, n_pairs, dimension):
        moments = self.curvature * self.finish.sample.moments
        return Matrix(
            self.finish.sample.regular(
                np.kron(np.eye(dimension // len(moments)), moments), self.curvature
            )
        )

    def go_on_by(self, curvature):
        self.memory.start = self.finish.sample.regular(curvature, self.curvature)

    def propose(self):
        l1 = np.tile(self.thresholds(), len(self.u))
        u, g = self.u.ravel(), self.gradient.ravel()
        new = minimise_with_l1(self.memory.matrix, g, u, l1)
        self.target = new.reshape(self.u.shape)
        self.d = self.target - self.u
        self.slope = inner(g, new - u) + inner(l1, np.abs(new) - np.abs(u))

    def trial(self, t):
        return self.target if t == 1.0 else self.u + t * self.d

    def is_enough(self, trial, t, new):
        return new <= self.value + 1e-4 * t * self.slope
