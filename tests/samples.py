"""Data and models that the tests of estimators have in common."""

import copy
import io
import pickle

import joblib
import numpy as np
import pytest

from skgd import GDClassifier, GDRegressor
from skgd.objective.table import CLASSIFICATION_LOSSES, REGRESSION_LOSSES

SOLVERS = ("batch", "minibatch", "sgd")
PENALTIES = (None, "l2", "l1", "elasticnet")
# Those that a regressor does not have.
LOSSES_OF_CLASSES = sorted(set(CLASSIFICATION_LOSSES) - set(REGRESSION_LOSSES))


def linear(n=80, p=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, X @ rng.normal(size=p) + 0.5 + 0.3 * rng.normal(size=n)


def regression(n=120, p=6, seed=0):
    X, y = linear(n, p, seed)
    return X, np.abs(y)  # poisson wants no negative targets


def classification(n=120, p=6, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    z = X @ rng.normal(size=(p, n_classes)) + rng.normal(size=(n, n_classes))
    return X, np.array(["a", "b", "c", "d"])[z.argmax(axis=1)]


every_loss = pytest.mark.parametrize(
    "cls, loss, data",
    [
        *((GDRegressor, loss, regression) for loss in REGRESSION_LOSSES),
        *((GDClassifier, loss, classification) for loss in CLASSIFICATION_LOSSES),
    ],
)


def model_of(loss, **parameters):
    """The estimator that has the loss."""
    cls = GDClassifier if loss in LOSSES_OF_CLASSES else GDRegressor
    return cls(loss, **{"random_state": 0, **parameters})


def targets_of(loss, y):
    """Targets that the loss can have: counts, or two classes, which follow y."""
    if loss == "poisson":
        return np.floor(np.exp(np.clip((y - y.mean()) / y.std(), -3, 3)))
    return (y > np.median(y)).astype(int) if loss in LOSSES_OF_CLASSES else y


def through_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


# How an estimator may be kept and come back.
STORED = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "joblib": through_joblib,
    "copy": copy.deepcopy,
}


def same_model(a, b):
    return np.array_equal(a.coef_, b.coef_) and np.array_equal(
        a.intercept_, b.intercept_
    )


def assert_same(a, b, tolerance=1e-12):
    for name in ("coef_", "intercept_"):
        np.testing.assert_allclose(
            getattr(a, name), getattr(b, name), rtol=tolerance, atol=tolerance
        )
