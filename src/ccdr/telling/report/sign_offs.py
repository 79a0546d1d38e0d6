"""Who has signed a report's period off, or part of it, and whose hand began its restore tests: is it the population of
today that they signed?
"""

from __future__ import annotations

import contextlib
import pwd
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ccdr.evidence.records import StatementRecord
from ccdr.evidence.records.statements import SIGN_PERIOD, PeriodPopulation, SignedBy
from ccdr.evidence.statements import ROOT, UNREADABLE, names_somebody, not_known, person, told_of_not_known
from ccdr.evidence.whose import HOLDS, NOT_ASKED, REFUSED, whose
from ccdr.host.signatures import names_of, trusted_signers
from ccdr.host.who import TERMINAL
from ccdr.jobs.own_keys import host_key
from ccdr.jobs.services import Services
from ccdr.jobs.statements import verified_as
from ccdr.model.errors import UsageProblem
from ccdr.model.trouble import Level
from ccdr.model.values import rfc3339, so_many
from ccdr.telling.report.judged import ReportedFinding
from ccdr.telling.report.period import Period
from ccdr.telling.report.population_csv import PopulationDigest, digest_of
from ccdr.telling.report.runs import CONTROL, NO_RUN, TEST, RecordedRun, who_began

# Whose hand began the restore tests of a period that no schedule began, as far as records tell.

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@$\\ -]{0,79}")


def tests_by_command(runs: Iterable[RecordedRun], host: str) -> tuple[int, dict[str, int]]:
    """How many there were, and of each account, by its name: as whom ccdr ran, who had logged in, who sudo says it was.
    `host` is this one, whose login uids have names here. What root began for itself counts as root's: by whom is not
    known."""
    count, of = 0, Counter[str]()
    for run in runs:
        if run.verb in (TEST, CONTROL) and _by_hand(run) and run.outcome not in NO_RUN:
            count += 1
            of.update(_accounts(run, host))
    return count, dict(sorted(of.items()))


def _by_hand(run: RecordedRun) -> bool:
    """Not by `ccdr run`, or by one that somebody typed."""
    return run.by != "run" or who_began(run.who)[3] == TERMINAL


def _accounts(run: RecordedRun, host: str) -> set[str]:
    names = sorted(name if _NAME.fullmatch(name) else UNREADABLE for name in _names(run, host))
    return {name for name in names if names_somebody(name)} or {next((name for name in names if name != ROOT), ROOT)}


def _names(run: RecordedRun, host: str) -> Iterator[str]:
    yield from run.actor.split(" as ")  # `alice as root`
    uid, login, _, _, claimed = who_began(run.who)
    if claimed:
        yield claimed
    for number in (one for one in (uid, login) if one):
        name = f"uid {number}"
        if run.host == host and run.ledger is None:
            with contextlib.suppress(KeyError, OverflowError):
                name = pwd.getpwuid(number).pw_name
        yield name


HOST_KEY = "host_key"  # it holds, and is no person's
PAGE = "docs/how-to/sign-off.md"


@dataclass(frozen=True)
class SignOff:
    """One that was recorded. `signature`: what came of verifying it for this (`evidence/whose.py`), or HOST_KEY, or
    NOT_ASKED. `now` is what the same period comes to today, None where this report does not hold all of it; `tested`
    names the account by which who signed began a test of the period. `again`: the same was signed later, and that
    holds."""

    given: PeriodPopulation
    nonce: str
    record: int
    at: datetime
    by: str
    key: str
    user_verified: bool | None
    signers_sha256: str
    signature: str
    now: PopulationDigest | None
    tested: str | None = None
    again: bool = False

    @property
    def fits(self) -> bool | None:
        """None where it was not compared."""
        return None if self.now is None else self.now == PopulationDigest(self.given.rows, self.given.population_sha256)

    @property
    def not_known(self) -> str:
        """By whose hand tests were begun that nobody knows: a sentence, or empty."""
        return told_of_not_known(self.given)

    @property
    def good(self) -> bool:
        return not self.wrong

    @property
    def wrong(self) -> tuple[str, ...]:
        """Why it signs nothing off, as sentences."""
        return tuple(self._wrong())

    def _wrong(self) -> Iterator[str]:
        if self.signature == REFUSED:
            yield "the file of who may sign does not have this key for it, or the signature is not of this text"
        elif self.signature == HOST_KEY:
            yield "it was signed by a key of this host, which is no person"
        elif self.signature not in (HOLDS, NOT_ASKED):
            yield "no file of who may sign can be read here: ccdr could not verify its signature"
        if self.fits is False and self.now is not None:
            signed, now = self.given.population_sha256, self.now
            yield (
                f"it was signed for another population: {so_many(self.given.rows, 'row')} of SHA-256 "
                f"{signed[:16]}…, and the period now has {so_many(now.rows, 'row')} of {now.sha256[:16]}…"
            )
        if self.tested is not None:
            yield f"{self.by} began a restore test of the period by hand, as {self.tested}"

    @property
    def about(self) -> str:
        plans = f" of {', '.join(self.given.plans)}" if self.given.plans else ""
        return f"{rfc3339(self.given.begins)} to {rfc3339(self.given.ends)}{plans}"

    def as_json(self) -> dict[str, object]:
        given, now = self.given, self.now
        return {
            "record": self.record,
            "at": rfc3339(self.at),
            "from": rfc3339(given.begins),
            "to": rfc3339(given.ends),
            "plans": list(given.plans),
            "by": self.by,
            "key": self.key,
            "user_verified": self.user_verified,
            "signers_sha256": self.signers_sha256,
            "rows": given.rows,
            "population_sha256": given.population_sha256,
            "fits": self.fits,
            "now": now and {"rows": now.rows, "sha256": now.sha256},
            "signature": self.signature,
            "outcomes": given.outcomes,
            "findings": given.findings,
            "tests_by_command": given.tests_by_command,
            "by_whom_not_known": not_known(given),
            "wrong": list(self.wrong),
            "signed_again": self.again,
        }


def sign_offs_in(
    records: Iterable[StatementRecord],
    runs: Sequence[RecordedRun],
    period: Period,
    wanted: Sequence[str],
    ledger: str | None,
    host: str,
    verified: Callable[[StatementRecord], tuple[str, Sequence[str]]],
    first: datetime | None = None,
) -> tuple[SignOff, ...]:
    """Those whose period has a part in this one, the oldest first. `ledger` is this host's. `wanted`: the plans that
    the report is of; none: all. `verified` verifies a record's signature once more, and says by which names its key is
    known. `first`: of when the first record is; before it there was nothing to sign."""
    known: dict[tuple[object, ...], tuple[PopulationDigest, tuple[str, ...]]] = {}
    found: list[SignOff] = []
    for record in records:
        signed = SIGN_PERIOD.recorded(record)
        given = signed.about
        if given.begins >= period.end or given.ends <= period.start:
            continue
        if wanted and given.plans and not {*wanted} & {*given.plans}:
            continue
        by, now, accounts = _by(record), None, tuple[str, ...]()
        begins = given.begins if first is None else max(given.begins, first)
        whole = period.start <= begins and given.ends <= period.end
        if whole and (not wanted or (given.plans and {*given.plans} <= {*wanted})):
            key = given.begins, given.ends, given.plans, given.ledger
            if key not in known:
                some = part_of(runs, given)
                if given.ledger != ledger:
                    some = [_as_of(given.ledger, run) for run in some]
                known[key] = digest_of(some), tuple(tests_by_command(some, host)[1])
            now, accounts = known[key]
        signature, names = verified(record)
        persons = {person(name) for name in (by.name, *names)}
        found.append(
            SignOff(
                given=given,
                nonce=signed.nonce,
                record=record.seq,
                at=record.time,
                by=by.name,
                key=by.key,
                user_verified=by.user_verified,
                signers_sha256=str(record.signers_sha256),
                signature=signature,
                now=now,
                tested=next((name for name in accounts if person(name) in persons), None),
            )
        )
    return tuple(_with_later(found))


def _by(record: StatementRecord) -> SignedBy:
    assert record.by is not None  # the table of statements says so of a period
    return record.by


def sign_off_again(
    record: StatementRecord, places: Collection[Path] | None, services: Services
) -> tuple[str, tuple[str, ...]]:
    """Of a period, by these files of who may sign (None: nobody brought one); HOST_KEY where it was signed by a key of
    this host's. And every name by which these files have the key."""
    if places is None:
        return NOT_ASKED, ()
    state = str(whose(verified_as(record, places, services.host)).state)
    own = host_key(_by(record).key, services)
    names = list[str]()
    for place in places:
        with suppress(UsageProblem):
            names += names_of(_by(record).signature, trusted_signers(place))
    return HOST_KEY if state == HOLDS and own is not None else state, tuple(names)


def part_of(runs: Iterable[RecordedRun], given: PeriodPopulation) -> list[RecordedRun]:
    """Of a longer period's population, that of this one: a run belongs to where it began."""
    return [
        run for run in runs if given.begins <= run.started < given.ends and (not given.plans or run.plan in given.plans)
    ]


def _as_of(ledger: str, run: RecordedRun) -> RecordedRun:
    """A run of this host's ledger that was lost and brought back, as it stood before: its records' numbers were the
    ledger's own."""
    if run.ledger != ledger:
        return run
    return replace(run, origin=None)


def _with_later(found: Sequence[SignOff]) -> Iterator[SignOff]:
    for number, one in enumerate(found):
        same = (one.given.begins, one.given.ends, one.given.plans)
        later = (o for o in found[number + 1 :] if (o.given.begins, o.given.ends, o.given.plans) == same)
        yield replace(one, again=any(o.good and o.fits for o in later))


def findings_of(sign_offs: Iterable[SignOff]) -> Iterator[ReportedFinding]:
    """What signs nothing off stands until the same period was signed again; a signature that is none stands."""
    for one in sign_offs:
        if one.wrong and not (one.again and one.signature == HOLDS):
            plan = one.given.plans[0] if len(one.given.plans) == 1 else None
            text = f"the signature of {one.about}, by {one.by} (record {one.record}): {'; '.join(one.wrong)}"
            yield ReportedFinding(Level.NOTE, text, plan, step=_step(one))


def _step(one: SignOff) -> str:
    if one.signature not in (HOLDS, HOST_KEY):
        return f"put their line back into /etc/ccdr/allowed_signers, with valid-before where they left: {PAGE}"
    plans = "".join(f" --plan {name}" for name in one.given.plans)
    period = f"--from {rfc3339(one.given.begins)} --to {rfc3339(one.given.ends)}"
    return f"ccdr sign-off {period}{plans} --key KEY   somebody who may signs what there is now; {PAGE}"
