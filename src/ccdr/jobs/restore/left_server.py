"""What a new server's files tell of themselves: that their load has ended, and how they were left once all was done."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ccdr.host.files import extent
from ccdr.host.state_files import StateDamaged, StateFile, read_state, state_or_none, write_state
from ccdr.model.errors import CcdrError
from ccdr.model.values import CheckResult
from ccdr.ports.log import Reached
from ccdr.ports.new_server import Owner, ServerMaker, Site, StartLines
from ccdr.sandbox.docker import Image

if TYPE_CHECKING:
    from ccdr.jobs.restore.ways import Order

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
