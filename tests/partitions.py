"""dask collections of arrays."""

import pytest

pytest.importorskip("distributed")

import dask
import dask.array as da
import numpy as np


@pytest.fixture
def one_thread():
    """dask computes in this thread, which is quicker for small data."""
    with dask.config.set(scheduler="synchronous"):
        yield


def collection(array, chunks=90):
    """Rows of an array or CSR matrix in chunks: a size, or a tuple of sizes."""
    if not hasattr(array, "tocsr"):
        chunks = (chunks, -1) if array.ndim > 1 else chunks
        return da.from_array(array, chunks=chunks)
    blocks = [array[i : i + chunks] for i in range(0, array.shape[0], chunks)]
    meta = array[:0]
    return da.concatenate(
        [da.from_delayed(dask.delayed(b), shape=b.shape, meta=meta) for b in blocks]
    )


def of_unknown_sizes(array):
    """The same, whose chunks dask knows no sizes of."""
    return array.map_blocks(lambda block: block, chunks=tuple(
        (np.nan,) * len(sizes) if axis == 0 else sizes
        for axis, sizes in enumerate(array.chunks)
    ), meta=array._meta)  # fmt: skip
