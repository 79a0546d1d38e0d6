"""What no tool can test, and a person states: by whom, on which evidence, and until when that holds. Pure.

The statement's words and the evidence itself stay where they are: a record has their digests. Once its time is up an
attestation is stale, which is never read as if it still held.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ccdr.evidence.approvals import AHEAD
from ccdr.evidence.records.statements import DECLARE_PART, END_PART, kind_of
from ccdr.evidence.until import refuse_past
from ccdr.evidence.until import until_of as moment_of
from ccdr.evidence.whose import Whose, whose
from ccdr.model.errors import UsageProblem
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import number_of, rfc3339, to_the_second, utc

if TYPE_CHECKING:
    from ccdr.plans import LoadedPlan

ATTESTATION, ENDED = DECLARE_PART.kind, END_PART.kind
TOLD_BEFORE = timedelta(days=30)
SCOPE = re.compile(r"[A-Za-z0-9_.+-]{1,63}")
_YEAR = timedelta(days=366)


@dataclass(frozen=True)
class Attestable:
    """One thing that can only be attested: of which of the twelve measures, what is stated, for how long at most.
    `happened`: it was done once, on a day, so that the same evidence shows no newer one."""

    measure: str
    what: str
    longest: timedelta = _YEAR
    happened: bool = False

    @property
    def until(self) -> str:
        """The longest, as `--until` takes it."""
        return f"{self.longest.days}d"


ATTESTABLE: Mapping[str, Attestable] = {
    "staff-training": Attestable("policies", "the staff were trained"),
    "instructions": Attestable("policies", "whoever has access processes data only as the controller instructs"),
    "emergency-mode": Attestable("policies", "there is a procedure to go on working while systems are down"),
    "criticality-analysis": Attestable("policies", "which applications and data matter most was assessed"),
    "documents-kept": Attestable("policies", "policies, plans and evidence are kept for as long as laws ask"),
    "joiners-leavers": Attestable("access", "who joined has their own account, who left has none", timedelta(days=92)),
    "disk-encryption": Attestable("encryption", "the disks of the hosts are encrypted"),
    "siem": Attestable("monitoring", "the logs of the hosts are gathered and looked at"),
    "data-centre": Attestable("physical", "the data centre is certified", 3 * _YEAR),
    "restore-segregation": Attestable(
        "physical", "what is restored onto is apart from its source, in place and network"
    ),
    "host-patching": Attestable("updates", "the hosts' own updates are installed", timedelta(days=31)),
    "firewall-ids": Attestable("threats", "firewall and intrusion detection are there and looked after"),
    "processing-record": Attestable("compliance", "the record of processing activities is kept"),
    "processor-agreements": Attestable("compliance", "agreements with processors and clients are signed (DPA, BAA)"),
    "assistance": Attestable("compliance", "controllers get what they need of their processor: help, evidence, audits"),
    "card-data": Attestable("compliance", "no security codes of cards are kept, not in recordings either"),
    "penetration-test": Attestable("testing", "somebody from outside has tried to break in", happened=True),
    "incident-filings": Attestable("incidents", "what had to be notified was, and the receipts are kept"),
    "password-policy": Attestable("hygiene", "people's passwords follow a policy"),
}


@dataclass(frozen=True)
class Attestation:
    """One that was recorded. `by` is who signed it; where nobody has (`key` is None), who recorded it."""

    item: str
    scope: str | None
    made: datetime
    valid_until: datetime
    by: str
    key: str | None
    user_verified: bool | None
    statement: str
    evidence: tuple[str, ...]  # SHA-256 of each file
    seq: int
    whose: Whose

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Attestation:
        by, of = record.get("by") or {}, record["about"]
        known, at, until = ATTESTABLE.get(str(of["item"])), utc(record["time"]), utc(record["until"])
        if known is not None:
            until = min(until, at + known.longest)  # whoever wrote it
        return cls(
            str(of["item"]),
            of.get("scope"),
            at,
            until,
            str(by.get("name") or record["actor"]),
            by.get("key"),
            by.get("user_verified"),
            str(record["words_sha256"]),
            tuple(map(str, record["files"])),
            number_of(record),
            whose(record),
        )

    @property
    def name(self) -> str:
        return f"{self.item} of {self.scope}" if self.scope else self.item

    def holds(self, now: datetime) -> bool:
        return self.made <= now + AHEAD and now < self.valid_until

    def ends_soon(self, now: datetime) -> bool:
        """Within a month; of what holds for little longer than that, within a quarter of it."""
        before = min(TOLD_BEFORE, (self.valid_until - self.made) / 4)
        return self.holds(now) and self.valid_until - before <= now

    def state(self, now: datetime) -> str:
        return "valid" if self.holds(now) else "STALE"


def key_of(part: Mapping[str, Any]) -> str:
    """By which a later one of the same part takes its place."""
    return f"{part['item']} {part.get('scope') or ''}"


def standing(newest: Mapping[str, Mapping[str, Any]]) -> list[Attestation]:
    """Those that nobody has ended, stale ones among them; `newest` are the newest records of each, as history has
    them."""
    return [Attestation.of(record) for _, record in sorted(newest.items()) if kind_of(record) == ATTESTATION]


def same_files(there: Collection[Attestation]) -> dict[int, list[str]]:
    """By the record's number: other items that one of its files stands for as well. One list of names may show two
    things; that it is said to is for people to know."""
    return {
        one.seq: names
        for one in there
        if (names := sorted({o.name for o in there if o.item != one.item and {*o.evidence} & {*one.evidence}}))
    }


def judge(newest: Mapping[str, Mapping[str, Any]], now: datetime) -> Iterator[Problem]:
    """What is stale, and what will be soon."""
    for one in standing(newest):
        said = f"the attestation {one.name} (record {one.seq}, by {one.by})"
        if not one.holds(now):
            text = f"{said} held until {to_the_second(rfc3339(one.valid_until))}: it is STALE"
            yield Problem(Trouble.ATTESTATION_STALE, text, one.valid_until, about=one.name, step=_again(one))
        elif one.ends_soon(now):
            text = f"{said} holds until {to_the_second(rfc3339(one.valid_until))}"
            yield Problem(Trouble.ATTESTATION_ENDS, text, about=one.name, step=_again(one))


def _again(one: Attestation) -> str:
    of = f" --of {one.scope}" if one.scope else ""
    until = ATTESTABLE[one.item].until if one.item in ATTESTABLE else "D"
    command = f'ccdr attest {one.item}{of} --statement "…" --evidence FILE --until {until}'
    return f"{command}   attests it anew; docs/how-to/attest.md"


def named_for(item: str, plans: Iterable[LoadedPlan]) -> list[str]:
    """Whom these plans name for it, in order; none: nobody in particular."""
    said = ((what, name) for one in plans for what, names in one.plan.declarations.items() for name in names)
    return sorted({name for what, name in said if what == item})


def item_of(text: str) -> str:
    """UsageProblem where there is none such."""
    if text not in ATTESTABLE:
        raise UsageProblem(f"{text[:40]!a} is nothing that is attested", hint=f"there are {', '.join(ATTESTABLE)}")
    return text


def scope_of(text: str) -> str:
    if not SCOPE.fullmatch(text) or text == "-":
        raise UsageProblem(
            f"--of {text[:40]!a} is no name", hint="write one word: a host, a site or a tenant (letters, digits, . _ -)"
        )
    return text


def until_of(text: str, item: str, now: datetime) -> datetime:
    """A duration from now, a date (to its end, UTC) or a time. UsageProblem where it is none, past, or too far."""
    until = moment_of(text, now, ATTESTABLE[item].until)
    refuse_until(until, item, now)
    return until


def refuse_until(until: datetime, item: str, now: datetime) -> None:
    longest = ATTESTABLE[item].longest
    refuse_past(until, now, f"{longest.days}d")
    if until - now > longest:
        raise UsageProblem(
            f"--until is more than {longest.days} days ahead: so long {item} does not hold",
            hint=f"write {longest.days}d at most",
        )
