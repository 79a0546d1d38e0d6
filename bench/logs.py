"""What a shipped log saves: the RPO really achieved under load, and the truth of what ccdr says of it.

.venv/bin/python bench/logs.py [--quick] [--interval 60] [--load 4] [--rate 500] [--engine postgres] [--json FILE]

A load generator keeps its own list of acknowledged commits. After some minutes the source and what ships its log are
killed in one moment, with all that it had started; what a recovery then lacks is compared with the list, and with what
ccdr says was lost.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from machine import facts
from rounds import carry_out, command, numbers, options, say, write_json
from sides import init
from source import pick_image
from tests.support import shipping as postgres
from tests.support import shipping_mariadb as mariadb
from tests.support.harness import Ran, Site
from tests.support.mariadb_source import MAJOR, acknowledged, crm, dialling, mariadb_server, whole_server
from tests.support.primary import primary

from ccdr.model.values import utc

MOST_STORING = 15.0  # seconds on top of the interval: 75 s of RPO at an interval of 60 s
MOST_OFF = 2.0  # seconds that what ccdr says was lost may exceed what was


@dataclass(frozen=True)
class Rig:
    """A source under a plan, its load, and how what came back is compared with what was acknowledged."""

    site: Site
    load: Callable[[int], contextlib.AbstractContextManager[None]]
    kill: Callable[[], object]
    acknowledged: Callable[[], Mapping[Hashable, datetime]]
    restored: Callable[[Ran], set[Hashable]]


def new_site(root: Path) -> Site:
    """Its repository costs what restic's own do: those of tests open at once, which would make each store shorter."""
    site = Site(root / "site", bare=True)
    init(site.repo, site.root / "plans/key")
    return site


@contextlib.contextmanager
def of_postgres(root: Path, shipping: str) -> Iterator[Rig]:
    site = new_site(root)
    with primary(root / "source", pick_image(), "max_slot_wal_keep_size=4GB", "max_wal_size=4GB") as source:
        source.psql(postgres.SMALL)
        postgres.plan(site, source, shipping)

        def restored(done: Ran) -> set[Hashable]:
            said = postgres.back(done, "table acknowledged").splitlines()
            return {tuple(map(int, line.split("|"))) for line in said}

        yield Rig(site, lambda rate: source.commits(rate, clients=8), source.kill, source.acknowledged, restored)


@contextlib.contextmanager
def of_mariadb(root: Path, shipping: str) -> Iterator[Rig]:
    site, data = new_site(root), root / "source"
    with mariadb_server("--log-bin=binlog", "--binlog-format=ROW", data=data) as source:
        source.sql(mariadb.SMALL)
        crm(site, source, "crm", whole_server(data, shipping), checks=mariadb.CHECKS)

        def restored(done: Ran) -> set[Hashable]:
            return set(map(int, mariadb.back(done, "select n from crm.acknowledged").split()))

        yield Rig(site, lambda rate: dialling(source, root, rate), source.kill, lambda: acknowledged(root), restored)


RIGS = {"postgres": of_postgres, "mariadb": of_mariadb}
NAMES = {"postgres": "PostgreSQL 17", "mariadb": f"MariaDB {MAJOR}"}


@dataclass(frozen=True)
class Measured:
    """Seconds. `rpo_s` is the worst exposure between consecutive snapshots, and from the last one to the kill;
    `storing_s` the longest store; `lost_s` is from the first acknowledged commit that did not come back, `said_s` from
    the point that ccdr says it reached."""

    engine: str
    commits_per_s: float
    snapshots: int
    rpo_s: float
    storing_s: float
    lost: int
    lost_s: float
    said_s: float
    recovery_s: float
    skew_s: float  # by how much ccdr took the source's clock to be ahead; it is the same clock, so this is all error

    @property
    def beyond_s(self) -> float:
        """By how much more than the truth ccdr says was lost. Below zero it promises data that is gone."""
        return self.said_s - self.lost_s

    def wrong(self, limit: float) -> list[str]:
        found = []
        if self.rpo_s > limit:
            found.append(f"was exposed for {self.rpo_s:.1f} s")
        if self.lost_s > limit:
            found.append(f"lost {self.lost_s:.1f} s")
        if self.beyond_s < 0:
            why = f", and took its clock to be {self.skew_s * 1e3:.1f} ms ahead of the same clock"
            found.append(f"ccdr says {-self.beyond_s * 1e3:.1f} ms too little{why}")
        if self.beyond_s > MOST_OFF:
            found.append(f"ccdr says {self.beyond_s:.1f} s too much")
        return found


def watched(site: Site, seconds: float) -> set[tuple[datetime, datetime]]:
    """The snapshots that were stored in that time: each one's point, and when it was usable."""
    found, end = set(), time.monotonic() + seconds
    while time.monotonic() < end:
        if "usable" in (standing := postgres.standing(site)):
            found.add((utc(standing["point"]), utc(standing["usable"])))
        time.sleep(0.2)
    return found


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    found = [pid]
    for one in found:
        for path in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # it has just ended
                found += map(int, path.read_text("ascii").split())
    return found


def kill(process_ids: list[int]) -> None:
    for pid in process_ids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def measure(engine: str, root: Path, interval: int, seconds: float, rate: int) -> Measured:
    (root / "site").mkdir(parents=True)
    with RIGS[engine](root, f"{{interval: {interval}s, canary: {{every: 1s}}}}") as rig:
        backup = rig.site.backed_up().json
        with postgres.shipping(rig.site) as process, rig.load(rate):
            say(f"{engine}: load for {seconds:.0f} s")
            stored = sorted(watched(rig.site, seconds))
            # What ships goes first: what it stored while the source was still being killed would be counted as saved.
            kill(family(process.pid))
            rig.kill()
            killed = datetime.now(UTC)
        shutil.rmtree(rig.site.state / "shipping")  # what had not been stored yet died with its machine
        say(f"{engine}: killed; recovering")
        began = time.monotonic()
        done = postgres.recovered(rig.site, "latest", "--keep")
        took = time.monotonic() - began
        if done.code != 0 or done.json["verdict"] != "PASS":
            raise SystemExit(f"{engine}: the recovery did not pass\n{done.stdout}\n{done.stderr}")
        there, known = rig.restored(done), rig.acknowledged()
        missing = sorted(when for commit, when in known.items() if commit not in there)
        reached = utc(done.json["recovery"]["reached"]["at"])
        span = (max(known.values()) - min(known.values())).total_seconds()
        usable = [at for _, at in stored[1:]] + [killed]
        return Measured(
            engine=engine,
            commits_per_s=round(len(known) / span, 1),
            snapshots=len(stored),
            rpo_s=max((at - before).total_seconds() for (before, _), at in zip(stored, usable, strict=True)),
            storing_s=max((at - point).total_seconds() for point, at in stored),
            lost=len(missing),
            lost_s=(killed - missing[0]).total_seconds() if missing else 0.0,
            said_s=(killed - reached).total_seconds(),
            recovery_s=round(took, 1),
            skew_s=backup["clock_skew_s"],
        )


def table(found: Sequence[Measured], limit: float) -> str:
    lines = [
        "| | commits/s | worst exposure | wanted | lost, by the load's list | lost, as ccdr says | |",
        "|---" * 7 + "|",
    ]
    for one in found:
        cells = [NAMES[one.engine], f"{one.commits_per_s:.0f}", f"{one.rpo_s:.1f} s", f"{limit:g} s"]
        cells += [f"{one.lost_s:.2f} s, {one.lost} commits", f"{one.said_s:.2f} s"]
        lines.append(f"| {' | '.join(cells)} | {'; '.join(one.wrong(limit)) or 'met'} |")
    return "\n".join(lines)


def bench(args: argparse.Namespace, work: Path) -> int:
    interval, minutes = (5, 0.5) if args.quick else (args.interval, args.load)
    rounds, limit = (1 if args.quick else args.rounds), interval + MOST_STORING
    about, found = facts(pick_image()), list[Measured]()
    for number in numbers(rounds, args.minutes):
        for engine in args.engine or tuple(RIGS):
            # The site dies at any moment of the interval, not always at the same.
            seconds = minutes * 60 + random.uniform(0, interval)
            found.append(measure(engine, work / f"{engine}{number}", interval, seconds, args.rate))
            given = {"interval_s": interval, "limit_s": limit, "rate": args.rate}
            samples = [{**asdict(one), "wrong": one.wrong(limit)} for one in found]
            write_json(args.out, {"command": command(), "machine": about, **given, "samples": samples})
    print(f"\n`{command()}`: {about['processors']} × {about['processor']}, load {about['load_before']}:\n")
    print(f"{table(found, limit)}\n\n{args.out}: every sample")
    for one in found:
        if one.commits_per_s < 0.9 * args.rate:
            print(f"{one.engine}: the load came to {one.commits_per_s:.0f} of {args.rate} commits/s")
    return int(any(one.wrong(limit) for one in found))


def main() -> int:
    parser = options(str(__doc__), "logs", room="about 2 GB", rounds=1)
    parser.add_argument("--interval", type=int, default=60, help="seconds")
    parser.add_argument("--load", type=float, default=4.0, help="minutes of it (4); 8 at most")
    parser.add_argument("--rate", type=int, default=500, help="commits a second")
    parser.add_argument("--engine", action="append", choices=tuple(RIGS), help="only this one; again for more")
    args = parser.parse_args()
    if args.load > 8:
        parser.error("--load: pgbench ends after ten minutes")
    return carry_out(args, bench)


if __name__ == "__main__":
    raise SystemExit(main())
