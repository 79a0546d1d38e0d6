"""What `ccdr doctor` finds, as its tests read it."""

from __future__ import annotations

from collections.abc import Iterable

from ccdr.model.values import Health, Probe
from tests.support.harness import Site
from tests.support.sparse import append_sparse

OK, WARN, FAIL, UNKNOWN = Health.OK, Health.WARN, Health.FAIL, Health.UNKNOWN


def states(looks: Iterable[Probe]) -> list[Health]:
    found = list(looks)
    assert all((look.do is None) == (look.state is OK) for look in found), "every line that is not OK says what to do"
    return [look.state for look in found]


def backed_up(site: Site, *seconds: float) -> None:
    for n, took in enumerate(seconds):
        body = {"result": "STORED", "phases": {"capture": took / 2, "store": took / 2}, "snapshot": {"id": f"s{n}"}}
        append_sparse(site.services().ledger, "backup.end", plan="p", asset="recordings", run=f"b{n}", body=body)
