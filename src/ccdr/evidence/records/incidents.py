"""Records of incidents: one is opened, a recovery belongs to it. What people say of one are statements."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ccdr.evidence.records.values import OfPlan, Record, RecordedUser, Tenant
from ccdr.model.kinds import Count, Digest, Seconds, Time, Value, Word, about

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


class IncidentRecovery(Record, frozen=True, kw_only=True, gc=False):
    """A recovery was begun while the incident was open: it belongs to it."""

    kind: Literal["incident.recovery"] = "incident.recovery"
    plan: OfPlan
    version: Literal[4] = 4
    incident: IncidentId
    recovery: Annotated[str, about("the run")]
    tenant: Tenant = "default"
    who: RecordedUser | None = None
