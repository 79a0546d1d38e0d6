"""Whether a base backup can be an increment: upon what, or why it is a full one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ccdr.engines.postgres.connection import major_of
from ccdr.engines.postgres.segments import lsn, number
from ccdr.model.answers import lacking
from ccdr.model.errors import CommandFailed
from ccdr.model.finding import Finding
from ccdr.model.values import Needed
from ccdr.ports.capture import Base

if TYPE_CHECKING:
    from ccdr.engines.postgres.engine import Incremental

FIRST_MAJOR = 17
NEARLY = 0.98  # of its age: so that a weekly full one stays on its day, though no two backups begin on the same second
OFF = Finding(
    "the source keeps no summaries of its log, so every base is a full one: as a superuser, "
    "ALTER SYSTEM SET summarize_wal = on; SELECT pg_reload_conf();",
    "no summaries of its log",
)
# What must be the same of an increment and of what it builds upon, and what it is called.
_SAME = {
    "system_identifier": "it is another server",
    "timeline": "the source has begun another timeline since",
    "data_checksums": "page checksums were switched since",
    "block_size": "its pages have another size",
}
# Whether the source has come from where a base backup began. A server whose disk was put back to an earlier state has
# the same identity and timeline, and once its log is as long again PostgreSQL takes an increment that lacks what
# differs. But a summary of the log ends, and the next begins, at each checkpoint (PostgreSQL's walsummarizer.c), and a
# base backup begins with one: in another course of events there is none at that very byte. What this does not see is a
# disk put back to a state from while the base backup ran.
LEADS_ON = "select count(*) from pg_available_wal_summaries() where tli = {timeline} and start_lsn = '{start}'"
STRAYED = (
    "the source's log does not lead on from the backup before this one, as after its disk was put back to an earlier "
    "state"
)
# The server, or pg_basebackup, cannot take this increment; the source is well.
_IMPOSSIBLE = re.compile(
    r"(?:WAL summar|incremental backup|system identifier in|found in manifest|manifest (?:requires|contains)|"
    r"could not upload manifest|parse backup manifest)[^\n]*"
)


@dataclass(frozen=True)
class ParentChoice:
    """`base` is what is built upon; None for a full one. `notes` say why, where that is not as planned."""

    base: Base | None = None
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def parents(self) -> tuple[Needed, ...]:
        return tuple(Needed(s.id, s.manifest_sha256) for s, _ in self.base.chain) if self.base else ()

    def full(self, why: str) -> ParentChoice:
        return ParentChoice(None, (f"a full base: {why}",), self.findings)

    def sizes(self, own: int, cluster: Mapping[str, Any]) -> dict[str, object]:
        """For the manifest. `bytes` is what a restore writes beside `files`; `whole_bytes` what that gives; `chain` the
        SHA-256 of the backup_manifest of each that it builds upon."""
        if self.base is None:
            return {}
        last, manifest = self.base.chain[-1]
        databases = sum(d["bytes"] or 0 for d in cluster["databases"].values())
        before = manifest.contents.get("whole_bytes", manifest.contents["bytes"])
        return {
            "own_bytes": own,
            "bytes": own + last.bytes,
            "whole_bytes": max(int(str(before)), databases) + own,
            "chain": [m.contents["backup_manifest_sha256"] for _, m in self.base.chain],
        }


def choose(base: Base, cluster: Mapping[str, Any], cycle: Incremental | None, now: datetime) -> ParentChoice:
    if cycle is None:
        return ParentChoice()
    if int(major_of(cluster["version"]).split(".")[0]) < FIRST_MAJOR:
        return ParentChoice().full(f"the source is PostgreSQL {cluster['version']}, increments are of 17 and later")
    if not cluster["summarizes_wal"]:
        return ParentChoice(findings=(OFF,))
    if not base.chain:
        return ParentChoice().full(base.why) if base.why else ParentChoice()
    full, last = base.chain[0][0], base.chain[-1][1].contents
    if (now - full.consistent_point).total_seconds() >= NEARLY * cycle.full_every or len(base.chain) > cycle.longest:
        return ParentChoice()
    for key, why in _SAME.items():
        if last.get(key) != cluster[key]:
            return ParentChoice().full(why)
    sentence = f"an increment upon {base.chain[-1][0].short}, number {len(base.chain)} since the full base {full.short}"
    return ParentChoice(base, (sentence,))


def leads_on(base: Base) -> str:
    """LEADS_ON for the newest of a chain."""
    last = base.chain[-1][1].contents
    return LEADS_ON.format(timeline=int(str(last["timeline"])), start=lsn(number(str(last["start_lsn"]))))


def impossible(error: CommandFailed) -> str | None:
    """Why pg_basebackup cannot take this increment, where it could take a full base."""
    match = None if error.stalled else error.stderr.search(_IMPOSSIBLE)
    return match and f"pg_basebackup took no increment: {lacking(error.stderr)}"
