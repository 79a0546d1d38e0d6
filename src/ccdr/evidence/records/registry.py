"""Every kind of record. To add one: define it in a file beside this one, and add a line here."""

from __future__ import annotations

from ast import literal_eval

from ccdr.evidence.records import (
    access,
    approvals,
    backups,
    checkpoints,
    controls,
    copies,
    erasures,
    examined,
    incidents,
    lineage,
    object_locks,
    plans,
    recovery,
    repository_keys,
    restores,
    runbook,
    statements,
    upkeep,
)
from ccdr.evidence.records.values import Record

ALL: tuple[type[Record], ...] = (
    backups.BackupStart,
    backups.BackupEnd,
    backups.Group,
    backups.LogShipped,
    restores.TestStart,
    restores.TestEnd,
    controls.NegativeControlStart,
    controls.NegativeControlEnd,
    restores.RestoreStart,
    restores.RestoreEnd,
    runbook.RunbookStart,
    runbook.RunbookStep,
    runbook.RunbookEnd,
    recovery.RecoverStart,
    recovery.RecoverEnd,
    plans.PlanVersion,
    plans.PlanStored,
    examined.PlanExamined,
    access.AccessTested,
    access.AccessExported,
    repository_keys.KeyAdded,
    repository_keys.KeyRemoved,
    repository_keys.KeySwitched,
    repository_keys.PasswordMade,
    object_locks.LockExtended,
    statements.StatementRecord,
    approvals.ApprovalRefused,
    approvals.GlassBroken,
    erasures.ErasureAdd,
    erasures.ErasureReplay,
    incidents.IncidentOpened,
    incidents.IncidentRecovery,
    upkeep.PruneStart,
    upkeep.PruneEnd,
    upkeep.CheckStart,
    upkeep.CheckEnd,
    copies.CopyStart,
    copies.CopyEnd,
    upkeep.MissedRuns,
    upkeep.NotBegun,
    upkeep.Duties,
    upkeep.SkippedRuns,
    upkeep.SandboxReap,
    upkeep.LedgerRecovered,
    upkeep.LedgerVerified,
    lineage.LedgerBegin,
    lineage.LedgerLost,
    lineage.LedgerLinked,
    lineage.LedgerCollected,
    lineage.LedgerCompared,
    checkpoints.LedgerKey,
    checkpoints.LedgerAnchors,
    checkpoints.LedgerAnchored,
    checkpoints.LedgerExported,
    checkpoints.PackageEnd,
    upkeep.StateMigrated,
)


def _stated(definition: type[Record], key: str) -> object:
    """The one value that a definition has for `kind`, or for `version`: `Literal[…]`, as it is written there. To have
    all hints evaluated would take each command a fiftieth of a second."""
    return literal_eval(str(definition.__annotations__[key]).rpartition("Literal[")[2].removesuffix("]"))


KINDS: dict[str, type[Record]] = {str(_stated(definition, "kind")): definition for definition in ALL}
KIND_OF: dict[type[Record], str] = {definition: kind for kind, definition in KINDS.items()}
FIRST = 4  # the version of the first release: what was before it was never published, and is not read
VERSIONS: dict[str, int] = {kind: int(str(_stated(definition, "version"))) for kind, definition in KINDS.items()}
