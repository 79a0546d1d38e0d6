"""Stopping work that other threads do. A signal reaches the main thread alone; whoever waits elsewhere for a
program or a container asks here at every tick, and is interrupted as the main thread would have been: once, so that
what it does to clean up is not."""

from __future__ import annotations

import threading

_STOP = threading.Event()
_TOLD = threading.local()


def stop_all() -> None:
    """Interrupt every thread at its next tick, and those that begin later."""
    _STOP.set()


def tick() -> None:
    """Raises KeyboardInterrupt, the first time it is called in a thread after `stop_all`."""
    if _STOP.is_set() and not getattr(_TOLD, "told", False):
        _TOLD.told = True
        raise KeyboardInterrupt("stopped")


def reset() -> None:
    """All has been stopped; this process goes on with something else. The present thread may be told again."""
    _STOP.clear()
    _TOLD.told = False
