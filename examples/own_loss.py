"""A loss of your own: one whose errors of one sign cost more than those of the other.

    python examples/own_loss.py [--quick]

A shop that orders too little loses a sale, one that orders too much keeps the goods:
the squared error of what was predicted too low counts `LEVEL`, that of other rows
1 - LEVEL (the loss of an expectile: W. K. Newey and J. L. Powell, "Asymmetric least
squares estimation and testing", Econometrica 55, 1987). It is written twice, as a
Python object and in C, which is compiled here; the table tells what the model learns,
and how long an epoch of either takes next to that of 'squared_error'.
"""

import argparse
import ctypes
import shlex
import subprocess
import sysconfig
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from scipy import LowLevelCallable
from sklearn.exceptions import ConvergenceWarning

from skgd import GDRegressor

LEVEL = 0.9
SOURCE = """
double loss(double y, double z, double *slope)
{
    double r = z - y, weight = r < 0.0 ? LEVEL : 1.0 - LEVEL;
    *slope = 2.0 * weight * r;
    return weight * r * r;
}
"""


class Asymmetric:
    """weight (z - y)^2, with another weight on each side."""

    convex = True

    def __init__(self, level):
        self.level = level

    def value_and_slope(self, y, z):
        r = z - y
        weight = np.where(r < 0.0, self.level, 1.0 - self.level)
        return weight * r**2, 2.0 * weight * r


def compiled(folder):
    """The same in C; with numba, it would be a `cfunc` of the same signature."""
    source, library = Path(folder) / "loss.c", Path(folder) / "loss.so"
    source.write_text(SOURCE.replace("LEVEL", str(LEVEL)))
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    command = [*compiler, "-O2", "-shared", "-fPIC", source, "-o", library]
    subprocess.run(command, check=True)
    function = ctypes.CDLL(str(library)).loss
    function.restype = ctypes.c_double
    double = ctypes.c_double
    function.argtypes = [double, double, ctypes.POINTER(double)]
    return LowLevelCallable(function)


def milliseconds(loss, solver, X, y, turns):
    """The median time of one epoch, by the difference of fits of 3 and of 1."""
    times = []
    for _ in range(turns):
        took = []
        for n_epochs in (1, 3):
            model = GDRegressor(
                loss, solver=solver, eta0=1e-3, max_iter=n_epochs, tol=None
            )
            start = time.perf_counter()
            model.fit(X, y)
            took.append(time.perf_counter() - start)
        times.append((took[1] - took[0]) / 2.0)
    return 1000.0 * float(np.median(times))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small data, one turn")
    quick = parser.parse_args().quick
    n, turns = (3_000, 1) if quick else (200_000, 5)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 10))
    y = X @ rng.normal(size=10) + rng.gamma(2.0, size=n)
    warnings.simplefilter("ignore", ConvergenceWarning)  # of one epoch
    with tempfile.TemporaryDirectory() as folder:
        losses = {
            "squared_error": "squared_error",
            "object": Asymmetric(LEVEL),
            "compiled": compiled(folder),
        }
        print(f"{n} rows, ms per epoch")
        print(f"{'loss':13}  {'training':27} {'too low':7}  minibatch    sgd")
        for name, loss in losses.items():
            model = GDRegressor(loss, random_state=0).fit(X, y)
            low = np.mean(model.predict(X) < y)
            # A call of Python for each row: a few rows tell.
            few = 3_000 if name == "object" else n
            times = [
                milliseconds(loss, "minibatch", X, y, turns),
                milliseconds(loss, "sgd", X[:few], y[:few], turns) * n / few,
            ]
            ended = f"{model.stop_reason_} after {model.n_iter_} epochs"
            print(f"{name:13}  {ended:27} {low:7.1%}  {times[0]:9.1f} {times[1]:6.1f}")


if __name__ == "__main__":
    main()
