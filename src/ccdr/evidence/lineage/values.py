"""What a ledger says of itself, as values: what was lost, compared, verified, put beside it, or spoilt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from ccdr.model.values import so_many

LOST = "ledger.lost"  # the repository tells of a ledger of this installation's that this one does not follow
ACKNOWLEDGED = "ledger.acknowledged"  # somebody answers for it that it is gone
LINKED = "ledger.linked"  # it was brought back, and lies beside this one
COLLECTED = "ledger.collected"  # another host's was taken in, and lies beside this one
COMPARED = "ledger.compared"  # what a repository says of it
VERIFIED = "ledger.verified"  # what a walk over all of it has found
LEDGERS = "ledgers"  # below STATE: other ledgers, by their ids
TOLD_FOR = timedelta(days=366)  # how long a report tells of a ledger that was lost, whatever became of it
AGREES, DIFFERS = "AGREES", "DIFFERS"


class LedgerStanding(StrEnum):
    """How what was kept of the ledger compares with it."""

    HOLDS = "holds"
    GONE = "gone"  # nothing is there, or it says that it was begun anew
    OTHER = "other"  # another one is in its place
    CUT = "cut"  # it is shorter
    REWRITTEN = "rewritten"


@dataclass(frozen=True)
class Lost:
    """A ledger of this installation's that is gone: its id, and the last record of it that is known of. Whoever tells
    how many it had tells that number, and beside it, once it was brought back, how many of them that brought."""

    ledger: str
    seq: int
    head: str
    since: str  # when that was found

    def __str__(self) -> str:
        return f"{self.ledger[:8]}…, of {f'at least {self.seq}' if self.seq else 'an unknown number of'} records"

    def of_these(self, records: int) -> str:
        """How many of them were brought back."""
        if records < self.seq:
            return f"{so_many(records, 'record')} of at least {self.seq}"
        more = f", where at least {self.seq} were known of" if self.seq and records > self.seq else ""
        return f"{so_many(records, 'record')}{more}"


@dataclass(frozen=True)
class Compared:
    """What the last comparison with a plan's repository found; `problems` are sentences. `newest` is the greatest
    record number that a snapshot there attests."""

    at: str
    result: str
    snapshots: int
    unattested: int
    newest: int
    problems: tuple[str, ...] = ()
    vanished: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by asset, as it was last looked for
    whole: bool | None = None  # were all of its snapshots looked at, not the newest alone? Older records do not tell
    wholly: str | None = None  # when that was recorded last

    def as_json(self) -> dict[str, object]:
        return {
            "compared": self.at,
            "ok": self.result == AGREES,
            "snapshots": self.snapshots,
            "unattested": self.unattested,
            "newest": self.newest,
            "problems": list(self.problems),
        }


@dataclass(frozen=True)
class RecordedVerification:
    """The newest verification of the whole ledger, as its record (number `seq`) has it; `problems` are sentences,
    `index` has the digests of the files that a report may begin from."""

    at: str
    records: int
    result: str
    summary: str
    problems: tuple[str, ...]
    seq: int
    index: Mapping[str, str]


@dataclass(frozen=True)
class LedgerBeside:
    """A ledger that was put beside this one, as it was then: how many records it had, and the last one's hash. `at` is
    when this one's record of it was written."""

    ledger: str
    records: int
    head: str
    at: str
    apart: tuple[str, ...] = ()  # plans of it that are others than ours of that name
    linked: bool = False  # it was this host's, and `ledger recover` has brought it back


@dataclass(frozen=True)
class Spoilt:
    """A whole line that was changed, and set aside in `file` by record `seq`, in whose place it had stood. Somebody has
    answered for it by the record `answer`, at `answered`; 0 where nobody has."""

    seq: int
    at: str
    file: str
    answer: int = 0
    answered: str = ""

    def __str__(self) -> str:
        return f"record {self.seq} of the ledger, set aside in {self.file} at {self.at}"
