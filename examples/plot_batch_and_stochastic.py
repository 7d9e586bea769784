"""Batch and stochastic gradient descent side by side.

    python examples/plot_batch_and_stochastic.py [--save FILE]

Both fit the same line with the same constant learning rate. Per update, batch descent
goes straight down, and the cost of the single rows that stochastic descent looks at
jumps up and down. Per epoch and per second, stochastic descent is ahead at first, since
an epoch of it has as many updates as there are rows; with a constant learning rate it
then wanders about the optimum, while batch descent gets there.
"""

import warnings

import numpy as np
from figures import plt, show
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression

from skgd import DescentPathDisplay, GDRegressor, LossCurveDisplay

# Training ends after a given number of epochs here.
warnings.simplefilter("ignore", ConvergenceWarning)

SETTINGS = dict(
    penalty=None, eta0=0.02, learning_rate="constant", tol=None, random_state=0
)
EPOCHS = {"batch": 300, "sgd": 100}


def make_data(n=400):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 1)) + 0.7
    return X, 2.0 * X[:, 0] + 1.0 + rng.normal(size=n)


def fit(X, y, **settings):
    return {
        solver: GDRegressor(
            solver=solver, max_iter=epochs, record="update", **SETTINGS
        ).fit(X, y, coef_init=[0.0], intercept_init=[0.0], **settings)
        for solver, epochs in EPOCHS.items()
    }


def draw():
    figure, axes = plt.subplots(2, 2, figsize=(11.5, 8.4), layout="constrained")
    X, y = make_data()
    models = fit(X, y)
    ax = axes[0, 0]
    display = LossCurveDisplay.from_estimators(
        models, x="update", ax=ax, mark_best=False, yscale="linear", xscale="linear"
    )
    ax.set(xlim=(0, 300), ylim=(0, 10), ylabel="cost", title="Cost per update")
    # The first epoch of sgd ends beyond.
    ax.legend(handles=[display.lines_[0], display.update_lines_[1]])

    # On more rows, for a time that can be measured.
    X, y = make_data(40_000)
    models = fit(X, y)
    optimum = np.mean((y - LinearRegression().fit(X, y).predict(X)) ** 2) / 2
    for ax, x in ((axes[0, 1], "epoch"), (axes[1, 0], "second")):
        LossCurveDisplay.from_estimators(
            models, x=x, ax=ax, optimum=optimum, mark_best=False
        )
        ax.set(title=f"Cost per {x}", ylabel="cost - least cost")
    axes[0, 1].set_xlim(0, 100)
    axes[1, 0].set_xlim(0, models["batch"].history_["seconds"][-1])

    X, y = make_data()
    paths = {
        solver: GDRegressor(solver=solver, max_iter=epochs, **SETTINGS)
        for solver, epochs in (("batch", 200), ("sgd", 3))
    }
    DescentPathDisplay.from_estimators(
        paths, X, y, ax=axes[1, 1], line_kw={"linewidth": 1.0}
    )
    axes[1, 1].set(
        title="Path: 200 epochs of batch, 3 of sgd", xlabel="slope", ylabel="intercept"
    )
    return figure


if __name__ == "__main__":
    show(draw, __doc__)
