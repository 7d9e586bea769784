"""dask arrays and dataframes, as delayed partitions."""

import dask
import dask.array as da
import numpy as np

from skgd.distributed import is_collection, parts
from skgd.distributed.engines import Graph, engine_of


def check_table(X, name="X"):
    """Raise an error if this is not a dask array or dataframe of rows."""
    if not isinstance(X, da.Array) and not hasattr(type(X), "partitions"):
        raise ValueError(
            f"{name} must be a dask array or dataframe, got {type(X).__name__}."
        )
    if name == "X" and X.ndim != 2:
        raise ValueError(f"Expected 2D array, got {X.ndim}D array instead.")


def delayed_parts(X, y, sample_weight, classify):
    """Delayed, checked partitions of X, y and sample_weight."""
    arrays = {"X": X, "y": y, "sample_weight": sample_weight}
    for name, array in arrays.items():
        if not (is_collection(array) or (array is None and name == "sample_weight")):
            raise ValueError(
                f"X, y and sample_weight must all be dask collections, got {name} of "
                f"type {type(array).__name__}. dask.array.from_array makes one, with "
                "the chunks of X."
            )
        if array is not None:
            check_table(array, name)
    names = X.columns if hasattr(X, "columns") else None
    if names is None:
        X = X.rechunk({1: -1})
    X_parts = partitions_of(X)
    y_parts = aligned(y, X, len(X_parts))
    weight_parts = [None] * len(X_parts)
    if sample_weight is not None:
        weight_parts = aligned(sample_weight, X, len(X_parts))
    make = dask.delayed(parts.make, pure=False)
    return [
        make(number, *rows, None if names is None else list(names), classify)
        for number, rows in enumerate(zip(X_parts, y_parts, weight_parts, strict=True))
    ]


def engine_of_parts(X, y, sample_weight, classify):
    """The engine of their checked partitions."""
    delayed = delayed_parts(X, y, sample_weight, classify)
    n_bytes = getattr(X, "nbytes", np.nan) if hasattr(X, "chunks") else np.nan
    if np.isnan(n_bytes):
        # Too many to be kept, for all that is known: they are described first.
        return Graph(delayed)
    return engine_of(delayed, n_bytes, to_bind=True)


def partitions_of(array):
    # Of a collection that is optimised apart from another, a partition may be read
    # twice, or others come of it.
    return list(np.ravel(array.to_delayed(optimize_graph=False)))


def aligned(array, X, n_parts):
    """The partitions of y or weights, cut as those of X."""
    if hasattr(array, "chunks") and hasattr(X, "chunks"):
        rows, own = X.chunks[0], array.chunks[0]
        if rows != own and not np.isnan(sum(rows) + sum(own)):
            if sum(rows) != sum(own):
                raise ValueError(
                    "Found input variables with inconsistent numbers of samples: "
                    f"{[int(sum(rows)), int(sum(own))]}"
                )
            array = array.rechunk({0: rows})
        if array.ndim > 1:
            array = array.rechunk({1: -1})
    found = partitions_of(array)
    if len(found) != n_parts:
        raise ValueError(
            f"X has {n_parts} partitions and y or sample_weight {len(found)}. "
            "Repartition them, or call compute_chunk_sizes() of arrays whose sizes are "
            "not known."
        )
    return found


def map_rows(function, X, width, dtype):
    """function(X) of each partition, as a lazy array: (n,) or, if given, (n, width)."""
    shape = (0,) if width is None else (0, width)
    meta = np.empty(shape, dtype=dtype)
    if hasattr(X, "columns"):
        blocks = [
            da.from_delayed(part, shape=(np.nan, *shape[1:]), meta=meta)
            for part in map(dask.delayed(function, pure=False), partitions_of(X))
        ]
        return da.concatenate(blocks, allow_unknown_chunksizes=True)
    X = X.rechunk({1: -1})
    if width is None:
        return X.map_blocks(function, drop_axis=1, meta=meta)
    return X.map_blocks(function, chunks=(X.chunks[0], (width,)), meta=meta)
