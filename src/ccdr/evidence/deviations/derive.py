"""Which records open a deviation and which end one: of an asset by what history made of them, of a plan by what it
promises no more, and of the ledger itself. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from ccdr.evidence.deviations.values import (
    DeviationSpan,
    Kept,
    NamedOwner,
    NewestPoint,
    NewestStart,
    RecordAt,
    RecordIdentity,
    Streak,
    opened,
    reopened,
    settled,
    standing,
)
from ccdr.evidence.deviations.wanted import ANY, Checks, Wanted, as_new, as_strict, by_rule, together
from ccdr.evidence.history.asset_history import AssetHistory, Histories, history_at, place_of
from ccdr.evidence.history.kinds import (
    BACKUP_END,
    CAUGHT,
    CHECKED,
    CLEAN,
    COMPARED,
    CONTROLLED,
    COPIED,
    DAMAGED,
    DONE,
    ERASURE_REPLAY,
    FAILED,
    INCONCLUSIVE,
    LOGS,
    MISSED,
    NOT_BEGUN,
    PASSED,
    PRUNED,
    RECOVER_START,
    RECOVERED,
    RESTORE_START,
    START_BY_VERB,
    STARTS,
    STORED,
    TEST_END,
    VERB_OF,
    VERDICTS,
)
from ccdr.evidence.lineage.own_records import ACKNOWLEDGED, DIFFERS, LINKED, LOST, VERIFIED
from ccdr.evidence.records import (
    BackupEnd,
    CheckEnd,
    CopyEnd,
    ErasureReplay,
    LedgerBegin,
    LedgerCompared,
    LedgerLinked,
    LedgerLost,
    LedgerRecovered,
    LedgerVerified,
    LogShipped,
    MissedRuns,
    NegativeControlEnd,
    NotBegun,
    PlanVersion,
    PruneEnd,
    Record,
    StatementRecord,
    TestEnd,
)
from ccdr.evidence.records.statements import LostRecords, kind_of
from ccdr.evidence.records.values import Start
from ccdr.evidence.verdicts import blames_the_log, point_of, verdict_on_snapshot
from ccdr.model.trouble import Trouble
from ccdr.plans.deviation_rules import ERASURE_FAILED
from ccdr.plans.facts import DeviationFacts, PlanFacts
from ccdr.plans.loosened import Code, Loosening, loosened
from ccdr.plans.versions import PLAN_VERSION

# What a plan promises no more is a deviation until a version promises it again: by `plans/loosened.py`.

_GONE = frozenset((Code.PLAN_GONE, Code.ASSET_GONE))
_OF_CHECKS = frozenset((Code.CHECK_GONE, Code.CHECK_REPLACED, Code.CHECK_WEAKER))
NO_RULES = DeviationFacts()  # as they come with ccdr


def take_version(place: Kept, before: PlanVersion, record: PlanVersion, rules: DeviationFacts) -> None:
    """A version took the place of the one before."""
    found = loosened(before.facts, record.facts)
    _open(place, found, before.seq, before.facts, record, rules)
    _settle(place, record, rules, {(_code(one), one.asset, _what(one)) for one in found})
    used = {str(one.version) for span in place.spans for one in span.pending.values() if one.version is not None}
    place.promised = {seq: facts for seq, facts in place.promised.items() if seq in used}


def _open(
    place: Kept,
    found: Iterable[Loosening],
    number: int,
    promised: PlanFacts,
    record: PlanVersion,
    rules: DeviationFacts,
) -> None:
    for one in found:
        place.promised.setdefault(str(number), promised)
        wanted = Wanted(version=number)
        opened(place, one.code.value, record, rules, what=_what(one), wanted=wanted, asset=one.asset)


def _settle(place: Kept, record: PlanVersion, rules: DeviationFacts, new: set[tuple[str, str | None, str]]) -> None:
    """What this version promises again, by what stood before it was loosened. Of an asset that is back with less than
    it had, what lacks is open from here on."""
    lacking = {seq: loosened(facts, record.facts) for seq, facts in place.promised.items()}
    for span in [one for one in place.spans if one.code in Code.__members__]:
        for what, wanted in list(span.pending.items()):
            assert wanted.version is not None
            seq = str(wanted.version)
            still = lacking.get(seq, [])
            if (span.code, span.asset, what) in new or any(_same(span, what, one) for one in still):
                continue
            if span.code in _GONE and seq in place.promised:
                left = [one for one in still if span.asset in (None, one.asset)]
                _open(place, left, wanted.version, place.promised[seq], record, rules)
            settled(place, span.code, record, what, asset=span.asset)


def _same(span: DeviationSpan, what: str, one: Loosening) -> bool:
    """Is it the same that lacks? A check that is gone may by now be replaced, and is no more checked for that."""
    if one.code in _GONE and span.code not in _GONE:
        return one.asset in (None, span.asset)  # with all that it had
    code = _code(one) == span.code or (span.code in _OF_CHECKS and one.code in _OF_CHECKS)
    fits = _what(one) == what or (one.fingerprint is not None and one.fingerprint in what)
    return code and one.asset == span.asset and fits


def _code(one: Loosening) -> str:
    return one.code.value


def _what(one: Loosening) -> str:
    return " ".join(part for part in (one.item, one.fingerprint) if part)


# What the ledger finds about itself: which records of that open a deviation, and which end one. Pure.

OF_LEDGER = frozenset((VERIFIED, COMPARED, LOST, "ledger.begin", ACKNOWLEDGED, LINKED, RECOVERED))


def take_of_ledger(histories: Histories, record: Record) -> None:
    """What another ledger's records say of that is its host's to answer for."""
    if record.origin is not None:
        return
    plan = record.plan if isinstance(record, LedgerCompared) else None
    own = history_at(histories, (plan, None)).deviations
    match record:
        case LedgerCompared():
            _compared(own, record)
        case LedgerVerified():
            _verified(own, record)
        case LedgerLost():
            _lost(own, record, record.ledger)
        case LedgerBegin():
            if record.predecessor is not None:
                _lost(own, record, record.predecessor.ledger)
        case LedgerRecovered():
            if record.spoilt:
                opened(own, Trouble.LEDGER_SPOILT.name, record, NO_RULES, what=str(record.seq))
        case LedgerLinked():
            _answered(own, record, record.ledgers)
        case StatementRecord(about=LostRecords() as about):
            _answered(own, record, about.ledgers, about.spoilt)


def _lost(own: Kept, record: Record, ledger: str) -> None:
    opened(own, Trouble.LEDGER_LOST.name, record, NO_RULES, what=ledger)


def _answered(own: Kept, record: Record, ledgers: Iterable[str], spoilt: Iterable[int] = ()) -> None:
    for ledger in ledgers:
        settled(own, Trouble.LEDGER_LOST.name, record, ledger)
    for seq in spoilt:
        settled(own, Trouble.LEDGER_SPOILT.name, record, str(seq))


def _verified(own: Kept, record: LedgerVerified) -> None:
    if record.result == "HOLDS":
        settled(own, Trouble.LEDGER_BROKEN.name, record)
    else:
        opened(own, Trouble.LEDGER_BROKEN.name, record, NO_RULES)
    if record.summary == DIFFERS:
        opened(own, Trouble.SUMMARY_WRONG.name, record, NO_RULES)
    elif record.summary == "EQUAL":
        settled(own, Trouble.SUMMARY_WRONG.name, record)


def _compared(own: Kept, record: LedgerCompared) -> None:
    """Who looked at the newest snapshots alone takes back nothing that a look at all of them has found."""
    whole = record.whole
    if record.result == DIFFERS:
        opened(own, Trouble.LEDGER_CONTRADICTED.name, record, NO_RULES, wanted=Wanted(whole=whole))
    else:
        settled(own, Trouble.LEDGER_CONTRADICTED.name, record, good=lambda wanted: whole or not wanted.whole)


# How much of an asset's newest data could have been lost, backup by backup: longer than its RPO is a deviation.
#
# Counted from what was stored, as it was stored: that a test disproved it later is a deviation of its own. A restore
# test says for itself whether the RPO was kept then, as far as its host knew.

CODE = Trouble.BREACH_RPO.name
BY_POINTS, BY_TEST = "points", "test"


@dataclass(slots=True)  # one for each backup of millions: a frozen one takes twice as long to make
class Points:
    """Of one asset. `rules` are of deviations, as its plan's facts have them."""

    own: Kept
    asset: str
    rules: DeviationFacts

    def stored(self, record: BackupEnd, version: PlanVersion | None) -> None:
        """A backup was. It is a base from which the log leads on."""
        if record.snapshot is None:
            return
        at, usable = record.snapshot.consistent_point, record.time
        if self._as_it_should_be(at, usable, self._rpo(version)):  # as a rule: for millions of records the rest shows
            self.own.point = NewestPoint(at, usable, RecordIdentity.of(record))
            return
        self._reached(record, [(at, usable)], version)
        self._log_leads_on(True)

    def _as_it_should_be(self, consistent: datetime, usable: datetime, rpo: float | None) -> bool:
        """Nothing is open that it could settle, and it opens nothing."""
        if self.own.spans:
            return False
        newest = self.own.point.consistent if self.own.point else None
        if newest is not None and consistent <= newest:
            return False
        return rpo is None or (usable - (newest or consistent)).total_seconds() <= rpo

    def shipped(self, record: LogShipped, version: PlanVersion | None) -> None:
        """So was log; behind a gap it leads on from the next backup only."""
        if record.gaps:
            self._log_leads_on(False)
        elif self.own.point and self.own.point.leads_on and record.points:
            since = record.since
            seconds = (
                (since + timedelta(seconds=at), since + timedelta(seconds=usable)) for at, usable in record.points
            )
            self._reached(record, list(seconds), version)

    def objective_ends(self, record: PlanVersion, version: PlanVersion) -> None:
        """The version that asked for an RPO is in force no more: was it kept until then?"""
        rpo = self._rpo(version)
        if rpo is not None and self.own.point:
            self._late(record, self.own.point.consistent, record.time, rpo)

    def tested(self, record: TestEnd) -> None:
        rpo = record.rpo
        if rpo is None:
            return
        if rpo.verdict == "BREACHED":
            base, wanted = self.own.point.base if self.own.point else None, Wanted(objective=rpo.objective_s)
            opened(self.own, CODE, record, self.rules, what=BY_TEST, wanted=wanted, base=base)
        elif rpo.verdict == "MET" and rpo.achieved_s is not None:
            settled(self.own, CODE, record, BY_TEST, partial(_in_time, rpo.achieved_s))

    def _reached(
        self, record: Record, points: Iterable[tuple[datetime, datetime]], version: PlanVersion | None
    ) -> None:
        before, rpo = self.own.point, self._rpo(version)
        newest = before.consistent if before else None
        last = None
        for consistent, usable in points:
            if newest is not None and consistent <= newest:
                continue  # an older one, or the same once more
            if rpo is not None:
                if newest is not None:
                    self._late(record, newest, usable, rpo)
                age = (usable - consistent).total_seconds()
                settled(self.own, CODE, record, BY_POINTS, partial(_in_time, age), asset=self.asset)
            newest = consistent
            last = NewestPoint(consistent, usable, RecordIdentity.of(record), before.leads_on if before else True)
            if rpo is not None and usable - consistent > timedelta(seconds=rpo):
                self.own.point = last
                self._late(record, consistent, usable, rpo)
        self.own.point = last or before

    def _late(self, record: Record, consistent: datetime, at: datetime, rpo: float) -> None:
        since = consistent + timedelta(seconds=rpo)
        if at > since:
            assert self.own.point is not None
            opened(
                self.own, CODE, record, self.rules, what=BY_POINTS, wanted=Wanted(objective=rpo),
                base=self.own.point.base, since=since, asset=self.asset,
            )  # fmt: skip

    def _log_leads_on(self, leads: bool) -> None:
        if (point := self.own.point) is not None:
            self.own.point = NewestPoint(point.consistent, point.usable, point.base, leads)

    def _rpo(self, version: PlanVersion | None) -> float | None:
        """As the version asks for it; None where none is known."""
        of = version.facts.assets.get(self.asset) if version else None
        return of.rpo if of else None


def _in_time(age: float, wanted: Wanted) -> bool:
    return wanted.objective is not None and age <= wanted.objective


# What proves nothing once may be chance; twice in a row it is a deviation, until something is proven again. Pure.

TWICE = 2
_TEST = "test"


@dataclass(frozen=True)
class Attempts:
    """One record of what was tried. `checks`: of a restore test, by which it was carried out, None where nobody knows.
    `of`: of which kind it was, where kinds take turns ("": of none, or it came to none). There is a row of all, and one
    of each kind."""

    kept: Kept
    record: Record
    rules: DeviationFacts
    checks: Checks

    def prove_nothing(self, trouble: Trouble, verb: str, of: str) -> None:
        mine = Wanted(checks=self.checks, point=point_of(self.record) if isinstance(self.record, TestEnd) else None)
        seen = False
        for one in dict.fromkeys(("", of)):
            row = self.kept.rows.get(_row(verb, one)) or Streak(0, self.record.time, mine)
            asked = together(row.asked, mine)
            count = row.count + 1
            self.kept.rows[_row(verb, one)] = Streak(count, row.since, asked)
            if count >= TWICE:
                times = 0 if seen else TWICE if count == TWICE else 1
                first = row.since if count == TWICE else None
                opened(
                    self.kept, trouble.name, self.record, self.rules, what=one, wanted=asked, since=first, times=times
                )
                seen = True

    def prove(self, trouble: Trouble, verb: str, of: str) -> None:
        """It ends the row, and the deviation, if it asks as much of what is as new."""
        for one in dict.fromkeys(("", of)):
            row = self.kept.rows.get(_row(verb, one))
            if row is not None and self._good(row.asked):
                del self.kept.rows[_row(verb, one)]
            settled(self.kept, trouble.name, self.record, one, self._good)

    def _good(self, asked: Wanted) -> bool:
        new = not isinstance(self.record, TestEnd) or as_new(self.record, asked.point)
        return new and as_strict(asked.checks, self.checks)


def _row(verb: str, of: str) -> str:
    return f"{verb} {of}" if of else verb


# Whether a failure is mended history says (`unmended`: only by the same or stronger checks), and what a plan promises
# no more `plans/loosened.py` does: there is no second rule here.

OF_ENDS = frozenset((BACKUP_END, TEST_END, CONTROLLED, CHECKED, PRUNED, COPIED))
OF_STARTS = STARTS - {RECOVER_START, RESTORE_START}
WANTED = OF_ENDS | OF_LEDGER | OF_STARTS | {NOT_BEGUN, MISSED, LOGS, PLAN_VERSION, ERASURE_REPLAY}


@dataclass(slots=True)  # as `Points`
class Before:
    """What stood before a record was taken: the plan's version in force, and by what a test was begun."""

    version: PlanVersion | None
    checks: Checks

    @property
    def rules(self) -> DeviationFacts:
        """Of deviations, as the version in force has them."""
        return self.version.facts.deviations if self.version else NO_RULES


def before(histories: Histories, record: Record) -> Before:
    plan = histories.get((record.plan, None))
    own = histories.get((place_of(record), record.asset)) if isinstance(record, TestEnd) else None
    checks = own.checks_at_start.get(str(record.run)) if own else None
    return Before(plan.version if plan else None, checks)


def take_start(histories: Histories, record: Start) -> None:
    """Has the run of this kind before it crashed? It has no end, and an asset is worked at by one at a time. After
    history has taken the record: half of all records are of this kind."""
    if record.foreign:
        return
    own, kind, run = history_at(histories, (place_of(record), record.asset)), record.kind, str(record.run)
    begun = own.deviations.begun
    crashed = begun.get(kind)
    begun[kind] = NewestStart(run, record.time, RecordIdentity.of(record))
    if crashed is not None and crashed.run in own.open_runs and crashed.run != run:
        _One(own, record, before(histories, record)).crashed(VERB_OF[kind], crashed)


def take(histories: Histories, record: Record, was: Before) -> None:
    """After history has taken the record, which is no start."""
    if kind_of(record) in OF_LEDGER:
        take_of_ledger(histories, record)
        return
    if isinstance(record, PlanVersion):
        if not record.foreign:
            _version(histories, record, was)
        return
    own = history_at(histories, (place_of(record), record.asset))
    if isinstance(record, BackupEnd) and record.result == STORED and not own.deviations.spans:  # as a rule
        Points(own.deviations, record.asset, was.rules).stored(record, was.version)
        return
    _One(own, record, was).take()


def _version(histories: Histories, record: PlanVersion, was: Before) -> None:
    plan = record.plan
    of_plan = history_at(histories, (plan, None))
    of_plan.deviations.owners.append(NamedOwner(record.time, record.facts.owner))
    if was.version is None:
        return
    rules = was.rules  # who makes them easier is held to those before
    take_version(of_plan.deviations, was.version, record, rules)
    for (name, asset), own in histories.items():
        if name == plan and asset is not None:
            Points(own.deviations, asset, rules).objective_ends(record, was.version)


@dataclass(slots=True)  # as `Points`
class _One:
    """One record of a run, or of one that there was not."""

    own: AssetHistory
    record: Record
    was: Before

    @property
    def kept(self) -> Kept:
        return self.own.deviations

    @property
    def at_copy(self) -> bool:
        return place_of(self.record) != self.record.plan

    def take(self) -> None:
        match record := self.record:
            case TestEnd():
                self._tested(record)
            case BackupEnd():
                self._ends(Trouble.BACKUP_FAILED, "backup", record.result == FAILED, record.result == STORED)
                if record.result == STORED:
                    Points(self.kept, record.asset, self.was.rules).stored(record, self.was.version)
            case NegativeControlEnd():
                self._controlled(record)
            case CheckEnd():
                self._checked(record)
            case PruneEnd():
                self._ends(Trouble.PRUNE_FAILED, "prune", record.result == FAILED, record.result == DONE)
            case CopyEnd():
                self._ends(Trouble.COPY_FAILED, "copy", record.result == FAILED, record.result == DONE)
            case NotBegun():
                self._not_begun(record.verb)
            case MissedRuns():
                self._missed(record)
            case LogShipped():
                Points(self.kept, str(record.asset), self.was.rules).shipped(record, self.was.version)
            case ErasureReplay():
                self._stands(ERASURE_FAILED, self.own.replay_failed is not None, record.result == FAILED)

    def _open(
        self,
        code: str,
        what: str = "",
        wanted: Wanted = ANY,
        *,
        since: datetime | None = None,
        base: RecordIdentity | None = None,
        times: int = 1,
    ) -> None:
        rules = self.was.rules
        opened(self.kept, code, self.record, rules, what=what, wanted=wanted, since=since, base=base, times=times)

    def _stands(self, code: str, stands: bool, bad: bool) -> None:
        """By what history says after this record, which was `bad` itself or not."""
        if bad and stands:
            self._open(code)
        elif not stands:
            settled(self.kept, code, self.record, None)
        elif (span := standing(self.kept, code, self.record.asset)) is not None:
            span.unchecked = RecordAt(self.record.seq, self.record.time)

    def _ends(self, trouble: Trouble, verb: str, bad: bool, good: bool) -> None:
        if bad:
            self._open(trouble.name)
        if good:
            settled(self.kept, trouble.name, self.record, None)
            self._served(verb)

    def _served(self, verb: str) -> None:
        """What was missed is done again; a test by checks that are as strict as those that were missed."""
        checks = self._checks() if verb == "test" else None
        if isinstance(self.record, TestEnd) and not by_rule(self.record):
            return
        settled(self.kept, Trouble.MISSED.name, self.record, verb, lambda wanted: as_strict(wanted.checks, checks))

    def _checks(self) -> Checks:
        return self.was.checks if self.was.checks is not None else _checks_of(self.was.version, self.record.asset)

    # --- restore tests ---------------------------------------------------------------------------------------------

    def _tested(self, record: TestEnd) -> None:
        own = self.own
        if record.verdict not in VERDICTS:
            return
        self._in_a_row(Trouble.TEST_INCONCLUSIVE, "test", record.verdict == INCONCLUSIVE)
        if record.verdict == INCONCLUSIVE:
            return
        self._served("test")
        fail, of_log = record.verdict == "FAIL", blames_the_log(record)
        own_fault = [one for one in own.unmended if not _for_a_newer(one.test)]
        for_newer = fail and not of_log and _for_a_newer(record)
        code = Trouble.COPY_TEST_FAILED if self.at_copy else Trouble.TEST_FAILED
        self._stands(code.name, bool(own_fault), fail and not of_log and not for_newer)
        self._stands(Trouble.NEWER_FAILED.name, len(own.unmended) > len(own_fault), for_newer)
        self._stands(Trouble.LOG_FAILED.name, own.log_failure is not None, fail and of_log)
        self._restored_in_time(record)
        if not self.at_copy:
            Points(self.kept, record.asset, self.was.rules).tested(record)

    def _restored_in_time(self, record: TestEnd) -> None:
        rto = record.rto
        if rto is None:
            return
        if rto.verdict == "BREACHED":
            wanted = Wanted(objective=rto.objective_s, point=point_of(record))
            self._open(Trouble.BREACH_RTO.name, rto.basis, wanted)
        elif rto.verdict == "MET" and (took := rto.achieved_s) is not None:
            # In less than was allowed when it took too long, of data as new; who restores durably in time could throw
            # away, too.
            for one in ("throwaway", "durable") if rto.basis == "durable" else ("throwaway",):
                settled(
                    self.kept, Trouble.BREACH_RTO.name, record, one,
                    lambda wanted: _in_time(took, wanted) and as_new(record, wanted.point),
                )  # fmt: skip

    def _in_a_row(self, trouble: Trouble, verb: str, proves_nothing: bool, of: str = "") -> None:
        attempts = Attempts(self.kept, self.record, self.was.rules, self._checks() if verb == _TEST else None)
        if proves_nothing:
            attempts.prove_nothing(trouble, verb, of)
        else:
            attempts.prove(trouble, verb, of)

    # --- the rest --------------------------------------------------------------------------------------------------

    def _controlled(self, record: NegativeControlEnd) -> None:
        result, kind = record.result, record.damage.kind if record.damage else ""
        self._in_a_row(Trouble.CONTROL_INCONCLUSIVE, "negative_control", result == INCONCLUSIVE, kind)
        if result in (CAUGHT, PASSED):
            self._served("negative_control")
            self._stands(Trouble.CONTROL_PASSED.name, bool(self.own.not_caught), result == PASSED)

    def _checked(self, record: CheckEnd) -> None:
        result, own = record.result, self.own
        self._in_a_row(Trouble.CHECK_INCONCLUSIVE, "check", result == INCONCLUSIVE)
        if result in (CLEAN, DAMAGED):
            self._served("check")
            code = Trouble.COPY_DAMAGED if self.at_copy else Trouble.REPOSITORY_DAMAGED
            self._stands(code.name, bool(own.damaged_parts or own.damaged_before), result == DAMAGED)

    def _not_begun(self, verb: str) -> None:
        if (trouble := _FAILED_OF.get(verb)) is not None:
            self._open(trouble.name)
        elif (trouble := _ROW_OF.get(verb)) is not None:
            self._in_a_row(trouble, verb, proves_nothing=True)

    def _missed(self, record: MissedRuns) -> None:
        """A run that comes back tells of one schedule after another, and works in between: what was due while another
        of its schedules was missed is of the same span."""
        verb, kept, first = record.verb, self.kept, record.first_due
        ended = (one for one in reversed(kept.ended) if one.code == Trouble.MISSED.name)
        if (newest := next(ended, None)) is not None and _lasted(newest, first, record.due):
            reopened(kept, newest)
        checks = _checks_of(self.was.version, record.asset) if verb == "test" else None
        begun = kept.begun.get(START_BY_VERB.get(verb, ""))
        base = begun.base if begun is not None and begun.time < first else None
        self._open(Trouble.MISSED.name, verb, Wanted(checks=checks), since=first, base=base, times=record.count)

    def crashed(self, verb: str, run: NewestStart) -> None:
        """That run before it."""
        if (trouble := _FAILED_OF.get(verb)) is not None:
            self._open(trouble.name, since=run.time, base=run.base)
        elif (trouble := _ROW_OF.get(verb)) is not None:
            self._in_a_row(trouble, verb, proves_nothing=True)


def _lasted(span: DeviationSpan, first: datetime, last: datetime) -> bool:
    """Did what ended last in some of the time from the first to the last?"""
    return span.retest is not None and first <= span.retest.at and last >= span.since


_FAILED_OF = {
    "backup": Trouble.BACKUP_FAILED,
    "prune": Trouble.PRUNE_FAILED,
    "copy": Trouble.COPY_FAILED,
}
_ROW_OF = {
    "test": Trouble.TEST_INCONCLUSIVE,
    "negative_control": Trouble.CONTROL_INCONCLUSIVE,
    "check": Trouble.CHECK_INCONCLUSIVE,
}


def _for_a_newer(test: TestEnd) -> bool:
    """Is it FAIL for a newer backup that had failed, and was what it restored good?"""
    return verdict_on_snapshot(test) == "PASS" and all(one.status != "FAIL" for one in test.checks)


def _checks_of(version: PlanVersion | None, asset: str | None) -> Checks:
    return version.facts.checks_of(asset) if version else None
