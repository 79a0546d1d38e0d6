"""Every command reads the ledgers as one population."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.support.harness import Site
from tests.support.population import END, Everybody, Pair, brought_back, lost, past, services_of, wrote

from ccdr.evidence.ledger.verification import verify
from ccdr.host.state import State
from ccdr.jobs.attest.other_ledgers import collect, copied, placed
from ccdr.jobs.attest.recovering import link
from ccdr.setup.discover.unprotected import _our_own


@pytest.mark.parametrize("verdict", ["PASS", "FAIL"])
@pytest.mark.parametrize("whose", ["collected", "brought back"])
def test_every_command_reads_the_ledgers_as_one_population(
    site: Site, everybody: Callable[[str], Everybody], whose: str, verdict: str
) -> None:
    """What each says of a test that only a ledger beside ours tells of: nothing before that lies there, and then all
    the same."""
    if whose == "collected":
        pair = Pair(site)
        pair.both(verdict)
        pair.ours("backs up")
        asked = everybody("b-10")
    else:
        name = lost(site, verdict)
        asked = everybody("first")
    assert set(asked.all.values()) == {None}, asked.all
    if whose == "collected":
        pair.collected()
    else:
        brought_back(site, name)
    assert set(asked.all.values()) == {verdict}, asked.all


@pytest.mark.parametrize("whose", ["collected", "brought back"])
def test_where_a_restore_went_is_told_by_the_ledgers_of_this_host_alone(site: Site, whose: str) -> None:
    """A path is of one host: what another one has restored there is not what lies here."""
    there, told, own = site.root / "restored", past(site), past(site)
    there.mkdir()
    said = {"kind": "directory", "name": str(there)}
    told.began(-50, "restore", "r", target=said)
    told.wrote(24 * 365, "restore.end", "r", result="RESTORED", target=said, phases={}, checks=[])
    own.asked(-0.6, "backup", "test", "prune", "check")
    name = wrote(State(site.root / "aside"), "h" if whose == "brought back" else "db2", told)
    wrote(State(site.state), "h", own)
    services = services_of(site, END + timedelta(minutes=1))
    assert not _our_own(there, services)
    if whose == "collected":
        collect(site.root / "aside", services)
    else:
        taken = copied(
            services.state, name, site.root / "aside" / "ledger", verify(site.root / "aside" / "ledger"), "x"
        )
        placed(services.state, link(taken, None, 0, services))
    assert _our_own(there, services) is (whose == "brought back")
