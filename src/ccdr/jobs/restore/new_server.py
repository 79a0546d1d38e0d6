"""The third way to restore: a server that is not there yet, made ready in a container, for this host to start; and what
its files tell of how far that came.
"""

from __future__ import annotations

import contextlib
import pwd
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from ccdr.checks.base import CheckConfig
from ccdr.checks.command import Command
from ccdr.host.clock import timed
from ccdr.host.files import extent, remove_tree
from ccdr.host.state_files import StateDamaged, StateFile, read_state, state_or_none, write_state
from ccdr.jobs.fetch import fetch, fetch_bases
from ccdr.jobs.restore.directory import Staging
from ccdr.jobs.restore.ways import Held, Order, skipped
from ccdr.jobs.shipping.log_archive import LOG
from ccdr.jobs.shipping.recovery import Recovery
from ccdr.model.errors import CcdrError, TestBroken
from ccdr.model.values import CheckResult, Manifest
from ccdr.ports.check import CheckContext
from ccdr.ports.log import Reached, RecoveryTarget
from ccdr.ports.new_server import Owner, ServerMaker, Site, StartLines
from ccdr.ports.place import Place, Progress
from ccdr.sandbox import isolation
from ccdr.sandbox.box import Box
from ccdr.sandbox.docker import NOT_AS_ASKED, Disposal, Image
from ccdr.sandbox.lab import SandboxOrder, given_inside, made_below, readable_inside
from ccdr.storage.manifest import MANIFEST

# What a new server's files tell of themselves: that their load has ended, and how they were left once all was done.

LOADED = "ccdr-loaded.json"  # in the staging directory
LEFT = "ccdr-server.json"  # in the home
OWN = (LEFT,)


CHANGED = f"{LEFT} was changed since, so that the lines by which it is started are not shown"


class Loaded(StateFile, frozen=True):
    """Written once the load of `snapshot` has ended, and its files are on disk. `checks` are those of the log, without
    what is never kept of them."""

    snapshot: str
    image: str
    reached: Reached | None
    checks: tuple[CheckResult, ...]

    @classmethod
    def of(cls, snapshot: str, image: Image, reached: Reached | None, checks: list[CheckResult]) -> Loaded:
        return cls(snapshot, image.id, reached, tuple(replace(one, detail=None) for one in checks))

    def write(self, root: Path) -> None:
        write_state(root / LOADED, self)

    @classmethod
    def read(cls, root: Path) -> Loaded | None:
        """None where no load has ended there."""
        return state_or_none(root / LOADED, cls)


class LeftServer(StateFile, frozen=True):
    """A new server as it was left under its final name, before anybody has started it. `sums` are of the files that
    change with that."""

    plan: str
    asset: str
    run: str
    snapshot: str
    mark: str
    home: Path
    address: str
    port: int
    sockets: Path
    owner: Owner
    image: str
    lines: StartLines = msgspec.field(name="start")
    sums: dict[str, str]
    extent: tuple[int, int] = (0, 0)  # how many files, and how many bytes, but for ccdr's own

    @classmethod
    def of(cls, order: Order, site: Site, maker: ServerMaker, owner: Owner, image: str, tree: Path) -> LeftServer:
        return cls(
            plan=order.job.plan,
            asset=order.job.asset,
            run=order.run.id,
            snapshot=order.snapshot.id,
            mark=site.mark,
            home=site.home,
            address=site.address,
            port=maker.port,
            sockets=site.socket_directory,
            owner=owner,
            image=image,
            lines=maker.start_lines(order.manifest, image, owner),
            sums=sums_of(tree, maker.told_by(order.manifest)),
            extent=extent(tree, OWN),
        )

    def write(self, tree: Path) -> None:
        write_state(tree / LEFT, self)

    @classmethod
    def read(cls, home: Path) -> LeftServer:
        """CcdrError where none was left there."""
        try:
            left = read_state(home / LEFT, cls)
        except StateDamaged as why:
            raise CcdrError(str(why), hint="start the server by hand") from None
        if left is None:
            raise CcdrError(f"{home} holds no server that ccdr made ready")
        return left

    @property
    def file(self) -> Path:
        """Where all of this stands."""
        return self.home / LEFT

    def as_written(self, digest: object) -> bool:
        """Does its file still say what was written there? Its lines are typed by people, as root."""
        try:
            return digest_of(self.home) == digest
        except OSError:
            return False

    @property
    def untouched(self) -> bool:
        """Is all as it was left? A server that was started since has changed it."""
        try:
            same = bool(self.sums) and sums_of(self.home, self.sums) == self.sums
            return same and extent(self.home, OWN) == self.extent
        except OSError:
            return False


def digest_of(tree: Path) -> str:
    """Of the file by which a server tells of itself."""
    return sha256((tree / LEFT).read_bytes()).hexdigest()


def sums_of(tree: Path, names: Any) -> dict[str, str]:
    """Small files alone."""
    return {name: sha256((tree / name).read_bytes()).hexdigest() for name in names}


PARTS = "parts"  # beside the home: a dump, a log, an increment and what it builds upon


@dataclass(frozen=True)
class _ByMaker:
    """What a recovery by the log asks of an engine, done in the new server's home."""

    maker: ServerMaker

    def recover(self, box: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget) -> Reached:
        reached = self.maker.load(box, restored, manifest, log, target)
        assert reached is not None
        return reached


@dataclass
class OntoNewServer:
    """Made ready in `staging`, on its final place's own file system. `stack` ends the container whatever happens. With
    `loaded` the load of an earlier run had ended there: its server is opened again instead. `resumable`: a later run
    may come for what this one has loaded, which is then not undone."""

    order: Order
    staging: Staging
    site: Site
    maker: ServerMaker
    image: Image
    owner: Owner | None
    stack: contextlib.ExitStack
    recovery: Recovery | None = None
    loaded: Loaded | None = None
    box: Box | None = None
    left: LeftServer | None = None
    logged: list[CheckResult] = field(default_factory=list)
    disposal: Disposal = field(default_factory=lambda: Disposal(done=True))
    resumable: bool = False
    _loading: bool = False

    def will(self) -> list[str]:
        steps = self.maker.will(self.order.manifest)
        if self.order.bases:
            steps.append(f"of {len(self.order.bases) + 1} snapshots, put together there")
        if self.recovery is not None:
            steps.append(f"applies the log to it: {self.recovery.described}")
        if self.loaded is not None:
            steps.append(f"goes on with what was loaded in {self.staging.root}")
        return [*steps, "gives it its final name once its checks have passed, and starts nothing"]

    def passed_over(self) -> list[CheckResult]:
        asked = self.order.job.checks
        results = [
            skipped(c, "it is written for a sandbox that is thrown away") for c in asked if isinstance(c, Command)
        ]
        return results + [skipped(c, f"{c.beside} is not restored with it") for c in asked if c.beside]

    # --- fetched and loaded ---------------------------------------------------------------------------

    def bring(self, progress: Progress) -> None:
        order = self.order
        if self.loaded is not None:
            self.open_again(progress)
            return
        self._begin()
        with order.phase("fetch", f"fetching {order.snapshot.short}", progress):
            restored = self._fetch(self.fetched, progress)
            if self.recovery is not None:
                self.logged.append(self.recovery.fetch(self.fetched, order.run.directory("log-cache"), order.services))
        order.reached("fetched")
        if not self._in_place and not order.bases:
            with order.phase("check", "comparing digests", progress):
                order.verified(restored)
        self._loading = True
        with order.phase("load", f"loading {order.job.asset} into a new server", progress):
            readable_inside(order.services.host, self.fetched)
            box = self._opened(self.fetched)
            order.result.tools["target"] = self.maker.start(box, order.manifest)
            if self.recovery is None:
                self.maker.load(box, restored, order.manifest, None, None)
            else:
                by, again = _ByMaker(self.maker), self._reopened
                self.logged.append(self.recovery.carry_out(by, box, restored, self.fetched, order.manifest, again))
            self._mark()

    def _reopened(self, outside: Mapping[str, str]) -> Box:
        """As the log wants it: a container's paths are made with it. Those of the source lead into the home."""
        self.stack.close()
        box = self._opened(self.fetched, made_below(self.staging.tree, outside))
        self.maker.start(box, self.order.manifest)
        return box

    def _begin(self) -> None:
        """Of a run of the same name that did not come as far, what it fetched stays: it is not fetched again. All else
        of it goes."""
        order, staging = self.order, self.staging
        goes_on = order.before is not None and staging.tree.is_dir() and self.fetched.is_dir()
        if not goes_on or not self._kept(untouched=order.before is not None and not order.before.past_fetching):
            order.result.left_behind += staging.remove()
            staging.begin()
            self.fetched.mkdir(mode=0o700)
            return
        for path in (staging.out, self.fetched if self._in_place else staging.tree, self.fetched / LOG):
            order.result.left_behind += remove_tree(path)
        for path in (staging.out, staging.tree, self.fetched):
            path.mkdir(mode=0o700, exist_ok=True)

    def _kept(self, *, untouched: bool) -> bool:
        """May a later run go on with what was fetched? A server has worked on what lies in its home, unless that is
        `untouched`; of several snapshots one is made."""
        return not self.order.bases and (untouched or not self._in_place)

    @property
    def fetched(self) -> Path:
        """What does not stay, beside the home: a later run finds it."""
        return self.staging.root / PARTS

    @property
    def _out(self) -> str:
        return f"out-{self.order.job.asset}"

    @property
    def _in_place(self) -> bool:
        return bool(self.maker.needs(self.order.manifest).in_place)

    def _fetch(self, fetched: Path, progress: Progress) -> Path:
        """Straight into the home, where it can stay."""
        order, staging = self.order, self.staging
        into, root = (staging.tree, order.snapshot.root) if self._in_place else (fetched, "/")
        restored = fetch(order.repo, order.engine, order.snapshot, order.manifest, into, progress, root=root)
        fetch_bases(order.repo, order.engine, order.bases, restored, progress)
        if self._in_place:
            (restored / MANIFEST).rename(staging.root / MANIFEST)
        return restored

    def _opened(self, fetched: Path, outside: Mapping[str, Path | str] = {}) -> Box:
        """The container, its server's home owned by its user."""
        order, lab, needs = self.order, self.order.services.lab, self.maker.needs(self.order.manifest)
        if not (out := order.run.scratch / self._out).is_dir():
            order.run.directory(self._out)
        self.disposal = Disposal()
        asked = SandboxOrder(
            run=order.run.id,
            part=order.job.asset,
            fetched=fetched,
            out=out,
            home=self.staging.tree,
            storage="disk",
            no_progress=order.job.limits.no_progress,
            outside=outside,
        )
        self.stack.callback(self._dispose)
        box = self.stack.enter_context(lab.sandbox(needs, self.image, asked, self.disposal))
        if box.differs:
            raise TestBroken(isolation.not_shut_off(box.differs), hint=NOT_AS_ASKED)
        given_inside(order.services.host, box, out, [self.staging.tree])
        if self.owner is None:
            status = (out / "owner").stat()
            self.owner = Owner(status.st_uid, status.st_gid)
        self.box = box
        return box

    def _dispose(self) -> None:
        self.box = None
        self.order.result.left_behind += self.disposal.problems

    def _mark(self) -> None:
        """What was loaded is on disk, and then that it was: a later run need not load it again. It must, where some of
        it would be gone once this one is killed."""
        order = self.order
        if self.box is None or not self.maker.lasting(self.box, order.manifest):
            return
        order.services.host.run(["sync", "-f", str(self.staging.root)], what="writing to disk")
        reached = self.recovery.reached if self.recovery is not None else None
        self.loaded = Loaded.of(order.snapshot.id, self.image, reached, self.logged)
        self.loaded.write(self.staging.root)
        order.reached("loaded")

    def open_again(self, progress: Progress) -> None:
        """What had been loaded answers once more."""
        order, loaded = self.order, self.loaded
        assert loaded is not None
        with order.phase("load", f"opening what was loaded of {order.job.asset}", progress):
            if self.recovery is not None and loaded.reached is not None:
                self.recovery.resumed(loaded.reached)
            self.logged = list(loaded.checks)
            self.maker.reopen(self._opened(self.fetched), order.manifest)

    def changes(self) -> None:
        """From here on it is not what was captured: a later run loads it again, to compare that."""
        self.loaded = None
        (self.staging.root / LOADED).unlink(missing_ok=True)

    def changed(self) -> None:
        assert self.box is not None
        self.maker.erased(self.box, self.order.manifest)

    # --- checked --------------------------------------------------------------------------------------

    def check(self, progress: Progress) -> list[CheckResult]:
        held = self.held()
        with self.order.phase("check", f"checking {self.order.job.asset}", progress):
            asked = self.order.job.checks
            ours: list[CheckConfig] = [c for c in asked if not isinstance(c, Command) and c.beside is None]
            return [*self.logged, *self.order.check(ours, held.restored, held.context, progress), *self.passed_over()]

    def held(self) -> Held:
        """Between `bring` and `finish`: what further checks ask, of this one or of it beside others."""
        order, services = self.order, self.order.services
        assert self.box is not None
        restored = self.staging.tree if self._in_place else Path(f"{self.fetched}{order.snapshot.root}")
        recovered = self.recovery is not None
        context = CheckContext(
            order.manifest,
            self.fetched,
            restored,
            order.run.scratch / self._out,
            self.box,
            services.host,
            services.digest,
            recovered,
            self.recovery.moment if self.recovery is not None else None,
        )
        return Held(self.maker.restored, context)

    # --- named ----------------------------------------------------------------------------------------

    def finish(self, progress: Progress) -> list[str]:
        order, staging = self.order, self.staging
        with order.phase("finish", f"naming it {staging.target}", progress):
            left = self._ended()
            staging.finish(order.services.host)
            order.result.start = left.lines
            return staging.remove()

    def _ended(self) -> LeftServer:
        """Its server ended, set up for this host and its user's: all that it is to be, but for its name."""
        if self.left is not None:
            return self.left
        order, tree = self.order, self.staging.tree
        assert self.box is not None and self.owner is not None
        order.result.notes += self.maker.settle(self.box, order.manifest, tree, self.owner)
        order.result.notes += self.recovery.lost if self.recovery is not None else []
        order.result.notes += _told_whose(self.owner, self.maker.user)
        self.stack.close()
        self.give_back(self.owner)
        self.left = LeftServer.of(order, self.site, self.maker, self.owner, self.image.name, tree)
        self.left.write(tree)
        return self.left

    def give_back(self, owner: Owner) -> None:
        """Its files to its user, once the container is gone."""
        tree = self.staging.tree
        argv = ["chown", "-R", "-h", f"{owner.uid}:{owner.gid}", "--", str(tree)]
        self.order.services.host.run(argv, what="giving the server its files")
        tree.chmod(0o755)

    def named(self) -> bool | None:
        return self.staging.named

    def settle(self) -> list[str]:
        return self.staging.cleared(self.order.services.host, self.order.result.findings)

    def undo(self) -> list[str]:
        self.stack.close()
        if self.resumable and self.loaded is not None:
            self.order.result.notes.append(
                f"what was loaded stays in {self.staging.root}, for a later run to go on with"
            )
            return []
        return remove_tree(self.staging.root)

    def standing(self) -> str:
        self.stack.close()
        return f"the new server's files are in {self.staging.tree}: look at them there, or remove {self.staging.root}"

    def rest(self) -> str | None:
        if self.loaded is None:
            return self._rest_of_fetch()
        self.stack.close()
        return f"what was loaded so far is in {self.staging.root}: `ccdr recover --resume` goes on with it"

    def _rest_of_fetch(self) -> str | None:
        if not self.resumable or not self.fetched.is_dir() or not self._kept(untouched=not self._loading):
            return None
        self.stack.close()
        return f"what was fetched so far is in {self.staging.root}: `ccdr recover --resume` goes on with it"

    def token(self) -> Mapping[str, object]:
        """Of all that is to be named: nothing is added to it later."""
        with timed(self.order.services.clock, self.order.result.phases, "finish"):
            self._ended()
        return {"inodes": self.staging.inodes(), "left_sha256": digest_of(self.staging.tree)}

    @contextlib.contextmanager
    def beside(self, *, programs: bool) -> Iterator[Held | None]:
        yield self.held()


def _told_whose(owner: Owner, user: str) -> list[str]:
    """A number is somebody's, or nobody's, on this host."""
    if owner.name is not None:
        return []
    try:
        mine = f"on this host that is {pwd.getpwuid(owner.uid).pw_name}"
    except KeyError:
        mine = "this host has no such user"
    return [
        f"its files belong to {owner.uid}:{owner.gid}, the {user} of the image; {mine}. The lines that "
        "start it go by that: change nothing, and run nothing else here as that number"
    ]
