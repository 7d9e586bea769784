"""The way of one output to its optimum: a quasi-Newton method that says what is left.

`Descent.run` is a generator: it yields the points that it wants to know, and is sent
the objective and its gradient there. `Finish` makes the passes over the rows, which the
outputs share. See there for losses with kinks.
"""

import numpy as np
from scipy.linalg.lapack import dpotrs, dtrtrs

from skgd import _penalties
from skgd._curvature import RIDGE, SAMPLE, Coordinates, cholesky, reciprocal
from skgd._quasi_newton import Pairs, inner, quadratic_with_l1

# Constants, with what they were chosen by: medians and ninth deciles of epochs over 120
# tables, where nothing else is said.
WIDTH = 0.1  # of an envelope, times 1 / curvature; 0.01: 73 epochs instead of 46
INNER = 0.1  # what A may be off by when multipliers change, times F - A; flat
# The same where the curvature is known: the width then falls with each change, by half,
# from the first to the second. (166 problems: median, ninth decile and mean of epochs
# 32, 61, 36; with one width 56, 148, 84; to 1e-3 instead of 1e-2 32, 76, 72.)
WIDTHS, FALL, INNER_NEWTON = (1.0, 1e-2), 0.5, 3e-3
DAMPING, LEAST_DAMPING = 1e-3, 1e-6  # of the curvature of an envelope, in its bound
NEWTON = 2.0  # times Newton's decrement may be left; 1: only 96.5 % are within tol
PRODUCTS_OF_A_PASS = 30.0  # that take as long, for each value that a pass reads
PRODUCTS, LAST, ADDED = 200, 10, 0.05  # see `Descent.decrement_by_products`
WAIT = 3  # epochs between two looks at the curvature, or a third of all
SHARE, LEFT, SHORTEST = 0.8, 20.0, 4  # see `Descent.likely`
SURE = 1e4


class Descent:
    """L-BFGS on the objective of one output, or of all of a loss that couples them.

    Liu and Nocedal, "On the limited memory BFGS method for large scale optimization",
    Math. Program. 45, 1989. `gap` is the estimate of (F - F*) / (F_const - F*), F_const
    that of the best constant model.

    Parameters
    ----------
    finish : Finish
        Whose passes are shared; it has the data.
    outputs : slice
        Which of its outputs these are.
    reference : float
        F_const.
    curvature : float
        A bound of that of the loss.
    second : ndarray of shape (p,)
        Mean squares of the features.
    n_pairs : int
        Moves remembered.
    """

    steps_by_sample = True  # if there is one

    def __init__(self, finish, outputs, reference, curvature, second, n_pairs):
        self.finish, self.problem, self.outputs = finish, finish.problem, outputs
        self.sample = finish.sample if self.steps_by_sample else None
        self.reference = reference
        self.kinked = finish.problem.loss.kinked
        self.newton = self.has_own_curvature()
        self.width = self.least_width = 0.0
        self.curvature = curvature
        if self.kinked:
            widths = WIDTHS if self.newton else (WIDTH, WIDTH)
            self.width, self.least_width = (width / curvature for width in widths)
            self.curvature = finish.single.envelope_curvature(self.width)
        jumps = self.kinked or finish.single.curvature_jumps
        self.damping = DAMPING if jumps else 0.0
        self.next_curvature, self.local, self.local_at = 0, None, None
        self.longest = 1.0 / (curvature * finish.measured.smoothness)
        self.first = 1.0 / (self.curvature * finish.measured.smoothness)
        self.factor = None  # Cholesky's, of the curvature that steps start from
        self.coordinates = self.standardised(second, curvature)
        size = (outputs.stop - outputs.start) * len(self.coordinates.root)
        self.memory = self.remembered(n_pairs, size)
        self.best_exact, self.best_norm = np.inf, np.nan  # F, and |grad F| there
        self.lowest, self.expected = [], []  # F so far, decrease of A; by iteration
        self.gap = np.nan
        self.looked, self.next_look = None, 0  # what a look said is left, and F there
        self.claimed = None  # what was left, and A, at the iteration before
        self.answer = self.accepted = None  # of the last pass; at the present point
        self.n_inner = 0  # iterations since the multipliers changed,
        self.raised = True  # which raised A then
        self.ended = None
        self.constant = 0.0  # of A: mean of s d m^2 / 2

    # --------------------------------------------------- what L1 does in another way

    def remembered(self, n_pairs, dimension):
        if self.sample is not None:
            self.go_on_by(self.curvature * self.sample.moments)
        return Pairs(n_pairs, dimension)

    def standardised(self, second, curvature):
        mean = self.finish.mean
        if self.sample is not None:
            return Coordinates(mean, self.sample.root)
        scale = reciprocal(second + self.problem.l2 / curvature)
        return Coordinates(mean, np.sqrt(np.where(second > 0.0, scale, 0.0)))

    def go_on_by(self, curvature):
        """Start from this curvature, and forget the moves."""
        factor = cholesky(self.finish.sample.regular(curvature, self.curvature))
        if factor is not None:
            self.factor = factor

    def solve(self, g):
        if len(self.factor) == g.size:
            d = dpotrs(self.factor, g.ravel(), lower=1)[0].reshape(g.shape)
            if len(g) > 1:
                # A softmax does not know its level, along which rounding errors grow.
                level = slice(None) if not self.problem.l2 else slice(-1, None)
                d[:, level] -= d[:, level].mean(axis=0)
            return d
        return dpotrs(self.factor, g.T, lower=1)[0].T

    def propose(self):
        """Set the direction, and the slope of A along it."""
        g = self.gradient
        if self.factor is None and self.memory.count == 0:
            self.d = -self.first * g
        else:
            solve = None if self.factor is None else self.solve
            self.d = -self.memory.times(g, solve)
        self.slope = inner(g, self.d)

    def trial(self, t):
        return self.u + t * self.d

    def is_enough(self, trial, t, new):
        return new <= self.value + 1e-4 * t * self.slope

    def is_long(self, gradient):
        """Whether a step was long enough, by the second condition of Wolfe."""
        return self.newton or inner(gradient, self.d) >= 0.9 * self.slope

    def has_own_curvature(self):
        """Whether steps are taken by the curvature of the present point."""
        sample, loss = self.sample, self.problem.loss
        if sample is None or not loss.convex or loss.quadratic:
            return False
        if loss.coupled:
            return sample.serves(self.problem.n_outputs)
        # Each output has its own; all of them take no more memory than X.
        return self.problem.n_outputs * len(sample.moments) <= self.problem.n_rows

    def to_fall(self):
        """The gradient in (W / root, b + W mean) where it is to vanish, and where."""
        return self.centred, slice(None)

    # ------------------------------------------------------------ the way to optimum

    def run(self, starts):
        """Yield points u to evaluate.

        `starts` are tried until one is no worse than W = 0. The answer to each point is
        what `Finish.evaluate` makes of it.
        """
        for coef, intercept in starts:
            yield from self.visit(self.coordinates.of(coef, intercept))
            if self.exact <= self.reference * (1.0 + 1e-10):
                break
        while True:
            self.lowest.append(self.best_exact)
            if self.newton and len(self.lowest) > self.next_curvature:
                self.take_curvature()
            self.propose()
            self.gap = self.share(self.left())
            if self.finish.tol is not None and self.gap <= self.finish.tol:
                self.ended = "converged"
                return
            moved = yield from self.step()
            self.n_inner += moved
            if self.kinked and (self.is_inner_done() if moved else self.raised):
                yield from self.next_multipliers()
            elif not moved:
                # No step lowers A in the precision of numbers.
                above = self.best_exact - self.value
                self.gap = self.share(max(above, self.expected[-1]))
                self.final_look()
                self.ended = "stalled"
                if self.gap <= (self.finish.tol or 0.0):
                    self.ended = "converged"
                return

    def visit(self, u):
        self.accept(u, (yield u))

    def accept(self, u, answer):
        self.u, self.accepted = u, answer
        self.value, self.exact, self.centred, self.point = answer
        self.gradient = self.centred * self.coordinates.root

    def gain(self):
        """F_const - F, which a tolerance is a fraction of."""
        # Gains of less than a millionth of the objective are not looked for.
        return max(self.reference - self.best_exact, 1e-6 * self.reference, 1e-300)

    def share(self, left):
        """(F - F*) / (F_const - F*), where this is left."""
        left = max(left, 0.0)
        return left / (left + self.gain()) if np.isfinite(left) else 1.0

    def is_inner_done(self):
        above = self.exact - self.value
        if above <= 0.5 * (self.finish.tol or 0.0) * self.gain():
            return False  # A is all that is left to minimise
        allowed = max(above, 1e-4 * self.gain())
        if self.newton:
            return self.expected[-1] <= INNER_NEWTON * allowed
        return self.n_inner >= 3 and max(self.expected[-3:]) <= INNER * allowed

    def next_multipliers(self):
        """The slopes at the present point become the multipliers."""
        if self.accepted is not self.answer:
            yield self.u
        before, n_inner = self.value, self.n_inner
        width = max(FALL * self.width, self.least_width)
        self.constant = self.finish.move_multipliers(self, width)
        self.curvature = self.finish.single.envelope_curvature(width)
        yield from self.visit(self.u)
        self.n_inner = 0
        # Where neither the point nor A moved, nothing will.
        self.raised = n_inner or abs(self.value - before) > 1e-13 * abs(before)

    def step(self):
        """One iteration, with a step that meets the weak conditions of Wolfe.

        Returns whether there was any.
        """
        found, low, high, t = None, 0.0, np.inf, 1.0
        slope = self.slope
        for _ in range(25 if slope < 0.0 else 0):
            trial = self.trial(t)
            answer = yield trial
            new = answer[0]
            if not self.is_enough(trial, t, new):
                high = t
                if abs(new - self.value) <= 1e-14 * abs(self.value):
                    break
                if not np.isfinite(new):
                    t = 0.5 * low + 0.1 * (t - 0.5 * low) if low else 0.1 * t
                elif low == 0.0:
                    lowest = -0.5 * slope * t * t / (new - self.value - slope * t)
                    t = min(max(lowest, 0.1 * t), 0.5 * t)
                else:
                    t = 0.5 * (low + high)
                continue
            found = trial, answer
            if self.is_long(answer[2] * self.coordinates.root):
                break
            low = t
            t = 2.0 * t if np.isinf(high) else 0.5 * (low + high)
        if found is None:
            if self.memory.count > 0 and np.isfinite(slope):
                self.memory.count = 0
                self.propose()
                return (yield from self.step())
            self.expected.append(max(-0.5 * slope, 0.0))
            return False
        if self.damping:
            self.damping *= 0.2 if t == 1.0 else 4.0
            self.damping = min(max(self.damping, LEAST_DAMPING), 1.0)
        u, gradient = self.u, self.gradient
        self.accept(*found)
        s, y = self.u - u, self.gradient - gradient
        if inner(s, y) > 1e-14 * np.sqrt(inner(s, s) * inner(y, y)):
            self.memory.add(s, y)
        self.expected.append(-0.5 * slope)
        return True

    # ------------------------------------------------------------------ what is left

    def left(self):
        """Estimate of F - F*.

        No loss is negative, so that it is F at most, and F - A + |grad A|^2 / (2 l2) by
        strong convexity. Where the curvature of a sample of rows is cheap, it is F - A
        plus twice Newton's decrement. That is looked at once the next step is expected
        to gain no more than is tolerated, or progress is that slow.
        """
        above = self.best_exact - self.value  # F - A; 0 without kinks
        proved = min(self.best_exact, above + self.bound())
        tolerated = (self.finish.tol or 0.0) * self.gain()
        if proved <= tolerated:
            return proved
        likely = self.likely()
        if not self.can_look():
            return min(proved, max(above, likely))
        fresh = self.local_at is self.accepted
        hoped = above + min(-self.slope, likely)
        if fresh and not self.kinked:
            hoped = max(hoped, self.compare_claims(-self.slope))
        k = len(self.lowest) - 1
        if not hoped <= tolerated or not (fresh or k >= self.next_look):
            if self.looked is not None:
                # What it said then, less what was gained since.
                left, objective = self.looked
                hoped = max(hoped, left - (objective - self.best_exact))
            return min(proved, max(hoped, 1.001 * tolerated))
        left = min(proved, self.look())
        cost = self.finish.n_products / PRODUCTS_OF_A_PASS
        self.next_look = k + max(WAIT, k // 3, round(cost))
        return left

    def compare_claims(self, claim):
        """What is left if this claim errs as the one before did.

        A curvature that jumps tells of a neighbourhood only, so that two are asked for.
        """
        before, value = self.claimed or (np.inf, np.inf)
        self.claimed = claim, self.value
        if not self.finish.single.curvature_jumps:
            return claim
        return before if np.isinf(value) else max(before, value - self.value + claim)

    def look(self):
        above = self.best_exact - self.value
        left = above + NEWTON * self.decrement()
        self.looked = left, self.best_exact
        return left

    def final_look(self):
        """Say once more what is left, where training ends for another reason."""
        if self.lowest and self.ended is None and self.can_look():
            self.gap = self.share(min(self.look(), self.best_exact))

    def likely(self):
        """What is left as far as the way so far tells.

        20 times what the last fifth of the epochs brought, which covers a decrease of
        F - F* as k^(-1/4) or faster; but no more than 1e4 times what L-BFGS expects of
        a step, three times running. At least four epochs must have been made.
        """
        k = len(self.lowest) - 1
        if k < SHORTEST:
            return np.inf
        since = min(int(SHARE * k), k - SHORTEST + 1)
        likely = LEFT * (self.lowest[since] - self.lowest[k])
        return min(likely, SURE * max(self.expected[-3:]))

    def bound(self):
        """A bound of A - A*, which the strong convexity of L2 gives."""
        l2 = self.problem.l2
        if not l2 or self.problem.l1 or not self.problem.loss.convex:
            return np.inf
        w, b = self.centred[:, :-1], self.centred[:, -1]
        # The intercept is not penalised; its curvature is what the rows make it.
        inverse = 100.0 * self.longest
        if self.local is not None:
            size = len(self.coordinates.root)
            inverse = 1.0 / max(self.local.diagonal()[size - 1 :: size].min(), 1e-300)
        return inner(w, w) / (2.0 * l2) + inverse * inner(b, b)

    def can_look(self):
        sample = self.finish.sample
        if sample is not None and sample.serves(len(self.u)):
            return True
        # Products with the Hessian are passes over the rows.
        return self.problem.n_rows <= SAMPLE

    def decrement(self):
        """Half of Newton's decrement squared: A - A* if A is quadratic."""
        sample = self.finish.sample
        g, free = self.to_fall()
        if sample is None or not sample.serves(len(self.u)):
            return self.decrement_by_products(g * self.coordinates.root, free)
        g = (g * np.append(sample.root, 1.0)).ravel()[free]
        if self.local_at is not self.accepted:
            self.local, self.local_at = self.finish.curvature(self), self.accepted
        matrix = sample.regular(self.local, self.curvature)
        factor = cholesky(matrix[free][:, free])
        if factor is None:
            return np.inf
        v = dtrtrs(factor, g, lower=1)[0]
        return 0.5 * inner(v, v)

    def decrement_by_products(self, g, free):
        """The same by conjugate gradients, in products with the Hessian; or inf.

        Hestenes and Stiefel, "Methods of conjugate gradients for solving linear
        systems", J. Res. Nat. Bur. Stand. 49, 1952: what a step adds is known. Where
        the last half of the steps added little, the rest does.
        """
        mask = np.zeros(g.size)
        mask[free] = 1.0
        mask = mask.reshape(g.shape)
        r = d = g * mask
        squares, added = inner(r, r), []
        for _ in range(PRODUCTS):
            if squares == 0.0:
                return 0.5 * sum(added)
            Hd = self.finish.hessian_times(self, d) * mask
            self.finish.n_products = PRODUCTS_OF_A_PASS * (len(added) + 1)
            Hd = Hd + RIDGE * self.curvature * d
            curvature = inner(d, Hd)
            if not curvature > 0.0:
                return np.inf
            step = squares / curvature
            added.append(step * squares)
            r = r - step * Hd
            before, squares = squares, inner(r, r)
            d = r + squares / before * d
            last = max(LAST, len(added) // 2)
            if sum(added[-last:]) <= ADDED * sum(added[:-last]):
                return 0.5 * (1.0 + ADDED) * sum(added)
        return np.inf

    def take_curvature(self):
        """Go on by the curvature at the present point, damped where it jumps."""
        self.local, self.local_at = self.finish.curvature(self), self.accepted
        damped = self.local
        if self.damping:
            bound = self.curvature * self.finish.sample.moments
            damped = self.local + self.damping * bound
        self.go_on_by(damped)
        self.memory.count = 0
        # Products take as long as passes do, at most.
        cost = self.finish.n_products / PRODUCTS_OF_A_PASS
        self.next_curvature = len(self.lowest) + round(cost)


def least_norm(u, g, l1):
    """The subgradient of least norm of g(u) + l1 |u|."""
    return np.where(u != 0.0, g + l1 * np.sign(u), _penalties.shrink(g, l1))


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
