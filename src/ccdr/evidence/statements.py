"""What people state: which text a signature is of, what no tool can test, approvals and sign-offs, and until when each
holds. Pure.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.evidence.ledger.ledger import extent_of, lines
from ccdr.evidence.records import decode
from ccdr.evidence.records.statements import (
    APPROVE_PLAN,
    DECLARE_PART,
    END_PART,
    MeasurePart,
    PeriodPopulation,
    SignedBy,
    StatementRecord,
)
from ccdr.evidence.whose import Whose, whose
from ccdr.model.errors import UsageProblem
from ccdr.model.schema import parse_duration
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import AHEAD, rfc3339, to_the_second, utc

if TYPE_CHECKING:
    from ccdr.plans import LoadedPlan

# Until when something holds that a person has said, as they write it: `--until`. Pure.

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_FAR = datetime.max.replace(tzinfo=UTC)


def until_of(text: str, now: datetime, example: str, *, option: str = "--until") -> datetime:
    """A duration from now, a date (to its end, UTC) or a time; whole seconds. UsageProblem where it is none, or past;
    `example` is a duration that would do."""
    try:
        until = now + timedelta(seconds=parse_duration(text))
    except OverflowError:
        until = _FAR
    except ValueError:
        until = _date_or_time(text, now, example, option)
    refuse_past(until, now, example, option=option)
    return until.replace(microsecond=0)


def _date_or_time(text: str, now: datetime, example: str, option: str) -> datetime:
    try:
        day = date.fromisoformat(text) if _DATE.fullmatch(text) else None
        return datetime.combine(day, time(), UTC) + timedelta(days=1) if day else utc(text)
    except (ValueError, OverflowError):
        raise UsageProblem(
            f"{option} {text[:40]!a} is no duration, no date and no time with a zone",
            hint=f"write {example}, a date like {now.year + 1}-12-24, or a time like {now.year + 1}-12-24T08:00:00Z",
        ) from None


def refuse_past(until: datetime, now: datetime, example: str, *, option: str = "--until") -> None:
    if until <= now:
        raise UsageProblem(f"{option} {rfc3339(until)} is past", hint=f"write a later time, or {example}")


def refuse_longer(until: datetime, now: datetime, longest: timedelta, *, option: str = "--until") -> None:
    if until - now > longest:
        raise UsageProblem(
            f"{option} is more than {longest.days} days ahead",
            hint=f"write {longest.days}d at most: by then somebody decides anew",
        )


# What needs a second person: which operations, and what records tell of it. Pure.

PLAN_APPROVED = APPROVE_PLAN.kind
WORD = re.compile(r"[A-Za-z0-9_.+:-]{1,128}")


def written_later(given: StatementRecord, there: StatementRecord | None) -> bool:
    """May the record of this statement take the place of the one that is there? A ledger holds each signature, and the
    text can be had again from its record: what was written before does not hold again by being recorded again. One that
    is dated ahead of its own record, by a clock that was wrong, hinders none."""
    if there is None or there.made > there.time + AHEAD:
        return True
    return given.made > there.made


def nonce() -> str:
    """That no two texts are the same."""
    return secrets.token_hex(16)


APPROVAL_REFUSED = "approval.refused"
GLASS_BROKEN = "approval.glass"
MOST_NONCES = 1000  # of a plan, the newest: those of requests that may still be carried out are among them


class Operation(StrEnum):
    """What needs a request that another person has signed, where the plan is to be approved."""

    PRUNE = "prune"  # outside its schedule
    KEY_REMOVE = "key-remove"  # a password of the repository
    REGISTER = "register"  # an entry of the register of erasures is changed or dropped
    RECOVER = "recover"  # where the plan says so


# What no tool can test, and a person states: by whom, on which evidence, and until when that holds. Pure.
#
# The statement's words and the evidence itself stay where they are: a record has their digests. Once its time is up
# an attestation is stale, which is never read as if it still held.

ATTESTATION, ENDED = DECLARE_PART.kind, END_PART.kind
TOLD_BEFORE = timedelta(days=30)
SCOPE = re.compile(r"[A-Za-z0-9_.+-]{1,63}")


_YEAR = timedelta(days=366)


@dataclass(frozen=True)
class Attestable:
    """One thing that can only be declared: of which of the twelve measures, what is stated, for how long at most: how
    fast it passes is a fact of the thing, so it stands here, and the table of statements has the longest of all.
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
    "data-centre": Attestable("physical", "the data centre is certified", DECLARE_PART.longest),
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
    def of(cls, record: StatementRecord) -> Attestation:
        by, of = record.by, record.about
        assert isinstance(of, MeasurePart) and record.until is not None
        until = min(record.until, record.time + ATTESTABLE[of.item].longest)  # whoever wrote it
        return cls(
            of.item,
            of.scope,
            record.time,
            until,
            by.name if by else record.actor,
            by.key if by else None,
            by.user_verified if by else None,
            str(record.words_sha256),
            record.files,
            record.seq,
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


def key_of(part: MeasurePart) -> str:
    """By which a later one of the same part takes its place."""
    return f"{part.item} {part.scope or ''}"


def standing(newest: Mapping[str, StatementRecord]) -> list[Attestation]:
    """Those that nobody has ended, stale ones among them; `newest` are the newest records of each, as history has
    them."""
    return [Attestation.of(record) for _, record in sorted(newest.items()) if record.row is DECLARE_PART]


def same_files(there: Collection[Attestation]) -> dict[int, list[str]]:
    """By the record's number: other items that one of its files stands for as well. One list of names may show two
    things; that it is said to is for people to know."""
    return {
        one.seq: names
        for one in there
        if (names := sorted({o.name for o in there if o.item != one.item and {*o.evidence} & {*one.evidence}}))
    }


def judge(newest: Mapping[str, StatementRecord], now: datetime) -> Iterator[Problem]:
    """What is stale, and what will be soon."""
    for one in standing(newest):
        said = f"the declaration {one.name} (record {one.seq}, by {one.by})"
        if not one.holds(now):
            text = f"{said} held until {to_the_second(rfc3339(one.valid_until))}: it is STALE"
            yield Problem(Trouble.ATTESTATION_STALE, text, one.valid_until, about=one.name, step=_again(one))
        elif one.ends_soon(now):
            text = f"{said} holds until {to_the_second(rfc3339(one.valid_until))}"
            yield Problem(Trouble.ATTESTATION_ENDS, text, about=one.name, step=_again(one))


def _again(one: Attestation) -> str:
    of = f" --of {one.scope}" if one.scope else ""
    until = ATTESTABLE[one.item].until
    command = f'ccdr attest {one.item}{of} --statement "…" --evidence FILE --until {until}'
    return f"{command}   declares it anew; docs/how-to/attest.md"


def named_for(item: str, plans: Iterable[LoadedPlan]) -> list[str]:
    """Whom these plans name for it, in order; none: nobody in particular."""
    said = ((what, name) for one in plans for what, names in one.plan.declarations.items() for name in names)
    return sorted({name for what, name in said if what == item})


def item_of(text: str) -> str:
    """UsageProblem where there is none such."""
    if text not in ATTESTABLE:
        raise UsageProblem(f"{text[:40]!a} is nothing that is declared", hint=f"there are {', '.join(ATTESTABLE)}")
    return text


def scope_of(text: str) -> str:
    if not SCOPE.fullmatch(text) or text == "-":
        raise UsageProblem(
            f"--of {text[:40]!a} is no name", hint="write one word: a host, a site or a tenant (letters, digits, . _ -)"
        )
    return text


def attested_until_of(text: str, item: str, now: datetime) -> datetime:
    """A duration from now, a date (to its end, UTC) or a time. UsageProblem where it is none, past, or too far."""
    until = until_of(text, now, ATTESTABLE[item].until)
    refuse_until(until, item, now)
    return until


def refuse_until(until: datetime, item: str, now: datetime) -> None:
    longest = ATTESTABLE[item].longest
    refuse_past(until, now, f"{longest.days}d")
    refuse_longer(until, now, longest)


# The sign-off of a period: what is signed, and what a record tells of it. Pure.
#
# What is signed names the whole population of the period by its rows and their SHA-256, as the CSV report has them,
# and says what it comes to: a person reads it before they sign. Whoever has the same ledger can have the same rows
# again.

ROOT = "root"
UNREADABLE = "(not a name)"  # another hand's record may hold anything, and this goes into what somebody signs
MOST = 1000  # accounts, plans or ledgers that one text names


def not_known(given: PeriodPopulation) -> int:
    """How many tests were begun by a command of an account that says nothing of a person."""
    return sum(count for name, count in given.accounts.items() if not names_somebody(name))


def told_of_not_known(given: PeriodPopulation) -> str:
    """The same for people; empty where each names somebody."""
    if not (many := not_known(given)):
        return ""
    which = f"{many} of {given.tests_by_command} tests that no schedule began were begun as root"
    return f"{which}, or by an account without a name here: by whom is not known"


def names_somebody(account: str) -> bool:
    """`root` is whoever has its rights; `uid 1001` is of a host that is not here."""
    return account not in (ROOT, UNREADABLE) and not account.startswith("uid ")


def person(name: str) -> str:
    """Who an account, or a name in the file of signers, is: `alice` of `alice@db1`, and of `Alice@example.com`."""
    return name.rpartition("\\")[2].partition("@")[0].casefold()


# A name in a record is a claim of whoever wrote it. Whose a signature is, says the file of who may sign that a
# verifier has: `ccdr.jobs.statements` asks `ssh-keygen` by it; `ccdr.evidence.whose` tells what became of that.

SIGNATURE = b"-----BEGIN SSH SIGNATURE-----"  # a line without it is of no signed record


@dataclass(frozen=True)
class Signed:
    """A text, what it was signed for, and who has signed it as the record claims."""

    text: str
    namespace: str
    by: SignedBy


def signatures_of(record: StatementRecord) -> list[Signed]:
    """Those of a statement's record, none where nobody has signed it."""
    row = record.row
    there = [(of, by) for of, by in ((row.asked, record.requested), (row.namespace, record.by)) if of and by]
    text = row.recorded(record).text() if there else ""
    return [Signed(text, namespace, by) for namespace, by in there]


def signed_in(directory: Path) -> list[StatementRecord]:
    """Every record of a ledger that somebody has signed, in order."""
    every = map(signed_record, lines(directory, extent_of(directory)))
    return [record for record in every if record is not None]


def signed_record(line: bytes) -> StatementRecord | None:
    """A line's record, whole, where somebody has signed it; what is no record is left to the verification."""
    if SIGNATURE not in line:
        return None
    try:
        record = decode(line)
    except ValueError:
        return None
    return record if isinstance(record, StatementRecord) else None
