"""Standard output and standard error: whoever reads them may leave, and what is done goes on all the same."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING

from ccdr.model.errors import CcdrError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Stream(io.FileIO):
    """A standard stream that never fails whoever writes to it: a reader who has left (`| head`) stops no backup, and
    hides no finding. `broken` is what else kept it from being written; the rest of it goes nowhere."""

    broken: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.broken = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return super().write(data)


def open_streams() -> None:
    """Let `sys.stdout` and `sys.stderr` be such streams, where they are this process's own. Whatever a terminal can
    show, nothing may fail for an arrow."""
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        with contextlib.suppress(AttributeError, OSError, ValueError):  # closed by the caller, or not a file's
            if stream.fileno() == number:
                stream.flush()
                lines = stream.line_buffering
                file = io.BufferedWriter(Stream(number, "wb", closefd=False))
                text = io.TextIOWrapper(file, stream.encoding, "backslashreplace", line_buffering=lines)
                setattr(sys, name, text)


def written() -> CcdrError | None:
    """Write what is left; what kept standard output from being written as a whole."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if not isinstance(raw, Stream) or raw.broken is None:
        return None
    return CcdrError(
        f"standard output could not be written: {raw.broken.strerror}",
        hint="the output is incomplete; what was done is in the ledger (`ccdr ledger show`)",
    )
