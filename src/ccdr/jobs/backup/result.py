"""What one backup did, and its part in a group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from msgspec import UNSET

from ccdr.evidence.history.kinds import FAILED, STORED
from ccdr.evidence.records.backups import BackupEnd, RecordedGrowth, StoredSnapshot
from ccdr.evidence.records.values import GroupOf, RecordedTls, Repository
from ccdr.jobs.recorded import document
from ccdr.model.answers import NO_WORDS, FreeText
from ccdr.model.errors import (
    Exit,
)
from ccdr.model.finding import Finding
from ccdr.model.leaps import Growth, Sign
from ccdr.model.tls import Tls
from ccdr.model.values import GroupRun, RecordRef, Snapshot, source_digest


@dataclass(frozen=True)
class Member:
    """An asset's part in a group that is captured together. `ready` returns once all of them may begin."""

    group: GroupRun
    ready: Callable[[], None]


@dataclass
class BackupResult:
    """What one backup did. `phases` are seconds, `added` is what the repository grew by, bytes."""

    plan: str
    asset: str
    run: str
    result: Literal["STORED", "FAILED"] = FAILED
    reason: str | None = None
    hint: str | None = None
    words: FreeText = NO_WORDS  # what programs said: for a person's eyes, never recorded
    repository: Repository = None  # missing, closed, unavailable or damaged, where that is why it failed
    source: Literal["away"] | None = None  # `away`, where that is why it failed: nobody answers there
    snapshot: Snapshot | None = None
    log: dict[str, str | None] = field(default_factory=dict)  # what it needs of a shipped log, where there is one
    group: GroupRun | None = None
    added: int = 0
    growth: Growth | None = None  # of all that it stored; None where restic was not told by a tree
    canaries: dict[str, str | None] = field(default_factory=dict)  # the digest of each, by name; None: it is gone
    suspect: list[Sign] = field(default_factory=list)
    server: str | None = None  # its own number, where it has one and tells it
    recovery: str | None = None  # the run of the recovery that made it, as the server says
    made_by_recovery: bool = False  # does a record tell of that one?
    other_cluster: bool = False  # than the one that its backups are known to be of
    skew: float | None = None
    phases: dict[str, float] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)
    tls: Tls | None = None  # how the source's client was connected; None where that is not encrypted, or not told
    beside: Literal["disk", "machine"] | None = (
        None  # the repository lies on the source's own disk, or machine: see nearby.py
    )
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # of the capture, as the plan says
    findings: list[Finding] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    record: RecordRef | None = None

    @property
    def exit_code(self) -> Exit:
        if self.result != STORED or self.findings or self.suspect or self.other_cluster:
            return Exit.FINDING
        return Exit.LEFT_BEHIND if self.left_behind else Exit.OK

    def take(self, stored: Growth | None) -> None:
        """One more upload: of a try that did not count, what it added is there all the same."""
        if stored is not None and self.growth is not None:
            stored = replace(stored, added=stored.added + self.growth.added, packed=stored.packed + self.growth.packed)
        self.growth = stored

    def ended(self) -> BackupEnd:
        """For the ledger, and (with where it stands there) for `--json`."""
        return BackupEnd(
            plan=self.plan,
            asset=self.asset,
            run=self.run,
            result=self.result,
            reason=self.reason,
            hint=self.hint,
            repository=self.repository,
            source=self.source,
            snapshot=self._stored(),
            group=GroupOf(name=self.group.name, run=self.group.run) if self.group else None,
            added_bytes=self.added,
            growth=RecordedGrowth(**asdict(self.growth)) if self.growth else None,
            canaries=self.canaries,
            suspect=[sign.value for sign in self.suspect],
            server=self.server,
            made_by_recovery=self.made_by_recovery,
            tls=RecordedTls(**asdict(self.tls)) if self.tls else None,
            clock_skew_s=self.skew,
            phases={name: round(seconds, 3) for name, seconds in self.phases.items()},
            tools=self.tools,
            beside_source=self.beside,
            notes=self.notes,
            left_out=self.left_out,
            findings=self.findings,
            left_behind=self.left_behind,
        )

    def _stored(self) -> StoredSnapshot | None:
        s = self.snapshot
        if s is None:
            return None
        return StoredSnapshot(
            id=s.id,
            consistent_point=s.consistent_point,
            bytes=s.bytes,
            manifest_sha256=s.manifest_sha256,
            source_sha256=source_digest(s.source),
            needed_from=self.log.get("needed_from", UNSET),
            upon=[needed.id for needed in s.upon],
        )

    def as_json(self) -> dict[str, object]:
        return document(self.ended(), self.record)
