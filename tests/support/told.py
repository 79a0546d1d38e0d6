"""People who are told, by a clock of our own: a site, what stands of it, and real mail and HTTP servers on loopback."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ccdr.jobs.services import Services
from ccdr.model.values import FileDigest, Manifest
from ccdr.storage.manifest import manifest_text, snapshot_of
from ccdr.telling.notify import Telling, after_run
from ccdr.telling.status import status, upkeep_problems
from tests.support.clocks import Clock
from tests.support.harness import Site
from tests.support.manifests import SAID
from tests.support.sparse import append_sparse

NOW = datetime(2026, 11, 24, 12, 20, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass
class World:
    """A site whose past is written by hand: what matters here is what is told of it."""

    site: Site
    clock: Clock = field(default_factory=lambda: Clock(NOW))
    number: int = 0

    @property
    def services(self) -> Services:
        """New ones each time, as a new process has: nothing is carried over but the state directory."""
        return self.site.services(self.clock)

    def notify(self, *urls: str, ping: str | None = None, remind: str = "24h") -> None:
        """The plan's addresses, anew."""
        self.site.write("plans/urls", "# who is told\n\n" + "".join(f"{u}\n" for u in urls), mode=0o600)
        self.site.write("plans/ping", f"{ping}\n", mode=0o600)
        files = [f"remind: {remind}", *(["urls_file: urls"] if urls else []), *(["ping_file: ping"] if ping else [])]
        path = self.site.root / "plans" / "p.yaml"
        text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("notify:"))
        path.write_text(text.replace("assets:", f"notify: {{{', '.join(files)}}}\nassets:", 1) + "\n")

    def stored(self) -> None:
        """A backup, five minutes old."""
        self.number += 1
        when, run = self.clock.at - 5 * MINUTE, f"b{self.number}"
        contents = {"source": str(self.site.root / "spool")}
        files = {"files.jsonl": FileDigest(1, "a" * 64)}
        manifest = Manifest("p", "recordings", run, "files", "scan", "h", when, 0.0, {}, contents, files, attested=SAID)
        text = manifest_text(manifest)
        self.services.catalogue.add(snapshot_of(manifest, text, f"{self.number:064x}", "/r", when), text)
        self._wrote(
            "backup.end", run, result="STORED", reason=None, findings=[], snapshot={"id": f"{self.number:064x}"}
        )

    def failed(self, reason: str = "restic exited with 1: no space left") -> None:
        self.number += 1
        self._wrote("backup.end", f"b{self.number}", result="FAILED", reason=reason, findings=[], snapshot=None)

    def tested(self, verdict: str = "PASS", **more: Any) -> None:
        snapshot = {"id": f"{self.number:064x}", "verdict": verdict}
        rto = {"achieved_s": 5.0, "basis": "throwaway"}
        body: dict[str, Any] = {"verdict": verdict, "reason": None, "findings": [], "snapshot": snapshot, "rto": rto}
        self._wrote("restore_test.end", f"t{self.number}", **{**body, **more})

    def _wrote(self, kind: str, run: str, **body: Any) -> None:
        append_sparse(self.services.ledger, kind, plan="p", asset="recordings", run=run, body=body)

    def tell(self, after: timedelta = 5 * MINUTE, **options: Any) -> Telling:
        """A run's end."""
        self.clock.at += after
        plans, services = [self.site.loaded()], self.services
        options = {"seconds": 10, **options}
        return after_run(plans, services, status(plans, services), upkeep_problems(plans, services), **options)

    @property
    def told_file(self) -> Path:
        return self.site.state / "told.json"
