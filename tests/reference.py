"""The formulas of the package in plain NumPy: slow, and obviously right."""

import numpy as np


def objective(W, b, X, Y, s, loss, l1, l2):
    """Mean weighted loss plus penalty; `loss(Y, Z)` returns values and slopes."""
    values, _ = loss(Y, X @ W.T + b)
    return (
        np.mean(s * values.sum(axis=1)) + l1 * np.abs(W).sum() + l2 / 2 * (W**2).sum()
    )


def multinomial(labels, Z):
    """Values (n, 1) and slopes (n, K) of softmax regression; labels are (n, 1)."""
    P = np.exp(Z - Z.max(axis=1, keepdims=True))
    P /= P.sum(axis=1, keepdims=True)
    truth = np.arange(Z.shape[1]) == labels
    return -np.log(P[truth])[:, None], P - truth


def epoch(W, b, X, Y, s, order, batch_size, steps, loss, l1, l2, fit_intercept=True):
    """One epoch. Returns the iterates after each update, and its batch's loss before.

    X is (n, p), Y (n, K), s (n,), W (K, p), b (K,). `order` lists the rows to visit.
    """
    iterates, losses = [], []
    for update, eta in enumerate(steps):
        batch = order[update * batch_size : (update + 1) * batch_size]
        x = X[batch].astype(np.float64)
        values, slopes = loss(Y[batch], x @ W.T + b)
        losses.append((s[batch, None] * values).sum())
        R = s[batch, None] * slopes
        W = max(0.0, 1 - eta * l2) * W - eta * (R.T @ x) / len(batch)
        W = np.sign(W) * np.maximum(np.abs(W) - eta * l1, 0.0)
        if fit_intercept:
            b = b - eta * R.mean(axis=0)
        iterates.append((W, b))
    return iterates, np.array(losses)


def average(iterates):
    """Mean of the iterates (W, b)."""
    return tuple(np.mean([it[i] for it in iterates], axis=0) for i in (0, 1))


def metric_epoch(
    W, c, X, Y, s, order, batch_size, steps, loss, l1, l2, mean, scale,
    fit_intercept=True, patience=0.0, average_every=1, lazy=False,
):  # fmt: skip
    """One epoch in the metric of features (x - mean) sqrt(scale).

    Returns W, c, their averages and the losses of batches before their updates. With
    `lazy`, a feature is penalised when a row of the next batch holds it; without
    patience, once K eighths of what the rows held were due.
    """
    W, c, n_updates = W.copy(), c.copy(), len(steps)
    path, seen, n_due, n_values = 0.0, np.zeros(W.shape[1]), 0, 0
    losses, averages, weights = [], [], []

    def penalise(features):
        step = scale * (path - seen) * features
        W[:] = np.sign(W) * np.maximum(np.abs(W) - step * l1, 0.0) / (1.0 + step * l2)
        seen[features] = path

    for update, eta in enumerate(steps):
        ends = np.arange(update, update + 2) * len(order) // n_updates
        batch = order[ends[0] : ends[1]]
        if lazy:
            held = X[batch] != 0
            due = held.any(axis=0) & (path - seen >= patience)
            penalise(due)
            n_due, n_values = n_due + due.sum(), n_values + held.sum()
            patience = 0.0 if 8 * n_due > n_values * len(W) else patience
        x = X[batch].astype(np.float64) - mean
        values, slopes = loss(Y[batch], x @ W.T + c)
        values, R = s[batch, None] * values, s[batch, None] * slopes
        losses.append(values.sum())
        G, r = R.T @ x / len(batch), R.mean(axis=0) * fit_intercept
        norm = (scale * G**2).sum() + (r**2).sum()
        f = values.sum() / len(batch)
        if eta * norm > f:
            eta = f / norm
        W -= eta * scale * G
        c -= eta * r
        path += eta
        kept = (n_updates - 1 - update) % average_every == 0
        if kept or (not lazy and path - seen.max() > patience):
            penalise(np.full(W.shape[1], True))
        if kept:
            weights.append(((update + 1) / n_updates) ** 3)
            averages.append((W.copy(), c.copy()))
    average = [np.average([a[i] for a in averages], 0, weights) for i in (0, 1)]
    return W, c, *average, np.array(losses)
