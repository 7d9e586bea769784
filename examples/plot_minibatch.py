"""Mini-batches are the middle: batch sizes 1, 8, 64 and n.

    python examples/plot_minibatch.py [--save FILE]

One learning rate for all. Small batches make more updates per epoch, and noisier ones:
with a constant learning rate, the noise of a batch of b rows leaves the cost above its
least value by about 1 / b of what single rows leave. Large batches make fewer updates,
each of which costs more. The table is that of `skgd.compare_estimators`.
"""

import warnings

import numpy as np
from figures import plt, show
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression

from skgd import GDRegressor, LossCurveDisplay, compare_estimators

# Training ends after a given number of epochs here.
warnings.simplefilter("ignore", ConvergenceWarning)

N_ROWS = 20_000
SETTINGS = dict(
    penalty=None, eta0=0.01, learning_rate="constant", max_iter=60, tol=None,
    random_state=0, record="update",
)  # fmt: skip


def make_data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, 10))
    return X, X @ rng.normal(size=10) + rng.normal(size=N_ROWS)


def draw():
    X, y = make_data()
    models = {
        f"{size:,} row{'s' * (size > 1)}": GDRegressor(batch_size=size, **SETTINGS)
        for size in (1, 8, 64, N_ROWS)
    }
    print(compare_estimators(models, X, y, n_repeats=3))

    fitted = {name: model.fit(X, y) for name, model in models.items()}
    optimum = np.mean((y - LinearRegression().fit(X, y).predict(X)) ** 2) / 2
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.4), layout="constrained")
    for ax, x in ((axes[0], "epoch"), (axes[1], "second")):
        LossCurveDisplay.from_estimators(
            fitted, x=x, ax=ax, optimum=optimum, mark_best=False
        )
        ax.set(title=f"Cost per {x}", ylabel="cost - least cost")
        ax.legend(loc="upper right", bbox_to_anchor=(1.0, 0.78))
    axes[1].set_xscale("log")

    # The cost of the batches of the last 2,000 updates.
    spread = [
        np.std(model.update_history_["objective"][-2000:])
        for name, model in list(fitted.items())[:-1]
    ]
    ax = axes[2]
    ax.loglog([1, 8, 64], spread, "o-", color="black", label="measured")
    ax.loglog(
        [1, 8, 64], spread[0] / np.sqrt([1, 8, 64]), "--", color=".5",
        label="of one row, divided by √b",
    )  # fmt: skip
    ax.set(
        title="Fluctuation of the cost from batch to batch", xlabel="rows b of a batch",
        ylabel="standard deviation", xticks=[1, 8, 64], xticklabels=["1", "8", "64"],
        yticks=[0.1, 0.2, 0.5], yticklabels=["0.1", "0.2", "0.5"],
    )  # fmt: skip
    ax.minorticks_off()
    ax.grid(alpha=0.3)
    ax.legend()
    return figure


if __name__ == "__main__":
    show(draw, __doc__)
