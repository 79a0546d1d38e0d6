"""The sample contact centre, all at work: a CRM with recordings, a dialler, queues and a switchboard, each on a real
server in a container of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

from ccdr.demo.images import Images
from ccdr.engines.mariadb.client import Login
from ccdr.engines.servers.new_server import LONGEST_SOCKET
from ccdr.host.interrupts import side_by_side
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import rfc3339
from ccdr.sandbox.box import Box
from ccdr.sandbox.docker import BoxSpec, Disposal, Docker, Image

# The sample contact centre's servers: each in a container of its own, reached by a Unix socket alone.

SOCKETS = "/ccdr/sockets"  # in the container


@dataclass(frozen=True)
class Home:
    """Where the servers live. `run` begins their containers' names, `keep` has them outlive this process."""

    docker: Docker
    directory: Path
    run: str
    keep: bool

    def sockets(self, name: str, file: str) -> Path:
        """The directory of a server's socket; UsageProblem where the socket's path would be too long."""
        path = self.directory / "run" / name
        if len(os.fsencode(path / file)) > LONGEST_SOCKET:
            raise UsageProblem(
                f"{path / file} is too long a path for a Unix socket",
                hint="call `ccdr demo` from a directory higher up",
            )
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)  # the server's user is not ours
        return path

    @contextlib.contextmanager
    def container(
        self, name: str, image: Image, user: str, sockets: Path, *, data_dir: str | None = None, data_bytes: int = 0
    ) -> Iterator[Box]:
        """It ends with the context, or with ccdr, unless it is to be kept."""
        spec = BoxSpec(
            image=image,
            run=f"{self.run}-{name}",
            user=user,
            mounts=((sockets, SOCKETS, True),),
            data_dir=data_dir,
            data_bytes=data_bytes,
            memory=2**30,
        )
        with self.docker.open(spec, Disposal(), keep=self.keep) as box:
            yield box


# Real voice files for the sample contact centre, and the SQL that makes call rows refer to them.
#
# The voices are Debian's `asterisk-core-sounds-en-wav`: 16-bit mono WAV at 8 kHz, as a recorder writes them.

SOUNDS = Path("/usr/share/asterisk/sounds")
PACKAGE = "asterisk-core-sounds-en-wav"

# Older than any settle time a plan is likely to ask for: these recordings are finished.
AGE_S = 300.0


@dataclass(frozen=True)
class Recording:
    """A placed file: `path` is relative to the recordings directory, as call rows hold it."""

    path: str
    bytes: int
    sha256: str


def place(sounds: Path, into: Path, *, first: int, count: int, day: date) -> list[Recording]:
    """Copy `count` voice files to `into`/YYYY/MM/DD/NNNN-name.wav, numbered from `first`.

    The same arguments give the same names and contents: sources are taken in sorted order, the one numbered 1
    first, over again from the start when they run out. Modification times lie five minutes back and rise with
    the number. Raises CcdrError where `sounds` holds no WAV file.
    """
    sources = sorted(sounds.rglob("*.wav"), key=lambda path: path.relative_to(sounds).as_posix())
    if not sources:
        raise CcdrError(f"no voice recordings (*.wav) below {sounds}", hint=f"install them: apt-get install {PACKAGE}")
    folder = into / f"{day:%Y/%m/%d}"
    folder.mkdir(parents=True, exist_ok=True)
    newest = time.time() - AGE_S
    placed = []
    for number in range(first, first + count):
        source = sources[(number - 1) % len(sources)]
        target = folder / f"{number:04d}-{source.stem}.wav"
        shutil.copyfile(source, target)
        modified = newest - 0.01 * (first + count - number)
        os.utime(target, (modified, modified))
        content = target.read_bytes()
        placed.append(Recording(target.relative_to(into).as_posix(), len(content), hashlib.sha256(content).hexdigest()))
    return placed


def attach_sql(recordings: Sequence[Recording]) -> str:
    """SQL for psql: the newest answered calls without a recording refer to `recordings`, in order of time.

    It fails, and changes nothing, where there are fewer such calls than recordings.
    """
    rows = "".join(
        f"{number}\t{_copy_text(r.path)}\t{r.bytes}\t{_copy_text(r.sha256)}\n"
        for number, r in enumerate(recordings, start=1)
    )
    return _ATTACH.replace("@rows@", rows)


def _copy_text(text: str) -> str:
    r"""`text` as COPY's text format has it: a name may hold a tab, a newline or a backslash."""
    for plain, escaped in (("\\", r"\\"), ("\t", r"\t"), ("\n", r"\n"), ("\r", r"\r")):
        text = text.replace(plain, escaped)
    return text


_ATTACH = r"""\set QUIET on
\set ON_ERROR_STOP on
BEGIN;
CREATE TEMPORARY TABLE placed (
    n bigint PRIMARY KEY, path text NOT NULL, bytes bigint NOT NULL, sha256 text NOT NULL
) ON COMMIT DROP;
COPY placed FROM stdin;
@rows@\.
CREATE TEMPORARY TABLE chosen ON COMMIT DROP AS
    SELECT id, started_at, row_number() OVER (ORDER BY started_at, id) AS n
    FROM (SELECT id, started_at FROM public.call
          WHERE answered_at IS NOT NULL AND recording_path IS NULL
          ORDER BY started_at DESC, id DESC LIMIT (SELECT count(*) FROM placed)) AS newest;
DO $$
BEGIN
    IF (SELECT count(*) FROM chosen) < (SELECT count(*) FROM placed) THEN
        RAISE EXCEPTION 'fewer answered calls without a recording than recordings';
    END IF;
END
$$;
UPDATE public.call SET recording_path = path, recording_bytes = bytes, recording_sha256 = sha256
FROM placed JOIN chosen USING (n)
WHERE call.id = chosen.id AND call.started_at = chosen.started_at;
COMMIT;
"""


# The CRM: a real PostgreSQL server, its database `crm`, and the recordings that its call rows refer to.

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


# The dialler: a real MariaDB server with what diallers live on, InnoDB beside MyISAM and MEMORY.

DATADIR, SOCKET = "/var/lib/mysql", "mysqld.sock"
_LOGIN = Login(("--no-defaults", f"--socket={SOCKETS}/{SOCKET}", "--user=root"))
_START = f"""set -e
mariadb-install-db --no-defaults --datadir={DATADIR}/data --auth-root-authentication-method=normal --skip-test-db \\
  --skip-name-resolve > /tmp/server.log 2>&1
setsid mariadbd --no-defaults --datadir={DATADIR}/data --socket={SOCKETS}/{SOCKET} --skip-networking --server-id=7 \\
  --log-bin --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --innodb-log-file-size=64M \\
  --performance-schema=OFF < /dev/null > /tmp/server.log 2>&1 &
server=$!
until echo 'SELECT 1' | {shlex.join(_LOGIN.client("--batch"))} > /dev/null 2>&1; do
  kill -0 $server 2> /dev/null || {{ tail -n 5 /tmp/server.log >&2; exit 1; }}
  sleep 0.05
done
"""


@dataclass
class Dialler:
    """`socket` is where a plan reaches its server."""

    home: Home
    image: Image
    _box: Box = field(init=False)

    @property
    def socket(self) -> Path:
        return self.home.sockets("dialler", SOCKET) / SOCKET

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """The server answers, with campaigns, leads, the hopper, agents at their seats, and what was dialled so far."""
        sockets = self.socket.parent
        opened = self.home.container("dialler", self.image, "mysql", sockets, data_dir=DATADIR, data_bytes=2**30)
        with opened as self._box:
            self._box.run(["bash", "-c", _START], what="the dialler's start")
            self._run("dialler.sql")
            yield

    def carry_on(self) -> None:
        """The hopper is emptied and filled, calls are logged, agents come and go."""
        self._run("dialler_changes.sql", "dialler")

    def _run(self, script: str, database: str | None = None) -> None:
        text = (Path(__file__).parent / script).read_text("utf-8")
        self._box.run(_LOGIN.client("--batch", database=database), stdin=text, what=script)


# The queues: a real Redis server with who waits, who may take a call, and whom to call back.

QUEUES_SOCKET = "redis.sock"
_CLI = ("redis-cli", "-s", f"{SOCKETS}/{QUEUES_SOCKET}", "-e")
# What a backup must be allowed, and nothing else: it is sent the data as a replica is, and asks what goes beside it.
_RIGHTS = (
    "resetkeys resetchannels -@all +psync +sync +replconf +info +time +acl|list +acl|whoami +acl|dryrun +module|list"
    " +config|get"
)
_SERVER = (
    *("redis-server", "--port", "0", "--unixsocket", f"{SOCKETS}/{QUEUES_SOCKET}", "--unixsocketperm", "777"),
    *("--save", "", "--dir", "/tmp", "--daemonize", "yes", "--logfile", "/tmp/server.log"),  # noqa: S108
    *("--repl-diskless-sync-delay", "0"),  # else it waits five seconds, for other replicas
)
_ANSWERS = f'n=0; until [ "$({" ".join(_CLI)} PING 2>&1)" = PONG ]; do n=$((n + 1)); [ $n -lt 400 ]; sleep 0.05; done'


@dataclass
class Queues:
    """`socket` is where a plan reaches its server, `password` that of the user `ccdr_backup`."""

    home: Home
    image: Image
    password: str
    _box: Box = field(init=False)

    @property
    def socket(self) -> Path:
        return self.home.sockets("queues", QUEUES_SOCKET) / QUEUES_SOCKET

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """The server answers, with three thousand keys in two databases; one in six expires."""
        with self.home.container("queues", self.image, "redis", self.socket.parent) as self._box:
            self._box.run(_SERVER, what="the queues' start")
            self._box.run(["sh", "-ec", _ANSWERS], what="the queues' start")
            self._run("queues.lua")
            user = f"ACL SETUSER ccdr_backup on >{self.password} {_RIGHTS}\n"  # by standard input: it is a secret
            self._box.run(["sh", "-c", f"{' '.join(_CLI)} | grep -qx OK"], stdin=user, what="the backup's user")
            yield

    def carry_on(self) -> None:
        """Callers come and go, agents take calls."""
        self._run("queues_changes.lua")

    def _run(self, script: str) -> None:
        text = (Path(__file__).parent / script).read_text("utf-8")
        digest = self._box.run([*_CLI, "-x", "SCRIPT", "LOAD"], stdin=text, what=script).stdout.strip()
        self._box.run([*_CLI, "EVALSHA", digest, "0"], what=script)


# The switchboard: its call detail records in SQLite, which it has open, and its configuration in files.

SWITCHBOARD_CALLS, SWITCHBOARD_NEW_CALLS = 20_000, 300
CALLER = "+999610000042"  # somebody who called once, and asks to be erased
NOBODY = "+999600000000"  # a canary: nobody has this number, and nobody dials it

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA foreign_keys = ON;
CREATE TABLE trunk (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, channels INTEGER NOT NULL CHECK (channels > 0));
CREATE TABLE cdr (
    id INTEGER PRIMARY KEY AUTOINCREMENT, started_at TEXT NOT NULL, src TEXT NOT NULL, dst TEXT NOT NULL, channel TEXT,
    trunk_id INTEGER NOT NULL REFERENCES trunk (id), duration INTEGER NOT NULL, billsec INTEGER NOT NULL,
    disposition TEXT NOT NULL, uniqueid TEXT NOT NULL UNIQUE, CHECK (billsec <= duration));
CREATE INDEX cdr_by_time ON cdr (started_at);
CREATE VIEW answered AS SELECT * FROM cdr WHERE disposition = 'ANSWERED';
CREATE TABLE last_change (id INTEGER PRIMARY KEY CHECK (id = 1), at TEXT);
CREATE TRIGGER cdr_told AFTER INSERT ON cdr BEGIN INSERT OR REPLACE INTO last_change VALUES (1, NEW.started_at); END;
INSERT INTO trunk (name, channels) VALUES ('sip-north', 120), ('sip-south', 60), ('isdn', 30);
"""
_CANARY = """
INSERT INTO cdr (started_at, src, dst, trunk_id, duration, billsec, disposition, uniqueid)
VALUES ('2026-01-01T00:00:00.000Z', ?, '100', 1, 1, 1, 'ANSWERED', 'canary')
"""
# One a minute up to now, after those that there are.
_RECORDS = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count),
     so_far (calls) AS (SELECT count(*) FROM cdr)
INSERT INTO cdr (started_at, src, dst, channel, trunk_id, duration, billsec, disposition, uniqueid)
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now', (i - :count) || ' minutes'), '+9996' || (10000000 + calls + i),
       100 + i % 60, 'SIP/north-' || printf('%08x', calls + i), 1 + i % 3, 5 + i % 600, i % 600 * (i % 4 > 0),
       CASE WHEN i % 4 > 0 THEN 'ANSWERED' ELSE 'NO ANSWER' END, 'pbx-' || (calls + i)
FROM n, so_far ORDER BY i
"""


@dataclass
class Switchboard:
    """`cdr` (a database file) and `configuration` (a directory) are what a plan backs up."""

    directory: Path
    _database: sqlite3.Connection = field(init=False)

    @property
    def cdr(self) -> Path:
        return self.directory / "cdr.sqlite3"

    @property
    def configuration(self) -> Path:
        return self.directory / "configuration"

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """It has recorded `CALLS` calls and is configured; its database stays open."""
        _configure(self.configuration)
        with contextlib.closing(sqlite3.connect(self.cdr, check_same_thread=False)) as self._database:
            self._database.executescript(_SCHEMA)
            with self._database:
                self._database.execute(_CANARY, (NOBODY,))
            self._write(SWITCHBOARD_CALLS)
            yield

    def carry_on(self) -> None:
        """More calls; one more queue, and one trunk's settings changed."""
        self._write(SWITCHBOARD_NEW_CALLS)
        _written(self.configuration / "queues.d" / "retention.conf", "[retention]\nstrategy = rrmemory\nmaxlen = 40\n")
        _written(self.configuration / "trunks.d" / "sip-north.conf", "[sip-north]\nchannels = 150\n", 0o640)

    def erase(self, caller: str) -> None:
        """Somebody asked for it, and the switchboard's owner does so."""
        with self._database:
            self._database.execute("DELETE FROM cdr WHERE src = ?", (caller,))

    def _write(self, calls: int) -> None:
        with self._database:
            self._database.execute(_RECORDS, {"count": calls})


def _configure(root: Path) -> None:
    """A tree as `/etc/asterisk` has it: dozens of small files, some that hold secrets, a program, a link."""
    for name in ("sip-north", "sip-south", "isdn"):
        text = f"[{name}]\nchannels = 120\nsecret = sample-{name}\n"
        _written(root / "trunks.d" / f"{name}.conf", text, 0o640)
    for name in ("sales", "support", "complaints", "collections"):
        _written(root / "queues.d" / f"{name}.conf", f"[{name}]\nstrategy = leastrecent\nmaxlen = 40\n")
    for seat in range(100, 160):
        _written(root / "seats.d" / f"{seat}.conf", f"[{seat}]\ncontext = agents\nmailbox = {seat}@default\n", 0o640)
    _written(root / "extensions.conf", "[inbound]\nexten => _X.,1,AGI(route.sh)\n same => n,Queue(${QUEUE})\n")
    _written(root / "route.sh", '#!/bin/sh\necho "SET VARIABLE QUEUE sales"\n', 0o750)
    _written(root / "0000-do-not-touch.conf", "; a canary: whatever changes this file has no business here\n")
    (root / "default-queue.conf").symlink_to("queues.d/sales.conf")


def _written(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(mode)
    then = time.time() - AGE_S
    os.utime(path, (then, then))


class CentrePart(Protocol):
    """A part of the contact centre."""

    def at_work(self) -> AbstractContextManager[None]:
        """While the context lasts, and longer where it is to be kept."""

    def carry_on(self) -> None:
        """What happens between two backups: a few minutes of work."""


@dataclass(frozen=True)
class Centre:
    crm: Crm
    dialler: Dialler
    queues: Queues
    switchboard: Switchboard

    @property
    def parts(self) -> tuple[CentrePart, ...]:
        return (self.crm, self.dialler, self.queues, self.switchboard)

    def carry_on(self) -> None:
        side_by_side([part.carry_on for part in self.parts], len(self.parts))


@contextlib.contextmanager
def open_centre(home: Home, images: Images, password: str) -> Iterator[Centre]:
    """A contact centre at work, its parts begun side by side. `password` is that of the queues' backup user."""
    centre = Centre(
        crm=Crm(home, images.postgres),
        dialler=Dialler(home, images.mariadb),
        queues=Queues(home, images.redis, password),
        switchboard=Switchboard(home.directory / "switchboard"),
    )
    with contextlib.ExitStack() as running:

        def begin(part: CentrePart) -> None:
            running.enter_context(part.at_work())

        side_by_side([partial(begin, part) for part in centre.parts], len(centre.parts))
        yield centre
