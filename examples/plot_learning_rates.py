"""What the learning rate does: too small, right, too large.

    python examples/plot_learning_rates.py [--save FILE]

Batch gradient descent fits a line (slope and intercept). The first panel is the path of
the two parameters on the contours of the cost, the second is the cost epoch by epoch,
the third the cost after 15 epochs against the learning rate. Beyond 2 / L, with L the
largest curvature of the cost, each step overshoots further than the last.
"""

import warnings

import numpy as np
from figures import plt, show
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression

from skgd import DescentPathDisplay, GDRegressor, LossCurveDisplay

# That a learning rate is too large is what is shown here.
warnings.simplefilter("ignore", ConvergenceWarning)

EPOCHS = 15
SETTINGS = dict(
    solver="batch", penalty=None, learning_rate="constant", max_iter=EPOCHS, tol=None
)


def load():
    """Disease progression against body mass index, in units of about 1."""
    X, y = load_diabetes(return_X_y=True)
    bmi = X[:, 2] / X[:, 2].std()
    return bmi[:, None] + 0.6, y / y.std()


def draw():
    X, y = load()
    inputs = np.column_stack([X, np.ones(len(X))])
    largest_curvature = np.linalg.eigvalsh(inputs.T @ inputs / len(X)).max()
    limit = 2.0 / largest_curvature
    best = LinearRegression().fit(X, y)
    optimum = np.mean((y - best.predict(X)) ** 2) / 2

    models = {
        f"too small: {0.03 * limit:.2f}": GDRegressor(eta0=0.03 * limit, **SETTINGS),
        f"right: {0.55 * limit:.2f}": GDRegressor(eta0=0.55 * limit, **SETTINGS),
        f"too large: {1.03 * limit:.2f}": GDRegressor(eta0=1.03 * limit, **SETTINGS),
    }
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.4), layout="constrained")
    DescentPathDisplay.from_estimators(
        models, X, y, ax=axes[0], limits=((-2.2, 4.2), (-1.5, 5.2))
    )
    axes[0].set(title="Path of the parameters", xlabel="slope", ylabel="intercept")

    fitted = {name: model.fit(X, y) for name, model in models.items()}
    LossCurveDisplay.from_estimators(fitted, ax=axes[1], mark_best=False)
    axes[1].set(title="Cost, epoch by epoch", ylabel="cost")

    rates = np.linspace(0.005, 1.05, 60) * limit
    costs = [
        GDRegressor(eta0=rate, **SETTINGS).fit(X, y).loss_curve_[-1] for rate in rates
    ]
    axes[2].plot(rates, costs, color="black")
    axes[2].axhline(optimum, color="0.5", linewidth=1)
    axes[2].text(rates[0], optimum * 0.93, "least cost", color="0.35", va="top")
    axes[2].axvline(limit, color="0.5", linestyle="--", linewidth=1)
    axes[2].text(limit * 0.98, max(costs), "2 / L", ha="right", va="top", color="0.35")
    axes[2].set(
        title=f"Cost after {EPOCHS} epochs", xlabel="learning rate", ylabel="cost",
        yscale="log", ylim=(0.7 * optimum, None),
    )  # fmt: skip
    axes[2].grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    show(draw, __doc__)
