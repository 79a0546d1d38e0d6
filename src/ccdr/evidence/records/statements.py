"""What people sign: of each kind the values, the text that these make, and the record that holds them.

A value has one name: in the statement, in a line of its text, in the record. The text has one form only, so that it can
be made again from the record, and so that what was signed is what is read: a first line, then `key: value` lines in the
order of the definition. A person reads it before they sign it, and `ssh-keygen -Y verify` takes it as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Literal, Self

import msgspec
from msgspec import Meta, Struct, inspect

from ccdr.evidence.records.values import (
    Count,
    Digest,
    OfPlan,
    Record,
    RecordedUser,
    Tenant,
    Time,
    Value,
    Word,
    about,
    misfits,
)
from ccdr.host.built import built, fields_of
from ccdr.model.errors import UsageProblem
from ccdr.model.values import rfc3339

HEAD = "ccdr, to be signed, format 3"
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
Made = Annotated[Time, about("when the text was written")]
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


class Statement(Value, frozen=True, kw_only=True, gc=False):
    """What somebody signs. A key may be restricted to its `NAMESPACE` in allowed_signers; `TO` says what it does."""

    TO: ClassVar[str]
    NAMESPACE: ClassVar[str]

    def text(self) -> str:
        return f"{HEAD}\nto: {self.TO}\n" + "".join(f"{key}: {value}\n" for key, value in self._lines())

    def _lines(self) -> Iterator[tuple[str, str]]:
        for name in self.__struct_fields__:
            for value in _told(getattr(self, name)):
                yield name.replace("_", "-"), value.translate(_ESCAPED)

    @classmethod
    def read(cls, text: str) -> Self:
        """UsageProblem where it is not such a text, byte for byte."""
        head, *rest = text.split("\n")
        lines = [(key, value) for key, colon, value in (line.partition(": ") for line in rest[:-1]) if colon]
        if head != HEAD or not lines:
            raise _misfit("a text that ccdr wrote to be signed")
        if lines[0] != ("to", cls.TO):
            raise UsageProblem(
                f"this text is to {lines[0][1][:40]!a}, expected one to {cls.TO!a}", hint="name the other file"
            )
        told: dict[str, list[str]] = {}
        for key, value in lines[1:]:
            told.setdefault(key.replace("-", "_"), []).append(
                _ESCAPE.sub(lambda m: "\n" if m[0] == r"\n" else "\\", value)
            )
        type_ = fields_of(cls)
        each = {field.name: _value(field.type, told.get(field.name, [])) for field in type_.fields}
        values = {name: value for name, value in each.items() if value is not None}
        try:
            made = msgspec.convert(values, cls, strict=False)
        except msgspec.ValidationError:
            raise _misfit("a text that ccdr wrote to be signed") from None
        if made.text() != text or any(misfits(made, type_, "$")):
            raise _misfit("a text that ccdr wrote to be signed")
        return made

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> Self:
        """What the signature of a record is of. UsageProblem where it is no whole record of this kind."""
        values = {name: record[name] for name in cls.__struct_fields__ if name in record}
        try:
            return msgspec.convert(values, built(cls))
        except msgspec.ValidationError:
            raise _misfit("a record of what somebody signed") from None

    def body(self) -> dict[str, object]:
        """For a record, which has the plan in its envelope."""
        values: dict[str, object] = msgspec.to_builtins(self)
        values.pop("plan", None)
        return values

    @property
    def digest_of_text(self) -> str:
        return sha256(self.text().encode()).hexdigest()


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
        case tuple():
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
        case inspect.VarTupleType():
            return told
        case inspect.DictType():
            return {name: count for name, _, count in (one.rpartition(" ") for one in told)}
        case _:
            return told[0] if len(told) == 1 else told or None


def _misfit(of: str) -> UsageProblem:
    return UsageProblem(
        f"this is not {of}, or it was changed since",
        hint="have it written again, and leave it as it is: a line end more is another text",
    )


# --- approvals ----------------------------------------------------------------------------------------------------

OperationCode = Annotated[
    Literal["prune", "key-remove", "register", "recover"],
    about("what it is for: a prune outside its schedule, a repository's key, the register of erasures"),
]
About = Annotated[OneWord | None, about("what of it, an id; null where there is no more to say")]
OfRepository = Annotated[Digest, about("SHA-256 of the repository's address")]
OfVersion = Annotated[Digest, about("the plan's version, as `plan.version` has it")]


class PlanApproval(Statement, frozen=True, kw_only=True, gc=False):
    """One version of a plan, until when it is to be looked at again."""

    TO: ClassVar[str] = "approve a plan"
    NAMESPACE: ClassVar[str] = "ccdr-approval"

    plan: OfPlan
    digest: OfVersion
    review_by: Annotated[Time, about("when somebody is to look at it again")]
    made: Made
    nonce: Nonce


class ApprovalRequest(Statement, frozen=True, kw_only=True, gc=False):
    """What somebody wants to do, once, on one host: they sign it, and so does who approves it."""

    TO: ClassVar[str] = "approve a request"
    NAMESPACE: ClassVar[str] = "ccdr-approval"
    REQUESTED: ClassVar[str] = "ccdr-request"  # what its requester signs for

    operation: OperationCode
    plan: OfPlan
    digest: OfVersion
    repository: OfRepository
    on: Annotated[str, about("the host that it is for")]
    about: About = None
    requested_by: Annotated[str, about("who asks, as the file of signers has them")]
    key: Annotated[str, about("the fingerprint of their key")]
    made: Made
    expires: Time
    nonce: Nonce
    snapshots: Annotated[tuple[Digest, ...], about("what may be removed, by id")] = ()


class GlassReview(Statement, frozen=True, kw_only=True, gc=False):
    """That the glass was broken, and that somebody has looked at why."""

    TO: ClassVar[str] = "say that a broken glass was reviewed"
    NAMESPACE: ClassVar[str] = "ccdr-approval"

    plan: OfPlan
    of: Annotated[Nonce, about("the nonce of the record `approval.glass`")]
    made: Made
    nonce: Nonce


# --- what no tool can test ----------------------------------------------------------------------------------------


Scope = Annotated[Word, Meta(max_length=63, extra_json_schema={"pattern": r"^(?!-$)[A-Za-z0-9_.+-]+$"})]


class Declaration(Statement, frozen=True, kw_only=True, gc=False):
    """What somebody states of a part of a measure, on which evidence, until when."""

    TO: ClassVar[str] = "attest"
    NAMESPACE: ClassVar[str] = "ccdr-attestation"

    item: Annotated[
        Literal[
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
        ],
        about("what is attested"),
    ]
    scope: Annotated[Scope | None, about("what of it, where there are several: a host, a site, a tenant")] = None
    statement_sha256: Annotated[
        Digest, about("of a salt, a newline and the words, kept apart; where it is ended, of the reason")
    ]
    evidence_sha256: Annotated[Digest, about("SHA-256 of the evidence, which stays where it is")]
    valid_until: Time
    made: Made
    nonce: Nonce


MOST_NAMED = 40  # of what could not be read
UNREAD = r"^[\w .,()'-]{1,100}$"  # the name of one of them; no path: that stays in the export
Unread = Annotated[str, Meta(max_length=100, extra_json_schema={"pattern": UNREAD, "examples": ["a role"]})]


class AccessReview(Statement, frozen=True, kw_only=True, gc=False):
    """That somebody has looked at an export of who may do what."""

    TO: ClassVar[str] = "review access"
    NAMESPACE: ClassVar[str] = "ccdr-access-review"

    plan: OfPlan
    export_sha256: Annotated[Digest, about("SHA-256 of the export, which stays where it is")]
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
    found_sha256: Annotated[Digest, about("of a salt, a newline and the words, kept apart: what they found")]
    elsewhere_sha256: Annotated[
        Digest | None,
        about("of a salt, a newline and the words, kept apart: who looked at what could not be read; null: nobody did"),
    ] = None
    valid_until: Time
    made: Made
    nonce: Nonce


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


class RiskAcceptance(Statement, frozen=True, kw_only=True, gc=False):
    """That somebody accepts the risk of a deviation until a day."""

    TO: ClassVar[str] = "accept the risk of a deviation"
    NAMESPACE: ClassVar[str] = "ccdr-deviation"

    deviation: DeviationId
    plan: str | None
    about_asset: Annotated[str | None, about("the asset of the deviation; null: it is about none alone")] = None
    code: OfCode
    until: Time
    reason_sha256: Annotated[Digest, about("of a salt, a newline and the words, kept apart: why it can stay so")]
    made: Made
    nonce: Nonce


# --- a period -----------------------------------------------------------------------------------------------------


class SignedWith(Value, frozen=True, kw_only=True, gc=False):
    """Another ledger whose records are in the population: how many, and the hash of its last one."""

    ledger: Word
    records: Count
    head: Digest


class PeriodSignOff(Statement, frozen=True, kw_only=True, gc=False):
    """A period's population, from when it begins up to, and without, its end, with what it comes to."""

    TO: ClassVar[str] = "sign a period off"
    NAMESPACE: ClassVar[str] = "ccdr-sign-off"

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
    made: Made
    nonce: Nonce


# --- their records ------------------------------------------------------------------------------------------------


def _record(name: str, kind: str, of: type[Statement], told: str, **more: Any) -> type[Record]:
    """The definition of a record that holds such a statement's values, and `more`: types, with a default in a pair."""
    held = {f.name: f.type if f.required else (f.type, f.default) for f in msgspec.structs.fields(of)}
    beside = [(key, *one) if isinstance(one, tuple) else (key, one) for key, one in (held | more).items()]
    fields: list[Any] = [("kind", Literal[kind], kind), ("version", Literal[4], 4), *beside]
    made: type[Any] = msgspec.defstruct(
        name,
        [*fields, ("who", RecordedUser | None, None)],
        bases=(Record,),
        module=__name__,
        namespace={"__doc__": told},
        frozen=True,
        kw_only=True,
        gc=False,
        forbid_unknown_fields=True,
    )
    return made


_MAY_BE = (Annotated[SignedBy | None, about("null: nobody signed it; `actor` says whose account recorded it")], None)
_TENANT = (Tenant, "default")

PlanApproved = _record(
    "PlanApproved",
    "plan.approved",
    PlanApproval,
    "Somebody has approved one version of a plan.",
    asks=Annotated[bool, about("that version has an `approval:` block: the next one needs an approval, too")],
    by=SignedBy,
    tenant=_TENANT,
)
ApprovalUsed = _record(
    "ApprovalUsed",
    "approval.used",
    ApprovalRequest,
    "A request that another person had signed was carried out, from here on: it cannot be used again. Both have signed "
    "the same text.",
    request_sha256=Annotated[Digest, about("of the text")],
    requested=SignedBy,
    approved=SignedBy,
    tenant=_TENANT,
)
GlassReviewed = _record(
    "GlassReviewed",
    "approval.reviewed",
    GlassReview,
    "Somebody who may approve has looked at why the glass was broken.",
    why_sha256=Annotated[Digest, about("what they found: of a salt, a newline and the words, kept apart")],
    by=SignedBy,
    tenant=_TENANT,
)
AttestationRecord = _record(
    "AttestationRecord",
    "attestation",
    Declaration,
    "Somebody states what no tool can test, until a time, or has ended that.",
    evidence_sha256=(Annotated[Digest | None, about("SHA-256 of the evidence; null: where it is ended")], None),
    act=Literal["made", "ended"],
    by=_MAY_BE,
)
AccessReviewed = _record(
    "AccessReviewed",
    "access.reviewed",
    AccessReview,
    "Somebody has looked at an export of who may do what.",
    by=_MAY_BE,
    tenant=_TENANT,
)
DeviationAccepted = _record(
    "DeviationAccepted",
    "deviation.accepted",
    RiskAcceptance,
    "Somebody who may approve accepts the risk of a deviation until a day. It mends nothing, and ends by itself.",
    by=SignedBy,
    tenant=_TENANT,
)
PeriodSignedOff = _record(
    "PeriodSignedOff",
    "period.signed_off",
    PeriodSignOff,
    "Somebody has signed a period off: its population, as the report has it as CSV.",
    by=SignedBy,
    signers_sha256=Annotated[Digest, about("of the file of who may sign, as it was then")],
)
