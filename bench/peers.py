"""ccdr beside borgmatic and pgBackRest, on the same database and machine, in turn. See docs/explanation/benchmarks.md.

.venv/bin/python bench/peers.py [--quick] [--gb 2] [--rounds 3] [--minutes N] [--json FILE]

Root, since it makes an image of Debian's packages of the three (bench/peers.conf).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from machine import facts, version
from rounds import NAME, OURS, Measure, Rounds, build, carry_out, finish, numbers, options, rounds_of, say
from sides import discard, of_postgres
from source import CALLS_PER_GB, Source, pick_image, source
from tools import TOOLS, Borgmatic, Ccdr, PgBackRest, Side, archive, archived

LOG = "; of pgBackRest with the log between"
MEASURES = {
    "backup": Measure("first backup"),
    "backup_more": Measure("backup after 1 % more rows"),
    "backup_changed": Measure("backup after 1 % of the rows changed, all over"),
    "restore": Measure("restore, until the server answers"),
    "stored": Measure("first backup, stored", "MB"),
    "stored_more": Measure(f"1 % more rows, stored{LOG}", "MB"),
    "stored_changed": Measure(f"1 % changed rows, stored{LOG}", "MB"),
}


@dataclass
class Bench:
    source: Source
    image: str
    work: Path
    peers: Path
    calls: int
    rows: int
    rounds: Rounds
    data_bytes: int = 0
    settings: str = ""

    def round(self, number: int) -> None:
        """Each tool from nothing to a restore."""
        ours = of_postgres(self.work / f"ours{number}", self.source, "crm", self.image, self.calls)
        sides = {OURS: Ccdr(ours), **self.start_peers(number)}
        self.backup("backup", number, sides)
        before = self.stored("stored", sides, {})
        more = self.calls // 100
        self.source.append("crm", self.calls, more, more=self.rows - self.calls)
        self.rows += more
        archived(self.source)
        self.backup("backup_more", number, sides)
        before = self.stored("stored_more", sides, before)
        self.source.change("crm", 100)
        archived(self.source)
        self.backup("backup_changed", number, sides)
        self.stored("stored_changed", sides, before)
        self.rounds.turn("restore", number, {name: side.restore for name, side in sides.items()})
        for side in sides.values():
            side.close()

    def backup(self, what: str, number: int, sides: dict[str, Side]) -> None:
        self.rounds.turn(what, number, {name: side.backup for name, side in sides.items()})

    def stored(self, what: str, sides: dict[str, Side], before: dict[str, int]) -> dict[str, int]:
        now = {name: side.stored() for name, side in sides.items()}
        self.rounds.stored(what, now, before)
        return now

    def look(self) -> None:
        """What server ccdr gives a sandbox: peers load into the same. Outside any measured time."""
        ours = of_postgres(self.work / "look", self.source, "crm", self.image, self.calls)
        ours.run("backup")
        self.data_bytes, self.settings = ours.sandbox()
        discard(ours.root)

    def start_peers(self, number: int) -> dict[str, Side]:
        def made(kind: type[Borgmatic] | type[PgBackRest], name: str) -> Side:
            at = self.peers / f"{name}{number}"
            room = 2 * self.data_bytes
            return kind(self.source.container, at, self.source, lambda: self.rows, room, self.settings)

        return {"borgmatic": made(Borgmatic, "borgmatic"), "pgBackRest": made(PgBackRest, "pgbackrest")}


def versions() -> dict[str, str]:
    return {
        "borgmatic_version": f"borgmatic {version(TOOLS, 'borgmatic --version')}",
        "borg_version": version(TOOLS, "borg --version"),
        "pgbackrest_version": version(TOOLS, "pgbackrest version"),
    }


@contextmanager
def archiving(work: Path, days: int, **settings: str) -> Iterator[tuple[Source, Path]]:
    """A source that archives its log, and the directory that its peers keep what is theirs in. `days`: how often it
    gets 1 % more: each is 3.6 days more, none may lie in the future, nor the newest too far back."""
    (work / "peers").mkdir()
    (work / "peers").chmod(0o777)
    settings = {"archive_mode": "on", **settings}
    with source(TOOLS, NAME, work, mount=work / "peers", settings=settings) as server:
        archive(server, "/bin/true")
        yield replace(server, start=server.start - timedelta(days=4 * min(days, 6))), work / "peers"


def filled(server: Source, gb: float) -> tuple[int, int]:
    """How many calls the new database `crm` has, and how many bytes."""
    say(f"filling a database of about {gb:g} GB")
    calls = int(CALLS_PER_GB * gb)
    server.fill("crm", calls)
    size = server.size("crm")
    say(f"it has {size / 1e9:.2f} GB")
    return calls, size


def measure(args: argparse.Namespace, work: Path) -> int:
    gb, rounds = (0.1, 1) if args.quick else (args.gb, args.rounds)
    build("peers.conf")
    image, found = pick_image(), rounds_of(args, MEASURES)
    about = {**facts(image, postgres="postgres --version"), **versions()}
    with archiving(work, rounds) as (server, peers):
        calls, size = filled(server, gb)
        bench = Bench(server, image, work, peers, calls, calls, found)
        bench.look()
        for number in numbers(rounds, args.minutes):
            bench.round(number)
    return finish(args, found, about, {"bytes": size, "calls": calls}, f"{size / 1e9:.2f} GB, {found.made} rounds")


def main() -> int:
    parser = options(str(__doc__), "peers", room="about 10 GB")
    parser.add_argument("--gb", type=float, default=2.0, help="size of the database, GB (2)")
    return carry_out(parser.parse_args(), measure)


if __name__ == "__main__":
    raise SystemExit(main())
