"""PostgreSQL by its files: ccdr's `method: physical` beside pgBackRest, Barman and the same by hand.

.venv/bin/python bench/physical.py [--quick] [--gb 2] [--rounds 3] [--churn recent] [--plan-extra 'key: value'] [--tune]

By hand is pg_basebackup, then restic; both as they come. Barman keeps its backups in the clear; all others encrypt.
See docs/explanation/benchmarks.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from machine import facts, run, start, version
from peers import archiving, filled, versions
from rounds import BY_HAND, NAME, OURS, Measure, Rounds, build, carry_out, finish, numbers, options, rounds_of, say
from sides import Restic, discard, of_postgres
from source import Source, pick_image, tree_bytes
from tools import COUNT, DATA, THROWAWAY, TOOLS, Ccdr, Peer, PgBackRest, archive, archived, container, psql, wait
from tune import tuned

HAND = {"by hand": BY_HAND}


def measures(days: int) -> dict[str, Measure]:
    return {
        "backup": Measure("first backup", limits=HAND),
        "backup_more": Measure("backup after 1 % more rows", limits=HAND),
        "restore": Measure("restore, until the server answers", limits={**HAND, "pgBackRest": 1.0}),
        "stored": Measure("first backup, stored", "MB"),
        "stored_more": Measure("1 % more rows, stored; of pgBackRest and Barman with the log between", "MB"),
        "week": Measure(f"{days} daily backups, 1 % churn each, stored", "MB", {"pgBackRest": 0.7}),
        "week_log": Measure("the same, and the log between them where the tool keeps it", "MB"),
        "week_day": Measure("one of those backups, on average"),
    }


CHECKS = "restore_test: bench\nchecks:\n  - {{kind: identical}}\n  - {{kind: rows, table: call, at_least: {calls}}}\n"
BARMAN = """\
[barman]
barman_user = postgres
barman_home = {at}/repo
barman_lock_directory = {at}/lock
configuration_files_directory = {at}/conf.d
log_file = {at}/log
log_level = WARNING
path_prefix = {bin}

[bench]
description = bench
conninfo = host=/sockets user=postgres dbname=postgres
streaming_conninfo = host=/sockets user=postgres
backup_method = postgres
immediate_checkpoint = true
archiver = on
compression = zstd
local_staging_path = /var/lib/postgresql/staging
recovery_staging_path = /var/lib/postgresql/staging
"""
BIN = "/usr/lib/postgresql/17/bin"


@dataclass
class ByHand(Restic):
    """What an admin's script does: a base backup into a directory, restic; and the way back."""

    source: Source
    image: str
    calls: Callable[[], int]

    @property
    def capture(self) -> Path:
        return self.root / "capture"

    def backup(self) -> float:
        copy = ["docker", "run", "--rm", "--name", f"{NAME}-hand", "--network", "none", "--user", "postgres"]
        for path in (self.source.sockets, self.capture):
            copy += ["--mount", f"type=bind,src={path},dst={path}"]
        copy += [self.image, "pg_basebackup", "-w", "-h", str(self.source.sockets), "-U", "postgres"]
        copy += ["--checkpoint=fast", "--no-sync", "-D", f"{self.capture}/cluster"]
        return self.keep(self.capture, [["install", "-d", "-m", "777", str(self.capture)], copy])

    def restore(self) -> float:
        target = self.root / "restored"
        began = start()
        self.fetch(self.capture, target)
        more = " ".join(f"-c {setting}" for setting in THROWAWAY)
        server = f"exec postgres -D {target}/cluster -c unix_socket_directories={target} {more}"
        with container(f"{NAME}-restored", self.image, server, user="postgres", mounts=[target]) as name:
            wait(name, psql(target, "crm", "select not pg_is_in_recovery()"), "t")
            seconds = time.monotonic() - began
            wait(name, psql(target, "crm", COUNT), str(self.calls()))
        discard(target)
        return seconds


@dataclass
class Barman(Peer):
    """Uncompressed, so that backups after the first can be PostgreSQL 17's incremental ones; or, told how to compress
    them, each of them whole. Its log is compressed either way."""

    compress: str = ""
    full: bool = field(default=True)

    def prepare(self) -> None:
        for name in ("conf.d", "lock", "repo", "repo/bench", "repo/bench/incoming"):
            (self.at / name).mkdir()
            (self.at / name).chmod(0o777)
        more = f"backup_compression = {self.compress}\n" if self.compress else ""
        (self.at / "conf").write_text(BARMAN.format(at=self.at, bin=BIN) + more, "utf-8")

    @property
    def push(self) -> str:
        return f"cp %p {self.at}/repo/bench/incoming/%f"

    def ready(self) -> float:
        """Seconds until the log up to now is taken in; a new server takes no backup before it has seen a segment."""
        return self.barman("switch-wal", "--force", "--archive", "--archive-timeout=60", "bench")

    def barman(self, *argv: str) -> float:
        return self.inside("barman", "--quiet", "-c", f"{self.at}/conf", *argv)

    def backup(self) -> float:
        of = [] if self.full or self.compress else ["--incremental", "last"]
        self.full = False
        # Not `--wait`: on a source at rest it waits for a segment that nobody fills. This closes that segment, and
        # waits until it and those before it are taken in: a backup that lacks any is not valid.
        return self.barman("backup", *of, "bench") + self.ready()

    def restore(self) -> float:
        # Of backups that it has put together, Barman 3.13 leaves out the empty directory of tablespaces.
        return self.restored(
            f"mkdir -m 700 {DATA} /var/lib/postgresql/staging;"
            f" barman -c {self.at}/conf recover bench latest {DATA}; mkdir -p -m 700 {DATA}/pg_tblspc"
        )

    def take_in(self) -> None:
        """The log that has arrived, and compress it; as its cron does every minute."""
        self.barman("archive-wal", "bench")

    def stored(self) -> int:
        self.take_in()
        return super().stored()

    def needed(self) -> int:
        """Bytes of the repository without the log that no backup needs to be consistent."""
        base, wals = self.at / "repo/bench/base", self.at / "repo/bench/wals"
        spans = []
        for path in base.glob("*/backup.info"):
            said = dict(line.split("=", 1) for line in path.read_text("utf-8").splitlines() if "=" in line)
            spans.append((said["begin_wal"], said["end_wal"]))
        kept = (p for p in wals.rglob("*") if any(first <= p.name <= last for first, last in spans))
        return tree_bytes(base) + sum(path.stat().st_size for path in kept)


@dataclass(frozen=True)
class Sides:
    """One set of tools, each with an empty repository. Only two of them keep the log."""

    ccdr: Ccdr
    hand: ByHand
    pgbackrest: PgBackRest
    barman: Barman
    barman_zstd: Barman

    @property
    def all(self) -> dict[str, Ccdr | ByHand | PgBackRest | Barman]:
        names = (OURS, "by hand", "pgBackRest", "Barman", "Barman, zstd")
        return dict(zip(names, vars(self).values(), strict=True))

    def stored(self) -> dict[str, int]:
        return {name: side.stored() for name, side in self.all.items()}

    def needed(self) -> dict[str, int]:
        """Bytes that backups alone take. Afterwards pgBackRest's log is shorter."""
        self.pgbackrest.expire_log()
        return {n: s.needed() if isinstance(s, Barman) else s.stored() for n, s in self.all.items()}

    def close(self) -> None:
        for side in self.all.values():
            side.close()


@dataclass
class Bench:
    source: Source
    image: str
    work: Path
    peers: Path
    calls: int
    size: int
    extra: str  # more YAML of ccdr's asset
    churn: str
    rounds: Rounds
    more: int = 0

    def rows(self) -> int:
        return self.calls + self.more

    def begin(self, name: str) -> Sides:
        extra = f"method: physical\n{self.extra}"
        ours = of_postgres(self.work / f"ours-{name}", self.source, "crm", self.image, self.calls, extra)
        (ours.root / "restore_tests/bench.yaml").write_text(CHECKS.format(calls=self.calls), "utf-8")
        sides = Sides(
            Ccdr(ours),
            ByHand(self.work / f"hand-{name}", self.source, self.image, self.rows),
            PgBackRest(*self._peer("pgbackrest", name)),
            Barman(*self._peer("barman", name)),
            Barman(*self._peer("barman-zstd", name), compress="zstd"),
        )
        archive(self.source, sides.pgbackrest.push, sides.barman.push, sides.barman_zstd.push)
        sides.barman.ready()
        sides.barman_zstd.ready()
        return sides

    def _peer(self, tool: str, name: str) -> tuple[str, Path, Source, Callable[[], int], int]:
        room = 4 * self.size + 2 * 2**30  # two copies while Barman puts incremental backups together, and the log
        return self.source.container, self.peers / f"{tool}-{name}", self.source, self.rows, room

    def round(self, number: int) -> None:
        """Each tool from nothing to a restore of the second backup."""
        sides = self.begin(str(number))
        backups = {name: side.backup for name, side in sides.all.items()}
        self.rounds.turn("backup", number, backups)
        first = sides.stored()
        self.rounds.stored("stored", first)
        self.append(self.calls // 100)
        self.settle(sides)
        self.rounds.turn("backup_more", number, backups)
        self.rounds.stored("stored_more", sides.stored(), first)
        self.rounds.turn("restore", number, {name: side.restore for name, side in sides.all.items()})
        sides.close()

    def append(self, rows: int) -> None:
        self.source.append("crm", self.calls, rows, more=self.more)
        self.more += rows

    def settle(self, sides: Sides) -> None:
        """What tools do with the log whether a backup is made or not is not part of a backup's time."""
        archived(self.source)
        sides.barman.take_in()
        sides.barman_zstd.take_in()

    def week(self, days: int) -> None:
        """A backup a day; before each 1 % of the rows are new or changed."""
        sides = self.begin("week")
        spent: dict[str, list[float]] = {name: [] for name in sides.all}
        for day in range(1, days + 1):
            say(f"day {day} of {days}")
            self.live()
            self.settle(sides)
            for name, side in sides.all.items() if day % 2 else reversed(sides.all.items()):
                spent[name].append(side.backup())
        for name, seconds in spent.items():
            self.rounds.keep("week_day", name, sum(seconds) / days)
        self.rounds.stored("week_log", sides.stored())
        self.rounds.stored("week", sides.needed())
        sides.close()

    def live(self) -> None:
        """A day. `append`: new rows. `recent`: half new rows, half changes among the newest tenth, as calls are wrapped
        up. `scattered`: half new rows, half changes all over, which touch nearly every page."""
        if self.churn == "append":
            self.append(self.calls // 100)
            return
        self.append(self.calls // 200)
        if self.churn == "recent":
            self.source.change("crm", 20, after=int(self.rows() * 0.9))
        else:
            self.source.change("crm", 200)


def tune(source: Source, image: str, work: Path, rounds: int) -> str:
    """What restic's settings do to a base backup; by hand, over one captured directory."""
    capture = work / "capture"
    capture.mkdir()
    capture.chmod(0o777)
    argv = ["pg_basebackup", "-w", "-h", str(source.sockets), "-U", "postgres", "--checkpoint=fast"]
    take = f"{' '.join(argv)} -D {capture}/cluster"
    with container(f"{NAME}-hand", image, "sleep infinity", user="postgres", mounts=[source.sockets, capture]) as name:
        run(["docker", "exec", name, "sh", "-c", take])
    return tuned(capture, work, rounds)


def measure(args: argparse.Namespace, work: Path) -> int:
    gb, rounds, days = (0.05, 1, min(args.days, 2)) if args.quick else (args.gb, args.rounds, args.days)
    build("peers.conf")
    image, found = pick_image(), rounds_of(args, measures(days))
    about: Mapping[str, object] = {
        **facts(image, postgres="postgres --version"),
        **versions(),
        "barman_version": f"Barman {version(TOOLS, 'barman --version').split()[0]}",
    }
    with archiving(work, rounds, summarize_wal="on") as (server, peers):
        calls, size = filled(server, gb)
        if args.tune:
            print(tune(server, image, work, rounds))
            return 0
        extra = "".join(f"{line}\n" for line in args.plan_extra)
        bench = Bench(server, image, work, peers, calls, size, extra, args.churn, found)
        for number in numbers(rounds, args.minutes, after=0.25 * days):
            bench.round(number)
        if days:
            bench.week(days)
    data = {"bytes": size, "calls": calls, "churn": args.churn, "plan_extra": args.plan_extra}
    made = min(found.made, rounds)  # a week alone has none
    title = f"{size / 1e9:.2f} GB, {made} rounds, churn {args.churn}" + (f", {extra.strip()}" if extra else "")
    return finish(args, found, about, data, title)


def main() -> int:
    parser = options(str(__doc__), "physical", room="about 12 times --gb", least=0)
    parser.add_argument("--gb", type=float, default=2.0, help="size of the database, GB (2)")
    churns = ("recent", "append", "scattered")
    parser.add_argument("--churn", choices=churns, default="recent", help="what a day's 1 %% is (recent)")
    days = "of daily backups after the rounds, which may be 0 then; 0: none (7)"
    parser.add_argument("--days", type=int, default=7, help=days)
    more = "one more line of YAML of ccdr's asset, such as an option of incremental backups; again for more"
    parser.add_argument("--plan-extra", action="append", default=[], metavar="LINE", help=more)
    parser.add_argument("--tune", action="store_true", help="instead: restic's settings, by hand, over a base backup")
    return carry_out(parser.parse_args(), measure)


if __name__ == "__main__":
    raise SystemExit(main())
