"""What a new server's files tell of themselves: that their load has ended, and how they were left once all was done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccdr.host.files import extent, write_durably
from ccdr.model.errors import CcdrError
from ccdr.model.values import CheckResult, Verdict, rfc3339, utc
from ccdr.ports.log import Reached
from ccdr.ports.new_server import Owner, ServerMaker, Site, StartLines
from ccdr.sandbox.docker import Image

if TYPE_CHECKING:
    from ccdr.jobs.restore.ways import Order

LOADED = "ccdr-loaded.json"  # in the staging directory
LEFT = "ccdr-server.json"  # in the home
OWN = (LEFT,)


CHANGED = f"{LEFT} was changed since, so that the lines by which it is started are not shown"


@dataclass(frozen=True)
class Loaded:
    """Written once the load of `snapshot` has ended, and its files are on disk. `checks` are those of the log."""

    snapshot: str
    image: str
    reached: Reached | None
    checks: tuple[CheckResult, ...]

    @classmethod
    def of(cls, snapshot: str, image: Image, reached: Reached | None, checks: list[CheckResult]) -> Loaded:
        return cls(snapshot, image.id, reached, tuple(checks))

    def write(self, root: Path) -> None:
        reached = self.reached and {
            "position": self.reached.position,
            "at": _time(self.reached.at),
            "last_commit": _time(self.reached.last_commit),
            "left_out": dict(self.reached.left_out),
        }
        checks = [check.as_json() for check in self.checks]
        document = {"snapshot": self.snapshot, "image": self.image, "reached": reached, "checks": checks}
        write_durably(root / LOADED, json.dumps(document, indent=1))

    @classmethod
    def read(cls, root: Path) -> Loaded | None:
        """None where no load has ended there."""
        try:
            document: dict[str, Any] = json.loads((root / LOADED).read_text("utf-8"))
            reached = document["reached"]
            checks = [
                CheckResult(c["kind"], c["name"], Verdict(c["status"]), c["expected"], c["actual"])
                for c in document["checks"]
            ]
            return cls(
                str(document["snapshot"]),
                str(document["image"]),
                reached
                and Reached(reached["position"], _at(reached["at"]), _at(reached["last_commit"]), reached["left_out"]),
                tuple(checks),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True)
class LeftServer:
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
    lines: StartLines
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
        document = {
            "plan": self.plan,
            "asset": self.asset,
            "run": self.run,
            "snapshot": self.snapshot,
            "mark": self.mark,
            "home": str(self.home),
            "address": self.address,
            "port": self.port,
            "sockets": str(self.sockets),
            "owner": {"uid": self.owner.uid, "gid": self.owner.gid, "name": self.owner.name},
            "image": self.image,
            "start": self.lines.as_json(),
            "sums": self.sums,
            "files": self.extent[0],
            "bytes": self.extent[1],
        }
        write_durably(tree / LEFT, json.dumps(document, indent=1))

    @classmethod
    def read(cls, home: Path) -> LeftServer:
        """CcdrError where none was left there."""
        try:
            d: dict[str, Any] = json.loads((home / LEFT).read_text("utf-8"))
            return cls(
                plan=d["plan"],
                asset=d["asset"],
                run=d["run"],
                snapshot=d["snapshot"],
                mark=d["mark"],
                home=Path(d["home"]),
                address=d["address"],
                port=int(d["port"]),
                sockets=Path(d["sockets"]),
                owner=Owner(**d["owner"]),
                image=d["image"],
                lines=StartLines(
                    tuple(d["start"]["debian"]),
                    tuple(d["start"]["docker"]),
                    tuple(d["start"].get("then", ())),
                    tuple(d["start"].get("look", ())),
                    d["start"].get("inside"),
                ),
                sums=dict(d["sums"]),
                extent=(int(d["files"]), int(d["bytes"])),
            )
        except OSError as error:
            raise CcdrError(f"{home} holds no server that ccdr made ready: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise CcdrError(f"{home / LEFT} is not as ccdr writes it", hint="start the server by hand") from None

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


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


def _at(text: str | None) -> datetime | None:
    return utc(text) if text else None
