"""What parameters may be, each on its own and together."""

import warnings
from functools import cache
from numbers import Integral, Real

from scipy import LowLevelCallable
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer_names

from skgd.estimators.sklearn_private import HasMethods, Interval, StrOptions
from skgd.objective import penalties
from skgd.optim.schedules import SCHEDULES


class NamesKnown(BaseEstimator):
    """Looks up the names of its parameters once, not several times per fit."""

    @classmethod
    @cache
    def _get_param_names(cls):
        return super()._get_param_names()


class Schedules(StrOptions):
    """Names of schedules, and where to a number goes that others take instead."""

    def __str__(self):
        return f"{super().__str__()} (a number goes to eta0)"


# Losses of the user; those of numba have a ctypes function.
OWN_LOSSES = [
    HasMethods("value_and_slope"),
    LowLevelCallable,
    HasMethods("ctypes"),
]
CONSTRAINTS = {
    "solver": [StrOptions({"batch", "minibatch", "sgd"})],
    "batch_size": [
        StrOptions({"auto"}),
        Interval(Integral, 1, None, closed="left"),
    ],
    "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
    "fit_intercept": ["boolean"],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left"), None],
    "shuffle": ["boolean"],
    "verbose": ["verbose"],
    "epsilon": [Interval(Real, 0, None, closed="left")],
    "random_state": ["random_state"],
    "learning_rate": [
        Schedules({"auto", "adaptive", *SCHEDULES}),
        callable,
    ],
    "eta0": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "momentum": [Interval(Real, 0, 1, closed="left")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "scoring": [StrOptions({"loss", *get_scorer_names()}), callable, None],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "warm_start": ["boolean"],
    "average": [Interval(Integral, 0, None, closed="left"), "boolean"],
    "finish": ["boolean"],
    "half_life": [Interval(Real, 1, None, closed="left"), None],
    "record": [StrOptions({"epoch", "update", "path"})],
}


def check_parameters(estimator, partial=False):
    """Raise ValueError where parameters, each valid, do not fit together."""
    if partial:
        # scikit-learn validates the parameters of the first call only.
        now, known = vars(estimator), getattr(estimator, "_valid", {})
        if not known or any(now[name] is not known[name] for name in known):
            estimator._validate_params()
            estimator._valid = {
                name: now[name] for name in estimator._get_param_names()
            }
    if partial and estimator.early_stopping:
        raise ValueError("early_stopping should be False with partial_fit")
    if estimator.penalty == "elasticnet" and estimator.l1_ratio is None:
        raise ValueError("l1_ratio must be set when penalty is 'elasticnet'")
    if estimator.eta0 == 0 and estimator.learning_rate != "optimal":
        # SGDClassifier's default was 0, next to the schedule that takes none.
        raise ValueError("eta0 must be > 0, unless learning_rate is 'optimal'.")
    if estimator.solver != "minibatch" and estimator.batch_size != "auto":
        warnings.warn(
            f"batch_size={estimator.batch_size} is ignored: solver="
            f"{estimator.solver!r} has a size of its own. Use solver='minibatch'.",
            stacklevel=5 if partial else 6,
        )
    if estimator.momentum:
        _check_momentum(estimator)
    if estimator.learning_rate == "optimal" and estimator.alpha == 0:
        raise ValueError(
            "alpha must be > 0 since learning_rate is 'optimal'. alpha is used to "
            "compute the optimal learning rate."
        )
    if estimator.loss == "cauchy" and estimator.epsilon == 0:
        raise ValueError("epsilon must be > 0 with loss='cauchy'.")
    if partial and getattr(estimator, "class_weight", None) == "balanced":
        raise ValueError(
            "class_weight 'balanced' is not supported for partial_fit. In order to use "
            "'balanced' weights, use compute_class_weight('balanced', classes=classes, "
            "y=y). In place of y you can use a large enough sample of the full "
            "training set target to properly estimate the class frequency "
            "distributions. Pass the resulting weights as the class_weight parameter."
        )


def _check_momentum(estimator):
    """Raise ValueError where updates with momentum are not made."""
    said = f"momentum={estimator.momentum} is of textbook updates of several rows: "
    if estimator.eta0 == estimator.learning_rate == "auto":
        raise ValueError(said + "set eta0 to a number, or momentum=0.")
    if estimator.solver == "sgd":
        raise ValueError(said + "use solver='minibatch' or 'batch', or momentum=0.")
    if penalties.strengths(estimator.penalty, estimator.alpha, estimator.l1_ratio)[0]:
        raise ValueError(said + "use penalty 'l2' or None, or momentum=0.")
