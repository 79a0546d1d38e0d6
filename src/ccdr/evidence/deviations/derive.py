"""Which records open a deviation and which end one: after each record of a kind that may, by what history made of it.

Whether a failure is mended history says (`unmended`: only by the same or stronger checks), and what a plan promises no
more `plans/loosened.py` does: there is no second rule here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ccdr.evidence.deviations import wanted
from ccdr.evidence.deviations.loosening import take_version
from ccdr.evidence.deviations.of_ledger import OF_LEDGER, take_of_ledger
from ccdr.evidence.deviations.points import Points
from ccdr.evidence.deviations.rows import Attempts
from ccdr.evidence.deviations.spans import Kept, Record, base_of, opened, reopened, settled, standing
from ccdr.evidence.deviations.values import Span
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import (
    BACKUP_END,
    CAUGHT,
    CHECKED,
    CLEAN,
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
    RESTORE_START,
    STARTS,
    STORED,
    TEST_END,
    VERB_OF,
    VERDICTS,
)
from ccdr.evidence.history.places import Histories, history_at, place_of
from ccdr.evidence.verdicts import blames_the_log
from ccdr.model.trouble import Trouble
from ccdr.model.values import TOLD_BY, Verb, number_of, of_another_host, utc
from ccdr.plans.deviation_rules import ERASURE_FAILED
from ccdr.plans.versions import PLAN_VERSION

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
    kind = record["kind"]
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


START_BY_VERB = {verb: kind for kind, verb in VERB_OF.items() if kind.endswith(".start")}
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
