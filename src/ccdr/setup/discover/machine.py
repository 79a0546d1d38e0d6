"""What this machine tells about itself: its name, its time zone."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from ccdr.model.schema import zone_of

ZONES = "/zoneinfo/"


def timezone(root: Path = Path("/")) -> str:
    """The IANA name of this machine's zone; UTC where it has none that can be told."""
    guesses = [os.environ.get("TZ", "").removeprefix(":")]
    with contextlib.suppress(OSError, UnicodeDecodeError):
        guesses.append((root / "etc/timezone").read_text("utf-8").strip())
    with contextlib.suppress(OSError):
        guesses.append(str((root / "etc/localtime").readlink()).partition(ZONES)[2])
    for guess in guesses:
        if guess in ("Etc/UTC", "UTC", "Etc/UCT", "Zulu"):
            return "UTC"
        if guess and not guess.startswith("/"):
            try:
                zone_of(guess)
            except ValueError:
                continue
            return guess
    return "UTC"


def hostname() -> str:
    return socket.gethostname().partition(".")[0] or "localhost"
