"""The order of rows in a large memory map: blocks of it, which are read ahead.

Rows in random order take a disk access each, where a file does not fit the memory.
Blocks in random order, and rows shuffled within a buffer of some of them, take as long
as the file does from end to end. What is left of a file's own order, the passes over
all rows of a default fit put right.
"""

import mmap

import numpy as np

LARGE = 1_000_000_000  # bytes of a map that is visited in blocks, whatever the machine
BLOCK_BYTES = 20_000_000  # of a block, that a disk reads in one go
BUFFER = 16  # blocks whose rows are mixed


def blocks_of(X):
    """The blocks of X if it is a large memory map of dense rows, else None."""
    if not isinstance(X, np.ndarray) or X.nbytes < LARGE:
        return None
    base = X
    while isinstance(base, np.ndarray):
        base = base.base
    return Blocks(X, base) if isinstance(base, mmap.mmap) else None


class Blocks:
    """Blocks of rows of a memory map.

    Parameters
    ----------
    X : ndarray of shape (n, p)
    file : mmap.mmap
        The map that X is in.
    """

    def __init__(self, X, file):
        self.X, self.file = X, file
        self.size = max(1, BLOCK_BYTES // max(X[:1].nbytes, 1))

    def order(self, n_rows, generator):
        """A random order of n_rows rows, which are in the order of the file."""
        starts = np.arange(0, n_rows, self.size)
        generator.shuffle(starts)
        buffers = []
        for first in range(0, len(starts), BUFFER):
            rows = np.concatenate(
                [
                    np.arange(start, min(start + self.size, n_rows))
                    for start in starts[first : first + BUFFER]
                ]
            )
            generator.shuffle(rows)
            buffers.append(rows)
        return np.concatenate(buffers)

    def pieces(self, visits, batch_size):
        """Visits of whole batches, a buffer or so each; the next one is read ahead."""
        n_rows = len(visits[0])
        size = max(1, round(BUFFER * self.size / batch_size)) * batch_size
        self.read_ahead(visits[0][:size])
        for start in range(0, n_rows, size):
            self.read_ahead(visits[0][start + size : start + 2 * size])
            piece = slice(start, start + size)
            yield tuple(None if array is None else array[piece] for array in visits)

    def read_ahead(self, rows):
        """Tell the system which pages come next, if it listens."""
        if not (len(rows) and hasattr(mmap, "MADV_WILLNEED")):
            return
        begin = np.frombuffer(self.file, np.uint8).ctypes.data
        offset = self.X.__array_interface__["data"][0] - begin
        stride = self.X.strides[0]
        for block in np.unique(rows // self.size):
            first = offset + int(block) * self.size * stride
            first -= first % mmap.PAGESIZE
            length = min(self.size * stride + mmap.PAGESIZE, len(self.file) - first)
            self.file.madvise(mmap.MADV_WILLNEED, first, length)
