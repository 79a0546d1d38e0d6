"""ccdr beside borgmatic and pgBackRest, on the same database and machine, in turn. See docs/benchmarks.md.

.venv/bin/python bench/peers.py [--quick] [--gb 2] [--rounds 3] [--out FILE]

Root, since it makes an image of Debian's packages of the three (bench/peers.conf).
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from machine import facts, said, timed
from sides import Ours, discard
from source import CALLS_PER_GB, HERE, Source, pick_image, source, tree_bytes

TOOLS = "ccdr-bench/peers:17"
SECRET = "correct horse battery staple"
BORGMATIC = """\
repositories:
  - {{path: {at}/repo, label: bench}}
encryption_passphrase: {secret}
borg_base_directory: {at}/borg
user_state_directory: {at}/state
postgresql_databases:
  - {{name: crm, username: postgres, format: custom, compression: none}}
"""  # its hostname comes by PGHOST: borgmatic finds no dump again whose host is a directory
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


class Side(Protocol):
    """One tool. Seconds are wall time from its command to its end."""

    def backup(self) -> float: ...

    def restore(self) -> float:
        """From its command until a new server answers with the newest backup's data."""

    def stored(self) -> int:
        """Bytes in its repository."""

    def close(self) -> None: ...


@dataclass
class Ccdr:
    """`restore` is what `ccdr test` measures as `answering_s`, and all that it does before and after its own phases."""

    ours: Ours

    def backup(self) -> float:
        return self.ours.run("backup")[0].seconds

    def restore(self) -> float:
        done, document = self.ours.run("test")
        around = done.seconds - sum(document["phases"].values())
        return float(document["rto"]["answering_s"] + around)

    def stored(self) -> int:
        return tree_bytes(self.ours.repo)

    def close(self) -> None:
        discard(self.ours.root)


@dataclass
class Peer:
    """A tool that runs where the source does, in its container, with all it keeps in `at`."""

    source: Source
    at: Path
    calls: Callable[[], int]  # how many the newest backup must bring back
    settings: str  # of the server that a dump is loaded into: ccdr's own
    data_bytes: int

    def __post_init__(self) -> None:
        self.at.mkdir()
        self.at.chmod(0o777)
        self.prepare()

    def prepare(self) -> None:
        raise NotImplementedError

    def inside(self, *argv: str, user: str = "postgres") -> float:
        env = ["-e", f"HOME={self.at}", "-e", f"PGBACKREST_CONFIG={self.at}/conf", "-e", "PGHOST=/sockets"]
        return timed(["docker", "exec", "-u", user, *env, self.source.container, *argv]).seconds

    def stored(self) -> int:
        argv = [
            "docker",
            "exec",
            "-u",
            "root",
            self.source.container,
            "du",
            "-sb",
            "--apparent-size",
            f"{self.at}/repo",
        ]
        return int(said(*argv).split()[0])

    def close(self) -> None:
        self.inside("rm", "-rf", *[f"{self.at}/{name}" for name in os.listdir(self.at)], user="root")
        discard(self.at)

    @contextmanager
    def server(self, script: str) -> Iterator[str]:
        """A new server in memory, as a sandbox is; `script` makes its data and becomes it."""
        name = f"{self.source.container}-restored"
        argv = ["docker", "run", "-d", "--name", name, "--network", "none", "--user", "postgres", "--shm-size", "256m"]
        argv += ["--tmpfs", f"/var/lib/postgresql:size={self.data_bytes},mode=1777"]
        argv += ["--mount", f"type=bind,src={self.at},dst={self.at}", "-e", f"PGBACKREST_CONFIG={self.at}/conf"]
        subprocess.run([*argv, TOOLS, "bash", "-euc", script], check=True, capture_output=True)
        try:
            yield name
        except BaseException:
            print(said("docker", "logs", "--tail", "20", name))
            raise
        finally:
            subprocess.run(["docker", "rm", "-f", "-v", name], check=True, capture_output=True)

    def wait(self, name: str, database: str, query: str, wanted: str) -> None:
        ask = [
            "docker",
            "exec",
            name,
            "psql",
            "-XqAt",
            "-h",
            str(self.at),
            "-U",
            "postgres",
            "-d",
            database,
            "-c",
            query,
        ]
        deadline = time.monotonic() + 900
        while said(*ask) != wanted:
            if time.monotonic() > deadline:
                raise SystemExit(f"{name} does not answer {query!r} with {wanted}: {said(*ask)}")
            time.sleep(0.05)


@dataclass
class Borgmatic(Peer):
    """pg_dump's custom format, uncompressed as borg likes it, streamed into borg; lz4 and encrypted."""

    def prepare(self) -> None:
        (self.at / "conf").write_text(BORGMATIC.format(at=self.at, secret=json.dumps(SECRET)), "utf-8")
        self.borgmatic("repo-create", "--encryption", "repokey-blake2")

    def borgmatic(self, *argv: str) -> float:
        return self.inside("borgmatic", "--config", f"{self.at}/conf", *argv)

    def backup(self) -> float:
        return self.borgmatic("create")

    def restore(self) -> float:
        (self.at / "settings").write_text(self.settings, "utf-8")
        began = time.monotonic()
        data = "/var/lib/postgresql/restored"
        script = (
            f"initdb -D {data} -U postgres -A trust -N -E UTF8 --locale=C --no-instructions > /dev/null; "
            f"cat {self.at}/settings >> {data}/postgresql.conf; "
            f"exec postgres -D {data} -c unix_socket_directories={self.at}"
        )
        with self.server(script) as name:
            self.wait(name, "postgres", "select 1", "1")
            make = ["createdb", "-h", str(self.at), "-U", "postgres", "-T", "template0", "crm"]
            subprocess.run(["docker", "exec", name, *make], check=True)
            self.borgmatic("restore", "--archive", "latest", "--hostname", str(self.at), "--username", "postgres")
            seconds = time.monotonic() - began
            self.wait(name, "crm", "select count(*) from call", str(self.calls()))
        return seconds


@dataclass
class PgBackRest(Peer):
    """The cluster's files; zst, AES, two processes, bundles and block-incremental."""

    full: bool = field(default=True)

    def prepare(self) -> None:
        (self.at / "conf").write_text(PGBACKREST.format(at=self.at, secret=SECRET), "utf-8")
        push = f"PGBACKREST_CONFIG={self.at}/conf pgbackrest --stanza=bench archive-push %p"
        self.pgbackrest("stanza-create")
        self.source.psql(f"alter system set archive_command = '{push}'", "postgres")
        self.source.psql("select pg_reload_conf()", "postgres")

    def pgbackrest(self, *argv: str) -> float:
        return self.inside("pgbackrest", "--stanza=bench", "--log-level-console=warn", *argv)

    def backup(self) -> float:
        kind, self.full = "full" if self.full else "incr", False
        return self.pgbackrest(f"--type={kind}", "backup")

    def restore(self) -> float:
        began = time.monotonic()
        data = "/var/lib/postgresql/restored"
        script = (
            f"mkdir -m 700 {data}; pgbackrest --stanza=bench --log-level-console=warn --pg1-path={data} restore; "
            f"exec postgres -D {data} -c unix_socket_directories={self.at} " + " ".join(f"-c {s}" for s in THROWAWAY)
        )
        with self.server(script) as name:
            self.wait(name, "crm", "select not pg_is_in_recovery()", "t")
            seconds = time.monotonic() - began
            self.wait(name, "crm", "select count(*) from call", str(self.calls()))
        return seconds

    def close(self) -> None:
        self.source.psql("alter system set archive_command = '/bin/true'", "postgres")
        self.source.psql("select pg_reload_conf()", "postgres")
        super().close()


MEASURES = {
    "backup": "first backup",
    "backup_more": "backup after 1 % more rows",
    "backup_changed": "backup after 1 % of the rows changed, all over",
    "restore": "restore, until the server answers",
    "stored": "first backup, stored",
    "stored_more": "1 % more rows, stored",
    "stored_changed": "1 % changed rows, stored",
}


@dataclass
class Bench:
    source: Source
    image: str
    work: Path
    peers: Path
    calls: int
    rows: int
    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    data_bytes: int = 0
    settings: str = ""

    def say(self, text: str) -> None:
        print(f"{datetime.now():%H:%M:%S}  {text}", flush=True)

    def round(self, number: int) -> None:
        """Each tool from nothing to a restore; who comes first changes from round to round."""
        ours = Ours(self.work / f"ours{number}", self.source, "crm", self.image, self.calls)
        sides = {"ccdr": Ccdr(ours), **self.start_peers(number)}
        self.all("backup", number, sides)
        before = self.keep_stored("stored", sides, dict.fromkeys(sides, 0))
        more = self.calls // 100
        self.source.append("crm", self.rows, more)
        self.rows += more
        self.all("backup_more", number, sides)
        before = self.keep_stored("stored_more", sides, before)
        self.source.change("crm", 100)
        self.all("backup_changed", number, sides)
        self.keep_stored("stored_changed", sides, before)
        self.all("restore", number, sides)
        for side in sides.values():
            side.close()

    def look(self) -> None:
        """What server ccdr gives a sandbox: peers load into the same. Outside any measured time."""
        ours = Ours(self.work / "look", self.source, "crm", self.image, self.calls)
        ours.run("backup")
        self.data_bytes, self.settings = ours.sandbox()
        discard(ours.root)

    def start_peers(self, number: int) -> dict[str, Side]:
        def calls() -> int:
            return self.rows

        def made(kind: type[Peer], name: str) -> Peer:
            return kind(self.source, self.peers / f"{name}{number}", calls, self.settings, 2 * self.data_bytes)

        return {"borgmatic": made(Borgmatic, "borgmatic"), "pgBackRest": made(PgBackRest, "pgbackrest")}

    def all(self, what: str, number: int, sides: dict[str, Side]) -> None:
        names = list(sides)
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            side = sides[name]
            seconds = side.restore() if what == "restore" else side.backup()
            self.keep(what, name, seconds)
            self.say(f"{name}, {MEASURES[what]}: {seconds:.2f} s")

    def keep_stored(self, what: str, sides: dict[str, Side], before: dict[str, int]) -> dict[str, int]:
        now = {name: side.stored() for name, side in sides.items()}
        for name, size in now.items():
            self.keep(what, name, (size - before[name]) / 1e6)
        return now

    def keep(self, what: str, name: str, value: float) -> None:
        self.samples.setdefault(what, {}).setdefault(name, []).append(value)


def table(samples: dict[str, dict[str, list[float]]]) -> str:
    """Medians, as Markdown; how many times ccdr's is a peer's is the median of the rounds' own ratios."""
    lines = ["| | ccdr | borgmatic | pgBackRest | ccdr / borgmatic | ccdr / pgBackRest |", "|---|---|---|---|---|---|"]
    for what, text in MEASURES.items():
        of, unit = samples[what], "MB" if what.startswith("stored") else "s"
        cells = [f"{statistics.median(of[name]):.1f} {unit}" for name in ("ccdr", "borgmatic", "pgBackRest")]
        for peer in ("borgmatic", "pgBackRest"):
            ratio = statistics.median(a / b for a, b in zip(of["ccdr"], of[peer], strict=True))
            cells.append(f"{ratio:.2f}")
        lines.append(f"| {text} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def versions() -> dict[str, str]:
    script = "borgmatic --version; borg --version; pgbackrest version"
    words = said("docker", "run", "--rm", "--network", "none", TOOLS, "sh", "-c", script).split()
    return {"borgmatic": words[0], "borg": words[2], "pgBackRest": words[4]}


def main() -> int:
    parser = argparse.ArgumentParser(description="ccdr beside borgmatic and pgBackRest.")
    parser.add_argument("--quick", action="store_true", help="100 MB and one round: does the harness work?")
    parser.add_argument("--gb", type=float, default=2.0, help="size of the database, GB (2)")
    parser.add_argument("--rounds", type=int, default=3, help="how often all three are measured in turn (3)")
    parser.add_argument("--out", type=Path, default=HERE / "results/peers.json", help="where the JSON goes")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"), help="where data goes; about 10 GB are needed")
    args = parser.parse_args()
    gb, rounds = (0.1, 1) if args.quick else (args.gb, args.rounds)
    subprocess.run([HERE.parent / "deploy/images/build", "--here", HERE / "peers.conf"], check=True)
    image, calls = pick_image(), int(CALLS_PER_GB * gb)
    about = {**facts(image), **versions()}
    with tempfile.TemporaryDirectory(prefix="ccdr-bench-", dir=args.work) as directory:
        work = Path(directory)
        work.chmod(0o755)
        (work / "peers").mkdir()
        (work / "peers").chmod(0o777)
        name = f"ccdr-peers-{os.getpid()}"
        with source(TOOLS, name, work, mount=work / "peers", settings={"archive_mode": "on"}) as server:
            server.psql("alter system set archive_command = '/bin/true'", "postgres")
            server.psql("select pg_reload_conf()", "postgres")
            bench = Bench(server, image, work, work / "peers", calls, calls)
            bench.say(f"filling a database of about {gb:g} GB")
            server.fill("crm", calls)
            size = server.size("crm")
            bench.say(f"it has {size / 1e9:.2f} GB")
            bench.look()
            for number in range(1, rounds + 1):
                bench.say(f"round {number} of {rounds}")
                bench.round(number)
    result = {
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "command": shlex.join(["bench/peers.py", *sys.argv[1:]]),
        "machine": about,
        "database": {"bytes": size, "calls": calls},
        "samples": bench.samples,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    tools = f"borgmatic {about['borgmatic']} with borg {about['borg']}, pgBackRest {about['pgBackRest']}"
    machine = f"{about['processors']} × {about['processor']}, load {about['load_before']}"
    print(f"\n{size / 1e9:.2f} GB, {rounds} rounds, {machine}, {about['restic']}, {tools}\n")
    print(f"{table(bench.samples)}\n\n{args.out}: every sample")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
