"""Records that nothing can be taken from change no judgement, and are told by whoever looks: of another version, of none, and
whole lines that were changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from tests.support.records import answered, body_of, record_in, written
from tests.support.verified import World

from ccdr.evidence.acknowledged import exit_of
from ccdr.evidence.ledger.verification import verify
from ccdr.evidence.lineage.comparison import answer_for_spoilt, keep
from ccdr.evidence.records.statements import STATEMENT
from ccdr.jobs.attest import troubles
from ccdr.jobs.daily_verification import compare, verify_now
from ccdr.model.errors import UsageProblem
from ccdr.model.trouble import Problem, Trouble


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
    assert not {"RECORDS_UNKNOWN", "RECORDS_WRONG"} & found["codes"] and found["of ledger"] == []


OF_ANOTHER = {"ledger": "f" * 32, "seq": 3, "host": "db2", "until": "2026-11-24T12:00:00Z", "ours": False}

SENSELESS: dict[str, Callable[[], dict[str, Any]]] = {
    "of no asset": lambda: passed(asset=None),
    "of no plan": lambda: passed(plan=None),
    "of no run": lambda: passed(run=None),
    "skipped, and yet it passed something": lambda: passed(verdict="SKIPPED"),
    "passed, and what it tested failed": lambda: passed(snapshot={**passed()["snapshot"], "verdict": "FAIL"}),
    "passed, and a check of it failed": lambda: passed(checks=[{**passed()["checks"][0], "status": "FAIL"}]),
    "passed without a snapshot": lambda: passed(snapshot=None),
    "passed without a check": lambda: passed(checks=[]),
    "passed, and a check was skipped": lambda: passed(checks=[{**passed()["checks"][0], "status": "SKIPPED"}]),
    "a verdict that there is none of": lambda: passed(verdict="PASSED"),
    "a verdict on the snapshot that there is none of": lambda: passed(
        snapshot={**passed()["snapshot"], "verdict": "GOOD"}
    ),
    "stored without a snapshot": lambda: whole("backup.end", result="STORED", snapshot=None),
    "a part of fewer": lambda: whole("check.end", asset=None, result="CLEAN", part=7, parts=1),
    "it says whose it is": lambda: passed(told_by=OF_ANOTHER),
    "it says so, and not whose": lambda: passed(told_by={}),
    "it says that it is not read": lambda: passed(passed_over="unknown"),
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


UNKNOWN: dict[str, dict[str, Any]] = {
    "of before the first release": {"version": 3},
    "a later version": {"version": 99},
    "a kind that is not known": {"kind": "restore_trial.end"},
    "another plan's": {"version": 99, "plan": "q"},
    "the host's": {"kind": "ledger.sealed", "plan": None, "asset": None, "run": None},
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_another_version_wrote_is_told_and_proves_nothing(world: World, what: str) -> None:
    world.ledger._append(passed())
    assert looked(world)["word"].startswith("Yes") or looked(world)["word"] == "No"
    before = looked(world)
    world.ledger._append({**passed(), **UNKNOWN[what]})
    found = looked(world)
    assert (found["alone"], found["live"]) == (3, 3), "the chain holds it"
    assert found["status"] == (before["status"] or 3) and found["report"] == (before["report"] or 3)
    assert "RECORDS_UNKNOWN" in found["codes"] or any("does not read" in said for said in found["of ledger"])


def test_records_of_a_later_ccdr_alone_are_no_finding() -> None:
    newer, wrong = Problem(Trouble.RECORDS_UNKNOWN, "-"), Problem(Trouble.RECORDS_WRONG, "-")
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
    assert any("changed a line of the ledger" in said for said in found["of ledger"])
    world.ledger._append(passed())
    assert aside(world)["spoilt"] is True and (world.site.state / "ledger" / aside(world)["file"]).exists()
    found = looked(world)
    assert found["status"] == found["report"] == found["alone"] == found["live"] == 1
    assert any("a whole line that had been changed" in said for said in found["exported"])
    assert any("changed a line of the ledger" in said for said in found["of ledger"]) and found["word"] == "Not proven"


@pytest.mark.parametrize("set_aside", [False, True], ids=["at once", "once it was set aside"])
def test_somebody_may_answer_for_a_line_that_was_changed_and_reports_go_on_telling(
    world: World, set_aside: bool
) -> None:
    """Nobody can tell a bad disk from a bad hand: the bytes stay, and who has answered for it, and when."""
    keep(world.services.state, world.services.ledger)  # as each run does: it knows the line as it was
    last_line(world, lambda line: b"[" + line[1:])
    if set_aside:
        world.ledger._append(whole("restore_test.start", run="y"))
    found = looked(world)
    assert found["status"] == found["report"] == found["live"] == 1 and found["word"] == "Not proven"
    for args in (("--until", "1d"), ("--why", " "), ()):
        assert world.site.run("ack", "LEDGER_SPOILT", *args).code == 2, "a reason is needed"
    done = world.site.run("ack", "LEDGER_SPOILT", "--why", "the disk of this host is bad, OPS-7")
    (record,) = world.site.records("answer.ledger")
    kept = aside(world)
    assert done.json["acknowledged"][0]["records"] == record["about"]["spoilt"] == [kept["seq"]]
    assert record["about"]["ledgers"] == []
    assert "OPS-7" not in json.dumps(record)
    after = looked(world)
    assert after["of ledger"] == [] and (after["alone"], after["live"]) == (0, 0)
    assert not {"LEDGER_SPOILT", "LEDGER_BROKEN"} & after["codes"]
    told = world.site.run("report").json["ledger"]["lost_before"]
    assert any(f"record {kept['seq']} of the ledger, set aside in {kept['file']}" in said for said in told), told
    line = (world.site.state / "ledger" / kept["file"]).read_bytes()
    assert line.startswith(b"[") and sha256(line).hexdigest() == kept["sha256"], "the proof is kept"
    assert any("somebody answers for it" in note for note in verify(world.site.state / "ledger").notes)
    assert world.site.run("ack", "LEDGER_SPOILT", "--why", "again").code == 2, "there is none any more"
    last_line(world, lambda line: b"[" + line[1:])
    assert looked(world)["status"] == 1, "the next one is another one"


def test_nothing_else_that_was_changed_is_answered_for_with_it(world: World) -> None:
    """A line that is still a record, another before it; and who answers beforehand has seen nothing."""
    keep(world.services.state, world.services.ledger)
    assert world.site.run("ack", "LEDGER_SPOILT", "--why", "x").code == 2, "no line was changed"
    forged = answered([], list(range(1, 99)))
    record_in(world.ledger, STATEMENT, plan=None, asset=None, run=None, body=forged)
    world.ledger._append(passed())
    last_line(world, lambda line: b"[" + line[1:])
    world.ledger._append(whole("restore_test.start", run="y"))
    assert looked(world)["live"] == 1
    assert world.site.run("ack", "LEDGER_SPOILT", "--why", "x").code == 0 and looked(world)["live"] == 0
    (segment,) = (world.site.state / "ledger").glob("*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join([lines[0], lines[1].replace(b'"host":"', b'"host":"x', 1), *lines[2:]]))
    found = looked(world)
    assert found["live"] == found["alone"] == 1 and any("prev does not match" in said for said in found["problems"])


def rewritten(world: World, old: bytes, new: bytes) -> None:
    """Somebody changes a record, chains all after it anew, and garbles the last line, as a bad sector would."""
    (segment,) = (world.site.state / "ledger").glob("*.jsonl")
    before, made = "0" * 64, []
    for line in segment.read_bytes().splitlines(keepends=True):
        body = json.loads(line.replace(old, new)) | {"prev": before}
        made.append(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        before = sha256(made[-1]).hexdigest()
    assert b"".join(made) == segment.read_bytes() or old != new
    segment.write_bytes(b"".join(made[:-1]) + b"[" + made[-1][1:])


@pytest.mark.parametrize("verdict", [b'"FAIL"', b'"INCONCLUSIVE"'], ids=["the healthy twin", "rewritten"])
@pytest.mark.parametrize("by", ["the state's mark", "the last verification"])
def test_an_answer_for_one_line_hides_no_rewrite_of_those_before_it(world: World, by: str, verdict: bytes) -> None:
    """What is known of the line that is lost binds the one before it, too."""
    if by == "the state's mark":
        world.ledger._append(whole("restore_test.start", run="y"))
        keep(world.services.state, world.services.ledger)
    else:
        verify_now(world.services)
        (world.site.state / "chain.json").unlink()
    rewritten(world, b'"FAIL"', verdict)
    services = world.services
    answer_for_spoilt(services.state, services.ledger, "a bad sector")
    problems = [*compare(services).problems, *(p.text for p in troubles(services.lineage()))]
    assert any("rewritten" in said for said in problems) is (verdict != b'"FAIL"'), problems


def test_that_a_line_was_set_aside_counts_only_where_its_bytes_are_there(world: World) -> None:
    """A record of it can be forged in any record's place. The healthy twin: with the file it is answered for."""
    last_line(world, lambda line: b"[" + line[1:])
    world.ledger._append(whole("restore_test.start", run="y"))
    kept = world.site.state / "ledger" / aside(world)["file"]
    line = kept.read_bytes()
    for there in (None, line + b"x"):
        kept.unlink(missing_ok=True)
        if there is not None:
            kept.write_bytes(there)
        with pytest.raises(UsageProblem, match="nothing shows that there was a line"):
            answer_for_spoilt(world.services.state, world.ledger, "x")
        found = verify(world.site.state / "ledger")
        assert any("is not there as it was set aside" in said for said in found.problems)
    answer = answered([], [aside(world)["seq"]])
    record_in(world.ledger, STATEMENT, plan=None, asset=None, run=None, body=answer)
    assert not verify(world.site.state / "ledger").ok, "nor by a forged answer"
    kept.write_bytes(line)
    assert verify(world.site.state / "ledger").ok


def page_lost(line: bytes, at: int) -> bytes:
    """Of a line that begins so far into its segment: the first page is lost, the last one kept."""
    size = 512 - at % 512
    assert size < len(line)
    return b"\0" * size + line[size:]


def begins_at(world: World) -> int:
    (segment,) = (world.site.state / "ledger").glob("*.jsonl")
    return segment.read_bytes()[:-1].rfind(b"\n") + 1


@pytest.mark.parametrize("how", ["one byte", "from its beginning", "up to its end"])
def test_a_zero_in_a_line_is_no_lost_page(world: World, how: str) -> None:
    at = begins_at(world)
    size = 512 - at % 512

    def change(line: bytes) -> bytes:
        if how == "one byte":
            return line[:3] + b"\0" + line[4:]
        if how == "from its beginning":
            return b"\0" * (size - 1) + line[size - 1 :]
        return line[: size + 1] + b"\0" * (len(line) - size - 2) + b"\n"

    last_line(world, change)
    assert world.ledger.spoilt()
    world.ledger._append(passed())
    assert aside(world)["spoilt"] is True


@pytest.mark.parametrize(
    "torn",
    [
        lambda line, _: line[:-2],
        lambda line, _: line[:40],
        page_lost,
        lambda line, _: b"\0" * len(line),
    ],
    ids=["without its last byte", "cut short", "its last page kept", "zeros"],
)
def test_what_a_crash_leaves_of_a_line_is_no_finding(world: World, torn: Callable[[bytes, int], bytes]) -> None:
    """The healthy twin, also where a power cut kept a line's last page and lost an earlier one."""
    at = begins_at(world)
    last_line(world, lambda line: torn(line, at))
    assert world.status().json["lineage"]["problems"] == []
    world.ledger._append(passed())
    assert aside(world)["spoilt"] is False
    found = looked(world)
    assert (found["alone"], found["live"]) == (0, 0) and found["of ledger"] == []
    assert verify(world.site.state / "ledger").ok
