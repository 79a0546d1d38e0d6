"""The document of `ccdr report`, as types down to its leaves: its published schema is made from these."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Struct

from ccdr.cli.control_documents import Measures
from ccdr.cli.deviation_documents import DeviationDocument
from ccdr.cli.document_base import Doc, Text, Time, list_of, record_of
from ccdr.cli.incident.documents import ListedIncident
from ccdr.evidence.records.values import ObjectiveVerdict, RecordedUser
from ccdr.model.kinds import about
from ccdr.telling.report.noted import Noted

Level = Literal["FINE", "NOTE", "NEAR", "LATE", "UNPROVEN", "LOST"]
What = Literal["backup", "test", "negative_control", "prune", "check", "copy", "restore", "recover", "runbook"]
Row = Annotated[
    str,
    about(
        "backup, test, negative_control, prune, check, copy, restore, recover, runbook; or the kind of a record that "
        "is no run"
    ),
]
Known = Annotated[str | None, about("RFC 3339, UTC; null where it is not known, or there is none")]
Seconds = Annotated[float | None, about("seconds; null: infinite, or not measured")]
Bytes = Annotated[int | None, about("bytes; null: not known")]


class ReportAnswer(Doc):
    """Can the contact centre be brought back? Of the period's end, and over the period."""

    word: str
    level: Level
    sentence: str
    over_the_period: str


class ReportPeriod(Doc, rename={"from_": "from"}):
    from_: Annotated[str, about("RFC 3339, UTC")]
    to: Time
    until_now: bool
    timezone: Literal["UTC"]


class ReportMade(Doc):
    at: Time
    by: str
    host: str
    command: str
    version: Annotated[str, about("of ccdr")]


class ReportCompared(Doc):
    """What the last comparison with a plan's repository found."""

    compared: Time
    ok: bool
    snapshots: int
    newest: Annotated[int, about("the greatest record number that a snapshot there attests")]
    problems: list[str]


class ReportLost(Doc):
    """A ledger of this installation's that is gone: its id, and the last record of it that is known of."""

    ledger: str
    seq: int
    head: str
    since: Time


class ReportPast(ReportLost, kw_only=True):
    """… that somebody has answered for: when, and by which kind of record."""

    answered: Time
    by: str


class ReportSpoilt(Doc):
    """A line that was changed, and set aside in `file`; `answer` is the record that answers for it, 0: nobody has."""

    seq: int
    at: Time
    file: str
    answer: int
    answered: str


class ReportLineage(Doc):
    id: Text
    begun: Known
    lost: list[ReportLost]
    past: list[ReportPast]
    spoilt: list[ReportSpoilt]
    repositories: Annotated[dict[str, ReportCompared], about("by plan")]


class ReportAttested(Doc):
    snapshots: int
    newest: int
    agrees: bool


class ReportBeside(Doc):
    """A ledger beside this one, and what shows that it is what it was."""

    ledger: str
    host: str
    records: int
    known_until: Time
    lost_here: bool
    apart: list[str]
    head: str
    believed: Annotated[bool, about("all of it was verified for this report, and held")]
    attested: ReportAttested
    repositories: Annotated[dict[str, ReportCompared], about("by plan")]


class ReportBefore(Doc):
    """Up to where the daily verification vouches: its record's number."""

    upto: int
    at: Time
    record: int


class AnchorDocument(Doc):
    """One that is configured. `records`, `at`: the newest checkpoint that it holds."""

    name: str
    kind: str
    every_s: Annotated[float, about("seconds")]
    records: int | None
    at: Known
    overdue: bool
    tried_in_vain: Annotated[int, about("since it last held one")]
    independent_for: Annotated[str, about("who can verify by it what root on the host cannot have made")]


class AnchorBoundaryDocument(Doc):
    """A change before record `record` shows."""

    record: int
    anchor: str
    kind: str
    at: Time
    independent_for: Annotated[str, about("to whom")]


class AnchorChangeDocument(Doc):
    record: int
    at: Time
    text: str


class ReportAnchors(Doc):
    """Who else holds the ledger's checkpoints, as of when the report was made."""

    signed: Annotated[bool, about("does a key sign this ledger?")]
    configured: list[AnchorDocument]
    boundary: Annotated[AnchorBoundaryDocument | None, about("the furthest")]
    boundaries: Annotated[list[AnchorBoundaryDocument], about("the newest of each kind")]
    mistake: Annotated[str | None, about("why anchors.yaml could not be read")]
    loosened: Annotated[list[AnchorChangeDocument], about("within the period: what left less evidence")]


class ReportLedger(Doc):
    directory: str
    ok: bool
    records: int
    head: str
    first: Known
    last: Known
    problems: list[str]
    lineage: ReportLineage
    lost_before: list[str]
    beside: list[ReportBeside]
    notes: list[str]
    torn_bytes: int
    anchors: ReportAnchors | None
    verified_before: Annotated[ReportBefore | None, about("null: all of it was verified for this report")]


class ReportTally(Doc):
    """How many runs of a plan ended how; what there were none of may lack."""

    plan: str
    what: Row
    due: Annotated[int | None, about("null: before the plan's first recorded version")] = None
    due_recorded: int | None = None
    started: int | None = None
    waiting: int | None = None
    paused: Annotated[int | None, about("skipped, since the plan was paused then")] = None
    NOT_KNOWN_HERE: int | None = None
    STORED: int | None = None
    PASS: int | None = None
    DONE: int | None = None
    CLEAN: int | None = None
    CAUGHT: Annotated[int | None, about("a damaged copy was found bad")] = None
    RESTORED: int | None = None
    PASSED: Annotated[int | None, about("a damaged copy was not found bad")] = None
    FAIL: int | None = None
    FAILED: int | None = None
    REFUSED: int | None = None
    INCONCLUSIVE: int | None = None
    DAMAGED: int | None = None
    CRASHED: int | None = None
    RUNNING: int | None = None
    MISSED: int | None = None
    SKIPPED: int | None = None
    NOTED: int | None = None


class ReportPopulation(Doc):
    """`csv_sha256`: of what `--format csv` prints of the same period."""

    rows: int
    csv_sha256: str
    tallies: list[ReportTally]


class ReportFinding(Doc):
    level: Level
    code: Text
    acknowledged: bool
    plan: Text
    asset: Text
    text: str
    next_step: Text
    because: Annotated[str | None, about("the code of what it only follows from")]


class ReportVersion(Doc):
    plan: str
    digest: Text
    seq: int | None
    recorded: Known
    by: Text
    file: Text
    why: Text


class ReportVersionOf(Doc):
    digest: str
    seq: int | None = None


class ReportLoosening(Doc):
    code: str
    asset: Text
    before: Annotated[str | int | float | None, about("seconds, counts, schedules or names, by the code")]
    after: Annotated[str | int | float | None, about("the same; null: it is no more")]
    item: Text
    fingerprint: Text
    text: str


class ReportChange(Doc):
    """A version of a plan that took another's place, and what it does not promise any more; or one that was in force
    and not approved."""

    plan: str
    at: Time
    seq: int
    by: str
    before: Annotated[ReportVersionOf | None, about("null: it is the first one")]
    after: ReportVersionOf
    changed_keys: Annotated[
        list[str] | None, about("names of keys that differ; null: the files of a version are not at hand")
    ]
    loosenings: list[ReportLoosening]
    unapproved_s: Annotated[
        float | None,
        about("for how many seconds of the period it was in force unapproved; null: nobody is to approve it"),
    ]


class ReportGap(Doc, rename={"from_": "from"}):
    from_: Annotated[str, about("RFC 3339, UTC")]
    to: Time
    count: int


class ReportSchedule(Doc):
    asset: Text
    what: What
    due: int
    missed: int
    paused: Annotated[int, about("skipped, since the plan was paused then")]
    waiting: bool
    not_known_here: int
    gaps: list[ReportGap]


class ReportDue(Doc):
    """`known_since`: what came due before that is not known; null where all of the period is."""

    plan: str
    known_since: Known
    schedules: list[ReportSchedule]


class ReportRun(Doc, kw_only=True):
    """One row of the population; what is not there is left out."""

    seq: int
    end_seq: int | None = None
    ledger: Text = None
    what: Row
    plan: Text = None
    asset: Text = None
    run: Text = None
    host: str
    actor: str
    trigger: Literal["command", "run"] | None = None
    due: Time | None = None
    started: Time
    ended: Time | None = None
    seconds: float | None = None
    outcome: str
    count: int | None = None
    reason: Text = None
    snapshot: Text = None
    consistent_point: Time | None = None
    selected: Text = None
    bytes: Bytes = None
    added_bytes: Bytes = None
    left_out: list[str] | None = None
    findings: int | None = None
    tenant: Text = None
    copy: Text = None
    site: Text = None
    attempt: int | None = None
    who: RecordedUser | None = None
    proof: Text = None
    bytes_restored: Bytes = None


class ReportElsewhere(Doc):
    what: What
    host: Text
    known_until: Known
    ledger: Text


class ReportChecked(Doc):
    part: int | None
    parts: int | None
    covered: float | None
    full_since: Known


class ReportFetched(Doc):
    bytes: int
    tests: int
    by_month: Annotated[dict[str, int], about("bytes by month, as 2026-11, in UTC")]
    limit_per_month: Bytes


class ReportSize(Doc):
    at: Time
    bytes: int


class ReportGrowth(Doc):
    sizes: list[ReportSize]
    added_bytes: int
    bytes_per_day: float | None
    bytes_in_90_days: Bytes
    free_bytes: Bytes
    full: Known


class ReportCopyTrouble(Doc):
    code: str
    level: Level
    text: str
    since: Known
    next_step: Text
    because: Text
    acknowledged: bool
    until: Known


class ReportCopied(Doc):
    """What a copy holds of one asset. `newest` is up to when it can be brought back from there, by its log where that
    leads on; `snapshot` is the newest snapshot's consistent point, `arrived` when that was there."""

    newest: Known
    snapshot: Known
    arrived: Known
    log_until: Known
    exposure_s: Annotated[float | None, about("seconds that would be lost if it were all that is left; null: all")]
    worst_exposure_s: Annotated[
        float | None, about("the most in the period, from its first copying on; null: there was none")
    ]
    last_test: Text
    last_test_at: Known
    last_test_snapshot: Text
    troubles: list[ReportCopyTrouble]


class ReportCopy(Doc):
    """One of the plan's copies at the period's end; `troubles` are of all of it."""

    copy: str
    site: Text
    filled: Known
    last_result: Text
    snapshots: int
    assets: dict[str, ReportCopied]
    troubles: list[ReportCopyTrouble]


class ReportPlan(Doc):
    plan: str
    service: Text
    owner: Text
    in_plans: bool
    findings: list[str]
    elsewhere: list[ReportElsewhere]
    copies: list[ReportCopy]
    last_prune: ReportRun | None
    last_check: ReportRun | None
    checked: ReportChecked | None
    snapshots_removed: int
    fetched_by_tests: ReportFetched
    growth: ReportGrowth


class ReportObjectives(Doc):
    rpo_s: float
    rto_s: float
    mtd_s: float | None


class ReportAchieved(Doc):
    objective_s: float
    achieved_s: Seconds
    verdict: ObjectiveVerdict


class ReportPart(Doc):
    to: Time
    worst_s: Seconds


class ReportExposure(Doc):
    worst_s: Seconds
    since: Known
    parts: list[ReportPart]


class ReportRestores(Doc):
    """Restore tests of one basis: whether the server ran with throwaway or with durable settings."""

    basis: str
    tests: int
    worst_s: Seconds
    median_s: Seconds
    last_s: Seconds
    breached: int


class ReportUntested(Doc):
    id: str
    consistent_point: Time


class ReportSnapshots(Doc):
    kept: int
    never_tested: list[ReportUntested]
    removed_untested: int


class ReportAsset(Doc):
    plan: str
    asset: str
    service: Text
    engine: Text
    in_plans: bool
    state: str
    coverage: Literal["tested", "untested", "stale"] | None
    level: Level
    findings: list[ReportFinding]
    objectives: ReportObjectives | None
    rpo: ReportAchieved | None
    rpo_now: ReportAchieved | None
    exposure_completed: ReportExposure
    exposure_tested: ReportExposure
    rto: ReportAchieved | None
    repository_near_known: bool
    basis: Text
    restores: list[ReportRestores]
    last_backup: ReportRun | None
    last_test: ReportRun | None
    last_conclusive_test: ReportRun | None
    tested_by_rule: dict[str, ReportRun]
    left_out: list[str]
    snapshots: ReportSnapshots


class ReportMended(Doc):
    seq: int
    end_seq: int | None
    time: Time
    ledger: Text = None


class ReportInterruption(Doc, rename={"from_": "from"}):
    """Runs of one kind, one after the other, that did not end well."""

    plan: Text
    asset: Text
    what: Row
    from_: Annotated[str, about("RFC 3339, UTC")]
    to: Time
    outcomes: Annotated[dict[str, int], about("how many, by outcome")]
    reasons: Annotated[dict[str, int], about("how many, by reason")]
    seqs: list[int]
    mended: ReportMended | None
    no_longer_checked: ReportMended | None


def _whole(name: str, kind: str) -> type[Struct]:
    """An end's record in full, with when and by whom it was begun."""
    return record_of(name, kind, what=What, started=Time, started_seq=int, who=RecordedUser | None)


_ENDS = ("restore_test.end", "restore.end", "prune.end", "check.end")
ReportRunbook = _whole("ReportRunbook", "runbook.end")
ReportTest, ReportRestore, ReportPrune, ReportCheck = (
    _whole(f"Report{name}", kind) for name, kind in zip(("Test", "Restore", "Prune", "Check"), _ENDS, strict=True)
)
ReportRecovery = _whole("ReportRecovery", "recover.end")
ReportControl = _whole("ReportControl", "negative_control.end")
ReportCopying = _whole("ReportCopying", "copy.end")
ReportMissed, ReportNotBegun = _whole("ReportMissed", "missed"), _whole("ReportNotBegun", "not_begun")
ReportSkipped = _whole("ReportSkipped", "skipped")


_NO_RUN = (ReportMissed, ReportSkipped, ReportNotBegun)


class SignedPopulation(Doc):
    rows: int
    sha256: str


class SignOffDocument(Doc, rename={"from_": "from"}):
    """A period that somebody has signed. `fits`: is what they signed what there is now (`now`); null: not all of
    its period is in this report. `signature`, verified once more: holds, refused, unreadable (the file of who may
    sign), host_key; not_verified in a package, which is written without such a file."""

    record: int
    at: Time
    from_: Annotated[str, about("RFC 3339, UTC")]
    to: Time
    plans: Annotated[list[str], about("none: all")]
    by: str
    key: Annotated[str, about("its fingerprint")]
    user_verified: bool | None
    signers_sha256: Annotated[str, about("of the file of who may sign, as it was then")]
    rows: int
    population_sha256: str
    fits: bool | None
    now: SignedPopulation | None
    signature: Literal["holds", "refused", "unreadable", "host_key", "not_verified"]
    outcomes: Annotated[dict[str, int], about("how many runs had each outcome, as it was signed")]
    findings: Annotated[int, about("that nobody had acknowledged, as it was signed")]
    tests_by_command: int
    by_whom_not_known: Annotated[int, about("… that root began, or an account that says nothing of a person")]
    wrong: Annotated[list[str], about("why it signs nothing; empty where it does")]
    signed_again: Annotated[bool, about("the same was signed later, and that holds")]


class ReportDocument(Doc):
    """`ccdr report --format json`: everything that the page tells, every run of the period, and every test in full."""

    format: Literal[2]
    question: str
    answer: ReportAnswer
    period: ReportPeriod
    made: ReportMade
    plans_asked_for: list[str]
    ledger: ReportLedger
    population: ReportPopulation
    findings: list[ReportFinding]
    acknowledged: list[Noted]
    plan_versions: list[ReportVersion]
    plan_changes: list[ReportChange]
    controls: Measures
    deviations: Annotated[
        list[DeviationDocument],
        about("that lasted in some of the period, as they stood at its end; words with --words"),
    ]
    incidents: Annotated[list[ListedIncident], about("that were open in some of the period, as they stood at its end")]
    sign_offs: Annotated[list[SignOffDocument], about("whose period has a part in this one")]
    due: list[ReportDue]
    plans: list[ReportPlan]
    assets: list[ReportAsset]
    interruptions: list[ReportInterruption]
    tests: list_of(ReportTest, *_NO_RUN)  # type: ignore[valid-type]
    negative_controls: list_of(ReportControl, *_NO_RUN)  # type: ignore[valid-type]
    restores: list_of(ReportRestore, *_NO_RUN)  # type: ignore[valid-type]
    runbooks: list_of(ReportRunbook, *_NO_RUN)  # type: ignore[valid-type]
    recoveries: list_of(ReportRecovery, *_NO_RUN)  # type: ignore[valid-type]
    upkeep: list_of(ReportPrune, ReportCheck, *_NO_RUN)  # type: ignore[valid-type]
    copying: list_of(ReportCopying, *_NO_RUN)  # type: ignore[valid-type]
    runs: list[ReportRun]


class ReportWord(Doc):
    word: str
    level: Level
    sentence: str


class PackagedStatement(Doc):
    """What somebody has signed, as its record claims; `by` is who has, by the file that was brought."""

    record: int
    kind: str
    plan: str | None
    time: Time
    claimed: str
    by: str | None
    signature: Literal["holds", "refused", "unreadable", "not_verified"]
    why: str | None


class PackagedStatements(Doc):
    """`ccdr report --package`: whose the statements in it are; `problems`: what in it does not fit together."""

    package: Annotated[dict[str, str], about("what its bag-info.txt says")]
    statements: list[PackagedStatement]
    problems: list[str]


class ReportWritten(Doc):
    """What `--json` says of a report that was written to a file: how many findings, and runs of the period."""

    answer: ReportWord
    findings: int
    rows: int
    out: str


WITHIN = (
    ReportTest,
    ReportControl,
    ReportRestore,
    ReportRecovery,
    ReportControl,
    ReportRunbook,
    ReportPrune,
    ReportCheck,
    ReportCopying,
    *_NO_RUN,  # that only lists name
)
