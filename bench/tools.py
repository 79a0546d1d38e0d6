"""The tools that are compared, each with a repository of its own, and the servers that they restore into."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from machine import run, said, start
from rounds import say
from sides import SECRET, Ours, discard
from source import Source, tree_bytes

TOOLS = "ccdr-bench/peers:17"
BORGMATIC = """\
repositories:
  - {{path: {at}/repo, label: bench}}
encryption_passphrase: {secret}
borg_base_directory: {at}/borg
user_state_directory: {at}/state
"""
PGBACKREST = """\
[global]
repo1-path={at}/repo
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass={secret}
repo1-bundle=y
repo1-block=y
compress-type=zst
process-max=2
start-fast=y
log-path={at}/log
lock-path={at}/lock
spool-path={at}/spool

[bench]
pg1-path=/var/lib/postgresql/source
pg1-socket-path=/sockets
"""
# As ccdr's own sandbox: nothing of it is meant to last.
THROWAWAY = ("fsync=off", "full_page_writes=off", "autovacuum=off", "archive_mode=off", "listen_addresses=")
DATA = "/var/lib/postgresql/restored"  # in the new server's container
COUNT = "select count(*) from call"


class Side(Protocol):
    """One tool. Seconds are wall time from its command to its end."""

    def backup(self) -> float: ...

    def restore(self) -> float:
        """From its command until the newest backup's data is there: a new server answers, or files are in place."""

    def stored(self) -> int:
        """Bytes in its repository."""

    def close(self) -> None: ...


@dataclass
class Ccdr:
    """`restore` is `ccdr test` from the command until its checks begin: then the server answers with the data, or the
    files are there. The checks, the disposal, and the record have no counterpart in the others."""

    ours: Ours

    def backup(self) -> float:
        done, document = self.ours.run("backup")
        say(f"ccdr's phases: {document['phases']}")
        return done.seconds

    def restore(self) -> float:
        done, document = self.ours.run("test")
        say(f"ccdr's phases: {document['phases']}")
        return done.after("checking crm")

    def stored(self) -> int:
        return tree_bytes(self.ours.repo)

    def close(self) -> None:
        discard(self.ours.root)


@contextmanager
def container(
    name: str,
    image: str,
    script: str,
    *,
    user: str = "root",
    mounts: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
    tmpfs: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """A container that runs `script`; removed at the end. Mounts are at the same paths inside."""
    argv = ["docker", "run", "-d", "--init", "--name", name, "--network", "none", "--user", user, "--shm-size", "256m"]
    argv += [word for path in mounts for word in ("--mount", f"type=bind,src={path},dst={path}")]
    argv += [word for key, value in (env or {}).items() for word in ("-e", f"{key}={value}")]
    argv += [word for path, how in (tmpfs or {}).items() for word in ("--tmpfs", f"{path}:{how}")]
    subprocess.run([*argv, image, "bash", "-euc", script], check=True, capture_output=True)
    try:
        yield name
    except BaseException:
        subprocess.run(["docker", "logs", "--tail", "20", name], check=False)
        raise
    finally:
        subprocess.run(["docker", "rm", "-f", "-v", name], check=True, capture_output=True)


def wait(name: str, argv: Sequence[str], wanted: str, patience: float = 900) -> None:
    """Until a command in a container answers as it should; `patience` in seconds. SystemExit where it never will."""
    deadline = time.monotonic() + patience
    for look in itertools.count(1):
        answer = said("docker", "exec", name, *argv)
        if answer == wanted:
            return
        ended = look % 20 == 0 and said("docker", "inspect", "-f", "{{.State.Running}}", name) != "true"
        if ended or time.monotonic() > deadline:
            raise SystemExit(f"{name}: {' '.join(argv)} does not answer with {wanted}, but with {answer!r}")
        time.sleep(0.05)


def psql(sockets: Path, database: str, query: str) -> list[str]:
    return ["psql", "-XqAt", "-h", str(sockets), "-U", "postgres", "-d", database, "-c", query]


@dataclass
class Tool:
    """A tool that runs in the container `box`, with all it keeps in `at`."""

    box: str
    at: Path
    user: ClassVar[str] = "postgres"

    def __post_init__(self) -> None:
        self.at.mkdir()
        self.at.chmod(0o777)
        self.prepare()

    def prepare(self) -> None:
        raise NotImplementedError

    @property
    def env(self) -> dict[str, str]:
        return {"HOME": str(self.at)}

    def inside(self, *argv: str) -> float:
        """Seconds that a command takes."""
        start()
        return self.within(*argv)

    def within(self, *argv: str) -> float:
        """The same for a part of what is timed as a whole."""
        env = [word for key, value in self.env.items() for word in ("-e", f"{key}={value}")]
        return run(["docker", "exec", "-u", self.user, *env, self.box, *argv]).seconds

    def stored(self) -> int:
        return tree_bytes(self.at / "repo")

    def close(self) -> None:
        discard(self.at)


@dataclass
class Peer(Tool):
    """A tool for PostgreSQL: it runs where the source does, in its container."""

    source: Source
    calls: Callable[[], int]  # how many the newest backup must bring back
    data_bytes: int
    settings: str = ""  # of the server that a dump is loaded into: ccdr's own

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, "PGBACKREST_CONFIG": f"{self.at}/conf", "PGHOST": "/sockets"}

    def server(self, script: str) -> Any:
        """A new server in memory, as a sandbox is; `script` makes its data and becomes it."""
        room = {"/var/lib/postgresql": f"size={self.data_bytes},mode=1777"}
        name = f"{self.box}-restored"
        return container(name, TOOLS, script, user=self.user, mounts=[self.at], env=self.env, tmpfs=room)

    def wait(self, name: str, database: str, query: str, wanted: str) -> None:
        wait(name, psql(self.at, database, query), wanted)

    def restored(self, make: str) -> float:
        """Seconds until a server answers on the cluster that `make` has made in DATA."""
        began = start()
        script = f"{make}; exec postgres -D {DATA} -c unix_socket_directories={self.at} " + " ".join(
            f"-c {setting}" for setting in THROWAWAY
        )
        with self.server(script) as name:
            self.wait(name, "crm", "select not pg_is_in_recovery()", "t")
            seconds = time.monotonic() - began
            self.wait(name, "crm", COUNT, str(self.calls()))
        return seconds


@dataclass
class RunsBorgmatic(Tool):
    """A database by borgmatic's hook, streamed into borg; lz4 and encrypted."""

    def prepare(self) -> None:
        conf = BORGMATIC.format(at=self.at, secret=json.dumps(SECRET)) + self.databases
        (self.at / "conf").write_text(conf, "utf-8")
        self.borgmatic("repo-create", "--encryption", "repokey-blake2")

    @property
    def databases(self) -> str:
        """What of its configuration names the database."""
        raise NotImplementedError

    def borgmatic(self, *argv: str) -> float:
        return self.within("borgmatic", "--config", f"{self.at}/conf", *argv)

    def backup(self) -> float:
        start()
        return self.borgmatic("create")


@dataclass
class Borgmatic(Peer, RunsBorgmatic):
    """pg_dump's custom format, uncompressed as borg likes it."""

    @property
    def databases(self) -> str:
        # Its hostname comes by PGHOST: borgmatic finds no dump again whose host is a directory.
        return "postgresql_databases:\n  - {name: crm, username: postgres, format: custom, compression: none}\n"

    def restore(self) -> float:
        (self.at / "settings").write_text(self.settings, "utf-8")
        began = start()
        script = (
            f"initdb -D {DATA} -U postgres -A trust -N -E UTF8 --locale=C --no-instructions > /dev/null; "
            f"cat {self.at}/settings >> {DATA}/postgresql.conf; "
            f"exec postgres -D {DATA} -c unix_socket_directories={self.at}"
        )
        with self.server(script) as name:
            self.wait(name, "postgres", "select 1", "1")
            make = ["createdb", "-h", str(self.at), "-U", "postgres", "-T", "template0", "crm"]
            subprocess.run(["docker", "exec", name, *make], check=True)
            self.borgmatic("restore", "--archive", "latest", "--hostname", str(self.at), "--username", "postgres")
            seconds = time.monotonic() - began
            self.wait(name, "crm", COUNT, str(self.calls()))
        return seconds


@dataclass
class PgBackRest(Peer):
    """The cluster's files; zst, AES, two processes, bundles and block-incremental."""

    full: bool = field(default=True)

    def prepare(self) -> None:
        (self.at / "conf").write_text(PGBACKREST.format(at=self.at, secret=SECRET), "utf-8")
        self.pgbackrest("stanza-create")
        archive(self.source, self.push)

    @property
    def push(self) -> str:
        """What archives a segment of the source's log."""
        return f"PGBACKREST_CONFIG={self.at}/conf pgbackrest --stanza=bench archive-push %p"

    def pgbackrest(self, *argv: str) -> float:
        return self.inside("pgbackrest", "--stanza=bench", "--log-level-console=warn", *argv)

    def backup(self) -> float:
        kind, self.full = "full" if self.full else "incr", False
        return self.pgbackrest(f"--type={kind}", "backup")

    def restore(self) -> float:
        return self.restored(
            f"mkdir -m 700 {DATA}; pgbackrest --stanza=bench --log-level-console=warn --pg1-path={DATA} restore"
        )

    def expire_log(self) -> None:
        """Keep of the log only what backups need to be consistent: no point in time between them, but the last's."""
        self.pgbackrest("--repo1-retention-archive-type=incr", "--repo1-retention-archive=1", "expire")

    def close(self) -> None:
        archive(self.source, "/bin/true")
        super().close()


def archived(source: Source) -> None:
    """The log up to now is handed over. Not part of what is timed: it would go on beside whichever tool comes next."""
    wanted = source.psql("select pg_walfile_name(pg_switch_wal())", "postgres")
    deadline = time.monotonic() + 300
    while source.psql("select last_archived_wal from pg_stat_archiver", "postgres") < wanted:
        if time.monotonic() > deadline:
            raise SystemExit(f"the source does not archive {wanted}")
        time.sleep(0.1)


def archive(source: Source, *commands: str) -> None:
    """Have the source hand each segment of its log to all of these."""
    source.psql(f"alter system set archive_command = '{' && '.join(commands)}'", "postgres")
    source.psql("select pg_reload_conf()", "postgres")
