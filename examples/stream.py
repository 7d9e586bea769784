"""A stream that drifts, learnt as it comes, saved and gone on with.

    python examples/stream.py [--save FILE]

40,000 rows in chunks of 50, of three features with scales 1, 100 and 10. In the second
quarter the coefficients turn; after the third, all signs flip. Each chunk is predicted
before it is learnt (progressive validation): no test data are needed. At half of the
way the models are pickled and read again. Next to them: SGDClassifier behind a
StandardScaler that learns from the same chunks, at its defaults and with the best, on
this stream, of the constant steps 1e-4, 1e-3, ..., 1.
"""

import pickle

import numpy as np
from figures import plt, show
from sklearn.linear_model import SGDClassifier
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier

N_ROWS, SIZE = 40_000, 50


class ScaledSGD:
    """SGDClassifier on features that are standardised as they come."""

    def __init__(self, **parameters):
        self.scaler = StandardScaler()
        self.model = SGDClassifier(loss="log_loss", random_state=0, **parameters)

    def partial_fit(self, X, y, classes):
        self.scaler.partial_fit(X)
        self.model.partial_fit(self.scaler.transform(X), y, classes=classes)

    def predict(self, X):
        return self.model.predict(self.scaler.transform(X))


def make_stream():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, 3))
    turned = np.clip(np.arange(N_ROWS) / (N_ROWS / 4) - 1.0, 0.0, 1.0)
    turn = turned[:, None] * np.pi / 2
    coef = np.cos(turn) * [2.0, -1.0, 0.5] + np.sin(turn) * [0.5, 2.0, -1.0]
    coef[3 * N_ROWS // 4 :] *= -1.0
    z = np.sum(X * coef, axis=1) + rng.logistic(size=N_ROWS)
    return X * [1.0, 100.0, 10.0] + [0.0, 500.0, 0.0], (z > 0).astype(int)


def learn(model, X, y):
    """Accuracy on each chunk before it is learnt."""
    accuracy = []
    for start in range(0, N_ROWS, SIZE):
        rows = slice(start, start + SIZE)
        if start == N_ROWS // 2:
            model = pickle.loads(pickle.dumps(model))
        if start:
            accuracy.append(np.mean(model.predict(X[rows]) == y[rows]))
        model.partial_fit(X[rows], y[rows], classes=[0, 1])
    return np.array(accuracy)


def draw():
    X, y = make_stream()
    constant = {
        eta0: learn(ScaledSGD(learning_rate="constant", eta0=eta0), X, y)
        for eta0 in 10.0 ** np.arange(-4, 1)
    }
    best = max(constant, key=lambda eta0: constant[eta0].mean())
    accuracies = {
        "GDClassifier()": learn(GDClassifier(random_state=0), X, y),
        "GDClassifier(half_life=500)": learn(
            GDClassifier(half_life=500, random_state=0), X, y
        ),
        "SGDClassifier(), scaled": learn(ScaledSGD(), X, y),
        f"SGDClassifier, constant {best:g}, scaled": constant[best],
    }
    figure, ax = plt.subplots(figsize=(9, 4.4), layout="constrained")
    window = np.ones(20) / 20
    rows = SIZE * (1 + np.arange(N_ROWS // SIZE - 1))
    for name, accuracy in accuracies.items():
        print(f"{name:36} accuracy before learning {accuracy.mean():.3f}")
        smooth = np.convolve(accuracy, window, mode="valid")
        ax.plot(rows[len(window) - 1 :], smooth, label=name)
    for row, text in ((N_ROWS // 4, "turns"), (3 * N_ROWS // 4, "flips")):
        ax.axvline(row, color="0.7", zorder=0)
        ax.text(row, 0.97, f" {text}", transform=ax.get_xaxis_transform(), va="top")
    ax.set(
        xlabel="rows", ylabel="accuracy of the last 1,000 rows",
        title="Each chunk predicted before it is learnt",
    )  # fmt: skip
    ax.legend(loc="lower left")
    return figure


if __name__ == "__main__":
    show(draw, __doc__)
