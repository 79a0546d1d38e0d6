"""What a person states: one record, one text to be signed, one table of what may be said of what.

A value has one name: in the statement, in a line of its text, in the record. The text has one form only, so that it can
be made again from the record, and so that what was signed is what is read: a first line, then `key: value` lines in the
order of the definition. A person reads it before they sign it, and `ssh-keygen -Y verify` takes it as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, inspect

from ccdr.evidence.records.incidents import Cause, ForTenant, IncidentId, Kinds, RecordedClock
from ccdr.evidence.records.lineage import LedgerId
from ccdr.evidence.records.values import Record, RecordedUser, Tenant, misfits, no_such_record
from ccdr.host.built import built, fields_of
from ccdr.model.errors import UsageProblem
from ccdr.model.kinds import Count, Digest, Owner, Seconds, Time, Value, Word, about
from ccdr.model.values import DeclaredItem, rfc3339

HEAD = "ccdr, to be signed, format 4"
STATEMENT = "statement"  # the record's kind
Nonce = Annotated[
    str,
    Meta(
        min_length=32,
        max_length=32,
        extra_json_schema={"pattern": "^[0-9a-f]{32}$", "description": "random, so that no two texts are the same"},
    ),
]
Signature = Annotated[
    str,
    Meta(
        max_length=16_384,
        extra_json_schema={
            "pattern": "^-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]+-----END SSH SIGNATURE-----\n$",
            "examples": ["-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"],
            "description": "OpenSSH's, armoured: `ssh-keygen -Y verify` says whose it is",
        },
    ),
]
Words = Annotated[Digest | None, about("of a salt, a newline and the words, kept apart; null where there are none")]
Made = Annotated[Time, about("when the text was written")]
EntryId = Annotated[str, about("of an entry of the register, as `e-000017`")]
OneWord = Annotated[Word, Meta(max_length=128)]


class SignedBy(Value, frozen=True, kw_only=True, gc=False):
    """Who has signed, as the file of signers had it, and the signature."""

    name: Annotated[
        str, Meta(extra_json_schema={"pattern": r"^[A-Za-z0-9][A-Za-z0-9_.+@-]{0,127}$", "description": "their name"})
    ]
    key: Annotated[
        str,
        Meta(
            extra_json_schema={
                "pattern": "^SHA256:[A-Za-z0-9+/]{43}$",
                "examples": ["SHA256:w78ei3Mi9ZG0raK9kVS88toRd5CtvcNwuYzdBa60Prg"],
                "description": "the key's fingerprint",
            }
        ),
    ]
    user_verified: Annotated[
        bool | None,
        about("a security key signed, and says whether it knew its user by a PIN or a finger; null: no security key"),
    ] = None
    signature: Signature


class About(Value, tag_field="of", frozen=True, kw_only=True, gc=False):
    """What a statement is about: a reference, and the digest of what was seen."""


# --- approvals ----------------------------------------------------------------------------------------------------

OperationCode = Annotated[
    Literal["prune", "key-remove", "register", "recover"],
    about("what it is for: a prune outside its schedule, a repository's key, the register of erasures"),
]
AboutWord = Annotated[OneWord | None, about("what of it, an id; null where there is no more to say")]
OfRepository = Annotated[Digest, about("SHA-256 of the repository's address")]
OfVersion = Annotated[Digest, about("the plan's version, as `plan.version` has it")]


class VersionOfPlan(About, tag="plan", frozen=True, kw_only=True, gc=False):
    """One version of a plan."""

    digest: OfVersion
    asks: Annotated[bool, about("that version has an `approval:` block: the next one needs an approval, too")]


class RequestedOperation(About, tag="operation", frozen=True, kw_only=True, gc=False):
    """What somebody wants to do, once, on one host."""

    operation: OperationCode
    digest: OfVersion
    repository: OfRepository
    on: Annotated[str, about("the host that it is for")]
    about: AboutWord = None
    requested_by: Annotated[str, about("who asks, as the file of signers has them")]
    key: Annotated[str, about("the fingerprint of their key")]
    snapshots: Annotated[tuple[Digest, ...], about("what may be removed, by id")] = ()


class GlassBreak(About, tag="glass", frozen=True, kw_only=True, gc=False):
    """That somebody went on without an approval."""

    glass: Annotated[Nonce, about("the nonce of the record `approval.glass`")]
    record: Annotated[Count, about("… and its number")]


# --- what no tool can test ----------------------------------------------------------------------------------------


Scope = Annotated[Word, Meta(max_length=63, extra_json_schema={"pattern": r"^(?!-$)[A-Za-z0-9_.+-]+$"})]


class MeasurePart(About, tag="part", frozen=True, kw_only=True, gc=False):
    """A part of a measure that no tool can test."""

    item: Annotated[DeclaredItem, about("which")]
    scope: Annotated[Scope | None, about("what of it, where there are several: a host, a site, a tenant")] = None


MOST_NAMED = 40  # of what could not be read
UNREAD = r"^[\w .,()'-]{1,100}$"  # the name of one of them; no path: that stays in the export
Unread = Annotated[str, Meta(max_length=100, extra_json_schema={"pattern": UNREAD, "examples": ["a role"]})]


class ExportOfAccess(About, tag="access", frozen=True, kw_only=True, gc=False):
    """An export of who may do what, and what somebody found in it."""

    export_sha256: Annotated[Digest, about("SHA-256 of the export, which stays where it is")]
    export: Annotated[Count, about("the record that tells of it, `access.exported`, by number")]
    exported: Annotated[Time, about("when the systems were asked")]
    entries: Annotated[Count, about("lines of the export: a role, a key, a file, a grant")]
    unread: Annotated[Count, about("what could not be read, and so was not looked at")]
    not_read: Annotated[
        tuple[Unread, ...],
        Meta(max_length=MOST_NAMED),
        about("what that was, by its name: accounts of an asset, keys of a repository, a bucket's policy"),
    ] = ()
    result: Annotated[
        Literal["in_order", "to_be_changed"], about("whether everybody has what they should have, and nobody more")
    ]
    elsewhere_sha256: Annotated[
        Digest | None,
        about("of a salt, a newline and the words, kept apart: who looked at what could not be read; null: nobody did"),
    ] = None


DeviationId = Annotated[
    str,
    Meta(
        min_length=8,
        max_length=8,
        extra_json_schema={
            "pattern": "^[0-9a-f]{8}$",
            "examples": ["3f9a2c1b"],
            "description": "the deviation's id: `ccdr deviation show` tells of it",
        },
    ),
]
OfCode = Annotated[OneWord, about("what the deviation is of: TEST_FAILED, or what a plan promises no more")]


class FindingRef(About, tag="finding", frozen=True, kw_only=True, gc=False):
    """A deviation."""

    deviation: DeviationId
    asset: Annotated[str | None, about("its asset; null: it is about none alone")] = None
    owner: Annotated[Owner | None, about("who is to answer for it from now on")] = None
    what: Annotated[
        Literal["cause", "action", "note"] | None, about("what is noted: why it came to be, what is done about it")
    ] = None
    code: OfCode


class TroubleRef(About, tag="trouble", frozen=True, kw_only=True, gc=False):
    """A trouble at one place, as it stands then."""

    code: Annotated[str, about("the trouble's code, as BACKUP_LATE")]
    known_by: Annotated[tuple[str, ...], about("digests that tell this trouble from another of its code")] = ()
    values: Annotated[
        dict[str, tuple[float, ...]], about("by these digests: up to how bad it is covered, in seconds or counts")
    ] = {}
    lasting: Annotated[
        dict[str, float],
        about(
            "by these digests: since when it stands, Unix time; while that is the same, it is covered though it grows"
        ),
    ] = {}


class Handover(About, tag="handover", frozen=True, kw_only=True, gc=False):
    """Data of an asset that left quarantine though erased people may be in it."""

    replay: Annotated[Count, about("the record of the replay, by number")]
    at: Annotated[Time, about("… and when that was recorded")]


class ScheduleRef(About, tag="schedule", frozen=True, kw_only=True, gc=False):
    """A plan's scheduled work, its shipping and its upkeep."""

    boot: Annotated[Digest | None, about("tells the start of this machine from others; null where it has no such id")]
    elapsed_s: Annotated[Seconds, about("of this machine's clock that nobody sets, seconds")]
    after: Annotated[Time | None, about("of the record before it: a pause reaches back no further")] = None


class LostRecords(About, tag="ledger", frozen=True, kw_only=True, gc=False):
    """That these ledgers are gone, or what lines of this one told that were changed."""

    ledgers: list[LedgerId]
    spoilt: Annotated[list[int], about("the numbers of the records that say that such a line was set aside")] = []


class RegisterEntry(About, tag="entry", frozen=True, kw_only=True, gc=False):
    """An entry of the register by which nobody is to be found in any snapshot. It is replayed all the same, and the
    statement is over once a replay finds somebody."""

    entry: EntryId
    missing: Annotated[Count, about("replays by then that did not find it in a snapshot from before")] = 0


# --- an incident ---------------------------------------------------------------------------------------------------


class NotedIncident(About, tag="incident", frozen=True, kw_only=True, gc=False):
    """An incident: words alone; what was breached, as what risk, how many it concerns; or clocks that count as well."""

    incident: IncidentId
    kinds: Annotated[Kinds, about("what was breached, as they say now; empty: they do not say")] = []
    risk: Annotated[
        Literal["unlikely", "risk", "high"] | None,
        about("to people's rights and freedoms, by GDPR 33(1) and 34(1); null: they do not say"),
    ] = None
    risk_sha256: Annotated[Words, about("why that is the risk")] = None
    persons_sha256: Annotated[Words, about("how many persons it concerns, of which categories")] = None
    records_sha256: Annotated[Words, about("how many records of personal data it concerns")] = None
    clocks: Annotated[list[RecordedClock], about("that count from now on")] = []


class FiledNotification(About, tag="filing", frozen=True, kw_only=True, gc=False):
    """That a notification was filed, and when; its receipt is the file. ccdr files nothing itself."""

    incident: IncidentId
    clock: Word
    for_tenant: ForTenant = None
    filed_at: Time


class NotDue(About, tag="not_due", frozen=True, kw_only=True, gc=False):
    """That nothing is to be notified by these clocks of an incident."""

    incident: IncidentId
    clocks: list[Word]
    for_tenant: ForTenant = None


class ClosedIncident(About, tag="closing", frozen=True, kw_only=True, gc=False):
    """That an incident is over, as GDPR 33(5) wants it documented. After a `rehearsal` or a `false_alarm` nothing is to
    be notified."""

    incident: IncidentId
    cause: Cause
    effects_sha256: Annotated[Digest, about("of a salt, a newline and the words, kept apart: its effects")]
    remedy_sha256: Annotated[Digest, about("the same: the remedial action taken")]
    not_due: Annotated[list[Word], about("clocks of which they say with it that nothing is to be notified")] = []


# --- a period -----------------------------------------------------------------------------------------------------


class SignedWith(Value, frozen=True, kw_only=True, gc=False):
    """Another ledger whose records are in the population: how many, and the hash of its last one."""

    ledger: Word
    records: Count
    head: Digest


class PeriodPopulation(About, tag="population", frozen=True, kw_only=True, gc=False):
    """A period's population, from when it begins up to, and without, its end, with what it comes to."""

    ledger: Annotated[OneWord, about("which ledger it is of, by its id")]
    on: Annotated[str, about("the host of that ledger")]
    begins: Annotated[Time, about("when the period begins")]
    ends: Annotated[Time, about("when it ends: what began then is not in it")]
    plans: Annotated[tuple[str, ...], about("names of plans that it is of; none: all")] = ()
    rows: Annotated[Count, about("of the population")]
    population_sha256: Annotated[Digest, about("of the population's heading and rows, as CSV")]
    outcomes: Annotated[dict[str, Count], about("how many runs had each outcome; each missed run is one")]
    due: Annotated[Count, about("runs that came due by the schedules")]
    due_in_part: Annotated[bool, about("more may have been due than is known")]
    missed: Annotated[Count, about("… that did not take place")]
    findings: Annotated[Count, about("of plans and assets, at the period's end, that nobody had acknowledged")]
    acknowledged: Annotated[Count, about("… that somebody had")]
    tests_by_command: Annotated[Count, about("restore tests and negative controls that no schedule began")]
    accounts: Annotated[dict[str, Count], about("… by account; `root`: whose hand it was is not known")]
    read_with: tuple[SignedWith, ...] = ()
    records: Annotated[Count, about("how many records the ledger had when the text was written")]
    head: Annotated[Digest, about("… and the hash of the last one")]
    problems: Annotated[Count, about("… and how much was wrong with it, by what is known beside it")]
    ccdr: Annotated[OneWord, about("the version that wrote the text")]


# --- the statement ------------------------------------------------------------------------------------------------

Says = Literal[
    "approve",
    "review",
    "declare",
    "end",
    "accept",
    "period",
    "assign",
    "note",
    "acknowledge",
    "answer",
    "pause",
    "decide",
]
A = TypeVar("A", bound=About, covariant=True)
_SET = ("until", "words_sha256", "files", "owner", "what")
Until = Annotated[Time | None, about("until when it holds; null: it is of no such kind")]
Files = Annotated[tuple[Digest, ...], about("SHA-256 of each file that shows it, which stays where it is")]


class Statement(Value, Generic[A], frozen=True, kw_only=True, gc=False):
    """What somebody signs. ValueError where the table has no such statement."""

    plan: str | None = None
    says: Says
    about: A
    until: Time | None = None
    words_sha256: Digest | None = None
    files: tuple[Digest, ...] = ()
    made: Made
    nonce: Nonce

    def __post_init__(self) -> None:
        _require(self)

    @property
    def row(self) -> Row[A]:
        return TABLE[_kind(self)]

    @property
    def expiry(self) -> datetime:
        assert self.until is not None, "a statement of no such kind"
        return self.until

    def text(self) -> str:
        return f"{HEAD}\nto: {self.row.to}\n" + "".join(_lines(self))

    def body(self) -> dict[str, object]:
        """For a record, which has the plan in its envelope."""
        values: dict[str, object] = msgspec.to_builtins(self)
        values.pop("plan", None)
        return values


def _lines(of: Struct) -> Iterator[str]:
    for name in of.__struct_fields__:
        value = getattr(of, name)
        if isinstance(value, About):
            yield from _lines(value)
        elif name != "says":
            yield from (f"{name.replace('_', '-')}: {one.translate(_ESCAPED)}\n" for one in _told(value))


class Signatory(StrEnum):
    """Whose word a statement may be."""

    APPROVERS = "who may sign by the plan"
    OTHERS = "who may sign by the plan, and did not do it"
    NAMED = "whom the plan names for it, or who may sign by the plan"
    RISK_OWNER = "the risk owner whom the plan names, or who may sign by the plan; not by a key of the host"
    INDEPENDENT = "who may sign by the plan; not by a key of the host, nor who began tests of the period by hand"
    WRITERS = "who may write here"


@dataclass(frozen=True)
class Row(Generic[A]):
    """One kind of statement. `to` says in its text what it does; a key may be restricted to its `namespace` in
    allowed_signers, and is to `asked` for who asks. Of `_SET` it has what it `needs`, may have what it `may`, and no
    more. `signed`: always, never, or (None) as who states it wants. `by`: whose word it may be; `longest`: for how long
    it may hold, whatever its record says; zero: for as long as the plan says, or it has no end."""

    says: Says
    about: type[A]
    to: str
    namespace: str
    needs: tuple[str, ...]
    may: tuple[str, ...] = ()
    signed: bool | None = True
    asked: str | None = None
    by: Signatory = Signatory.WRITERS
    longest: timedelta = timedelta(0)

    def end_of(self, until: datetime, since: datetime) -> datetime:
        """Until when it holds that was stated then, whoever wrote it."""
        return min(until, since + self.longest)

    @property
    def of(self) -> str:
        return str(self.about.__struct_config__.tag)

    @property
    def kind(self) -> str:
        return f"{self.says}.{self.of}"

    def read(self, text: str) -> Statement[A]:
        """UsageProblem where it is not such a text, byte for byte."""
        head, *rest = text.split("\n")
        lines = [(key, value) for key, colon, value in (line.partition(": ") for line in rest) if colon]
        if head != HEAD or not lines:
            raise _misfit("a text that ccdr wrote to be signed")
        if lines[0] != ("to", self.to):
            raise UsageProblem(
                f"this text is to {lines[0][1][:40]!a}, expected one to {self.to!a}", hint="name the other file"
            )
        told: dict[str, list[str]] = {}
        for key, value in lines[1:]:
            told.setdefault(key.replace("-", "_"), []).append(
                _ESCAPE.sub(lambda m: "\n" if m[0] == r"\n" else "\\", value)
            )
        values = _values(self._statement, told) | {"says": self.says, "about": _values(self.about, told)}
        made = self._made(values, "a text that ccdr wrote to be signed", strict=False)
        if made.text() != text or any(misfits(made, fields_of(self._statement), "$")):
            raise _misfit("a text that ccdr wrote to be signed")
        return made

    def recorded(self, record: StatementRecord) -> Statement[A]:
        """What the signature of a record is of."""
        assert isinstance(record.about, self.about)
        return Statement(**{name: getattr(record, name) for name in Statement.__struct_fields__})

    @property
    def _statement(self) -> type[Statement[A]]:
        of: Any = Statement
        made: type[Statement[A]] = of[self.about]
        return made

    def _made(self, values: Mapping[str, Any], what: str, *, strict: bool) -> Statement[A]:
        try:
            return msgspec.convert(values, built(self._statement), strict=strict)
        except msgspec.ValidationError:
            raise _misfit(what) from None


def _values(of: type[Struct], told: Mapping[str, list[str]]) -> dict[str, object]:
    return {field.name: _value(field.type, told.get(field.name, [])) for field in fields_of(of).fields}


_APPROVAL, _WORDS, _YEAR = "ccdr-approval", ("words_sha256",), timedelta(days=366)
_ONCE = "ccdr-statement"  # what is answered, decided or ended, once
_APPROVERS, _OTHERS, _NAMED, _RISK_OWNER, _INDEPENDENT, _WRITERS = Signatory
APPROVE_PLAN = Row("approve", VersionOfPlan, "approve a plan", _APPROVAL, ("until",), by=_APPROVERS)
APPROVE_OPERATION = Row(
    "approve", RequestedOperation, "approve a request", _APPROVAL, ("until",), asked="ccdr-request", by=_OTHERS,
    longest=timedelta(days=7),  # what it names changes meanwhile
)  # fmt: skip
REVIEW_GLASS = Row("review", GlassBreak, "say that a broken glass was reviewed", _APPROVAL, _WORDS, by=_OTHERS)
DECLARE_PART = Row(
    "declare", MeasurePart, "declare", "ccdr-attestation", _SET[:3], signed=None, by=_NAMED, longest=3 * _YEAR
)
END_PART = Row("end", MeasurePart, "end what was declared", "ccdr-attestation", _WORDS, signed=None)
REVIEW_ACCESS = Row(
    "review", ExportOfAccess, "review access", "ccdr-access-review", ("until", *_WORDS), signed=None, by=_OTHERS,
    longest=timedelta(days=92),
)  # fmt: skip
ACCEPT_FINDING = Row(
    "accept", FindingRef, "accept the risk of a finding", "ccdr-deviation", ("until", *_WORDS), by=_RISK_OWNER,
    longest=_YEAR,
)  # fmt: skip
ASSIGN_FINDING = Row(
    "assign", FindingRef, "say who answers for a finding", "", ("owner",), may=("until",), signed=False, longest=_YEAR
)
NOTE_FINDING = Row("note", FindingRef, "note of a finding", "", (*_WORDS, "what"), signed=False)
ACKNOWLEDGE_TROUBLE = Row(
    "acknowledge", TroubleRef, "take note of a trouble", "", ("until", *_WORDS), signed=False,
    # A quarter: whoever reviews once in three months sees everything that is still acknowledged, and decides anew.
    longest=timedelta(days=90),
)  # fmt: skip
END_TROUBLE = Row("end", TroubleRef, "end what was acknowledged", _ONCE, (), may=_WORDS, signed=None)
PAUSE_SCHEDULE = Row(
    "pause", ScheduleRef, "pause a plan", "", ("until", *_WORDS), signed=False,
    longest=timedelta(hours=24),  # longer than that nobody is without backups by a word that was forgotten
)  # fmt: skip
END_PAUSE = Row("end", ScheduleRef, "end a plan's pauses", _ONCE, (), may=_WORDS, signed=None)
REVIEW_HANDOVER = Row(
    "review", Handover, "say that a hand-over was reviewed", _APPROVAL, _WORDS, signed=None, by=_OTHERS
)
ANSWER_LEDGER = Row("answer", LostRecords, "answer for what the ledger lost", _ONCE, _WORDS, signed=None)
ANSWER_ENTRY = Row("answer", RegisterEntry, "state that nobody is found by it", _ONCE, _WORDS, signed=None)
NOTE_INCIDENT = Row("note", NotedIncident, "note of an incident", "", (), may=_WORDS, signed=False)
DECIDE_FILED = Row("decide", FiledNotification, "say that one was filed", _ONCE, ("files",), may=_WORDS, signed=None)
DECIDE_NOT_DUE = Row("decide", NotDue, "say that nothing is to be notified", _ONCE, _WORDS, signed=None)
DECIDE_CLOSED = Row("decide", ClosedIncident, "close an incident", _ONCE, (), signed=None)
SIGN_PERIOD = Row("period", PeriodPopulation, "sign a period", "ccdr-sign-off", (), by=_INDEPENDENT)
_ROWS: tuple[Row[Any], ...] = (
    APPROVE_PLAN, APPROVE_OPERATION, REVIEW_GLASS, DECLARE_PART, END_PART, REVIEW_ACCESS, ACCEPT_FINDING, SIGN_PERIOD,
    ASSIGN_FINDING, NOTE_FINDING, ACKNOWLEDGE_TROUBLE, END_TROUBLE, PAUSE_SCHEDULE, END_PAUSE, REVIEW_HANDOVER,
    ANSWER_LEDGER, ANSWER_ENTRY, NOTE_INCIDENT, DECIDE_FILED, DECIDE_NOT_DUE, DECIDE_CLOSED,
)  # fmt: skip
TABLE: Mapping[str, Row[Any]] = {row.kind: row for row in _ROWS}


class SeenSignature(Value, frozen=True, gc=False):
    """What became of a signature that somebody verified who reads its record; `why` where it does not hold."""

    state: Literal["holds", "refused", "unreadable"]
    why: str = ""


class StatementRecord(Record, frozen=True, kw_only=True, gc=False):
    """Somebody states something: what they say of what, until when, and whose word it is. Which may be said of what,
    and has to be signed, stands in the table of statements."""

    kind: Literal["statement"] = "statement"
    version: Literal[4] = 4
    says: Says
    about: (
        VersionOfPlan
        | RequestedOperation
        | GlassBreak
        | MeasurePart
        | ExportOfAccess
        | FindingRef
        | TroubleRef
        | ScheduleRef
        | Handover
        | LostRecords
        | RegisterEntry
        | NotedIncident
        | FiledNotification
        | NotDue
        | ClosedIncident
        | PeriodPopulation
    )
    until: Until = None
    words_sha256: Words = None
    files: Files = ()
    made: Made
    nonce: Nonce
    by: Annotated[SignedBy | None, about("null: nobody signed it; `actor` says whose account recorded it")] = None
    requested: Annotated[SignedBy | None, about("who asked for it, and signed the same text for that")] = None
    signers_sha256: Annotated[Digest | None, about("of the file of who may sign, as it was then")] = None
    tenant: Tenant = "default"
    who: RecordedUser | None = None
    verified: SeenSignature | UnsetType = UNSET

    @property
    def row(self) -> Row[Any]:
        return TABLE[_kind(self)]

    def __post_init__(self) -> None:
        row = _require(self)
        if row.signed not in (None, self.by is not None) or (row.asked is None) != (self.requested is None):
            raise no_such_record("signed by nobody who is to")


def _kind(one: Statement[Any] | StatementRecord) -> str:
    return f"{one.says}.{one.about.__struct_config__.tag}"


def _require(one: Statement[Any] | StatementRecord) -> Row[Any]:
    row = TABLE.get(_kind(one))
    has = [name for name in _SET if getattr(one, name, None) or getattr(one.about, name, None)]
    if row is None or {*has} - {*row.may} != {*row.needs}:
        raise no_such_record("no such thing is stated of it")
    return row


def kind_of(record: Record) -> str:
    """What a record tells: its kind; of a statement what is said of what, as the table has it. Of one that cannot be
    read, `statement`."""
    return _kind(record) if isinstance(record, StatementRecord) else record.kind


# --- its text -----------------------------------------------------------------------------------------------------

# No two statements make the same text, whatever another hand's record may hold: a line end is no line end in it.
_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n"})
_ESCAPE = re.compile(r"\\[\\n]")


def _told(value: object) -> Iterator[str]:
    match value:
        case None:
            return
        case bool():
            yield str(value).lower()
        case datetime():
            yield rfc3339(value)
        case dict():
            yield from (f"{name} {count}" for name, count in sorted(value.items()))
        case tuple() | list():
            for one in value:
                yield " ".join(_told(one))
        case Struct():
            for name in value.__struct_fields__:
                yield from _told(getattr(value, name))
        case _:
            yield str(value)


def _value(of: inspect.Type, told: list[str]) -> object:
    """What `_told` makes of a value of this type, as plain values again."""
    match of:
        case inspect.Metadata(type=inner):
            return _value(inner, told)
        case inspect.VarTupleType(item_type=inspect.StructType(fields=fields)):
            return [dict(zip((field.name for field in fields), one.split(" "), strict=False)) for one in told]
        case inspect.VarTupleType() | inspect.ListType():
            return told
        case inspect.DictType():
            return {name: count for name, _, count in (one.rpartition(" ") for one in told)}
        case _:
            return told[0] if len(told) == 1 else None


def _misfit(of: str) -> UsageProblem:
    return UsageProblem(
        f"this is not {of}, or it was changed since",
        hint="have it written again, and leave it as it is: a line end more is another text",
    )
