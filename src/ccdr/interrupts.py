"""Stopping work that other threads do. A signal reaches the main thread alone; whoever waits elsewhere for a
program or a container asks here at every tick, and is interrupted as the main thread would have been: once, so that
what it does to clean up is not."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GLANCE = 0.25  # seconds between two looks at whether we are to stop
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


@contextmanager
def deferred() -> Iterator[None]:
    """What would interrupt us does so when the block has ended: for a short step that is done, or is not. Signals reach
    the main thread alone; elsewhere this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    came: list[int] = []
    try:
        for number, handler in before.items():
            if callable(handler):  # what is ignored stays so
                signal.signal(number, lambda number, _: came.append(number))
        yield
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)
        if came:
            raise KeyboardInterrupt(signal.Signals(came[0]).name)


def reset() -> None:
    """All has been stopped; this process goes on with something else. The present thread may be told again."""
    _STOP.clear()
    _TOLD.told = False


def side_by_side(work: Sequence[Callable[[], T]], at_once: int) -> list[T]:
    """Carry all of it out, `at_once` at the same time; what each gave, in order. The first error, or an interrupt,
    stops the others, and is raised once they have ended."""
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        doing = [pool.submit(one) for one in work]
        try:
            for done in as_completed(doing):
                done.result()
        except BaseException:
            stop_all()
            pool.shutdown(wait=True, cancel_futures=True)
            reset()
            raise
    return [one.result() for one in doing]


def each_to_its_end(work: Sequence[Callable[[], T]], at_once: int) -> list[T]:
    """As `side_by_side`, where an error stops nothing: neither these, nor what other threads do meanwhile. An interrupt
    does, and the thread that waits here has been told of it then: what it does to clean up is not interrupted."""
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        doing = [pool.submit(_begun, one) for one in work]
        try:
            left = set(doing)
            while left:
                left = wait(left, timeout=GLANCE).not_done
                tick()
        except KeyboardInterrupt:
            stop_all()
            pool.shutdown(wait=True, cancel_futures=True)
            if threading.current_thread() is threading.main_thread():  # else that one is stopping more than us
                reset()
            raise
    return [one.result() for one in doing]


def _begun(one: Callable[[], T]) -> T:
    """Nothing is begun once all is to stop: no tick would end it in a thread that has been told already."""
    if _STOP.is_set():
        raise KeyboardInterrupt("stopped")
    return one()
