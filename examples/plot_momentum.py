"""What momentum does: an update goes on with a share of its last move.

    python examples/plot_momentum.py [--save FILE]

Batch gradient descent fits a line whose feature is far from its mean, so that the cost
is a narrow valley. The first panel is the path of the two parameters on the contours of
the cost, the second how far the cost is from the least one, epoch by epoch: plain, with
the heavy ball, and with Nesterov's momentum. The step size is the same for all three.
"""

import warnings

import numpy as np
from figures import plt, show
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression

from skgd import DescentPathDisplay, GDRegressor

# That plain descent is not at its end is what is shown here.
warnings.simplefilter("ignore", ConvergenceWarning)

EPOCHS = 120
SETTINGS = dict(
    solver="batch", penalty=None, learning_rate="constant", max_iter=EPOCHS, tol=None
)


def load():
    """Disease progression against body mass index, in units of about 1."""
    X, y = load_diabetes(return_X_y=True)
    bmi = X[:, 2] / X[:, 2].std()
    return bmi[:, None] + 3.0, y / y.std() - 3.0


def draw():
    X, y = load()
    inputs = np.column_stack([X, np.ones(len(X))])
    step = 0.3 / np.linalg.eigvalsh(inputs.T @ inputs / len(X)).max()
    best = LinearRegression().fit(X, y)
    optimum = np.mean((y - best.predict(X)) ** 2) / 2

    models = {
        "plain": GDRegressor(eta0=step, **SETTINGS),
        "heavy ball, 0.9": GDRegressor(
            eta0=step, momentum=0.9, nesterovs_momentum=False, **SETTINGS
        ),
        "Nesterov, 0.9": GDRegressor(eta0=step, momentum=0.9, **SETTINGS),
    }
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    DescentPathDisplay.from_estimators(
        models, X, y, ax=axes[0], limits=((-1.0, 1.0), (-3.4, 0.6))
    )
    axes[0].set(title="Path of the parameters", xlabel="slope", ylabel="intercept")
    lines = axes[0].get_legend().get_lines()
    for (name, model), line in zip(models.items(), lines, strict=True):
        costs = np.array(model.fit(X, y).loss_curve_)
        axes[1].plot(costs - optimum, color=line.get_color(), label=name)
    axes[1].set(
        title="Cost above the least one", xlabel="epoch", ylabel="cost", yscale="log"
    )
    axes[1].grid(alpha=0.3)
    axes[1].legend()
    return figure


if __name__ == "__main__":
    show(draw, __doc__)
