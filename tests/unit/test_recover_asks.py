"""What only a person can say is asked at a terminal, and nowhere else."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import click
import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.wording import lines_with

from ccdr.cli import recover, recover_asks, recover_told
from ccdr.jobs.recover import outlook as looking
from ccdr.jobs.recover.request import Answer, Question, RecoverRequest, Undecided
from ccdr.model.answers import NO_WORDS
from ccdr.model.errors import CcdrError

ANY: Any = None
REPOINTED = [
    "in plans/p.yaml, crm: connection.host: /run/postgresql → /srv/crm/run",
    "    mv -T /srv/rec/var/rec /var/rec",
]
ANSWERS = tuple(Answer(f"--timeline crm={n}", f"takes timeline {n}") for n in (1, 2))


@pytest.fixture
def failed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan of which nobody knows which timeline is meant until it is said."""

    def outlook(_: Any, request: RecoverRequest, *__: Any) -> str:
        if "crm" not in request.timelines:
            raise Undecided([Question("crm", "its source failed over", ANSWERS)])
        return f"timeline {request.timelines['crm']}"

    monkeypatch.setattr(looking, "outlook", outlook)
    monkeypatch.setattr(recover_asks, "progress", nullcontext)


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, terminal: bool, says: Any = None) -> None:
    def prompt(*_: Any, **asked: Any) -> int:
        assert asked["type"].max == 2
        if says is None:
            raise click.Abort
        return int(says)

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: terminal))
    monkeypatch.setattr(click, "prompt", prompt)


@pytest.mark.usefixtures("failed_over")
def test_at_a_terminal_it_is_asked_and_looked_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_a_terminal(monkeypatch, True, says=2)
    found, request = recover_asks.looked_ahead(ANY, RecoverRequest(), ANY)
    assert str(found) == "timeline 2" and request.timelines == {"crm": 2}
    said = capsys.readouterr().err
    assert "its source failed over" in said and "2  takes timeline 2  (--timeline crm=2)" in said


@pytest.mark.usefixtures("failed_over")
def test_without_a_terminal_and_without_an_answer_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_terminal(monkeypatch, False)
    with pytest.raises(Undecided):
        recover_asks.looked_ahead(ANY, RecoverRequest(), ANY)
    at_a_terminal(monkeypatch, True)
    with pytest.raises(CcdrError, match="nothing was begun"):
        recover_asks.looked_ahead(ANY, RecoverRequest(), ANY)


def brought(restore: Any, notes: list[str], spare_of: str | None = None) -> Any:
    from ccdr.jobs.incidents import Told
    from ccdr.ports.new_server import StartLines

    where = SimpleNamespace(shown="/srv/crm")
    step = SimpleNamespace(
        planned=SimpleNamespace(where=where, asset="crm", spare_of=spare_of), state="done", before=False, reason=None, hint=None, checks=[],
        start=StartLines(("systemctl start it",), ("docker run it",), ("mariadb < /srv/crm/memory.sql",)), restore=restore,
    )  # fmt: skip
    return SimpleNamespace(
        found=[], state="done", decision=SimpleNamespace(plan="p", predicted=None), steps={"crm": step}, left_behind=[],
        findings=[], notes=notes, rto=lambda: SimpleNamespace(verdict="MET"), elapsed=60.0, waited=0.0, away=0.0, untimed=False, rto_s=600.0,
        hint=None, record=None, then_red=[], exit_code=0, why=[], repoints=REPOINTED, rpo=lambda: SimpleNamespace(verdict="MET"), rpo_s=0.0,
        incident=Told(),
    )  # fmt: skip


def test_what_one_should_know_of_an_asset_is_told_at_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Under it, once; how it is filled stands after how it is started."""
    notes = ["roles come back without their passwords", "2 MEMORY tables (hopper, live_agent) will be empty"]
    restore = SimpleNamespace(notes=notes, left_behind=[], checks=[], words=NO_WORDS, run="r", exit_code=0)
    recover_told.tell_result(brought(restore, [f"crm: {notes[0]}", "other: not this one"]))
    said = capsys.readouterr().out
    assert all(said.count(f"      note: {note}\n") == 1 for note in notes) and "not this one" not in said
    assert said.index("docker run it") < said.index("mariadb < /srv/crm/memory.sql") < said.index("note: roles")
    recover_told.tell_result(brought(None, [f"crm: {notes[1]}"]))
    assert f"note: {notes[1]}" in capsys.readouterr().out


def test_what_the_plan_says_then_is_told_and_what_need_not_be_started(
    capsys: pytest.CaptureFixture[str], wording: SnapshotAssertion
) -> None:
    recover_told.tell_result(brought(None, []))
    said = capsys.readouterr().out
    assert lines_with(said, "→ /srv/crm/run") == wording
    assert "\n      mv -T /srv/rec/var/rec /var/rec\n" in said and "a spare" not in said
    recover_told.tell_result(brought(None, [], spare_of="crm-server"))
    said = capsys.readouterr().out
    assert said.index("a spare: crm-server has the same data") < said.index("docker run it")


def test_what_looking_at_a_target_has_found_is_told_with_the_outlook() -> None:
    from ccdr.jobs.recover.states import RecoveryOutlook

    bare = RecoveryOutlook("p", None, (), None, None, notes=("crm: known",))
    assert recover._with_notes(bare, ["crm: known", "crm: new", "crm: new"]).notes == ("crm: known", "crm: new")
