"""The objective of a model in plain NumPy, and how far a fit is from its optimum."""

import numpy as np

from skgd.objective.targets import Targets


def values(model, y, Z):
    """The loss of each row at linear predictions (n, K)."""
    if hasattr(model, "classes_") and model.loss == "log_loss" and Z.shape[1] > 1:
        largest = Z.max(axis=1)
        total = np.exp(Z - largest[:, None]).sum(axis=1)
        truth = np.searchsorted(model.classes_, y)
        return largest + np.log(total) - Z[np.arange(len(y)), truth]
    if hasattr(model, "classes_"):
        y = np.where(y[:, None] == model.classes_, 1.0, -1.0)[:, -Z.shape[1] :]
    else:
        y = y.reshape(len(y), -1)
    return model._one_loss().value_and_slope(y, Z)[0].sum(axis=1)


def objective(model, X, y, coef=None, intercept=None, weight=None):
    """The objective of a fitted model, or that of other coefficients."""
    coef = np.atleast_2d(model.coef_ if coef is None else coef).astype(float)
    intercept = model.intercept_ if intercept is None else intercept
    Z = np.asarray(X @ coef.T + intercept, dtype=float)
    mean = np.average(values(model, y, Z), weights=weight)
    if model.penalty is None:
        return mean
    l1 = {"l1": 1.0, "elasticnet": model.l1_ratio, "l2": 0.0}[model.penalty]
    penalty = l1 * np.abs(coef).sum() + (1.0 - l1) / 2 * (coef**2).sum()
    return mean + model.alpha * penalty


def constant_objective(model, X, y, weight=None):
    """The objective of the model without features that training starts from."""
    coef = np.zeros_like(np.atleast_2d(model.coef_), dtype=float)
    intercept = 0.0
    if model.fit_intercept:
        targets = model._encode(y).astype(float)
        intercept = model._loss().constant(Targets(targets, weight), len(coef))
    return objective(model, X, y, coef, intercept, weight)


def suboptimality(model, X, y, least):
    """The share of what can be gained over the constant model that is left."""
    value = objective(model, X, y)
    least = min(least, value)
    return (value - least) / (constant_objective(model, X, y) - least)


def optimum(model, X, y):
    """The least objective of a smooth loss by Newton's method, of K (p + 1) unknowns.

    In standardised features, with a line search; the Hessian by differences.
    """
    K, p = np.atleast_2d(model.coef_).shape
    mean, scale = X.mean(axis=0), X.std(axis=0)
    scale = np.where(scale > 1e-12 * np.abs(mean), scale, np.inf)

    def unpacked(u):
        w = u.reshape(K, p + 1)
        coef = w[:, :-1] / scale
        return coef, w[:, -1] - coef @ mean

    Z = np.column_stack([(X - mean) / scale, np.ones(len(X))])
    penalty = np.tile(np.append(model.alpha / scale**2, 0.0), K)
    loss = model._one_loss()
    target = y.reshape(len(y), -1)
    if hasattr(model, "classes_"):
        target = np.where(y[:, None] == model.classes_, 1.0, -1.0)[:, -K:]
    softmax = hasattr(model, "classes_") and model.loss == "log_loss" and K > 1

    def slopes(u):
        z = Z @ u.reshape(K, p + 1).T
        if softmax:
            e = np.exp(z - z.max(axis=1, keepdims=True))
            return e / e.sum(axis=1, keepdims=True) - (target > 0)
        return loss.value_and_slope(target, z)[1]

    def hessian(u):
        z = Z @ u.reshape(K, p + 1).T
        H = np.zeros((K, p + 1, K, p + 1))
        e = np.exp(z - z.max(axis=1, keepdims=True))
        P = e / e.sum(axis=1, keepdims=True)
        for i in range(K):
            for j in range(K):
                if softmax:
                    h = P[:, i] * ((i == j) - P[:, j])
                elif i == j:
                    h = loss.second_derivative(target[:, i], z[:, i], 0.0, 1e-6)
                else:
                    continue
                H[i, :, j] = (Z * h[:, None]).T @ Z / len(Z)
        H = H.reshape(len(u), len(u)) + np.diag(penalty)
        return H + 1e-14 * np.trace(H) / len(u) * np.eye(len(u))

    def f(u):
        with np.errstate(over="ignore"):
            return objective(model, X, y, *unpacked(u))

    u = np.zeros((K, p + 1))
    u[:, -1] = model._loss().constant(Targets(model._encode(y).astype(float)), K)
    u, value = u.ravel(), f(u.ravel())
    for _ in range(200):
        g = (slopes(u).T @ Z / len(Z)).ravel() + penalty * u
        step, t = np.linalg.lstsq(hessian(u), g, rcond=None)[0], 1.0
        while t > 1e-10 and not f(u - t * step) <= value - 1e-4 * t * g @ step:
            t /= 2
        if t <= 1e-10:
            break
        u, before, value = u - t * step, value, f(u - t * step)
        if before - value < 1e-14 * abs(before):
            break
    return value
