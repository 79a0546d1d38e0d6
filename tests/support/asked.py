"""A centre whose `status` is asked by commands alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.model.trouble import Trouble
from ccdr.model.values import Manifest, Verb
from ccdr.run.ending import our_own
from ccdr.storage.manifest import manifest_text, snapshot_of
from ccdr.telling.notify.concerns import Concern, concerns_of
from ccdr.telling.status import status, upkeep_problems
from tests.support.clocks import Clock
from tests.support.harness import Site
from tests.support.manifests import SAID
from tests.support.sparse import append_sparse

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)  # a Tuesday
IDS = [f"{n:08x}{'0' * 56}" for n in range(9)]

ASSETS = """\
calls:
  engine: files
  paths: [/srv/calls]
  group: centre
  backup: {schedule: "15 * * * *"}
  restore_test: {schedule: "0 3 * * 0", checks: [all]}
queue:
  engine: files
  paths: [/srv/queue]
  group: centre
  backup: {schedule: "15 * * * *"}
  restore_test: {schedule: "0 3 * * 0", checks: [all]}
byhand:
  engine: files
  paths: [/srv/byhand]
"""
PART = {"parts": 3, "reason": None, "findings": []}


def ago(**delta: float) -> datetime:
    return NOON - timedelta(**delta)


class Centre:
    """Plans whose past is written by hand. What is written is of when the clock stands."""

    def __init__(self, root: Path) -> None:
        self.site, self.clock = Site(root, bare=True), Clock()
        self.site.write("restore_tests/all.yaml", "restore_test: all\nchecks:\n  - {kind: identical}\n")
        self.plan()
        self.services = self.site.services(self.clock)

    def plan(self, name: str = "p", assets: str = ASSETS) -> None:
        self.site.plan(assets, name=name, extra="retention: {keep_within: 35d}\n")

    def snapshot(self, number: int, when: datetime, asset: str = "calls", **more: Any) -> None:
        usable = more.pop("usable", when)
        source = {"source": self.site.loaded().plan.assets[asset].source_name}
        manifest = Manifest(
            "p", asset, f"b{number}", "files", "scan", "h", when, 0.0, {}, source, attested=SAID, **more
        )
        text = manifest_text(manifest)
        self.services.catalogue.add(snapshot_of(manifest, text, IDS[number], "/r", usable), text)

    def wrote(self, kind: str, asset: str | None = "calls", *, plan: str = "p", run: str = "r", **body: Any) -> None:
        append_sparse(self.services.ledger, kind, plan=plan, asset=asset, run=run, body=body)

    def stored(self, number: int, when: datetime, asset: str = "calls", **body: Any) -> None:
        self.snapshot(number, when, asset)
        self.wrote("backup.end", asset, result="STORED", reason=None, snapshot={"id": IDS[number]}, **body)

    def tested(self, verdict: str = "PASS", number: int = 1, asset: str = "calls", **more: Any) -> None:
        body = {
            "verdict": verdict, "reason": None, "findings": [], "rto": {"achieved_s": 5.0, "basis": "throwaway"},
            "snapshot": {"id": IDS[number], "verdict": verdict, "selected": "latest"},
        }  # fmt: skip
        self.wrote("restore_test.end", asset, **body | more)

    def asked(self, *verbs: str) -> None:
        self.wrote("duties", None, run="d", verbs=list(verbs), gained=[], lost=[], reason="-")

    def well(self, asset: str = "calls", number: int = 1) -> None:
        """Backed up minutes ago, and that has passed."""
        self.stored(number, ago(minutes=5), asset)
        self.tested(number=number, asset=asset)

    def of(self, asset: str = "calls") -> AssetStatus:
        (found,) = [s for s in status([self.site.loaded()], self.services) if s.asset == asset]
        return found

    def told(self, asset: str | None = "calls", plan: str = "p") -> list[Concern]:
        """What people are told of it, objectives left out."""
        loaded = [self.site.loaded(plan)]
        told = concerns_of(status(loaded, self.services), upkeep_problems(loaded, self.services))
        objectives = (Trouble.BREACH_RPO, Trouble.BREACH_RTO, Trouble.RTO_UNMEASURED)
        return [c for c in told if c.asset == asset and c.trouble not in objectives]

    def says(self, asset: str | None = "calls") -> list[tuple[Trouble, str]]:
        return [(c.trouble, c.text) for c in self.told(asset)]

    def whose(self, verb: str, asset: str | None = "calls") -> set[Trouble]:
        """What a host is not told of that does everything but this, though there it is to be seen, too."""
        self.asked(*(other.value for other in Verb if other != verb))
        loaded = [self.site.loaded()]
        own = our_own(loaded, self.services)
        told = concerns_of(own.assets, own.upkeep)
        left = {c.key for c in self.told(asset)} - {c.key for c in told if c.asset == asset}
        self.asked(*(other.value for other in Verb))
        return {Trouble(trouble) for _, trouble, _ in left}
