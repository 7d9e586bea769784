"""Streams that partial_fit is tried on, and how far it gets."""

import pickle

import numpy as np
from sklearn.base import clone

import samples
from objectives import constant_objective, objective
from samples import LOSSES_OF_CLASSES
from skgd import GDClassifier
from skgd.objective.table import REGRESSION_LOSSES

# The objective of the perceptron guides no steps; its constant steps are textbook.
LOSSES = sorted({*REGRESSION_LOSSES, *LOSSES_OF_CLASSES} - {"perceptron"})
PENALTIES = (
    {"penalty": None}, {"penalty": "l2"}, {"penalty": "l1", "alpha": 0.01},
    {"penalty": "elasticnet", "alpha": 0.01, "l1_ratio": 0.5},
)  # fmt: skip


def model_of(loss, **parameters):
    return samples.model_of(loss, **{"shuffle": False, **parameters})


def targets(loss, z):
    if loss in LOSSES_OF_CLASSES:
        return np.digitize(z, np.quantile(z, [0.4, 0.7]))
    return np.floor(np.exp(np.clip(z, -2, 2))) if loss == "poisson" else z


def learn(model, X, y, size, weight=None, classes=None, save=False):
    """One pass in chunks; `save`: go on from a pickle before each of them."""
    arguments = {}
    if isinstance(model, GDClassifier):
        arguments["classes"] = np.unique(y) if classes is None else classes
    for start in range(0, X.shape[0], size):
        rows = slice(start, start + size)
        if save:
            model = pickle.loads(pickle.dumps(model))
        if weight is not None:
            arguments["sample_weight"] = weight[rows]
        model.partial_fit(X[rows], y[rows], **arguments)
    return model


def data(n=200, p=5, seed=3):
    rng = np.random.default_rng(seed)
    X = rng.gamma(2.0, size=(n, p)) * (rng.uniform(size=(n, p)) < 0.7)
    z = X @ rng.normal(size=p)
    return X, (z - z.mean()) / z.std() + 0.3 * rng.normal(size=n)


def same(a, b):
    assert np.array_equal(a.coef_, b.coef_)
    assert np.array_equal(a.intercept_, b.intercept_)


def percent_left(model, X, y):
    """Percent of what can be gained over the best constant that is left."""
    best = clone(model).set_params(tol=1e-8, max_iter=5000).fit(X, y)
    least, constant = objective(best, X, y), constant_objective(model, X, y)
    return 100.0 * (objective(model, X, y) - least) / (constant - least)
