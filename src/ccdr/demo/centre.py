"""The sample contact centre's source: a real PostgreSQL server in a container, and a directory of recordings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ccdr.demo.recordings import SOUNDS, attach_sql, place
from ccdr.engines.postgres import images
from ccdr.model import rfc3339
from ccdr.sandbox.box import Box
from ccdr.sandbox.docker import BoxSpec, Disposal, Docker, Image

SOCKETS, DATA = "/ccdr/sockets", "/var/lib/postgresql"
CLUSTER = f"{DATA}/centre"
MAJOR = "17"
SEED, CALLS, NEW_CALLS = 1, 100_000, 2_000
RECORDINGS, NEW_RECORDINGS = 260, 40
_PSQL = ("psql", "-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-h", SOCKETS, "-U", "postgres")


@dataclass
class Centre:
    """A running contact centre; `sockets` and `recordings` are what a plan backs up."""

    box: Box
    image: Image
    sockets: Path
    recordings: Path
    placed: int = field(default=0)

    def begin(self) -> None:
        """Schema, `CALLS` calls and `RECORDINGS` recordings, the same ones each time up to the day."""
        self._sql("database.sql", "postgres")
        now = datetime.now(UTC)
        self._sql("schema.sql", now=rfc3339(now))
        self._sql("data.sql", now=rfc3339(now), seed=str(SEED), calls=str(CALLS))
        self._record(RECORDINGS)

    def carry_on(self) -> None:
        """What happens between two backups: calls, customers, consents, recordings."""
        now = datetime.now(UTC) + timedelta(seconds=1)
        self._sql("changes.sql", now=rfc3339(now), seed=str(SEED), new_calls=str(NEW_CALLS))
        self._record(NEW_RECORDINGS)

    def rows(self, table: str) -> int:
        return int(self.box.run([*_PSQL, "-A", "-t", "-d", "crm", "-c", f"select count(*) from {table}"]).stdout)

    def _record(self, count: int) -> None:
        day = datetime.now(UTC).date()
        placed = place(SOUNDS, self.recordings, first=self.placed + 1, count=count, day=day)
        self.placed += count
        self.box.run([*_PSQL, "-d", "crm", "-f", "-"], stdin=attach_sql(placed), what="recordings")

    def _sql(self, name: str, database: str = "crm", **variables: str) -> None:
        text = (Path(__file__).parent / name).read_text("utf-8")
        settings = [word for key, value in variables.items() for word in ("-v", f"{key}={value}")]
        self.box.run([*_PSQL, "-d", database, *settings, "-f", "-"], stdin=text, what=name)


@contextlib.contextmanager
def open_centre(docker: Docker, work: Path, run: str, *, keep: bool) -> Iterator[Centre]:
    """A server that answers, on a Unix socket alone; it ends with the context, or with ccdr.

    Raises TestBroken where Docker or the image is missing.
    """
    image = docker.image(None, images(MAJOR))
    sockets, recordings = work / "sockets", work / "recordings"
    for directory in (sockets, recordings):
        directory.mkdir(parents=True, exist_ok=True)
    sockets.chmod(0o777)  # the server's user is not ours
    spec = BoxSpec(
        image=image,
        run=run,
        user="postgres",
        mounts=((sockets.absolute(), SOCKETS, True),),
        data_dir=DATA,
        data_bytes=2**30,
        memory=2**30,
    )
    with docker.open(spec, Disposal(), keep=keep) as box:
        box.run(["initdb", "-D", CLUSTER, "-U", "postgres", "-A", "trust", "-N", "--locale=C.UTF-8"], what="initdb")
        settings = f"-c listen_addresses= -c unix_socket_directories={SOCKETS} -c fsync=off"
        argv = ["pg_ctl", "-D", CLUSTER, "-w", "-s", "-l", "/tmp/server.log", "-o", settings, "start"]  # noqa: S108
        box.run(argv, what="the sample server's start")
        yield Centre(box, image, sockets.absolute(), recordings.absolute())
