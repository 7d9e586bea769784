"""The formulas of the package in plain NumPy: slow, and obviously right."""

import numpy as np


def objective(W, b, X, Y, s, loss, l1, l2):
    """Mean weighted loss plus penalty; `loss(Y, Z)` returns values and slopes."""
    values, _ = loss(Y, X @ W.T + b)
    return (
        np.mean(s * values.sum(axis=1)) + l1 * np.abs(W).sum() + l2 / 2 * (W**2).sum()
    )


def epoch(W, b, X, Y, s, order, batch_size, steps, loss, l1, l2, fit_intercept=True):
    """One epoch. Returns the iterates after each update and the sum of losses before.

    X is (n, p), Y (n, K), s (n,), W (K, p), b (K,). `order` lists the rows to visit.
    """
    iterates, total = [], 0.0
    for update, eta in enumerate(steps):
        batch = order[update * batch_size : (update + 1) * batch_size]
        x = X[batch].astype(np.float64)
        values, slopes = loss(Y[batch], x @ W.T + b)
        total += (s[batch, None] * values).sum()
        R = s[batch, None] * slopes
        W = max(0.0, 1 - eta * l2) * W - eta * (R.T @ x) / len(batch)
        W = np.sign(W) * np.maximum(np.abs(W) - eta * l1, 0.0)
        if fit_intercept:
            b = b - eta * R.mean(axis=0)
        iterates.append((W, b))
    return iterates, total


def average(iterates):
    """Mean of the iterates (W, b)."""
    return tuple(np.mean([it[i] for it in iterates], axis=0) for i in (0, 1))
