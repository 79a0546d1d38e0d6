"""What each command prints with `--json`, as types: the published schemas are made from these.

What a run's end record holds is defined there (`evidence/records`); `document_of` takes it over.
A test carries every command out and compares what it prints.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Struct

from ccdr.cli.access_documents import (
    AccessReviews,
    AccessTestDocument,
    PoliciesOfRoles,
    PolicyOfRole,
    SeaweedIdentities,
    WouldTryAccess,
)
from ccdr.cli.control_documents import Measures
from ccdr.cli.deviation_documents import DeviationDocument, DeviationsDocument
from ccdr.cli.document_base import Doc, Map, Text, Time, document_of, list_of
from ccdr.cli.erasure_documents import (
    ErasureAdded,
    ErasureProofs,
    ErasureRegister,
    ErasureReplayed,
    ErasureReviewed,
    ErasureWithdrawn,
)
from ccdr.cli.incident.documents import (
    IncidentClocksDocument,
    IncidentDocument,
    IncidentDraft,
    IncidentRegister,
    IncidentRegisterWritten,
    Incidents,
    ShownIncident,
    WouldOpen,
)
from ccdr.cli.ledger.documents import (
    CheckpointSigned,
    Exported,
    ExportedTables,
    LedgerKeyMade,
    LedgerKeys,
    Ledgers,
    ProofVerified,
    ProofWritten,
    Records,
    VerificationDocument,
    WouldExport,
)
from ccdr.cli.report_documents import WITHIN as WITHIN_REPORT
from ccdr.cli.report_documents import PackagedStatements, ReportDocument, ReportWritten, SignOffDocument
from ccdr.cli.runbook.documents import RunbookPrinted, RunbookShown, RunbookStanding, WouldRunRunbook
from ccdr.evidence.history.asset_history import RepositorySize
from ccdr.evidence.records.schema import DIALECT
from ccdr.jobs.access.export import AccessExport, AccessExports
from ccdr.jobs.recover.result import ThenRed
from ccdr.model.finding import Finding
from ccdr.model.kinds import about

FORMAT = 2  # raised when a key changes its meaning or goes; a new key is no new format


class RecordRefDocument(Doc):
    seq: Annotated[int, about("the ledger's record of it: its number")]
    hash: str


class Error(Doc):
    """Nothing was done, or it could not be carried out: standard output holds this in place of the answer."""

    error: Annotated[str, about("what went wrong, as a sentence")]
    hint: Annotated[Text, about("the next step")]
    exit: int


class PassedOver(Doc):
    """An asset that another run holds, or that could not be begun."""

    plan: str
    asset: str
    reason: Text = None
    result: Text = None
    verdict: Text = None
    error: Text = None
    hint: Text = None


_Record = RecordRefDocument | None
Backup = document_of("Backup", "backup.end", record=_Record)
Group = document_of("Group", "group", record=_Record)
Test = document_of("Test", "restore_test.end", hint=Text, record=_Record, private=Map | None)
Control = document_of("Control", "negative_control.end", hint=Text, record=_Record)
_Incident = (
    IncidentDocument | None
)  # that it belongs to, as `ccdr incident list` tells it; null where none could be recorded
Restore = document_of("Restore", "restore.end", incident=_Incident, hint=Text, record=_Record)
Recovery = document_of(
    "Recovery",
    "recover.end",
    steps=list[Map],
    in_the_plan=list[Map],
    edited_plan=Annotated[Text, about("path of the plan as it is to be, for a person to put in its place")],
    edit_by_hand=Annotated[Text, about("why no such file was written where the plan is to change")],
    incident=_Incident,
    then_red=list[ThenRed],
    hint=Text,
    record=_Record,
)


class Backups(Doc):
    backups: list_of(Backup, PassedOver)  # type: ignore[valid-type]
    groups: list_of(Group) | None = None  # type: ignore[valid-type]


class WouldBackUp(Doc):
    would_back_up: list[Map]


class Tests(Doc):
    tests: list_of(Test, PassedOver)  # type: ignore[valid-type]


class WouldTest(Doc):
    would_test: list[Map]


class Controls(Doc):
    controls: list_of(Control, PassedOver)  # type: ignore[valid-type]


class WouldDamage(Doc):
    would_damage: list[Map]


class WouldRestore(Doc):
    would_restore: Map


class WouldRecover(Doc):
    would_recover: Map


class RecoveryChecked(Doc):
    """What was brought back, looked at again where it stands."""

    plan: str
    run: Annotated[str, about("of the recovery that brought it back")]
    state: Text
    steps: list[Map]


class UpkeepDocument(Doc):
    """One plan's. What was not asked for is not there; `LOCKED` where another run holds it."""

    plan: str
    prune: Map | None = None
    check: Map | None = None


class UpkeepOfPlans(Doc):
    plans: list[UpkeepDocument]


class CopiesDocument(Doc):
    """Of each copy what one copying gave; `LOCKED` where another run holds it."""

    copies: list[Map]


class PlanCheck(Doc):
    checked: list[str]
    problems: Annotated[list[str], about("what is wrong, as file:line: path: sentence")]
    lint: Annotated[list[str], about("what is well-formed and will not do, alike")]


_NOT_HERE = Annotated[
    list[str], about("ledgers that tell of its backups and are not here, where no approval from before is known here")
]


class PlanApprovedDocument(Doc):
    """Who has approved which version of a plan, and until when that holds."""

    plan: str
    version: str
    by: str
    key: Annotated[str, about("the fingerprint of their key")]
    user_verified: Annotated[bool | None, about("by a security key; null: it was none")]
    review_by: Time
    record: int
    not_here: _NOT_HERE


class PlanToBeApproved(Doc):
    """What would be signed: this version of the plan, as it stands."""

    plan: str
    version: Annotated[str, about("the digest that is signed")]
    review_by: Time
    files: Annotated[dict[str, str], about("SHA-256 of each file of it, by its name")]
    approved_before: Annotated[Text, about("the version that was approved last; null: none was")]
    changed_keys: Annotated[
        list[str] | None, about("names of keys that differ from that one; null: there is none, or its files are gone")
    ]
    why: Annotated[Text, about("why the version in force is not approved; null where it is")]
    not_here: _NOT_HERE
    next: list[str]


class ToBeSigned(Doc):
    """What is to be signed was written; who has signed it goes on with `next`."""

    written: str
    next: list[str]


class Reviewed(Doc):
    """What waits for a review, or that somebody has signed one."""

    to_review: list[Map] | None = None
    reviewed: Map | None = None


class PlanTrusted(Doc):
    """The commands that a plan names. `new`: confirmed by this call."""

    plan: str
    from_repository: Annotated[bool, about("`ccdr bootstrap` wrote it; else a person did, and nothing is confirmed")]
    commands: list[Map]


class PlanShown(Struct, kw_only=True):
    """The plan as `ccdr plan schema` describes it, defaults included."""

    plan: str
    next_due: dict[str, dict[str, Text]]


class Look(Doc):
    plan: Text
    asset: Text
    what: str
    state: Literal["OK", "WARN", "FAIL", "UNKNOWN"]
    found: str
    do: Annotated[Text, about("the next step; null where all is well")]


class Doctor(Doc):
    checks: list[Look]


class Objective(Doc):
    objective_s: float
    achieved_s: Annotated[float | None, about("seconds; null where it is infinite, or was not measured")]
    verdict: str
    answering_s: float | None = None
    basis: Text = None


class ProblemDocument(Doc):
    code: str
    level: str
    text: str
    since: Text
    next_step: Text
    because: Text
    acknowledged: bool
    until: Text


class AssetStatusDocument(Doc):
    asset: str
    rpo: Objective
    rto: Objective
    last_backup: Map | None
    last_good_backup: Map | None
    last_test: Map | None
    coverage: str
    tested_by_rule: Map
    group: Map | None
    problems: list[str]
    troubles: list[ProblemDocument]
    near: list[ProblemDocument]
    near_known: bool
    private: list[str]


class Version(Doc):
    digest: Text
    seq: int | None
    recorded: Text
    by: Text
    file: Text
    why: Text


class AttestationDocument(Doc):
    """`state` is valid, STALE or ended; `statement` is null where the words are not kept any more."""

    item: str
    scope: Text
    measure: Text
    state: str
    statement: Text
    files: Annotated[list[str], about("SHA-256 of each")]
    same_files: Annotated[list[str], about("other items that one of these files stands for as well")]
    by: str
    key: Annotated[Text, about("the fingerprint of their key; null: nobody signed it")]
    user_verified: bool | None
    made: Time
    valid_until: Time
    record: int


class AttestedNow(Doc):
    """What was declared, or ended, by this call."""

    attested: AttestationDocument | None = None
    ended: AttestationDocument | None = None


class Attestations(Doc):
    attestations: list[AttestationDocument]
    nobody_attests: list[str]


class SignedOffNow(Doc):
    """Which period was signed by this call."""

    signed_off: SignOffDocument


class SignOffs(Doc):
    sign_offs: list[SignOffDocument]


class WouldSignOff(Doc):
    """The text that would be signed, and how."""

    would_sign: str
    next: list[str]


class PausedDocument(Doc):
    """A pause that is in force; `why` is null where the words are not kept any more."""

    plan: str
    since: Time
    until: Time
    by: str
    host: str
    record: int
    why: Text


class PausedPlans(Doc):
    """What is paused; what was ended, or what would be."""

    paused: list[PausedDocument] | None = None
    ended: list[PausedDocument] | None = None
    would_end: list[PausedDocument] | None = None
    would_pause: list[Map] | None = None


class PlanStatus(Doc):
    plan: str
    assets: list[AssetStatusDocument]
    copies: list[Map]
    problems: list[str]
    troubles: list[ProblemDocument]
    private: list[str]
    paused: Annotated[PausedDocument | None, about("its pause, while it is paused")]
    incidents: Annotated[list[IncidentDocument], about("those that are open, with what is due next")]
    could_not_tell: list[str]
    elsewhere: list[Map]
    duties: list[str]
    untested: Annotated[
        list[str], about("assets that were recovered, or began anew, and of which nothing came back since")
    ]
    room: Annotated[RepositorySize | None, about("as a check or a prune found it last; null: none has")]
    by_itself: Annotated[bool, about("did a `ccdr run` of it come from cron or a timer, or without a login, evenly")]
    version: Version


class Status(Doc):
    plans: list[PlanStatus]
    plans_gone: list[str]
    wrong: Annotated[list[str], about("what is wrong with plans that are not told of, as file:line: path: sentence")]
    without_file: Annotated[list[ProblemDocument], about("of plans that no file names any more")]
    acknowledged: int
    not_known_here: int
    attestations: Annotated[list[ProblemDocument], about("what is stale, or will be within a month")]
    ledger: Map | None
    lineage: Map


class SnapshotDocument(Doc):
    asset: str
    id: str
    consistent_point: Time
    usable_at: Time
    bytes: int
    there: bool
    group: Map | None
    builds_upon: list[str]
    last_test: Text
    counts: bool
    why_not: Text


class SnapshotOfBefore(Doc):
    """One of before the first release: it neither counts nor is it ever removed."""

    id: str
    asset: Text
    kind: Text
    time: Time


class Snapshots(Doc):
    plan: str
    version: Version
    snapshots: list[SnapshotDocument]
    of_before: list[SnapshotOfBefore]
    findings: list[Finding]
    ledger_troubles: list[ProblemDocument]


class DidDocument(Doc):
    plan: str
    asset: Text
    verb: str
    due: Time
    done: bool
    exit: int
    reason: Text
    result: Map | None


class RunDocument(Doc):
    """`did`, `missed` and `busy` alone where it was not yet time for anything."""

    did: list[DidDocument]
    missed: list[Map]
    busy: list[str]
    skipped: list[Map] | None = None
    paused: Annotated[list[str] | None, about("what is due, and waits for the end of a pause")] = None
    duties: list[Map] | None = None
    wakes: Text = None
    telling: Map | None = None
    summary: Any = None
    troubles: list[str] | None = None
    ledger: Map | None = None


class Schedule(Doc):
    plan: str
    asset: Text
    verb: str
    due: Text
    again: Text
    seen: bool
    next: Time
    failures: int
    copy: Text = None


class Schedules(Doc):
    schedules: list[Schedule]


class InitialisedDocument(Doc):
    plan: str
    dry_run: bool
    written: list[str]
    files: dict[str, str] | None
    assets: list[Map]
    notes: list[str]
    findings: list[str]
    keep_elsewhere: Annotated[list[Map], about("what opens the repository: where it lies, and its fingerprint")]
    next: list[str]


class BootstrappedDocument(Doc):
    """`plans`: each with the version it is of (null: made from its backups), the commands that nobody has confirmed,
    and the secrets that it names, each with `there`; `newer`: only a newer ccdr understands it."""

    into: str
    dry_run: bool
    plans: list[Map]
    older_versions: int
    passed_over: Annotated[list[str], about("what was not taken, and why")]
    next: list[str]


class KitPage(Doc):
    """`kept` says of each secret what it is, `where` it lies on this host, and its `fingerprint` (null: why_none, or a
    command gives it); `needed` of those that a recovery takes."""

    plans: list[Map]
    out: Text


class DiscoveredDocument(Doc):
    unprotected: list[Map]
    untested: list[Map]
    unreachable: list[Map]


class Acknowledged(Doc):
    acknowledged: list[Map] | None = None
    ended: list[Map] | None = None


class SentDocument(Doc):
    plan: str
    sent: list[Map]


class WouldSend(Doc):
    would_send: list[Map]
    next_run_would_send: list[Map]


class Schemas(Doc):
    schemas: Map


class AnySchema(Struct, kw_only=True):
    """A JSON Schema."""


class ReapedDocument(Doc):
    dry_run: bool
    removed: list[str]
    left: list[str]
    problems: list[str]


class Demo(Doc):
    backups: list[Map]
    group: Map | None
    tests: list[Map]
    damaged_copy: Map | None
    negative_control: Map | None
    stores: list[Map]
    seconds: float
    package: Annotated[Map | None, about("of the evidence, and what its verification said")]
    exit: int


LockExtended = document_of("LockExtended", "lock.extended", hint=Text, record=_Record)


class LocksExtended(Doc):
    locks: list[LockExtended]  # type: ignore[valid-type]


class WouldLock(Doc):
    would_lock: list[Map]


class RepositoryKeys(Doc):
    """The keys of a plan's repository, and of the shipped log's below it."""

    plan: str
    repositories: list[Map]


class KeysAdded(Doc):
    """`added`: by repository, the full id of the key that the file's password opens."""

    plan: str
    added: dict[str, str]
    password_file: str


class KeysRemoved(Doc):
    plan: str
    removed: dict[str, str]
    notes: Annotated[list[str], about("what a removed key does not change")]


class KeysRotated(Doc):
    """`new`: by repository, the key in use; `removed`: those of the old password; `previous`: the file that holds the
    old password, while it is still valid."""

    plan: str
    password_file: str
    new: dict[str, str]
    removed: dict[str, list[str]]
    previous: Text
    notes: list[str]


class WouldChangeKeys(Doc):
    would: Map


# By command, what it may print; `Error` besides, of every one. Types that only a list names stand in `_WITHIN`.
OUTPUTS: dict[str, tuple[type[Struct], ...]] = {
    "access policies": (PoliciesOfRoles, PolicyOfRole, SeaweedIdentities),
    "access review": (AccessExport, AccessExports, AccessReviews, ToBeSigned),
    "access test": (AccessTestDocument, WouldTryAccess),
    "ack": (Acknowledged,),
    "approval request": (ToBeSigned,),
    "approval review": (Reviewed, ToBeSigned),
    "attest": (AttestedNow, Attestations, ToBeSigned),
    "backup": (Backup, PassedOver, Backups, WouldBackUp),
    "bootstrap": (BootstrappedDocument,),
    "demo": (Demo,),
    "controls": (Measures,),
    "copy": (CopiesDocument,),
    "deviation assign": (DeviationDocument,),
    "deviation close": (DeviationDocument, ToBeSigned),
    "deviation list": (DeviationsDocument,),
    "deviation note": (DeviationDocument,),
    "deviation show": (DeviationDocument,),
    "discover": (DiscoveredDocument,),
    "doctor": (Doctor,),
    "erasure add": (ErasureAdded,),
    "erasure list": (ErasureRegister,),
    "erasure prove": (ErasureProofs,),
    "erasure replay": (ErasureReplayed,),
    "erasure review": (ErasureReviewed,),
    "erasure withdraw": (ErasureWithdrawn,),
    "incident clocks": (IncidentClocksDocument,),
    "incident close": (ShownIncident,),
    "incident draft": (IncidentDraft,),
    "incident list": (Incidents,),
    "incident note": (ShownIncident,),
    "incident open": (ShownIncident, WouldOpen),
    "incident register": (IncidentRegister, IncidentRegisterWritten),
    "incident reopen": (ShownIncident,),
    "incident show": (ShownIncident,),
    "init": (InitialisedDocument,),
    "kit page": (KitPage,),
    "ledger checkpoint": (CheckpointSigned,),
    "ledger collect": (Ledgers,),
    "ledger export": (Exported, ExportedTables, WouldExport),
    "ledger key create": (LedgerKeyMade,),
    "ledger key rotate": (LedgerKeyMade,),
    "ledger key show": (LedgerKeys,),
    "ledger proof": (ProofWritten,),
    "ledger recover": (Ledgers,),
    "ledger schema": (Schemas, AnySchema),
    "ledger show": (Records,),
    "ledger verify": (VerificationDocument, ProofVerified),
    "lock extend": (LocksExtended, WouldLock),
    "notify test": (SentDocument, WouldSend),
    "pause": (PausedPlans,),
    "plan approve": (PlanApprovedDocument, ToBeSigned, PlanToBeApproved),
    "plan check": (PlanCheck,),
    "plan schema": (AnySchema,),
    "plan show": (PlanShown,),
    "plan trust": (PlanTrusted,),
    "recover": (Recovery, WouldRecover),
    "recover check": (RecoveryChecked,),
    "report": (ReportDocument, ReportWritten, PackagedStatements),
    "repository key add": (KeysAdded, WouldChangeKeys),
    "repository key list": (RepositoryKeys,),
    "repository key remove": (KeysRemoved, WouldChangeKeys),
    "repository key rotate": (KeysRotated, WouldChangeKeys),
    "restore": (Restore, WouldRestore),
    "sign-off": (SignedOffNow, SignOffs, WouldSignOff, ToBeSigned),
    "run": (RunDocument, Schedules),
    "runbook print": (RunbookPrinted,),
    "runbook resume": (RunbookStanding,),
    "runbook retry": (RunbookStanding,),
    "runbook run": (RunbookStanding, WouldRunRunbook),
    "runbook show": (RunbookShown,),
    "runbook skip": (RunbookStanding,),
    "runbook status": (RunbookStanding,),
    "runbook take-over": (RunbookStanding,),
    "sandbox reap": (ReapedDocument,),
    "schema": (Schemas, AnySchema),
    "snapshots": (Snapshots,),
    "status": (Status,),
    "test": (Test, PassedOver, Tests, WouldTest, Control, Controls, WouldDamage),
    "upkeep": (UpkeepDocument, UpkeepOfPlans),
}
_WITHIN: tuple[type[Struct], ...] = (Backup, Group, Test, PassedOver, *WITHIN_REPORT)


def _printed(command: str) -> list[type[Struct]]:
    return [*OUTPUTS[command], Error]


@cache
def _parts() -> dict[str, Any]:
    every = [*(one for types in OUTPUTS.values() for one in types), *_WITHIN, Error]
    return msgspec.json.schema_components(every, ref_template="#/$defs/{name}")[1]


def output_schema(command: str) -> dict[str, Any]:
    """Of what a command prints. KeyError for one that prints no JSON."""
    refs = [{"$ref": f"#/$defs/{one.__name__}"} for one in _printed(command)]
    parts, wanted = _parts(), dict[str, Any]()
    ahead = [ref["$ref"] for ref in refs]
    while ahead:
        name = ahead.pop().removeprefix("#/$defs/")
        if name not in wanted:
            wanted[name] = parts[name]
            ahead += _refs(parts[name])
    return {
        "$schema": DIALECT,
        "$id": f"urn:ccdr:output:{command.replace(' ', '-')}:{FORMAT}",
        "title": f"ccdr {command} --json",
        "anyOf": refs,
        "$defs": dict(sorted(wanted.items())),
    }


def _refs(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [ref for value in part.values() for ref in _refs(value)]
    return [ref for value in part for ref in _refs(value)] if isinstance(part, list) else []
