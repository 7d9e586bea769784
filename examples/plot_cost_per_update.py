"""What an update costs, and what it takes to learn, as data grow.

    python examples/plot_cost_per_update.py [--save FILE]

An update of batch gradient descent reads all n rows, one of stochastic gradient descent
a single row: its time does not depend on n. So does the time that each takes until its
model is within 1 % of the way from the best constant model to the optimum. Where
batch gradient descent needs as many epochs on a million rows as on a thousand,
stochastic gradient descent needs less of one: "intractable on big data" is the slope of
these lines.
"""

import warnings
from time import perf_counter

import numpy as np
from figures import plt, show
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression

from skgd import GDRegressor

# Training ends after a given number of epochs here.
warnings.simplefilter("ignore", ConvergenceWarning)

ROWS = (1_000, 4_000, 16_000, 64_000, 256_000, 1_000_000)
SOLVERS = {  # solver: (rows per update, learning rate, marker, colour)
    "batch": (None, 0.3, "o", "#0b3c6f"),
    "minibatch": (64, 0.05, "s", "#2e8b57"),
    "sgd": (1, 0.004, "D", "#e07b00"),
}
SETTINGS = dict(penalty=None, learning_rate="constant", tol=None, random_state=0)


def make_data(n):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 10)) * np.geomspace(1.0, 0.3, 10)
    return X, X @ np.ones(10) + 0.5 * rng.normal(size=n)


def seconds_per_update(X, y, batch_size, eta0):
    """Median over turns of the time of an epoch, divided by its updates."""
    model = GDRegressor(
        batch_size=batch_size or len(y), eta0=eta0, max_iter=4, **SETTINGS
    ).fit(X, y)
    ends = [0.0, *model.history_["seconds"]]
    return np.median(np.diff(ends)) / model.history_["n_updates"][0]


def seconds_to_learn(X, y, batch_size, eta0):
    """Time until the model is within 1 % of the optimum, by parts of the data."""
    best = LinearRegression().fit(X, y)
    optimum, constant = np.mean((y - best.predict(X)) ** 2), np.var(y)
    goal = optimum + 0.01 * (constant - optimum)
    model = GDRegressor(
        batch_size=batch_size or len(y), eta0=eta0, max_iter=1, **SETTINGS
    )
    part = 500 if batch_size else len(y)
    seconds = 0.0
    for _ in range(200):
        for start in range(0, len(y), part):
            rows = slice(start, start + part)
            began = perf_counter()
            model.partial_fit(X[rows], y[rows])
            seconds += perf_counter() - began
            # Judging the model is not part of learning.
            if np.mean((y - model.predict(X)) ** 2) <= goal:
                return seconds
    return np.nan


def draw():
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    measures = (
        (axes[0], seconds_per_update, "Time of an update"),
        (axes[1], seconds_to_learn, "Time to within 1 % of the optimum"),
    )
    print(f"{'rows':>10} {'solver':10} {'us per update':>14} {'ms to 1 %':>11}")
    times = {}
    for n in ROWS:
        X, y = make_data(n)
        for solver, (size, eta0, *_) in SOLVERS.items():
            for ax, measure, _ in measures:
                times[ax, solver, n] = measure(X, y, size, eta0)
            update, learn = (times[ax, solver, n] for ax in axes)
            print(f"{n:10,} {solver:10} {1e6 * update:14.2f} {1e3 * learn:11.2f}")
    for ax, _, title in measures:
        for solver, (size, _, marker, colour) in SOLVERS.items():
            label = f"{solver}: {size or 'n'} row{'s' * (size != 1)} per update"
            ax.loglog(
                ROWS, [times[ax, solver, n] for n in ROWS], color=colour, marker=marker,
                label=label,
            )  # fmt: skip
        ax.set(title=title, xlabel="rows n", ylabel="seconds")
        ax.grid(alpha=0.3)
        ax.legend()
    return figure


if __name__ == "__main__":
    show(draw, __doc__)
