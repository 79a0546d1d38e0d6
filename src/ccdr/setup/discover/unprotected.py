"""`ccdr discover`: what stands beside the things that plans protect and is in no plan, and what was never tested."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path

from ccdr.engines import AnyEngine
from ccdr.engines.discoveries import DISCOVERIES
from ccdr.engines.discovery import Discovery, NamedServer, RunningServer, has_audio, survey_tree
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.asset_status import UNTESTED, coverage
from ccdr.evidence.records import RestoreEnd
from ccdr.host.state import RESTORE_MARK, State
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, Exit, worst
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.ports.place import Progress
from ccdr.setup.discover.machine import Looker

PATIENCE = 5.0  # seconds for the size of one directory
DATABASE, DIRECTORY, FILE, SERVER = "database", "directory", "database file", "server"


@dataclass(frozen=True)
class Unprotected:
    """A store that no plan names. `server` is its server, or parent directory; `bytes` is None where it may not be
    looked into."""

    kind: str
    server: str
    name: str
    bytes: int | None

    @property
    def names(self) -> set[str]:
        """What a plan's `ignore:` may call it."""
        return {f"{self.server}/{self.name}"} if self.kind in (DIRECTORY, FILE) else {self.name}


@dataclass(frozen=True)
class Untested:
    """An asset whose backups nothing has ever proven."""

    plan: str
    asset: str
    why: str


@dataclass(frozen=True)
class Unreachable:
    """A place that could not be looked at, so that nothing is known of it."""

    server: str
    why: str


@dataclass
class Discovered:
    unprotected: list[Unprotected] = field(default_factory=list)
    untested: list[Untested] = field(default_factory=list)
    unreachable: list[Unreachable] = field(default_factory=list)

    @property
    def exit_code(self) -> Exit:
        codes = [Exit.FINDING] if self.unprotected or self.untested else []
        return worst([*codes, Exit.NOT_CARRIED_OUT] if self.unreachable else codes)


def discover(
    plans: Sequence[LoadedPlan],
    named: Sequence[LoadedPlan],
    services: Services,
    progress: Progress,
    *,
    this_host: bool = False,
    sockets: Path | None = None,
) -> Discovered:
    """Look around the assets of `named`; what any of `plans` names is protected. With `this_host`, servers of this host
    that no plan names are looked at too; `sockets` is the directory where they have theirs, if not where they have them
    everywhere."""
    discovered, looking = Discovered(), Looker(services, progress)
    for discovery in DISCOVERIES:
        reached = _by_server(discovery, plans)
        servers = _servers(discovery, reached, _by_server(discovery, named).keys(), looking, discovered)
        if this_host and (directory := sockets or discovery.sockets):
            _local_servers(discovery, directory, {server.port for server in reached}, servers, looking, discovered)
        for server in servers.values():
            for name, size in sorted(server.others.items()):
                if name not in server.named:
                    discovered.unprotected.append(Unprotected(DATABASE, server.shown, name, size))
    _directories(plans, named, services, progress, discovered)
    ignored = {name for loaded in plans for name in loaded.plan.ignore}
    discovered.unprotected = [u for u in discovered.unprotected if ignored.isdisjoint(u.names)]
    discovered.untested += untested(named, services)
    return discovered


@dataclass
class _Server:
    """A running server, by whichever connections it was reached."""

    shown: str
    named: set[str] = field(default_factory=set)
    others: dict[str, int | None] = field(default_factory=dict)

    def take(self, standing: RunningServer) -> None:
        self.named |= {*standing.named}
        for name, size in standing.others.items():
            self.others[name] = self.others.get(name) or size


def _by_server(discovery: Discovery, plans: Iterable[LoadedPlan]) -> dict[NamedServer, list[AnyEngine]]:
    """The assets of these plans that are the engine's, by how their server is reached."""
    engines_by_server: dict[NamedServer, list[AnyEngine]] = {}
    for loaded in plans:
        for engine in loaded.plan.assets.values():
            if (server := discovery.reached(engine)) is not None:
                engines_by_server.setdefault(server, []).append(engine)
    return engines_by_server


def _servers(
    discovery: Discovery,
    reached: Mapping[NamedServer, Sequence[AnyEngine]],
    wanted: Collection[NamedServer],
    looking: Looker,
    discovered: Discovered,
) -> dict[str, _Server]:
    """The servers that plans name, by identity: the same one may be reached in several ways."""
    servers: dict[str, _Server] = {}
    for server, engines in reached.items():
        ours = server in wanted
        looking.progress.step(f"asking {server.shown}")
        try:
            standing = discovery.standing(engines, looking, others=ours)
        except CcdrError as error:
            if ours:
                discovered.unreachable.append(Unreachable(server.shown, str(error)))
        else:
            servers.setdefault(standing.identity, _Server(server.shown)).take(standing)
    return servers


def _local_servers(
    discovery: Discovery,
    sockets: Path,
    ports: Collection[int],
    servers: dict[str, _Server],
    looking: Looker,
    discovered: Discovered,
) -> None:
    """Servers of this host, as whoever runs ccdr. One that lets us not in is told by its port alone, and only where no
    plan names that port."""
    for server in discovery.local_servers(sockets):
        looking.progress.step(f"asking {server.reached.shown}")
        try:
            standing = server.standing(looking)
        except CcdrError:
            if server.reached.port not in ports:
                discovered.unprotected.append(Unprotected(SERVER, str(sockets), server.title, None))
        else:
            if standing.identity not in servers:
                servers[standing.identity] = _Server(server.reached.shown)
                servers[standing.identity].take(standing)


def _directories(
    plans: Sequence[LoadedPlan],
    named: Sequence[LoadedPlan],
    services: Services,
    progress: Progress,
    discovered: Discovered,
) -> None:
    """Siblings of what plans name: directories with audio in them, and databases that are one file; those too that
    stand right in a tree, where a copy of the file may be torn. What ccdr has made itself is no source."""
    kept = {Path(p.plan.repository.location) for p in plans if p.plan.repository.is_local}
    known = set(_roots(plans)) | kept | {services.state.root.absolute()}
    _database_files(plans, named, kept | {services.state.root.absolute()}, discovered)
    for parent in sorted({root.parent for root in _roots(named)} - {Path("/")}):
        progress.step(f"looking into {parent}")
        try:
            children = sorted(path for path in parent.iterdir() if path.is_dir() and not path.is_symlink())
        except OSError as error:
            discovered.unreachable.append(Unreachable(str(parent), error.strerror or str(error)))
            continue
        for child in children:
            related = any(child == path or child in path.parents or path in child.parents for path in known)
            if not related and has_audio(child) and not _our_own(child, services):
                size = survey_tree(child, patience=PATIENCE).bytes
                discovered.unprotected.append(Unprotected(DIRECTORY, str(parent), child.name, size))


def _database_files(
    plans: Sequence[LoadedPlan], named: Sequence[LoadedPlan], ours: set[Path], discovered: Discovered
) -> None:
    protected = {path for loaded in plans for e in loaded.plan.assets.values() for path in e.source_paths}
    beside = {path.parent for loaded in named for e in loaded.plan.assets.values() for path in e.source_paths}
    for directory in sorted((beside | set(_roots(named))) - {Path("/")} - ours):
        with contextlib.suppress(OSError):  # one that cannot be looked into is told of with the directories
            for path in (path for discovery in DISCOVERIES for path in discovery.files_in(directory)):
                if path not in protected:
                    discovered.unprotected.append(Unprotected(FILE, str(directory), path.name, path.stat().st_size))


def _our_own(path: Path, services: Services) -> bool:
    """A state directory, what a restore for real is writing or has left, or what one has brought back, as it came:
    once something was added or removed there, it is in use, and a source like any other."""
    if State(path).version_file.is_file() and State(path).ledger.is_dir():
        return True
    if re.search(rf"^\..+\.{RESTORE_MARK}-", path.name):
        return True
    names: set[str | None] = {str(path), os.path.realpath(path)}
    with contextlib.suppress(CcdrError):  # a ledger that cannot be read leaves it to be looked at
        # A path is of one host: of the ledgers beside ours only those that were this host's tell of it.
        lost = [one.reader for one in services.population().sound().chains if one.ours]
        for record in chain.from_iterable(one.as_read(reverse=True) for one in (services.ledger, *lost)):
            if isinstance(record, RestoreEnd) and record.target.name in names:
                return record.result == "RESTORED" and not _changed_since(path, record.time)
    return False


def _changed_since(path: Path, when: datetime) -> bool:
    """Was anything added, renamed or removed? By the directories' change times, which no copying sets back."""
    try:
        return any(Path(d).stat().st_ctime > when.timestamp() for d, _, _ in os.walk(path))
    except OSError:
        return True


def _roots(plans: Iterable[LoadedPlan]) -> Iterator[Path]:
    for loaded in plans:
        for engine in loaded.plan.assets.values():
            for discovery in DISCOVERIES:
                yield from discovery.trees_of(engine)


def untested(plans: Sequence[LoadedPlan], services: Services) -> Iterator[Untested]:
    """What `status` calls untested, and for want of what."""
    histories, now = services.histories(), services.clock.now()
    for job in (Job(loaded, asset) for loaded in plans for asset in loaded.plan.assets):
        history = histories.get((job.plan, job.asset), AssetHistory())
        if coverage(job, history, now) != UNTESTED:
            continue
        why = "no restore test of it has been conclusive yet"
        if job.engine.restore_test is None:
            why = "its plan has no restore test for it"
        elif not job.checks:
            why = "its restore test has no checks, so that nothing can pass"
        elif history.last_conclusive_test is not None:
            why = "its last restore test was from another source than the plan names now"
        yield Untested(job.plan, job.asset, why)
