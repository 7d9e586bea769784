"""The losses by name."""

from skgd.objective.classification import (
    Hinge,
    LogLoss,
    ModifiedHuber,
    Perceptron,
    SquaredHinge,
)
from skgd.objective.regression import (
    AbsoluteError,
    Cauchy,
    EpsilonInsensitive,
    Huber,
    Poisson,
    Quantile,
    SquaredEpsilonInsensitive,
    SquaredError,
)

# Name -> (class, names of the estimator parameters it takes).
REGRESSION_LOSSES = {
    "squared_error": (SquaredError, ()),
    "huber": (Huber, ("epsilon",)),
    "absolute_error": (AbsoluteError, ()),
    "quantile": (Quantile, ("quantile",)),
    "epsilon_insensitive": (EpsilonInsensitive, ("epsilon",)),
    "squared_epsilon_insensitive": (SquaredEpsilonInsensitive, ("epsilon",)),
    "poisson": (Poisson, ()),
    "cauchy": (Cauchy, ("epsilon",)),
}

CLASSIFICATION_LOSSES = {
    "log_loss": (LogLoss, ()),
    "hinge": (Hinge, ()),
    "squared_hinge": (SquaredHinge, ()),
    "modified_huber": (ModifiedHuber, ()),
    "perceptron": (Perceptron, ()),
}

# As in SGDClassifier, a classifier may also regress on the labels -1 and +1.
for _name in (
    "squared_error",
    "huber",
    "epsilon_insensitive",
    "squared_epsilon_insensitive",
):
    CLASSIFICATION_LOSSES[_name] = REGRESSION_LOSSES[_name]
