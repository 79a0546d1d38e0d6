"""A world whose ledger a key signs, and packages of it."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from ccdr.evidence.package import bag
from ccdr.host.state import FORMAT
from ccdr.jobs import in_force
from ccdr.jobs.checkpoints import creation as signing_keys
from ccdr.jobs.checkpoints.creation import make
from tests.support.clocks import Clock
from tests.support.harness import Ran, Site
from tests.support.records import record_in
from tests.support.verified import World


class Exporting:
    """The auditor has the key, and a checkpoint from before the export."""

    def __init__(self, world: World, root: Path) -> None:
        self.world, self.services, self.root = world, world.services, root
        self.noted()
        self.pin = str(signing_keys.create(self.services).key)
        self.anchor = root / "from-mail.txt"
        self.anchor.write_bytes(make(self.services).checkpoint.contents)
        self.package = root / "package"

    def noted(self) -> None:
        """One more record, of nobody's plan; the first one has the ledger say which it is."""
        body = {"result": "HOLDS", "records": 1, "head": "0" * 64, "summary": "NONE"}
        record_in(self.services.ledger, "ledger.verified", plan=None, asset=None, run=None, body=body)

    def export(self, *words: str, to: Path | None = None) -> Ran:
        """The auditor gets its last checkpoint by mail."""
        done = self.world.site.run("ledger", "export", str(to or self.package), *words)
        for note in sorted((to or self.package).glob(f"data/checkpoints/{self.services.lineage().ledger}/*.txt"))[-1:]:
            self.anchor.write_bytes(note.read_bytes())
        return done

    def verify(self, *words: str, of: Path | None = None) -> tuple[int, str | None, list[str]]:
        done = self.world.site.run("ledger", "verify", str(of or self.package), *words)
        assert "says" in done.json, done
        return done.code, done.json["says"], sorted(one["code"] for one in done.json["findings"])

    def by_pin(self, of: Path | None = None) -> tuple[int, str | None, list[str]]:
        return self.verify("--pin", self.pin, "--anchor", str(self.anchor), of=of)

    def damaged(self, name: str) -> Path:
        """A copy of the package, to be damaged."""
        copy = self.root / name
        shutil.copytree(self.package, copy, symlinks=True)
        return copy


def made(root: Path, *, lived: bool = True) -> Exporting:
    """A site whose ledger a key signs, and whose newest restore test is FAIL, two months ago: commands go by the real
    clock."""
    site = Site(root)
    site.recordings(root / "spool")
    world = World(site, Clock(datetime.now(UTC) - timedelta(days=60)))
    site.state.mkdir(exist_ok=True)
    (site.state / "version").write_text(f"{FORMAT}\n")  # else it is migrated, by the real clock
    if lived:
        in_force.record(site.loaded(), world.services)
        world.lived()
    return Exporting(world, root)


def sealed(package: Path) -> None:
    """Its manifests made anew, as whoever changes a package would."""
    info = dict(line.split(": ", 1) for line in (package / bag.INFO).read_text().splitlines())
    info.pop("Payload-Oxum", None)
    bag.seal(package, info)


def told_otherwise(package: Path, label: str, value: str) -> None:
    """What the bag says of itself, changed, with its manifests made anew."""
    info = dict(line.split(": ", 1) for line in (package / bag.INFO).read_text().splitlines())
    bag.seal(package, {**info, label: value})


def chained(lines: list[dict[str, object]]) -> bytes:
    prev, made = "0" * 64, b""
    for number, record in enumerate(lines, start=1):
        line = json.dumps({**record, "seq": number, "prev": prev}, separators=(",", ":"), ensure_ascii=False)
        made += (encoded := line.encode() + b"\n")
        prev = sha256(encoded).hexdigest()
    return made
