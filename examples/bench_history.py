"""What history and callbacks cost: an epoch with them and without, in one run.

    python examples/bench_history.py [--turns 5] [--quick]

Without: the epochs alone, called one after the other. With: those of `fit`, which keeps
history, watches for convergence and divergence and, in further columns, tells a
callback of each epoch (one that asks for nothing, and one that asks for the fitted
estimator) or records each update. Squared error; medians over the epochs of all turns,
which alternate. The second table, of small data, has the same in microseconds: what
comes with an epoch does not depend on its length, and there it is not lost in noise.
"""

import argparse
import warnings
from time import perf_counter

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skgd import GDRegressor
from skgd.optim.schedules import constant
from skgd.optim.textbook import Textbook
from skgd.training.visits import Visits

warnings.simplefilter("ignore", ConvergenceWarning)
ETA0 = {"batch": 0.1, "minibatch": 0.01, "sgd": 0.001}


class Listener:
    """A callback that does nothing."""

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        return False


class Watcher(Listener):
    """A callback that does nothing with the fitted estimator."""

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        return False


def epochs_alone(model, X, y):
    """Seconds of each epoch, and nothing around it."""
    problem, *_ = model._prepare(X, y)
    state = model._start(problem)
    state.eta = model.eta0
    batch_size = {"batch": len(y), "minibatch": 32, "sgd": 1}[model.solver]
    method = Textbook(problem, state, model.solver, batch_size, constant)
    generator = np.random.default_rng([0, 1]) if method.shuffled else None
    seconds = []
    with Visits(problem.data, generator, model.max_iter) as visits:
        for _ in range(model.max_iter):
            start = perf_counter()
            method.epoch(state, visits.draw())
            seconds.append(perf_counter() - start)
    return seconds[1:]


def epochs_of_fit(model, X, y):
    """Seconds from one entry of history to the next: all that comes with an epoch."""
    return np.diff(model.fit(X, y).history_["seconds"])


def measure(n, n_epochs, turns):
    """Median seconds of an epoch: {solver: {variant: seconds}}."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 50))
    y = X @ rng.normal(size=50) + rng.normal(size=n)
    variants = {"fit": ({}, None)}
    if hasattr(GDRegressor(), "set_callbacks"):
        variants["callback"] = ({}, Listener())
        variants["callback, estimator"] = ({}, Watcher())
    variants["record of updates"] = ({"record": "update"}, None)
    results = {}
    for solver, eta0 in ETA0.items():
        settings = dict(
            solver=solver, eta0=eta0, learning_rate="constant", max_iter=n_epochs,
            tol=1e-4, n_iter_no_change=n_epochs, random_state=0,
        )  # fmt: skip
        times = {name: [] for name in ("alone", *variants)}
        for _ in range(turns):
            times["alone"] += epochs_alone(GDRegressor(**settings), X, y)
            for name, (parameters, callback) in variants.items():
                model = GDRegressor(**settings, **parameters)
                if callback is not None:
                    model.set_callbacks(callback)
                times[name].extend(epochs_of_fit(model, X, y))
        results[solver] = {name: np.median(values) for name, values in times.items()}
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="small data only")
    arguments = parser.parse_args()
    tables = [] if arguments.quick else [(200_000, 15, 1e3, "ms")]
    for n, n_epochs, unit, name in [*tables, (2_000, 100, 1e6, "us")]:
        results = measure(n, n_epochs, arguments.turns)
        print(
            f"{n:,} x 50: {name} an epoch alone, and what comes with it (of the epoch)"
        )
        for solver, times in results.items():
            alone = times.pop("alone")
            print(f"{solver:10}{unit * alone:9.2f}", end="")
            for variant, seconds in times.items():
                more = seconds - alone
                print(f"   {variant} {unit * more:.2f} ({more / alone:+.1%})", end="")
            print()


if __name__ == "__main__":
    main()
