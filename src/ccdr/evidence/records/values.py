"""The values that several kinds of records have, and the envelope that every record has."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, inspect

from ccdr.host.who import who
from ccdr.model.kinds import Digest, Seconds, Time, Value, Word, about, like

ServerNumber = Annotated[
    Word | None, about("the server's own number (PostgreSQL's system identifier); null: not known")
]
Sentences = Annotated[list[str], about("sentences of ours: names of objects, counts, codes; never a program's words")]
Reason = Annotated[str | None, about("why it ended as it did, as a sentence of ours; null where all went well")]
Phases = Annotated[dict[str, Seconds], about("seconds that each phase took, by its name")]
Versions = Annotated[dict[str, str], about("versions of what took part, by program")]

Verb = Literal["backup", "test", "negative_control", "prune", "check", "copy", "package"]
Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]
ObjectiveVerdict = Literal["MET", "BREACHED", "NOT_MEASURED", "ESTIMATED", "MET_PARTIAL", "NOT_KNOWN_HERE"]
Repository = Annotated[
    Literal["missing", "closed", "unavailable", "damaged"] | None,
    about("how the repository was found, where that is why it ended; else null"),
]


class RecordOrigin(Value, frozen=True, kw_only=True, gc=False):
    """Which ledger a record is of that is read with ours: whose that is, up to when it tells anything, and when it was
    taken in. `ours`: it was this host's, and lost. `order` is where the record stands between ours."""

    ledger: str
    host: str
    until: datetime
    ours: bool
    taken: datetime
    order: float


class Record(Value, frozen=True, kw_only=True, gc=False):
    """What every record begins with. The ledger gives number, hash, time, host and account when it writes it: what is
    yet to be written has none. `told_by` is in no line: whoever reads another ledger with ours adds it."""

    seq: Annotated[int, Meta(ge=1, description="its number, from 1, without a gap")] = 0
    prev: Annotated[Digest, about("SHA-256 of the line before, newline included; 64 zeros for the first")] = ""
    time: Annotated[
        datetime, Meta(tz=True, extra_json_schema=like("Z$", "when it was written, RFC 3339, UTC, with microseconds"))
    ] = datetime.min
    host: Annotated[str, about("the name of the machine that wrote it")] = ""
    actor: Annotated[str, about("the login name that ccdr ran as; `alice as root` under sudo, as a claim")] = ""
    kind: Annotated[str, about("what it tells; the sections below")] = ""
    plan: Annotated[str | None, about("the plan that it is about")] = None
    asset: Annotated[str | None, about("the asset that it is about; null: the plan, or the host")] = None
    run: Annotated[str | None, about("what a run's records have in common")] = None
    version: Annotated[int, about("of its kind's definition")] = 0
    told_by: RecordOrigin | UnsetType = UNSET

    @property
    def origin(self) -> RecordOrigin | None:
        """None: the record is of our own ledger."""
        return None if self.told_by is UNSET else self.told_by

    @property
    def order(self) -> float:
        """Where it stands among all records that are read as one population."""
        return self.seq if self.told_by is UNSET else self.told_by.order

    @property
    def foreign(self) -> bool:
        """Is it of a ledger that was never this host's?"""
        return self.told_by is not UNSET and not self.told_by.ours

    @property
    def of_ledger(self) -> str | None:
        """The id of its ledger, where that is not ours."""
        return None if self.told_by is UNSET else self.told_by.ledger


class Unread(Record, frozen=True, kw_only=True, gc=False):
    """A record of which only the envelope can be read. Nothing may be judged as if it were not there.

    `unknown`: it is of a version or a kind that this ccdr does not read: whatever it tells of is INCONCLUSIVE here.
    Else it is not what its kind's definition says: no ccdr wrote it so.
    """

    unknown: bool

    @property
    def why(self) -> str:
        return UNKNOWN if self.unknown else WRONG


BESIDE = {"told_by": "RecordOrigin", "verified": "SeenSignature"}  # in no line: whoever reads adds them; their types
UNKNOWN, WRONG = "unknown", "wrong"  # why nothing is taken from a record
ENVELOPE = tuple(name for name in Record.__struct_fields__ if name not in BESIDE)


class RecordedTrigger(Value, frozen=True, kw_only=True, gc=False):
    """What began a run: `command`, by a person or a script; `run`, by schedule, for the due time `due`."""

    by: Literal["command", "run"]
    due: Time | None = None


class Claims(Value, frozen=True, kw_only=True, gc=False):
    """What the environment says, which whoever set it could choose."""

    sudo_user: str | None = None


class RecordedUser(Value, frozen=True, kw_only=True, gc=False):
    """Who began it, by the kernel: whose rights it had, and who had logged in; what is not known is null."""

    uid: int | None = None
    login_uid: Annotated[int | None, about("kept through su and sudo; null where nobody had logged in")] = None
    terminal: Annotated[str | None, about("the controlling terminal, as pts/0")] = None
    started_by: Annotated[
        Literal["cron", "systemd", "terminal", "other"] | None,
        about("by its parents and environment"),
    ] = None
    claims: Claims = Claims()


def recorded_user() -> RecordedUser:
    """Of this process."""
    of = who()
    by: Any = of.started_by
    return RecordedUser(
        uid=of.uid,
        login_uid=of.login_uid,
        terminal=of.terminal,
        started_by=by,
        claims=Claims(sudo_user=of.sudo_user),
    )


def code(of: str | None) -> Any:
    """As records name it. Which of them a kind may have is looked at when it is written."""
    return of and str(of)


# What a run of one asset has; of a run that looks after a repository the asset is null.
OfPlan = Annotated[str, about("the plan that it is about")]
OfAsset = Annotated[str, about("the asset that it is about")]
OfRun = Annotated[str, about("what a run's records have in common")]

Attempt = Annotated[int | None, about("the try at this due time, 1 for the first; null for a command")]
OfCopy = Annotated[str | None, about("which copy of the data it is about; null: the plan's own repository")]
Tenant = Annotated[str, about("whose data it is, as the plan says")]


class Start(Record, frozen=True, kw_only=True, gc=False):
    """What every start of a run holds beside."""

    tenant: Tenant = "default"
    attempt: Attempt = None
    who: RecordedUser | None = None
    copy: OfCopy = None


class End(Record, frozen=True, kw_only=True, gc=False):
    """What every end of a run holds beside."""

    tenant: Tenant = "default"
    attempt: Attempt = None
    copy: Annotated[str | None, about("which copy of the data it is about: `primary`, or its name in the plan")] = None
    site: Annotated[str | None, about("where that copy lies, as the plan says")] = None


def no_such_record(why: str) -> ValueError:
    """What a definition's own check raises, where each value is of its type and all of them together are nothing that
    a ccdr can have found."""
    return ValueError(why)


class RecordedTls(Value, frozen=True, kw_only=True, gc=False):
    """How a connection was encrypted."""

    version: Annotated[str | None, about("as OpenSSL names it: TLSv1.3; null: the server does not tell")] = None
    cipher: Annotated[str | None, about("its name")] = None
    verified: Annotated[bool, about("the server's certificate was")]
    ca_sha256: Annotated[Digest | None, about("of the file of CAs that it was verified by")] = None


class GroupOf(Value, frozen=True, kw_only=True, gc=False):
    """The group that an asset was captured with, and the run of the group."""

    name: str
    run: str


class RecordedCheckResult(Value, frozen=True, kw_only=True, gc=False):
    """One check's result: counts, names of objects and digests, never a row. `SKIPPED`: a restore for real could not
    carry it out where it restored to."""

    kind: Word
    name: str
    status: Literal["PASS", "FAIL", "INCONCLUSIVE", "SKIPPED"]
    expected: str
    actual: str
    varies: Annotated[bool, about("what was found is another at each look, as an age is")] = False


def misfits(value: Any, info: inspect.Type, at: str) -> Iterator[str]:
    """Where patterns do not hold, times are not UTC, or numbers are none."""
    match info:
        case inspect.Metadata(type=inner, extra_json_schema=more):
            pattern = (more or {}).get("pattern")
            if type(value) is str and pattern and not re.search(pattern, value):
                yield at
            else:
                yield from misfits(value, inner, at)
        case inspect.UnionType(types=types) if value is not None and value is not msgspec.UNSET:
            for member in types:
                yield from misfits(value, member, at)
        case inspect.StructType(cls=cls, fields=fields) if isinstance(value, getattr(cls, "__origin__", cls)):
            for field in fields:
                yield from misfits(getattr(value, field.name), field.type, f"{at}.{field.encode_name}")
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item) if isinstance(value, list | tuple):
            for number, one in enumerate(value):
                yield from misfits(one, item, f"{at}[{number}]")
        case inspect.DictType(value_type=inner) if isinstance(value, dict):
            for one in value.values():
                yield from misfits(one, inner, f"{at}[...]")
        case inspect.TupleType(item_types=types) if isinstance(value, tuple):
            for one, kind in zip(value, types, strict=True):
                yield from misfits(one, kind, f"{at}[...]")
        case inspect.DateTimeType() if isinstance(value, datetime) and value.utcoffset() != timedelta(0):
            yield at
        case inspect.FloatType() if isinstance(value, float) and not math.isfinite(value):
            yield at
