"""Which records open a deviation and which end one: of an asset by what history made of them, of a plan by what it
promises no more, and of the ledger itself. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from ccdr.evidence.deviations import wanted
from ccdr.evidence.deviations.values import Kept, Span, base_of, opened, reopened, settled, standing
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
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.verdicts import Record, blames_the_log
from ccdr.model.trouble import Trouble
from ccdr.model.values import TOLD_BY, Verb, number_of, of_another_host, rfc3339, utc
from ccdr.plans.deviation_rules import ERASURE_FAILED
from ccdr.plans.facts import PlanFacts, facts_from
from ccdr.plans.loosened import Code, Loosening, loosened
from ccdr.plans.versions import PLAN_VERSION

# What a plan promises no more is a deviation until a version promises it again: by `plans/loosened.py`.

_GONE = frozenset((Code.PLAN_GONE, Code.ASSET_GONE))
_OF_CHECKS = frozenset((Code.CHECK_GONE, Code.CHECK_REPLACED, Code.CHECK_WEAKER))


def take_version(place: Kept, before: Record, record: Record, rules: Mapping[str, Any]) -> None:
    """A version took the place of the one before."""
    was, now = facts_from(before["facts"]), facts_from(record["facts"])
    found = loosened(was, now)
    _open(place, found, before, record, rules)
    _settle(place, now, record, rules, {(_code(one), one.asset, _what(one)) for one in found})
    used = {str(seq) for span in place.spans for seq in span["pending"].values() if isinstance(seq, int)}
    place.promised = {seq: facts for seq, facts in place.promised.items() if seq in used}


def _open(place: Kept, found: Iterable[Loosening], before: Record, record: Record, rules: Mapping[str, Any]) -> None:
    number = number_of(before)
    for one in found:
        place.promised.setdefault(str(number), before["facts"])
        opened(place, one.code.value, record, rules, what=_what(one), detail=number, asset=one.asset)


def _settle(
    place: Kept, now: PlanFacts, record: Record, rules: Mapping[str, Any], new: set[tuple[str, str | None, str]]
) -> None:
    """What this version promises again, by what stood before it was loosened. Of an asset that is back with less than
    it had, what lacks is open from here on."""
    lacking = {seq: loosened(facts_from(facts), now) for seq, facts in place.promised.items()}
    for span in [one for one in place.spans if one["code"] in Code.__members__]:
        for what, seq in list(span["pending"].items()):
            still = lacking.get(str(seq), [])
            if (span["code"], span["asset"], what) in new or any(_same(span, what, one) for one in still):
                continue
            if span["code"] in _GONE:
                gone = {"seq": seq, "facts": place.promised.get(str(seq))}
                left = [one for one in still if span["asset"] in (None, one.asset)]
                _open(place, left, gone, record, rules)
            settled(place, span["code"], record, what, asset=span["asset"])


def _same(span: Span, what: str, one: Loosening) -> bool:
    """Is it the same that lacks? A check that is gone may by now be replaced, and is no more checked for that."""
    if one.code in _GONE and span["code"] not in _GONE:
        return one.asset in (None, span["asset"])  # with all that it had
    code = _code(one) == span["code"] or (span["code"] in _OF_CHECKS and one.code in _OF_CHECKS)
    fits = _what(one) == what or (one.fingerprint is not None and one.fingerprint in what)
    return code and one.asset == span["asset"] and fits


def _code(one: Loosening) -> str:
    return one.code.value


def _what(one: Loosening) -> str:
    return " ".join(part for part in (one.item, one.fingerprint) if part)


# What the ledger finds about itself: which records of that open a deviation, and which end one. Pure.

OF_LEDGER = frozenset((VERIFIED, COMPARED, LOST, "ledger.begin", ACKNOWLEDGED, LINKED, RECOVERED))


def take_of_ledger(histories: Histories, record: Record) -> None:
    """What another ledger's records say of that is its host's to answer for."""
    if TOLD_BY in record:
        return
    kind, of = kind_of(record), record.get("about", record)
    own = history_at(histories, (record["plan"] if kind == COMPARED else None, None)).deviations
    if kind == COMPARED:
        _compared(own, record)
    elif kind == VERIFIED:
        _verified(own, record)
    elif kind in (LOST, "ledger.begin"):
        lost = record if kind == LOST else record.get("predecessor")
        if lost is not None:
            opened(own, Trouble.LEDGER_LOST.name, record, {}, what=str(lost["ledger"]))
    elif kind == RECOVERED:
        if record.get("spoilt") is True:
            opened(own, Trouble.LEDGER_SPOILT.name, record, {}, what=str(number_of(record)))
    else:
        for ledger in of.get("ledgers") or ():
            settled(own, Trouble.LEDGER_LOST.name, record, str(ledger))
        for seq in of.get("spoilt") or ():
            settled(own, Trouble.LEDGER_SPOILT.name, record, str(seq))


def _verified(own: Kept, record: Record) -> None:
    if record["result"] == "HOLDS":
        settled(own, Trouble.LEDGER_BROKEN.name, record)
    else:
        opened(own, Trouble.LEDGER_BROKEN.name, record, {})
    if record.get("summary") == DIFFERS:
        opened(own, Trouble.SUMMARY_WRONG.name, record, {})
    elif record.get("summary") == "EQUAL":
        settled(own, Trouble.SUMMARY_WRONG.name, record)


def _compared(own: Kept, record: Record) -> None:
    """Who looked at the newest snapshots alone takes back nothing that a look at all of them has found."""
    whole = record["whole"]
    if record["result"] == DIFFERS:
        opened(own, Trouble.LEDGER_CONTRADICTED.name, record, {}, detail=whole, together=max)
    else:
        settled(own, Trouble.LEDGER_CONTRADICTED.name, record, good=lambda then: whole or not then)


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
    rules: Mapping[str, Any]

    def stored(self, record: Record, version: Record | None) -> None:
        """A backup was. It is a base from which the log leads on."""
        consistent = (record.get("snapshot") or {}).get("consistent_point")
        if consistent is None:
            return
        at, usable = utc(consistent), utc(record["time"])
        if self._as_it_should_be(at, usable, self._rpo(version)):  # as a rule: for millions of records the rest shows
            self.own.point = [consistent, record["time"], base_of(record), True]
            return
        self._reached(record, [(at, usable)], version)
        self._log_leads_on(True)

    def _as_it_should_be(self, consistent: datetime, usable: datetime, rpo: float | None) -> bool:
        """Nothing is open that it could settle, and it opens nothing."""
        if self.own.spans:
            return False
        newest = utc(self.own.point[0]) if self.own.point else None
        if newest is not None and consistent <= newest:
            return False
        return rpo is None or (usable - (newest or consistent)).total_seconds() <= rpo

    def shipped(self, record: Record, version: Record | None) -> None:
        """So was log; behind a gap it leads on from the next backup only."""
        if record.get("gaps"):
            self._log_leads_on(False)
        elif self.own.point and self.own.point[3] and record.get("points"):
            since = utc(record["since"])
            seconds = (
                (since + timedelta(seconds=at), since + timedelta(seconds=usable)) for at, usable in record["points"]
            )
            self._reached(record, list(seconds), version)

    def objective_ends(self, record: Record, version: Record) -> None:
        """The version that asked for an RPO is in force no more: was it kept until then?"""
        rpo = self._rpo(version)
        if rpo is not None and self.own.point:
            self._late(record, utc(self.own.point[0]), utc(record["time"]), rpo)

    def tested(self, record: Record) -> None:
        rpo = record.get("rpo") or {}
        objective, achieved = rpo.get("objective_s"), rpo.get("achieved_s")
        if rpo.get("verdict") == "BREACHED":
            base = self.own.point[2] if self.own.point else None
            opened(self.own, CODE, record, self.rules, what=BY_TEST, detail=objective, base=base, together=min)
        elif rpo.get("verdict") == "MET" and achieved is not None:
            settled(self.own, CODE, record, BY_TEST, lambda then: achieved <= then)

    def _reached(self, record: Record, points: Iterable[tuple[datetime, datetime]], version: Record | None) -> None:
        before, rpo = self.own.point, self._rpo(version)
        newest = utc(before[0]) if before else None
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
            last = [rfc3339(consistent), rfc3339(usable), base_of(record), before[3] if before else True]
            if rpo is not None and usable - consistent > timedelta(seconds=rpo):
                self.own.point = last
                self._late(record, consistent, usable, rpo)
        self.own.point = last or before

    def _late(self, record: Record, consistent: datetime, at: datetime, rpo: float) -> None:
        since = consistent + timedelta(seconds=rpo)
        if at > since:
            opened(
                self.own, CODE, record, self.rules, what=BY_POINTS, detail=rpo, base=self.own.point[2], since=since,
                asset=self.asset, together=min,
            )  # fmt: skip

    def _log_leads_on(self, leads: bool) -> None:
        if self.own.point:
            self.own.point = [*self.own.point[:3], leads]

    def _rpo(self, version: Record | None) -> float | None:
        """As the version asks for it; None where none is known."""
        of = (((version or {}).get("facts") or {}).get("assets") or {}).get(self.asset)
        return float(of["rpo"]) if of else None


def _in_time(age: float, objective: float) -> bool:
    return age <= objective


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
    rules: Mapping[str, Any]
    checks: wanted.Checks

    def prove_nothing(self, trouble: Trouble, verb: str, of: str) -> None:
        mine = [self.checks, wanted.point_of(self.record) if verb == _TEST else None]
        seen = False
        for one in dict.fromkeys(("", of)):
            count, since, before = self.kept.rows.get(_row(verb, one)) or (0, str(self.record["time"]), mine)
            asked = wanted.tested(before, mine)
            self.kept.rows[_row(verb, one)] = [count + 1, since, asked]
            if count + 1 >= TWICE:
                times = 0 if seen else TWICE if count + 1 == TWICE else 1
                first = utc(since) if count + 1 == TWICE else None
                opened(
                    self.kept, trouble.name, self.record, self.rules, what=one, detail=asked, since=first, times=times,
                    together=wanted.tested,
                )  # fmt: skip
                seen = True

    def prove(self, trouble: Trouble, verb: str, of: str) -> None:
        """It ends the row, and the deviation, if it asks as much of what is as new."""
        for one in dict.fromkeys(("", of)):
            row = self.kept.rows.get(_row(verb, one))
            if row is not None and self._good(row[2]):
                del self.kept.rows[_row(verb, one)]
            settled(self.kept, trouble.name, self.record, one, self._good)

    def _good(self, asked: list[Any]) -> bool:
        return wanted.as_strict(asked[0], self.checks) and wanted.as_new(self.record, asked[1])


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

    version: Record | None
    checks: list[Any] | None


def before(histories: Histories, record: Record) -> Before:
    plan = histories.get((record["plan"], None))
    own = histories.get((place_of(record), record["asset"])) if record["kind"] == TEST_END else None
    checks = own.checks_at_start.get(str(record["run"])) if own else None
    return Before(plan.newest.get(PLAN_VERSION) if plan else None, checks)


def take_start(histories: Histories, record: Record) -> None:
    """Has the run of this kind before it crashed? It has no end, and an asset is worked at by one at a time. After
    history has taken the record: half of all records are of this kind."""
    if TOLD_BY in record and of_another_host(record):
        return
    own, kind, run = history_at(histories, (place_of(record), record["asset"])), record["kind"], str(record["run"])
    begun = own.deviations.begun
    crashed = begun.get(kind)
    begun[kind] = [run, str(record["time"]), base_of(record)]
    if crashed is not None and crashed[0] in own.open_runs and crashed[0] != run:
        was = before(histories, record)
        _One(own, record, was, _rules(was.version)).crashed(VERB_OF[kind], crashed)


def take(histories: Histories, record: Record, was: Before) -> None:
    """After history has taken the record, which is no start."""
    kind = kind_of(record)
    if kind in OF_LEDGER:
        take_of_ledger(histories, record)
        return
    if kind == PLAN_VERSION:
        if not of_another_host(record):
            _version(histories, record, was)
        return
    own, rules = history_at(histories, (place_of(record), record["asset"])), _rules(was.version)
    if kind == BACKUP_END and record["result"] == STORED and not own.deviations.spans:  # as a rule
        Points(own.deviations, str(record["asset"]), rules).stored(record, was.version)
        return
    _One(own, record, was, rules).take()


def _rules(version: Record | None) -> Mapping[str, Any]:
    """Of deviations, as the version in force has them."""
    return ((version or {}).get("facts") or {}).get("deviations") or {}


def _version(histories: Histories, record: Record, was: Before) -> None:
    plan = record["plan"]
    of_plan = history_at(histories, (plan, None))
    of_plan.deviations.owners.append([str(record["time"]), record["facts"].get("owner")])
    if was.version is None:
        return
    rules = _rules(was.version)  # who makes them easier is held to those before
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
    rules: Mapping[str, Any]

    @property
    def kept(self) -> Kept:
        return self.own.deviations

    @property
    def at_copy(self) -> bool:
        return bool(place_of(self.record) != self.record["plan"])

    def take(self) -> None:
        record, kind = self.record, self.record["kind"]
        if kind == TEST_END:
            self._tested()
        elif kind == BACKUP_END:
            result = record["result"]
            self._ends(Trouble.BACKUP_FAILED, "backup", result == FAILED, result == STORED)
            if result == STORED:
                Points(self.kept, str(record["asset"]), self.rules).stored(record, self.was.version)
        elif kind == CONTROLLED:
            self._controlled()
        elif kind == CHECKED:
            self._checked()
        elif kind == PRUNED:
            self._ends(Trouble.PRUNE_FAILED, "prune", record["result"] == FAILED, record["result"] == DONE)
        elif kind == COPIED:
            self._ends(Trouble.COPY_FAILED, "copy", record["result"] == FAILED, record["result"] == DONE)
        elif kind == NOT_BEGUN:
            self._not_begun()
        elif kind == MISSED:
            self._missed()
        elif kind == LOGS:
            Points(self.kept, str(self.record["asset"]), self.rules).shipped(record, self.was.version)
        elif kind == ERASURE_REPLAY:
            self._stands(ERASURE_FAILED, self.own.replay_failed is not None, record["result"] == FAILED)

    def _open(self, code: str, what: str = "", detail: Any = None, **more: Any) -> None:
        opened(self.kept, code, self.record, self.rules, what=what, detail=detail, **more)

    def _stands(self, code: str, stands: bool, bad: bool) -> None:
        """By what history says after this record, which was `bad` itself or not."""
        if bad and stands:
            self._open(code)
        elif not stands:
            settled(self.kept, code, self.record, None)
        elif (span := standing(self.kept, code, self.record["asset"])) is not None:
            span["unchecked"] = [number_of(self.record), str(self.record["time"])]

    def _ends(self, trouble: Trouble, verb: str, bad: bool, good: bool) -> None:
        if bad:
            self._open(trouble.name)
        if good:
            settled(self.kept, trouble.name, self.record, None)
            self._served(verb)

    def _served(self, verb: str) -> None:
        """What was missed is done again; a test by checks that are as strict as those that were missed."""
        checks = self._checks() if verb == "test" else None
        if verb == "test" and not wanted.by_rule(self.record):
            return
        settled(self.kept, Trouble.MISSED.name, self.record, verb, lambda then: wanted.as_strict(then, checks))

    def _checks(self) -> list[Any] | None:
        return self.was.checks if self.was.checks is not None else _checks_of(self.was.version, self.record["asset"])

    # --- restore tests ---------------------------------------------------------------------------------------------

    def _tested(self) -> None:
        record, own = self.record, self.own
        if record["verdict"] not in VERDICTS:
            return
        self._in_a_row(Trouble.TEST_INCONCLUSIVE, "test", record["verdict"] == INCONCLUSIVE)
        if record["verdict"] == INCONCLUSIVE:
            return
        self._served("test")
        fail, of_log = record["verdict"] == "FAIL", blames_the_log(record)
        own_fault = [failed for failed, _ in own.unmended if not _for_a_newer(failed)]
        for_newer = fail and not of_log and _for_a_newer(record)
        code = Trouble.COPY_TEST_FAILED if self.at_copy else Trouble.TEST_FAILED
        self._stands(code.name, bool(own_fault), fail and not of_log and not for_newer)
        self._stands(Trouble.NEWER_FAILED.name, len(own.unmended) > len(own_fault), for_newer)
        self._stands(Trouble.LOG_FAILED.name, own.log_failure is not None, fail and of_log)
        self._restored_in_time()
        if not self.at_copy:
            Points(self.kept, str(record["asset"]), self.rules).tested(record)

    def _restored_in_time(self) -> None:
        rto = self.record.get("rto") or {}
        basis, objective, achieved = rto.get("basis"), rto.get("objective_s"), rto.get("achieved_s")
        if rto.get("verdict") == "BREACHED":
            asked = [objective, wanted.point_of(self.record)]
            self._open(Trouble.BREACH_RTO.name, str(basis), asked, together=wanted.in_time)
        elif rto.get("verdict") == "MET":
            # In less than was allowed when it took too long, of data as new; who restores durably in time could throw
            # away, too.
            for one in ("throwaway", "durable") if basis == "durable" else ("throwaway",):
                settled(self.kept, Trouble.BREACH_RTO.name, self.record, one, self._within(achieved))

    def _within(self, achieved: Any) -> Callable[[list[Any]], bool]:
        return lambda asked: bool(achieved <= asked[0] and wanted.as_new(self.record, asked[1]))

    def _in_a_row(self, trouble: Trouble, verb: str, proves_nothing: bool, of: str = "") -> None:
        attempts = Attempts(self.kept, self.record, self.rules, self._checks() if verb == "test" else None)
        if proves_nothing:
            attempts.prove_nothing(trouble, verb, of)
        else:
            attempts.prove(trouble, verb, of)

    # --- the rest --------------------------------------------------------------------------------------------------

    def _controlled(self) -> None:
        result, own = self.record["result"], self.own
        kind = str((self.record.get("damage") or {}).get("kind") or "")
        self._in_a_row(Trouble.CONTROL_INCONCLUSIVE, "negative_control", result == INCONCLUSIVE, kind)
        if result in (CAUGHT, PASSED):
            self._served("negative_control")
            self._stands(Trouble.CONTROL_PASSED.name, bool(own.not_caught), result == PASSED)

    def _checked(self) -> None:
        result, own = self.record["result"], self.own
        self._in_a_row(Trouble.CHECK_INCONCLUSIVE, "check", result == INCONCLUSIVE)
        if result in (CLEAN, DAMAGED):
            self._served("check")
            code = Trouble.COPY_DAMAGED if self.at_copy else Trouble.REPOSITORY_DAMAGED
            self._stands(code.name, bool(own.damaged_parts or own.damaged_before), result == DAMAGED)

    def _not_begun(self) -> None:
        verb = str(self.record["verb"])
        if (trouble := _FAILED_OF.get(verb)) is not None:
            self._open(trouble.name)
        elif (trouble := _ROW_OF.get(verb)) is not None:
            self._in_a_row(trouble, verb, proves_nothing=True)

    def _missed(self) -> None:
        """A run that comes back tells of one schedule after another, and works in between: what was due while another
        of its schedules was missed is of the same span."""
        record, verb, kept = self.record, str(self.record["verb"]), self.kept
        first, last = str(record.get("first_due") or record["due"]), str(record["due"])
        ended = (one for one in reversed(kept.ended) if one["code"] == Trouble.MISSED.name)
        if (newest := next(ended, None)) is not None and self._lasted(newest, first, last):
            reopened(kept, newest)
        checks = _checks_of(self.was.version, record["asset"]) if verb == Verb.TEST else None
        begun, base = kept.begun.get(START_BY_VERB.get(verb, "")), None
        if begun is not None and utc(begun[1]) < utc(first):
            base = begun[2]
        many = record.get("count") or 1
        self._open(
            Trouble.MISSED.name, verb, checks, since=utc(first), base=base, times=many, together=wanted.all_checks
        )

    @staticmethod
    def _lasted(span: Span, first: str, last: str) -> bool:
        return utc(first) <= utc(span["retest"][1]) and utc(last) >= utc(span["since"])

    def crashed(self, verb: str, run: list[Any]) -> None:
        """That run before it."""
        if (trouble := _FAILED_OF.get(verb)) is not None:
            self._open(trouble.name, since=utc(run[1]), base=run[2])
        elif (trouble := _ROW_OF.get(verb)) is not None:
            self._in_a_row(trouble, verb, proves_nothing=True)


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


def _for_a_newer(test: Record) -> bool:
    """Is it FAIL for a newer backup that had failed, and was what it restored good?"""
    failed = any(check.get("status") == "FAIL" for check in test.get("checks") or ())
    return not failed and (test.get("snapshot") or {}).get("verdict") == "PASS"


def _checks_of(version: Record | None, asset: str | None) -> list[Any] | None:
    of = (((version or {}).get("facts") or {}).get("assets") or {}).get(asset)
    return list(of["checks"]) if of else None
