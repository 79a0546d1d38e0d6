"""The system's two clocks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path

from ccdr.ports.place import Clock


class SystemClock:
    """`Clock` of this host."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """A machine that sleeps, or is put to sleep, does not stop it: its data is away meanwhile."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


@cache
def boot() -> str | None:
    """What tells this start of the machine from others: `monotonic` counts from there. None where it has no such id."""
    try:
        return sha256(Path("/proc/sys/kernel/random/boot_id").read_bytes()).hexdigest()
    except OSError:
        return None


@contextmanager
def timed(clock: Clock, phases: dict[str, float], name: str) -> Iterator[None]:
    """Add to the phase of this name the seconds that what is done here takes, however it ends."""
    began = clock.monotonic()
    try:
        yield
    finally:
        phases[name] = phases.get(name, 0.0) + clock.monotonic() - began
