"""Records of incidents: opened, noted, a notification filed, closed. What people write is kept apart."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ccdr.evidence.records.values import (
    Count,
    Digest,
    OfPlan,
    Record,
    RecordedUser,
    Seconds,
    Tenant,
    Time,
    Value,
    Word,
    about,
)

IncidentId = Annotated[Word, about("the incident's name: the day on which it was opened, and six digits of chance")]
Words = Annotated[Digest | None, about("of a salt, a newline and the words, kept apart; null where nobody wrote any")]
Kinds = Annotated[
    list[Literal["availability", "confidentiality", "integrity"]], about("what was, or may have been, breached")
]
Cause = Literal[
    "hardware",
    "software",
    "human_error",
    "loss_or_theft",
    "attack",
    "third_party",
    "disaster",
    "unknown",
    "rehearsal",
    "false_alarm",
]


class RecordedClock(Value, frozen=True, kw_only=True, gc=False):
    """What is to be notified, as it was asked for when the incident was opened. `due` is null where it is counted from
    when another one (`after`) is filed."""

    clock: Word
    law: Annotated[str, Meta(max_length=60, description="the article, or the contract, as the file of clocks names it")]
    to: Literal["authority", "customers", "media"]
    due: Time | None = None
    after: Word | None = None
    year_end: Annotated[bool, about("counted from the end of the year of `aware_at`, in the plan's zone")] = False
    within_s: Annotated[Seconds, about("elapsed seconds that it is counted by; 0: calendar months")] = 0.0
    days: Annotated[bool, about("those seconds are calendar days")] = False
    months: Count = 0
    before_s: Annotated[Seconds, about("how long before it is due it is told of")] = 0.0


class OfTenant(Value, frozen=True, kw_only=True, gc=False):
    """Whose data it concerns, and which assets hold it."""

    tenant: Tenant
    assets: list[Word]


ForTenant = Annotated[
    str | None, about("where it concerns the data of several controllers: which of them; null: all of them")
]


class IncidentOpened(Record, frozen=True, kw_only=True, gc=False):
    """An incident is open, from now on; or (`reopens`) once more. `by` is what opened it: a person, or a recovery."""

    kind: Literal["incident.opened"] = "incident.opened"
    plan: OfPlan
    version: Literal[4] = 4
    incident: IncidentId
    by: Literal["person", "recover", "runbook", "restore"]
    kinds: Kinds
    aware_at: Annotated[Time, about("when the organisation became aware of it: clocks count from then")]
    role: Literal["controller", "processor"]
    timezone: Annotated[str, Meta(max_length=64, description="of the plan: its months are counted there")] = "UTC"
    tenants: Annotated[list[OfTenant], about("by the plan as it was then")] = []
    clocks: list[RecordedClock] = []
    clocks_sha256: Annotated[Digest | None, about("of the file that the clocks are from")] = None
    reopens: Annotated[Count | None, about("the record of the closing that holds no more, by number")] = None
    recovery: Annotated[str | None, about("the run that opened it, or that a person opened it for")] = None
    why_sha256: Words = None
    boot: Annotated[Digest | None, about("tells the start of this machine from others; null where it has no such id")]
    elapsed_s: Annotated[Seconds, about("of this machine's clock that nobody sets, seconds")]
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class IncidentNoted(Record, frozen=True, kw_only=True, gc=False):
    """Something belongs to an incident: a person's `note`; a `recovery` that was begun while it was open; that
    notifications are `not_due`, as a person says who answers for that; `clocks` that count from now on as well; or how
    it was `assessed`: what was breached, as what risk, and how many it concerns."""

    kind: Literal["incident.noted"] = "incident.noted"
    plan: OfPlan
    version: Literal[4] = 4
    incident: IncidentId
    what: Literal["note", "recovery", "not_due", "clocks", "assessed"]
    recovery: Annotated[str | None, about("the run")] = None
    not_due: Annotated[list[Word], about("the clocks")] = []
    for_tenant: ForTenant = None
    clocks: list[RecordedClock] = []
    kinds: Annotated[Kinds, about("what was breached, as a person says now; empty: nobody says it here")] = []
    risk: Annotated[
        Literal["unlikely", "risk", "high"] | None,
        about("to people's rights and freedoms, by GDPR 33(1) and 34(1); null: nobody says it here"),
    ] = None
    risk_sha256: Annotated[Words, about("why that is the risk")] = None
    persons_sha256: Annotated[Words, about("how many persons it concerns, of which categories")] = None
    records_sha256: Annotated[Words, about("how many records of personal data it concerns")] = None
    why_sha256: Words = None
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class DueThen(Value, frozen=True, kw_only=True, gc=False):
    """A clock that is counted from what was filed."""

    clock: Word
    due: Time


class IncidentFiled(Record, frozen=True, kw_only=True, gc=False):
    """A person says that a notification was filed, when, and by which receipt. ccdr files nothing itself."""

    kind: Literal["incident.filed"] = "incident.filed"
    plan: OfPlan
    version: Literal[4] = 4
    incident: IncidentId
    clock: Word
    filed_at: Time
    for_tenant: ForTenant = None
    receipt_sha256: Annotated[Digest, about("SHA-256 of the receipt's file, which stays where it is")]
    then_due: list[DueThen] = []
    why_sha256: Words = None
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class IncidentClosed(Record, frozen=True, kw_only=True, gc=False):
    """An incident is over, as GDPR 33(5) wants it documented: its cause, its effects, what was done. After a
    `rehearsal` or a `false_alarm` nothing is to be notified."""

    kind: Literal["incident.closed"] = "incident.closed"
    plan: OfPlan
    version: Literal[4] = 4
    incident: IncidentId
    cause: Cause
    effects_sha256: Annotated[Digest, about("of a salt, a newline and the words, kept apart: its effects")]
    remedy_sha256: Annotated[Digest, about("the same: the remedial action taken")]
    not_due: Annotated[list[Word], about("clocks of which a person says with it that nothing is to be notified")] = []
    tenant: Tenant = "default"
    who: RecordedUser | None = None
