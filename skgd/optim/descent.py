"""The way of one output to its optimum: a quasi-Newton method that says what is left.

`Descent.run` is a generator: it yields the points that it wants to know, and is sent
the objective and its gradient there. `Finish` makes the passes over the rows, which the
outputs share. See there for losses with kinks.
"""

import numpy as np
from scipy.linalg.lapack import dpotrs

from skgd.optim.gap import PRODUCTS_OF_A_PASS, Gap
from skgd.optim.quasi_newton import Pairs, inner
from skgd.optim.sample import Coordinates, cholesky, reciprocal

# Constants, with what they were chosen by: medians and ninth deciles of epochs over 120
# tables, where nothing else is said.
WIDTH = 0.1  # of an envelope, times 1 / curvature; 0.01: 73 epochs instead of 46
INNER = 0.1  # what A may be off by when multipliers change, times F - A; flat
# The same where the curvature is known: the width then falls with each change, by half,
# from the first to the second. (166 problems: median, ninth decile and mean of epochs
# 32, 61, 36; with one width 56, 148, 84; to 1e-3 instead of 1e-2 32, 76, 72.)
WIDTHS, FALL, INNER_NEWTON = (1.0, 1e-2), 0.5, 3e-3
DAMPING, LEAST_DAMPING = 1e-3, 1e-6  # of the curvature of an envelope, in its bound


class Descent(Gap):
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
        # One by one: BLAS would sum those of several by threads.
        return np.array([dpotrs(self.factor, row, lower=1)[0] for row in g])

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
