"""Records of plans: their versions, and where a version's files were stored."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.evidence.records.statements import Owner
from ccdr.evidence.records.values import Count, Digest, Record, Seconds, Value, Word, about

Schedule = Annotated[str, about("five cron fields, in the plan's zone")]
Severity = Literal["critical", "major", "minor"]
Bounds = Annotated[dict[str, float], about("by name")]


class RecordedCheckFacts(Value, frozen=True, kw_only=True, gc=False):
    """One check: of its kind, and by digests; nothing of its text."""

    kind: Word
    fingerprint: Annotated[Digest, about("of all that it asks, SHA-256 of canonical JSON")]
    subject: Annotated[Digest, about("of what it looks at, without its bounds")]
    floors: Annotated[dict[str, float], about("bounds of which more is stronger")] = {}
    ceilings: Annotated[dict[str, float], about("bounds of which less is stronger")] = {}


class RecordedTestFacts(Value, frozen=True, kw_only=True, gc=False):
    """An asset's restore test."""

    schedule: Schedule
    rules: Annotated[list[str], about("how snapshots are selected, in turn")]
    at: Annotated[str | None, about("`latest`: tests recover by the shipped log")] = None


class RecordedAssetFacts(Value, frozen=True, kw_only=True, gc=False):
    """What a plan promises of one asset."""

    engine: Word
    method: Word
    source: Annotated[Digest | None, about("SHA-256 of the source's name")]
    rpo: Seconds
    rto: Seconds
    settings: Literal["throwaway", "durable"]
    group: str | None = None
    backup: Schedule | None = None
    test: RecordedTestFacts | None = None
    shipping: Annotated[float | None, about("how often its log is stored, seconds")] = None
    checks: list[RecordedCheckFacts] = []
    settle: Annotated[Seconds | None, about("for how long what has changed is in no backup; null: nothing waits")] = (
        None
    )
    image: Annotated[str, about("what its sandbox runs; empty: the one for its version")] = ""
    control: Annotated[Schedule | None, about("when a damaged copy of it is tested, and must FAIL")] = None


class RecordedRepositoryFacts(Value, frozen=True, kw_only=True, gc=False):
    """Where a plan's repository lies."""

    location: Annotated[Digest, about("SHA-256 of its address")]
    on_host: Annotated[bool, about("it is a path on the host that the plan was read on")]
    apart: Annotated[bool, about("its site is another than the source's, as the plan says")]
    lock_days: Annotated[Count, about("the Object Lock that the plan wants, days; 0: none")] = 0
    kept_locked: Annotated[Seconds, about("for how long what is in use is to stay locked; 0: it is not")] = 0.0


class RecordedCopyFacts(Value, frozen=True, kw_only=True, gc=False):
    """One of a plan's copies."""

    schedule: Annotated[Schedule, about("when it is filled")]
    prune: Schedule
    check: Schedule
    parts: Annotated[Count, about("how many checks it takes to read all of it")]
    retention: Annotated[dict[str, float] | None, about("the rules that are stated; null: nothing is ever removed")]
    repository: RecordedRepositoryFacts
    test_every: Annotated[Count, about("after so many restore tests of an asset, one fetches from it")]


class RecordedApprovalFacts(Value, frozen=True, kw_only=True, gc=False):
    """Who is to approve the plan, and what else needs somebody's signature."""

    signers: Annotated[Digest, about("SHA-256 of the name of the file of signers")]
    review: Annotated[Seconds | None, about("how long an approval holds, seconds; null: until a day that is named")]
    second_factor: Annotated[bool, about("only a security key approves that knew its user")]
    recover: Annotated[bool, about("a recovery needs an approval of its own")]


class RecordedDeviationFacts(Value, frozen=True, kw_only=True, gc=False):
    """How bad what went wrong is, and by when it is to be over."""

    severity: Annotated[dict[str, Severity], about("by code, where the plan says so")] = {}
    due: Annotated[dict[str, Seconds], about("how long after it was opened it is overdue, by how bad it is")] = {}


class RecordedPlanFacts(Value, frozen=True, kw_only=True, gc=False):
    """What a plan promises: names of assets and groups, durations in seconds, schedules, digests."""

    format: Count
    timezone: str
    mtd: Seconds | None
    retention: Annotated[dict[str, float] | None, about("the rules that are stated; null: nothing is ever removed")]
    prune: Schedule
    check: Schedule
    parts: Annotated[Count, about("how many checks it takes to read all of the repository")]
    assets: dict[str, RecordedAssetFacts]
    repository: RecordedRepositoryFacts
    told: Annotated[
        dict[str, Digest], about("who is told, by way: SHA-256 of the name of the file with the addresses")
    ] = {}
    copies: Annotated[dict[str, RecordedCopyFacts], about("further repositories that all of it is copied to")] = {}
    approval: Annotated[RecordedApprovalFacts | None, about("null: nobody is to approve it")] = None
    clocks: Annotated[
        dict[str, float], about("what an incident has to be notified by: seconds, by the clock's name")
    ] = {}
    deviations: RecordedDeviationFacts = RecordedDeviationFacts()
    declarations: Annotated[dict[str, list[Owner]], about("who may state what no tool can test, by item")] = {}
    risk_owner: Annotated[Owner | None, about("who alone may accept a risk; null: whoever may approve")] = None
    owner: Annotated[Owner | None, about("who answers for it; null: nobody, or more than one word")] = None


class Predecessor(Value, frozen=True, kw_only=True, gc=False):
    """The version that was in force before, and its record."""

    digest: Digest
    seq: Count


class PlanVersion(Record, frozen=True, kw_only=True, gc=False):
    """A plan, or a restore test that it names, is another than before: in force from here on. Without assets: the plan
    is no more."""

    kind: Literal["plan.version"] = "plan.version"
    version: Literal[4] = 4
    digest: Annotated[Digest, about("of the lines that sha256sum writes of its files, in the order of their names")]
    predecessor: Predecessor | None
    files: Annotated[dict[str, Digest], about("SHA-256 of each file, by its name")]
    facts: RecordedPlanFacts


class PlanStored(Record, frozen=True, kw_only=True, gc=False):
    """A version's files were stored in the plan's repository."""

    kind: Literal["plan.stored"] = "plan.stored"
    version: Literal[4] = 4
    digest: Digest
    snapshot: Digest
    repository: Annotated[Digest, about("SHA-256 of the repository's address")]
