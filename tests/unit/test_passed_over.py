"""Records that nothing can be taken from change no judgement, and are told by whoever looks: of a later ccdr, of none, and
whole lines that were changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.harness import Site
from tests.records import body_of
from tests.unit.test_verification import World

from ccdr.acknowledged import exit_of
from ccdr.ledger import verify
from ccdr.records import written
from ccdr.trouble import Problem, Trouble


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Its newest restore test is FAIL."""
    site = Site(tmp_path)
    site.recordings(tmp_path / "spool")
    made = World(site)
    made.lived()
    return made


def whole(kind: str, run: str = "x", asset: str | None = "recordings", **body: Any) -> dict[str, Any]:
    """A record of today's as it is written; what `body` changes of it is not looked at."""
    return {**written(kind, "p", asset or "recordings", run, body_of(kind)), "asset": asset, **body}


def passed(**body: Any) -> dict[str, Any]:
    made = whole("restore_test.end", verdict="PASS", reason=None, recovery=None, damaged=False, findings=[])
    snapshot = {**made["snapshot"], "verdict": "PASS", "selected": "latest"}
    checks = [{**made["checks"][0], "status": "PASS"}]
    return {**made, "snapshot": snapshot, "checks": checks, **body}


def looked(world: World) -> dict[str, Any]:
    """What each command says of it."""
    status, report = world.status(), world.site.run("report")
    alone, live = (world.site.run("ledger", "verify", *where) for where in ([str(world.site.state / "ledger")], []))
    (plan,) = status.json["plans"]
    (asset,) = plan["assets"]
    troubles = [t["code"] for t in (*asset["troubles"], *plan["troubles"])]
    return {
        "status": status.code, "report": report.code, "alone": alone.code, "live": live.code,
        "codes": {*troubles, *(f["code"] for f in report.json["findings"])},
        "of ledger": status.json["lineage"]["problems"], "word": report.json["answer"]["word"],
        "failed": "TEST_FAILED" in troubles, "problems": live.json["problems"], "exported": alone.json["problems"],
    }  # fmt: skip


def test_what_a_ccdr_wrote_is_taken_and_nothing_else_is_said(world: World) -> None:
    """The healthy twin: the same record as it should be takes the failure back."""
    world.ledger._append(passed())
    found = looked(world)
    assert not found["failed"] and (found["alone"], found["live"]) == (0, 0)
    assert not {"RECORDS_NEWER", "RECORDS_WRONG"} & found["codes"] and found["of ledger"] == []


SENSELESS: dict[str, Callable[[], dict[str, Any]]] = {
    "of no asset": lambda: passed(asset=None),
    "of no plan": lambda: passed(plan=None),
    "of no run": lambda: passed(run=None),
    "skipped, and yet it passed something": lambda: passed(verdict="SKIPPED"),
    "passed, and what it tested failed": lambda: passed(snapshot={**passed()["snapshot"], "verdict": "FAIL"}),
    "passed, and a check of it failed": lambda: passed(checks=[{**passed()["checks"][0], "status": "FAIL"}]),
    "passed without a snapshot": lambda: passed(snapshot=None),
    "a verdict that there is none of": lambda: passed(verdict="PASSED"),
    "a verdict on the snapshot that there is none of": lambda: passed(
        snapshot={**passed()["snapshot"], "verdict": "GOOD"}
    ),
    "stored without a snapshot": lambda: whole("backup.end", result="STORED", snapshot=None),
}


@pytest.mark.parametrize("what", SENSELESS)
def test_a_record_that_makes_no_sense_changes_nothing_and_is_told(world: World, what: str) -> None:
    world.ledger._append(SENSELESS[what]())
    found = looked(world)
    assert found["failed"], "it took nothing back"
    assert found["status"] == found["report"] == found["alone"] == found["live"] == 1
    assert "RECORDS_WRONG" in found["codes"] and found["word"] == "Not proven"
    assert any("no ccdr wrote it so" in said for said in found["exported"])
    done = world.site.run("ack", "RECORDS_WRONG", "p", "--until", "1d", "--why", "x")
    assert done.code == 2, "it may be that the evidence was changed"


def test_an_older_record_with_a_verdict_that_there_is_none_of_is_told_too(world: World) -> None:
    world.ledger._append(passed(version=2, verdict="PASSED"))
    found = looked(world)
    assert found["failed"] and (found["status"], found["report"], found["live"]) == (1, 1, 1)
    assert "RECORDS_WRONG" in found["codes"] and "cannot be understood" in found["problems"][0]


@pytest.mark.parametrize("to", [{"asset": "other"}, {"plan": "q"}, {"kind": "backup.end", "result": "FAILED"}])
def test_an_end_of_another_asset_plan_or_kind_than_its_start_is_told(world: World, to: dict[str, Any]) -> None:
    world.ledger._append(whole("restore_test.start", run="y"))
    end = whole("backup.end", run="y", reason="-", snapshot=None) if "kind" in to else passed(run="y")
    world.ledger._append({**end, **to})
    found = looked(world)
    assert found["failed"] and found["status"] == found["report"] == found["alone"] == found["live"] == 1
    assert any("ends a run that began as another" in said for said in found["exported"])
    world.ledger._append(passed(run="y"))  # the healthy twin: its own end
    assert not looked(world)["failed"]


NEWER: dict[str, dict[str, Any]] = {
    "a later version": {"version": 99},
    "a kind that is not known": {"kind": "restore_trial.end"},
    "another plan's": {"version": 99, "plan": "q"},
    "the host's": {"kind": "ledger.sealed", "plan": None, "asset": None, "run": None},
}


@pytest.mark.parametrize("what", NEWER)
def test_what_a_later_ccdr_wrote_is_told_and_proves_nothing(world: World, what: str) -> None:
    world.ledger._append(passed())
    assert looked(world)["word"].startswith("Yes") or looked(world)["word"] == "No"
    before = looked(world)
    world.ledger._append({**passed(), **NEWER[what]})
    found = looked(world)
    assert (found["alone"], found["live"]) == (3, 3), "the chain holds it"
    assert found["status"] == (before["status"] or 3) and found["report"] == (before["report"] or 3)
    assert "RECORDS_NEWER" in found["codes"] or any("later ccdr" in said for said in found["of ledger"])


def test_records_of_a_later_ccdr_alone_are_no_finding() -> None:
    newer, wrong = Problem(Trouble.RECORDS_NEWER, "-"), Problem(Trouble.RECORDS_WRONG, "-")
    assert [exit_of(some) for some in ([], [newer], [wrong], [newer, wrong])] == [0, 3, 1, 1]


def test_a_run_that_a_later_ccdr_has_ended_did_not_crash(world: World) -> None:
    world.ledger._append(whole("restore_test.start", run="y"))
    assert any("crashed" in p for p in world.status().json["plans"][0]["assets"][0]["problems"])
    world.ledger._append({**passed(), "run": "y", "version": 99})
    assert not any("crashed" in p for p in world.status().json["plans"][0]["assets"][0]["problems"])


# --- the last line ------------------------------------------------------------------------------------------


def last_line(world: World, change: Callable[[bytes], bytes]) -> None:
    (segment,) = (world.site.state / "ledger").glob("*.jsonl")
    *lines, last = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines) + change(last))


def aside(world: World) -> dict[str, Any]:
    (record,) = world.site.records("ledger.recovered")
    return record


def test_a_changed_byte_of_the_newest_line_is_told_before_and_after_it_is_set_aside(world: World) -> None:
    last_line(world, lambda line: b"[" + line[1:])
    found = looked(world)
    assert found["status"] == found["report"] == found["alone"] == found["live"] == 1
    assert any("had been changed" in said for said in found["of ledger"])
    world.ledger._append(passed())
    assert aside(world)["spoilt"] is True and (world.site.state / "ledger" / aside(world)["file"]).exists()
    found = looked(world)
    assert found["status"] == found["report"] == found["alone"] == found["live"] == 1
    assert any("a whole line that had been changed" in said for said in found["exported"])
    assert any("had been changed" in said for said in found["of ledger"]) and found["word"] == "Not proven"


@pytest.mark.parametrize(
    "torn",
    [
        lambda line: line[:-2],
        lambda line: line[:40],
        lambda line: b"\0" * 60 + line[60:],
        lambda line: b"\0" * len(line),
    ],
    ids=["without its last byte", "cut short", "its last page kept", "zeros"],
)
def test_what_a_crash_leaves_of_a_line_is_no_finding(world: World, torn: Callable[[bytes], bytes]) -> None:
    """The healthy twin, also where a power cut kept a line's last page and lost an earlier one."""
    last_line(world, torn)
    assert world.status().json["lineage"]["problems"] == []
    world.ledger._append(passed())
    assert aside(world)["spoilt"] is False
    found = looked(world)
    assert (found["alone"], found["live"]) == (0, 0) and found["of ledger"] == []
    assert verify(world.site.state / "ledger").ok
