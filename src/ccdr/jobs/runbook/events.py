"""What a run's journal holds: one line a happening, never changed. What people wrote is not in it: only its digest."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from ccdr.model.errors import CcdrError

What = Literal[
    "begun",  # the run
    "session",  # a process goes on with it
    "step.begun",
    "step.done",
    "step.failed",
    "step.waits",  # for a person
    "step.retried",  # it may be begun again
    "step.skipped",
    "told",  # people know that a step waits, or that it failed
    "recorded",  # the ledger has the happening number `of`
    "jumped",  # this host's clock, by `seconds`
    "taken_over",  # by another host
    "lost",  # another host goes on: this one must not
    "ended",
]


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One happening. `seq` counts from 1 without a gap; `time` is the wall's, `mono` seconds of a clock that never
    jumps: it goes on from one `session` (a process) to the next where both saw the same `boot` of a machine."""

    seq: int
    what: What
    time: datetime
    mono: float
    session: str
    by: str = ""  # who: a login name
    host: str = ""
    pid: int = 0
    step: str | None = None
    attempt: int = 0
    seconds: float = 0.0
    answer: str | None = None  # a word of the plan's, never free text
    text: str | None = None  # the digest by which a person's words are kept
    reason: str | None = None  # a sentence of ours
    hint: str | None = None
    code: int = 0  # exit code that a failed step stands for
    facts: dict[str, str] = {}  # what it found, in words of ours
    left_behind: list[str] = []
    runbook: str = ""  # its SHA-256
    plan_sha256: str = ""
    of: int = 0
    state: str = ""
    boot: str = ""
    seal: str = ""  # by which ccdr knows, here and on other hosts, that one of them has written it


_READ = msgspec.json.Decoder(Event)


def written(event: Event) -> bytes:
    """One line."""
    return msgspec.json.encode(event) + b"\n"


def read(line: bytes, where: str) -> Event:
    """CcdrError where it is none: a newer ccdr wrote it, or somebody else."""
    try:
        return _READ.decode(line)
    except msgspec.DecodeError:  # what it says may quote the line
        raise CcdrError(
            f"{where} holds what is no happening of a runbook that this ccdr knows",
            hint="a newer ccdr wrote it: go on with that one; else somebody changed the file",
        ) from None
