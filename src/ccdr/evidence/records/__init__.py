"""Each kind of record has one typed definition, with a version: for its writer, its readers and the published schema.

`values.py` has the closed kinds of values and the envelope, `backups.py`, `restores.py` and `upkeep.py` the kinds,
`registry.py` the list of them; `reading.py` reads a line, `writing.py` refuses what a definition does not hold,
`schema.py` publishes them as JSON Schema.

To add a key: count the `version` up if a release has written the one before, and no number is used twice. To add a
kind: define it, and add a line to `registry.py`.
"""

from ccdr.evidence.records.access import AccessExported, AccessTested
from ccdr.evidence.records.approvals import ApprovalRefused, GlassBroken
from ccdr.evidence.records.backups import BackupEnd, BackupStart, Group, LogShipped
from ccdr.evidence.records.checkpoints import LedgerAnchored, LedgerAnchors, LedgerExported, LedgerKey, PackageEnd
from ccdr.evidence.records.controls import NegativeControlEnd, NegativeControlStart
from ccdr.evidence.records.copies import CopyEnd, CopyStart
from ccdr.evidence.records.erasures import ErasureAdd, ErasureReplay
from ccdr.evidence.records.examined import PlanExamined
from ccdr.evidence.records.incidents import IncidentOpened, IncidentRecovery
from ccdr.evidence.records.lineage import LedgerBegin, LedgerCollected, LedgerCompared, LedgerLinked, LedgerLost
from ccdr.evidence.records.object_locks import LockExtended
from ccdr.evidence.records.plans import PlanStored, PlanVersion
from ccdr.evidence.records.reading import decode, envelope, of_mapping, unknown
from ccdr.evidence.records.recovery import RecoverEnd, RecoverStart
from ccdr.evidence.records.registry import ALL, FIRST, KIND_OF, KINDS, VERSIONS
from ccdr.evidence.records.repository_keys import KeyAdded, KeyRemoved, KeySwitched, PasswordMade
from ccdr.evidence.records.restores import RestoreEnd, RestoreStart, TestEnd, TestStart
from ccdr.evidence.records.runbook import RunbookEnd, RunbookStart, RunbookStep
from ccdr.evidence.records.statements import StatementRecord
from ccdr.evidence.records.strict import strictly
from ccdr.evidence.records.upkeep import (
    CheckEnd,
    CheckStart,
    Duties,
    LedgerRecovered,
    LedgerVerified,
    MissedRuns,
    NotBegun,
    PruneEnd,
    PruneStart,
    SandboxReap,
    SkippedRuns,
    StateMigrated,
)
from ccdr.evidence.records.values import Record, Unread

__all__ = [
    "ALL",
    "FIRST",
    "KINDS",
    "KIND_OF",
    "VERSIONS",
    "AccessExported",
    "AccessTested",
    "ApprovalRefused",
    "BackupEnd",
    "BackupStart",
    "CheckEnd",
    "CheckStart",
    "CopyEnd",
    "CopyStart",
    "Duties",
    "ErasureAdd",
    "ErasureReplay",
    "GlassBroken",
    "Group",
    "IncidentOpened",
    "IncidentRecovery",
    "KeyAdded",
    "KeyRemoved",
    "KeySwitched",
    "LedgerAnchored",
    "LedgerAnchors",
    "LedgerBegin",
    "LedgerCollected",
    "LedgerCompared",
    "LedgerExported",
    "LedgerKey",
    "LedgerLinked",
    "LedgerLost",
    "LedgerRecovered",
    "LedgerVerified",
    "LockExtended",
    "LogShipped",
    "MissedRuns",
    "NegativeControlEnd",
    "NegativeControlStart",
    "NotBegun",
    "PackageEnd",
    "PasswordMade",
    "PlanExamined",
    "PlanStored",
    "PlanVersion",
    "PruneEnd",
    "PruneStart",
    "Record",
    "RecoverEnd",
    "RecoverStart",
    "RestoreEnd",
    "RestoreStart",
    "RunbookEnd",
    "RunbookStart",
    "RunbookStep",
    "SandboxReap",
    "SkippedRuns",
    "StateMigrated",
    "StatementRecord",
    "TestEnd",
    "TestStart",
    "Unread",
    "decode",
    "envelope",
    "of_mapping",
    "strictly",
    "unknown",
]
