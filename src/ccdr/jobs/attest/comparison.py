"""What a repository's snapshots attest, compared with the ledger: what each claims, where that does not agree, and when
the next comparison is due.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import BACKUP_START
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.lineage.comparison import directory_of, itself, keep, keep_first, lies_at, read, reader
from ccdr.evidence.lineage.own_records import AGREES, DIFFERS, Compared, LedgerStanding, Lineage, Lost, installation
from ccdr.evidence.records import BackupEnd
from ccdr.evidence.records.backups import StoredSnapshot
from ccdr.evidence.records.lineage import LedgerCompared, LedgerLost
from ccdr.evidence.records.values import code
from ccdr.host.state_files import state_or_none, write_state
from ccdr.jobs.services import Services, limits_of
from ccdr.model.errors import CcdrError, Locked
from ccdr.model.instant import Instant
from ccdr.model.schedule import SET_BACK
from ccdr.model.values import ATTESTED, Attestation, RecordRef, Snapshot, rfc3339, so_many, utc
from ccdr.plans import LoadedPlan
from ccdr.storage.listing import OURS, RepoSnapshot
from ccdr.storage.restic import PROBE_WAIT, Restic
from ccdr.storage.synchronised import Synchronised

# When the next comparison is due.

EVERY, AFTER_A_FINDING = timedelta(days=1), timedelta(hours=1)
Tried = dict[str, Instant]  # compared.json, by plan


def recorded_within(interval: timedelta, at: str, now: datetime) -> bool:
    return now - interval < utc(at) <= now + SET_BACK


def last_tried(services: Services, plan: str) -> str | None:
    """When its repository was last asked, whatever came of it: whether it is well, and when it is to be asked again,
    records alone tell. So that one which does not answer is not asked by each run."""
    at = _tried(services).get(plan)
    return None if at is None else rfc3339(at)


def _tried(services: Services) -> Tried:
    return state_or_none(_notes(services), Tried) or {}


def _notes(services: Services) -> Path:
    return services.state.root / "compared.json"


def note_try(services: Services, plan: str) -> None:
    with services.state.turn("compared") as mine:
        if mine:
            write_state(_notes(services), _tried(services) | {plan: services.clock.now()})


def due(lineage: Lineage, last: Compared | None, tried: str | None, now: datetime) -> bool:
    """By the ledger's record of the last one; that it was `tried` since puts it off by an hour, no longer."""
    of_this = tried is not None and (lineage.begun is None or utc(tried) >= utc(lineage.begun))
    if tried is not None and of_this and recorded_within(AFTER_A_FINDING, tried, now):
        return False
    if last is None or last.wholly is None:  # never since this ledger began: it may lie where another was lost
        return True
    return not recorded_within(EVERY if last.result == AGREES else AFTER_A_FINDING, last.wholly, now)


# What a repository's snapshots attest of this ledger, and where it does not stand to that.

MOST_NAMED = 3  # problems of one kind
MOST_STRANGERS = 50


@dataclass(frozen=True)
class LedgerComparison:
    """`snapshots` attest this ledger, `elsewhere` another one, and how many of these which one that lies `beside` it;
    `lost` are ledgers of this installation's that this one does not follow."""

    plan: str
    snapshots: int
    elsewhere: int
    newest: int
    problems: tuple[str, ...]
    lost: tuple[Lost, ...]
    whole: bool = True  # all that the repository holds of the plan was looked at, not the newest alone
    vanished: Mapping[str, Sequence[str]] | None = None  # by asset: snapshots that are gone; None: not looked for
    beside: Mapping[str, int] = field(default_factory=dict)  # by the ledger's id
    strangers: tuple[str, ...] = ()  # ids of the ledgers that are attested, and not known here

    @property
    def result(self) -> str:
        return DIFFERS if self.problems else AGREES

    @property
    def findings(self) -> list[str]:
        """The problems, and whatever is gone: of each a sentence."""
        return [
            *self.problems,
            *(f"the ledger of this host is lost: {one}" for one in self.lost),
            *(
                f"snapshot {one[:8]} ({asset}) is not in the repository of {self.plan} any more: it vanished"
                for asset, gone in (self.vanished or {}).items()
                for one in gone
            ),
        ]

    def as_json(self) -> dict[str, object]:
        return {
            "plan": self.plan,
            "ok": not self.problems and not self.lost and not any((self.vanished or {}).values()),
            "snapshots": self.snapshots,
            "elsewhere": self.elsewhere,
            "newest": self.newest,
            "problems": self.findings,
        }


def attestation(services: Services, start: RecordRef) -> Attestation:
    """What a snapshot that is made now says of the ledger; `start` is its run's first record. Which ledger it is, its
    records say: what a changed `id` says would contradict them for as long as the snapshot is there. CcdrError where
    they do not."""
    ledger, head = services.lineage().ledger, services.ledger.head()
    last = services.ledger.numbered(head.seq)
    if ledger is None or last is None:
        raise CcdrError("the ledger does not say which one it is", hint="`ccdr ledger verify` lists all damage")
    ours = installation(services.state, services.ledger.host)
    return Attestation(ledger, head.seq, head.hash, start.seq, ours, last.prev)


@dataclass(frozen=True)
class _Claim:
    """One snapshot's attestation."""

    snapshot: str
    asset: str
    run: str
    at: datetime
    attested: Attestation

    @property
    def of_run(self) -> tuple[str, str, str]:
        return self.asset, self.run, self.attested.head

    def __str__(self) -> str:
        return f"snapshot {self.snapshot[:8]} ({self.asset}, {rfc3339(self.at)})"


def compare(
    services: Services,
    plan: str,
    listed: Sequence[RepoSnapshot],
    *,
    most: int | None = None,
    vanished: Mapping[str, Sequence[str]] | None = None,
) -> LedgerComparison:
    """`listed` is what the repository holds, asked for before the ledger is read here; of it the `most` newest are
    looked at. Changes nothing. CcdrError where the ledger cannot be read."""
    backups = [s for s in listed if s.tag("kind") == "backup" and s.tag("plan") == plan]
    claims: list[_Claim] = []
    problems: list[str] = []
    for s in backups[-most:] if most else backups:
        try:
            attested = _claimed(services, plan, s)
        except ValueError as error:
            problems.append(f"snapshot {s.id[:8]} ({s.tag('asset')}): {error}")
        else:
            claims.append(_Claim(s.id, s.tag("asset") or "", s.tag("run") or "", s.time, attested))
    lineage, ours = read(services.state, services.ledger), installation(services.state, services.ledger.host)
    own = [claim for claim in claims if claim.attested.ledger == lineage.ledger]
    problems += _against(services.ledger, own, plan, lineage, whole=True)
    problems += _borrowed(services, services.ledger, own, plan)
    of_others = dict[str, int]()
    for other in lineage.beside:
        beside = [claim for claim in claims if claim.attested.ledger == other]
        of_others |= {other: len(beside)} if beside else {}
        how = "which was brought back" if other in lineage.linked else "which was collected"
        problems += _beside(services, other, beside, plan, how)
    strange = [c for c in claims if c.attested.ledger not in lineage.known and c.attested.installation == ours]
    lost = _lost(strange, services.clock.now())
    if lost and lineage.ledger is not None and lineage.installation != ours:
        problems += [
            f"another host's ledger, {str(lineage.ledger)[:8]}…, lies where this host's was, {one}" for one in lost
        ]
        lost = ()
    newest = max((claim.attested.seq for claim in own), default=0)
    whole = not most or len(backups) <= most
    strangers = sorted({c.attested.ledger for c in claims} - {*lineage.known, *lineage.beside})[:MOST_STRANGERS]
    return LedgerComparison(
        plan,
        len(own),
        len(claims) - len(own),
        newest,
        tuple(problems),
        lost,
        whole,
        vanished,
        of_others,
        tuple(strangers),
    )


def here(services: Services, lineage: Lineage, snapshots: Iterable[Snapshot]) -> str | None:
    """What the newest snapshots that this host knows of attest, without asking their repositories: a sentence where the
    ledger is not so. Of this ledger only the newest record that is attested is looked at, of others that they are this
    installation's. CcdrError where the ledger cannot be read."""
    ours = installation(services.state, services.ledger.host)
    claims = [_Claim(s.id, s.asset, s.run, s.usable_at, s.attested) for s in snapshots]
    own = [claim for claim in claims if claim.attested.ledger == lineage.ledger]
    if own:
        newest = max(own, key=lambda claim: claim.attested.seq)
        held = services.ledger.head().seq, services.ledger.hash_of(newest.attested.seq)
        if held[0] < newest.attested.seq:
            return (
                f"the ledger ends with record {held[0]}, and {newest} attests record {newest.attested.seq}: it was cut"
            )
        if held[1] != newest.attested.head and not _excused(services.ledger, lineage, newest.attested):
            return f"record {newest.attested.seq} of the ledger is not the one that {newest} attests: it was rewritten"
    strange = [c for c in claims if c.attested.ledger not in lineage.known and c.attested.installation == ours]
    if strange and lineage.kept is LedgerStanding.HOLDS:
        one = max(strange, key=lambda claim: claim.attested.seq)
        return f"{one} attests the ledger {one.attested.ledger[:8]}… of this host, which the one here does not follow"
    return None


def _claimed(services: Services, plan: str, listed: RepoSnapshot) -> Attestation:
    """By its tags. ValueError where its manifest, as far as that is known, has another one, or it is none."""
    tagged = Attestation.of({key: listed.tag(key) for key in ATTESTED})
    known = services.catalogue.attested(plan, listed.tag("asset") or "", listed.id)
    if known is not None and known != tagged:
        raise ValueError("its tags attest another record of the ledger than its manifest")
    return tagged


def _excused(ledger: Ledger, lineage: Lineage, attested: Attestation) -> bool:
    """Has somebody answered for it that the line which this attests is lost, and does all before it hold?"""
    return lineage.excuses(ledger, attested.seq, attested.prev)


def _against(ledger: Ledger, claims: Sequence[_Claim], plan: str, lineage: Lineage, *, whole: bool) -> Iterator[str]:
    """What a ledger lacks of what is claimed of it. Of one that is not `whole` the end may be missing. `lineage` is
    what it says of itself: which lines of it are lost, and answered for."""
    head = ledger.head()
    beyond = [claim for claim in claims if claim.attested.seq > head.seq]
    if beyond and whole:
        last = max(beyond, key=lambda claim: claim.attested.seq)
        seq, missing = last.attested.seq, so_many(last.attested.seq - head.seq, "record is", "records are")
        yield f"the ledger ends with record {head.seq}, and {last} attests record {seq}: {missing} missing"
    within = [claim for claim in claims if claim.attested.seq <= head.seq]
    not_so = (c for c in within if ledger.hash_of(c.attested.seq) != c.attested.head)
    wrong, lost = list[_Claim](), list[_Claim]()
    for claim in not_so:
        (lost if _excused(ledger, lineage, claim.attested) else wrong).append(claim)
    if wrong:
        first = min(wrong, key=lambda claim: claim.attested.seq)
        more = f", and {so_many(len(wrong) - 1, 'other says', 'others say')} the like" if len(wrong) > 1 else ""
        yield f"record {first.attested.seq} of the ledger is not the one that {first} attests: it was rewritten{more}"
    first_of = {claim.attested.seq: claim for claim in reversed(lost) if claim.attested.start == claim.attested.seq}
    begun = {seq: claim.of_run for seq, claim in first_of.items()}  # one line was one run's start
    unknown = [
        claim
        for claim in within
        if claim not in wrong and begun.get(claim.attested.start) != claim.of_run and not _knows(ledger, claim, plan)
    ]
    for claim in unknown[:MOST_NAMED]:
        yield f"{claim} claims to be of this ledger, and no record knows its run {claim.run}"
    if len(unknown) > MOST_NAMED:
        yield f"and {len(unknown) - MOST_NAMED} more that no record knows"


def _knows(ledger: Ledger, claim: _Claim, plan: str) -> bool:
    """Has its run begun there, where it says? One without an end is a crash's."""
    record = ledger.numbered(claim.attested.start) if claim.attested.start <= claim.attested.seq else None
    of = (record.kind, record.plan, record.asset, record.run) if record is not None else None
    return of == (BACKUP_START, plan, claim.asset, claim.run)  # its envelope says so, whatever wrote it


def _beside(services: Services, other: str, claims: Sequence[_Claim], plan: str, how: str) -> Iterator[str]:
    """Of a ledger beside ours: its newest records may not be here, those that are here are what they were."""
    known = services.lineage().beside.get(other)
    directory = lies_at(services.state, known) if known else directory_of(services.state, other)
    if not directory.is_dir():
        yield f"the ledger {other[:8]}…, {how}, is not in {directory} any more"
        return
    theirs = reader(directory)
    problems = [*_against(theirs, claims, plan, itself(directory), whole=False)]
    for problem in [*problems, *_borrowed(services, theirs, claims, plan)]:
        yield f"of the ledger {other[:8]}…, {how}: {problem}"


MOST_MEANWHILE = 10_000  # records that others write between a run's start and its end


def _borrowed(services: Services, ledger: Ledger, claims: Sequence[_Claim], plan: str) -> Iterator[str]:
    """Whoever may list snapshots can copy what a good one attests. What its run captured tells: restic gives what it
    rewrites or copies another id, and leaves the manifest, which a restore test holds it to."""
    histories = services.histories() if claims else {}
    for claim in claims:
        if claim.snapshot in histories.get((plan, claim.asset), AssetHistory()).stored:
            continue
        sha256 = services.catalogue.sha256(plan, claim.asset, claim.snapshot)  # else it does not count
        if sha256 is None or not _knows(ledger, claim, plan):
            continue
        captured = _captured(ledger, claim)
        if captured and captured.manifest_sha256 != sha256:
            yield f"{claim} claims to be of run {claim.run}, which stored another one, {captured.id[:8]}"


def _captured(ledger: Ledger, claim: _Claim) -> StoredSnapshot | None:
    """The snapshot that the claimed run has stored, by its end; None where that is not met, or it stored none."""
    numbered, first = ledger.numbering(), claim.attested.start + 1
    for seq in range(first, first + MOST_MEANWHILE):
        if (record := numbered(seq)) is None:
            return None
        if isinstance(record, BackupEnd) and (record.run, record.asset) == (claim.run, claim.asset):
            return record.snapshot
    return None


def _lost(claims: Sequence[_Claim], now: datetime) -> tuple[Lost, ...]:
    newest: dict[str, Attestation] = {}
    for claim in claims:
        attested = claim.attested
        if attested.ledger not in newest or newest[attested.ledger].seq < attested.seq:
            newest[attested.ledger] = attested
    return tuple(Lost(attested.ledger, attested.seq, attested.head, rfc3339(now)) for attested in newest.values())


# A snapshot names the ledger that knows it, the number and hash of its last record when the snapshot was made, and
# where its run began. On the host that has the chain: is that record there, and the same? Does a record know the run?
# One of another host's ledger says nothing here; one that attests nothing was not left so by ccdr.

RECENT = 50  # snapshots, the newest ones, that a backup compares; the daily comparison takes all of them


def compared(
    services: Services,
    plan: str,
    listed: Sequence[RepoSnapshot],
    *,
    recent: bool = False,
    vanished: Mapping[str, Sequence[str]] | None = None,
) -> LedgerComparison:
    """Compare, and keep what was found: a record once a day, and whenever it is news. `recent`: only the newest, where
    nothing was wrong the last time. CcdrError where ledger or state cannot be read or written."""
    last = read(services.state, services.ledger).compared.get(plan)
    few = recent and last is not None and last.result == AGREES
    outcome = compare(services, plan, listed, most=RECENT if few else None, vanished=vanished)
    record(services, outcome, whole=not few)
    return outcome


def learned(services: Services, plan: str, synchronised: Synchronised, assets: Collection[str]) -> None:
    """Keep what was found when the repository was asked for these assets: `ccdr status` tells of it at once. What comes
    of it is told by all that tells how the ledger stands; who may only read the state goes on without."""
    if services.there is not None:  # what a copy lacks is told of that copy
        return
    missed = {asset: [s.id for s in synchronised.vanished if s.asset == asset] for asset in assets}
    with contextlib.suppress(CcdrError, OSError):
        compared(services, plan, synchronised.listed, recent=True, vanished=missed)


def record(services: Services, outcome: LedgerComparison, *, whole: bool = True, by_hand: bool = False) -> None:
    """Keep what a comparison has found, of all snapshots or of the newest; one that a person asked for is recorded
    whether or not it is news. CcdrError where that cannot be written."""
    begins = not services.ledger.head().seq  # on a new host: there is nothing yet that could be kept
    if not outcome.problems:
        keep_first(services.state, services.ledger)
    plan, last = outcome.plan, read(services.state, services.ledger).compared.get(outcome.plan)
    for one in outcome.lost:
        services.ledger.write(LedgerLost(plan=plan, ledger=one.ledger, last_seq=one.seq, last_head=one.head))
    if by_hand or _news(last, outcome, services.clock.now(), whole=whole):
        found = LedgerCompared(
            plan=plan,
            result=code(outcome.result),
            reason="; ".join(outcome.problems) or None,
            snapshots=outcome.snapshots,
            elsewhere=outcome.elsewhere,
            newest=outcome.newest,
            problems=list(outcome.problems),
            vanished=None if outcome.vanished is None else {of: list(gone) for of, gone in outcome.vanished.items()},
            whole=whole,
            strangers=list(outcome.strangers) if whole else None,
        )
        services.ledger.write(found)
    keep(services.state, services.ledger, anew=begins)


def _news(last: Compared | None, outcome: LedgerComparison, now: datetime, *, whole: bool) -> bool:
    """Is there to be a record of it? Of one of the whole repository once a day: by these the next one is due."""
    gone = outcome.vanished or {}
    if last is None:
        some = outcome.snapshots or (whole and outcome.elsewhere)
        return bool(some or outcome.problems or any(gone.values()))
    if last.problems != outcome.problems or any(set(ids) != set(last.vanished.get(of, ())) for of, ids in gone.items()):
        return True
    recorded = last.wholly if whole else last.at
    return recorded is None or not recorded_within(EVERY, recorded, now)


def compare_due(plans: Sequence[LoadedPlan], services: Services, at_once: Collection[str] = ()) -> list[str]:
    """Compare with the repositories of these plans where that is due: once a day, each hour after a finding. Sentences
    on what could not be asked; CcdrError where the ledger cannot be read or written. A ledger that was never compared
    is, at once: where all of the state is lost, the repository alone knows of another one. Of plans that are named in
    `at_once` the snapshots are looked at in any case."""
    lineage, now = read(services.state, services.ledger), services.clock.now()
    troubles = []
    for loaded in plans:
        plan = loaded.plan.plan
        if plan not in at_once and not due(lineage, lineage.compared.get(plan), last_tried(services, plan), now):
            continue
        note_try(services, plan)  # first: a store that does not answer is not asked again at once
        try:
            listed, vanished = listed_and_vanished(loaded, services)
            compared(services, plan, listed, vanished=vanished)
        except CcdrError as error:
            troubles.append(f"{plan}: the ledger could not be compared with its repository: {error}")
    keep(services.state, services.ledger)
    return troubles


def listed_and_vanished(
    loaded: LoadedPlan, services: Services
) -> tuple[list[RepoSnapshot], dict[str, list[str]] | None]:
    """What the plan's repository holds of it, and what has vanished from there (None: it is being pruned, and nobody
    can tell). CcdrError where it cannot be asked."""
    before, histories = services.catalogue.known(loaded.plan.plan), services.histories()
    repo = asked(loaded, services)
    try:
        with services.state.reading(repo.location):
            listed = repo.snapshots([OURS, f"plan={loaded.plan.plan}"])
            return listed, services.vanished(loaded, repo, listed, before, histories)
    except Locked:
        return listed_of(loaded, services), None


def listed_of(loaded: LoadedPlan, services: Services) -> list[RepoSnapshot]:
    """What the plan's repository holds of it. CcdrError where it cannot be asked."""
    return asked(loaded, services).snapshots([OURS, f"plan={loaded.plan.plan}"])


def asked(loaded: LoadedPlan, services: Services) -> Restic:
    """A plan's repository, for what must not take long."""
    return services.repository(loaded, limits_of(loaded)).impatient(PROBE_WAIT)
