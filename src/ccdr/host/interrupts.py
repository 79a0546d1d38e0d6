"""Stopping work that other threads do. A signal reaches the main thread alone; whoever waits elsewhere for a
program or a container asks here at every tick, and is interrupted as the main thread would have been: once, so that
what it does to clean up is not."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GLANCE = 0.25  # seconds between two looks at whether we are to stop
NUDGES = 8  # after a signal, one at every glance: one of them may come just as the main thread falls asleep, too
_STOP = threading.Event()
_TOLD = threading.local()


def listen() -> None:
    """From now on SIGTERM and SIGHUP interrupt the main thread as Ctrl-C does, and no interrupt gets lost.

    Python only notes a signal, and the main thread acts on it when it next runs. Where that thread waits for others
    without a limit, the note may come just as it falls asleep, or be taken by another thread, and nothing wakes it:
    so a thread of our own does. And where the main thread acts on it in a callback or a finaliser, whose errors Python
    only prints, the signal is given again.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` leaves it
        signal.signal(signal.SIGHUP, _interrupt)
    signal.signal(signal.SIGURG, lambda *_: None)  # means nothing, but wakes
    heard, telling = socket.socketpair()
    telling.setblocking(False)
    signal.set_wakeup_fd(telling.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_wake_main_thread, args=(heard,), name="signals", daemon=True).start()
    sys.unraisablehook = _again


def _interrupt(number: int, _: object) -> NoReturn:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _wake_main_thread(heard: socket.socket) -> None:
    main = threading.main_thread().ident
    assert main is not None
    while came := heard.recv(1):
        for _ in range(NUDGES if came[0] in SIGNALS else 0):
            time.sleep(GLANCE)
            signal.pthread_kill(main, signal.SIGURG)


def _again(lost: sys.UnraisableHookArgs) -> None:
    main = threading.main_thread()
    if not isinstance(lost.exc_value, KeyboardInterrupt) or threading.current_thread() is not main:
        sys.__unraisablehook__(lost)
        return
    name = next(iter(lost.exc_value.args), None)
    number = next((number for number in SIGNALS if number.name == name), signal.SIGINT)
    soon = threading.Timer(GLANCE, signal.pthread_kill, (main.ident, number))  # once this callback has ended
    soon.daemon = True
    soon.start()


def stop_all() -> None:
    """Interrupt every thread at its next tick, and those that begin later."""
    _STOP.set()


def tick() -> None:
    """Raises KeyboardInterrupt, the first time it is called in a thread after `stop_all`."""
    if _STOP.is_set() and not getattr(_TOLD, "told", False) and not getattr(_TOLD, "deferred", False):
        _TOLD.told = True
        raise KeyboardInterrupt("stopped")


@contextmanager
def deferred() -> Iterator[None]:
    """What would interrupt us does so when the block has ended: for a short step that is done, or is not, and for the
    end of a run, which is to be recorded whoever stops it. Signals reach the main thread alone; elsewhere it is `tick`
    that waits."""
    if threading.current_thread() is not threading.main_thread():
        outer, _TOLD.deferred = getattr(_TOLD, "deferred", False), True
        try:
            yield
        finally:
            _TOLD.deferred = outer
        tick()
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


@contextmanager
def threads(at_once: int, stopped_by: type[BaseException] = KeyboardInterrupt) -> Iterator[ThreadPoolExecutor]:
    """A pool whose work is stopped, and not begun any more, when `stopped_by` leaves the block; it is raised again once
    that work has ended. Whoever waits here has then been told: what it does to clean up is not interrupted."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=at_once) as pool:
        try:
            yield pool
        except stopped_by:
            stop_all()
            _TOLD.told = True  # in another thread for good: it may have been our work that heard of what stops us, too
            try:
                with deferred():  # who presses Ctrl-C again waits for them, too
                    pool.shutdown(wait=True, cancel_futures=True)
            finally:
                if threading.current_thread() is threading.main_thread():
                    reset()
            raise


def side_by_side(work: Sequence[Callable[[], T]], at_once: int) -> list[T]:
    """Carry all of it out, `at_once` at the same time; what each gave, in order. The first error, or an interrupt,
    stops the others, and is raised once they have ended. For the main thread."""
    from concurrent.futures import as_completed

    with threads(at_once, stopped_by=BaseException) as pool:
        doing = [pool.submit(one) for one in work]
        for done in as_completed(doing):
            done.result()
    return [one.result() for one in doing]


def each_to_its_end(work: Sequence[Callable[[], T]], at_once: int) -> list[T]:
    """As `side_by_side`, where an error stops nothing: neither these, nor what other threads do meanwhile."""
    from concurrent.futures import wait

    with threads(at_once) as pool:
        doing = [pool.submit(_begun, one) for one in work]
        left = set(doing)
        while left:
            left = wait(left, timeout=GLANCE).not_done
            tick()
    return [one.result() for one in doing]


def _begun(one: Callable[[], T]) -> T:
    """Nothing is begun once all is to stop: no tick would end it in a thread that has been told already."""
    if _STOP.is_set():
        raise KeyboardInterrupt("stopped")
    return one()
