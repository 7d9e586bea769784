"""What a fit that did not end at the optimum warns of, and what to do about it."""

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skgd.objective import penalties
from skgd.objective.own import is_own
from skgd.optim import stability

OUT_OF_EPOCHS = (
    "Maximum number of iteration reached before convergence. Consider increasing "
    "max_iter to improve the fit."
)
SMALL = 10.0  # times smaller than a stable step is too small, if it shows
EPOCHS = 6  # the last ones, or a fifth of all, of which the pace is taken
FAR = 2.0  # times the start: an epoch above it had steps that were too large
ROUNDING = 1e-10  # no more than this can be told from nothing
STILL = 1e-3  # of what was gained: an epoch that gains more was not to be the last
ROWS = 1000  # rows that the slowest direction is taken from,
FEATURES = 300  # if there are no more features
NATS = 5.0  # how far errors are to fall: to less than a hundredth
RULED = 0.9  # share of the gain in loss that a penalty may take away


def complaint(
    ending, history, problem, rng, *, tol, eta0, batch_size, learning_rate, momentum,
    regression,
):  # fmt: skip
    """The warning of a fit, or None.

    `eta0` is the first step of textbook gradient descent, None for automatic steps.
    """
    step = None
    if eta0 is not None:
        step = _Step(problem, rng, eta0, batch_size, learning_rate, momentum)
    message = _of_training(ending, history, problem, tol, step)
    if message:
        return ConvergenceWarning(message)
    if eta0 is None and regression and (message := _of_penalty(ending, problem)):
        return UserWarning(message)
    return None


def _of_training(ending, history, problem, tol, step):
    reason, n_epochs = ending.reason, len(history)
    if reason == "interrupted":
        return (
            f"Training interrupted by user after {n_epochs} epochs. "
            "The model so far is kept."
        )
    if step is None:
        return _of_automatic(ending, problem, tol)
    last = history[-1]["objective"]
    if reason == "diverged":
        if is_own(problem.loss) and step.stable > step.eta0:
            advice = (
                f"eta0={step.eta0:.3g} is no larger than a stable step: see whether "
                "values and slopes of the loss are right, and finite."
            )
        else:
            advice = step.advice()
        return (
            f"Gradient descent diverged: after {n_epochs} epochs, the objective is "
            f"{last:.3g}. The best coefficients seen are kept. {advice}"
        )
    if problem.loss.degenerate:
        return OUT_OF_EPOCHS if reason == "max_iter" and tol is not None else None
    constant = problem.constant_objective
    reference = max(constant, problem.zero_objective)
    pace, gain = _pace(history, reference)
    message = ""
    moves = pace
    if step.momentum:  # of a ripple, whose ends tell no pace
        moves = np.ptp(_recent(history))
    if reason == "max_iter" and tol is not None and moves > STILL * gain:
        message = OUT_OF_EPOCHS + " "
    if tol is not None and (
        step.is_too_small(pace, SMALL * tol * gain)
        or step.is_too_large(history, reference)
    ):
        message += step.advice()
    elif n_epochs > 1 and ending.objective > constant * (1.0 + 1e-9):
        message += (
            f"The objective ended at {ending.objective:.3g}, above that of the best "
            f"constant model, {constant:.3g}. {step.advice()}"
        )
    return message.strip() or None


def in_a_word(ending, history, problem, tol):
    """How textbook training ended, if a search is to count it among what went wrong."""
    if ending.reason == "diverged":
        return "diverged"
    constant = problem.constant_objective
    pace, gain = _pace(history, max(constant, problem.zero_objective))
    if ending.reason == "max_iter" and tol is not None and pace > STILL * gain:
        return "ended at max_iter, still gaining"
    if len(history) > 1 and ending.objective > constant * (1.0 + 1e-9):
        return "ended above the best constant model"
    return None


def _pace(history, reference):
    """What the last epochs gained each, and what was gained at most."""
    recent = _recent(history)
    pace = (recent[0] - recent[-1]) / max(len(recent) - 1, 1)
    return pace, reference - min(record["objective"] for record in history)


def _recent(history):
    """Objectives of the last epochs."""
    last = history[-max(EPOCHS, len(history) // 5) :]
    return [record["objective"] for record in last]


def _of_automatic(ending, problem, tol):
    if ending.reason == "diverged":
        return (
            f"Training diverged: coefficients are too large for {problem.data.dtype}. "
            "The best ones seen that are not are kept. Pass X in double precision, or "
            "scale y."
        )
    if ending.gap <= ROUNDING and ending.reason == "stalled":
        return None
    if ending.reason in ("max_iter", "stalled") and tol is not None:
        left = ""
        if np.isfinite(ending.gap):
            left = (
                f" About {ending.gap:.1g} of the gain on the best constant model is "
                f"left, where tol={tol:g} was asked for."
            )
        if ending.reason == "max_iter":
            return OUT_OF_EPOCHS + left
        return (
            "Training stalled: in the precision of numbers, no step lowers the "
            f"objective any more.{left} Consider a larger tol, fewer nearly equal "
            "features, or a larger alpha."
        )
    return None


def _of_penalty(ending, problem):
    """Of a loss with bounded slopes, whose penalty may take all of the gain."""
    loss = problem.loss
    if not loss.bounded_residuals or ending.reason != "converged":
        return None
    coef, _ = ending.state.result()
    penalty = penalties.value(coef, problem.l1, problem.l2)
    # What the loss would gain, were it linear in W; where it is, the penalty rules.
    slope = penalties.value(coef, problem.l1, 2.0 * problem.l2)
    constant = problem.constant_objective
    gained = constant - (ending.objective - penalty)
    if not (gained > 1e-6 * constant and slope > RULED * gained):
        return None
    return (
        f"The penalty takes {slope / gained:.0%} of what the features could gain: "
        "alpha is large for targets of this spread, since the slopes of this loss are "
        "bounded whatever the units of y. Scale y, or decrease alpha."
    )


class _Step:
    """A step size of the user's, next to one that would be stable.

    With momentum, moves add up to 1 / (1 - momentum) times as much.
    """

    def __init__(self, problem, rng, eta0, batch_size, learning_rate, momentum):
        self.problem, self.rng = problem, rng
        self.eta0, self.batch_size, self.learning_rate = eta0, batch_size, learning_rate
        self.momentum = momentum
        self._stable = None

    @property
    def stable(self):
        if self._stable is None:
            self._stable = (1.0 - self.momentum) * stability.stable_step(
                self.problem, self.batch_size, self.rng
            )
        return self._stable

    def is_too_large(self, history, reference):
        """Whether an epoch was far above the start."""
        worst = max(record["objective"] for record in history)
        return worst > FAR * reference and self.stable < self.eta0

    def is_too_small(self, pace, enough):
        """Whether stable steps would gain enough: more than small ones at this pace.

        Where noise does not rule, an epoch gains as much as its steps are long.
        """
        if not pace > 0.0 or self.stable <= SMALL * self.eta0:
            return False
        return pace * self.stable / self.eta0 > enough

    def advice(self):
        if self.learning_rate == "optimal":
            return (
                "learning_rate='optimal' takes its steps from alpha alone. Set "
                "learning_rate='auto' with eta0='auto', scale the features, or "
                "increase alpha."
            )
        first = (
            "eta0='auto'"
            if self.learning_rate == "auto"
            else "eta0='auto' with learning_rate='auto'"
        )
        if self.momentum:
            first += " and momentum=0"
        ratio = self.stable / self.eta0
        if ratio > SMALL:
            size = f"about {ratio:.2g} times smaller than a stable step"
        elif ratio < 1.0:
            size = "too large for these data"
        else:
            size = None
        said = f"eta0={self.eta0:.3g} is {size}. " if size else ""
        return (
            f"{said}Set {first}, or scale the features, or set "
            f"eta0={self.stable:.3g} or less, which should be stable{self.cost()}."
        )

    def cost(self):
        """How many epochs a stable step may take, by the slowest direction."""
        problem, n = self.problem, self.problem.n_rows
        p = problem.data.n_features
        if p > FEATURES:
            return " but may be slow"
        data = problem.data.sample(ROWS, self.rng)
        with np.errstate(all="ignore"):
            H = data.second_moments(
                data.weight, np.zeros(p), np.ones(p), problem.fit_intercept
            )
            H *= problem.loss.curvature(problem.data.targets()) / data.n_rows
        if not np.isfinite(H).all():
            return " but may be slow"
        values = np.linalg.eigvalsh(H)
        slowest = values[values > 1e-12 * values[-1]].min(initial=np.inf) + problem.l2
        n_updates = -(-n // self.batch_size)
        step = self.stable / (1.0 - self.momentum)
        epochs = NATS / (step * slowest * n_updates)
        return f" but slow: about {epochs:.1g} epochs" if epochs > 100.0 else ""
