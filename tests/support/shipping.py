"""A source whose log is shipped for real: its plan, who ships it, and what comes back of it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ccdr.engines.base import LogShipping
from ccdr.engines.postgres.connection import Connection
from ccdr.engines.postgres.segments import SEGMENT_BYTES, number
from ccdr.engines.postgres.wal import Wal
from ccdr.jobs.shipping.log_archive import Extent, StoredBatch, archive_of, log_of, log_repository, tags_of
from ccdr.jobs.shipping.ship import ship
from ccdr.model.values import utc
from ccdr.plans.job import Job
from ccdr.storage.restic import Restic
from tests.support.cluster import Cluster, cluster
from tests.support.harness import Quiet, Ran, Site, eventually
from tests.support.inside import inside
from tests.support.primary import Primary

WAL = Wal(Connection(host="/run", user="x", database="y"), LogShipping(), "p/crm")
INTERVAL = 2.0
CLOSE = timedelta(seconds=10)  # however busy the machine is; bench/logs.py holds it to two
CHECKS = """\
restore_test: crm
checks:
  - {kind: identical}
  - {kind: rows, table: call, at_least: 1}
"""
SMALL = """
create table call (id int primary key, note text, at timestamptz not null default clock_timestamp());
insert into call (id, note) select n, 'call ' || n from generate_series(1, 100) n;
"""


def plan(site: Site, source: Primary | Cluster, shipping: str = "{interval: 2s, canary: {every: 1s}}") -> None:
    site.write("restore_tests/crm.yaml", CHECKS)
    site.plan(
        f"crm:\n  engine: postgres\n  method: physical\n"
        f"  connection: {{host: {source.sockets}, user: postgres, database: postgres}}\n"
        f"  log_shipping: {shipping}\n"
        f'  backup: {{schedule: "0 1 * * *"}}\n  restore_test: {{schedule: "0 3 * * *", checks: [crm]}}'
    )


KEPT = {"max_slot_wal_keep_size": "1GB"}


@contextlib.contextmanager
def based(root: Path) -> Iterator[tuple[Site, Cluster]]:
    """A server, and a site that has backed it up once: its log leads on from there."""
    root.chmod(0o755)
    (root / "site").mkdir()
    site = Site(root / "site")
    with cluster(root / "server", **KEPT) as made:
        made.psql(SMALL, "postgres")
        plan(site, made, "{interval: 2s}")
        site.backed_up()
        yield site, made


@contextlib.contextmanager
def shipping(site: Site) -> Iterator[subprocess.Popen[str]]:
    """`ccdr ship p`, once it has stored something."""
    before = standing(site).get("usable")
    with started(site) as process:
        assert eventually(lambda: standing(site).get("usable") != before, 60), process.poll()
        yield process


@contextlib.contextmanager
def started(site: Site) -> Iterator[subprocess.Popen[str]]:
    """`ccdr ship p`; ended as a person would."""
    process = site.start("ship", "p")
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
        assert "Traceback" not in said, said


def standing(site: Site) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, Any] = json.loads((site.state / "shipping/p/crm/standing.json").read_text())
        return found
    return {}


def recovered(site: Site, at: str, *options: str) -> Ran:
    return site.run("test", "p", "--at", at, *options)


def now(source: Primary) -> datetime:
    return datetime.fromisoformat(source.psql("select clock_timestamp()").replace(" ", "T"))


def back(done: Ran, sql: str, database: str = "postgres") -> str:
    """What the kept sandbox of a recovery answers; it is removed then."""
    name = f"ccdr-{done.json['run']}"
    argv = [*inside(name), "psql", "-XqAt", "-h", "/ccdr/run", "-U", "postgres", "-d", database, "-c", sql]
    try:
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=True, capture_output=True)


def ship_once(site: Site, asset: str = "crm") -> None:
    """Everything that the source has written by now."""
    ship(Job(site.loaded(), asset), site.services(), Quiet(), once=True)


def note(source: Primary, text: str) -> datetime:
    """A row; and a moment right after its commit, before which there is no other."""
    source.psql(f"insert into call (id, note) select max(id) + 1, '{text}' from call")
    when = now(source)
    time.sleep(0.05)
    return when


def lost_and_reached(done: Ran, source: Primary, killed: datetime) -> tuple[list[datetime], datetime]:
    """When what did not come back was acknowledged, and the point that ccdr says was reached."""
    there = {tuple(map(int, line.split("|"))) for line in back(done, "table acknowledged").splitlines()}
    acknowledged = source.acknowledged()
    assert len(acknowledged) > 50 and there
    reached = utc(done.json["recovery"]["reached"]["at"])
    assert reached < killed
    return sorted(when for commit, when in acknowledged.items() if commit not in there), reached


@contextlib.contextmanager
def without_repository(site: Site) -> Iterator[None]:
    """As where the disk that it is on is not mounted."""
    hidden = site.root / "hidden"
    site.repo.rename(hidden)
    try:
        yield
    finally:
        if hidden.exists():
            hidden.rename(site.repo)


def spool(site: Site) -> dict[str, int]:
    """What waits here, in bytes."""
    with contextlib.suppress(FileNotFoundError):  # renamed meanwhile
        return {path.name: path.stat().st_size for path in (site.state / "shipping/p/crm/spool").iterdir()}
    return spool(site)


def received(site: Site, source: Primary) -> bool:
    """Is all that the source has written by now in the spool? With some more of it, since that is seen by the page."""
    written = "select pg_logical_emit_message(false, 'test', repeat('x', 20000)); select pg_current_wal_insert_lsn()"
    position = source.psql(written).splitlines()[-1]
    _, log = log_of(Job(site.loaded(), "crm"))
    return eventually(lambda: log.reaches(site.state / "shipping/p/crm/spool", position), 30)


def trouble(site: Site) -> str:
    return str(standing(site).get("trouble"))


def receiver(site: Site) -> int | None:
    """The process that receives, wherever it runs."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            program, *words = path.read_text().split("\0")
            if Path(program).name == "pg_receivewal" and any(str(site.state) in word for word in words):
                return int(path.parent.name)
    return None


def is_slept_through(site: Site) -> bool:
    """Does `ccdr run` look at nothing? What it has looked at, its answer tells of at length."""
    return set(site.run("run").json) == {"did", "missed", "busy"}


def stored_again(site: Site, batch: StoredBatch, copy: Path, **changed: Any) -> None:
    """The batch as it stands in `copy`, under its own tags but for those that are `changed`."""
    b, job = replace(batch, **changed), Job(site.loaded(), "crm")
    whole = [b.first, b.last] if b.first and b.last else []
    labels = tags_of(job, "r", b.name, whole, b.open, Extent(b.point, b.position, b.server, b.skew), b.heads)
    log_repo(site).backup([copy], tags=labels)


def cut_short(site: Site, tmp_path: Path) -> StoredBatch:
    """Store the newest batch again, without the last of what its open segment held."""
    repo = log_repo(site)
    batch = archive_of(Job(site.loaded(), "crm"), repo).batches[-1]
    copy = tmp_path / "copy"
    repo.restore(batch.id, batch.root, copy)
    with (copy / f"{batch.open}.open").open("r+b") as segment:
        end = number(batch.position) % SEGMENT_BYTES
        segment.seek(end - end % 8192)
        segment.write(bytes(SEGMENT_BYTES - end + end % 8192))
    stored_again(site, batch, copy)
    return batch


def log_repo(site: Site) -> Restic:
    return log_repository(Job(site.loaded(), "crm"), site.services())
