"""The order in which an epoch visits the rows."""

from concurrent.futures import ThreadPoolExecutor

# From this many rows on, drawing an order takes longer than handing it to a thread.
DRAW_AHEAD_FROM = 20_000
# Bytes of targets up to which they are gathered ahead, too. More of them do not stay in
# cache, and the kernel would wait for memory longer than it gains.
GATHER_AHEAD_UP_TO = 4_000_000


class Visits:
    """The rows of each epoch with their targets and weights, as `Data.visits`.

    They are in a new random order for the first `n_epochs`, or without a generator
    as they are.
    Drawing the order of a million rows and gathering their targets takes as long as an
    epoch of short rows, so that of the next epoch is done in a thread while the kernel,
    which holds no lock, runs. The orders are the same as without the thread.
    """

    def __init__(self, data, generator, n_epochs):
        self.data = data
        self.generator = generator
        self.n_left = n_epochs
        self.executor = None
        self.next = None
        self.gathers_ahead = data.y.nbytes <= GATHER_AHEAD_UP_TO
        # Memory of targets and weights, of an epoch and perhaps the next one. It is
        # kept, for new memory takes the system longer to get than to fill.
        self.buffers = [(None, None)] * (1 + self.gathers_ahead)

    def __enter__(self):
        if self.generator is not None and self.data.n_rows >= DRAW_AHEAD_FROM:
            self.executor = ThreadPoolExecutor(1)
        return self

    def __exit__(self, *exception):
        if self.executor is not None:
            self.executor.shutdown(wait=False, cancel_futures=True)

    def draw(self):
        if self.generator is None or self.n_left == 0:
            return self.data.visits()
        order, visits = self.next.result() if self.next else (self._order(), None)
        epoch = self.n_left
        self.n_left -= 1
        if self.executor is not None and self.n_left > 0:
            self.next = self.executor.submit(self._ahead, self.n_left)
        return visits or self._gather(order, epoch)

    def _ahead(self, epoch):
        order = self._order()
        return order, self._gather(order, epoch) if self.gathers_ahead else None

    def _order(self):
        return self.generator.permutation(self.data.n_rows)

    def _gather(self, order, epoch):
        place = epoch % len(self.buffers)
        rows, *self.buffers[place] = self.data.visits(order, self.buffers[place])
        return rows, *self.buffers[place]
