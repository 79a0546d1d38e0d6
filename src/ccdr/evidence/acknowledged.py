"""Troubles that a person has taken note of, and why that ends by itself. Pure.

An acknowledgement is of one trouble at one place (an asset, a plan's upkeep, or this host), as it stood then: another
finding, or a restore test that fails for another cause, is another trouble, and so is one that has become worse: more
of what was found, a longer restore, an exposure that is greater and not that of the same newest backup. It changes no
record and no report: what is acknowledged is shown as that, counted, and is no exit status of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256

from ccdr.evidence.records.statements import ACKNOWLEDGE_TROUBLE, END_TROUBLE, StatementRecord, TroubleRef
from ccdr.evidence.statements import refuse_longer
from ccdr.evidence.statements import until_of as moment_of
from ccdr.model.errors import Exit, UsageProblem, worst
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import AHEAD

ACK, ACK_ENDED = ACKNOWLEDGE_TROUBLE.kind, END_TROUBLE.kind
LONGEST_WHY = 500  # characters
SAME = 1.0  # second

_NUMBERS = re.compile(r"\b[0-9a-f]*\d[\w.,:-]*")  # counts, times, ids: they change though the trouble is the same


def known_by(problem: Problem) -> str:
    """What tells this trouble from another of its code at the same place: a digest, since paths may stand in it."""
    return sha256(f"{problem.about}\n{problem.cause}".encode()).hexdigest()[:16]


def as_bad_as_now(problem: Problem) -> list[float]:
    """Up to which it is the same that is acknowledged."""
    return [value * problem.trouble.row.jitter for value in problem.values]


def steady(sentence: object) -> str:
    """A cause as a record words it, without what changes though the cause is the same: counts, times, ids."""
    return _NUMBERS.sub("#", str(sentence))


@dataclass(frozen=True)
class Acknowledgement:
    """One that was recorded. `why` is the digest by which the words are kept, apart."""

    code: str
    begun: datetime
    until: datetime
    of: frozenset[str]  # by `known_by`
    why: str | None
    seq: int
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)  # by the same: as bad as it was then
    lasting: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, record: StatementRecord) -> Acknowledgement:
        about, begun = record.about, record.time
        assert isinstance(about, TroubleRef) and record.until is not None
        until = ACKNOWLEDGE_TROUBLE.end_of(record.until, begun)
        if record.origin is not None and begun > record.origin.taken + AHEAD:
            until = begun  # it lay here before it says that it was written: dated ahead, it holds for nothing
        of = frozenset(about.known_by)
        return cls(about.code, begun, until, of, record.words_sha256, record.seq, about.values, about.lasting)

    def covers(self, problem: Problem) -> bool:
        key = known_by(problem)
        return self.code == problem.trouble.name and key in self.of and not self._worse(problem, key)

    def _worse(self, problem: Problem, key: str) -> bool:
        """Than it was then."""
        seen, since = self.values.get(key, ()), self.lasting.get(key)
        if since is not None and problem.lasting is not None and abs(since - problem.lasting) <= SAME:
            return False
        if len(seen) != len(problem.values):
            return True
        return any(now > then for now, then in zip(problem.values, seen, strict=True))


@dataclass(frozen=True)
class Acknowledgements:
    """Those in force at one place."""

    each: tuple[Acknowledgement, ...] = ()

    @classmethod
    def in_force(cls, newest: Mapping[str, StatementRecord], now: datetime) -> Acknowledgements:
        """Of the newest record of each code."""
        read = (Acknowledgement.read(record) for record in newest.values() if record.row is ACKNOWLEDGE_TROUBLE)
        return cls(tuple(one for one in read if one.begun <= now + AHEAD and now < one.until))

    def of(self, problem: Problem) -> Acknowledgement | None:
        """By which it is acknowledged, if it is. Some never are, whatever a record says."""
        if problem.trouble.row.no_ack is not None:
            return None
        return next((one for one in self.each if one.covers(problem)), None)

    def marked(self, problems: Iterable[Problem]) -> list[Problem]:
        """The same, each with until when it is acknowledged."""
        return [replace(p, acknowledged=ack.until) if (ack := self.of(p)) else p for p in problems]


NOTHING = Acknowledgements()


def acknowledged(problems: Iterable[Problem], newest: Mapping[str, StatementRecord], now: datetime) -> list[Problem]:
    """What is wrong at one place, marked where it is acknowledged; `newest` are its newest such records, by code."""
    return Acknowledgements.in_force(newest, now).marked(problems)


def unacknowledged(problems: Iterable[Problem]) -> list[Problem]:
    """Of those that were marked, what nobody has acknowledged, and what is a finding at all."""
    return [problem for problem in problems if problem.acknowledged is None and problem.trouble.row.exit is not Exit.OK]


def exit_of(problems: Iterable[Problem]) -> Exit:
    """The exit code for what is wrong, as far as nobody has acknowledged it."""
    return worst([p.trouble.row.exit for p in unacknowledged(problems)] or [Exit.OK])


def until_of(text: str, now: datetime) -> datetime:
    """A duration from now, a date (to its end, UTC) or a time. UsageProblem where it is none, past, or too far."""
    until = moment_of(text, now, "14d")
    refuse_longer(until, now, ACKNOWLEDGE_TROUBLE.longest)
    return until


def why_of(text: str) -> str:
    """What a person writes; UsageProblem where it is nothing, too long or no text."""
    return words_of(text, "--why", "say why it can stay as it is until then: people will ask")


def words_of(text: str, option: str, hint: str = "write what is so: people will ask") -> str:
    """The same, of another option."""
    words = text.strip()
    if not words:
        raise UsageProblem(f"{option} says nothing", hint=hint)
    if len(words) > LONGEST_WHY:
        raise UsageProblem(
            f"{option} has {len(words)} characters, expected at most {LONGEST_WHY}",
            hint="name a ticket or a document that says the rest",
        )
    if not all(character.isprintable() or character == "\n" for character in words):
        raise UsageProblem(f"{option} holds what is no text", hint="write letters, digits and punctuation")
    return words


def code_of(text: str) -> Trouble:
    """`BACKUP_LATE`, however it is written. UsageProblem where there is none such, or none that can be acknowledged."""
    name = text.strip().upper().replace("-", "_")
    if name not in Trouble.__members__:
        can = [t.name for t in Trouble if t.row.no_ack is None]
        raise UsageProblem(f"there is no trouble {text[:80]!a}", hint=f"there are {', '.join(can)}")
    code = Trouble[name]
    if (no_ack := code.row.no_ack) is not None:
        raise UsageProblem(f"{name} {no_ack.why}", hint=no_ack.hint)
    return code
