"""SQLite: a user who may only read, and files that are not where they seem to be."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import SQLITE_SMALL, ask_sqlite
from tests.support.sqlite_source import LIVE, beside, captured, crashed, refused

from ccdr.engines.sqlite import live

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = 65534


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that anybody may go into; root's."""
    path = Path(tempfile.mkdtemp(prefix="ccdr-public-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def as_nobody(path: Path, target: Path | None = None) -> dict[str, Any]:
    """The program that copies, by a user who owns nothing here."""
    done = subprocess.run(
        ["/usr/bin/env", "python3", "-I", "-c", LIVE.read_text()],
        input=json.dumps({"source": str(path), "target": target and str(target), "wait": 1}),
        capture_output=True, text=True, check=False, user=NOBODY, group=NOBODY, extra_groups=[],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@root_only
def test_a_user_who_may_only_read_copies_and_makes_nothing_beside_it(public: Path) -> None:
    """Files of such a user beside the database could keep its application from writing."""
    path, target = public / "cdr.db", public / "into" / "cdr.db"
    ask_sqlite(path, SQLITE_SMALL)
    public.chmod(0o777)
    target.parent.mkdir(mode=0o777)
    target.parent.chmod(0o777)
    before = beside(path)
    assert as_nobody(path, target)["tables"] == 2
    assert beside(path) == before
    assert ask_sqlite(target, "select count(*) from call") == [(3000,)]


@root_only
def test_a_user_who_may_only_read_is_told_what_it_takes(public: Path) -> None:
    path = public / "cdr.db"
    ask_sqlite(path, SQLITE_SMALL)
    crashed(path, "update call set seconds = 7 where id = 7", "wal")
    assert "refused" not in as_nobody(path) or as_nobody(path)["refused"] == "cannot open"
    (public / "cdr.db-shm").unlink()
    assert as_nobody(path)["refused"] == "orphan"
    assert not (public / "cdr.db-shm").exists()
    crashed(path, "begin; update call set voice = zeroblob(5000)", "delete")
    assert as_nobody(path)["refused"] == "cannot write"
    ask_sqlite(path, "select 1 from call")
    path.chmod(0o600)
    assert as_nobody(path)["refused"] == "cannot open"
    path.chmod(0o644)
    assert "refused" not in as_nobody(path), "the twin"


def test_a_copy_without_locks_does_not_count_where_somebody_wrote_meanwhile(database: Path) -> None:
    with live.undisturbed(str(database), time.monotonic() + 1) as (source, _):
        assert source.execute("select count(*) from call").fetchone() == (3000,)
    with pytest.raises(live.CannotCopy, match="written"):
        with live.undisturbed(str(database), time.monotonic() + 1):
            ask_sqlite(database, "update call set seconds = 77 where id = 1")


@root_only
def test_a_file_that_an_application_has_without_its_directory_is_refused(database: Path, tmp_path: Path) -> None:
    """What it writes into its log, in its container, is nowhere here."""
    where = database.parent
    with mounted(database, "/data/cdr.sqlite3"):
        assert "in a container, as /data/cdr" in str(refused(database, tmp_path / "1"))
    for source, to in ((database, "/data/cdr.sqlite3:ro"), (where, "/data"), (where, str(where))):
        with mounted(source, to):
            captured(database, tmp_path / to.replace("/", "-"))


@root_only
def test_a_database_in_a_containers_own_layer_is_refused_and_left_alone(tmp_path: Path) -> None:
    """There its application sees no lock of ours: what it has open would be taken for what a crash has left."""
    made = "import sqlite3; sqlite3.connect('/var/tmp/cdr.db').execute('create table t (a)')"
    with mounted(tmp_path, "/data") as name:
        subprocess.run(["docker", "exec", name, "python3", "-c", made], check=True)
        argv = ["docker", "inspect", "-f", "{{json .GraphDriver.Data}}", name]
        layers = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout) or {}
        if "UpperDir" not in layers:
            pytest.skip("Docker keeps no overlay here")
        path = Path(layers["UpperDir"], "var/tmp/cdr.db")
        before = beside(path)
        error = refused(path, tmp_path / "1")
        assert f"mounted at {layers['MergedDir']}" in str(error) and "in a volume" in str(error.hint)
        assert beside(path) == before
        captured(Path(layers["MergedDir"], "var/tmp/cdr.db"), tmp_path / "2")


@contextlib.contextmanager
def mounted(source: Path, to: str) -> Iterator[str]:
    argv = ["docker", "run", "-d", "--rm", "--network", "none", "-v", f"{source}:{to}", "--entrypoint", "sleep"]
    argv += ["ccdr-sandbox/files:1", "300"]
    name = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield name
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=True, capture_output=True)
