"""The limit of a shuffled epoch: a loop in C that only reads the rows, in that order.

It sums what it reads, in eight sums at a time, and prefetches rows. A gradient has to
read them, too, so that an epoch can hardly take less. Needs a C compiler, the one that
the environment variable CC names, or cc.
"""

import ctypes
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from adapters._method import Method

SOURCE = r"""
#include <stddef.h>
#include <stdint.h>

enum { ROWS_AHEAD = 48, LINE = 8 };

double read_rows(const double *X, const int64_t *order, ptrdiff_t n, ptrdiff_t p)
{
    double sums[8] = {0.0}, total = 0.0;
    for (ptrdiff_t t = 0; t < n; t++) {
        const double *x = X + order[t] * p;
        ptrdiff_t j = 0;
        if (t + ROWS_AHEAD < n) {
            const double *ahead = X + order[t + ROWS_AHEAD] * p;
            for (ptrdiff_t line = 0; line < p; line += LINE)
                __builtin_prefetch(ahead + line, 0, 2);
            __builtin_prefetch(ahead + p - 1, 0, 2);
        }
        for (; j + 8 <= p; j += 8)
            for (int q = 0; q < 8; q++)
                sums[q] += x[j + q];
        for (; j < p; j++)
            total += x[j];
    }
    for (int q = 0; q < 8; q++)
        total += sums[q];
    return total;
}
"""
FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")


def compiled():
    """The function `read_rows`. Raises OSError if it can't be compiled."""
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "read_rows.c"), Path(folder, "read_rows.so")
        source.write_text(SOURCE)
        compiler = os.environ.get("CC", "cc").split()
        result = subprocess.run(
            [*compiler, *FLAGS, str(source), "-o", str(library)],
            capture_output=True,
            text=True,
        )
        if result.returncode:
            raise OSError(result.stderr.strip().splitlines()[-1])
        function = ctypes.CDLL(str(library)).read_rows
    function.restype = ctypes.c_double
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_ssize_t] * 2
    return function


@dataclass
class Visits:
    """Rows, and one order for all passes: drawing it takes part in no time."""

    X: np.ndarray
    order: np.ndarray


class Reading(Method):
    """Looks like a method of training, for `measures.epochs`."""

    name = "reading the rows"
    sparse = False
    batch_sizes = (1, 32, 200, 1024)

    def __init__(self):
        self.read_rows = compiled()

    def prepare(self, data):
        X = np.ascontiguousarray(data.X, dtype=np.float64)
        order = np.random.default_rng(0).permutation(len(X)).astype(np.int64)
        return Visits(X, order)

    def fit(self, visits, passes, batch_size):
        X, order = visits.X, visits.order
        for _ in range(passes):
            self.read_rows(X.ctypes.data, order.ctypes.data, *X.shape)


def methods():
    """The loop, in a list; if it can't be compiled, a line says why."""
    try:
        return [Reading()]
    except OSError as error:
        print(f"{Reading.name} skipped: {error}")
        return []
