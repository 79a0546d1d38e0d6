"""What a shipped log saves: the RPO really achieved under load, and the truth of what ccdr says of it.

.venv/bin/python bench/logs.py [--interval 60] [--minutes 4] [--rate 500] [--engine postgres --engine mariadb]

A load generator keeps its own list of acknowledged commits. After some minutes the source and what ships its log are
killed in one moment; what a recovery then lacks is compared with the list, and with what ccdr says was lost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.conftest import _image
from tests.faults import test_shipping as postgres
from tests.faults import test_shipping_mariadb as mariadb
from tests.harness import Ran, Site
from tests.mariadb_source import acknowledged, crm, dialling, mariadb_server, whole_server
from tests.primary import primary

from ccdr.model import utc

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


@contextlib.contextmanager
def of_postgres(root: Path, shipping: str) -> Iterator[Rig]:
    site = Site(root / "site")
    with primary(root / "source", _image(), "max_slot_wal_keep_size=4GB", "max_wal_size=4GB") as source:
        source.psql(postgres.SMALL)
        postgres.plan(site, source, shipping)

        def restored(done: Ran) -> set[Hashable]:
            said = postgres.back(done, "table acknowledged").splitlines()
            return {tuple(map(int, line.split("|"))) for line in said}

        yield Rig(site, lambda rate: source.commits(rate, clients=8), source.kill, source.acknowledged, restored)


@contextlib.contextmanager
def of_mariadb(root: Path, shipping: str) -> Iterator[Rig]:
    site, data = Site(root / "site"), root / "source"
    with mariadb_server("--log-bin=binlog", "--binlog-format=ROW", data=data) as source:
        source.sql(mariadb.SMALL)
        crm(site, source, "crm", whole_server(data, shipping), checks=mariadb.CHECKS)

        def restored(done: Ran) -> set[Hashable]:
            return set(map(int, mariadb.back(done, "select n from crm.acknowledged").split()))

        yield Rig(site, lambda rate: dialling(source, root, rate), source.kill, lambda: acknowledged(root), restored)


RIGS = {"postgres": of_postgres, "mariadb": of_mariadb}


@dataclass(frozen=True)
class Measured:
    """Seconds. `rpo_s` is the worst exposure between consecutive snapshots, `storing_s` the longest store; `lost_s` is
    from the first acknowledged commit that did not come back, `said_s` from the point that ccdr says it reached."""

    commits_per_s: float
    rpo_s: float
    storing_s: float
    lost: int
    lost_s: float
    said_s: float
    recovery_s: float


def measure(engine: str, root: Path, interval: int, minutes: float, rate: int) -> Measured:
    (root / "site").mkdir()
    with RIGS[engine](root, f"{{interval: {interval}s, canary: {{every: 1s}}}}") as rig:
        rig.site.backed_up()
        with postgres.shipping(rig.site) as process, rig.load(rate):
            time.sleep(minutes * 60)
            stored = [(utc(point), utc(usable)) for point, usable in postgres.standing(rig.site)["pending"]]
            process.kill()
            rig.kill()
            killed = datetime.now(UTC)
        began = time.monotonic()
        done = postgres.recovered(rig.site, "latest", "--keep")
        took = time.monotonic() - began
        assert done.json["verdict"] == "PASS", done
        there, known = rig.restored(done), rig.acknowledged()
        missing = sorted(when for commit, when in known.items() if commit not in there)
        reached = utc(done.json["recovery"]["reached"]["at"])
        span = (max(known.values()) - min(known.values())).total_seconds()
        return Measured(
            commits_per_s=round(len(known) / span, 1),
            rpo_s=max((usable - before).total_seconds() for (before, _), (_, usable) in pairwise(stored)),
            storing_s=max((usable - point).total_seconds() for point, usable in stored),
            lost=len(missing),
            lost_s=(killed - missing[0]).total_seconds() if missing else 0.0,
            said_s=(killed - reached).total_seconds(),
            recovery_s=round(took, 1),
        )


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--interval", type=int, default=60, help="seconds")
    options.add_argument("--minutes", type=float, default=4.0, help="of load")
    options.add_argument("--rate", type=int, default=500, help="commits a second")
    options.add_argument("--engine", action="append", choices=tuple(RIGS))
    given = options.parse_args()
    missed = False
    for engine in given.engine or tuple(RIGS):
        root = Path(tempfile.mkdtemp(prefix="ccdr-logs-", dir="/var/tmp"))
        root.chmod(0o755)
        try:
            found = measure(engine, root, given.interval, given.minutes, given.rate)
        finally:
            shutil.rmtree(root, ignore_errors=True)
        limit = given.interval + MOST_STORING
        good = found.rpo_s <= limit and 0 <= found.said_s - found.lost_s <= MOST_OFF
        missed |= not good
        print(
            f"{engine}: {found.commits_per_s:.0f} commits/s; RPO {found.rpo_s:.1f} s of at most {limit:.0f} s"
            f" (storing took {found.storing_s:.1f} s at most); {found.lost} commits of {found.lost_s:.1f} s lost,"
            f" ccdr says {found.said_s:.1f} s: {'met' if good else 'MISSED'}; recovered in {found.recovery_s:.1f} s",
            flush=True,
        )
        print(json.dumps({"engine": engine, **asdict(found)}), flush=True)
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
