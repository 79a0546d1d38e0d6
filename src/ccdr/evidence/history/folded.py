"""What is kept of the records of one asset, or of the care of one plan's repository: record by record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct, structs

from ccdr.evidence.acknowledged import known_by
from ccdr.evidence.deviations.values import Kept, take_entry
from ccdr.evidence.history.accesses import Unusual, answer_access
from ccdr.evidence.history.kinds import (
    CAUGHT,
    CLEAN,
    DAMAGED,
    DONE,
    FAILED,
    PASSED,
    START_OF,
    STORED,
    VERB_OF,
    VERDICTS,
)
from ccdr.evidence.incidents import Entry, Without, take_incident, take_recovery, told_of
from ccdr.evidence.pauses import PausedSpan, take_pause
from ccdr.evidence.records import (
    AccessTested,
    BackupEnd,
    BackupStart,
    CheckEnd,
    CopyEnd,
    Duties,
    ErasureAdd,
    ErasureReplay,
    GlassBroken,
    Group,
    IncidentOpened,
    IncidentRecovery,
    KeyAdded,
    KeyRemoved,
    KeySwitched,
    LedgerCompared,
    LockExtended,
    LogShipped,
    MissedRuns,
    NegativeControlEnd,
    NotBegun,
    PackageEnd,
    PasswordMade,
    PlanExamined,
    PlanStored,
    PlanVersion,
    PruneEnd,
    Record,
    RecoverEnd,
    RecoverStart,
    RestoreEnd,
    RestoreStart,
    RunbookEnd,
    RunbookStart,
    RunbookStep,
    StatementRecord,
    TestEnd,
    TestStart,
)
from ccdr.evidence.records.backups import StoredSnapshot
from ccdr.evidence.records.controls import DamageDone
from ccdr.evidence.records.repository_keys import KeyChanged
from ccdr.evidence.records.restores import LogRecovery, TestedSnapshot
from ccdr.evidence.records.statements import (
    ACKNOWLEDGE_TROUBLE,
    APPROVE_OPERATION,
    END_PAUSE,
    PAUSE_SCHEDULE,
    REVIEW_ACCESS,
    FindingRef,
    GlassBreak,
    Handover,
    MeasurePart,
    RegisterEntry,
    TroubleRef,
    VersionOfPlan,
)
from ccdr.evidence.records.values import RecordOrigin, Start
from ccdr.evidence.statements import MOST_NONCES, Operation, key_of, written_later
from ccdr.evidence.verdicts import (
    as_strict,
    blames_the_log,
    failed_again,
    log_fails,
    of_a_newer,
    of_the_newest,
    still_stands,
    whole_until,
)
from ccdr.model.access import Held
from ccdr.model.fetched import month_of
from ccdr.model.leaps import KNOWN, Growth
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import LATEST, PRIMARY, RULES, Verb
from ccdr.plans.facts import CheckFacts, PlanFacts

SUSPECT = Trouble.SNAPSHOT_SUSPECT.name
BROKEN, NOT_SHOWN = Held.BROKEN.value, Held.NOT_SHOWN.value
MOST_UNMENDED = 20  # failures that wait for a test of what had failed
MOST_NOT_CAUGHT = 20  # damages of one kind that wait for being caught: the newest
MOST_BESIDE = 100  # backups by ledgers beside ours that are kept: the newest that nobody disproves counts
MOST_RETURNED = 50  # hand-overs that are kept: those that wait for a review before all others
MOST_BROKEN = 50  # breaks of the glass, and prunes by one, of a plan: the newest
MOST_KEYS = 100  # passwords of a plan's repositories of which it is known that they came or went: the newest
# Troubles that are over with what went well since: whoever took note of one has not seen the next.
_ENDED_BY = {verb: [t.name for t in Trouble if t.row.ended_by is verb] for verb in Verb}
BY_HAND = "by_hand"  # the purpose of a replay on what stands somewhere
MOST_SIZES = 400  # days of a repository's size that are kept
MOST_MONTHS = 24  # of what tests fetched: one asks for this month, and a clock may have been ahead
Checks = Sequence[CheckFacts] | None  # by which a test was carried out; None where no version tells


class Placed(Protocol):
    """What tells where a record stands, without all that it holds."""

    @property
    def seq(self) -> int: ...
    @property
    def time(self) -> datetime: ...
    @property
    def kind(self) -> str: ...
    @property
    def order(self) -> float: ...
    @property
    def origin(self) -> RecordOrigin | None: ...
    @property
    def of_ledger(self) -> str | None: ...


class RecordPlace(Struct, frozen=True):
    """Where a record stands: its number in its own ledger, its order among all that are read."""

    seq: int
    time: datetime
    kind: str
    order: float
    origin: RecordOrigin | None

    @property
    def of_ledger(self) -> str | None:
        return self.origin.ledger if self.origin else None

    @property
    def foreign(self) -> bool:
        return self.origin is not None and not self.origin.ours


def place(record: Record) -> RecordPlace:
    return RecordPlace(record.seq, record.time, record.kind, record.order, record.origin)


class OpenRun(RecordPlace, frozen=True):
    """A start that has no end yet. `selection` of a test; `restore` and `recovery` where it is one of these."""

    plan: str | None
    asset: str | None
    run: str
    host: str
    selection: str | None = None
    restore: RestoreStart | None = None
    recovery: RecoverStart | None = None


def opened(record: Start) -> OpenRun:
    return OpenRun(
        record.seq,
        record.time,
        record.kind,
        record.order,
        record.origin,
        record.plan,
        record.asset,
        str(record.run),
        record.host,
        record.selection if isinstance(record, TestStart) else None,
        record if isinstance(record, RestoreStart) else None,
        record if isinstance(record, RecoverStart) else None,
    )


class Damage(RecordPlace, frozen=True):
    """What found a repository damaged. `closes`: so that it does not open; of a test its `snapshot`, and whether that
    was the newest."""

    closes: bool
    snapshot: str | None = None
    newest: bool = False


class FailedTest(Struct, frozen=True):
    """A test that failed, and what was checked then: by the plan's version."""

    test: TestEnd
    checks: tuple[CheckFacts, ...] | None


class BackupBeside(Struct, frozen=True):
    """A backup that a ledger beside ours tells of. `source` is a digest of what it is of."""

    consistent: datetime
    usable: datetime
    source: str | None
    upon: list[str]
    ours: bool


class RenewedSource(Struct, frozen=True):
    """Since when a source is another than before, as far as records tell: whether a backup of it was stored since, and
    whether that has come back in a test. `branch` of its log, by which it goes on."""

    since: datetime
    stored: bool = False
    shown: bool = False
    branch: int | None = None


class ReadPart(Struct, frozen=True):
    """When a part of a repository's data was last read, and what it was then."""

    time: datetime
    result: str


class DamagedBefore(Struct, frozen=True):
    """Parts that were found damaged before they came to be others: of how many, and since when."""

    parts: str
    of: int
    since: datetime


class LogTold(Struct, frozen=True):
    """The newest record of what was stored of an asset's log here; and the newest point that one tells of, and since
    when that could be restored."""

    seq: int
    time: datetime
    point: datetime | None = None
    usable: datetime | None = None


class Breaking(Struct, frozen=True):
    """A break of the glass, reviewed or not."""

    nonce: str
    operation: str
    time: datetime
    seq: int
    reviewed_by: str | None = None
    review: int | None = None


class GlassPrune(Struct, frozen=True):
    """What a prune by a broken glass removed: how many snapshots."""

    removed: int
    time: datetime
    seq: int


class RepositoryMove(Struct, frozen=True):
    """A repository lies elsewhere than before, by this record."""

    time: datetime
    order: float


class StatedRetention(Struct, frozen=True):
    """What a plan's version said of retention, in which time zone."""

    since: datetime
    rules: dict[str, float] | None
    timezone: str


class OpenRunbook(Struct):
    """A plan's runbook that has not ended here; by step what it came to last."""

    run: str
    begun: datetime
    steps: dict[str, RunbookStep] = {}


class DonePrune(Struct, frozen=True):
    """A prune that ended well; of what it removed, the number: which ones they were is a third of all that would be
    kept of a large contact centre, and nobody asks."""

    end: PruneEnd
    removed: int


class OtherRuns(Struct):
    """Of a plan: another host whose ledger lies beside ours: what its runs are asked for, and what they have done."""

    host: str
    until: datetime
    duties: dict[str, datetime] | None = None
    did: list[str] = []
    checks: dict[str, tuple[CheckFacts, ...]] = {}


class Tried(Struct, frozen=True):
    """Where the last test by a rule began, and for which due time."""

    order: float
    due: datetime | None


class RuleVerdict(Struct, frozen=True):
    """When the last conclusive test by a rule ended, and its verdict."""

    time: datetime
    verdict: str


class Replays(Struct):
    """What replays have shown of an entry of the register: the most that was found, how many snapshots that should hold
    it did not; somebody has stated that nobody is to be found by it; the newest instants (seconds since 1970) after the
    erasure at which the source held them still, and did not."""

    found: int = 0
    missing: int = 0
    stated: bool = False
    late: int = 0
    gone: int = 0


@dataclass(slots=True)  # an object of more than thirty fields is a third slower without
class FoldedRecords:
    """The newest records of one asset, or (with no asset) of a plan's upkeep.

    `proven` holds each tested snapshot's latest verdict on itself, in the order of these tests, `stored` where in the
    ledger each snapshot was stored (its record's order). Where ledgers lie beside ours, all that any of them tells; but
    what this host answers for, promises and acknowledges is its own.
    """

    first: datetime | None = None  # the earliest time of a record
    last_backup: BackupEnd | None = None
    last_good_backup: BackupEnd | None = None
    last_failed_backup: BackupEnd | None = None
    last_test: TestEnd | None = None
    last_conclusive_test: TestEnd | None = None
    # By how a test's snapshot was to be selected: the last one that began …
    tried: dict[str, Tried] = field(default_factory=dict)
    by_rule: dict[str, RuleVerdict] = field(default_factory=dict)  # … and the last conclusive one
    proven: dict[str, str] = field(default_factory=dict)
    # Snapshots that failed a test, wherever they were fetched from, for what they hold and not for what the repository
    # could not give back: as bad wherever they lie.
    captured_badly: list[str] = field(default_factory=list)
    stored: dict[str, float] = field(default_factory=dict)
    # Backups that ledgers beside ours tell of, not removed since, by id: the catalogue learns of them at a test.
    recorded_beside: dict[str, BackupBeside] = field(default_factory=dict)
    # Tests that failed, until one has passed that checks as much: one that checks less takes none of them back.
    unmended: list[FailedTest] = field(default_factory=list)
    checks_at_start: dict[str, tuple[CheckFacts, ...] | None] = field(default_factory=dict)  # of open tests, by run
    failure: TestEnd | None = None  # the test that failed, until one of a snapshot at least as new has passed
    log_failure: TestEnd | None = None  # the recovery by the log that failed, until one that goes as far has passed
    log_stop: LogRecovery | None = None  # the same, or one that found in the log what cannot be applied
    open_runs: dict[str, OpenRun] = field(default_factory=dict)  # starts without an end, by run, in order …
    at_work: list[str] = field(
        default_factory=list
    )  # … and those of these that have not crashed; empty in what is kept
    last_latest_pass: TestEnd | None = None  # the newest test of `latest` that passed
    # Of a plan: the newest check that found the repository damaged, or whatever run found that it does not open for
    # damage; of an asset: the newest test that found it damaged.
    last_damage: Damage | None = None
    parts: int = 0  # of a plan: into how many parts its checks divide the data …
    read: dict[str, ReadPart] = field(default_factory=dict)  # … and when each was last read
    damaged_before: DamagedBefore | None = None
    cycle: list[str] = field(default_factory=list)  # parts read since the last one that was read twice
    last_done_prune: DonePrune | None = None  # of a plan
    last_copy: CopyEnd | None = None  # of a plan's copy: the newest that tells what is there
    tests: int = 0  # restore tests of an asset that have ended, wherever it was fetched from
    tests_then: int = 0  # of an asset at a copy: how many its own repository had seen, when it was last tested there
    # Of negative controls, by what was damaged: where in the ledger the last one ended, however …
    controls: dict[str, float] = field(default_factory=dict)
    # … and those of which the damaged copy passed, until one of the same damage is caught: the newest of each; by its
    # kind alone the one that is done again next.
    not_caught: dict[str, NegativeControlEnd] = field(default_factory=dict)
    # Of its backups that count, the newest: what restic counted of each, of which source; and the digest of each of the
    # owner's canaries, by name, as it is to be.
    grown: list[Growth] = field(default_factory=list)
    grown_of: str | None = None
    canaries: dict[str, str] = field(default_factory=dict)
    # The backup that looks as if somebody had encrypted its data, until that is acknowledged: none counts from there on
    suspect: BackupEnd | None = None
    suspected: list[str] = field(default_factory=list)  # … by id
    # The number of the server that its backups are of, as somebody agreed, or as the first one had it; and the newest
    # backup of another, until somebody agrees.
    server: str | None = None
    other_cluster: BackupEnd | None = None
    controlled: NegativeControlEnd | None = None
    last_control: NegativeControlEnd | None = None  # the newest that has shown anything
    restored: RestoreEnd | None = None
    # Of a plan: what runs here were asked for (verbs), and since when; and the record that says so.
    duties: dict[str, datetime] | None = None
    asked: Duties | None = None
    missed: int = 0  # due times that passed without a try …
    last_missed: MissedRuns | None = None  # … and the newest record of such
    sizes: dict[str, int] = field(default_factory=dict)  # of a plan's repository: the last of a day, bytes
    begun_here: bool = False  # was a backup of it?
    others: dict[str, OtherRuns] = field(default_factory=dict)  # of a plan, by the ledgers that lie beside ours
    # Bytes that its restore tests fetched, by month (`2026-11`, UTC): of the newest ones.
    fetched: dict[str, int] = field(default_factory=dict)
    # Snapshots that were gone when its repository was last looked at, and when each was first missed.
    vanished: dict[str, datetime] = field(default_factory=dict)
    # Of a plan: the newest of each of these …
    version: PlanVersion | None = None
    files_stored: PlanStored | None = None
    examined: PlanExamined | None = None
    pruned: PruneEnd | None = None
    checked: CheckEnd | None = None
    copied: CopyEnd | None = None
    packaged: PackageEnd | None = None
    recovered: RecoverEnd | None = None
    compared: LedgerCompared | None = None
    trial: AccessTested | None = None
    broken_promises: dict[str, AccessTested] = field(default_factory=dict)  # by the promise
    review: StatementRecord | None = None  # of who has access
    approval: StatementRecord | None = None
    approval_before: StatementRecord | None = None  # the newest before the newest that asked for approvals
    approval_used: StatementRecord | None = None
    key_switched: KeySwitched | None = None
    locks: dict[str, LockExtended] = field(default_factory=dict)  # by the repository …
    locks_done: dict[str, LockExtended] = field(default_factory=dict)  # … and those that ended well
    not_begun: dict[str, NotBegun] = field(default_factory=dict)  # by verb
    groups: dict[str, Group] = field(default_factory=dict)
    # Of a plan: what its versions here said of retention.
    retentions: list[StatedRetention] = field(default_factory=list)
    # … and where each of its repositories lies (a digest of the address, by what records call it).
    addresses: dict[str, str] = field(default_factory=dict)
    moved: dict[str, RepositoryMove] = field(default_factory=dict)
    acks: dict[str, StatementRecord] = field(default_factory=dict)  # the newest acknowledgement, by its trouble's code
    log: LogTold | None = None
    renewed: RenewedSource | None = None
    source_away: datetime | None = None  # since when its backups fail since nobody answers where the source is to be
    # Records that nothing here was taken from, by why: how many, and where the last one stands.
    passed_over: dict[str, tuple[int, int]] = field(default_factory=dict)
    runbook: OpenRunbook | None = None  # of a plan
    runbook_ended: RunbookEnd | None = None
    # Of the host: lines that were changed, and nobody has answered for, by the number that each bore; whose ledger's.
    spoilt: list[tuple[str | None, int]] = field(default_factory=list)
    nonces: list[str] = field(default_factory=list)  # of a plan: of requests that were carried out, newest last
    glass: dict[str, GlassBroken] = field(default_factory=dict)  # of a plan: broken, by their nonces …
    glass_reviews: dict[str, StatementRecord] = field(default_factory=dict)  # … and the newest review of each
    broken: list[Breaking] = field(default_factory=list)  # … and the newest of all
    # Of a plan: was the glass broken for a prune that has not ended well yet? And what prunes by one removed.
    glass_to_prune: bool = False
    pruned_by_glass: list[GlassPrune] = field(default_factory=list)
    attested: dict[str, StatementRecord] = field(default_factory=dict)  # of the host: the newest of each declaration
    # What would be in force, but for its signature, which is not by who may sign: none of it is above. As it was
    # verified for whoever asks (`ccdr.jobs.statements`): no summary has it.
    refused: list[StatementRecord] = field(default_factory=list)
    pauses: list[PausedSpan] = field(default_factory=list)  # of a plan: the newest

    # Of a plan: the newest recovery that brought back every asset that it had then; and of each asset that the newest
    # one of it did not bring back, where that stands.
    whole_recovery: RecoverEnd | None = None
    not_recovered: dict[str, RecordPlace] = field(default_factory=dict)
    # Of a plan: its incidents by their names, the closed ones up to a point, as `incidents.py` has them; and recoveries
    # that none of them tells of.
    incidents: dict[str, Entry] = field(default_factory=dict)
    without_incident: Without = field(default_factory=list)

    # What was handed over though erased people may be in it: by the number of each replay's record its time …
    returned: dict[str, datetime] = field(default_factory=dict)
    handover_reviews: dict[str, StatementRecord] = field(default_factory=dict)  # … and the newest review of each
    looked_for: dict[str, Replays] = field(default_factory=dict)  # by the entry of the register of erasures
    erasure_added: ErasureAdd | None = None  # the newest of each
    replayed: ErasureReplay | None = None
    stated_of_nobody: StatementRecord | None = None
    # The replay that failed, until one of what is at least as new has not.
    replay_failed: ErasureReplay | None = None

    # Of a plan: keys of its repositories, by id: when each was added, as far as records tell, and where that stands …
    repository_keys: list[str] = field(default_factory=list)
    removed_keys: list[str] = field(default_factory=list)  # … and those that were removed since
    fast_keys: dict[str, str] = field(default_factory=dict)  # that ccdr has made, with restic's own for the password
    made_passwords: list[str] = field(default_factory=list)  # what ccdr made itself here, by its digests: the newest

    # Of a plan: since when somebody came near its data; who and what did so far (hosts, users, keys), by what it is …
    access_since: datetime | None = None
    accesses: dict[str, list[str]] = field(default_factory=dict)
    unusual: list[Unusual] = field(default_factory=list)  # … and what of that nobody has answered for: accesses.py

    # What went wrong, and what people have said of it.
    deviations: Kept = field(default_factory=Kept)

    @property
    def facts(self) -> PlanFacts | None:
        """Of a plan: what its version in force promises."""
        return self.version.facts if self.version else None

    def pass_over(self, why: str, seq: int) -> None:
        count, _ = self.passed_over.get(why, (0, 0))
        self.passed_over[why] = count + 1, seq

    def take(self, record: Record, checks: tuple[CheckFacts, ...] | None = None) -> None:
        """`checks`: of a test, by the plan's version in force, as its record has them; None where none is known."""
        if self.first is None or record.time < self.first:  # a clock may have been ahead
            self.first = record.time
        if isinstance(record, Start) and not isinstance(record, RunbookStart):
            self._take_start(record, checks)
            return
        run = self.open_runs.pop(str(record.run), None) if record.kind in START_OF else None
        match record:  # the kinds that there are millions of come first
            case BackupEnd():
                self._take_backup(record)
            case LogShipped():
                self._take_log(record)
            case TestEnd():
                self._take_test_end(record, checks, run.selection if run else None)
            case MissedRuns():
                self.missed, self.last_missed = self.missed + record.count, record
            case NegativeControlEnd():
                self.controlled = record
                self._take_fetched(record)
                self._take_control(record)
            case RestoreEnd():
                self.restored = record
                self._take_log_stop(record.recovery)
            case RecoverEnd():
                self.recovered = record
                self._take_recovery(record)
            case PruneEnd():
                self._take_prune(record)
            case CheckEnd():
                self._take_check(record)
            case CopyEnd():
                self.copied = record
                if record.there is not None:
                    self.last_copy = record
            case PackageEnd():
                self.packaged = record
            case StatementRecord():
                self._take_statement(record)
            case _:
                self._take_single(record)

    def _end_acks(self, verb: Verb) -> None:
        for code in _ENDED_BY[verb]:
            self.acks.pop(code, None)

    def _take_single(self, record: Record) -> None:
        """A record that stands for itself."""
        match record:
            case NotBegun():
                self.not_begun[record.verb] = record
            case Group():
                self.groups[record.group] = record
            case Duties():
                before = self.duties or {}
                self.duties, self.asked = {verb: before.get(verb, record.time) for verb in record.verbs}, record
            case PlanVersion():
                self._take_version(record)
            case PlanStored():
                self.files_stored = record
            case PlanExamined():
                self.examined = record
            case AccessTested():
                self._take_trial(record)
            case GlassBroken():
                self._take_glass(record)
            case ErasureAdd() | ErasureReplay():
                self._take_erasure(record)
            case KeyAdded() | KeyRemoved():
                self._take_key(record)
            case KeySwitched():
                self.key_switched = record
            case PasswordMade():
                self.made_passwords = [*self.made_passwords, record.password][-MOST_KEYS:]
            case LockExtended():
                self.locks[record.repository] = record
                if record.result == DONE:
                    self.locks_done[record.repository] = record
            case IncidentOpened() | IncidentRecovery():
                take_incident(self.incidents, record)
                self.without_incident = told_of(self.without_incident, record.recovery)
            case RunbookStart() | RunbookStep() | RunbookEnd():
                self._take_runbook(record)
            case _:
                pass

    def _take_statement(self, record: StatementRecord) -> None:
        row, about = record.row, record.about
        match about:
            case TroubleRef():
                self.acks[about.code] = record
                if row is ACKNOWLEDGE_TROUBLE:
                    self._take_answer(about)
                    answer_access(self, about)
            case MeasurePart():
                if written_later(record, self.attested.get(key_of(about))):
                    self.attested[key_of(about)] = record
            case VersionOfPlan():
                if written_later(record, before := self.approval):
                    if before is not None and isinstance(before.about, VersionOfPlan) and before.about.asks:
                        self.approval_before = before
                    self.approval = record
            case GlassBreak():
                self._take_glass_review(record, about)
            case Handover():
                self._take_handover_review(record, about)
            case RegisterEntry():
                self.looked_for.setdefault(about.entry, Replays()).stated = True
                self.stated_of_nobody = record
            case FindingRef():
                take_entry(self.deviations.said, record, about)
            case _ if row is REVIEW_ACCESS:
                if written_later(record, self.review):
                    self.review = record
            case _ if row is APPROVE_OPERATION:
                self.nonces = [*(one for one in self.nonces if one != record.nonce), record.nonce][-MOST_NONCES:]
                self.approval_used = record
            case _ if row in (PAUSE_SCHEDULE, END_PAUSE):
                take_pause(self.pauses, record)
            case _:
                take_incident(self.incidents, record)

    def _take_start(self, record: Start, checks: tuple[CheckFacts, ...] | None) -> None:
        self.open_runs[str(record.run)] = opened(record)
        if isinstance(record, BackupStart) and not self.begun_here:
            self.begun_here = not record.foreign
        if isinstance(record, TestStart):
            self.checks_at_start[record.run] = checks
            if record.selection in RULES:
                self.tried[record.selection] = Tried(record.order, None if record.foreign else record.trigger.due)

    def _take_version(self, record: PlanVersion) -> None:
        self.version, facts = record, record.facts
        last = self.retentions[-1] if self.retentions else None
        if last is None or (last.rules, last.timezone) != (facts.retention, facts.timezone):
            self.retentions.append(StatedRetention(record.time, facts.retention, facts.timezone))
        there = {PRIMARY: facts.repository} | {name: of.repository for name, of in facts.copies.items()}
        for name, of in there.items():
            if self.addresses.get(name, of.location) != of.location:
                self.moved[name] = RepositoryMove(record.time, record.order)
            self.addresses[name] = of.location

    def _take_glass(self, record: GlassBroken) -> None:
        self.glass[record.nonce] = record
        one = Breaking(record.nonce, record.operation, record.time, record.seq)
        self.broken = [*self.broken, one][-MOST_BROKEN:]
        self.glass_to_prune = self.glass_to_prune or record.operation == Operation.PRUNE.value

    def _take_glass_review(self, record: StatementRecord, about: GlassBreak) -> None:
        if about.glass in self.glass:
            self.glass_reviews[about.glass] = record
        for done in [*self.glass_reviews][:-MOST_BROKEN]:
            del self.glass[done], self.glass_reviews[done]
        by = record.by.name if record.by else None
        self.broken = [
            structs.replace(one, reviewed_by=by, review=record.seq) if one.nonce == about.glass else one
            for one in self.broken
        ]

    def _take_prune(self, record: PruneEnd) -> None:
        """What a prune by a broken glass left to be counted, the next one that ends well counts."""
        removed, done = len(record.removed), record.result == DONE
        self._take_size(record)
        self.pruned = structs.replace(record, removed=[])
        if done:
            self.last_done_prune = DonePrune(self.pruned, removed)
            self._end_acks(Verb.PRUNE)
        if self.glass_to_prune and not record.foreign:
            if removed:
                one = GlassPrune(removed, record.time, record.seq)
                self.pruned_by_glass = [*self.pruned_by_glass, one][-MOST_BROKEN:]
            self.glass_to_prune = not done

    def _take_handover_review(self, record: StatementRecord, about: Handover) -> None:
        if self.returned.get(str(about.replay)) == about.at:
            self.handover_reviews[str(about.replay)] = record

    def _take_erasure(self, record: ErasureAdd | ErasureReplay) -> None:
        if isinstance(record, ErasureReplay):
            self.replayed = record
            self._take_replay(record)
            return
        self.erasure_added = record
        if record.withdraws is None:
            self.looked_for[record.entry] = Replays()  # also of a register that was begun anew
        else:
            self.looked_for.pop(record.withdraws, None)

    def _take_replay(self, record: ErasureReplay) -> None:
        if record.result == FAILED:
            if not _points_further(self.replay_failed, record):
                self.replay_failed = record
        elif self.replay_failed is not None and self._replayed_since(self.replay_failed, record):
            self.replay_failed = None
        if record.handed_over:
            self.returned[str(record.seq)] = record.time
            if len(self.returned) > MOST_RETURNED:
                oldest = next((one for one in self.returned if one in self.handover_reviews), next(iter(self.returned)))
                del self.returned[oldest]
                self.handover_reviews.pop(oldest, None)
        for one in record.found:
            of = self.looked_for.setdefault(one.id, Replays())
            of.found = max(of.found, one.found_before)
        for entry in record.missing:
            self.looked_for.setdefault(entry, Replays()).missing += 1
        if record.result != FAILED and record.point is not None:
            late, at = {one.id for one in record.found if one.late}, math.ceil(record.point.timestamp())
            for entry, of in self.looked_for.items():
                if entry in late:
                    of.late = max(of.late, at)
                else:
                    of.gone = max(of.gone, at)

    def _replayed_since(self, failed: ErasureReplay, record: ErasureReplay) -> bool:
        """Is it of what is at least as new? Of what stands somewhere, or came back in part, nothing tells the time."""
        if record.point is None:
            return failed.purpose == record.purpose == BY_HAND
        if failed.point is not None:
            return record.point >= failed.point
        before, now = (self.stored.get(str(of.snapshot)) for of in (failed, record))
        return before is None or (now is not None and now >= before)

    def _take_key(self, record: KeyChanged) -> None:
        key = record.key
        self.repository_keys = [one for one in self.repository_keys if one != key]
        self.removed_keys = [one for one in self.removed_keys if one != key]
        self.fast_keys.pop(key, None)
        if isinstance(record, KeyAdded):
            if record.twin_of:
                self.fast_keys[key] = record.twin_of
            self.repository_keys = [*self.repository_keys, key][-MOST_KEYS:]
        else:
            self.removed_keys = [*self.removed_keys, key][-MOST_KEYS:]

    def _take_trial(self, record: AccessTested) -> None:
        """What was broken at a repository stays so until somebody could try it there again."""
        self.trial = record
        for one in record.promises:
            before = self.broken_promises.get(one.promise)
            if one.result == BROKEN:
                self.broken_promises[one.promise] = record
            elif one.result != NOT_SHOWN and before is not None and before.repository == record.repository:
                del self.broken_promises[one.promise]

    def take_recovery(self, record: Start) -> None:
        """Of a plan: something of it is brought back for real."""
        self.without_incident = take_recovery(self.without_incident, self.incidents, record)

    def nothing_done(self, run: str | None) -> None:
        """Of a plan: in a run that was to bring something back."""
        self.without_incident = told_of(self.without_incident, run)

    def _take_runbook(self, record: RunbookStart | RunbookStep | RunbookEnd) -> None:
        """Of the run that is open; one that is begun anew stands for those before it."""
        is_open = self.runbook is not None and self.runbook.run == record.run
        if isinstance(record, RunbookStart):
            self.runbook = OpenRunbook(record.run, record.time, {})
        elif isinstance(record, RunbookEnd):
            self.runbook_ended = record
            if is_open:
                self.runbook = None
        elif self.runbook is not None and is_open:
            self.runbook.steps[record.step] = record

    def _take_backup(self, record: BackupEnd) -> None:
        self.begun_here = self.begun_here or not record.foreign
        self.last_backup = record
        self.source_away = (self.source_away or record.time) if record.source == "away" else None
        if record.result == STORED and (snapshot := record.snapshot) is not None:
            self.last_good_backup = record
            self._end_acks(Verb.BACKUP)
            self._take_growth(record, snapshot)
            self._take_server(record)
            self._backed_up_anew(snapshot)
            self.stored[snapshot.id] = record.order
            if record.origin is not None:
                self._take_beside(record, snapshot)
        else:
            self.last_failed_backup = record

    def _take_server(self, record: BackupEnd) -> None:
        number = record.server
        if number is None:
            return
        if self.server in (None, number) or record.made_by_recovery:
            self.server, self.other_cluster = number, None
        else:
            self.other_cluster = record

    def _take_growth(self, record: BackupEnd, snapshot: StoredSnapshot, *, answered: bool = False) -> None:
        """What looks like an attack is nothing to judge others by, nor is what came after it. `answered`: somebody has
        looked at it."""
        if record.suspect and self.suspect is None and not answered:
            self.suspect = record
        if self.suspect is not None:
            self.suspected.append(snapshot.id)
            return
        if snapshot.source_sha256 != self.grown_of:
            self.grown, self.grown_of = [], snapshot.source_sha256
        if growth := record.growth:
            self.grown = [*self.grown, Growth(**structs.asdict(growth))][-KNOWN:]
        self.canaries |= {name: digest for name, digest in record.canaries.items() if digest}

    def _take_answer(self, about: TroubleRef) -> None:
        """Somebody has looked, and says that all is well with it: what there is now is as it is to be."""
        other = self.other_cluster
        if other is not None and about.code == Trouble.OTHER_CLUSTER.name:
            number = str(other.server)
            if known_by(Problem(Trouble.OTHER_CLUSTER, "", about=number)) in about.known_by:
                self.server, self.other_cluster = number, None
        of = self.suspect
        if of is None or about.code != SUSPECT or answer_to(of) not in about.known_by:
            return
        self.suspect, self.suspected, self.grown, self.canaries = None, [], [], {}
        if (last := self.last_good_backup) is not None and last.snapshot is not None:
            self._take_growth(last, last.snapshot, answered=True)

    def _take_beside(self, record: BackupEnd, stored: StoredSnapshot) -> None:
        self.recorded_beside[stored.id] = BackupBeside(
            whole_until(stored), record.time, stored.source_sha256, stored.upon, not record.foreign
        )
        while len(self.recorded_beside) > MOST_BESIDE:
            del self.recorded_beside[next(iter(self.recorded_beside))]

    def _take_test_end(self, record: TestEnd, checks: tuple[CheckFacts, ...] | None, asked: str | None) -> None:
        """`asked`: how a snapshot was to be selected, which says it of a test that found none."""
        self.tests += 1
        self._take_fetched(record)
        begun = self.checks_at_start.pop(record.run, checks)  # by which it was carried out, whatever was changed since
        if record.verdict in VERDICTS:
            self._take_test(record, begun, asked)

    def _take_test(self, record: TestEnd, checks: tuple[CheckFacts, ...] | None, asked: str | None) -> None:
        self.last_test, snapshot = record, record.snapshot
        if record.verdict != "INCONCLUSIVE":
            self.last_conclusive_test = record
            self._tested_anew(snapshot)
            rule = snapshot.selected if snapshot else asked
            if rule in RULES:
                self.by_rule[rule] = RuleVerdict(record.time, record.verdict)
        if snapshot is not None and snapshot.verdict in ("PASS", "FAIL"):
            self.proven.pop(snapshot.id, None)  # so that the newest verdict stands last
            self.proven[snapshot.id] = snapshot.verdict
        if record.verdict == "PASS" and of_the_newest(record):
            self.last_latest_pass = record
        if record.damaged:
            self.last_damage = damage(record)
        failed = log_fails(self.log_failure.recovery if self.log_failure else None, record.recovery)
        if failed is not None:
            self.log_failure = record if failed else None
        self._take_log_stop(record.recovery)
        self._take_verdict(record, checks)

    def _take_log_stop(self, recovery: LogRecovery | None) -> None:
        if (stops := log_fails(self.log_stop, recovery, stops=True)) is not None:
            self.log_stop = recovery if stops else None

    def _take_verdict(self, record: TestEnd, checks: tuple[CheckFacts, ...] | None) -> None:
        """A good old snapshot says nothing of a newer one that failed; nor a log that is bad of its base."""
        if record.verdict == "FAIL" and not blames_the_log(record) and not of_a_newer(self.failure, record):
            self.failure = record
            left = [one for one in self.unmended if one.checks != checks or not failed_again(one.test, record)]
            self.unmended = [*left, FailedTest(record, checks)][-MOST_UNMENDED:]
        elif record.verdict == "PASS":
            newest = record.snapshot is not None and record.snapshot.selected == LATEST
            if newest or not still_stands(self.failure, record):
                self.unmended = [
                    one
                    for one in self.unmended
                    if not as_strict(one.test, one.checks, checks) or (not newest and still_stands(one.test, record))
                ]
                self.failure = None
                self._end_acks(Verb.TEST)

    def _take_fetched(self, record: TestEnd | NegativeControlEnd) -> None:
        if (size := record.bytes_restored) is not None:
            month = month_of(record.time)
            self.fetched[month] = self.fetched.get(month, 0) + size
            for old in sorted(self.fetched)[:-MOST_MONTHS]:
                del self.fetched[old]

    def _take_check(self, record: CheckEnd) -> None:
        self.checked = record
        self._take_size(record)
        if record.result not in (CLEAN, DAMAGED):
            return
        if record.result == DAMAGED:
            self.last_damage = damage(record)
        else:
            self._end_acks(Verb.CHECK)
        if record.parts != self.parts:
            if damaged := self.damaged_parts:
                since = min(self.read[part].time for part in damaged)
                before = DamagedBefore(", ".join(damaged), self.parts, since)
                self.damaged_before = self.damaged_before or before
            self.parts, self.read, self.cycle = record.parts, {}, []
        for part in map(str, range(1, record.parts + 1) if record.all_data else (record.part or 1,)):
            if part in self.cycle:
                self.cycle = []
            self.cycle.append(part)
            self.read[part] = ReadPart(record.time, record.result)
        if record.all_data:
            self.cycle = sorted(self.read, key=int)
        if len(self.read) == self.parts and not self.damaged_parts:
            self.damaged_before = None  # wherever it was, all has been read since

    @property
    def damaged_parts(self) -> list[str]:
        """Of a plan: parts of the repository's data that were found damaged, and not read clean since."""
        return sorted((part for part, one in self.read.items() if one.result == DAMAGED), key=int)

    def renew(self, time: datetime, branch: int | None = None) -> None:
        """Its source began anew then, or goes on by that branch of its log. A backup may be of it, and have come back,
        before anybody has told of it."""
        self.renewed = RenewedSource(time, branch=branch)
        if self.last_good_backup is not None and self.last_good_backup.snapshot is not None:
            self._backed_up_anew(self.last_good_backup.snapshot)
        if self.last_conclusive_test is not None:
            self._tested_anew(self.last_conclusive_test.snapshot)

    def _backed_up_anew(self, snapshot: StoredSnapshot) -> None:
        """A backup was stored: of the source as it is now? It says of which branch it is, whenever anybody told of
        that; else its time says it."""
        renewed, point = self.renewed, snapshot.consistent_point
        if renewed is None:
            return
        if renewed.branch is None:
            if point >= renewed.since:
                self.renewed = structs.replace(renewed, stored=True)
        elif snapshot.branch == renewed.branch:
            since = renewed.since if renewed.stored else point
            self.renewed = structs.replace(renewed, since=since, stored=True)

    def _tested_anew(self, snapshot: TestedSnapshot | None) -> None:
        """A test had a verdict: of the source as it is now?"""
        renewed = self.renewed
        if renewed is None or snapshot is None or snapshot.consistent_point < renewed.since:
            return
        if renewed.branch is None or renewed.stored:
            self.renewed = structs.replace(renewed, shown=True)

    def _take_control(self, record: NegativeControlEnd) -> None:
        shown = record.result in (CAUGHT, PASSED)
        if shown:
            self.last_control = record
        if (done := record.damage) is not None:
            self.controls[done.kind] = record.order
            if shown:
                self._take_damage(record, done)

    def _take_damage(self, record: NegativeControlEnd, done: DamageDone) -> None:
        kind = done.kind
        of_kind = [one for one in self.not_caught.values() if one.damage and one.damage.kind == kind]
        left = [one for one in of_kind if not _same_damage(one, done)]
        if record.result == PASSED:
            left = [*left, record][-MOST_NOT_CAUGHT:]
        others = {name: one for name, one in self.not_caught.items() if one not in of_kind}
        self.not_caught = others | {f"{kind} {one.order}" if n else kind: one for n, one in enumerate(left)}

    def _take_recovery(self, record: RecoverEnd) -> None:
        done = {one.asset for one in record.assets if one.state == "done"}
        whole = self.whole_recovery.assets if self.whole_recovery else ()
        named = self.facts.assets if self.facts is not None else [one.asset for one in whole]
        if record.state == "done" and done.issuperset(named):
            self.whole_recovery = record
        for one in record.assets:
            self.not_recovered.pop(one.asset, None)
            if one.state != "done":
                self.not_recovered[one.asset] = place(record)

    def _take_log(self, record: LogShipped) -> None:
        if record.anew is not None:
            self.renew(record.anew)
        elif record.branch is not None:
            self.renew(record.time, record.branch)
        known = self.log if record.anew is None else None
        point, usable = (known.point, known.usable) if known else (None, None)
        if record.points:
            point, usable = (record.since + timedelta(seconds=seconds) for seconds in record.points[-1])
        self.log = LogTold(record.seq, record.time, point, usable)

    def _take_size(self, record: CheckEnd | PruneEnd) -> None:
        if record.repository_bytes is not None:
            self.sizes[f"{record.time:%Y-%m-%d}"] = record.repository_bytes
            while len(self.sizes) > MOST_SIZES:
                del self.sizes[min(self.sizes)]

    def take_another_host(self, record: Record, origin: RecordOrigin) -> None:
        """Of a plan: what a record of another host tells of that host."""
        of = self.others.setdefault(origin.ledger, OtherRuns(origin.host, origin.until, None, [], {}))
        of.host, of.until = origin.host, origin.until
        if isinstance(record, Duties):
            before = of.duties or {}
            of.duties = {verb: before.get(verb, record.time) for verb in record.verbs}
        elif isinstance(record, PlanVersion):
            of.checks = {asset: facts.checks for asset, facts in record.facts.assets.items()}
        elif (verb := VERB_OF.get(record.kind)) and verb not in of.did:
            of.did.append(verb)

    def take_capture(self, snapshot: str, *, bad: bool) -> None:
        """What a test has shown of a snapshot that is the same wherever it lies."""
        if bad and snapshot not in self.captured_badly:
            self.captured_badly.append(snapshot)
        elif not bad and snapshot in self.captured_badly:
            self.captured_badly.remove(snapshot)

    def forget(self, snapshot_id: str, *, ours: bool = True) -> None:
        """Retention removed it: nothing has to be known of it any more. That another host's has, its ledger says, which
        takes no FAIL back: should it be there all the same, it counts no more than before."""
        if ours or self.proven.get(snapshot_id) != "FAIL":
            self.proven.pop(snapshot_id, None)
        self.stored.pop(snapshot_id, None)
        self.recorded_beside.pop(snapshot_id, None)
        self.vanished.pop(snapshot_id, None)


def damage(record: Record, *, closes: bool = False) -> Damage:
    test = record if isinstance(record, TestEnd) else None
    return Damage(
        record.seq,
        record.time,
        record.kind,
        record.order,
        record.origin,
        closes,
        test.snapshot.id if test and test.snapshot else None,
        test is not None and of_the_newest(test),
    )


def _same_damage(missed: NegativeControlEnd, done: DamageDone) -> bool:
    """Was it done to the same table, or (of a file, a key) by the same choice? What one table's checks find, another's
    need not."""
    before = missed.damage
    return before is not None and (before.seed == done.seed or (before.table or "") == done.table)


def _points_further(failed: ErasureReplay | None, record: ErasureReplay) -> bool:
    """Is the one that failed before of a newer state?"""
    before, now = failed.point if failed else None, record.point
    return before is not None and now is not None and before > now


def answer_to(suspect: BackupEnd) -> str:
    """By which an acknowledgement names it."""
    return known_by(Problem(Trouble.SNAPSHOT_SUSPECT, "", about=suspect.run))
