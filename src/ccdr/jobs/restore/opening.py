"""A new server's place on this host: looked at before anything is written; once the server was made ready, checked and
left, it is started there and looked at.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ccdr.host.interrupts import tick
from ccdr.host.processes import Daemon, Watchdog, tree_bytes
from ccdr.host.state import Run
from ccdr.jobs.restore.directory import Guarded, Staging, staging_for
from ccdr.jobs.restore.new_server import LEFT, LeftServer, Loaded, OntoNewServer
from ccdr.jobs.restore.ways import Order
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.recovery import Recovery
from ccdr.model.answers import FreeText
from ccdr.model.errors import CcdrError, CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import Manifest, human_seconds
from ccdr.plans.job import Job
from ccdr.plans.targets import NewServer
from ccdr.ports.new_server import Owner, ServerMaker, Site
from ccdr.ports.place import Progress, Source, Unwatched
from ccdr.sandbox.lab import room_for

LOOK_WITHIN = 2.0  # seconds that a look at an address may take
PATIENCE = 120.0  # seconds that a server which was started may take until it takes connections
LOOK_EVERY = 0.3  # seconds between two looks, while it starts
WORDS = 4096  # bytes of what `start:` has said that are kept
EVERYWHERE = ("*", "0.0.0.0", "::", "")  # noqa: S104 - compared with


@dataclass(frozen=True)
class Opening:
    """One server that `left` tells of. `run` has the files that a client of it wants."""

    job: Job
    wanted: NewServer
    left: LeftServer
    site: Site
    maker: ServerMaker
    manifest: Manifest
    services: Services
    run: Run

    @classmethod
    def of(cls, job: Job, wanted: NewServer, manifest: Manifest, services: Services, run: Run) -> Opening:
        """CcdrError where no server was left there, or that of another asset."""
        left = LeftServer.read(wanted.directory)
        if left.home != wanted.directory:
            raise CcdrError(
                f"the server in {wanted.directory} says that it was made ready in {left.home}",
                hint="put it back there; its own settings lead there",
            )
        if (left.plan, left.asset) != (job.plan, job.asset):
            raise CcdrError(
                f"{left.home} holds the new server of {left.plan}/{left.asset}", hint="name the directory of this one"
            )
        site = job.site(wanted, left.mark)
        site = replace(site, home=left.home, address=left.address, port=left.port, sockets=left.sockets)
        return cls(job, wanted, left, site, job.engine.new_server(site), manifest, services, run)

    def refuse(self) -> None:
        """CcdrError where it must not be started: something listens there already, it was started or changed since it
        was checked, or this host has no such address."""
        left = self.left
        if not left.untouched:
            raise CcdrError(
                f"the server in {left.home} is not as it was left when its checks had passed",
                hint="was it started since? Look at it there; or recover it again, into an empty directory",
            )
        if (taken := next(listening(self.maker, self.site.address, self.manifest), None)) is not None:
            raise CcdrError(
                f"something listens at {taken} already",
                hint="is that the old server? End it and see that it stays so, or name another `port:` or `sockets:`",
            )
        if not _is_here(left.address):
            raise CcdrError(
                f"this host does not have the address {left.address}",
                hint="give it to this host first (`ip addr add`), or name another `address:`",
            )

    def start(self, argv: Sequence[str], progress: Progress) -> None:
        """Carry out `start:`, and wait until the server that was checked answers at its address. CcdrError where it
        does not: what the command said are its `words`. One that takes connections already may load for longer, as
        long as it gets on."""
        self.refuse()
        limit, log = self.job.limits.no_progress, self.run.scratch / f"start-{self.job.asset}.log"
        progress.step(f"starting the new server of {self.job.asset}")
        log.touch(mode=0o600)
        try:
            daemon = Daemon.start(argv, log=log, outlive=True)
        except OSError as error:
            raise CcdrError(f"`start:` cannot be carried out: {error.strerror}", hint="mend `start:`") from None
        logs = [path for path in (self.left.home / "log", self.left.home) if path.is_dir()][:1]
        watchdog = Watchdog(limit, lambda: (log.stat().st_size, *map(tree_bytes, logs)))
        at, began = f"{self.left.address}:{self.left.port}", time.monotonic()
        progress.step(f"waiting until {self.job.asset} answers at {at}")
        while not self.answers():
            code = daemon.process.poll()
            if code:
                raise CommandFailed(argv, code, _tail(log), what="the command that starts it (`start:`)")
            if time.monotonic() - began > PATIENCE and not self._taken():
                raise self._silent(at, log, ended=code is not None)
            if watchdog.stalled():
                daemon.kill()
                raise CommandFailed(argv, -9, _tail(log), stalled=True, what="the start of the new server")
            tick()
            time.sleep(LOOK_EVERY)

    def _taken(self) -> bool:
        """Does anything listen where its users come? Where the plan says in which directory its socket is to be, that
        may be all that they have of it."""
        if self.maker.by_socket_alone(self.manifest):
            return _any_socket(self.left.sockets)
        if _listens((_reachable(self.left.address), self.left.port)):
            return True
        return self.wanted.sockets is not None and _any_socket(self.wanted.sockets)

    def _silent(self, at: str, log: Path, *, ended: bool) -> CcdrError:
        """Nothing is ended: it may come up yet, and then a later run finds it there."""
        done = "ended well" if ended else "is still at work"
        logs = next((path for path in (self.left.home / "log",) if path.is_dir()), self.left.home)
        return CcdrError(
            f"`start:` {done}, and for {human_seconds(PATIENCE)} nothing has answered at {at}",
            hint=f"see in {logs} why, and start it by hand (its lines: {self.left.home / LEFT}); once it answers, "
            f"`ccdr recover --resume {self.job.plan}` goes on",
            words=_tail(log),
        )

    def answers(self) -> bool:
        """Does the server that was made answer at its address? False where nothing does. CcdrError where it is another
        one."""
        with contextlib.ExitStack() as stack:
            return self.client(stack) is not None

    def client(self, stack: contextlib.ExitStack) -> Source | None:
        """A client of the server that was made, until `stack` ends. None, and errors, as of `answers`."""
        left, engine = self.left, self.maker.client(self.manifest)
        if not self._taken():
            return None
        try:
            credentials = self.run.scratch / "opened" / self.job.asset
            credentials.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.services.write_credentials_of(engine, credentials, what=f"{self.job.asset}: its connection")
            source, _ = stack.enter_context(
                self.services.lab.source(
                    engine,
                    self.run.id,
                    self.run.scratch,
                    credentials,
                    self.job.limits.no_progress,
                    Unwatched(),  # it is asked again and again
                    any_client=True,
                    gentle=False,
                    part=self.job.asset,  # others are opened beside it
                )
            )
            ours = self.maker.is_it(source)
        except CommandFailed as error:
            if engine.refused(error.stderr):
                raise self._not_let_in(error) from None
            return None
        except TestBroken:
            return None
        if not ours:
            raise CcdrError(
                f"another server answers at {left.address}:{left.port} than the one that was checked",
                hint=f"see who listens there (`ss -ltnp`); the checked one is in {left.home}",
            )
        return source

    def _not_let_in(self, error: CommandFailed) -> CcdrError:
        left, job, why, came = self.left, self.job, error.stderr.answer, self.maker.client(self.manifest).source_name
        return CcdrError(
            f"the server at {left.address}:{left.port} answers, and refused user or password of {job.asset}"
            f"{f': {why}' if why else ''}",
            hint=f"ccdr came by {came}: has its user an account that may come from there? Is the password the one that "
            "this server has? docs/how-to/recover.md, A password that is lost, says how to set another",
        )


def _any_socket(directory: Path) -> bool:
    return directory.is_dir() and any(path.is_socket() and _listens(path) for path in directory.iterdir())


def listening(maker: ServerMaker, address: str, manifest: Manifest) -> Iterator[str]:
    """Where something takes connections that the new server is to take."""
    if not maker.by_socket_alone(manifest) and in_use(address, maker.port):
        yield f"{address}:{maker.port}"
    if _listens(maker.socket):
        yield str(maker.socket)


def _tail(log: Path) -> FreeText:
    return FreeText(log.read_bytes()[-WORDS:].decode("utf-8", "replace"))


def _reachable(address: str) -> str:
    return "127.0.0.1" if address in EVERYWHERE else address


def _listens(where: tuple[str, int] | Path) -> bool:
    """Does anything take a connection there?"""
    try:
        if isinstance(where, Path):
            with socket.socket(socket.AF_UNIX) as one:
                one.settimeout(LOOK_WITHIN)
                one.connect(str(where))
        else:
            socket.create_connection(where, LOOK_WITHIN).close()
    except OSError:
        return False
    return True


def in_use(address: str, port: int) -> bool:
    """Does anything listen there now?"""
    return _listens((_reachable(address), port))


def _is_here(address: str) -> bool:
    """Can this host listen at that address?"""
    if address in EVERYWHERE:
        return True
    try:
        info = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(info[0]) as one:
            one.bind(info[4])
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL and not isinstance(error, socket.gaierror)
    return True


# Whether a new server can be made where the plan wants it: looked at before anything is written.

# What only a server's own data directory holds: nobody puts another server into one.
OF_A_SERVER = ("PG_VERSION", "ibdata1", "aria_log_control", "appendonlydir")

WRITE, GO_THROUGH = 0o2, 0o1  # as in a mode


def prepared(
    order: Order,
    wanted: NewServer,
    guarded: Sequence[Guarded],
    recovery: Recovery | None,
    working: str | None,
    makes: Path | None,
    stack: contextlib.ExitStack,
) -> OntoNewServer:
    """UsageProblem where it will not do; TestBroken where this host has no image for it. Changes nothing."""
    manifest, home, mark = order.manifest, wanted.directory, working or order.run.id
    site = order.job.site(wanted, mark)
    maker = order.engine.new_server(site)
    owner = owner_of(wanted.owner, maker.user)
    if os.geteuid() != 0:
        raise UsageProblem(
            "only root can give a new server's files to the user that it runs as", hint="run ccdr as root"
        )
    _refuse_inside_a_server(home)
    staging, loaded = _staging(order, site, guarded, maker, makes)
    order.result.notes += maker.notes(manifest, order.services.host)
    for taken in listening(maker, site.address, manifest):
        order.result.notes.append(f"something listens at {taken} now: it must have ended before the new server starts")
    image = order.services.lab.image(order.engine, maker.needs(manifest))
    if owner is not None and site.sockets is not None and not _may(owner, site.sockets, WRITE):
        order.result.notes.append(
            f"{site.sockets} may not be written by the user {owner.name or owner.uid}: its server cannot make its "
            f"socket there (`chown {owner.name or owner.uid} {site.sockets}`)"
        )
    if owner is not None and (closed := closed_to(owner, home)) is not None:
        order.result.notes.append(
            f"{closed} is closed to the user {owner.name or owner.uid}: a server that this host starts cannot reach "
            f"its files, one in a container can (`chmod o+x {closed}` opens it)"
        )
    own = contextlib.ExitStack()
    stack.push(own)
    resumable = working is not None
    return OntoNewServer(order, staging, site, maker, image, owner, own, recovery, loaded, resumable=resumable)


def _staging(
    order: Order, site: Site, guarded: Sequence[Guarded], maker: ServerMaker, makes: Path | None
) -> tuple[Staging, Loaded | None]:
    """Where it is made ready, and what an earlier run of the same name has loaded there."""
    mine = Staging.of(site.home, site.mark)
    loaded = Loaded.read(mine.root)
    if loaded is not None and loaded.snapshot != order.snapshot.id:
        raise UsageProblem(
            f"{mine.root} holds what was loaded of another snapshot, {loaded.snapshot[:8]}",
            hint="remove it, or restore that one",
        )
    maker_needs = maker.needs(order.manifest)
    beside = 0 if maker_needs.in_place else sum(s.bytes for s, _ in order.bases) + order.snapshot.bytes
    needed, entries = maker_needs.bytes + beside, len(order.manifest.files)
    before = mine.root if mine.root.is_dir() else None
    staging, notes = staging_for(
        site.home, guarded, size=needed, entries=entries, run=site.mark, before=before, makes=makes
    )
    staging.own = True
    order.result.notes += notes
    try:
        room_for(order.run.scratch, int(order.snapshot.bytes * 1.05) + 2**24)  # the second dump, to compare
    except TestBroken as error:
        raise UsageProblem(str(error), hint=error.hint) from None
    return staging, loaded


def _refuse_inside_a_server(home: Path) -> None:
    for above in home.parents:
        if any((above / name).exists() for name in OF_A_SERVER):
            raise UsageProblem(f"{home} lies in {above}, a server's own data", hint="name a directory elsewhere")


def closed_to(owner: Owner, home: Path) -> Path | None:
    """The directory above the home that its owner may not go through."""
    there = [above for above in reversed(home.parents) if above.exists()]
    return next((above for above in there if not _may(owner, above, GO_THROUGH)), None)


def _may(owner: Owner, path: Path, what: int) -> bool:
    """By owner, group and mode of a path that is there."""
    groups = {owner.gid}
    if owner.name is not None:
        groups.update(os.getgrouplist(owner.name, owner.gid))
    status = path.stat()
    shift = 6 if status.st_uid == owner.uid else 3 if status.st_gid in groups else 0
    return bool(status.st_mode & (what << shift))


def owner_of(named: str | None, user: str) -> Owner | None:
    """Whom the plan names; else the engine's own user, where this host has it: None where it does not. UsageProblem
    for a name that this host does not know."""
    wanted = named or user
    try:
        entry = pwd.getpwuid(int(wanted)) if wanted.isdigit() else pwd.getpwnam(wanted)
    except (KeyError, OverflowError):
        if named is None:
            return None
        if wanted.isdigit() and int(wanted) < 2**32 - 1:
            return Owner(int(wanted), int(wanted))
        raise UsageProblem(
            f"this host has no user {named!r}", hint="name one that it has, or its number: `id -u NAME` in the image"
        ) from None
    if entry.pw_uid == 0:
        raise UsageProblem("a new server does not run as root", hint="name the user that it is to run as")
    return Owner(entry.pw_uid, entry.pw_gid, entry.pw_name)
