"""Opening a new server: it was made ready, checked and left; now this host starts it, and it is looked at."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ccdr.host.interrupts import tick
from ccdr.host.processes import Daemon, Watchdog, tree_bytes
from ccdr.host.state import Run
from ccdr.jobs.restore.left_server import LEFT, LeftServer
from ccdr.jobs.services import Services
from ccdr.model.answers import FreeText
from ccdr.model.errors import CcdrError, CommandFailed, TestBroken
from ccdr.model.values import Manifest, human_seconds
from ccdr.plans.job import Job
from ccdr.plans.targets import NewServer
from ccdr.ports.new_server import ServerMaker, Site
from ccdr.ports.place import Progress, Source

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
                    _Silent(),
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


class _Silent:
    """Nobody watches: it is asked again and again."""

    def step(self, text: str) -> None: ...

    def amount(self, done: int, total: int | None) -> None: ...


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
