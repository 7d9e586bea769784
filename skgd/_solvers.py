"""The three solvers: one update rule with three batch sizes.

A solver is an epoch: it makes the order of the rows and the step sizes, and calls a
kernel. What differs between "batch", "minibatch" and "sgd" is the number of rows an
update and, for "batch", that their order does not matter.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from skgd._kernels import run_epoch

# From this many rows on, drawing an order takes longer than handing it to a thread.
DRAW_AHEAD_FROM = 20_000


def rows_per_update(solver, batch_size, n_rows):
    """Rows an update, at most n_rows."""
    return min({"batch": n_rows, "minibatch": batch_size, "sgd": 1}[solver], n_rows)


def by_blocks(X, batch_size, n_outputs):
    """Whether the block kernel is faster than the row kernel.

    A block update touches all of W. On sparse rows that is worth it once a batch
    holds as many values as there are features; the row kernel's slopes, of which it
    keeps a whole batch, then never take more memory than W.

    On dense rows, ms of an epoch by row / by block kernel, shuffled, for a batch size
    of 1, 4, 16, 64 and 256 (examples/bench_epoch.py --kernels, 2 cores of an AMD EPYC):

        1,000,000 x 10,  K =  1     22/285    28/46     41/35    42/29    38/29
        1,000,000 x 10,  K = 10    205/572   180/161   183/103  123/74   152/72
        200,000 x 100,   K =  1     26/78     22/34     21/25    22/24    27/23
        200,000 x 100,   K =  4     36/116    39/36     42/28    47/25    47/25
        20,000 x 1000,   K =  1     22/50     23/31     23/30    28/29    25/28
        20,000 x 1000,   K = 10     74/162    75/77     64/43    66/38    83/37

    Several outputs share the products of a block. For one output, copying rows next
    to each other takes longer than the products save, unless rows are very short or,
    as those of solver 'batch', next to each other already.
    """
    if X.sparse:
        return batch_size > 1 and batch_size * X.mean_stored >= X.n_features
    if n_outputs > 1:
        return batch_size >= 8
    if X.n_features <= 32:
        return batch_size >= 16
    return batch_size > (64 if X.n_features <= 256 else 1023)


class Orders:
    """Random orders of the rows, one an epoch.

    Drawing the order of a million rows takes as long as half an epoch over them, so
    the next one is drawn in a thread while the kernel, which holds no lock, runs. The
    orders are the same as without the thread.
    """

    def __init__(self, generator, n_rows):
        self.generator = generator
        self.n_rows = n_rows
        self.executor = None
        self.next = None

    def __enter__(self):
        if self.n_rows >= DRAW_AHEAD_FROM:
            self.executor = ThreadPoolExecutor(1)
        return self

    def __exit__(self, *exception):
        if self.executor is not None:
            self.executor.shutdown(wait=False, cancel_futures=True)

    def draw(self):
        if self.executor is None:
            return self.generator.permutation(self.n_rows)
        ready = self.next or self.executor.submit(
            self.generator.permutation, self.n_rows
        )
        order = ready.result()
        self.next = self.executor.submit(self.generator.permutation, self.n_rows)
        return order


def epoch(problem, state, batch_size, schedule, order=None):
    """Make one pass over the data; update `state` in place.

    Parameters
    ----------
    problem : Problem
    state : State
    batch_size : int
        Rows an update.
    schedule : callable
        schedule(t, eta0) -> step sizes.
    order : ndarray of int or None
        Permutation of the training rows; None visits them as they are.

    Returns
    -------
    loss : float
        Mean over rows of weight times loss, each before the update it is part of.
    eta : float
        The last step size.
    """
    n_rows = problem.n_rows
    n_updates = -(-n_rows // batch_size)
    steps = schedule(np.arange(state.t, state.t + n_updates), state.eta)
    rows, y, weight = problem.visits(order)

    average_from, n_averaged = 0, 0
    if state.average:
        # Update t is averaged from t = state.average on.
        average_from = max(0, state.average - state.t)
        n_averaged = max(0, state.t + n_updates - state.average)
        n_before = max(0, state.t - state.average)
        state.average_coef *= n_before
        state.average_intercept *= n_before

    total = run_epoch(
        problem.X,
        rows,
        y,
        weight,
        batch_size,
        steps,
        problem.l1,
        problem.l2,
        problem.loss,
        state.coef,
        state.intercept,
        problem.fit_intercept,
        state.average_coef,
        state.average_intercept,
        average_from,
        by_blocks(problem.X, batch_size, problem.n_outputs),
    )

    if n_averaged:
        state.average_coef /= n_averaged
        state.average_intercept /= n_averaged
    state.t += n_updates
    return total / n_rows, float(steps[-1])
