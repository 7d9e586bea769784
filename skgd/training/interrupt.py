"""Ctrl-C during a fit."""

import signal
import threading


class Interrupt:
    """Ctrl-C, which waits for the running epoch to end; a second one does not."""

    def __init__(self, wanted):
        # Signals reach the main thread only, and another handler may be there.
        self.installed = (
            wanted
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        self.caught = False

    def __enter__(self):
        if self.installed:
            signal.signal(signal.SIGINT, self.catch)
        return self

    def __exit__(self, *exception):
        if self.installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def catch(self, signum, frame):
        if self.caught:
            # It may arrive on the way out, before the former handler is back.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt
        self.caught = True
