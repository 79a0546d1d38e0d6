"""Where another host backs up."""

from __future__ import annotations

from datetime import datetime

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.clocks import Clock
from tests.support.sparse import append_sparse
from tests.support.standing import IDS, NOW, World, ago

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.model.trouble import Trouble
from ccdr.telling.status import exit_code


def elsewhere(world: World, asked: bool) -> None:
    """This host only tests: by what its runs were asked for, or since nobody has ever backed up here."""
    if asked:
        body = {"verbs": ["test"], "gained": [], "lost": [], "reason": "-"}
        append_sparse(world.services.ledger, "duties", plan="p", asset=None, run=None, body=body)


def looked(world: World, achieved: float | None, verdict: str = "MET", when: datetime = NOW) -> None:
    body = {
        "verdict": "PASS", "reason": None, "findings": [], "snapshot": {"id": IDS[1], "verdict": "PASS"},
        "rto": {"achieved_s": 5.0, "basis": "throwaway"},
        "rpo": {"objective_s": 3600, "achieved_s": achieved, "verdict": verdict},
    }  # fmt: skip
    ledger = Ledger(world.services.state.ledger, Clock(when))
    append_sparse(ledger, "restore_test.end", plan="p", asset="recordings", run="t", body=body)


@pytest.mark.parametrize("asked", [True, False])
def test_what_another_host_may_have_backed_up_since_is_not_known_here(world: World, asked: bool) -> None:
    """Its last test was two hours ago, and found the newest half an hour old."""
    world.snapshot(1, ago(hours=2.5))
    elsewhere(world, asked)
    looked(world, 1800.0, when=ago(hours=2))
    found = world.now
    assert found.as_json()["rpo"] == {"objective_s": 3600, "achieved_s": 9000.0, "verdict": "NOT_KNOWN_HERE"}
    assert found.problems == () and exit_code([found]) == 0 and not list(found.breaches)


@pytest.mark.parametrize("asked", [True, False])
def test_what_is_known_to_be_there_meets_the_objective_whoever_stored_it(world: World, asked: bool) -> None:
    """Seconds after its test of the log's end: the base alone is older than the objective."""
    world.snapshot(1, ago(hours=20))
    elsewhere(world, asked)
    looked(world, 3.0)
    found = world.now
    assert found.as_json()["rpo"] == {"objective_s": 3600, "achieved_s": 3.0, "verdict": "MET"}
    assert exit_code([found]) == 0


@pytest.mark.parametrize("asked", [True, False])
def test_a_breach_that_the_last_look_found_stands(world: World, asked: bool, wording: SnapshotAssertion) -> None:
    world.snapshot(1, ago(hours=20))
    elsewhere(world, asked)
    looked(world, 72000.0, "BREACHED")
    found = world.now
    assert found.rpo.verdict == "BREACHED" and exit_code([found]) == 1
    (said,) = found.breaches
    assert str(said.step) == wording, said
    world.snapshot(2, ago(minutes=5))
    append_sparse(
        world.services.ledger, "prune.end", plan="p", asset=None, run="u", body={"result": "DONE", "removed": []}
    )
    assert world.now.rpo.verdict == "MET", "a prune has looked since"


def test_who_backs_up_here_knows_that_it_did_not(world: World) -> None:
    """The same with a backup of its own, or asked for one."""
    world.snapshot(1, ago(hours=20))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]})
    looked(world, 3.0)
    found = world.now
    assert found.rpo.verdict == "BREACHED"
    assert not any(str(c.step).startswith("on the host") for c in found.breaches)
    assert not any(str(p.step).startswith("on the host") for p in found.wrong)


def test_a_host_that_never_looked_does_not_know_that_there_is_no_backup(world: World) -> None:
    elsewhere(world, asked=True)
    found = world.now
    assert found.rpo.verdict == "NOT_KNOWN_HERE" and [p.trouble for p in found.wrong] == [Trouble.NEVER_TESTED]
