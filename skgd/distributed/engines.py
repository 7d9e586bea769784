"""Who calls a function on each partition, and adds up what comes of it.

Functions are those of modules, called as function(part, *own, *args) in a task: `own`
is a tuple for each partition. What they return depends on that alone, for dask makes
what was lost with a worker again. Sums are those of a binary tree over the numbers of
the partitions: the same bits whatever the number of workers.
"""

import logging
import weakref

import dask
import numpy as np
from distributed import Client, futures_of
from distributed.system import MEMORY_LIMIT

from skgd.distributed.parts import naming

MEMORY_SHARE = 0.5  # of the workers' memory that partitions may stay in
BUNDLES_PER_THREAD = 2
SENT_APART = 50_000  # bytes of arguments from which they are a task of their own
TREE_FROM = 8_000_000  # bytes of results from which tasks add them up, not the client
TREE = 8  # results that such a task adds up: a power of two

logger = logging.getLogger("skgd")


def add(results):
    """Sum of tuples of numbers and arrays: in pairs, then pairs of pairs, ...

    Those of 2^k neighbours of a subtree may be added up elsewhere.
    """
    results = list(results)
    while len(results) > 1:
        pairs = [results[i : i + 2] for i in range(0, len(results), 2)]
        results = [
            tuple(map(np.add, *pair)) if len(pair) > 1 else pair[0] for pair in pairs
        ]
    return results[0]


def call(function, part, own, args):
    with naming(part.number):
        return function(part, *own, *args)


def call_on_bundle(function, parts, own, args, summed):
    results = [call(function, *pair, args) for pair in zip(parts, own, strict=True)]
    return add(results) if summed else results


def collect(*items):
    return items


def engine_of(parts, n_bytes):
    """The engine of these delayed partitions, which take so many bytes."""
    client = current_client()
    if client is None:
        limit = MEMORY_LIMIT
    else:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        limits = [worker["memory_limit"] for worker in workers]
        limit = sum(limits) if all(limits) else np.inf
    if n_bytes > MEMORY_SHARE * limit:
        logger.info(
            "The partitions take %.3g GB, of %.3g GB of memory: they are read anew in "
            "each pass.",
            n_bytes / 1e9,
            limit / 1e9,
        )
        return Graph(parts)
    if client is None:
        return Graph(list(dask.compute(*parts)))
    return Futures(client, parts)


def current_client():
    """The client that dask computes with; None if it does without."""
    get = dask.base.get_scheduler()
    client = getattr(get, "__self__", None)
    return client if isinstance(client, Client) else None


class Held(list):
    """Results that stay where they are, to be `own` of other calls."""


class Graph:
    """By dask's present scheduler.

    Parameters
    ----------
    parts : list
        Partitions in the memory of this process, or delayed ones, which are made anew
        for each call.
    """

    def __init__(self, parts):
        self.parts, self.held = parts, []

    def _calls(self, function, args, own):
        own = [()] * len(self.parts) if own is None else own
        args = dask.delayed(args, traverse=False, pure=False)
        run = dask.delayed(call, traverse=False, pure=False)
        return [
            run(function, *pair, args) for pair in zip(self.parts, own, strict=True)
        ]

    def each(self, function, *args, own=None):
        """What the function returns for each partition, in their order."""
        return list(dask.compute(*self._calls(function, args, own)))

    def hold(self, function, *args, own=None):
        """The same, to be `own` of later calls."""
        return kept(dask.persist(*self._calls(function, args, own)), self.held)

    def total(self, function, *args, own=None):
        """The sum of what it returns, tuples of numbers and arrays."""
        results = self._calls(function, args, own)
        if size_of(args) * len(results) > TREE_FROM:
            summed = dask.delayed(add, pure=False)
            results = [summed(group) for group in grouped(results, TREE)]
        return add(dask.compute(*results))

    def close(self):
        """Let go of the partitions, and of what is held."""
        release(futures_of(alive(self.held)))
        self.parts = []


class Futures:
    """On the workers of a client, in whose memory the partitions stay.

    A task takes the scheduler a millisecond or more, so that partitions are bundled:
    2^k neighbours each, a few for each thread of the workers. Methods as of `Graph`.
    """

    def __init__(self, client, parts):
        self.client, self.n_parts, self.size = client, len(parts), 1
        n_threads = max(sum(client.nthreads().values()), 1)
        while self.n_parts > self.size * n_threads * BUNDLES_PER_THREAD:
            self.size *= 2
        made = dask.delayed(collect, pure=False)
        # Partitions themselves are no results: they would count, and spill, twice.
        bundles = [made(*of_bundle) for of_bundle in grouped(parts, self.size)]
        self.bundles = client.compute(bundles, optimize_graph=False)
        self.running, self.held = [], []

    def _submit(self, function, *args):
        self.running.append(self.client.submit(function, *args, pure=False))
        return self.running[-1]

    def _calls(self, function, args, own, summed=False):
        if size_of(args) > SENT_APART:
            # Not scattered: what is scattered is lost with its worker.
            args = self._submit(collect, *args)
        if not isinstance(own, Held):
            own = grouped([()] * self.n_parts if own is None else own, self.size)
        return [
            self._submit(call_on_bundle, function, *pair, args, summed)
            for pair in zip(self.bundles, own, strict=True)
        ]

    def _gathered(self, futures):
        results = self.client.gather(futures)
        self.running = []
        return results

    def each(self, function, *args, own=None):
        bundles = self._gathered(self._calls(function, args, own))
        return [result for of_bundle in bundles for result in of_bundle]

    def hold(self, function, *args, own=None):
        return kept(self._calls(function, args, own), self.held)

    def total(self, function, *args, own=None):
        results = self._calls(function, args, own, summed=True)
        if size_of(args) * len(results) > TREE_FROM:
            results = [self._submit(add, group) for group in grouped(results, TREE)]
        return add(self._gathered(results))

    def close(self):
        release([*self.bundles, *self.running, *alive(self.held)])
        self.bundles, self.running = [], []


def kept(results, references):
    """`results` as `Held`, which `references` tell of as long as they are held."""
    held = Held(results)
    references[:] = [r for r in references if r() is not None] + [weakref.ref(held)]
    return held


def release(futures):
    """Tell the scheduler that they are not wanted, whoever still refers to them.

    An error, or the methods of a fit, refer to some until they are collected.
    """
    for future in futures:
        future.release()


def alive(references):
    return [result for r in references for result in r() or ()]


def grouped(items, size):
    return [items[i : i + size] for i in range(0, len(items), size)]


def size_of(args):
    """Bytes of the arrays among arguments; results are about as large."""
    return sum(getattr(argument, "nbytes", 0) for argument in args)
