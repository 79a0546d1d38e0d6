"""Each run of a period is a row, once, and the sums add up."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.past import HOUR, MINUTE, NOW, Past, rows_of, written
from tests.support.sparse import sparse_record

from ccdr.model.errors import UsageProblem
from ccdr.model.values import rfc3339
from ccdr.telling.report import Period, html, reading
from ccdr.telling.report.evidence import Evidence


def test_every_run_is_a_row_whatever_became_of_it(past: Past) -> None:
    snapshot = past.backup(NOW - 9 * HOUR)
    past.backup(NOW - 8 * HOUR, failed="disk full", scheduled=False)
    past.test(NOW - 7 * HOUR, snapshot, "INCONCLUSIVE")
    past.test(NOW - 6 * HOUR, snapshot, "SKIPPED")
    past.wrote(
        NOW - 5 * HOUR,
        "missed",
        verb="backup",
        due=rfc3339(NOW - 5 * HOUR),
        first_due=rfc3339(NOW - 6 * HOUR),
        count=3,
        reason="asleep",
    )
    past.wrote(
        NOW - 5 * HOUR, "missed", asset=None, verb="prune", due=rfc3339(NOW - 5 * HOUR), count=1, reason="asleep"
    )
    past.wrote(NOW - 4 * HOUR, "backup.start", run="killed")
    past.wrote(NOW - 3 * HOUR, "restore.start", run="x")
    past.wrote(NOW - 3 * HOUR, "restore.end", run="x", result="REFUSED", reason="not empty")
    past.wrote(NOW - 2 * HOUR, "sandbox.reap", plan=None, asset=None, removed=["one"])
    report = past.report()
    told = [(r["what"], r["outcome"], r["count"], r["reason"]) for r in rows_of(report)[:-1]]
    assert told == [
        ("backup", "STORED", "1", ""),
        ("backup", "FAILED", "1", "disk full"),
        ("test", "INCONCLUSIVE", "1", "it broke"),
        ("test", "SKIPPED", "1", "it broke"),
        ("backup", "MISSED", "3", "asleep"),
        ("prune", "MISSED", "1", "asleep"),
        ("backup", "CRASHED", "1", ""),
        ("restore", "REFUSED", "1", "not empty"),
        ("sandbox.reap", "NOTED", "1", ""),
    ]
    assert report.tallies["p", "backup"] == {
        "STORED": 1,
        "FAILED": 1,
        "MISSED": 3,
        "CRASHED": 1,
        "started": 3,
        "due": None,
        "due_recorded": 4,
    }
    page = written(html(report))
    assert "disk full" in page and "not empty" in page and "asleep" in page


def test_a_run_that_is_at_work_is_no_crash(past: Past) -> None:
    services = past.site.services(past.clock)
    with services.state.run(past.clock) as run:
        past.wrote(NOW - MINUTE, "backup.start", run=run.id)
        assert [r["outcome"] for r in rows_of(past.report())[:-1]] == ["RUNNING"]
    assert [r["outcome"] for r in rows_of(past.report())[:-1]] == ["CRASHED"]


@pytest.mark.parametrize("ends", [True, False], ids=["ends", "crashes"])
def test_a_run_that_ended_while_the_ledger_was_read_is_no_crash(
    past: Past, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    services, really = past.site.services(past.clock), reading.read_verified
    with contextlib.ExitStack() as going:
        run = going.enter_context(services.state.run(past.clock))
        past.wrote(NOW - MINUTE, "backup.start", run=run.id)
        if not ends:
            going.close()  # it was dead before anybody looked

        def read(*args: Any) -> Any:
            found = really(*args)
            if ends:
                past.wrote(NOW, "backup.end", run=run.id, result="FAILED", reason="full", snapshot=None)
                going.close()
            return found

        monkeypatch.setattr(reading, "read_verified", read)
        (row, *_) = rows_of(past.report())
    assert row["outcome"] == ("RUNNING" if ends else "CRASHED")


# What the end of such a run says, where it went well and where not.
CHECKED = {"kind": "identical", "name": "identical", "status": "PASS"}
OUTCOMES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "backup": ({"result": "STORED", "snapshot": {}}, {"result": "FAILED"}),
    "restore_test": ({"verdict": "PASS", "snapshot": {}, "checks": [CHECKED]}, {"verdict": "FAIL"}),
    "prune": ({"result": "DONE"}, {"result": "FAILED"}),
    "missed": ({}, {}),
}
Made = list[tuple[str, int, int | None, bool, int]]
events = st.lists(
    st.tuples(
        st.sampled_from(sorted(OUTCOMES)),
        st.integers(0, 2000),  # minutes after the first
        st.one_of(st.none(), st.integers(0, 300)),  # how long it took; None: it crashed
        st.booleans(),  # did it end well?
        st.integers(1, 5),
    ),
    max_size=25,
)


def records_of(made: Made) -> list[tuple[dict[str, Any], datetime]]:
    found = []
    for number, (verb, at, took, well, count) in enumerate(made):
        begun = NOW + at * MINUTE
        asset = None if verb == "prune" else "a"
        base = {"host": "h", "actor": "x", "plan": "p", "asset": asset, "run": f"r{number}"}
        if verb == "missed":
            found.append(({**base, "kind": "missed", "verb": "backup", "count": count, "due": rfc3339(begun)}, begun))
            continue
        trigger = {"by": "run", "due": rfc3339(begun)} if count % 2 else {"by": "command"}
        found.append(({**base, "kind": f"{verb}.start", "trigger": trigger}, begun))
        if took is not None:
            ended = begun + took * MINUTE
            found.append(({**base, "kind": f"{verb}.end", **OUTCOMES[verb][not well]}, ended))
    found.sort(key=lambda entry: entry[1])
    return [({**record, "seq": seq, "time": rfc3339(when)}, when) for seq, (record, when) in enumerate(found, start=1)]


def taken(records: list[tuple[dict[str, Any], datetime]], start: datetime, end: datetime) -> Evidence:
    evidence = Evidence(Period(start, end, False))
    for record, _ in records:
        evidence.take(sparse_record(record))
    evidence.close(lambda *_: False)
    return evidence


@given(events, st.integers(1, 2400))
def test_two_periods_in_a_row_hold_each_run_once(made: Made, cut: int) -> None:
    records = records_of(made)
    first, last, middle = NOW, NOW + 3000 * MINUTE, NOW + cut * MINUTE
    both = taken(records, first, middle).runs + taken(records, middle, last).runs
    whole = taken(records, first, last).runs
    assert sorted((r.seq, r.outcome, r.count) for r in both) == [(r.seq, r.outcome, r.count) for r in whole]
    assert len(whole) == len(made)


@given(events)
def test_the_sums_add_up(made: Made) -> None:
    evidence = taken(records_of(made), NOW, NOW + 3000 * MINUTE)
    for (_, verb), tally in evidence.tallies().items():
        outcomes = sum(count for key, count in tally.items() if key not in ("due", "started", "MISSED"))
        scheduled = sum(r.verb == verb and r.by == "run" and r.outcome != "MISSED" for r in evidence.runs)
        assert tally["started"] == outcomes and tally["due"] == scheduled + tally["MISSED"]


def test_what_no_plan_names_any_more_is_shown_as_such(past: Past) -> None:
    past.fine()
    past.backup(NOW - HOUR, asset="crm", plan="gone")
    report = past.report()
    (old,) = [a for a in report.assets if a.plan == "gone"]
    assert not old.in_plan and old.state == "retired" and not old.findings and report.answer.word == "Yes"
    assert "no longer in a plan" in written(html(report))
    assert {p.plan: p.in_plan for p in report.plans} == {"p": True, "gone": False}


def test_only_the_plans_asked_for(past: Past) -> None:
    past.fine()
    past.backup(NOW - HOUR, asset="crm", plan="other")
    assert {r["plan"] for r in rows_of(past.report(named=("p",)))[:-1]} == {"p"}
    with pytest.raises(UsageProblem, match="no plan"):
        past.report(named=("p", "nowhere"))


def test_numbers_of_a_test_are_in_its_row(past: Past) -> None:
    past.fine()
    (row,) = [r for r in rows_of(past.report()) if r["what"] == "test"]
    assert (row["rto_achieved_s"], row["rto_basis"], row["checks"], row["checks_passed"]) == (
        "40.0",
        "throwaway",
        "1",
        "1",
    )
    assert row["seconds"] == "3.0" and row["selected"] == "latest"
