"""Print the megabytes that a fit takes; `measures.memory` runs it, one process per fit.

    python peak_memory.py FOLDER MODULE METHOD PASSES

FOLDER holds the data. The peak before the fit, after a fit of a few rows that loads
what is loaded late, is taken off. What `prepare` makes does not count.
"""

import importlib
import re
import resource
import sys
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from data import Data

WARM_UP_ROWS = 200


def peak():
    """Largest resident memory of this process so far, in megabytes."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        # In bytes on macOS. Linux lets it start at that of the parent process, which
        # is why it is not read there.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 2**10


def save(data, folder):
    folder = Path(folder)
    if sp.issparse(data.X):
        sp.save_npz(folder / "X.npz", data.X, compressed=False)
    else:
        np.save(folder / "X.npy", data.X)
    np.save(folder / "y.npy", data.y)
    (folder / "task").write_text(data.task)


def load(folder):
    folder = Path(folder)
    sparse = folder / "X.npz"
    X = sp.load_npz(sparse) if sparse.exists() else np.load(folder / "X.npy")
    return Data(
        folder.name, (folder / "task").read_text(), X, np.load(folder / "y.npy")
    )


def main(folder, module, name, passes):
    warnings.simplefilter("ignore")
    (method,) = [m for m in importlib.import_module(module).METHODS if m.name == name]
    batch_size = method.usual_batch_size()
    data = load(folder)
    few = method.prepare(data.rows(slice(WARM_UP_ROWS)))
    method.fit(few, 1, batch_size)
    prepared = method.prepare(data)
    before = peak()
    method.fit(prepared, int(passes), batch_size)
    print(peak() - before)


if __name__ == "__main__":
    main(*sys.argv[1:])
