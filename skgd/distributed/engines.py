"""Who calls a function on each partition, and adds up what comes of it.

Functions are those of modules, called as function(part, *own, *args) in a task: `own`
is a tuple for each partition. What they return depends on that alone, for dask makes
what was lost with a worker again. Sums are those of a binary tree over the partitions
in their order: the same bits whatever the number of workers.
"""

import logging
import weakref

import dask
import numpy as np
from distributed import Client, futures_of, wait
from distributed.system import MEMORY_LIMIT

from skgd.distributed.parts import naming

MEMORY_SHARE = 0.5  # of the workers' memory that partitions may stay in
SENT_APART = 50_000  # bytes of arguments from which they are a task of their own
TREE_FROM = 8_000_000  # bytes of results from which tasks add them up, not the client
TREE = 8  # results that such a task adds up

logger = logging.getLogger("skgd")


# Types of their own are sent as a whole; of a mere list or dict, dask sends each array
# on its own, which took longer than their bytes.
class Results(list):
    """What a function returns for each partition of a bundle."""


class Sums(dict):
    """Nodes of a binary tree, and what they sum up to."""


def added(nodes, n):
    """Sums of neighbours in a binary tree over n leaves, as far as they are there.

    `nodes` are tuples of numbers and arrays by level and place; those of several calls
    may be put together. The sum of all is at the root: `root(n)`.
    """
    nodes = Sums(nodes)
    for level in range(root(n)[0]):
        size = -(-n // 2**level)
        for _, left in sorted(node for node in nodes if node[0] == level):
            pair = [(level, left), (level, left + 1)][: size - left]
            if left % 2 == 0 and all(node in nodes for node in pair):
                values = [nodes.pop(node) for node in pair]
                both = len(values) > 1
                total = tuple(map(np.add, *values)) if both else values[0]
                nodes[level + 1, left // 2] = total
    return nodes


def root(n):
    return (n - 1).bit_length(), 0


def call(function, part, own, args):
    with naming(part.number):
        return function(part, *own, *args)


def call_on_bundle(function, parts, own, args):
    return Results(call(function, *pair, args) for pair in zip(parts, own, strict=True))


def sum_on_bundle(function, parts, own, args, places, n):
    results = call_on_bundle(function, parts, own, args)
    return added({(0, i): r for i, r in zip(places, results, strict=True)}, n)


def merge(n, *sums):
    return added({node: value for nodes in sums for node, value in nodes.items()}, n)


def collect(*items):
    return items


def bind_bundle(function, parts, args, kept):
    return tuple(call(function, parts[k], (), args) for k in kept)


def engine_of(parts, n_bytes, to_bind=False):
    """The engine of these delayed partitions, which take so many bytes.

    `to_bind` says that `bound` is to be called of it.
    """
    client, limit = current_client(), MEMORY_LIMIT
    if client is not None:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        limits = [worker["memory_limit"] for worker in workers.values()]
        limit = sum(limits) if all(limits) else np.inf
    if n_bytes > MEMORY_SHARE * limit:
        logger.info(
            "The partitions take %.3g GB, of %.3g GB of memory: they are read anew in "
            "each pass.",
            n_bytes / 1e9,
            limit / 1e9,
        )
        return Graph(parts, anew=True)
    if client is None:
        return Graph(list(dask.compute(*parts)))
    n_threads = {name: worker["nthreads"] for name, worker in workers.items()}
    return Futures.of(client, parts, n_threads, to_bind)


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
    anew : bool
        Whether they are too many to be kept.
    """

    def __init__(self, parts, anew=False):
        self.parts, self.anew, self.held = parts, anew, []

    def _calls(self, function, args, own=None):
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
        return kept_alive(dask.persist(*self._calls(function, args, own)), self.held)

    def total(self, function, *args, own=None):
        """The sum of what it returns, tuples of numbers and arrays."""
        results, n = self._calls(function, args, own), len(self.parts)
        sums = [{(0, i): result} for i, result in enumerate(results)]
        if size_of(args) * n > TREE_FROM:
            merged = dask.delayed(merge, pure=False)
            groups = [sums[i : i + TREE] for i in range(0, n, TREE)]
            sums = [merged(n, *group) for group in groups]
        return merge(n, *dask.compute(*sums))[root(n)]

    def bound(self, function, args, kept, n_bytes):
        """The engine of function(part, *args), of the partitions that are kept."""
        calls = self._calls(function, args)
        parts = [calls[k] for k in kept]
        return Graph(parts, anew=True) if self.anew else engine_of(parts, n_bytes)

    def close(self):
        """Let go of the partitions, and of what is held."""
        release(futures_of(alive(self.held)))
        self.parts = []


class Futures:
    """On the workers of a client, in whose memory the partitions stay.

    A task takes the scheduler some milliseconds, so that each is for a bundle of
    partitions: one for each thread, of those that are on its worker. Methods as of
    `Graph`.

    Parameters
    ----------
    client : distributed.Client
    bundles : list
        Each a future of a tuple of partitions, or a list of their futures.
    places : list of ndarray
        The numbers of these partitions, of all that there are.
    where : list of dict
        Where they are, as arguments of `submit`: there, but elsewhere if that worker is
        lost. (An idle worker would take the task otherwise, and a bundle with it.)
    """

    def __init__(self, client, bundles, places, where):
        self.client, self.bundles, self.places = client, bundles, places
        self.where = where
        self.n_parts = sum(map(len, places))
        self.running, self.held = [], []

    @classmethod
    def of(cls, client, parts, n_threads, to_bind=False):
        """The engine of delayed partitions, which are made first.

        `n_threads` are those of each worker; `to_bind` as of `engine_of`.
        """
        futures = client.compute(parts, optimize_graph=False)
        try:
            wait(futures)
            for future in futures:
                if future.status == "error":
                    future.result()
        except BaseException:
            release(futures)
            raise
        who_has, on_worker = client.who_has(futures), {}
        for i, future in enumerate(futures):
            worker = next(iter(who_has.get(future.key, ())), None)
            on_worker.setdefault(worker, []).append(i)
        bundles, places, where = [], [], []
        for worker, numbers in on_worker.items():
            there = {"workers": [worker], "allow_other_workers": True}
            there = there if worker in n_threads else {}
            n_bundles = min(n_threads.get(worker, 1), len(numbers))
            for group in np.array_split(numbers, n_bundles):
                bundle = [futures[i] for i in group]
                if not to_bind:  # where tasks that are few are made of them
                    bundle = client.submit(collect, *bundle, pure=False, **there)
                bundles.append(bundle)
                places.append(group)
                where.append(there)
        return cls(client, bundles, places, where)

    def _submit(self, function, *args, **where):
        future = self.client.submit(function, *args, pure=False, **where)
        self.running.append(future)
        return future

    def _calls(self, run, function, args, own, *rest):
        if size_of(args) > SENT_APART:
            # Not scattered: what is scattered is lost with its worker.
            args = self._submit(collect, *args)
        if own is None:
            own = [()] * self.n_parts
        if not isinstance(own, Held):
            own = [[own[i] for i in group] for group in self.places]
        calls = zip(self.where, self.bundles, own, *rest, strict=True)
        return [
            self._submit(run, function, bundle, values, args, *more, **where)
            for where, bundle, values, *more in calls
        ]

    def _gathered(self, futures):
        results = self.client.gather(futures)
        self.running = []
        return results

    def each(self, function, *args, own=None):
        bundles = self._gathered(self._calls(call_on_bundle, function, args, own))
        results = [None] * self.n_parts
        for group, of_bundle in zip(self.places, bundles, strict=True):
            for i, result in zip(group, of_bundle, strict=True):
                results[i] = result
        return results

    def hold(self, function, *args, own=None):
        return kept_alive(self._calls(call_on_bundle, function, args, own), self.held)

    def total(self, function, *args, own=None):
        n = self.n_parts
        ns = [n] * len(self.bundles)
        sums = self._calls(sum_on_bundle, function, args, own, self.places, ns)
        if size_of(args) * n > TREE_FROM:
            groups = [sums[i : i + TREE] for i in range(0, len(sums), TREE)]
            sums = [self._submit(merge, n, *group) for group in groups]
        return merge(n, *self._gathered(sums))[root(n)]

    def bound(self, function, args, kept, n_bytes):
        # Where they are.
        new = {int(i): place for place, i in enumerate(kept)}
        bundles, places, wheres = [], [], []
        for where, bundle, group in zip(
            self.where, self.bundles, self.places, strict=True
        ):
            inside = [k for k, i in enumerate(group) if int(i) in new]
            if inside:
                bundles.append(
                    self._submit(bind_bundle, function, bundle, args, inside, **where)
                )
                places.append(np.array([new[int(group[k])] for k in inside]))
                wheres.append(where)
        self.bundles, self.running = [], []
        return Futures(self.client, bundles, places, wheres)

    def close(self):
        release(futures_of([*self.bundles, *self.running, *alive(self.held)]))
        self.bundles, self.running = [], []


def kept_alive(results, references):
    """`results` as `Held`, which `references` tell of as long as they are held."""
    held = Held(results)
    references[:] = [r for r in references if r() is not None] + [weakref.ref(held)]
    return held


def alive(references):
    return [result for r in references for result in r() or ()]


def release(futures):
    """Tell the scheduler that they are not wanted, whoever still refers to them.

    An error, or the methods of a fit, refer to some until they are collected.
    """
    for future in futures:
        future.release()


def size_of(args):
    """Bytes of the arrays among arguments; results are about as large."""
    return sum(getattr(argument, "nbytes", 0) for argument in args)
