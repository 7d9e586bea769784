"""A jump to a better local minimum: what noise is good for.

    python examples/plot_local_minima.py [--save FILE]

With a convex loss there is only one minimum, and nothing to jump to: every method of
this package ends there. The Cauchy loss is not convex. Here, 60 % of the rows lie about
a line of slope 1 and 40 % about one of slope -1, and the cost has a minimum near each;
that at 1 is lower. From a start at -1.5, batch gradient descent runs into the poor
minimum and stays. Noise may carry stochastic gradient descent over the hill: the third
panel and the table say how often, over 50 seeds, depending on the learning rate and the
batch size. It is no free lunch: small steps do not jump, and the noise of those that do
also keeps the slope from settling, as the spread of the ends in the first panel shows.
What a good learning rate is depends on the data.
"""

import warnings

import numpy as np
from figures import plt, show
from sklearn.exceptions import ConvergenceWarning

from skgd import GDRegressor

# Training ends after a given number of epochs here.
warnings.simplefilter("ignore", ConvergenceWarning)

SEEDS, EPOCHS = 50, 50
START = -1.5
RATES = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
SETTINGS = dict(
    loss="cauchy", epsilon=0.3, penalty=None, fit_intercept=False, max_iter=EPOCHS,
    learning_rate="invscaling", power_t=0.25, tol=None, record="path",
)  # fmt: skip
STYLES = {1: ("D-", "#e07b00"), 4: ("s--", "#2e8b57"), 16: ("^:", "#b5446e")}


def make_data(n=200):
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    slope = np.where(rng.random(n) < 0.4, -1.0, 1.0)
    return x[:, None], slope * x + 0.1 * rng.normal(size=n)


def cost(slopes, X, y, epsilon):
    """The objective at each of several slopes."""
    r = (y[:, None] - X * slopes) / epsilon
    return np.mean(epsilon**2 / 2 * np.log1p(r**2), axis=0)


def fit(X, y, batch_size, rate, seed=0):
    model = GDRegressor(batch_size=batch_size, eta0=rate, random_state=seed, **SETTINGS)
    return model.fit(X, y, coef_init=[START])


def path(X, y, batch_size, rate, seed=0):
    """The slope before training and after each epoch."""
    return fit(X, y, batch_size, rate, seed).path_["coef"][:, 0]


def draw():
    X, y = make_data()
    grid = np.linspace(-2.0, 2.0, 801)
    costs = cost(grid, X, y, SETTINGS["epsilon"])
    # The top of the hill between the minima tells which one a slope belongs to.
    between = np.abs(grid) < 0.7
    top = grid[between][np.argmax(costs[between])]
    shares, ends = {}, {}
    print(f"Ended in the better minimum, of {SEEDS} seeds, by learning rate")
    print(f"{'rows per batch':14}" + "".join(f"{rate:7}" for rate in RATES))
    for size in (*STYLES, len(y)):
        for rate in RATES:
            seeds = range(SEEDS if size < len(y) else 1)
            found = np.array([fit(X, y, size, rate, s).coef_[0] for s in seeds])
            ends[size, rate] = found
            shares[size, rate] = np.mean(found > top)
        print(f"{size:<14}" + "".join(f"{shares[size, r]:7.0%}" for r in RATES))

    figure, axes = plt.subplots(1, 3, figsize=(14, 4.4), layout="constrained")
    ax, rate = axes[0], 3.0
    ax.plot(grid, costs, color="black")
    for size, marker, colour, label in (
        (1, "D", "#e07b00", f"sgd, {SEEDS} seeds: end"),
        (len(y), "o", "#0b3c6f", "batch: end"),
    ):
        slopes = ends[size, rate]
        ax.plot(
            slopes, cost(slopes, X, y, SETTINGS["epsilon"]), marker, color=colour,
            markeredgecolor="black", linestyle="none", label=label,
        )  # fmt: skip
    ax.plot(
        START, cost(np.array([START]), X, y, SETTINGS["epsilon"]), "o", color="white",
        markeredgecolor="black", label="start",
    )  # fmt: skip
    ax.set(title=f"The cost, and ends (rate {rate})", xlabel="slope", ylabel="cost")
    ax.legend(loc="lower left")

    ax = axes[1]
    for seed in range(6):
        ax.plot(
            path(X, y, 1, rate, seed), color="#e07b00", linewidth=0.9,
            label="sgd, six seeds" if seed == 0 else None,
        )  # fmt: skip
    ax.plot(path(X, y, len(y), rate), color="#0b3c6f", linestyle="--", label="batch")
    ax.axhline(top, color="0.6", linewidth=1)
    ax.text(EPOCHS, top + 0.04, "top of the hill", ha="right", color="0.35")
    ax.set(title="Path of the slope", xlabel="epoch", ylabel="slope")
    ax.legend(loc="upper right", bbox_to_anchor=(1.0, 0.75))

    ax = axes[2]
    for size, (style, colour) in STYLES.items():
        ax.plot(
            RATES, [100 * shares[size, r] for r in RATES], style, color=colour,
            markeredgecolor="black", label=f"{size} row{'s' * (size > 1)} per batch",
        )  # fmt: skip
    ax.plot(
        RATES, [100 * shares[len(y), r] for r in RATES], "o-", color="#0b3c6f",
        label="batch", markeredgecolor="black",
    )  # fmt: skip
    ax.set(
        title=f"Ended in the better minimum, of {SEEDS} seeds",
        xlabel="learning rate at the first update", ylabel="%", ylim=(-4, 104),
    )  # fmt: skip
    ax.grid(alpha=0.3)
    ax.legend(loc="upper right", bbox_to_anchor=(1.0, 0.9))
    return figure


if __name__ == "__main__":
    show(draw, __doc__)
