"""What is left of the way to the optimum: the estimate that `tol` bounds."""

import numpy as np
from scipy.linalg.lapack import dtrtrs

from skgd.optim.quasi_newton import inner
from skgd.optim.sample import RIDGE, SAMPLE, cholesky

NEWTON = 2.0  # times Newton's decrement may be left; 1: only 96.5 % are within tol
PRODUCTS_OF_A_PASS = 30.0  # that take as long, for each value that a pass reads
PRODUCTS, LAST, ADDED = 200, 10, 0.05  # see `Descent.decrement_by_products`
WAIT = 3  # epochs between two looks at the curvature, or a third of all
SHARE, LEFT, SHORTEST = 0.8, 20.0, 4  # see `Descent.likely`
SURE = 1e4


class Gap:
    """The estimate of F - F* of a `Descent`."""

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
