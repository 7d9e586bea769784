"""The finish of a default fit: a quasi-Newton method on all rows.

Design
------
An epoch is one pass over the rows: every output that is not done yet names a point, and
the objective and its gradient there are what the pass finds out.

- `Finish` makes the passes, and is what `train` knows.
- `Descent` is the method of one output, or of all where the loss couples them.
- Where features are few for the rows, its steps are those of Newton's method by the
  curvature of a sample of rows (`Sample`), and L-BFGS's in between; with L1, those of a
  proximal Newton method. Elsewhere it is L-BFGS in standardised features.

Losses with kinks: the method of multipliers (Rockafellar, "Augmented Lagrangians and
applications of the proximal point algorithm in convex programming", Math. Oper. Res. 1,
1976). With z = Xw + b and multipliers m, one for each prediction, the augmented
Lagrangian

    A(w) = (1/n) sum_i s_i [ e_d(z_i + d m_i) - d m_i^2 / 2 ] + penalty

where e_d is the Moreau envelope of the loss, of width d, is smooth and never above the
objective F, whatever m. With A* its minimum, F - F* <= (F - A) + (A - A*): the first
term is known, the second is that of a smooth problem. Once A is nearly minimised, m
becomes the slopes of e_d, and so on.
"""

import numpy as np

from skgd.objective import penalties
from skgd.objective.classification import OneVsRest
from skgd.objective.loss import Outputs
from skgd.objective.offset import Offset
from skgd.optim.descent import Descent
from skgd.optim.l1 import Orthant, Proximal, least_norm
from skgd.optim.quasi_newton import inner
from skgd.training.method import EpochResult

PAIRS = 40  # moves remembered; 20: the ninth decile of kinked losses is 387, not 215
PAIR_VALUES = 250_000  # numbers that those of all outputs may be in any case,
PAIR_SHARE = 0.1  # or this share of those of X; fewer moves are remembered if need be
MANY = 20  # times as many rows as those of the sample are looked at, if few are curved


def next_or_none(generator, answer):
    try:
        return generator.send(answer)
    except StopIteration:
        return None


class Finish:
    """Passes over all rows, each shared by the outputs that are not done.

    Parameters
    ----------
    problem : Problem
    measured : Measured
    sample : Sample or None
    tol : float or None
        An output is done when its gap is no more.
    """

    name = "quasi-newton"

    def __init__(self, problem, measured, sample, tol):
        self.problem, self.measured, self.sample, self.tol = (
            problem, measured, sample, tol
        )  # fmt: skip
        self.batch_size = problem.n_rows
        self.eta0 = 1.0 / (measured.curvature * measured.smoothness)
        self.descents = None
        self.n_products = 0.0  # of the last look, for each value that a pass reads
        loss = problem.loss
        self.has_offset = isinstance(loss, Offset)
        loss = loss.loss if self.has_offset else loss
        self.by_class = isinstance(loss, OneVsRest)
        self.single = loss.loss if self.by_class else loss  # the loss of one output

    # --------------------------------------------------------------------- beginning

    def start(self, state):
        """Set out from the result so far, or from the best constant model."""
        problem, loss, K = self.problem, self.problem.loss, self.problem.n_outputs
        constant = problem.constant
        together = loss.coupled or K == 1
        groups = [slice(0, K)] if together else [slice(k, k + 1) for k in range(K)]
        mean, second = self.measured.about(problem.fit_intercept)
        values = K * (problem.data.n_features + 1)
        stored = problem.n_rows * problem.data.mean_stored
        n_pairs = int(max(PAIR_VALUES, PAIR_SHARE * stored) / (2 * values))
        n_pairs = max(1, min(PAIRS, n_pairs))
        coef, intercept = state.result()
        self.coef, self.intercept = coef.copy("A"), intercept.copy()
        self.multipliers, self.n_columns = None, K
        if loss.kinked:
            self.multipliers = problem.data.multipliers(K)
        n_coupled = K if loss.coupled else 1
        kind = Descent
        if problem.l1:
            few = self.sample is not None and self.sample.serves(n_coupled)
            kind = Proximal if few else Orthant
        self.mean, self.descents = mean, []
        for outputs in groups:
            curvature = self.measured.curvature
            if not (together or self.by_class):
                curvature = loss.curvature(problem.data.targets(outputs))
            reference = float(problem.constant_totals[outputs].sum())
            descent = kind(self, outputs, reference, curvature, second, n_pairs)
            starts = [(coef[outputs], intercept[outputs])]
            if coef[outputs].any() or (intercept[outputs] != constant[outputs]).any():
                starts.append((np.zeros_like(coef[outputs]), constant[outputs]))
            descent.trials = descent.run(starts)
            descent.wanted = next(descent.trials)
            self.descents.append(descent)
        self._select()

    # -------------------------------------------------------------------------- a pass

    def _select(self):
        """Take the outputs that are not done into the passes to come."""
        self.open = [d for d in self.descents if d.ended is None]
        if not self.open:
            return
        loss, K = self.problem.loss, self.problem.n_outputs
        outputs = np.concatenate(
            [np.arange(d.outputs.start, d.outputs.stop) for d in self.open]
        )
        some = len(outputs) < K
        self.outputs = outputs if some and self.by_columns() else None
        if self.by_class and (some or loss.kinked):
            loss = self.loss_of(outputs)
        self.exact = None
        if loss.kinked:
            self.exact = loss
            self.widths = np.array([d.width for d in self.open])
            loss = self.loss_of(outputs, self.widths)
            if len(outputs) < self.n_columns:
                kept = [d.own.start for d in self.open]
                self.multipliers, self.n_columns = (
                    self.multipliers.columns(kept),
                    len(kept),
                )
        self.loss = loss
        self.intercepts = np.empty(len(outputs))
        start = 0
        for d in self.open:
            size = d.outputs.stop - d.outputs.start
            d.own = slice(start, start + size)  # of the outputs in a pass
            start += size

    def by_columns(self):
        """Whether some outputs take some columns of the targets."""
        return self.has_offset or not self.by_class

    def loss_of(self, outputs, widths=None):
        """The loss of some outputs, or its envelopes."""
        loss = self.single
        if self.by_class or widths is not None:
            loss = Outputs(loss, outputs if self.by_class else None, widths)
        return Offset(loss, self.by_class) if self.has_offset else loss

    def epoch(self, state, visits, objectives=None):
        """Make a pass, whatever the visits. As in `Method`."""
        if self.descents is None:
            self.start(state)
            state.average = 0
        if self.open:
            self.evaluate()
        objective = self.best_objective()
        state.coef[:], state.intercept[:] = self.coef, self.intercept
        state.t += 1
        if objectives is not None:
            objectives[:] = objective
        norm = float(np.sqrt(sum(d.best_norm**2 for d in self.descents)))
        return EpochResult(objective, self.name, np.nan, self.gap(), norm)

    def evaluate(self):
        """Find the objective and its gradient where the open descents want to know."""
        problem, n = self.problem, self.problem.n_rows
        coef = np.empty(
            (len(self.intercepts), problem.data.n_features),
            order=problem.data.order,
        )
        for d in self.open:
            coef[d.own], self.intercepts[d.own] = d.coordinates.coefs(d.wanted)
        totals, gradient, slope, exacts = problem.data.gradient(
            self.loss, coef, self.intercepts, self.outputs, self.multipliers, self.exact
        )
        centred = self.centred(coef, gradient, slope)
        for d in self.open:
            own = d.own
            point = coef[own], self.intercepts[own].copy()
            penalty = penalties.value(point[0], problem.l1, problem.l2)
            value = totals[own].sum() / n + penalty - d.constant
            exact = exacts[own].sum() / n + penalty
            if exact < d.best_exact:
                d.best_exact = exact
                self.coef[d.outputs], self.intercept[d.outputs] = point
                d.best_norm = np.nan
                if not d.kinked:
                    g = gradient[own]
                    if problem.l1:
                        g = least_norm(point[0], g, problem.l1)
                    d.best_norm = np.sqrt(inner(g, g) + inner(slope[own], slope[own]))
            d.answer = value, exact, centred[own], point
        for d in self.open:
            d.wanted = next_or_none(d.trials, d.answer)
        if any(d.ended for d in self.open):
            self._select()

    def centred(self, coef, gradient, slope):
        """Sums of gradients to those of the objective, also in (W, b + W mean).

        The former in place, the latter returned, (K, p + 1).
        """
        problem, n = self.problem, self.problem.n_rows
        gradient *= 1.0 / n
        if problem.l2:
            gradient += problem.l2 * coef
        slope *= problem.fit_intercept / n
        centred = np.empty((len(coef), problem.data.n_features + 1))
        np.subtract(gradient, slope[:, None] * self.mean, out=centred[:, :-1])
        centred[:, -1] = slope
        return centred

    def target(self, descent):
        """Which targets those of a descent of one output are."""
        return descent.outputs.start, self.by_class

    def move_multipliers(self, descent, width):
        """Set the multipliers of an output to its slopes, and its width.

        Returns the mean of s d m^2 / 2. What is kept of a multiplier m is d m, which is
        added to the prediction.
        """
        own, widths = descent.own, (descent.width, width)
        squares = self.multipliers.move(
            own, self.single, self.target(descent), widths, descent.point
        )
        descent.width = self.widths[own] = width
        return 0.5 * squares / self.problem.n_rows

    def curvature(self, descent):
        """The second derivative of A where a descent stands, by the sample."""
        problem, sample = self.problem, self.sample
        # Products for each value that a pass takes one of.
        self.n_products = sample.n_rows * len(sample.moments) / problem.n_rows
        if problem.loss.quadratic:
            return sample.moments
        if descent.kinked:
            # Few rows are curved, so that many are looked at.
            many = MANY * sample.size(problem)
            fresh = descent.accepted is descent.answer
            data, z = self.multipliers.look(descent.own, many, descent.point, fresh)
        else:
            data, z = sample.data, sample.data.predictions(*descent.point)
        z = z + data.offset(descent.outputs)
        if problem.loss.coupled:
            return self.softmax_curvature(z)
        y, step = data.labels(*self.target(descent)), 1e-4 * (descent.width or 1.0)
        h = self.single.second_derivative(y, z, descent.width, step)[:, 0]
        if data.weight is not None:
            h *= data.weight
        scale = 1.0 / len(h)
        if descent.kinked:
            curved = np.flatnonzero(h)
            every = -(-len(curved) // sample.size(problem)) or 1
            curved = curved[::every]
            data, h, scale = data.take(curved), h[curved], scale * every
        self.n_products = data.n_rows * len(sample.moments) / problem.n_rows
        return scale * sample.products(data, h)

    def hessian_times(self, descent, v):
        """The Hessian of A where a descent stands, times v, by a difference."""
        problem = self.problem
        size = np.sqrt(inner(v, v))
        step = 1e-4 * (descent.width or 1.0) / max(size, 1e-300)
        coef, intercept = descent.coordinates.coefs(step * v)
        coef = np.array(descent.point[0] + coef, order=problem.data.order)
        loss, outputs, multipliers = problem.loss, None, None
        if not loss.coupled:
            only = np.arange(descent.outputs.start, descent.outputs.stop)
            outputs = only if self.by_columns() else None
            widths = np.array([descent.width]) if descent.kinked else None
            loss = self.loss_of(only, widths)
        if descent.kinked:
            own = np.arange(descent.own.start, descent.own.stop)
            multipliers = self.multipliers.columns(own)
        _, gradient, slope, _ = problem.data.gradient(
            loss, coef, descent.point[1] + intercept, outputs, multipliers
        )
        centred = self.centred(coef, gradient, slope)
        return (centred - descent.centred) * descent.coordinates.root / step

    def softmax_curvature(self, z):
        sample, n_outputs, size = self.sample, z.shape[1], len(self.sample.moments)
        weight = sample.data.weight
        weight = np.ones(len(z)) if weight is None else weight
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        self.n_products *= n_outputs * (n_outputs + 1) / 2
        H = np.zeros((n_outputs, size, n_outputs, size))
        for i in range(n_outputs):
            for j in range(i + 1):
                h = weight * p[:, i] * ((i == j) - p[:, j])
                H[i, :, j] = H[j, :, i] = sample.products(sample.data, h) / len(z)
        return H.reshape(n_outputs * size, n_outputs * size)

    # --------------------------------------------------------------------------- ending

    def has_stepped(self):
        """Whether each output made a step, or had none to make."""
        descents = self.descents or []
        return bool(descents) and all(len(d.lowest) > 1 or d.ended for d in descents)

    def gap(self):
        """The largest gap of the outputs."""
        return float(max(d.gap for d in self.descents))

    def final_gap(self):
        for d in self.descents:
            d.final_look()
        return self.gap()

    def best_objective(self):
        return float(sum(d.best_exact for d in self.descents))

    def ending(self):
        """Why there is nothing left to do; None if there is."""
        reasons = {d.ended for d in self.descents}
        if None in reasons:
            return None
        return "stalled" if "stalled" in reasons else "converged"
