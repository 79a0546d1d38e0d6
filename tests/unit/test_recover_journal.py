"""The journal of a recovery: what was written before is read back, whatever stopped the writing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.sealing import a_key
from tests.support.wording import lines_with

from ccdr.host.state import State
from ccdr.jobs.recover import journal as journal_room
from ccdr.jobs.recover.journal import FORMAT, Away, Journal, Moment, Told, newest, read, require_sealed, this_moment
from ccdr.jobs.recover.outlook import left_before
from ccdr.jobs.recover.planned import Decision, Planned
from ccdr.jobs.recover.result import UNTIMED, RecoveryResult, StepResult
from ccdr.jobs.recover.states import Predicted
from ccdr.jobs.restore.request import RESTORED, RestoreResult
from ccdr.model.errors import CcdrError, OfBefore, WrittenByNewer
from ccdr.model.forks import Fork
from ccdr.model.values import CheckResult, Verdict, rfc3339
from ccdr.plans.targets import NewServer, Target
from ccdr.ports.log import RecoveryTarget

NOW = datetime(2026, 11, 24, 3, 12, tzinfo=UTC)
LEFT = Fork(2, 1, "0/5000028", NOW)
DECISION = Decision(
    "p",
    NOW,
    (
        Planned(
            "crm",
            "a" * 64,
            NOW,
            RecoveryTarget(time=NOW, position="0/5000028", skew=0.5, beyond=True, branch=1, left=LEFT),
            "PASS",
            1.5,
            Target(new_server=NewServer(directory=Path("/srv/crm"), start=("systemctl", "start", "crm"))),
            bytes=100,
            memory=200,
            predicted=Predicted(10, 5, 20, 3),
        ),
        Planned("web", "b" * 64, None, None, None, None, Target(server="postgresql://a@b/c"), ("crm",)),
    ),
    Predicted(60.0, 50.0, 70.0, 5, far=True),
    2.0,
    onto_source_server=True,
)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state")


def begun(state: State, run: str = "20261124T031200-aaaaaa") -> Journal:
    journal = Journal.begin(state, run, {"began": NOW.isoformat(), **DECISION.journaled}, a_key)
    journal.session(NOW, "alice")
    return journal


def test_what_was_decided_is_read_back_to_the_last_word(state: State) -> None:
    begun(state)
    told = newest(state, "p")
    assert told is not None and Decision.read(told) == DECISION


def test_each_asset_stands_where_it_was_last_heard_of_and_a_new_try_begins_anew(state: State) -> None:
    journal = begun(state)
    for stage in ("begun", "fetched", "naming"):
        journal.reached("crm", stage, NOW, 12.0, {"run": "one"} if stage == "begun" else {"inodes": [[1, 2]]})
    told = newest(state, None)
    assert told is not None and told.assets["crm"].stage == "naming"
    assert told.assets["crm"].facts["naming"] == {"inodes": [[1, 2]]} and told.assets["web"].stage is None
    journal.reached("crm", "begun", NOW, 13.0, {"run": "two"})
    told = read(told.directory)
    assert (told.assets["crm"].run, told.assets["crm"].stage) == ("two", "begun")
    assert "naming" not in told.assets["crm"].facts


def test_a_line_that_was_not_written_whole_says_nothing_and_is_gone_once_it_goes_on(state: State) -> None:
    journal = begun(state)
    journal.reached("crm", "begun", NOW, 1.0, {"run": "one"})
    told = newest(state, "p")
    assert told is not None
    path = told.directory / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"asset":"crm","stage":"nam')
    torn = read(told.directory)
    assert torn.assets["crm"].stage == "begun"
    Journal.again(torn, a_key).session(NOW, "bob")
    assert path.read_bytes().startswith(whole + b'{"session":')
    assert [json.loads(line) for line in path.read_bytes().splitlines()]


class Clock:
    """As the journal asks it: it stands where a test puts it."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def a_process(state: State, clock: Clock, wall: float, *, resumed: bool) -> None:
    """At work for ten seconds, from that second of the wall's clock on."""
    at = NOW + timedelta(seconds=wall)
    told = newest(state, "p")
    journal = (
        Journal.again(told, a_key, clock)
        if resumed and told
        else Journal.begin(state, "r", {"began": rfc3339(NOW), **DECISION.journaled}, a_key, clock)
    )
    worked = told.worked if told else 0.0
    journal.session(at, "alice")
    clock.seconds += 10
    journal.reached("crm", "begun", at + timedelta(seconds=10), worked + 10.0, {"run": "one"})


def now_(clock: Clock, wall: float) -> Moment:
    return this_moment(NOW + timedelta(seconds=wall), clock.seconds)


def test_time_at_work_and_time_between_are_counted_apart(state: State) -> None:
    clock = Clock()
    a_process(state, clock, 0, resumed=False)
    clock.seconds += 60
    told = newest(state, "p")
    assert told is not None and (told.worked, told.away_until(now_(clock, 70))) == (10.0, Away(60.0))
    a_process(state, clock, 70, resumed=True)
    clock.seconds += 5
    told = read(told.directory)
    assert (told.worked, told.away_until(now_(clock, 85))) == (20.0, Away(65.0))
    assert told.holder and told.holder.startswith("alice (process ")


@pytest.mark.parametrize("jump", [-86400, 86400], ids=["back", "ahead"])
def test_a_clock_that_jumped_between_two_processes_of_one_boot_changes_nothing(state: State, jump: int) -> None:
    clock = Clock()
    a_process(state, clock, 0, resumed=False)
    clock.seconds += 60
    a_process(state, clock, jump, resumed=True)
    told = newest(state, "p")
    assert told is not None and told.away_until(now_(clock, jump + 10)) == Away(60.0)


@pytest.mark.parametrize(
    ("wall", "away"), [(-86400, Away(0.0, unknown=True)), (70, Away(60.0)), (9, Away(0.0))], ids=["back", "on", "step"]
)
def test_across_a_start_of_the_machine_a_clock_that_was_set_back_leaves_it_unknown(
    state: State, monkeypatch: pytest.MonkeyPatch, wall: int, away: Away
) -> None:
    """The twins: it went on, or NTP put it right by a second."""
    clock = Clock()
    a_process(state, clock, 0, resumed=False)
    clock.seconds = 3.0
    monkeypatch.setattr(journal_room, "boot", lambda: "another start of the machine")
    told = newest(state, "p")
    assert told is not None and told.away_until(now_(clock, wall)) == away


def test_where_the_machine_tells_no_start_the_walls_clock_alone_counts(state: State) -> None:
    a_process(state, Clock(), 0, resumed=False)
    told = newest(state, "p")
    assert told is not None
    path = told.directory / "journal.jsonl"
    path.write_text(re.sub(r',"boot":"[0-9a-f]*"', "", path.read_text()))
    assert read(told.directory).away_until(Moment(NOW + timedelta(seconds=70), 5.0, "x")) == Away(60.0)
    path.write_text(re.sub(r',"mono":[0-9.]+', "", path.read_text(), count=1))
    with pytest.raises(CcdrError, match="not one that ccdr wrote"):  # which counts it in each line
        read(told.directory)


@pytest.mark.parametrize("untimed", [False, True], ids=["known", "unknown"])
def test_an_unknown_time_is_not_measured_and_told(untimed: bool) -> None:
    steps = {one.asset: StepResult(one, state="done") for one in DECISION.assets[:1]}
    result = RecoveryResult(DECISION, "r", 60.0, 60.0, steps, worked=10.0, untimed=untimed)
    result.conclude()
    rto = result.rto()
    if untimed:
        assert (rto.verdict, rto.achieved_s, rto.machine_s) == ("NOT_MEASURED", None, 10.0)
        assert result.found == [UNTIMED] and result.exit_code == 1
    else:
        assert (rto.verdict, rto.achieved_s, result.found, result.exit_code) == ("MET", 10.0, [], 0)


@pytest.mark.parametrize("status", [Verdict.INCONCLUSIVE, Verdict.PASS], ids=["broken", "healthy"])
def test_what_is_back_and_could_not_be_looked_at_says_so_and_what_looks_once_more(status: Verdict) -> None:
    """As where somebody ended the sandbox in which a check ran: all is there, and exit status 3 needs its reason."""
    restore = RestoreResult("p", "web", "r", result=RESTORED, checks=[CheckResult("rows", "rows", status, "", "")])
    steps = {"web": StepResult(DECISION.assets[1], state="done", restore=restore)}
    result = RecoveryResult(DECISION, "r", 60.0, 60.0, steps, worked=10.0)
    result.conclude()
    assert result.state == "done"
    if status is Verdict.PASS:
        assert (result.exit_code, result.why, result.next_step) == (0, [], None)
    else:
        assert (result.exit_code, result.why) == (3, ["a check of web is INCONCLUSIVE"])
        assert result.next_step is not None and "`ccdr recover check p` looks once more" in result.next_step


def test_the_newest_is_gone_on_with_and_of_the_plan_that_was_named(state: State) -> None:
    begun(state, "20261124T031200-aaaaaa")
    begun(state, "20261125T031200-aaaaaa")
    assert newest(state, "other") is None
    told = newest(state, "p")
    assert told is not None and told.run.startswith("20261125")


@pytest.mark.parametrize(("format_", "error"), [(FORMAT + 1, WrittenByNewer), (FORMAT - 1, OfBefore)])
def test_another_ccdrs_journal_is_told(state: State, format_: int, error: type[Exception]) -> None:
    begun(state)
    told = newest(state, "p")
    assert told is not None
    path = told.directory / "journal.jsonl"
    path.write_text(path.read_text().replace(f'"format":{FORMAT}', f'"format":{format_}', 1))
    with pytest.raises(error):
        read(told.directory)


def test_what_no_ccdr_wrote_is_an_error_and_no_traceback(state: State) -> None:
    begun(state)
    told = newest(state, "p")
    assert told is not None
    (told.directory / "journal.jsonl").write_text("[]\n")
    with pytest.raises(CcdrError):
        read(told.directory)


@pytest.mark.parametrize(
    "line",
    [
        '{"asset":"crm","stage":"done","at":"2026-11-24T03:12:00Z","elapsed_s":1}',
        '{"asset":"crm","at":"2026-11-24T03:12:00Z","elapsed_s":1}',
        '{"asset":"crm","stage":"begun","at":"2026-11-24T03:12:00Z","elapsed_s":1,"facts":[1]}',
        '{"ended":"done"}',
        "[]",
    ],
)
def test_a_line_that_was_edited_is_an_error_and_no_traceback(state: State, line: str) -> None:
    begun(state)
    told = newest(state, "p")
    assert told is not None
    path = told.directory / "journal.jsonl"
    whole = path.read_text("utf-8")
    assert read(told.directory).run == told.run
    path.write_text(f"{whole}{line}\n{whole.splitlines()[-1]}\n", "utf-8")
    with pytest.raises(CcdrError, match="is not one that ccdr wrote"):
        read(told.directory)


def some_lines(state: State) -> Told:
    journal = begun(state)
    journal.reached("crm", "begun", NOW, 1.0, {"run": "one"})
    Journal.again(read(journal.directory), a_key).reached("crm", "fetched", NOW, 2.0, {})
    return read(journal.directory)


NAMED = b'{"asset":"crm","stage":"named","at":"2026-11-24T03:12:00Z","elapsed_s":1,"facts":{}%s}\n'
ENDED_LINE = b'{"ended":"done","at":"2026-11-24T03:12:00Z","elapsed_s":1%s}\n'


@pytest.mark.parametrize(
    "forged",
    [
        lambda lines: [*lines, NAMED % b""],
        lambda lines: [*lines, NAMED % (b',"seal":"' + b"0" * 64 + b'"')],
        lambda lines: [*lines, ENDED_LINE % b""],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [*lines[:-2], lines[-1]],
        lambda lines: [*lines[:-2], lines[-1], lines[-2]],
        lambda lines: [*lines[:-1], lines[-1].replace(b"fetched", b"checked")],
        lambda lines: [*lines[:-1], lines[-1].replace(b'"elapsed_s":2.0', b'"elapsed_s":0.1')],
    ],
)
def test_what_nobody_with_the_repositorys_password_wrote_is_not_believed(
    state: State, forged: Callable[[list[bytes]], list[bytes]]
) -> None:
    """The twin: as it was written; and with a line less, which whoever is killed leaves, too."""
    told = some_lines(state)
    path = told.directory / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    require_sealed(told, a_key)
    path.write_bytes(b"".join(forged(lines)))
    with pytest.raises(CcdrError, match=r"is not believed: its line \d was not written there with"):
        require_sealed(told, a_key)
    path.write_bytes(b"".join(lines[:-1]))
    require_sealed(told, a_key)
    with pytest.raises(CcdrError, match="its line 1") as refused:
        require_sealed(told, lambda: b"another")
    assert str(refused.value.hint).startswith("was the password changed")


def test_a_journal_of_another_recovery_is_not_believed_in_its_place(state: State) -> None:
    told = some_lines(state)
    elsewhere = told.directory.rename(told.directory.with_name("20991231T000000-ffffff"))
    with pytest.raises(CcdrError, match="its line 1"):
        require_sealed(replace(told, directory=elsewhere), a_key)


@pytest.mark.parametrize("run", ["../../etc", "", "a/b", "a.b"])
def test_a_run_that_would_lead_elsewhere_is_none(state: State, run: str) -> None:
    """Directories are removed by such names."""
    journal = begun(state)
    journal.reached("crm", "begun", NOW, 1.0, {"run": run})
    with pytest.raises(CcdrError, match="is not one that ccdr wrote"):
        read(journal.directory)


@pytest.mark.parametrize(("kind", "bears"), [("directory", "r-2"), ("new_server", "r-1")], ids=["restore", "recovery"])
def test_a_new_recovery_tells_of_one_that_is_unfinished_and_what_it_leaves_of_it(
    state: State, tmp_path: Path, kind: str, bears: str, wording: SnapshotAssertion
) -> None:
    """The twins: none was begun, or it was brought to its end."""
    assert left_before(state, "p") == []
    to = tmp_path / "crm"
    where = Target(directory=to) if kind == "directory" else Target(new_server=NewServer(directory=to))
    crm = replace(DECISION.assets[0], where=where)
    decision = replace(DECISION, assets=(crm, *DECISION.assets[1:]))
    journal = Journal.begin(state, "r-1", {"began": rfc3339(NOW), **decision.journaled}, a_key)
    journal.session(NOW, "a")
    (bare,) = left_before(state, "p")
    assert lines_with(bare, "2026-11-24T03:12:00Z") == wording
    journal.reached("crm", "begun", NOW, 1.0, {"run": "r-2"})
    (left := tmp_path / f".crm.ccdr-restore-{bears}").mkdir()
    (told,) = left_before(state, "p")
    assert f"a new one leaves {left} of it behind" in told
    journal.ended("done", NOW, 2.0)
    assert left_before(state, "p") == []
