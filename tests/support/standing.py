"""A site whose status is asked: what its tests record, and what they read of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.jobs.services import Services
from ccdr.model.values import FileDigest, Manifest, Needed
from ccdr.storage.manifest import manifest_text, snapshot_of
from ccdr.telling.status import status
from tests.support.clocks import Clock
from tests.support.harness import Site
from tests.support.manifests import SAID
from tests.support.sparse import append_sparse

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
IDS = {n: f"{n:064x}" for n in range(9)}


def ago(**delta: float) -> datetime:
    return NOW - timedelta(**delta)


class World:
    """A site whose past is written by hand."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.clock = Clock()
        self.services: Services = site.services(self.clock)

    def to_real_time(self) -> datetime:
        """Go on at this moment, as the commands do that a test starts: they go by the real clock."""
        self.clock.at = datetime.now(UTC)
        return self.clock.at

    def snapshot(self, number: int, when: datetime, upon: Sequence[Needed] = ()) -> None:
        manifest = Manifest(
            "p",
            "recordings",
            f"b{number}",
            "files",
            "scan",
            "h",
            when,
            0.0,
            {},
            {"source": str(self.site.root / "spool")},
            {"files.jsonl": FileDigest(1, "a" * 64)},
            upon=tuple(upon),
            attested=SAID,
        )
        text = manifest_text(manifest)
        self.services.catalogue.add(snapshot_of(manifest, text, IDS[number], "/r", when), text)

    def wrote(self, kind: str, **body: Any) -> None:
        append_sparse(self.services.ledger, kind, plan="p", asset="recordings", run=body.pop("run", "r"), body=body)

    def tested(self, verdict: str, number: int = 1, basis: str = "throwaway", achieved: float | None = 5.0,
               selected: str | None = None, **more: Any) -> None:  # fmt: skip
        self.wrote(
            "restore_test.end", verdict=verdict, reason=None, findings=[],
            snapshot={"id": IDS[number], "verdict": verdict, "selected": selected or IDS[number]},
            rto={"achieved_s": achieved, "basis": basis}, **more,
        )  # fmt: skip

    @property
    def now(self) -> AssetStatus:
        (found,) = status([self.site.loaded()], self.services)
        return found


def told(world: World, *, more: bool = True) -> list[str]:
    """What `ccdr status` prints; `more`: also what is as it should be."""
    return world.site.start("status", *(["-v"] if more else [])).communicate()[0].splitlines()


def failed_for_a_newer_one(world: World, **more: Any) -> None:
    world.snapshot(1, ago(minutes=30))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]})
    world.wrote("backup.end", result="FAILED", reason="disk full", snapshot=None)
    world.wrote(
        "restore_test.end", verdict="FAIL", reason="this snapshot is good, but the backup failed: disk full", findings=[],
        snapshot={"id": IDS[1], "verdict": "PASS"}, rto={"achieved_s": 5.0, "basis": "throwaway"}, **more,
    )  # fmt: skip


def stored(world: World, number: int, **ago_: float) -> None:
    world.snapshot(number, ago(**ago_))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[number]})


LOGGED = """\
crm:
  engine: postgres
  method: physical
  connection: {host: /nowhere, user: postgres, database: postgres}
  log_shipping: {interval: 60s}
"""


def based(site: Site, services: Services, number: int, when: datetime) -> None:
    """A base of the asset of `LOGGED`, which segment 2 leads on from."""
    contents = {"timeline": 1, "stop_lsn": "0/2000060", "source": site.loaded().plan.assets["crm"].source_name}
    manifest = Manifest("p", "crm", f"b{number}", "postgres", "physical", "h", when, 0.0, {}, contents, attested=SAID)
    text = manifest_text(manifest)
    services.catalogue.add(snapshot_of(manifest, text, IDS[number], "/r", when), text)


def at(days: float) -> Clock:
    class Later(Clock):
        def now(self) -> datetime:
            return NOW + timedelta(days=days)

    return Later()
