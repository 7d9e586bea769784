"""Vowpal Wabbit: single rows, one-vs-rest, float32.

Data are written as text and parsed into its cache file beforehand; timed are passes of
its own driver over the cache, the fastest way to train it, with reading the file but
without writing and parsing the text. It does not shuffle: rows come in the same order
each pass.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from vowpalwabbit import Workspace

from adapters._method import ALPHA, TINY, Method

CONSTANT = 11650396  # where the intercept is, before it is cut to `bits`
CHUNK = 1000
QUIET = "--quiet --holdout_off"


@dataclass
class Cache:
    """A cache file, what the driver must know to read it, and its folder."""

    data: object
    bits: int
    options: str
    folder: tempfile.TemporaryDirectory

    @property
    def path(self):
        return Path(self.folder.name, "cache")


def weights_apart(n_outputs):
    """Distance of the weights of two features: those of K classes, and unused ones."""
    return 1 << (n_outputs - 1).bit_length()


def table_bits(p, apart):
    """Bits of the smallest table where the intercept collides with no feature."""
    bits = 1
    while CONSTANT * apart % 2**bits < p * apart:
        bits += 1
    return bits


def write_text(data, path):
    labels = data.y
    if data.task == "binary":
        labels = 2 * data.y - 1
    elif data.task == "multiclass":
        labels = data.y + 1
    with open(path, "w") as file:
        for start in range(0, len(labels), CHUNK):
            X = sp.csr_matrix(data.X[start : start + CHUNK])
            for i, label in enumerate(labels[start : start + CHUNK]):
                row = slice(X.indptr[i], X.indptr[i + 1])
                pairs = zip(X.indices[row].tolist(), X.data[row].tolist(), strict=True)
                words = " ".join([f"{j}:{x:.7g}" for j, x in pairs])
                file.write(f"{label:.9g} | {words}\n")


class VowpalWabbit(Method):
    name = "Vowpal Wabbit"
    one_vs_rest = True
    clips = True

    def prepare(self, data):
        n_outputs = data.n_outputs
        options = "--loss_function " + (
            "squared" if data.task == "regression" else "logistic"
        )
        if n_outputs > 1:
            options += f" --oaa {n_outputs}"
        bits = table_bits(data.X.shape[1], weights_apart(n_outputs))
        folder = tempfile.TemporaryDirectory()
        cache = Cache(data, bits, f"{QUIET} -b {bits} {options}", folder)
        text = Path(folder.name, "text")
        write_text(data, text)
        arguments = f"{cache.options} -d {text} -k --cache_file {cache.path}"
        Workspace(arguments).finish()
        text.unlink()
        return cache

    def fit(self, cache, passes, batch_size, rule="--sgd", step=TINY):
        # Its squared error is twice ours. Other rules shrink by steps that are not
        # those of the gradient, and one-vs-rest shrinks by each row of each class, so
        # there the penalty is left out.
        penalised = "--sgd" in rule and cache.data.n_outputs == 1
        if penalised:
            l2 = 2 * ALPHA if cache.data.task == "regression" else ALPHA
            rule += f" --l2 {l2} --no_bias_regularization"
        return self.run(cache, f"--passes {passes} {rule} -l {step}", penalised)

    def fit_default(self, cache):
        return self.run(cache, "--passes 1", penalised=False)

    def run(self, cache, arguments, penalised):
        # The data are read and learned from here.
        workspace = Workspace(f"{cache.options} --cache_file {cache.path} {arguments}")
        return cache, workspace, penalised

    def few_epochs(self):
        return {self.name: dict(rule="", step=0.5)}  # its default

    def settings(self, data):
        grid = [
            dict(batch_size=1, rule=rule, step=step)
            for rule, steps in (
                ("--sgd", (0.1, 1.0, 10.0)),
                ("--sgd --power_t 0", (1e-3, 1e-2, 1e-1, 1.0)),
                ("", (0.05, 0.5, 5.0)),  # adaptive and normalised, its default
            )
            for step in steps
        ]
        return {self.name: grid}

    def coefficients(self, model):
        cache, workspace, penalised = model
        K, p = cache.data.n_outputs, cache.data.X.shape[1]
        apart = weights_apart(K)
        constant = CONSTANT * apart % 2**cache.bits
        *coef, intercept = (
            [workspace.get_weight(start + k) for k in range(K)]
            for start in [*range(0, p * apart, apart), constant]
        )
        coef, intercept = np.array(coef).T, np.array(intercept)
        if penalised and coef.any():
            # Then weights are kept up to a common factor. Its predictions don't leave
            # the range of the targets; a half is within that of standardised ones.
            largest = np.abs(coef[0]).argmax()
            half = 0.5 / coef[0, largest]
            intercept = np.array([workspace.predict("| ")])
            factor = workspace.predict(f"| {largest}:{half:.9g}") - intercept[0]
            coef = coef * factor / 0.5
        workspace.finish()
        return coef, intercept


METHODS = [VowpalWabbit()]
