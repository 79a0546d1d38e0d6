"""The two sides that are compared: `ccdr`, and the same work by hand (the scripts in by_hand/)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from textwrap import indent
from typing import Any

from machine import Timed, run, script, timed
from source import HERE, Source, tree_bytes

from ccdr.engines.postgres import Postgres
from ccdr.engines.postgres.dump import Dump
from ccdr.engines.postgres.inventory import conf_line
from ccdr.jobs.services import limits_of
from ccdr.plans import load_named
from ccdr.storage.catalogue import Catalogue
from ccdr.wiring import services

CCDR = str(Path(sys.executable).with_name("ccdr"))
SECRET = "correct horse battery staple"
PLAN = """\
plan: bench
service: A contact centre
owner: ops@example.test
objectives: {{rpo: 24h, rto: 4h, mtd: 24h}}
repository: {{url: {root}/repo, password_file: key}}
assets:
  crm:
{asset}
    backup: {{schedule: "0 */6 * * *"}}
    restore_test: {{schedule: "0 3 * * *", checks: [bench]}}
"""
POSTGRES = """\
engine: postgres
connection: {{host: {sockets}, user: postgres, database: {database}}}
image: {image}
"""
CHECKS = """\
restore_test: bench
checks:
  - {{kind: identical}}
  - {{kind: integrity}}
  - {{kind: rows, table: call, at_least: {calls}}}
  - {{kind: freshness, query: "select max(started_at) from call", within: 30d}}
  - {{kind: sql, name: every call has a customer, expect: 0,
     query: "select count(*) from call c left join customer u on u.id = c.customer_id where u.id is null"}}
"""


def init(repo: Path, key: Path) -> None:
    argv = ["restic", "-q", "-r", str(repo), "-p", str(key), "init"]
    subprocess.run(argv, check=True, capture_output=True)


@dataclass
class Ours:
    """A place of its own with a plan of one asset, state and a repository."""

    root: Path
    asset: str  # YAML, one key a line
    checks: str

    def __post_init__(self) -> None:
        for name in ("plans", "restore_tests"):
            (self.root / name).mkdir(parents=True)
        secret = token_hex(32)  # as `ccdr init` makes it, so that the repository opens as a user's does
        (self.root / "plans/key").write_text(f"{secret}\n", "ascii")
        (self.root / "plans/key").chmod(0o600)
        plan = PLAN.format(root=self.root, asset=indent(self.asset.rstrip(), "    "))
        (self.root / "plans/bench.yaml").write_text(plan, "utf-8")
        (self.root / "restore_tests/bench.yaml").write_text(self.checks, "utf-8")
        own, loaded = (
            services(self.root / "state"),
            load_named("bench", self.root / "plans", self.root / "restore_tests"),
        )
        own.record_made(secret, "bench")
        own.make_if_missing(own.repository(loaded, limits_of(loaded)))

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    def run(self, verb: str) -> tuple[Timed, Any]:
        """`ccdr VERB bench`, and the JSON document it prints."""
        argv = [CCDR, "--plans", str(self.root / "plans"), "--restore-tests", str(self.root / "restore_tests")]
        argv += ["--state", str(self.root / "state"), verb, "bench", "--json"]
        done = timed(argv)
        document = json.loads(done.stdout)
        good = document.get("result") == "STORED" or document.get("verdict") == "PASS"
        if not good:
            raise SystemExit(f"{' '.join(argv)} did not succeed:\n{done.stdout}")
        return done, document

    def sandbox(self) -> tuple[int, str]:
        """Bytes for the data and the server's settings that ccdr gives its sandbox: by hand uses the same."""
        loaded = load_named("bench", self.root / "plans", self.root / "restore_tests")
        engine = loaded.plan.assets["crm"]
        assert isinstance(engine, Postgres)
        catalogue = Catalogue(self.root / "state/catalogue")
        manifest = catalogue.manifest(catalogue.snapshots("bench", "crm")[-1])
        settings = Dump(engine).settings(manifest)
        return engine.sandbox(manifest).bytes, "".join(conf_line(k, v) for k, v in settings.items())


def of_postgres(root: Path, source: Source, database: str, image: str, calls: int, extra: str = "") -> Ours:
    """ccdr on a database of `fill.sql`; `extra` is more YAML of the asset."""
    asset = POSTGRES.format(sockets=source.sockets, database=database, image=image) + extra
    return Ours(root, asset, CHECKS.format(calls=calls))


@dataclass
class Restic:
    """restic as it comes, with a repository and a cache of its own."""

    root: Path

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True)
        self.key.write_text(f"{SECRET}\n", "ascii")
        init(self.repo, self.key)

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    @property
    def key(self) -> Path:
        return self.root / "key"

    @property
    def opening(self) -> dict[str, str]:
        """restic's environment."""
        return {
            "RESTIC_REPOSITORY": str(self.repo),
            "RESTIC_PASSWORD_FILE": str(self.key),
            "RESTIC_CACHE_DIR": str(self.root / "cache"),
        }

    @property
    def anew(self) -> dict[str, str]:
        """The same on a machine that has no cache: ccdr's restores fetch without one too, as after a disaster."""
        return {**self.opening, "RESTIC_CACHE_DIR": str(self.root / "no-cache")}

    def keep(self, capture: Path, before: Sequence[Sequence[str]] = ()) -> float:
        """Seconds that a script takes whose first commands make the capture; it is stored, and then removed."""
        after = [["restic", "backup", "--quiet", str(capture)], ["rm", "-rf", str(capture)]]
        return timed(script(*before, *after), env=self.opening).seconds

    def fetch(self, capture: Path, target: Path) -> None:
        """The newest snapshot, as part of what is timed; a server of another user may then run on it."""
        argv = ["restic", "restore", "--quiet", f"latest:{capture}", "--target", str(target)]
        run(script(argv, ["chmod", "777", str(target)]), env=self.anew)

    def stored(self) -> int:
        """Bytes in its repository."""
        return tree_bytes(self.repo)

    def close(self) -> None:
        discard(self.root)


@dataclass
class ByHand(Restic):
    """The scripts."""

    source: Source
    database: str
    image: str
    calls: int
    facts: Path  # a directory with what was taken down at the dump: sums, rows, roles.sql

    def environment(self) -> dict[str, str]:
        return {
            "IMAGE": self.image,
            "SOCKETS": str(self.source.sockets),
            "DATABASE": self.database,
            "WORK": str(self.root / "work"),
            "NAME": f"{self.source.container}-hand",
            **self.opening,
        }

    def backup(self) -> Timed:
        return timed(["bash", str(HERE / "by_hand/backup.sh")], env=self.environment())

    def test(self, data_bytes: int, settings: str) -> Timed:
        (self.facts / "settings").write_text(settings, "utf-8")
        more = {
            "CAPTURE": str(self.root / "work/capture"),
            "SUMS": str(self.facts / "sums"),
            "ROWS": str(self.facts / "rows"),
            "ROLES": str(self.facts / "roles.sql"),
            "SETTINGS": str(self.facts / "settings"),
            "DATA_BYTES": str(data_bytes),
            "CALLS": str(self.calls),
        }
        return timed(["bash", str(HERE / "by_hand/test.sh")], env={**self.environment(), **more})


def take_down(source: Source, database: str, image: str, work: Path) -> Path:
    """What the test by hand compares with, taken once and outside any measured time."""
    facts = work / "facts"
    facts.mkdir()
    facts.chmod(0o777)
    script = (
        f"cd {facts} && pg_dump -w -d {database} -Fd -j2 -Z0 --no-sync -f dump && "
        f"sha256sum dump/[0-9]*.dat | cut -d ' ' -f 1 | sort > sums && cat dump/[0-9]*.dat | wc -l > rows && "
        f"pg_dumpall -w --roles-only -f roles.sql && rm -r dump"
    )
    argv = ["docker", "run", "--rm", "--network", "none", "--user", f"{os.getuid()}:{os.getgid()}"]
    argv += ["--mount", f"type=bind,src={source.sockets},dst={source.sockets},readonly"]
    argv += ["--mount", f"type=bind,src={facts},dst={facts}", "--env", f"PGHOST={source.sockets}"]
    subprocess.run([*argv, "--env", "PGUSER=postgres", image, "bash", "-ec", script], check=True)
    return facts


def discard(*roots: Path) -> None:
    for root in roots:
        shutil.rmtree(root)
