"""Whoever looks at the same records sees the same judgement: over pasts that are drawn, `status`, the report, metrics,
messages, `snapshots` and `discover` are asked, and found agreed."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.chronicle import Chronicle
from tests.support.clocks import Clock
from tests.support.drawn import examples
from tests.support.harness import Site
from tests.support.logs import ships
from tests.support.records import written

from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.judgement.asset_status import UNTESTED, AssetStatus, why_not_counting
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.log_standing import LogStanding
from ccdr.host.state import State
from ccdr.jobs.restore.examination import PHASES, estimate
from ccdr.jobs.services import Services
from ccdr.model.errors import Exit
from ccdr.model.trouble import Level, Problem, Trouble
from ccdr.model.values import ObjectiveVerdict, rfc3339, utc
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.setup.discover.unprotected import untested
from ccdr.setup.doctor.readiness import read_past
from ccdr.telling.answer import answer
from ccdr.telling.metrics import RunFacts, collect
from ccdr.telling.notify.concerns import concerns_of
from ccdr.telling.report import Period, Report, make_report
from ccdr.telling.report.judged import AssetReport
from ccdr.telling.status import exit_code, seen_now, status, upkeep_problems

END = datetime(2026, 11, 24, 12, tzinfo=UTC)
ASSETS = ("crm", "idle", "log")
PLAN = """
crm:
  engine: files
  paths: [/spool]
  group: centre
  restore_test: {schedule: "0 3 * * *", snapshot: [latest, oldest], checks: [t]}
idle: {engine: files, paths: [/idle], group: centre, objectives: {rpo: 2h}}
log:
  engine: postgres
  method: physical
  log_shipping: {interval: 60s}
  backup: {schedule: "15 * * * *"}
  connection: {host: /nowhere, user: postgres, database: postgres}
  restore_test: {schedule: "0 3 * * *", checks: [t]}
"""


Record = dict[str, Any]


# --- pasts ----------------------------------------------------------------------------------------------------


@dataclass
class Told:
    """A past that is being told: what there is of each asset, by name, oldest first."""

    past: Chronicle
    sources: dict[str, str]
    stored: dict[str, list[str]]
    shipped: dict[str, float]
    number: int = 0
    logged: bool = False  # was any log stored?

    def new(self, asset: str) -> str:
        self.past.asset, self.past.source = asset, self.sources[asset]
        self.number += 1
        return f"{asset}-{self.number}"


Event = Callable[[Told, float, str], object]
WHY = st.sampled_from([None, "missing", "closed", "unavailable", "damaged"])


def store(here: bool, upon: bool, other: bool, said: bool) -> Event:
    def tell(told: Told, hours: float, asset: str) -> None:
        name, there = told.new(asset), told.stored[asset]
        more: dict[str, Any] = {}
        if upon and there:
            more["upon"] = (there[-1],)
        if other:
            more["source"] = "/elsewhere"
        if here:
            if other:
                more["beside_source"] = "disk"
            told.past.stored(hours - 0.01, name, usable=hours, findings=["2 files were in use"] if said else [], **more)
        else:
            told.past.snapshot(hours - 0.01, name, usable=hours, **more)
        there.append(name)

    return tell


def leap(told: Told, hours: float, asset: str) -> None:
    """It looks as if its source had been emptied."""
    name = told.new(asset)
    told.past.stored(hours - 0.01, name, usable=hours, suspect=["shrunk"])
    told.stored[asset].append(name)


def fail(why: str | None, reason: str) -> Event:
    def tell(told: Told, hours: float, asset: str) -> None:
        told.new(asset)
        told.past.failed(hours, reason, repository=why)

    return tell


def crash(verb: str) -> Event:
    def tell(told: Told, hours: float, asset: str) -> None:
        run = told.new(asset)
        told.past.began(hours, verb, run, asset=None if verb in ("prune", "check") else asset)

    return tell


def test(verdict: str, own: bool, rule: str, took: float | None, basis: str, flag: str, why: str | None) -> Event:
    """`own`: what was restored is good by itself, whatever the verdict. `flag` is what else it failed for."""

    def tell(told: Told, hours: float, asset: str) -> None:
        told.new(asset)
        there, past = told.stored[asset], told.past
        more: dict[str, Any] = {}
        if verdict == "FAIL" and flag == "newer":
            failed = [
                r for r in past.records if r["kind"] == "backup.end" and r["result"] == "FAILED" and r["asset"] == asset
            ]
            newer = {"seq": failed[-1]["seq"], "at": failed[-1]["time"]} if failed else None
            more = {"newer_failed": True, "newer": newer}
        elif verdict == "FAIL" and flag == "damaged":
            more = {"damaged": True}
        elif flag == "other":
            more = {"source": "/elsewhere"}
        elif flag == "found":
            more = {"findings": ["3 rows were skipped"]}
        if verdict == "INCONCLUSIVE" or not there:
            past.tested(hours, None, verdict if there else "INCONCLUSIVE", took=None, repository=why)
            return
        name = there[-1] if rule == "latest" else there[0] if rule == "oldest" else there[len(there) // 2]
        exposed = {"objective_s": 3600.0, "achieved_s": 60.0, "verdict": "MET"}
        past.tested(hours, name, verdict, own="PASS" if own else verdict, selected=rule, took=took, basis=basis, rpo=exposed, **more)  # fmt: skip

    return tell


def by_log(verdict: str, far: bool) -> Event:
    def tell(told: Told, hours: float, asset: str) -> None:
        told.new("log")
        if there := told.stored["log"]:
            until = hours if far else hours - 2
            told.past.by_log(hours, there[-1], verdict, until=until, target="latest" if far else "t", reached=until)

    return tell


def ship(hours_of_it: float) -> Event:
    def tell(told: Told, hours: float, asset: str) -> None:
        told.new("log")
        points = [(hours - n * 0.1, hours - n * 0.1) for n in (3, 2, 1, 0)]
        told.past.shipped(hours, *points)
        told.shipped["log"], told.logged = hours, True

    return tell


def check(result: str, part: int, parts: int, why: str | None) -> Event:
    def tell(told: Told, hours: float, asset: str) -> None:
        told.past.checked(
            hours, result, part=min(part, parts), parts=parts, repository=why if result == "INCONCLUSIVE" else None
        )

    return tell


def prune(result: str, of: int) -> Event:
    def tell(told: Told, hours: float, asset: str) -> None:
        gone = told.stored[asset][:of] if result == "DONE" else []
        told.stored[asset] = told.stored[asset][len(gone) :]
        told.past.pruned(hours, result, *gone)

    return tell


def single(kind: str, verb: str, missing: bool) -> Event:
    def tell(told: Told, hours: float, asset: str) -> None:
        told.new(asset)
        at, past = rfc3339(told.past.at(hours)), told.past
        if kind == "group":
            past.wrote(hours, "group", asset=None, group="centre", result="INCOMPLETE", complete=False, skew_s=None,
                       missing=[asset] if missing else [], members={})  # fmt: skip
        elif kind == "duties":
            past.asked(hours, *(("test", verb) if missing else ("backup", "test", "prune", "check")))
        elif kind == "not_begun":
            past.wrote(
                hours,
                "not_begun",
                asset=None if verb in ("prune", "check") else asset,
                verb=verb,
                due=at,
                reason="no key",
            )
        else:
            past.wrote(hours, "missed", verb=verb, due=at, first_due=at, count=1)

    return tell


flags = st.booleans()
rarely = st.sampled_from([False, False, False, True])
verbs = st.sampled_from(["backup", "test", "prune", "check"])
stores = st.builds(store, st.sampled_from([True, True, True, False]), rarely, rarely, rarely)
tests = st.builds(
    test, st.sampled_from(["PASS", "PASS", "FAIL", "INCONCLUSIVE"]), flags, st.sampled_from(["latest", "oldest", "random"]),
    st.sampled_from([60.0, 60.0, 7200.0, None]), st.sampled_from(["throwaway", "throwaway", "durable"]),
    st.sampled_from(["", "newer", "damaged", "other", "found"]), WHY,
)  # fmt: skip
others = st.one_of(
    st.builds(fail, WHY, st.sampled_from(["disk full", "interrupted"])),
    st.just(leap),
    st.builds(crash, st.sampled_from(["backup", "restore_test", "restore", "prune", "check"])),
    st.builds(by_log, st.sampled_from(["PASS", "FAIL"]), flags),
    st.builds(ship, st.just(1.0)),
    st.builds(check, st.sampled_from(["CLEAN", "DAMAGED", "INCONCLUSIVE"]), st.integers(1, 2), st.integers(1, 2), WHY),
    st.builds(prune, st.sampled_from(["DONE", "DONE", "FAILED"]), st.integers(0, 2)),
    st.builds(single, st.sampled_from(["group", "duties", "not_begun", "missed"]), verbs, flags),
)
gaps = st.sampled_from([0.02, 0.02, 0.2, 0.2, 0.7, 1.5, 5, 30])
events = st.lists(st.tuples(st.one_of(stores, tests, others), gaps, st.sampled_from(ASSETS)), max_size=14)


def told_by(made: list[tuple[Event, float, str]], loaded: LoadedPlan) -> Told:
    names = {asset: str(loaded.plan.assets[asset].source_name) for asset in ASSETS}
    told = Told(Chronicle(END, ""), names, {asset: [] for asset in ASSETS}, {})
    hours = -sum(gap for _, gap, _ in made)
    for event, gap, asset in made:
        event(told, hours, asset)
        hours += gap
    return told


# --- whoever looks --------------------------------------------------------------------------------------------


@dataclass
class Looked:
    """What each of them says of one past."""

    loaded: LoadedPlan
    services: Services
    histories: Histories
    found: list[AssetStatus]
    care: dict[str, tuple[Problem, ...]]
    report: Report

    def pairs(self) -> list[tuple[AssetStatus, AssetReport]]:
        return list(zip(self.found, self.report.assets, strict=True))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(tmp_path_factory.mktemp("one"), bare=True)
    made.write("restore_tests/t.yaml", "restore_test: t\nchecks:\n  - {kind: identical}\n")
    made.plan(PLAN, extra='retention: {keep_last: 3}\nupkeep: {prune: "0 5 * * *", check: "0 6 * * 0"}\n')
    return made


@pytest.fixture(scope="module")
def loaded(site: Site) -> LoadedPlan:
    return site.loaded()


def looked(
    site: Site,
    loaded: LoadedPlan,
    told: Told,
    later: timedelta = timedelta(0),
    beside: tuple[list[Record], list[Record], bool] | None = None,
) -> Looked:
    """`later` than END the report is asked for what was then. `beside`: the records of our ledger and those of one that
    lies beside it, and whether that was ours."""
    shutil.rmtree(site.state, ignore_errors=True)
    clock = Clock()
    services = site.services(clock)
    told.past.keep(services.state.ledger, services.catalogue)
    if beside is not None:
        side_by_side(services.state, *beside)
    if told.shipped:
        point = told.past.at(told.shipped["log"])
        standing = LogStanding(since="000000010000000000000001", point=point, usable=point, position="0/3")
        then = Clock()
        then.at = point
        ships(replace(services, clock=then, ledger=Ledger(services.state.ledger, then)), "p", "log", standing)
    histories = services.histories()
    found, care = status([loaded], services, histories), upkeep_problems([loaded], services, histories)
    clock.at = END + later
    period = Period(END - timedelta(days=400), END, until_now=not later)
    return Looked(loaded, services, histories, found, care, make_report([loaded], services, period, command="x"))


def chained(directory: Path, ledger: str, records: list[Record], predecessor: str | None = None) -> tuple[int, str]:
    """A ledger of this id: its number of records, and its head."""
    lost = predecessor and {"ledger": predecessor, "last_seq": 1, "last_head": "0" * 64}
    begin = written(
        "ledger.begin", None, None, None, {"ledger": ledger, "from": 1, "installation": "x", "predecessor": lost}
    )
    first = {
        "time": records[0]["time"] if records else "2026-11-24T12:00:00.000000Z",
        "host": "h",
        "actor": "a",
        **begin,
    }
    prev, out = "0" * 64, b""
    for seq, record in enumerate([first, *records], 1):
        told = {"seq": seq, "prev": prev} | {k: v for k, v in record.items() if k not in ("seq", "prev")}
        line = json.dumps(told, separators=(",", ":"))
        prev, out = sha256(line.encode() + b"\n").hexdigest(), out + line.encode() + b"\n"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / f"{1:012}.jsonl").write_bytes(out)
    (directory / "id").write_text(f"{ledger}\n")
    return len(records) + 1, prev


def side_by_side(state: State, ours: list[Record], beside: list[Record], own: bool) -> None:
    one, other = "a" * 32, "b" * 32
    count, head = chained(state.root / "ledgers" / other, other, beside)
    taken: dict[str, object] = {"records": count, "head": head}
    if own:
        said = written("ledger.linked", None, None, None, {"ledgers": [other], "missing": 0, **taken})
    else:
        until = {"of_host": "db2", "until": rfc3339(END)}
        said = written("ledger.collected", None, None, None, {"ledger": other, **until, **taken})
    last = {"time": "2026-11-24T12:00:00.000000Z", "host": "h", "actor": "a", **said}
    chained(state.ledger, one, [*ours, last], other if own else None)


THERE = "on db2, by its ledger: "


def of_status(problems: tuple[Problem, ...]) -> Counter[tuple[object, ...]]:
    """What another host's ledger tells says so, and is the same trouble."""
    return Counter((p.trouble.name, p.level, p.text.removeprefix(THERE), p.step) for p in problems)


def agreed(look: Looked) -> None:
    by_report = {
        name: Counter((f.code, f.level, f.text.removeprefix(THERE), f.step) for f in one.findings if f.code)
        for name, one in [*((a.asset, a) for a in look.report.assets), *((p.plan, p) for p in look.report.plans)]
    }
    for one, said in look.pairs():
        assert by_report[one.asset] == of_status((*one.troubles, *one.near)), one.asset
        assert (one.coverage, one.rpo, one.rto) == (said.coverage, said.rpo_now, said.rto), one.asset
        assert said.judged is not None and one.away is said.judged.away
        assert all(f.level in (Level.NOTE, Level.NEAR) for f in said.findings if f.code is None)
        assert not one.proven or said.state == "proven"
        assert one.finding is any(p.trouble is not Trouble.NOT_KNOWN_HERE for p in one.troubles)
        assert one.finding or not any(f.code not in (None, "NOT_KNOWN_HERE") for f in said.findings)
    assert by_report["p"] == of_status(look.care["p"])
    unknown = any(f.exit is Exit.NOT_CARRIED_OUT and f.acknowledged is None for f in look.report.findings)
    lost = any(f.code == Trouble.LEDGER_LOST.name for f in look.report.findings)
    now = answer(look.found, ledger_problems=look.report.ledger.unproven, lost=lost, unknown=unknown)
    assert (now.word, now.level) == (look.report.answer.word, look.report.answer.level)


def as_told(look: Looked) -> None:
    concerns = list(concerns_of(look.found, look.care))
    for one in look.found:
        told = Counter((c.trouble.name, c.text, c.step) for c in concerns if c.asset == one.asset)
        assert told == Counter((p.trouble.name, p.text, p.step) for p in one.troubles)
    assert Counter(c.trouble for c in concerns if c.asset is None) == Counter(p.trouble for p in look.care["p"])


def as_measured(look: Looked) -> None:
    registry = collect(look.found, look.care, look.histories, RunFacts(END, 1.0, 0, {}))

    def number(name: str, **labels: str) -> float | None:
        found: float | None = registry.get_sample_value(f"ccdr_{name}", {"plan": "p", **labels})
        return found

    for one in look.found:
        kinds = {p.trouble for p in one.troubles}
        assert number("asset_problems", asset=one.asset) == len(one.troubles)
        assert number("asset_repository_near", asset=one.asset) == (bool(one.near) if one.near_known else None)
        assert number("asset_proven", asset=one.asset) == one.proven
        for name, trouble in (
            ("never_succeeded", Trouble.NEVER_SUCCEEDED), ("test_overdue", Trouble.TEST_LATE),
            ("log_late", Trouble.LOG_LATE), ("log_gap", Trouble.LOG_GAP),
        ):  # fmt: skip
            assert number(f"asset_{name}", asset=one.asset) == (trouble in kinds), name
        known = one.rpo.verdict is not ObjectiveVerdict.NOT_KNOWN_HERE
        assert number("asset_rpo_achieved_seconds", asset=one.asset) == (one.rpo.achieved_s if known else None)
    assert number("plan_problems") == len(look.care["p"])


def as_exits(look: Looked) -> None:
    now = exit_code(look.found) or any(look.care["p"])
    coded = any(f.code not in (None, "NOT_KNOWN_HERE") for f in look.report.findings)
    assert bool(now) is coded
    assert not coded or look.report.exit_code == 1
    assert coded or bool(look.report.exit_code) is any(f.level is Level.NOTE for f in look.report.findings)


def as_discovered(look: Looked) -> None:
    told = {u.asset for u in untested([look.loaded], look.services)}
    assert told == {one.asset for one in look.found if one.coverage == UNTESTED}


def as_listed(look: Looked) -> None:
    """What `snapshots` says of each: the verdict that its last test had on itself."""
    for one in look.found:
        job = Job(look.loaded, one.asset)
        own = look.histories.get(("p", one.asset), AssetHistory())
        known = seen_now(job, look.services, own).snapshots
        reasons = why_not_counting(one, job, own, known, END)
        assert {s for s, why in reasons.items() if why is None} == {s.id for s in one.counting}
        verdicts = look.histories[one.plan, one.asset].proven if (one.plan, one.asset) in look.histories else {}
        assert not [s for s in one.usable if verdicts.get(s.id) == "FAIL"], "what failed counts no more"
        if one.proven:
            assert one.last_test is not None and "PASS" in verdicts.values()
        if (last := one.last_test) and one.coverage != UNTESTED and last.verdict == "PASS":
            assert last.snapshot and verdicts.get(last.snapshot.id, "PASS") == "PASS"


def as_timed(look: Looked) -> tuple[object, ...]:
    """What `doctor` and `restore` go by: how long it took so far."""
    records = look.services.records
    took = [estimate(records(), "p", asset, 5, PHASES) for asset in ASSETS]
    return read_past(records()), took


everybody = settings(
    deadline=None,
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@everybody
@given(events)
def test_whoever_looks_at_the_same_records_sees_the_same(
    site: Site, loaded: LoadedPlan, made: list[tuple[Event, float, str]]
) -> None:
    look = looked(site, loaded, told_by(made, loaded))
    for asked in (agreed, as_told, as_measured, as_exits, as_discovered, as_listed):
        asked(look)


OURS, THEIRS = store(True, False, False, False), store(False, False, False, False)
UPON_THEIRS = store(True, True, False, False)


@everybody
@given(events)
@example([(ship(1.0), 0.02, "crm"), (OURS, 0.02, "crm"), (THEIRS, 0.02, "crm"), (UPON_THEIRS, 0.02, "crm")])
def test_records_alone_give_the_same_judgement_of_a_moment_that_is_past(
    site: Site, loaded: LoadedPlan, made: list[tuple[Event, float, str]]
) -> None:
    """But for what no record tells: of the shipping as this host knows it now."""
    told = told_by(made, loaded)
    told.shipped.clear()
    look = looked(site, loaded, told, timedelta(hours=1))
    untold = {"LOG_LATE", "LOG_GAP"}
    for one, said in look.pairs():
        if one.asset == "log" and told.logged:
            continue  # how far its log leads is told by this host's own notes, and by the hour's records
        assert (one.coverage, one.rpo, one.rto) == (said.coverage, said.rpo_now, said.rto), one.asset
        assert [f.code for f in said.findings if f.code not in (None, *untold)] == [
            p.trouble.name
            for p in sorted((*one.troubles, *one.near), key=lambda p: -p.level)
            if p.trouble.name not in untold
        ]
    care = [p.trouble.name for p in look.care["p"]]
    assert [f.code for f in look.report.plans[0].findings] == care


@settings(everybody, max_examples=examples(25))
@given(events, st.integers(1, 4), st.sampled_from([0.5, 2, 87600]))
@example([(fail(None, "disk full"), 0.02, "crm")], 1, 2)
@example(
    [
        (store(True, False, False, False), 5, "crm"),
        (test("FAIL", False, "latest", 60.0, "throwaway", "", None), 0.2, "crm"),
    ],
    1,
    87600,
)
def test_what_was_recorded_while_a_clock_was_ahead_is_seen_alike(
    site: Site, loaded: LoadedPlan, made: list[tuple[Event, float, str]], last: int, ahead: float
) -> None:
    """And set right since: no report of now leaves out what `status` goes by."""
    told = told_by(made, loaded)
    for record in told.past.records[-last:]:
        record["time"] = rfc3339(utc(record["time"]) + timedelta(hours=ahead))
    look = looked(site, loaded, told)
    for asked in (agreed, as_told, as_measured, as_exits, as_discovered, as_listed):
        asked(look)


@settings(everybody, max_examples=40)
@given(events, st.integers(0, 20), st.booleans())
def test_ledgers_that_lie_side_by_side_are_judged_as_one(
    site: Site, loaded: LoadedPlan, made: list[tuple[Event, float, str]], at: int, own: bool
) -> None:
    """One that was lost and brought back, whatever it ended with, says with the new one what one alone would have said;
    and whoever looks sees the same, whichever host's it is. What is not told there is a run that may have ended."""
    alone = looked(site, loaded, told_by(made, loaded))
    timed = as_timed(alone)
    told = told_by(made, loaded)
    records = told.past.records
    if own:
        beside, ours = records[:at], records[at:]
    else:
        beside = [r | {"host": "db2"} for r in records if r["kind"].startswith("restore_test.")]
        ours = [r for r in records if not r["kind"].startswith("restore_test.")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ccdr.evidence.history.fold.UNENDED", timedelta(0))
        look = looked(site, loaded, told, beside=(ours, beside, own))
    assert look.services.population() and not look.report.ledger.problems
    for asked in (agreed, as_told, as_measured, as_exits, as_discovered, as_listed):
        asked(look)
    for one, other in zip(look.found, alone.found, strict=True):
        assert of_status(one.troubles) == of_status(other.troubles)
        assert (one.coverage, one.rpo, one.rto, one.counting) == (other.coverage, other.rpo, other.rto, other.counting)
    assert of_status(look.care["p"]) == of_status(alone.care["p"])
    assert as_timed(look) == timed
