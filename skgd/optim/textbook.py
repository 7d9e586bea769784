"""Textbook gradient descent: the steps of a schedule, and nothing else.

What differs between the solvers "batch", "minibatch" and "sgd" is the number of rows
per update and, for "batch", that their order does not matter.
"""

from functools import cached_property

import numpy as np
from sklearn.utils import gen_batches

from skgd.kernels import Epoch, by_blocks
from skgd.objective import penalties
from skgd.optim import schedules
from skgd.optim.quasi_newton import inner
from skgd.training.method import EpochResult
from skgd.training.state import best_of

# Adaptive steps end at this fraction of eta0. For SGDRegressor's eta0 = 0.01 that is
# its own bound of 1e-6; a bound relative to eta0 does not depend on the scale of X.
SMALLEST_STEP = 1e-4
# The share of what was gained that is lost at the end, from which training failed, and
# the share of the objective that is noise where there was little to gain.
LOST = 0.5
TRIFLE = 0.01


class Textbook:
    """Epochs of gradient descent with the steps of a schedule, and nothing else.

    With `adaptive`, the step is divided by 5 where training would end, until it is
    very small. If epochs are watched, their updates are made one at a time.

    With `momentum`, each update goes on with a share of the last move: by Polyak's
    heavy ball or, `nesterovs`, as Sutskever, Martens, Dahl and Hinton, "On the
    importance of initialization and momentum in deep learning", ICML 2013, section 2,
    in the form of scikit-learn's MLPs: at the point that their gradients are taken at.
    The objective then ripples: a move m goes on for m / (1 - momentum) in all, past the
    optimum and back.
    """

    recovers = False
    patient = True

    def __init__(
        self, problem, state, name, batch_size, schedule, adaptive=False,
        momentum=0.0, nesterovs=False,
    ):  # fmt: skip
        self.problem = problem
        self.momentum, self.nesterovs = momentum, nesterovs
        if momentum and state.velocity[0] is None:
            state.velocity = np.zeros_like(state.coef), np.zeros_like(state.intercept)
        self.name = name
        self.batch_size = batch_size
        self.averages = state.average > 0
        self.schedule = schedule
        self.adaptive = adaptive
        self.smallest_step = state.eta * SMALLEST_STEP
        self.shuffled = batch_size < problem.n_rows
        n_updates = -(-problem.n_rows // batch_size)
        # Rounded, since 1 - 0.9 is a little less than 0.1.
        self.inertia = max(1.0, round(1.0 / ((1.0 - momentum) * n_updates), 9))
        self.penalty = penalties.value(state.coef, problem.l1, problem.l2)
        self.before = None
        # What the objective is at the start, or at W = 0 if that is more. A loss that
        # W = 0 minimises says nothing before the first epoch.
        self.reference = None
        if not problem.loss.degenerate:
            at_start = problem.zero_objective
            if state.coef.any():
                at_start = problem.objective(state)
            elif state.intercept.any():
                at_start = float(problem.totals_at(state.intercept).sum())
            self.reference = max(at_start, problem.constant_objective)

    @cached_property
    def updates(self):
        problem, batch_size = self.problem, self.batch_size
        if not problem.data.local:
            return WholeBatch(problem, self.momentum, self.nesterovs)
        X, K = problem.data.X, problem.n_outputs
        return Epoch(
            X, problem.loss, problem.l1, problem.l2,
            batch_size=batch_size,
            n_outputs=K,
            fit_intercept=problem.fit_intercept,
            by_blocks=self.momentum > 0.0 or by_blocks(X, batch_size, K),
            averaging=self.averages,
            momentum=self.momentum,
            nesterovs=self.nesterovs,
        )  # fmt: skip

    def n_shuffled(self, max_iter):
        """Epochs that want their rows in random order."""
        return max_iter if self.shuffled else 0

    def epoch(self, state, visits, objectives=None, watch=None):
        """As in `Method`. The objective is the mean over the epoch."""
        self.begin(state)
        return self.result(
            state, *self.run(state, visits, objectives, watch), objectives
        )

    def begin(self, state):
        """Keep what `result` wants to know of the state before an epoch."""
        self.first = state.t
        self.before = None if self.shuffled else state.copy()

    def result(self, state, loss, eta, objectives=None):
        """The result of an epoch with this mean loss and last step."""
        problem, penalty_before = self.problem, self.penalty
        self.penalty = penalties.value(state.coef, problem.l1, problem.l2)
        # The penalty is taken to move linearly from update to update; that of the
        # epoch is then the mean. With one update per epoch, both are exact.
        n_updates = state.t - self.first
        growth = self.penalty - penalty_before
        if objectives is not None:
            objectives += penalty_before + growth * np.arange(n_updates) / n_updates
        objective = loss + penalty_before + growth * (n_updates - 1) / (2 * n_updates)
        if self.reference is None:
            self.reference = objective
        result = EpochResult(objective, self.name, eta)
        if self.before is not None and not self.momentum:
            result.gradient_norm = self.norm_of_move(self.before, state, eta)
        return result

    def run(self, state, visits, losses, watch):
        """The mean loss, each before the update it is part of, and the last step."""
        total, n_rows, first = 0.0, len(visits[0]), state.t
        if self.batch_size >= n_rows:
            return self.update(state, visits, losses)
        for piece in self.pieces(visits, watched=watch is not None):
            done = state.t - first
            if watch is not None and done:
                watch(state)
            n_updates = -(-len(piece[0]) // self.batch_size)
            losses_of_piece = None
            if losses is not None:
                losses_of_piece = losses[done : done + n_updates]
            loss, eta = self.update(state, piece, losses_of_piece)
            total += loss * len(piece[0])
        return total / n_rows, eta

    def pieces(self, visits, watched):
        """The visits in pieces; of epochs that are watched, in batches."""
        if not watched:
            yield from self.problem.data.pieces(visits, self.batch_size)
            return
        for batch in gen_batches(len(visits[0]), self.batch_size):
            yield [None if array is None else array[batch] for array in visits]

    def update(self, state, visits, losses):
        """Make the updates of these visits."""
        n_rows = len(visits[0])
        n_updates = -(-n_rows // self.batch_size)
        steps = schedules.steps(self.schedule, state.t, n_updates, state.eta)
        if isinstance(self.schedule, schedules.Checked):
            self.problem.data.check()
        average_from, n_averaged = 0, 0
        if state.average:
            # Update t is averaged from t = state.average on.
            average_from = max(0, state.average - state.t)
            n_averaged = max(0, state.t + n_updates - state.average)
            n_before = max(0, state.t - state.average)
            state.average_coef *= n_before
            state.average_intercept *= n_before
        total = self.updates.run(
            visits, steps, state.coef, state.intercept, state.average_coef,
            state.average_intercept, average_from, losses, state.velocity,
        )  # fmt: skip
        if n_averaged:
            state.average_coef /= n_averaged
            state.average_intercept /= n_averaged
        state.t += n_updates
        return total / n_rows, float(steps[-1])

    def norm_of_move(self, before, state, eta):
        """Norm of the gradient mapping: the move of an update divided by its step."""
        moves = (state.coef - before.coef, state.intercept - before.intercept)
        return float(np.sqrt(sum(inner(move, move) for move in moves)) / eta)

    def evaluated(self, state):
        return self.before or state

    def to_gain(self, objective):
        """What was gained since the start."""
        return max(self.reference - objective, 0.0)

    def ending(self):
        return None

    def begins_anew(self):
        return False

    def diverges(self, objective):
        """Whether it is worse than the start."""
        return objective > self.reference

    def lower(self, state):
        if not self.adaptive or state.eta <= self.smallest_step:
            return False
        state.eta /= 5.0
        return True

    def finish(self, ending, progress, largest):
        """Give a better state in place of one that lost what was gained."""
        problem = self.problem
        if np.isnan(ending.objective):
            ending.objective = problem.objective(ending.state)
        objective = ending.objective
        least = min(progress.best_value, self.reference)
        # Of a few epochs, noise may make the first one the best.
        share = LOST if len(progress.latest) > 3 else 1.0
        lost = max(share * (self.reference - least), TRIFLE * self.reference)
        highest = least + lost
        if problem.loss.degenerate:
            highest = np.inf
        worse = not objective <= highest * (1.0 + 1e-9)
        # What came to rest so high is not on its way down, whatever the last epoch did.
        on_its_way = ending.reason == "max_iter" and (
            objective <= self.reference if self.momentum else progress.is_falling()
        )
        # That an epoch was the best on average does not say how it ended.
        if ending.reason == "diverged" or (worse and not on_its_way):
            states = progress.best, progress.initial
            ending.state, ending.objective = best_of(problem, states)
            ending.reason = "diverged"
        elif self.momentum and progress.patient:
            # With tol=None, so many updates were asked for.
            best = problem.objective(progress.best)
            if best < objective:
                ending.state, ending.objective = progress.best, best
        return ending


class WholeBatch:
    """An update by the gradient of all rows, wherever they are; in place of `Epoch`."""

    def __init__(self, problem, momentum, nesterovs):
        self.problem, self.momentum, self.nesterovs = problem, momentum, nesterovs

    def run(
        self, visits, steps, coef, intercept, average_coef, average_intercept,
        average_from, losses, velocity,
    ):  # fmt: skip
        """As `skgd.kernels.Epoch.run`, of one step."""
        problem, (eta,) = self.problem, steps
        totals, gradient, slope, _ = problem.data.gradient(
            problem.loss, coef, intercept
        )
        total = float(totals.sum())
        if losses is not None:
            losses[0] = total / problem.n_rows
        step = eta / problem.n_rows
        if self.momentum:
            self.accelerate(
                coef, velocity[0], step * gradient + eta * problem.l2 * coef
            )
            if problem.fit_intercept:
                self.accelerate(intercept, velocity[1], step * slope)
        else:
            coef *= max(0.0, 1.0 - eta * problem.l2)
            coef -= step * gradient
            if problem.fit_intercept:
                intercept -= step * slope
        if problem.l1:
            coef[:] = penalties.shrink(coef, eta * problem.l1)
        if average_coef is not None and average_from == 0:
            average_coef += coef
            average_intercept += intercept
        return total

    def accelerate(self, w, velocity, move):
        """An update with momentum, as of the kernel."""
        velocity *= self.momentum
        velocity -= move
        w += self.momentum * velocity - move if self.nesterovs else velocity
