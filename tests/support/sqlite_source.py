"""An SQLite database that is captured: as it is, or while a program has it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ccdr.engines import Sqlite
from ccdr.engines.sqlite import live
from ccdr.engines.sqlite.engine import LOADED
from ccdr.host.clock import SystemClock
from ccdr.host.digests import Digest
from ccdr.host.processes import Host
from ccdr.model.errors import BackupFailed
from ccdr.model.values import CheckResult, Manifest
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Output, Source
from tests.support.harness import Quiet, ask_sqlite
from tests.support.manifests import SAID

LIVE = Path(live.__file__)


def engine(path: Path, **more: Any) -> Sqlite:
    return Sqlite.model_validate({"engine": "sqlite", "path": path, **more})


def captured(path: Path, into: Path, lock_wait: float = 1.0) -> Capture:
    """As a backup captures, without a repository."""
    into.mkdir()
    source, one = Source(Host(), into), engine(path)
    one.probe(source)
    return one.capture(source, into, Tools(SystemClock(), Quiet(), Digest(Host()), lock_wait))


def refused(path: Path, into: Path) -> BackupFailed:
    with pytest.raises(BackupFailed) as caught:
        captured(path, into)
    assert caught.value.hint
    return caught.value


def beside(path: Path) -> dict[str, tuple[int, int, bytes]]:
    """The database and whatever is named like it: size, time of change, contents."""
    found = sorted(path.parent.glob(f"{path.name}*"))
    return {p.name: (p.stat().st_size, p.stat().st_mtime_ns, p.read_bytes()) for p in found}


def child(code: str, *args: object) -> subprocess.Popen[str]:
    """Another program with a database open; it has said `ready`."""
    argv = [sys.executable, "-c", textwrap.dedent(code), *map(str, args)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline().strip() == "ready"
    return process


def killed(code: str, *args: object) -> None:
    process = child(code + "\nprint('ready', flush=True)\nimport time; time.sleep(60)", *args)
    process.kill()
    process.wait()


CRASH = """
import sqlite3, sys
con = sqlite3.connect(sys.argv[1], isolation_level=None)
con.execute("pragma cache_size = 5")
for sql in sys.argv[2].split(";"):
    con.execute(sql)
"""


def crashed(path: Path, sql: str, mode: str) -> None:
    ask_sqlite(path, f"pragma journal_mode = {mode}")
    killed(CRASH, path, sql)


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4096)


def scribbled(path: Path, table: str) -> None:
    """Overwrite one page of a table or an index, but not its first."""
    page = ask_sqlite(path, f"pragma journal_mode = delete; select max(pageno) from dbstat where name = '{table}'"
                      " and pagetype = 'leaf'")[0][0]  # fmt: skip
    size = ask_sqlite(path, "pragma page_size")[0][0]
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(random.Random(1).randbytes(size))


def has_dbstat() -> bool:
    with contextlib.closing(sqlite3.connect(":memory:")) as con:
        return con.execute("select count(*) from pragma_module_list where name = 'dbstat'").fetchone() == (1,)


class Near(Host):
    """This host in the sandbox's stead: the database that checks ask is the one given. Its SQLite is real."""

    def beside(self, database: Path) -> Near:
        made = Near()
        object.__setattr__(made, "database", database)
        return made

    def run(self, argv: Sequence[str], **more: Any) -> Output:
        found = [str(self.database) if word == LOADED else word for word in argv]  # type: ignore[attr-defined]
        return super().run([sys.executable if word == "python3" else word for word in found], **more)


def manifest_of(done: Capture, path: Path) -> Manifest:
    return Manifest(
        plan="p", asset="cdr", run="r", engine="sqlite", method="copy", host="h", consistent_point=done.consistent_point,
        clock_skew_s=0.0, tools={}, contents=json.loads(json.dumps(done.contents)), files=done.files, attested=SAID,
    )  # fmt: skip


def looked_at(done: Capture, restored: Path, name: str) -> dict[str, list[CheckResult]]:
    """`identical` and `integrity` of a restored directory."""
    near = Near().beside(restored / name)
    context = CheckContext(manifest_of(done, restored), restored, restored, restored, near, Host(), Digest(Host()))
    one = engine(restored / name)
    return {"identical": list(one.identical(context)), "integrity": list(one.integrity(context))}


def in_place(*statements: str) -> Callable[[Path], object]:
    def harm(path: Path) -> None:
        ask_sqlite(path, "; ".join(statements))

    return harm


def without_index(path: Path, sql: str) -> None:
    """Change a table behind its index's back, as a lost write does."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.execute("pragma writable_schema = on")
        (definition,) = con.execute("select sql from sqlite_master where name = 'call_by_customer'").fetchone()
        root = con.execute("select rootpage from sqlite_master where name = 'call_by_customer'").fetchone()[0]
        con.execute("delete from sqlite_master where name = 'call_by_customer'")
    ask_sqlite(path, sql)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.execute("pragma writable_schema = on")
        con.execute("insert into sqlite_master values ('index', 'call_by_customer', 'call', ?, ?)", (root, definition))
