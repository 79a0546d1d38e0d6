"""What another ledger tells of a period that was signed off: another host's makes it another population, and this
host's own, lost and brought back, leaves it what it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.catalogued import catalogued
from tests.support.past import HOUR, MINUTE
from tests.support.records import record_in
from tests.support.signing_off import SignOffRoom

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.ledger.verification import verify
from ccdr.evidence.lineage.comparison import beginning, keep, read_id
from ccdr.host.state import State
from ccdr.jobs.attest.other_ledgers import collect, copied, placed
from ccdr.jobs.attest.recovering import link
from ccdr.model.values import rfc3339


@pytest.fixture
def room(tmp_path: Path) -> SignOffRoom:
    return SignOffRoom(tmp_path)


def another_host(room: SignOffRoom, actor: str) -> None:
    """Its ledger tells of a restore test of ours, in the period, and is taken in now."""
    services, state, own = room.services(), State(room.root / "other"), room.ledger
    catalogued(services, room.site.loaded())
    keep(services.state, services.ledger)
    state.directory()
    room.ledger = Ledger(state.ledger, room.clock, host="db2", actor="b", begin=beginning(state, "db2"))
    room.tested(actor, hours=9)
    keep(state, room.ledger)
    room.ledger = own
    collect(room.root / "other", room.services())


@pytest.mark.parametrize("actor", ["root", "apop"])
def test_what_another_hosts_ledger_tells_makes_it_another_population(room: SignOffRoom, actor: str) -> None:
    room.sign()
    assert [one["fits"] for one in room.sign_offs] == [True]
    another_host(room, actor)
    (one,) = room.sign_offs
    assert one["fits"] is False and one["now"]["rows"] > one["rows"], one
    assert any("by hand" in why for why in one["wrong"]) is (actor == "apop")
    assert room.sign(room.dan).code == 0
    assert [one["fits"] for one in room.sign_offs] == [False, True]
    (_, record) = room.records()
    assert [len(record["about"]["read_with"]), record["about"]["accounts"]] == [1, {actor: 1}]
    room.site.ledger_holds()


def test_a_ledger_that_was_lost_and_brought_back_leaves_what_was_signed_as_it_was(room: SignOffRoom) -> None:
    room.tested("root", hours=3)
    room.sign()
    services = room.services()
    keep(services.state, services.ledger)
    name = str(read_id(services.state.ledger))
    services.state.ledger.rename(room.root / "aside")
    for kept in ("chain.json", "verified.json", "compared.json"):
        (room.site.state / kept).unlink(missing_ok=True)
    begin = beginning(services.state, "h")
    new = Ledger(services.state.ledger, services.clock, host="h", actor="a", begin=begin)
    record_in(new, "sandbox.reap", plan=None, asset=None, run=None, body={"removed": []})
    keep(services.state, new)
    assert room.sign_offs == [], "nothing is known of it"
    services = room.services()
    taken = copied(services.state, name, room.root / "aside", verify(room.root / "aside"), "the repository")
    placed(services.state, link(taken, None, 0, services))
    (one,) = room.sign_offs
    assert one["fits"] is True and one["wrong"] == [], one
    room.wrote(room.start + HOUR, "backup.start", run="x", trigger={"by": "run", "due": rfc3339(room.start + MINUTE)})
    assert [one["fits"] for one in room.sign_offs] == [False], "the twin: there is more of the period"
