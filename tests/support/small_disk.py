"""A disk that is full, as the kernel tells of it: no file of this process, or of one that it starts, grows further."""

from __future__ import annotations

import contextlib
import resource
import signal
import sys
from collections.abc import Iterator, Mapping

# Python keeps what it has compiled though the kernel took a part of it only: every later start would fail by that.
NO_BYTECODE: Mapping[str, str] = {"PYTHONDONTWRITEBYTECODE": "1"}


@contextlib.contextmanager
def no_file_past(size: int) -> Iterator[None]:
    """Bytes. A write is cut short there, the next one fails."""
    limits, kept = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        sys.dont_write_bytecode = kept
        signal.signal(signal.SIGXFSZ, handler)
