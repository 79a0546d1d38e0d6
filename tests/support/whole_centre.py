"""A whole contact centre that can be lost: five stores under one plan, and clients that keep lists of their own."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.conftest import _image
from tests.support import shipping, shipping_mariadb
from tests.support.harness import Site, eventually
from tests.support.mariadb_source import (
    DATA,
    PASSWORD,
    MariaSource,
    acknowledged,
    data_directory,
    dialling,
    mariadb_server,
    whole_server,
)
from tests.support.primary import Primary, primary
from tests.support.redis_source import RedisSource, redis_server

PLAN = """\
crm:
  engine: postgres
  method: physical
  connection: {{host: {postgres}, user: postgres, database: postgres}}
  log_shipping: {{interval: 2s}}
  priority: 1
  backup: {{schedule: "0 1 * * *"}}
  restore_test: {{schedule: "0 3 * * *", checks: [crm]}}
dialler:
  engine: mariadb
  {whole}
  connection: {{host: {mariadb}, user: ccdr_backup_crm, database: crm, password_file: dialler.pw}}
  backup: {{schedule: "0 1 * * *"}}
  restore_test: {{schedule: "0 3 * * *", checks: [dialler]}}
queues:
  engine: redis
  connection: {{host: {redis}}}
  depends_on: [crm]
  backup: {{schedule: "*/10 * * * *"}}
  restore_test: {{schedule: "0 3 * * *", checks: [queues]}}
cdr:
  engine: sqlite
  path: {cdr}
  backup: {{schedule: "{later} * * * *"}}
  restore_test: {{schedule: "0 3 * * *", checks: [cdr]}}
recordings:
  engine: files
  paths: [{recordings}]
  settle: 1s
  backup: {{schedule: "{later} * * * *"}}
  restore_test: {{schedule: "0 3 * * *", checks: [recordings]}}
"""


@dataclass
class WholeCentre:
    """Where its servers answer: `postgres` and `mariadb` are directories of sockets, `redis` is a socket."""

    site: Site
    crm: Primary
    dialler: MariaSource
    queues: RedisSource
    cdr: Path
    recordings: Path
    work: Path
    data: Path  # of the dialler's server

    def plan(self, extra: str = "") -> None:
        site = self.site
        site.write("restore_tests/crm.yaml", shipping.CHECKS)
        site.write("restore_tests/dialler.yaml", shipping_mariadb.CHECKS.replace("crm", "dialler", 1))
        site.write("restore_tests/queues.yaml", "restore_test: queues\nchecks:\n  - {kind: identical}\n")
        site.write(
            "restore_tests/cdr.yaml",
            "restore_test: cdr\nchecks:\n  - {kind: identical}\n  - {kind: rows, table: cdr, at_least: 1}\n",
        )
        site.write("restore_tests/recordings.yaml", "restore_test: recordings\nchecks:\n  - {kind: identical}\n")
        site.write("plans/dialler.pw", f"{PASSWORD}\n", mode=0o600)
        site.plan(
            PLAN.format(
                later=f"{(datetime.now(UTC).minute + 10) % 20}-59/20",  # the files are not put back: not while it lasts
                postgres=self.crm.sockets,
                mariadb=self.dialler.sockets / "mysqld.sock",
                redis=self.queues.socket,
                cdr=self.cdr,
                recordings=self.recordings,
                whole=whole_server(self.data, "{interval: 2s}").replace("\n", "\n  "),
            ),
            extra=extra,
        )

    def call(self, number: int) -> None:
        """A call that the switchboard records, and its recording."""
        with contextlib.closing(sqlite3.connect(self.cdr)) as held, held:
            held.execute("create table if not exists cdr (id integer primary key, note text)")
            held.execute("insert into cdr values (?, ?)", (number, f"call {number}"))
        path = self.recordings / f"{number:04}.wav"
        path.write_bytes(f"the voice of call {number}".encode())
        self.queues.cli("SET", f"call:{number}", "done")

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Both databases are written to; each commit that a client was told of is in its list."""
        with self.crm.commits(300), dialling(self.dialler, self.work, 50):  # pgbench writes its list by pages
            yield

    def ship_once(self) -> None:
        done = self.site.run("ship", "p", "--once")
        assert done.code == 0, done

    def lists(self, moment: datetime) -> tuple[set[tuple[int, int]], set[int]]:
        """What the clients were told of by then: every one of these commits must be back."""
        crm = {key for key, at in self.crm.acknowledged().items() if at <= moment}
        dialler = {number for number, at in acknowledged(self.work).items() if at <= moment}
        return crm, dialler

    def later(self, moment: datetime) -> tuple[set[tuple[int, int]], set[int]]:
        """What they were told of well after it: none of these may be back."""
        crm = {key for key, at in self.crm.acknowledged().items() if (at - moment).total_seconds() > 1}
        dialler = {n for n, at in acknowledged(self.work).items() if (at - moment).total_seconds() > 1}
        return crm, dialler

    def clear_sockets(self) -> None:
        for directory in (self.crm.sockets, self.dialler.sockets, self.queues.directory):
            for path in directory.iterdir():
                path.unlink()

    def lose(self) -> None:
        """All of it in one moment: servers, files, and the host that ran ccdr."""
        self.crm.kill()
        self.dialler.kill()
        self.queues.kill()
        self.clear_sockets()
        for path in self.cdr.parent.glob(f"{self.cdr.name}*"):
            path.unlink()
        shutil.rmtree(self.recordings)
        shutil.rmtree(self.data / DATA, ignore_errors=True)


def wait_for(moment: datetime, seconds: float) -> None:
    """Until so long after it."""
    assert eventually(lambda: (datetime.now(UTC) - moment).total_seconds() > seconds, seconds + 5)


@contextlib.contextmanager
def whole_centre(root: Path, site: Site) -> Iterator[WholeCentre]:
    """All of it at rest, planned, and backed up once; from there on the logs lead."""
    root.mkdir(exist_ok=True)
    root.chmod(0o755)
    data = data_directory()
    with (
        primary(root / "crm", _image(), "max_slot_wal_keep_size=1GB") as crm,
        mariadb_server("--log-bin=binlog", "--binlog-format=ROW", data=data) as dialler,
        redis_server("redis") as queues,
    ):
        crm.psql(shipping.SMALL)
        dialler.sql(shipping_mariadb.SMALL)
        recordings, work = root / "recordings", root / "work"
        for directory in (recordings, work, root / "pbx"):
            directory.mkdir()
        made = WholeCentre(site, crm, dialler, queues, root / "pbx/cdr.sqlite3", recordings, work, data)
        made.call(1)
        time.sleep(1.1)  # the recording has settled
        made.plan()
        site.backed_up()
        yield made
