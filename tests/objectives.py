"""The objective of a fitted model, in plain NumPy."""

import numpy as np
from scipy.special import logsumexp


def objective(model, X, y, weight=None, coef=None, intercept=None):
    """The objective of a fitted model in plain NumPy, or that of other coefficients."""
    coef = model.coef_ if coef is None else coef
    intercept = model.intercept_ if intercept is None else intercept
    z = np.asarray(X @ np.atleast_2d(coef).T + intercept, dtype=np.float64)
    if hasattr(model, "classes_") and model.loss == "log_loss" and z.shape[1] > 1:
        true = np.searchsorted(model.classes_, y)
        value = logsumexp(z, axis=1, keepdims=True) - z[np.arange(len(y)), true, None]
        return np.average(value[:, 0], weights=weight) + penalty(model, coef)
    if hasattr(model, "classes_"):
        y = np.where(y[:, None] == model.classes_, 1.0, -1.0)[:, -z.shape[1] :]
    else:
        y = y[:, None]
    value, _ = model._one_loss().value_and_slope(y, z)
    return np.average(value.sum(axis=1), weights=weight) + penalty(model, coef)


def penalty(model, coef):
    l1, l2 = {
        None: (0.0, 0.0),
        "l2": (0.0, model.alpha),
        "l1": (model.alpha, 0.0),
        "elasticnet": (
            model.alpha * model.l1_ratio,
            model.alpha * (1 - model.l1_ratio),
        ),
    }[model.penalty]
    return l1 * np.abs(coef).sum() + l2 / 2 * (np.asarray(coef, float) ** 2).sum()


def constant_objective(model, X, y, weight=None):
    """The objective of the model without features that training starts from."""
    intercept = 0.0
    if model.fit_intercept:
        targets = model._encode(y).astype(np.float64)
        intercept = model._loss().constant(targets, weight, model._n_outputs)
    return objective(model, X, y, weight, np.zeros_like(model.coef_), intercept)
