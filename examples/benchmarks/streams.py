"""One pass over a stream: skgd, SGDRegressor and SGDClassifier, Vowpal Wabbit, river.

    python examples/benchmarks/streams.py [--quick]

20,000 rows in chunks of 50, without a penalty: generated ones, and those of flights and
diamonds, which are skipped if their packages are not there (see data.py). Printed is
what is left of the way from the best constant model to the optimum, in percent,
100 (F - F*) / (F0 - F*), where F is the mean loss of all rows by the model after the
last of them. skgd is at its defaults, on features as they are. All others get features
that were standardised with all rows beforehand, and the best, for each stream, of their
settings: SGD*, averaged, of three schedules with three steps each; Vowpal Wabbit of its
default, `-l 5` and `--coin`; river (AdaGrad, not for absolute_error) of three steps.
The latter two take part if the packages vowpalwabbit and river are installed.
"""

import argparse
import importlib.util
import itertools
import warnings

import numpy as np
from data import MissingError, diamonds, flights, late_flights
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.preprocessing import StandardScaler

from skgd import GDClassifier, GDRegressor

SIZE = 50
KINDS = ("normal", "autocorrelated", "lognormal", "rare dummies", "scales")
REAL = (
    ("flights", "squared_error"),
    ("flights", "absolute_error"),
    ("flights", "log_loss"),
    ("diamonds", "squared_error"),
    ("diamonds", "absolute_error"),
)
LOSSES = {
    "squared_error": lambda y, z: np.mean((y - z) ** 2) / 2,
    "absolute_error": lambda y, z: np.mean(np.abs(y - z)),
    "log_loss": lambda y, z: np.mean(np.logaddexp(0.0, -y * z)),
}


def make_stream(kind, loss, n_rows, seed=0):
    """Features and targets (-1 and 1 for log_loss)."""
    if kind == "diamonds":
        return diamonds(n_rows)
    if kind == "flights" and loss == "log_loss":
        X, y = late_flights(n_rows)
        return X, 2.0 * y - 1.0
    if kind == "flights":
        return flights(n_rows)
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 20))
    if kind == "autocorrelated":
        for i in range(1, n_rows):
            X[i] = 0.95 * X[i - 1] + np.sqrt(1 - 0.95**2) * X[i]
    if kind == "lognormal":
        X = np.exp(X)
    if kind == "rare dummies":
        X = (rng.uniform(size=X.shape) < 0.02).astype(float)
    z = X @ rng.normal(size=20)
    z = (z - z.mean()) / z.std() * 2.0
    if kind == "scales":
        X = (X + 5.0 * rng.normal(size=20)) * 10.0 ** np.linspace(-3, 6, 20)
    if loss == "log_loss":
        return X, np.where(z + rng.logistic(size=n_rows) > 0, 1.0, -1.0)
    return X, z + rng.normal(size=n_rows) + 3.0


def chunks(n_rows):
    return (slice(start, start + SIZE) for start in range(0, n_rows, SIZE))


def linear(model, X, y):
    """Predictions of a model of scikit-learn's interface, after one pass."""
    arguments = {"classes": [-1, 1]} if hasattr(model, "decision_function") else {}
    for rows in chunks(len(y)):
        model.partial_fit(X[rows], y[rows], **arguments)
    with np.errstate(all="ignore"):
        return X @ model.coef_.ravel() + model.intercept_


def of_skgd(loss, X, y):
    cls = GDClassifier if loss == "log_loss" else GDRegressor
    yield linear(cls(loss, penalty=None, random_state=0), X, y)


def of_sgd(loss, X, y):
    named = dict(loss="epsilon_insensitive", epsilon=0.0)
    named = named if loss == "absolute_error" else dict(loss=loss)
    cls = SGDClassifier if loss == "log_loss" else SGDRegressor
    for learning_rate in ("constant", "invscaling"):
        for eta0 in (0.001, 0.01, 0.1):
            yield linear(
                cls(
                    **named, penalty=None, learning_rate=learning_rate, eta0=eta0,
                    random_state=0, average=SIZE,
                ),
                X, y,
            )  # fmt: skip
    for alpha in (1e-5, 1e-4, 1e-3):  # which scales the steps; there is no penalty
        yield linear(
            cls(
                **named, penalty=None, learning_rate="optimal", alpha=alpha,
                random_state=0, average=SIZE,
            ),
            X, y,
        )  # fmt: skip


def of_vowpal_wabbit(loss, X, y):
    from vowpalwabbit import Workspace

    name = {"squared_error": "squared", "log_loss": "logistic"}.get(loss, "quantile")
    lines = [
        f"{target} | " + " ".join(f"{j}:{v:.9g}" for j, v in enumerate(row))
        for row, target in zip(X, y, strict=True)
    ]
    for options in ("", "-l 5", "--coin"):
        model = Workspace(f"--quiet --loss_function {name} {options}")
        for line in lines:
            model.learn(line)
        yield np.array([model.predict(line[line.index("|") :]) for line in lines])
        model.finish()


def of_river(loss, X, y):
    from river import linear_model, optim

    if loss == "absolute_error":
        return
    rows = [dict(enumerate(row)) for row in X.tolist()]
    for step in (0.01, 0.1, 1.0):
        cls = (
            linear_model.LogisticRegression
            if loss == "log_loss"
            else linear_model.LinearRegression
        )
        model = cls(optim.AdaGrad(step))
        for row, target in zip(rows, y, strict=True):
            model.learn_one(row, target > 0 if loss == "log_loss" else target)
        coef = np.array([model.weights.get(j, 0.0) for j in range(X.shape[1])])
        yield X @ coef + model.intercept


PEERS = {"skgd": of_skgd, "SGD*": of_sgd}
for name, package, peer in (
    ("Vowpal Wabbit", "vowpalwabbit", of_vowpal_wabbit),
    ("river", "river", of_river),
):
    if importlib.util.find_spec(package):
        PEERS[name] = peer


def left(kind, loss, n_rows):
    """Percent of the gain that each peer, with its best setting, leaves."""
    X, y = make_stream(kind, loss, n_rows)
    scaled = StandardScaler().fit_transform(X)
    cls = GDClassifier if loss == "log_loss" else GDRegressor
    best = cls(loss, penalty=None, tol=1e-9, max_iter=10_000).fit(scaled, y)
    start = {"squared_error": y.mean(), "absolute_error": np.median(y)}
    if loss == "log_loss":
        share = np.mean(y > 0)
        start[loss] = np.log(share / (1 - share))
    constant = LOSSES[loss](y, start[loss])
    gain = constant - best.objective_
    result = {}
    for name, peer in PEERS.items():
        used = X if name == "skgd" else scaled
        values = [LOSSES[loss](y, z) for z in peer(loss, used, y)]
        values = [100 * (value - best.objective_) / gain for value in values]
        result[name] = min(values, default=np.nan)
    return result


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="2,000 rows")
    n_rows = 2000 if parser.parse_args().quick else 20_000
    warnings.simplefilter("ignore")
    print(f"{'stream':>16} {'loss':>15}", *(f"{name:>14}" for name in PEERS))
    table, skipped = [], []
    for kind, loss in (*itertools.product(KINDS, LOSSES), *REAL):
        try:
            result = left(kind, loss, n_rows)
        except MissingError as reason:
            skipped.append(f"{kind} {loss} skipped: {reason}")
            continue
        table.append(list(result.values()))
        print(f"{kind:>16} {loss:>15}", *(f"{v:14.2f}" for v in table[-1]))
    print(f"{'median':>32}", *(f"{v:14.2f}" for v in np.nanmedian(table, axis=0)))
    print(*skipped, sep="\n")


if __name__ == "__main__":
    main()
