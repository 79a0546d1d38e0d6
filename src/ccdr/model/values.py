"""Values of the domain, and nothing else: no I/O, only the standard library.

Times are timezone-aware UTC `datetime`s, durations are seconds (`float`), sizes are bytes (`int`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Any, Literal

from ccdr.model.erasure import RegisterHead
from ccdr.model.errors import BackupBad

LATEST = "latest"  # a rule; and the target of a recovery to the log's end
AT = "at"  # how a base that a recovery chose was selected
RULES = (LATEST, "random", "oldest", AT)  # how a test's snapshot is selected, unless by its id


AHEAD = timedelta(minutes=5)  # that the clock of who states something may be; what is dated later holds for nothing

# What no tool can test, and a person declares.
DeclaredItem = Literal[
    "staff-training",
    "instructions",
    "emergency-mode",
    "criticality-analysis",
    "documents-kept",
    "joiners-leavers",
    "disk-encryption",
    "siem",
    "data-centre",
    "restore-segregation",
    "host-patching",
    "firewall-ids",
    "processing-record",
    "processor-agreements",
    "assistance",
    "card-data",
    "penetration-test",
    "incident-filings",
    "password-policy",
]


class Verb(StrEnum):
    """What `ccdr run` does by schedule."""

    BACKUP = "backup"
    TEST = "test"
    CONTROL = "negative_control"
    PRUNE = "prune"
    CHECK = "check"
    COPY = "copy"
    PACKAGE = "package"


PRIMARY = "primary"  # what records call the copy in the plan's `repository`
LEDGER_REPOSITORY = "ledger_repository"  # what records call the one that holds evidence, and no backups


def at_copy(plan: str, copy: str | None) -> str:
    """What histories call a plan where it is about one of its copies: no plan is called so."""
    return plan if copy in (None, PRIMARY) else f"{plan}@{copy}"


DUTIES = (Verb.BACKUP, Verb.TEST, Verb.PRUNE, Verb.CHECK)  # what a host may be asked to do, or not


def duty_of(verb: Verb) -> Verb:
    """Of which of these it is a part: whoever looks after a plan's repository fills its copies, and writes its package;
    whoever tests restores tests whether the tests notice anything."""
    return {Verb.COPY: Verb.PRUNE, Verb.PACKAGE: Verb.PRUNE, Verb.CONTROL: Verb.TEST}.get(verb, verb)


class Verdict(StrEnum):
    """What a restore test, or one of its checks, has shown."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"  # the backup is bad, or it is not what it claims
    INCONCLUSIVE = "INCONCLUSIVE"  # the test itself broke; proves nothing either way
    MISSED = "MISSED"
    SKIPPED = "SKIPPED"


class ObjectiveVerdict(StrEnum):
    """How an achieved value stands to its objective."""

    MET = "MET"
    BREACHED = "BREACHED"
    NOT_MEASURED = "NOT_MEASURED"
    ESTIMATED = "ESTIMATED"  # extrapolated; never MET
    MET_PARTIAL = "MET_PARTIAL"  # a phase was assumed, not timed
    NOT_KNOWN_HERE = "NOT_KNOWN_HERE"  # another host answers for it, and may know better


class Health(StrEnum):
    """What a look at something showed."""

    OK = "OK"
    WARN = "WARN"  # works, and is not as it should be
    FAIL = "FAIL"  # does not do what the plan wants of it
    UNKNOWN = "UNKNOWN"  # could not be looked at


PHASES = ("provision", "fetch", "load", "check", "dispose")


@dataclass(frozen=True)
class Objectives:
    """Recovery objectives in seconds (NIST SP 800-34: RPO, RTO, MTD)."""

    rpo: float
    rto: float
    mtd: float | None = None


@dataclass(frozen=True)
class Achieved:
    """An objective and what was measured. `achieved_s` is `math.inf` where nothing usable exists."""

    objective_s: float
    achieved_s: float | None
    verdict: ObjectiveVerdict

    def as_json(self) -> dict[str, Any]:
        """The contract's shape; infinity is null, as JSON has no number for it."""
        achieved = self.achieved_s
        if achieved is not None and not math.isfinite(achieved):
            achieved = None
        return {
            "objective_s": self.objective_s,
            "achieved_s": None if achieved is None else round(achieved, 3),
            "verdict": self.verdict.value,
        }


@dataclass(frozen=True)
class CheckResult:
    """One check's outcome.

    `expected` and `actual` go into the ledger: counts, names of objects and hashes only. `detail` is for
    the person who ran the test (it may quote an engine's message, and so a row) and is never recorded.
    """

    kind: str
    name: str
    status: Verdict
    expected: str
    actual: str
    detail: str | None = None
    varies: bool = False  # `actual` is another at each look, as an age is, though nothing is worse

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "status": self.status.value,
            "expected": self.expected,
            "actual": self.actual,
            **({"varies": True} if self.varies else {}),
        }


def details(results: Iterable[CheckResult]) -> str:
    """What checks that did not pass have for a person's eyes, by name; never recorded."""
    return "\n".join(f"{r.name}:\n{r.detail}" for r in results if r.detail and r.status is not Verdict.PASS)


def verdict_of(results: list[CheckResult]) -> Verdict:
    """No evidence, no pass: an empty list is a FAIL, and one check that broke keeps the rest from PASS."""
    if not results or any(r.status is Verdict.FAIL for r in results):
        return Verdict.FAIL
    if all(r.status is Verdict.PASS for r in results):
        return Verdict.PASS
    return Verdict.INCONCLUSIVE


@dataclass(frozen=True)
class GroupRun:
    """What snapshots that were captured together have in common. `name` is the group's in the plan, `run` this one
    time's, `assets` who was to take part."""

    name: str
    run: str
    assets: tuple[str, ...]


@dataclass(frozen=True)
class Needed:
    """A snapshot that an increment cannot be restored without: its full id, and its manifest's SHA-256."""

    id: str
    manifest_sha256: str


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that counts: its manifest is in the repository and in our catalogue.

    `root` is the captured directory's absolute path inside the restic snapshot; `bytes` is what a
    restore writes. `usable_at` is when it could first have been restored, from the repository that it was stored in.
    """

    id: str
    plan: str
    asset: str
    run: str
    engine: str
    method: str
    consistent_point: datetime
    usable_at: datetime
    bytes: int
    root: str
    manifest_sha256: str
    source: str | None  # what was captured, as the engine names it
    group: GroupRun | None  # whom it was captured together with
    upon: tuple[Needed, ...]  # what an increment builds upon: the full one first, the one before it last
    attested: Attestation  # what its manifest says of its ledger
    arrived: datetime | None  # at a copy: when it was there, as far as this host filled it
    in_use: int  # files that were left for the next backup
    missing_s: float  # for so long before its consistent point it lacks what was written to these

    @classmethod
    def outline(
        cls,
        id: str,
        plan: str,
        asset: str,
        consistent_point: datetime,
        usable_at: datetime,
        *,
        run: str = "",
        bytes: int = 0,
        manifest_sha256: str = "",
        source: str | None = None,
        upon: tuple[Needed, ...] = (),
    ) -> Snapshot:
        """One that is not in the catalogue, as far as its tags or records tell: nothing is known of its manifest."""
        return cls(
            id, plan, asset, run, "", "", consistent_point, usable_at, bytes, "/", manifest_sha256, source, None, upon,
            NOTHING_ATTESTED, None, 0, 0.0,
        )  # fmt: skip

    @property
    def whole_until(self) -> datetime:
        """Up to which nothing is missing: what was written later would be lost, if it were restored."""
        return self.consistent_point - timedelta(seconds=self.missing_s)

    @property
    def to_hand(self) -> datetime:
        """When it could first have been restored from where it lies."""
        return self.usable_at if self.arrived is None else max(self.usable_at, self.arrived)

    @property
    def short(self) -> str:
        return self.id[:8]


@lru_cache(1024)  # asked for with every snapshot of years
def source_digest(source: str | None) -> str | None:
    """What was captured, for records: a directory's name may be more than they should hold."""
    return source and sha256(source.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True)
class FileDigest:
    """One captured file: size in bytes, SHA-256, and the count of newline bytes where it was counted."""

    bytes: int
    sha256: str
    lines: int | None = None


ATTESTED = ("ledger", "ledger_seq", "ledger_head", "ledger_start", "installation", "ledger_prev")  # a snapshot's tags


@dataclass(frozen=True)
class Attestation:
    """What a snapshot says of the ledger that tells of it: which one it is, its last record when the snapshot was made,
    the number of its run's start record, whose ledger it is (`lineage.installation`), and the hash of the record before
    the last one: where that one's line is lost, it still binds all before it."""

    ledger: str
    seq: int
    head: str
    start: int
    installation: str
    prev: str

    def __post_init__(self) -> None:
        if min(self.seq, self.start) < 0:
            raise ValueError("what it attests of its ledger is no number of a record")

    def as_tags(self) -> list[str]:
        return [f"{key}={value}" for key, value in self.flat().items()]

    def flat(self) -> dict[str, str | int]:
        """As keys of a manifest, and as tags."""
        return {
            "ledger": self.ledger,
            "ledger_seq": self.seq,
            "ledger_head": self.head,
            "ledger_start": self.start,
            "installation": self.installation,
            "ledger_prev": self.prev,
        }

    @classmethod
    def of(cls, tags: Mapping[str, str | None]) -> Attestation:
        """The inverse of `as_tags`; ValueError where it is not all there."""
        ledger, seq, head, start, installation, prev = (tags.get(key) for key in ATTESTED)
        if not (ledger and head and installation and prev and (seq or "").isdecimal() and (start or "").isdecimal()):
            raise ValueError("what it attests of its ledger is incomplete, or missing: no ccdr left it so")
        return cls(ledger, int(seq or 0), head, int(start or 0), installation, prev)


NOTHING_ATTESTED = Attestation("", 0, "", 0, "", "")

MANIFEST_FORMAT = 3


class ManifestContents(dict[str, Any]):
    """What a manifest holds of what was captured: plain JSON. A key that is read and is not there is one that every
    capture writes: BackupBad."""

    def __init__(self, told: Mapping[str, object]) -> None:
        super().__init__((key, ManifestContents(one) if type(one) is dict else one) for key, one in told.items())

    def __missing__(self, key: str) -> Any:
        raise BackupBad(f"its manifest is not what ccdr wrote: {key[:40]!a} is missing")


@dataclass(frozen=True)
class Manifest:
    """What a capture claims to hold; written into the snapshot and into the catalogue.

    `contents` is the engine's own inventory; `files` maps paths relative to the captured
    directory to their digests. A manifest names tables, roles and files, never a row.
    """

    plan: str
    asset: str
    run: str
    engine: str
    method: str
    host: str
    consistent_point: datetime
    clock_skew_s: float | None
    tools: Mapping[str, str]
    contents: Mapping[str, Any]
    files: Mapping[str, FileDigest] = field(default_factory=dict)
    format: int = MANIFEST_FORMAT
    group: GroupRun | None = None
    upon: tuple[Needed, ...] = ()
    attested: Attestation = field(kw_only=True)
    erasures: RegisterHead | None = None  # how far the register of erasures went; None: there was none

    def __post_init__(self) -> None:
        object.__setattr__(self, "contents", ManifestContents(self.contents))


@dataclass(frozen=True)
class Probe:
    """One thing that was asked before anything is done: the answer, and the next step, which only an OK goes without.
    Names of objects and counts, never a row and never a secret."""

    what: str
    state: Health
    answer: str
    do: str | None = None

    @classmethod
    def ok(cls, what: str, answer: str) -> Probe:
        return cls(what, Health.OK, answer)

    @classmethod
    def warn(cls, what: str, answer: str, do: str) -> Probe:
        return cls(what, Health.WARN, answer, do)

    @classmethod
    def fail(cls, what: str, answer: str, do: str) -> Probe:
        return cls(what, Health.FAIL, answer, do)

    @classmethod
    def unknown(cls, what: str, answer: str, do: str) -> Probe:
        return cls(what, Health.UNKNOWN, answer, do)


@dataclass(frozen=True)
class RecordRef:
    """Where a result stands in the ledger."""

    seq: int
    hash: str

    def as_json(self) -> dict[str, object]:
        return {"seq": self.seq, "hash": self.hash}


def utc(text: str) -> datetime:
    """An RFC 3339 time as UTC; raises ValueError for a time without a zone."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return when.astimezone(UTC)


def to_the_second(moment: datetime | str) -> str:
    """A time (or one as a record has it) as sentences name it."""
    text = moment if isinstance(moment, str) else rfc3339(moment)
    return text if len(text) <= 20 else f"{text[:19]}Z"


def rfc3339(when: datetime) -> str:
    """`2026-11-24T02:30:00Z`, with microseconds only where there are any."""
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def stamped(when: datetime) -> str:
    """As a record's envelope has it: with microseconds always, so that texts compare as times do."""
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def so_many(count: int, one: str, many: str | None = None, *, form: str = "") -> str:
    """`1 table`, `3 tables`; with `form` a number as that has it."""
    return f"{count:{form}} {one if count == 1 else many or f'{one}s'}"


def human_bytes(count: float) -> str:
    """`1.2 GiB`: binary units, for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def human_seconds(seconds: float | None) -> str:
    """`41.7 s`, `12m 30s`, `3h 05m`, `5d 2h`; infinity is `never`."""
    if seconds is None:
        return "-"
    if not math.isfinite(seconds):
        return "never"
    sign = "-" if seconds < 0 else ""
    seconds = abs(seconds)
    if round(seconds, 1) < 60:
        return f"{sign}{seconds:.1f} s"
    minutes, secs = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{sign}{minutes}m {secs:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{sign}{hours}h {minutes:02d}m"
    days, hours = divmod(hours, 24)
    return f"{sign}{days}d {hours}h"
