"""The order in which an epoch visits the rows."""

import os
import threading

import numpy as np

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
    which holds no lock, runs. The orders are the same as without the thread, and none
    is drawn after the last epoch.
    """

    def __init__(self, data, generator, n_epochs):
        self.data = data
        self.generator = generator
        self.n_left = n_epochs
        self.ahead = None
        draws = generator is not None and n_epochs > 0
        self.draws_ahead = draws and data.n_rows >= DRAW_AHEAD_FROM
        self.gathers_ahead = draws and data.y.nbytes <= GATHER_AHEAD_UP_TO
        # Memory of targets and weights, of an epoch and perhaps the next one. It is
        # kept, for new memory takes the system longer to get than to fill.
        self.buffers = [(None, None)] * (1 + self.gathers_ahead)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.ahead is not None:
            self.ahead.end()

    def draw(self):
        if self.generator is None or self.n_left == 0:
            return self.data.visits()
        epoch = self.n_left
        self.n_left -= 1
        if self.ahead is None:
            order, visits = self._order(), None
        else:
            ahead, self.ahead = self.ahead, None
            order, visits = ahead.result() or self._anew(ahead)
        if self.draws_ahead and self.n_left > 0:
            self.ahead = _Ahead(self, self.n_left)
        return visits or self._gather(order, epoch)

    def _anew(self, ahead):
        """Draw what a thread should have, which is not in this process."""
        # The generator may be locked for good, by the thread that is not here.
        bits = type(self.generator.bit_generator)()
        bits.state = ahead.state
        self.generator = np.random.Generator(bits)
        return self._order(), None

    def next(self, epoch):
        """The order of an epoch, and perhaps its visits."""
        order = self._order()
        return order, self._gather(order, epoch) if self.gathers_ahead else None

    def _order(self):
        return self.data.random_order(self.generator)

    def _gather(self, order, epoch):
        place = epoch % len(self.buffers)
        rows, *self.buffers[place] = self.data.visits(order, self.buffers[place])
        return rows, *self.buffers[place]


class _Ahead:
    """A thread that draws the visits of the next epoch."""

    def __init__(self, visits, epoch):
        self.visits, self.epoch = visits, epoch
        self.state = visits.generator.bit_generator.state
        self.process = os.getpid()
        self.drawn = self.error = None
        # It must not keep a process from ending.
        self.thread = threading.Thread(target=self._draw, daemon=True)
        try:
            self.thread.start()
        except RuntimeError:
            # While the interpreter ends, no thread can begin.
            self.thread = None
            self._draw()

    def _draw(self):
        try:
            self.drawn = self.visits.next(self.epoch)
        except BaseException as error:
            self.error = error

    def result(self):
        """What was drawn; None in a child that was forked without the thread."""
        if self.process != os.getpid():
            return None
        self.end()
        if self.error is not None:
            raise self.error
        return self.drawn

    def end(self):
        if self.thread is not None and self.process == os.getpid():
            self.thread.join()
