"""A plan without a runbook has one: from "is it really dead" to "all clear", by the plan's own assets and targets."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import get_args

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site
from tests.support.runbooks import ByHand, runbook
from tests.support.wording import lines_with

from ccdr.jobs.runbook.runners import asked_of
from ccdr.model.errors import UsageProblem
from ccdr.plans.runbook import Command, Manual, Phase, Sql
from ccdr.plans.runbook_made import runbook_of

ASSETS = """
crm:
  engine: postgres
  method: physical
  connection: {host: db1.example, port: 5433, user: ccdr, database: crm}
  log_shipping: {}
rec: {engine: files, paths: [/srv/x]}
"""
TARGETS = """\
targets:
  crm: {new_server: {directory: /srv/new/crm, port: 5499}}
  rec: {directory: /srv/new/rec}
"""


def test_it_goes_from_triage_to_all_clear_and_names_old_and_new(site: Site, wording: SnapshotAssertion) -> None:
    site.plan(ASSETS, extra=TARGETS)
    made = runbook_of(site.loaded().plan)
    assert made.made and list(dict.fromkeys(step.phase for step in made.steps.values())) == list(get_args(Phase))
    run = ByHand(made)
    order = run.standing.order
    assert order.index("store-spool") < order.index("pause") < order.index("recover") < order.index("check")
    assert order.index("check") < order.index("repoint") < order.index("resume") < order.index("protect")
    said = "\n".join(line for step in made.steps.values() if isinstance(step, Manual) for line in step.instructions)
    assert lines_with(said, "db1.example port 5433", "127.0.0.1 port 5499") == wording and "/srv/x" in said
    assert all(s.argv[0] == "ccdr" and s.repeat for s in made.steps.values() if isinstance(s, Command))


def test_where_it_lives_nothing_is_done(site: Site) -> None:
    site.plan(ASSETS, extra=TARGETS)
    run = ByHand(runbook_of(site.loaded().plan)).done("look").done("dead", answer="alive")
    assert run.standing.ready == ["stand-down"]
    standing = run.done("stand-down", answer="done").standing
    assert standing.complete and {"fence", "pause", "recover", "all-clear"} <= set(standing.of_state("not_taken"))  # type: ignore[arg-type]


def test_what_has_no_target_is_brought_back_below_a_directory(site: Site) -> None:
    site.plan(ASSETS)
    assert str(runbook_of(site.loaded().plan).steps["recover"].under) == "/srv/recovered"  # type: ignore[union-attr]
    site.plan(ASSETS, extra=TARGETS)
    assert runbook_of(site.loaded().plan).steps["recover"].under is None  # type: ignore[union-attr]


def test_the_plans_own_is_taken_where_it_states_one(site: Site) -> None:
    site.plan(ASSETS, extra="runbook:\n  a: {kind: confirm, question: q}\n")
    assert list(runbook_of(site.loaded().plan).steps) == ["a"]


def test_a_question_by_sql_goes_to_the_source_the_target_or_a_server_of_its_own(site: Site) -> None:
    site.plan(ASSETS, extra=TARGETS)
    loaded = site.loaded()

    def asked(of: str) -> tuple[str, int]:
        step = runbook(f"a: {{kind: sql, {of}, query: select 1, expect: 1}}").steps["a"]
        assert isinstance(step, Sql)
        connection = asked_of(step, loaded)[0].connection  # type: ignore[attr-defined]
        return connection.host, connection.port

    assert asked("asset: crm") == ("db1.example", 5433)
    assert asked("target: crm") == ("127.0.0.1", 5499)
    assert asked("server: {server: 'postgresql://u@db7.example:5440/crm'}") == ("db7.example", 5440)
    with pytest.raises(UsageProblem, match="no asset of the engine mariadb"):
        asked("server: {server: 'mysql://u@db7.example/crm'}")


def test_a_shell_completes_the_steps(site: Site) -> None:
    site.plan(ASSETS, extra="runbook:\n  point: {kind: confirm, question: q}\n  web: {kind: confirm, question: q}\n")
    asked = {"_CCDR_COMPLETE": "bash_complete", "COMP_CWORD": "4", "COMP_WORDS": "ccdr runbook retry p po"}
    env = {**os.environ, **asked, "CCDR_PLANS": str(site.root / "plans")}
    # In a process of its own: what click keeps of a command's options is kept for all that ask later.
    done = subprocess.run([sys.executable, "-m", "ccdr"], env=env, capture_output=True, text=True, check=False)
    assert "point" in done.stdout and "web" not in done.stdout, done
