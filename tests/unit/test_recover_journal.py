"""The journal of a recovery: what was written before is read back, whatever stopped the writing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ccdr.host.state import State
from ccdr.jobs.recover.journal import FORMAT, Journal, newest, read
from ccdr.jobs.recover.left_before import left_before
from ccdr.jobs.recover.planned import Decision, Planned
from ccdr.jobs.recover.states import Predicted
from ccdr.model.errors import CcdrError, UsageProblem, WrittenByNewer
from ccdr.model.forks import Fork
from ccdr.model.values import rfc3339
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
    journal = Journal.begin(state, run, {"began": NOW.isoformat(), **DECISION.as_json()})
    journal.session(NOW, "alice")
    return journal


def test_what_was_decided_is_read_back_to_the_last_word(state: State) -> None:
    begun(state)
    told = newest(state, "p")
    assert told is not None and Decision.read(told.decided) == DECISION


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
    Journal.again(torn).session(NOW, "bob")
    assert path.read_bytes().startswith(whole + b'{"session":')
    assert [json.loads(line) for line in path.read_bytes().splitlines()]


def test_time_at_work_and_time_between_are_counted_apart(state: State) -> None:
    journal = begun(state)
    journal.reached("crm", "begun", NOW + timedelta(seconds=10), 10.0, {"run": "one"})
    told = newest(state, "p")
    assert told is not None
    assert (told.worked, told.away_until(NOW + timedelta(seconds=100))) == (10.0, 90.0)
    journal.session(NOW + timedelta(seconds=70), "bob")
    journal.reached("crm", "fetched", NOW + timedelta(seconds=75), 15.0, {})
    told = read(told.directory)
    assert (told.worked, told.away_until(NOW + timedelta(seconds=75))) == (15.0, 60.0)
    assert told.holder and told.holder.startswith("bob (process ")
    assert told.away_until(NOW - timedelta(days=1)) == 60.0, "a clock that was set back"


def test_the_newest_is_gone_on_with_and_of_the_plan_that_was_named(state: State) -> None:
    begun(state, "20261124T031200-aaaaaa")
    begun(state, "20261125T031200-aaaaaa")
    assert newest(state, "other") is None
    told = newest(state, "p")
    assert told is not None and told.run.startswith("20261125")


@pytest.mark.parametrize(("format_", "error"), [(FORMAT + 1, WrittenByNewer), (FORMAT - 1, UsageProblem)])
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


def test_a_new_recovery_tells_of_one_that_is_unfinished_and_what_it_leaves_of_it(state: State, tmp_path: Path) -> None:
    """The twins: none was begun, or it was brought to its end."""
    assert left_before(state, "p") == []
    to = tmp_path / "crm"
    crm = replace(DECISION.assets[0], where=Target(directory=to))
    decision = replace(DECISION, assets=(crm, *DECISION.assets[1:]))
    journal = Journal.begin(state, "r-1", {"began": rfc3339(NOW), **decision.as_json()})
    journal.session(NOW, "a")
    (bare,) = left_before(state, "p")
    assert "of 2026-11-24T03:12:00Z is unfinished: `ccdr recover --resume p` goes on" in bare
    journal.reached("crm", "begun", NOW, 1.0, {"run": "r-2"})
    (left := tmp_path / ".crm.ccdr-restore-r-2").mkdir()
    (told,) = left_before(state, "p")
    assert f"a new one leaves {left} of it behind" in told
    journal.ended("done", NOW, 2.0)
    assert left_before(state, "p") == []
