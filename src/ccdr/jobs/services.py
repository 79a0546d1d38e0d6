"""What the use-cases are handed: one asset's job, one run of it, and the rooms it is done with."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ccdr.evidence.history.asset_history import AssetHistory, Histories, seen_from
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.lineage.comparison import read as read_lineage
from ccdr.evidence.lineage.own_records import Lineage
from ccdr.evidence.pauses import by_elapsed
from ccdr.evidence.population import Population, Unsound, population, records_of
from ccdr.evidence.records import BackupEnd, Record
from ccdr.evidence.records.backups import StoredSnapshot
from ccdr.evidence.records.repository_keys import KeyAdded, KeyRemoved, PasswordMade
from ccdr.evidence.records.restores import Difference, Sandbox
from ccdr.evidence.records.values import RecordedTrigger, recorded_user
from ccdr.evidence.summary import Memory, histories
from ccdr.host.clock import boot
from ccdr.host.digests import Digest
from ccdr.host.files import remove_tree
from ccdr.host.processes import Host
from ccdr.host.secrets import SHORTEST, env_file, password
from ccdr.host.state import Run, State
from ccdr.model.errors import CcdrError, RepositoryMissing
from ccdr.model.retention import Policy, expired
from ccdr.model.values import PRIMARY, Snapshot, Verb
from ccdr.plans import LimitsInForce, LoadedPlan, Plan, Repository
from ccdr.plans.job import Job
from ccdr.plans.model import LOCK_WAIT, NO_PROGRESS
from ccdr.ports.engine import Engine
from ccdr.ports.place import Clock, Progress
from ccdr.sandbox.box import Box
from ccdr.sandbox.docker import Image
from ccdr.sandbox.lab import Lab
from ccdr.storage.catalogue import Captured, Catalogue, Reads, Wanted
from ccdr.storage.fast_keys import KeyHint
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.removals import CLOCK_TOLERANCE, Expired, LedgerOfRemovals, Pruning
from ccdr.storage.restic import Restic
from ccdr.storage.synchronised import Synchronised


def policy_of(plan: Plan) -> Policy | None:
    """The plan's retention; None where it states none, and nothing is ever removed."""
    return Policy(**plan.retention.model_dump()) if plan.retention else None


def _digest(secret: str) -> str:
    """Of a password that nobody can guess, and so cannot find by this either."""
    return sha256(f"ccdr: repository password\n{secret}".encode("utf-8", "surrogateescape")).hexdigest()


BUILT_IN = LimitsInForce(upload=None, download=None, no_progress=NO_PROGRESS, lock_wait=LOCK_WAIT)


def limits_of(loaded: LoadedPlan) -> LimitsInForce:
    """The plan's own limits: upkeep is not of one asset."""
    limits = loaded.plan.limits
    return LimitsInForce(
        upload=limits.upload,
        download=limits.download,
        no_progress=limits.no_progress or NO_PROGRESS,
        lock_wait=limits.lock_wait or LOCK_WAIT,
    )


@dataclass(frozen=True)
class Trigger:
    """What a run was begun by: a person's (or script's) command, or the schedule, for a due time."""

    due: datetime | None = None
    attempt: int | None = None  # at what came due then: 1 is the first; a person's command is none
    renewed: bool = False  # its source began anew: it is of the newest backup, whatever rule's turn it is

    @property
    def recorded(self) -> RecordedTrigger:
        return RecordedTrigger(by="command" if self.due is None else "run", due=self.due)

    def facts(self) -> dict[str, Any]:
        """For the record of a start: by what, which try, and by whom."""
        return {"trigger": self.recorded, "attempt": self.attempt, "who": recorded_user()}


BY_HAND = Trigger()
MOST_ASKED = 50  # snapshots of an asset that the ledger has seen stored, and neither repository nor catalogue has


def pruning_of(upkeep: AssetHistory) -> Pruning:
    """By what runs here were asked for; where none ever was, by whether a prune was ever done here."""
    if upkeep.duties is not None:
        return Pruning.OURS if upkeep.answers_for(Verb.PRUNE) else Pruning.ELSEWHERE
    ours = upkeep.last_done_prune is not None and not upkeep.last_done_prune.end.foreign
    return Pruning.OURS if ours else Pruning.UNKNOWN


@dataclass(frozen=True)
class SeenFrom:
    """The plan, and the copy of it, that all is seen from; the `catalogue` of the plan's own repository."""

    plan: str
    copy: str
    catalogue: Catalogue


@dataclass(frozen=True)
class Hand:
    """By which key of OpenSSH's whoever states something signs it, and the files that may say whose it is."""

    key: Path
    signers: tuple[Path, ...]


@dataclass(frozen=True)
class Services:
    clock: Clock
    state: State
    ledger: Ledger
    catalogue: Catalogue
    lab: Lab
    host: Host
    memory: Memory = field(default_factory=Memory, compare=False)
    there: SeenFrom | None = None
    hand: Hand | None = None  # None: what may be signed is not
    in_package: bool = False  # no file of this host's says who may sign, or where what a plan names lies

    @property
    def catalogues(self) -> list[Catalogue]:
        """Of whatever was ever captured, as far as it is known here."""
        return [self.catalogue] if self.there is None else [self.catalogue, self.there.catalogue]

    def catalogue_of(self, copy: str) -> Catalogue:
        """Of what is known here of a copy."""
        return Catalogue(self.state.root / "copies" / copy)

    @property
    def digest(self) -> Digest:
        return Digest(self.host)

    def make_if_missing(self, repo: Restic, allowed: Callable[[], object] = lambda: None) -> None:
        """Create a repository that is not there, once `allowed` has not raised. Two assets may want it at the same
        time, and two creations at once would be a damaged one."""
        try:
            repo.probe()
        except RepositoryMissing:
            with self.state.creating(repo.location):
                try:
                    repo.probe()
                except RepositoryMissing:
                    allowed()
                    repo.init()

    def repository(self, loaded: LoadedPlan, limits: LimitsInForce, *, gentle: bool = False) -> Restic:
        """The plan's repository, ready to be asked. UsageProblem where a secret cannot be had. `gentle` is for a
        source's host; what is measured runs at full speed."""
        plan, copy = loaded.plan.plan, loaded.plan.seen_from
        named = "repository" if copy is None else f"copies: {copy}"
        opened = self.opened(loaded.plan.repository, limits, gentle=gentle, named=named)
        hint = opened.hint and replace(opened.hint, tenant=loaded.plan.tenant_of(None))
        return replace(opened, plan=plan, hint=hint, known=lambda: self.knows(plan), copied=copy is not None)

    def opened(
        self, settings: Repository, limits: LimitsInForce, *, gentle: bool = False, named: str = "repository"
    ) -> Restic:
        """As `repository`, of one that no plan names yet."""
        secret = password(settings, self.host, what=named, shortest=SHORTEST)
        env = env_file(settings.env_file) if settings.env_file else {}
        if settings.password_file is not None:
            env["RESTIC_PASSWORD_FILE"] = str(settings.password_file.absolute())
        elif settings.password_command is not None:
            env["RESTIC_PASSWORD_COMMAND"] = shlex.join(settings.password_command)
        hidden = tuple(v for k, v in env.items() if "SECRET" in k or "KEY" in k or "TOKEN" in k)
        given = settings.password_file or settings.password_command
        hint = KeyHint(
            secret or "",
            env,
            source=f"{given}",
            kept=self._key_hints,
            wanted=lambda: settings.fast_key and self.has_made(secret or ""),
            announce=partial(self._record_fast_key, settings.location),
        )
        return Restic(
            hint=hint,
            location=settings.location,
            env=env,
            cache=self.state.directory("cache"),
            host=self.host.with_(secrets=(secret or "", *hidden), no_progress=limits.no_progress, gentle=gentle),
            upload_limit=limits.upload,
            download_limit=limits.download,
            lock_wait=limits.lock_wait,
            lock_days=settings.lock_days,
            named=named,
        )

    @property
    def _key_hints(self) -> Path:
        return self.state.directory("cache") / "key-hints"

    def forget_key_hints(self) -> None:
        """A repository's keys have changed: the next call of each asks anew which one opens fast."""
        remove_tree(self._key_hints)

    def _record_fast_key(self, location: str, repo: Restic, fast: str, own: str | None) -> None:
        """That a fast key is going to stand beside restic's own; None: it is gone again."""
        change = KeyRemoved if own is None else KeyAdded
        changed = change(
            plan=repo.plan,
            repository={"repository": PRIMARY}.get(repo.named, repo.named.removeprefix("copies: ")),
            of_log=repo.location.rstrip("/") != location.rstrip("/"),
            key=fast,
            twin_of=own,
            why="fast",
            keys=1 if own is None else 2,
            tenant=repo.hint.tenant if repo.hint is not None else "default",
            who=recorded_user(),
        )
        self.ledger.write(changed)

    def twins(self, plan: str) -> Mapping[str, str]:
        """Of a plan's repositories the fast keys that ccdr has made, each with restic's own for the same password."""
        return self.histories().get((plan, None), AssetHistory()).fast_keys

    def record_made(self, secret: str, plan: str, tenant: str = "default") -> None:
        """That ccdr made this password of a repository."""
        self.state.directory()  # which is new with a first plan
        self.ledger.write(PasswordMade(plan=plan, password=_digest(secret), tenant=tenant, who=recorded_user()))

    def has_made(self, secret: str) -> bool:
        """Is it recorded here that ccdr made this password, of random bits? Its looks tell nothing."""
        return any(_digest(secret) in one.made_passwords for one in self.histories().values())

    def knows(self, plan: str) -> bool:
        """Was anything of this plan stored already, as far as catalogue and ledger tell?"""
        return self.catalogue.knows(plan) or any(
            h.last_good_backup for (name, _), h in self.histories().items() if name == plan
        )

    def synchronise(
        self,
        loaded: LoadedPlan,
        repo: Restic,
        assets: Iterable[str] | None,
        stored_here: Collection[str] = (),
        *,
        arriving: bool = False,
        wanted: Wanted = lambda asset, new: new,
        reads: Reads = lambda done, of: None,
    ) -> Synchronised:
        """Ask the repository what is there. What is gone and was this plan's retention's to remove has not vanished.
        `arriving`: what is new there was copied there just now. `wanted`, `reads`: as the catalogue's."""
        histories, plan = self.histories(), loaded.plan.plan
        return self.catalogue.synchronise(
            repo,
            plan,
            assets,
            self.clock.now(),
            stored_here,
            self._expiry(loaded),
            self._at_work,
            self._removals_known(loaded, histories),
            self._captured(plan),
            arriving,
            wanted,
            reads,
        )

    def _captured(self, plan: str) -> Captured:
        """Of what a copy says that it holds: by the catalogue of the plan's own repository, or else by the ledger."""
        if (there := self.there) is None:
            return lambda asset, snapshot: None
        known = histories(self.state, self.ledger, self.population(), self.memory, at_work=self._at_work)

        def captured(asset: str, snapshot: str) -> str | None:
            if (sha256 := there.catalogue.sha256(plan, asset, snapshot)) is not None:
                return sha256
            order = known.get((plan, asset), AssetHistory()).stored.get(snapshot)
            stored = self._snapshot_of(order, snapshot)
            return stored.manifest_sha256 if stored else None

        return captured

    def _snapshot_of(self, order: float | None, snapshot: str) -> StoredSnapshot | None:
        """What the backup stored whose record stands there in our own ledger, if it is this one."""
        record = self.ledger.numbered(int(order)) if order is not None and order == int(order) else None
        stored = record.snapshot if isinstance(record, BackupEnd) else None
        return stored if stored and stored.id == snapshot else None

    def _expiry(self, loaded: LoadedPlan) -> Expired:
        """What the plan's retention lets go by now."""
        policy, zone = policy_of(loaded.plan), loaded.plan.zone
        later = self.clock.now() + CLOCK_TOLERANCE  # the host that removed it may be ahead

        def let_go(snapshots: Sequence[Snapshot]) -> Collection[str]:
            return expired(snapshots, policy, later, zone) if policy else ()

        return let_go

    def _removals_known(self, loaded: LoadedPlan, histories: Histories) -> LedgerOfRemovals:
        plan, later = loaded.plan.plan, self.clock.now() + CLOCK_TOLERANCE
        upkeep = histories.get((plan, None), AssetHistory())

        def ever(snapshots: Sequence[Snapshot]) -> Collection[str]:
            gone = set[str]()
            points = {s.id: s.consistent_point for s in snapshots}
            for rules, of, end in upkeep.retentions_past():
                with contextlib.suppress(KeyError, ValueError, TypeError, OSError):  # a later ccdr's, or damaged
                    by = expired(snapshots, Policy.of(rules), later, ZoneInfo(of))
                    gone |= {one for one in by if end is None or points[one] < end}
            return gone

        return LedgerOfRemovals(pruning_of(upkeep), self._stored(plan, histories), ever)

    def _stored(self, plan: str, histories: Histories) -> Callable[[str, Collection[str]], list[Snapshot]]:
        """What this ledger, and those of this host's that were lost and brought back, have seen stored, and no prune
        removed; of what it is asked for the newest alone."""

        def besides(asset: str, others: Collection[str]) -> list[Snapshot]:
            history = histories.get((plan, asset), AssetHistory())
            lost = {one: entry for one, entry in history.recorded_beside.items() if entry.ours}
            ours = {one: order for one, order in history.stored.items() if order == int(order) or one in lost}
            newest = sorted(ours.keys() - set(others), key=ours.__getitem__)[-MOST_ASKED:]
            snapshots = []
            for one in newest:
                stored = self._snapshot_of(ours[one], one)
                point = stored.consistent_point if stored else lost[one].consistent if one in lost else None
                if point is not None:
                    snapshots.append(Snapshot.outline(one, plan, asset, point, point))
            return snapshots

        return besides

    def vanished(
        self,
        loaded: LoadedPlan,
        repo: Restic,
        there: Sequence[RepoSnapshot],
        before: Collection[str],
        histories: Histories,
    ) -> dict[str, list[str]]:
        """By asset: what is gone from the repository, and was not this plan's retention's to remove. `before` and
        `histories`: what was known before it was asked."""
        now, plan = self.clock.now(), loaded.plan.plan
        expectation = self._removals_known(loaded, histories)
        return self.catalogue.vanished(repo, plan, there, before, now, self._expiry(loaded), expectation)

    def lineage(self) -> Lineage:
        """Which ledger it is, and what is known of it elsewhere. CcdrError where it cannot be read."""
        return read_lineage(self.state, self.ledger)

    def population(self) -> Population:
        """The ledgers that are read with ours. CcdrError where ours cannot be read."""
        return population(self.state, self.lineage)

    def records(self) -> Iterator[Record]:
        """All that the ledger, and those beside it, hold, oldest first; one that does not verify is left out. Raises as
        `Ledger.records`."""
        return records_of(self.ledger, self.population().sound())

    def histories(self) -> Histories:
        """What the ledger, and those beside it, say of each asset."""
        known = histories(self.state, self.ledger, self.population(), self.memory, at_work=self._at_work)
        for of in known.values():
            if of.pauses:
                by_elapsed(of.pauses, self.clock.now(), self.clock.monotonic(), boot())
        return known if self.there is None else seen_from(known, self.there.plan, self.there.copy)

    @property
    def unsound(self) -> tuple[Unsound, ...]:
        """Ledgers beside ours that `histories`, when last asked, has left out as they do not verify."""
        return self.memory.unsound

    def _at_work(self, run: str) -> bool:
        try:
            return self.state.at_work(run)
        except CcdrError:  # who may only read the state cannot tell
            return False

    def history(self, job: Job) -> AssetHistory:
        """What the ledger says of this asset."""
        return self.histories().get((job.plan, job.asset), AssetHistory())

    def write_credentials(self, job: Job, directory: Path) -> None:
        """The source's password as the files its client wants, mode 0600."""
        self.write_credentials_of(job.engine, directory, what=f"{job.asset}: connection")

    def write_credentials_of(self, engine: Engine, directory: Path, *, what: str) -> None:
        """As `write_credentials`, for a source that no plan names yet; `what` is how errors call it."""
        source = engine.secret()
        secret = password(source, self.host, what=what) if source else None
        if secret is None:
            return
        for name, text in engine.credentials(secret).items():
            path = directory / name
            path.touch(mode=0o600)
            path.write_text(text, "utf-8")


# One run of a job, as the use-cases hand it from part to part.


@dataclass(frozen=True)
class JobRun:
    """One run of a job: the asset that it is of, and what it is carried out with."""

    job: Job
    services: Services
    repo: Restic
    run: Run
    progress: Progress


def recorded_sandbox(image: Image, box: Box, memory_available: int | None = None) -> Sandbox:
    """For the record of a test: how it was shut off. `memory_available` is what the host had left, bytes."""
    return Sandbox(
        image=image.name,
        **{"image_digest": image.id, **box.facts},
        differs=[Difference(**asdict(one)) for one in box.differs],
        memory_available=memory_available,
    )


def wake(services: Services) -> None:
    """The next `ccdr run` looks again, and tells people."""
    for path in (services.state.root / "schedule").glob("wake-*.json"):
        with contextlib.suppress(OSError):
            path.unlink()
