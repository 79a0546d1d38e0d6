"""What a ledger says of one plan, record by record as its kinds are defined, and the snapshots that its catalogue has of
it: the same past for whoever judges by values, and for whoever reads it from a state directory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.records.statements import STATEMENT
from ccdr.model.finding import Finding, recorded
from ccdr.model.values import FileDigest, GroupRun, Manifest, Needed, Snapshot, rfc3339, source_digest
from ccdr.storage.catalogue import Catalogue
from ccdr.storage.manifest import manifest_text, snapshot_of
from ccdr.telling.report.evidence import Evidence
from ccdr.telling.report.period import Period
from tests.support.manifests import SAID
from tests.support.records import acknowledgement, record_kind, written
from tests.support.sparse import history_of, sparse_record

HOUR = timedelta(hours=1)
NOUGHT = "0" * 64
DISPOSED: dict[str, Any] = {"sandbox": {}, "disposal": {}}


def digest(name: str) -> str:
    """The id of what a test calls so."""
    return sha256(name.encode()).hexdigest()


PASSED = {"name": "identical", "kind": "identical", "status": "PASS", "expected": "1", "actual": "1"}


@dataclass
class Chronicle:
    """`hours` are after `end`: before it, they are negative. Ids are told by names of the test's own."""

    end: datetime
    source: str
    plan: str = "p"
    asset: str = "crm"
    repository: str = NOUGHT  # a digest of where it lies
    credentials: str = NOUGHT  # a digest of what the plan names for its roles
    records: list[dict[str, Any]] = field(default_factory=list)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    there: list[Snapshot] = field(default_factory=list)

    def at(self, hours: float) -> datetime:
        return self.end + hours * HOUR

    def wrote(self, hours: float, kind: str, run: str | None = None, *, asset: str | None = "-", **body: Any) -> int:
        """Its number. `asset` None: of the plan."""
        own = self.asset if asset == "-" else asset
        seq = len(self.records) + 1
        when = self.at(hours).isoformat(timespec="microseconds").replace("+00:00", "Z")
        head = {"seq": seq, "prev": NOUGHT, "time": when, "host": "h", "actor": "a"}
        if "findings" in body and kind != "check.end":
            body["findings"] = [Finding(one, one) if isinstance(one, str) else one for one in body["findings"]]
            body["findings"] = recorded(body["findings"])
        said = written(record_kind(kind), self.plan, own, run or f"r{seq}", body)
        self.records.append(head | json.loads(json.dumps(said)))  # as they are read
        return seq

    # --- backups

    def snapshot(
        self,
        hours: float,
        name: str,
        *,
        usable: float | None = None,
        source: str | None = None,
        upon: tuple[str, ...] = (),
        group: GroupRun | None = None,
        asset: str | None = None,
        run: str | None = None,
    ) -> Snapshot:
        """One that the catalogue knows; where no record tells of it, another host has taken it."""
        needed = tuple(Needed(s.id, s.manifest_sha256) for s in self.there if s.id in map(digest, upon))
        manifest = Manifest(
            self.plan, asset or self.asset, run or f"of-{name}", "files", "scan", "h", self.at(hours), 0.0, {},
            {"source": source or self.source, "bytes": 5}, {"f": FileDigest(1, "a" * 64)}, group=group, upon=needed, attested=SAID,
        )  # fmt: skip
        text, moment = manifest_text(manifest), self.at(hours if usable is None else usable)
        made = snapshot_of(manifest, text, digest(name), "/r", moment)
        self.manifests[made.id] = manifest
        self.there = sorted([*self.there, made], key=lambda s: (s.consistent_point, s.usable_at, s.id))
        return made

    def began(self, hours: float, verb: str, run: str, *, asset: str | None = "-", **more: Any) -> int:
        body: dict[str, Any] = {"plan_sha256": NOUGHT, "trigger": {"by": "command"}}
        if verb == "backup":
            body |= {"engine": "files", "method": "scan"}
        if verb == "restore_test":
            body |= {"restore_tests": {}, "selection": "latest"}
        if verb == "restore":
            body = {"plan_sha256": NOUGHT, "target": {"kind": "directory", "name": None}}
        if verb == "check":
            body |= {"part": 1, "parts": 1}
        return self.wrote(hours, f"{verb}.start", run, asset=asset, **body | more)

    def stored(
        self,
        hours: float,
        name: str,
        *,
        usable: float | None = None,
        said: dict[str, Any] | None = None,
        kept: bool = True,
        begun: bool = False,
        upon: tuple[str, ...] = (),
        source: str | None = None,
        **more: Any,
    ) -> int:
        """A backup that ended well when its snapshot could be used. `begun`: with its start; `kept`: it is there."""
        made = self.snapshot(hours, name, usable=usable, upon=upon, source=source)
        if not kept:
            self.there.remove(made)
        run = f"b-{name}"
        if begun:
            self.began(hours, "backup", run)
        snapshot = {
            "id": made.id, "consistent_point": rfc3339(made.consistent_point), "bytes": made.bytes,
            "manifest_sha256": made.manifest_sha256, "source_sha256": source_digest(made.source),
            "upon": [n.id for n in made.upon],
        }  # fmt: skip
        return self.wrote(hours if usable is None else usable, "backup.end", run, result="STORED", phases={"store": 1.0},
                          snapshot=snapshot | (said or {}), **more)  # fmt: skip

    def failed(self, hours: float, reason: str = "disk full", **more: Any) -> int:
        return self.wrote(hours, "backup.end", result="FAILED", reason=reason, phases={}, **more)

    # --- restore tests

    def tested(
        self,
        hours: float,
        name: str | None = None,
        verdict: str = "PASS",
        *,
        own: str | None = "-",
        selected: str = "latest",
        took: float | None = 60.0,
        basis: str = "throwaway",
        source: str | None = None,
        begun: bool = False,
        **more: Any,
    ) -> int:
        """A restore test that ended then, of the snapshot of this name. `own` is the verdict on that alone."""
        run = f"t{len(self.records)}"
        if begun:
            self.began(hours, "restore_test", run, selection=selected)
        verdict_of_it = (verdict if verdict in ("PASS", "FAIL") else None) if own == "-" else own
        known = {s: m for s, m in self.manifests.items() if name is not None and s == digest(name)}
        point = next((m.consistent_point for m in known.values()), self.at(hours))
        snapshot = name and {
            "id": digest(name), "consistent_point": rfc3339(point), "bytes": 5, "selected": selected,
            "manifest_sha256": NOUGHT, "source_sha256": source_digest(source or self.source), "verdict": verdict_of_it,
        }  # fmt: skip
        rto = took is not None and {"objective_s": 1800.0, "achieved_s": took, "basis": basis, "verdict": "MET"}
        body = {
            "verdict": verdict, "reason": None if verdict == "PASS" else "so it was", "snapshot": snapshot or None,
            "phases": {"fetch": 1.0}, "checks": [PASSED] if verdict == "PASS" else [], "rto": rto or None, **DISPOSED,
        }  # fmt: skip
        return self.wrote(hours, "restore_test.end", run, **body | more)

    def by_log(
        self, hours: float, name: str, verdict: str, *, until: float, target: str = "latest",
        reached: float | None = None, **more: Any,
    ) -> int:  # fmt: skip
        """A recovery by the log from this base."""
        at = None if reached is None else {"position": "0/3", "at": rfc3339(self.at(reached)), "last_commit": None}
        recovery = {"target": target, "verdict": verdict, "until": rfc3339(self.at(until)), "reached": at}
        return self.tested(hours, name, verdict, own="PASS" if verdict == "PASS" else None, selected="at",
                           recovery=recovery, **more)  # fmt: skip

    # --- the repository's care

    def gone(self, hours: float, *names: str) -> int:
        """All of the asset's snapshots that are gone from there, by a comparison."""
        return self.wrote(hours, "ledger.compared", asset=None, result="AGREES", reason=None, snapshots=1, elsewhere=0,
                          newest=1, problems=[], whole=True, vanished={self.asset: [digest(n) for n in names]})  # fmt: skip

    def pruned(self, hours: float, result: str = "DONE", *removed: str, **more: Any) -> int:
        """`removed` snapshots are gone from the catalogue, too."""
        gone = {digest(name) for name in removed}
        listed = [
            {"asset": m.asset, "id": s, "consistent_point": rfc3339(m.consistent_point), "why": "old"}
            for s, m in self.manifests.items()
            if s in gone
        ]
        self.there = [s for s in self.there if s.id not in gone]
        return self.wrote(hours, "prune.end", asset=None, result=result, removed=listed, **more)

    def checked(self, hours: float, result: str = "CLEAN", *, part: int = 1, parts: int = 1, **more: Any) -> int:
        return self.wrote(hours, "check.end", asset=None, result=result, part=part, parts=parts, **more)

    def asked(self, hours: float, *verbs: str) -> int:
        """What runs here are for, from now on."""
        return self.wrote(hours, "duties", asset=None, verbs=list(verbs), gained=[], lost=[], reason=None)

    def shipped(self, hours: float, *points: tuple[float, float], **more: Any) -> int:
        """The record of log: each a point, and when it could be used."""
        since = self.at(min((p for p, _ in points), default=hours))
        pairs = [[(self.at(p) - since).total_seconds(), (self.at(u) - since).total_seconds()] for p, u in points]
        return self.wrote(hours, "log.shipped", since=rfc3339(since), points=pairs, snapshots=len(pairs), added_bytes=1,
                          **more)  # fmt: skip

    # --- who reads it

    @property
    def histories(self) -> Histories:
        return history_of(self.records)

    def history(self, asset: str | None = "-") -> AssetHistory:
        return self.histories.get((self.plan, self.asset if asset == "-" else asset), AssetHistory())

    def evidence(self, period: Period, at_work: Callable[[str], bool] = lambda _: False) -> Evidence:
        found = Evidence(period)
        for record in self.records:
            found.take(sparse_record(record))
        found.close(lambda run, _: at_work(run))
        return found

    def keep(self, ledger: Path, catalogue: Catalogue) -> None:
        """In a state directory: chained as the ledger is, and as the catalogue would have learned of it."""
        ledger.mkdir(parents=True, mode=0o700, exist_ok=True)
        prev, lines = NOUGHT, list[bytes]()
        for record in self.records:
            line = json.dumps(record | {"prev": prev}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            prev = sha256(line).hexdigest()
            lines.append(line)
        if lines:
            (ledger / f"{1:012}.jsonl").write_bytes(b"".join(lines))
        for one in self.there:
            catalogue.add(replace(one), manifest_text(self.manifests[one.id]))


def acknowledged(
    past: Chronicle, hours: float, code: str, known_by: list[str], until: str, *, asset: str | None = "-"
) -> None:
    past.wrote(hours, STATEMENT, asset=asset, **acknowledgement(code, known_by, until))
