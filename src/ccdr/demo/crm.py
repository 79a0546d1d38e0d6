"""The CRM: a real PostgreSQL server, its database `crm`, and the recordings that its call rows refer to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ccdr.demo.recordings import SOUNDS, attach_sql, place
from ccdr.demo.servers import SOCKETS, Home
from ccdr.model.values import rfc3339
from ccdr.sandbox.box import Box
from ccdr.sandbox.docker import Image

DATA = "/var/lib/postgresql"
CLUSTER, LOG = f"{DATA}/centre", "/tmp/server.log"  # noqa: S108
SEED, CALLS, NEW_CALLS = 1, 100_000, 2_000
RECORDINGS, NEW_RECORDINGS = 260, 40
_PSQL = ("psql", "-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-h", SOCKETS, "-U", "postgres")
# What a slot keeps is bounded, as on every server whose log is shipped: a demo that is kept must not fill its disk.
_SETTINGS = (
    f"-c listen_addresses= -c unix_socket_directories={SOCKETS} -c fsync=off -c max_slot_wal_keep_size=256MB"
    " -c max_wal_size=512MB"
)
# The dump's role is of schema.sql. Whoever takes base backups and ships the log has one of its own.
_REPLICATION = """\
CREATE ROLE ccdr_replication LOGIN REPLICATION CONNECTION LIMIT 6;
GRANT pg_read_all_data, pg_monitor TO ccdr_replication;
GRANT CONNECT ON DATABASE crm TO ccdr_replication;
"""


@dataclass
class Crm:
    """`sockets` and `recordings` (directories) are what a plan backs up."""

    home: Home
    image: Image
    placed: int = 0
    _box: Box = field(init=False)

    @property
    def sockets(self) -> Path:
        return self.home.sockets("crm", ".s.PGSQL.5432")

    @property
    def recordings(self) -> Path:
        return self.home.directory / "recordings"

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """The server answers, with `CALLS` calls and `RECORDINGS` recordings, the same each time up to the day."""
        self.recordings.mkdir()
        opened = self.home.container("crm", self.image, "postgres", self.sockets, data_dir=DATA, data_bytes=2**30)
        with opened as self._box:
            # Pages with checksums: damage in the server's own files is then seen when they are copied.
            initdb = ["initdb", "-D", CLUSTER, "-U", "postgres", "-A", "trust", "-N", "-k", "--locale=C.UTF-8"]
            self._box.run(initdb, what="initdb")
            start = ["pg_ctl", "-D", CLUSTER, "-w", "-s", "-l", LOG, "-o", _SETTINGS, "start"]
            self._box.run(start, what="the CRM's start")
            self._fill()
            yield

    def _fill(self) -> None:
        self._run("database.sql", "postgres")
        now = datetime.now(UTC)
        self._run("schema.sql", now=rfc3339(now))
        self._run("data.sql", now=rfc3339(now), seed=str(SEED), calls=str(CALLS))
        self._sql(_REPLICATION, "a role for replication")
        self._record(RECORDINGS)

    def carry_on(self) -> None:
        """What happens between two backups: calls, customers, consents, recordings."""
        now = datetime.now(UTC) + timedelta(seconds=1)
        self._run("changes.sql", now=rfc3339(now), seed=str(SEED), new_calls=str(NEW_CALLS))
        self._record(NEW_RECORDINGS)

    def _record(self, count: int) -> None:
        day = datetime.now(UTC).date()
        placed = place(SOUNDS, self.recordings, first=self.placed + 1, count=count, day=day)
        self.placed += count
        self._sql(attach_sql(placed), "recordings")

    def _run(self, script: str, database: str = "crm", **variables: str) -> None:
        text = (Path(__file__).parent / script).read_text("utf-8")
        self._sql(text, script, database, **variables)

    def _sql(self, text: str, what: str, database: str = "crm", **variables: str) -> None:
        settings = [word for key, value in variables.items() for word in ("-v", f"{key}={value}")]
        self._box.run([*_PSQL, "-d", database, *settings, "-f", "-"], stdin=text, what=what)
