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


class Stream:
    """Rows learnt one by one in the metric of the rows so far: see stream.pxd.

    Weights of rows grow by `growth`, without bound. Outputs are not coupled. Of sparse
    rows, features that a row does not hold are penalised later.
    """

    first_rows, rows_between = 256, 8  # averages, of dense rows

    def __init__(self, K, p, loss, l1, l2, centred, own, sparse, growth, noise):
        self.loss, self.l1, self.l2, self.growth = loss, l1, l2, growth
        self.intercepts, self.centred = centred or own, centred and not sparse
        self.own, self.sparse, self.noise = own, sparse, noise
        self.now, self.weight, self.rows = 1.0, 0.0, 0.0
        self.past = self.pending = self.due = 0.0
        self.mean, self.mean_then, self.square, self.stored, self.birth = np.zeros(
            (5, p)
        )
        self.distance, self.squares, self.losses, self.slopes, self.path, self.norms = (
            np.zeros((6, K))
        )
        self.W, self.W_mean, self.sign_mean, self.seen = np.zeros((4, K, p))
        self.b, self.b_mean = np.zeros((2, K))

    def scale(self):
        with np.errstate(all="ignore"):
            if self.sparse:
                scale = np.sqrt(self.weight * self.stored) / self.square
            else:
                variance = self.square / self.weight
                known = variance > (self.noise * self.mean) ** 2
                scale = np.where(known, 1.0 / variance, 0.0)
        return np.where(self.square > 0.0, scale, 0.0)

    def prox(self, W, step):
        W = np.sign(W) * np.maximum(np.abs(W) - step * self.l1, 0.0)
        return W / (1.0 + step * self.l2)

    def penalise(self, features):
        step = self.scale() * (self.path[:, None] - self.seen) * features
        self.W = self.prox(self.W, step)
        self.seen = np.where(features, self.path[:, None], self.seen)

    def learn(self, x, y, w):
        """Learn a row; returns its weighted loss before."""
        held = x != 0.0 if self.sparse else np.full(len(x), True)
        self.now *= self.growth
        now = self.now
        self.rows += now
        self.weight += w * now
        if self.sparse:
            # At the weight of the present row, but the squares of those before.
            self.penalise(held)
        d = x - self.mean
        share = w * now / self.weight if self.centred else 0.0
        self.mean = self.mean + share * d
        row = d - share * d
        old, stored = self.square, self.stored
        self.square = old + w * now * d * row
        self.stored = stored + w * now * held
        scale = self.scale()
        q = (scale * row**2).sum()
        kept = np.ones(len(x))
        for j in np.flatnonzero(self.square > 2.0 * old):
            kept[j] = max(old[j], 0.0) / self.square[j]
            if self.sparse and stored[j] > 0.0:
                kept[j] *= self.stored[j] / stored[j]
                kept[j] = kept[j] if kept[j] < 0.5 else 1.0
        z, other = self.b + self.W @ d, self.b + self.W @ (kept * d)
        if (kept < 1.0).any() and now < self.rows and self.past <= 3.0 * self.rows:
            early = self.rows <= 256.0 * now and self.past <= self.rows
            if early or self.loss(y, other)[0].sum() <= self.loss(y, z)[0].sum():
                self.W, self.W_mean = self.W * kept, self.W_mean * kept
                self.birth += (1.0 - kept) * (self.past - self.birth)
                z = self.b + self.W @ d
        self.b = self.b + share * self.W @ d
        v, g = (w * part for part in self.loss(y, z))
        for k in range(len(z)):
            self.learn_output(k, v[k], g[k], q, row, scale)
        self.pending += now
        self.due += held.sum()
        if self.sparse:
            due = self.past < 16.0 * now or self.due >= 64.0 * len(x)
        else:
            due = self.past < 256.0 * now or self.pending >= 8.0 * now
        if due:
            self.average()
        return v.sum()

    def learn_output(self, k, v, g, q, row, scale):
        now = self.now
        bounded = [now * v, now * g * g]
        if self.losses[k] > 0.0:
            bounded[0] = min(bounded[0], self.losses[k])
        if self.slopes[k] > 0.0:
            bounded[1] = min(bounded[1], self.slopes[k])
        self.losses[k] += bounded[0]
        self.slopes[k] += bounded[1]
        own = 0.0
        if self.own and self.sparse:
            own = 1.0
        elif self.own:
            own = max(1.0, (len(row) + 1.0) * now / self.rows)
        elif self.intercepts and g != 0.0 and self.slopes[k] > 0.0:
            step = 4.0 * self.losses[k] * now / (self.slopes[k] * self.rows)
            self.b[k] -= min(step, v / (g * g)) * g
        step, size = 0.0, g * g * (q + own)
        if size > 0.0:
            clip = 1.0
            if 0.0 < self.squares[k] < now * size:
                clip = np.sqrt(self.squares[k] / (now * size))
            self.squares[k] += now * size * clip**2
            step = self.losses[k] / np.sqrt(self.rows * self.squares[k])
            step = max(self.distance[k], step) * clip
            step = min(step / np.sqrt(self.squares[k] / now), v / size)
        self.b[k] -= step * g * own
        self.path[k] += step
        if step == 0.0:
            return
        if self.sparse:
            u, held = -step * g * row, scale > 0.0
            self.norms[k] += (u * (2.0 * self.W[k] + scale * u))[held].sum()
            self.W[k] += scale * u
            size = self.norms[k]
        else:
            self.W[k] = self.prox(self.W[k] - step * g * scale * row, step * scale)
            size = (self.W[k, scale > 0.0] ** 2 / scale[scale > 0.0]).sum()
        self.distance[k] = max(self.distance[k], np.sqrt(max(size, 0.0)))

    def average(self):
        if self.sparse:
            self.penalise(np.full(len(self.square), True))
            scale, self.due = self.scale(), 0.0
            held = scale > 0.0
            self.norms = (self.W[:, held] ** 2 / scale[held]).sum(axis=1)
        self.b_mean = self.b_mean + self.W_mean @ (self.mean - self.mean_then)
        self.mean_then = self.mean
        new = 3.0 * self.pending
        share = new / (self.past + new)
        self.b_mean += share * (self.b - self.b_mean)
        own = new / (self.past - self.birth + new)
        self.W_mean = self.W_mean + own * (self.W - self.W_mean)
        self.sign_mean = self.sign_mean + share * (np.sign(self.W) - self.sign_mean)
        self.past, self.pending = self.past + self.pending, 0.0

    def result(self, curvature):
        """W and b to predict with; the stream ends here."""
        sign_mean, scale = self.sign_mean, self.scale()
        if self.pending:
            W, sizes = self.W, (self.path[:, None] - self.seen) * self.sparse * scale
            self.W = self.prox(W, sizes)
            new = 3.0 * self.pending
            a = self.b_mean + self.W_mean @ (self.mean - self.mean_then)
            b = a + new / (self.past + new) * (self.b - a)
            own = new / (self.past - self.birth + new)
            A = self.W_mean + own * (self.W - self.W_mean)
            sign_mean = sign_mean + new / (self.past + new) * (
                np.sign(self.W) - sign_mean
            )
        else:
            A, b = self.W_mean, self.b_mean + self.W_mean @ (self.mean - self.mean_then)
        threshold = self.l1 * scale * (1.0 - np.abs(sign_mean)) / curvature
        A = np.sign(A) * np.maximum(np.abs(A) - threshold, 0.0)
        return A, b - A @ self.mean
