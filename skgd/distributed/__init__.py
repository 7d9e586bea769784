"""Rows in the partitions of dask collections: sums over them, made where they are.

================  ====================================================================
engines           who calls a function on each partition, and adds up what comes of it
parts             the rows of one partition: what is asked of them, on its worker
targets           means and quantiles of targets over partitions
data              the `Data` of the training loop, by sums over partitions
collections       dask arrays and dataframes as partitions; dask is imported here
================  ====================================================================
"""

import sys


def is_collection(array):
    """Whether this is a dask collection. Imports nothing: dask has made it, if so."""
    dask = sys.modules.get("dask")
    return dask is not None and dask.is_dask_collection(array)
