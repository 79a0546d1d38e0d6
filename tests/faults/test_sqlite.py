"""SQLite: a live database is copied as of one instant and left as it was; whatever was lost, changed or wrong is told."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import stat
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.harness import SQLITE_SMALL, Quiet, Site, ask_sqlite, containers, eventually, in_background
from tests.support.stored import assert_clean, with_repository

from ccdr.engines import Sqlite
from ccdr.engines.sqlite import live
from ccdr.engines.sqlite.engine import LOADED
from ccdr.host.clock import SystemClock
from ccdr.host.digests import Digest
from ccdr.host.processes import Host
from ccdr.model.answers import NO_WORDS
from ccdr.model.errors import BackupBad, BackupFailed, CommandFailed, TestBroken
from ccdr.model.values import CheckResult, Manifest, Verdict, verdict_of
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Output, Source

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = 65534
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


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "pbx" / "cdr.sqlite3"
    path.parent.mkdir()
    ask_sqlite(path, SQLITE_SMALL)
    return path


# --- a database in use ------------------------------------------------------------------------------------------

WRITER = """
import sqlite3, sys, time
con = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
con.execute("pragma synchronous = off")
print("ready", flush=True)
n = 0
with open(sys.argv[2], "a") as acknowledged:
    while True:
        n += 1
        con.execute("begin immediate")
        con.execute("update account set balance = balance - 1 where id = 1 + ? % 50", (n,))
        con.execute("insert into done values (?, ?)", (n, "x" * (n % 3000)))
        con.execute("update account set balance = balance + 1 where id = 51 + ? % 50", (n,))
        con.execute("commit")
        acknowledged.write(f"{n} {time.time()}\\n")
        acknowledged.flush()
"""


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate"])
def test_a_busy_writer_neither_tears_the_copy_nor_is_hindered(tmp_path: Path, mode: str) -> None:
    """Every copy is one instant's: the balances' sum never changes, and all that was acknowledged before the
    consistent point is in it."""
    path, log = tmp_path / "busy.db", tmp_path / "acknowledged"
    ask_sqlite(path, f"pragma journal_mode = {mode}; create table account (id integer primary key, balance int);"
               "create table done (n integer primary key, filler text);"
               "insert into account with recursive n(g) as (select 1 union all select g + 1 from n where g < 100)"
               " select g, 1000 from n")  # fmt: skip
    writer = child(WRITER, path, log)
    try:
        assert eventually(lambda: log.exists() and log.stat().st_size > 5000)
        for n in range(4):
            done = captured(path, tmp_path / f"copy{n}", lock_wait=30)
            found = ask_sqlite(tmp_path / f"copy{n}" / "busy.db", "select sum(balance) from account")[0][0]
            assert found == 100_000
            newest = ask_sqlite(tmp_path / f"copy{n}" / "busy.db", "select max(n) from done")[0][0]
            before = [line.split() for line in log.read_text().splitlines()[:-1]]
            point = done.consistent_point.timestamp()
            assert newest >= max(int(number) for number, at in before if float(at) < point)
            assert ask_sqlite(tmp_path / f"copy{n}" / "busy.db", "pragma integrity_check") == [("ok",)]
        count = log.stat().st_size
        assert eventually(lambda: log.stat().st_size > count), "it goes on writing"
    finally:
        writer.kill()
        writer.wait()
    assert ask_sqlite(path, "pragma integrity_check") == [("ok",)]


UNHEARD = """
import sqlite3, sys
con = sqlite3.connect(f"file:{sys.argv[1]}?{sys.argv[2]}", uri=True, isolation_level=None, timeout=30)
con.execute(f"pragma journal_mode = {sys.argv[3]}")
con.execute("pragma cache_size = 20")
n = 0
while True:
    con.execute("begin immediate")
    for _ in range(int(sys.argv[4])):
        n += 1
        con.execute("update account set balance = balance - 1 where id = 1 + ? % 5000", (n * 7919,))
        con.execute("update account set balance = balance + 1 where id = 5001 + ? % 5000", (n * 7907,))
    con.execute("commit")
    if n == int(sys.argv[4]):  # the first time: from now on it writes, whenever it has a processor
        print("ready", flush=True)
"""


@pytest.mark.parametrize("how", ["nolock=1", "vfs=unix-dotfile", "mode=rw"])
def test_a_writer_whose_locks_nobody_sees_is_a_failed_backup(tmp_path: Path, how: str) -> None:
    """As one on another machine is, or in a virtual one: its pages are of several instants, and each is sound. The
    last one's are seen, and it waits. On a busy machine a writer may come to nothing while it is copied: such a copy is
    a good one, and the next is taken."""
    path = tmp_path / "busy.db"
    ask_sqlite(path, "pragma synchronous = off; create table account (id integer primary key, balance int, name text);"
               "insert into account with recursive n(g) as (select 1 union all select g + 1 from n where g < 10000)"
               " select g, 1000, hex(randomblob(1500)) from n")  # fmt: skip
    writer = child(UNHEARD, path, how, "memory", 1)
    try:
        for n in range(20) if how != "mode=rw" else ():
            try:
                captured(path, tmp_path / f"into{n}")
            except BackupFailed as error:
                assert "by a program that no lock of this host keeps out" in str(error) and "nolock" in str(error.hint)
                return
            assert writer.poll() is None, "it writes on"
            assert ask_sqlite(tmp_path / f"into{n}" / "busy.db", "select sum(balance) from account") == [(10_000_000,)]
        assert how == "mode=rw", "it was copied twenty times, and nobody has written meanwhile"
        captured(path, tmp_path / "into", lock_wait=30)
    finally:
        writer.kill()
        writer.wait()
    assert ask_sqlite(tmp_path / "into" / "busy.db", "select sum(balance) from account") == [(10_000_000,)]


def test_a_journal_that_is_written_is_no_crashs_whatever_lock_is_missing(tmp_path: Path) -> None:
    """Rolled back under its writer, the database itself would be torn, and the copy with it."""
    path = tmp_path / "busy.db"
    ask_sqlite(path, "create table account (id integer primary key, balance int, name text);"
               "insert into account with recursive n(g) as (select 1 union all select g + 1 from n where g < 10000)"
               " select g, 1000, hex(randomblob(100)) from n")  # fmt: skip
    writer, notes = child(UNHEARD, path, "nolock=1", "delete", 300), []
    try:
        for n in range(6):
            with contextlib.suppress(BackupFailed):
                notes += captured(path, tmp_path / f"into{n}", lock_wait=0.5).notes
        assert writer.poll() is None, "it writes on"
    finally:
        writer.kill()
        writer.wait()
    assert notes == [], "nothing was rolled back"
    assert ask_sqlite(path, "pragma integrity_check") == [("ok",)]
    assert ask_sqlite(path, "select sum(balance) from account") == [(10_000_000,)]


def test_a_database_that_is_replaced_while_it_is_copied_is_copied_as_it_was(database: Path) -> None:
    ask_sqlite(database, "pragma journal_mode = delete")
    with live.opened(str(database), time.monotonic() + 1, []) as (source, _):
        shutil.copyfile(database, database.with_name("new"))
        database.with_name("new").replace(database)
        ask_sqlite(database, "delete from call")
        assert source.execute("select count(*) from call").fetchone() == (3000,)


HOLDER = """
import sqlite3, sys
con = sqlite3.connect(sys.argv[1], isolation_level=None)
con.execute(sys.argv[2]); con.execute(sys.argv[3])
con.execute("update call set seconds = 1 where id = 1")
print("ready", flush=True)
sys.stdin.readline()
con.execute("commit")
"""
LOCKS = {
    "a transaction that never ends": ("pragma journal_mode = delete", "begin exclusive"),
    "an application that lets nobody in": ("pragma locking_mode = exclusive", "begin"),
}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_that_is_never_released_is_a_failed_backup(database: Path, tmp_path: Path, name: str) -> None:
    holder = child(HOLDER, database, *LOCKS[name])
    try:
        error = refused(database, tmp_path / "into")
        assert "is locked, and no reader was let in for 1 s" in str(error) and "lock_wait" in str(error.hint)
    finally:
        holder.kill()
        holder.wait()


def test_a_lock_that_is_released_in_time_is_waited_for(database: Path, tmp_path: Path) -> None:
    """The twin: what was committed meanwhile is in the copy."""
    holder = child(HOLDER, database, *LOCKS["a transaction that never ends"])
    released = in_background(lambda: (time.sleep(0.5), holder.communicate("\n")))  # type: ignore[arg-type, return-value]
    captured(database, tmp_path / "into", lock_wait=60)
    assert ask_sqlite(tmp_path / "into" / "cdr.sqlite3", "select seconds from call where id = 1") == [(1,)]
    released.join(30)


def test_the_time_of_waiting_is_not_the_age_of_the_data(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is released once the reader has begun to wait: what it reads is true for an instant after that."""
    holder = child(HOLDER, database, *LOCKS["a transaction that never ends"])
    released: list[float] = []

    def sleep(_: float) -> None:
        holder.communicate("\n")
        released.append(time.monotonic())

    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    source, began = live.reading(str(database), "mode=ro", time.monotonic() + 60)
    with contextlib.closing(source):
        assert len(released) == 1 and began >= released[0]
        assert source.execute("select seconds from call where id = 1").fetchone() == (1,)


# --- and left as it was -----------------------------------------------------------------------------------------

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


def as_left(mode: str) -> Callable[[Path], object]:
    return lambda path: ask_sqlite(path, f"pragma journal_mode = {mode}; update call set seconds = 7 where id = 7")


LEFT: dict[str, Callable[[Path], object]] = {
    "a log, closed well": as_left("wal"),
    "a log, after a crash": lambda p: crashed(p, "update call set seconds = 7 where id = 7", "wal"),
    "no journal": as_left("delete"),
    "a journal that is kept": as_left("persist"),
    "a journal cut to nothing": as_left("truncate"),
}


@pytest.mark.parametrize("name", LEFT)
def test_the_source_is_left_as_it_was(database: Path, tmp_path: Path, name: str) -> None:
    """Its bytes, its time of change, and what stands beside it; and what was committed last is in the copy."""
    LEFT[name](database)
    before = beside(database)
    assert captured(database, tmp_path / "into").notes == []
    after = beside(database)
    # Who reads a log marks in its -shm how far; that is what it is there for.
    assert {n: v for n, v in before.items() if "-shm" not in n} == {n: v for n, v in after.items() if "-shm" not in n}
    assert before.keys() == after.keys()
    copy = tmp_path / "into" / "cdr.sqlite3"
    assert [p.name for p in copy.parent.iterdir()] == ["cdr.sqlite3"]
    assert ask_sqlite(copy, "select seconds from call where id = 7") == [(7,)]


def test_an_application_that_has_it_open_is_not_disturbed(database: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as application:
        application.execute("update call set seconds = 7 where id = 7")
        before = beside(database)
        assert set(before) == {"cdr.sqlite3", "cdr.sqlite3-wal", "cdr.sqlite3-shm"}
        captured(database, tmp_path / "into")
        assert {n: v for n, v in beside(database).items() if "-shm" not in n} == {
            n: v for n, v in before.items() if "-shm" not in n
        }
        application.execute("update call set seconds = 8 where id = 7")
    copy = tmp_path / "into" / "cdr.sqlite3"
    assert ask_sqlite(copy, "select seconds from call where id = 7") == [(7,)]


def test_what_a_crash_left_half_done_is_rolled_back_as_by_any_reader(database: Path, tmp_path: Path) -> None:
    good = ask_sqlite(database, "pragma journal_mode = delete; select sum(length(voice)), count(*) from call")
    crashed(database, "begin; update call set voice = zeroblob(5000)", "delete")
    assert beside(database).keys() == {"cdr.sqlite3", "cdr.sqlite3-journal"}
    done = captured(database, tmp_path / "into")
    assert "rolled back" in done.notes[0]
    for path in (database, tmp_path / "into" / "cdr.sqlite3"):
        assert ask_sqlite(path, "select sum(length(voice)), count(*) from call") == good
    assert beside(database).keys() == {"cdr.sqlite3"}


def of_several(journal: Path, decides: Path | str) -> None:
    """Make a journal that of a transaction over several databases: its end names the file that decides (SQLite's file
    format, 3)."""
    name = str(decides).encode()
    with journal.open("ab") as file:
        file.write(struct.pack(">I", 0x40000000 // 4096 + 1) + name + struct.pack(">II", len(name), sum(name)))
        file.write(bytes.fromhex("d9d505f920a163d7"))


@pytest.mark.parametrize("decided", ["not yet", "yes", "elsewhere"])
def test_a_crash_amid_several_databases_is_for_who_can_tell_what_was_committed(
    database: Path, tmp_path: Path, decided: str
) -> None:
    """Where the first of them goes by another name here (a container's directory), SQLite would take what is half
    written for committed, and remove the journal for good."""
    question = "select sum(length(voice)), count(*) from call"
    good = ask_sqlite(database, f"pragma journal_mode = delete; {question}")
    first = database.with_name("first.sqlite3")
    ask_sqlite(first, "create table t (a)")
    whole, journal = shutil.copyfile(database, tmp_path / "whole"), Path(f"{database}-journal")
    crashed(database, "begin; update call set voice = zeroblob(5000)", "delete")
    decides = Path(f"{'/data/first' if decided == 'elsewhere' else first}-mj1A2B3C901")
    of_several(journal, decides)
    before = beside(database)
    if decided == "elsewhere":
        error = refused(database, tmp_path / "into")
        assert "in a transaction over several databases" in str(error) and "start its application" in str(error.hint)
        assert beside(database) == before, "its application can still roll it back"
        return
    if decided == "yes":
        ask_sqlite(whole, "update call set voice = zeroblob(5000)")
        whole.replace(database)
        good = [(15_000_000, 3000)]
    else:
        decides.write_bytes(f"{journal}\0".encode())
    captured(database, tmp_path / "into")
    assert ask_sqlite(tmp_path / "into" / "cdr.sqlite3", question) == good


def test_a_copy_that_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    """ccdr is killed, and the kernel tells the program that copies: it still closes the database."""
    path, target = tmp_path / "big.db", tmp_path / "target"
    ask_sqlite(path, "pragma journal_mode = wal; create table t (a); insert into t with recursive n(g) as"
               " (select 1 union all select g + 1 from n where g < 300) select zeroblob(100000) from n")  # fmt: skip
    before = beside(path).keys()
    slowly = (
        LIVE.read_text().replace("STEP = 4096", "STEP = 1").replace("lambda *_: None", "lambda *_: time.sleep(0.1)")
    )
    argv = [sys.executable, "-I", "-c", slowly]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps({"source": str(path), "target": str(target), "wait": 60}))
    process.stdin.close()
    assert eventually(target.exists, 60)
    assert beside(path).keys() == {"big.db", "big.db-wal", "big.db-shm"}, "while it reads"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) != 0 and target.stat().st_size < path.stat().st_size
    assert before == beside(path).keys() == {"big.db"}


# --- a user who may only read -----------------------------------------------------------------------------------


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
        assert "mounted without its directory, in a container, as /data/cdr" in str(refused(database, tmp_path / "1"))
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


# --- what is no database ----------------------------------------------------------------------------------------


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


NO_DATABASE: dict[str, tuple[Callable[[Path], object], str]] = {
    "not there": (Path.unlink, "is not there"),
    "a link": (lambda p: (p.rename(p.with_name("real")), p.symlink_to("real")), "is a link"),
    "two names": (lambda p: os.link(p, p.with_name("other")), "has 2 names"),
    "a directory": (lambda p: (p.unlink(), p.mkdir()), "is not a file"),
    "a pipe": (lambda p: (p.unlink(), os.mkfifo(p)), "is not a file"),
    "empty": (lambda p: p.write_bytes(b""), "holds no table"),
    "no table": (lambda p: ask_sqlite(p, "drop view answered; drop table call; drop table customer"), "holds no table"),
    "text": (lambda p: p.write_text("calldate,src,dst\n" * 500), "is no SQLite database, or an encrypted one"),
    "encrypted": (lambda p: p.write_bytes(random.Random(1).randbytes(p.stat().st_size)), "or an encrypted one"),
    "encrypted but for its header": (
        lambda p: p.write_bytes(p.read_bytes()[:100] + random.Random(1).randbytes(p.stat().st_size - 100)),
        "",
    ),
    "cut short": (cut_short, "is damaged"),
    "a table's page overwritten": (lambda p: scribbled(p, "call"), "cannot be read to its end: table call"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_DATABASE)
def test_what_is_no_database_is_a_failed_backup(database: Path, tmp_path: Path, name: str) -> None:
    if "overwritten" in name and not has_dbstat():
        pytest.skip("this SQLite cannot tell where its pages are")
    harm, said = NO_DATABASE[name]
    harm(database)
    error = refused(database, tmp_path / "into")
    assert said in str(error)
    assert database.name not in f"{error}{error.hint}" and database.name in (error.words or NO_WORDS), "for who looks"


ODD_NAMES = ["ccdr ?#%20&mode=memory.db", "notă „x”.db", "-dash.db", "'quote\".db", "line\nbreak.db"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_the_names_of_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / "made.db"
    ask_sqlite(path, "create table t (a); insert into t values (1)")
    path = path.rename(tmp_path / name)
    captured(path, tmp_path / "into")
    assert [p.name for p in (tmp_path / "into").iterdir()] == [name]


# --- whatever a database may hold -------------------------------------------------------------------------------

ZOO = r"""
create table "odd "" name; --" (id integer primary key, "select" text, [b c] int);
insert into "odd "" name; --" values (1, 'x', 2);
create table strict_one (a integer, b any, c real, d blob) strict;
insert into strict_one values (1, '1', 1.0, x'31');
create table clustered (a text, b int, primary key (b desc, a)) without rowid;
insert into clustered values ('x', 1), ('y', 2), ('z', 2);
create index clustered_by_a on clustered (a, b);
create table made (a int, b int generated always as (a * 2) virtual, c int generated always as (a * 3) stored);
insert into made (a) values (1), (2);
create table hides (rowid text, oid text, a int);
insert into hides values ('r', 'o', 1);
create table hides_all (rowid text, oid text, _rowid_ text);
insert into hides_all values ('r', 'o', 'u');
create table anything (v);
insert into anything values (null), (1), (1.0), ('1'), (x'31'), (''), (x''), (-0.0), (9e999), (-9e999), (9007199254740993),
  (-9223372036854775808), (cast(x'ff00fe' as text)), ('a' || char(0) || 'b'), ('NULL'), ('Ștefan'), (zeroblob(100000));
create virtual table words using fts5 (body);
insert into words values ('hello world'), ('goodbye');
create virtual table old_words using fts4 (body);
insert into old_words values ('hello world');
create virtual table box using rtree (id, x0, x1);
insert into box values (1, 0.0, 1.0);
create table self (id integer primary key, up int references self (id));
insert into self values (1, null), (2, 1);
create index some on anything (v) where v is not null;
create index by_expression on made (abs(a));
analyze
"""
WIDEST = f"create table widest ({', '.join(f'c{n}' for n in range(2000))}); insert into widest (c1999) values (1)"


@pytest.fixture(params=["UTF-8", "UTF-16le", "UTF-16be"])
def zoo(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "zoo.db"
    pages = {"UTF-8": 4096, "UTF-16le": 512, "UTF-16be": 65536}[request.param]
    ask_sqlite(
        path,
        f"pragma encoding = '{request.param}'; pragma page_size = {pages}; pragma auto_vacuum = 2; {ZOO}; {WIDEST}",
    )
    return path


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
        clock_skew_s=0.0, tools={}, contents=json.loads(json.dumps(done.contents)), files=done.files,
    )  # fmt: skip


def looked_at(done: Capture, restored: Path, name: str) -> dict[str, list[CheckResult]]:
    """`identical` and `integrity` of a restored directory."""
    near = Near().beside(restored / name)
    context = CheckContext(manifest_of(done, restored), restored, restored, restored, near, Host(), Digest(Host()))
    one = engine(restored / name)
    return {"identical": list(one.identical(context)), "integrity": list(one.integrity(context))}


def test_whatever_a_database_holds_passes_undamaged(zoo: Path, tmp_path: Path) -> None:
    done = captured(zoo, tmp_path / "into")
    assert done.findings == []
    found = looked_at(done, tmp_path / "into", "zoo.db")
    assert [r.status for rs in found.values() for r in rs] == [Verdict.PASS] * 7, found
    tables: Any = done.contents["tables"]
    assert tables["anything"]["rows"] == 17 and tables["clustered"]["rows"] == 3
    assert {"words_content", "box_node", "sqlite_stat1"} <= tables.keys() and "words" not in tables


ZOO_DAMAGE = [
    """update "odd "" name; --" set "select" = 'y'""",
    "update strict_one set b = x'31'",
    "update clustered set a = 'v' where b = 1",
    "update made set a = 3 where a = 2",
    "update hides set rowid = 's'",
    "update hides set _rowid_ = 5",
    "update hides_all set oid = null",
    "update anything set v = 1.0 where v = 1 and typeof(v) = 'integer'",
    "update anything set v = x'31' where v = '1'",
    "update anything set v = '' where v = x''",
    "update anything set v = null where v = 'NULL'",
    "update anything set v = 9007199254740992 where v = 9007199254740993",
    "update anything set v = cast(x'ff00ff' as text) where hex(v) = 'FF00FE'",
    "update anything set v = 'a' where length(hex(v)) = 6 and instr(hex(v), '6100') = 1",
    "update words set body = 'hello wurld' where rowid = 1",
    "update box set x1 = 2.0",
    "update self set up = 2 where id = 2",
]


def test_every_change_of_a_value_is_seen_table_by_table(tmp_path: Path) -> None:
    """The file's digest sees everything; this is about what the tables' digests tell where that differs."""
    zoo = tmp_path / "zoo.db"
    ask_sqlite(zoo, ZOO)
    done = captured(zoo, tmp_path / "into")
    for n, sql in enumerate(ZOO_DAMAGE):
        restored = shutil.copytree(tmp_path / "into", tmp_path / f"r{n}")
        with contextlib.closing(sqlite3.connect(restored / "zoo.db", isolation_level=None)) as con:
            assert con.execute(sql).rowcount == 1, sql
        found = {r.name: r for r in looked_at(done, restored, "zoo.db")["identical"]}
        assert found["tables"].status is Verdict.FAIL and "contents differ" in found["tables"].actual, sql
        assert found["definitions and settings"].status is Verdict.PASS or "page_count" in str(found), sql


# --- what storage may do to it ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Path]:
    root = tmp_path_factory.mktemp("sqlite")
    ask_sqlite(root / "cdr.sqlite3", SQLITE_SMALL)
    (root / "cdr.sqlite3").chmod(0o640)
    return captured(root / "cdr.sqlite3", root / "into"), root / "into"


def byte(path: Path, at: int, value: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(value)


def in_place(*statements: str) -> Callable[[Path], object]:
    def harm(path: Path) -> None:
        ask_sqlite(path, "; ".join(statements))

    return harm


def swapped(path: Path) -> None:
    """Two tables of the same shape, their contents exchanged: neither a count nor the set of all rows tells."""
    ask_sqlite(
        path, "alter table call rename to x; alter table customer rename to call; alter table x rename to customer"
    )


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


# name → what is done, the check that fails for it, and what that says
DAMAGE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a row is missing": (in_place("delete from call where id = 7"), "tables", "call: 3000 rows captured, 2999 restored"),
    "a row too many": (in_place("insert into call select 4000, 1, 'lost', '2026', 1, null"), "tables", "3001 restored"),
    "a value changed": (in_place("update call set seconds = 5 where id = 7"), "tables", "3000 restored, contents differ"),
    "text became a blob": (in_place("pragma ignore_check_constraints = on", "update call set state = cast(state as blob) where id = 7"), "tables", ""),
    "a row has another number": (in_place("update call set id = 9999 where id = 7"), "tables", "contents differ"),
    "two tables' names exchanged": (swapped, "tables", "call: 3000 rows captured, 200 restored"),
    "a table is missing": (in_place("drop view answered; drop table call"), "tables", "call: missing"),
    "a table too many": (in_place("create table x (a)"), "tables", "x: not in the backup"),
    "an index is missing": (in_place("drop index call_by_customer"), "definitions and settings", "index 2 → 1"),
    "a trigger is missing": (in_place("drop trigger stamp"), "definitions and settings", "trigger 1 → 0"),
    "a view is another": (
        in_place("drop view answered; create view answered as select * from call"), "definitions and settings", "differ"),
    "user_version": (in_place("pragma user_version = 13"), "definitions and settings", "user_version: 12 captured, 13"),
    "application_id": (in_place("pragma application_id = 1"), "definitions and settings", "application_id"),
    "no log any more": (in_place("pragma journal_mode = delete"), "definitions and settings", "wal: True captured"),
    "a sequence set back": (in_place("update sqlite_sequence set seq = 5"), "tables", "sqlite_sequence: 1 row captured"),
    "a sequence is lost": (in_place("delete from sqlite_sequence"), "tables", "sqlite_sequence"),
    "only repacked": (in_place("pragma journal_mode = delete; pragma journal_mode = wal; vacuum"), "file", "another SHA-256"),
    "one bit of the header": (lambda p: byte(p, 75, b"\1"), "file", "another SHA-256"),
    "the end is missing": (cut_short, "contents", "malformed"),
    "a table's page overwritten": (lambda p: scribbled(p, "call"), "contents", "table call: the database is malformed"),
    "an index's page overwritten": (lambda p: scribbled(p, "call_by_customer"), "integrity_check", "1 line of findings"),
    "no database any more": (lambda p: p.write_bytes(b"gone " * 1000), "contents", "it is no database"),
    "empty": (lambda p: p.write_bytes(b""), "tables", "call: missing"),
    "another mode": (lambda p: p.chmod(0o666), "mode and owner", "0666"),
    "a row that its index lacks": (
        lambda p: without_index(p, "update call set customer_id = 9 where id = 7"), "integrity_check", "1 line of findings"),
    "a CHECK that does not hold": (
        in_place("pragma ignore_check_constraints = on", "update call set state = 'gone' where id = 7"),
        "integrity_check", "rows break a CHECK of their table: call (1)"),
    "a foreign key that leads nowhere": (
        in_place("delete from customer where id = 9"), "foreign keys", "15 lead nowhere, 0 did when captured: call → customer"),
    "a sequence behind its rows": (
        in_place("update sqlite_sequence set seq = 5"), "sequences", "AUTOINCREMENT of customer is behind the rows"),
    "a sequence that was lost": (
        in_place("delete from sqlite_sequence"), "sequences", "AUTOINCREMENT of customer is behind the rows"),
    "a sequence at its end": (
        in_place("update sqlite_sequence set seq = 9223372036854775807"), "sequences", "so that the next insert fails"),
}  # fmt: skip
if os.geteuid() == 0:
    DAMAGE["another owner"] = (lambda p: os.chown(p, 1234, -1), "mode and owner", "1234:0")


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_seen_and_named(kept: tuple[Capture, Path], tmp_path: Path, name: str) -> None:
    if "overwritten" in name and not has_dbstat():
        pytest.skip("this SQLite cannot tell where its pages are")
    done, into = kept
    harm, check, said = DAMAGE[name]
    restored = shutil.copytree(into, tmp_path / "restored")
    if os.geteuid() == 0:
        os.chown(restored / "cdr.sqlite3", 0, 0)
    harm(restored / "cdr.sqlite3")
    found = looked_at(done, restored, "cdr.sqlite3")
    results = {r.name: r for rs in found.values() for r in rs}
    assert results[check].status is Verdict.FAIL and said in results[check].actual, results
    assert verdict_of(found["identical"]) is Verdict.FAIL, "whatever it is, the file is another"
    assert "tefan" not in str([r.as_json() for r in results.values()])


def test_the_undamaged_twin_passes(kept: tuple[Capture, Path], tmp_path: Path) -> None:
    done, into = kept
    found = looked_at(done, shutil.copytree(into, tmp_path / "restored"), "cdr.sqlite3")
    assert [r.status for rs in found.values() for r in rs] == [Verdict.PASS] * 7, found
    assert found["identical"][2].actual == "3 tables, 3201 rows, equal by SHA-256"


# --- what was wrong with the source already -----------------------------------------------------------------------


def test_damage_before_the_backup_is_told_apart_from_damage_after_it(database: Path, tmp_path: Path) -> None:
    """An index is not read when the copy is taken: so it is faithful, and its database was damaged."""
    without_index(database, "update call set customer_id = 9 where id = 7")
    done = captured(database, tmp_path / "into")
    found = looked_at(done, tmp_path / "into", "cdr.sqlite3")
    assert verdict_of(found["identical"]) is Verdict.PASS
    assert found["integrity"][0].status is Verdict.FAIL
    assert "the source was damaged" in found["integrity"][0].actual


def test_rows_against_a_check_of_the_source_are_told_as_such_and_hide_no_damage(database: Path, tmp_path: Path) -> None:
    """SQLite stops at a hundred findings."""
    unruly = in_place("pragma ignore_check_constraints = on", "update call set state = 'gone' where id <= 150")
    unruly(database)
    done = captured(database, tmp_path / "into")
    found = looked_at(done, tmp_path / "into", "cdr.sqlite3")
    assert [r.status for rs in found.values() for r in rs] == [Verdict.PASS] * 7, found
    said = "ok; rows break a CHECK of their table: call (100 or more), as they do in the source"
    assert found["integrity"][0].actual == said
    without_index(database, "update call set customer_id = 9 where id = 2000")
    again = captured(database, tmp_path / "again")
    one = looked_at(again, tmp_path / "again", "cdr.sqlite3")["integrity"][0]
    assert one.status is Verdict.FAIL and "the source was damaged; rows break a CHECK" in one.actual, one


def test_foreign_keys_that_led_nowhere_already_are_a_finding_of_the_source(database: Path, tmp_path: Path) -> None:
    ask_sqlite(database, "delete from customer where id = 9")
    done = captured(database, tmp_path / "into")
    assert ["15 foreign keys lead nowhere (call → customer: 15)" in said for said in done.findings] == [True]
    found = looked_at(done, tmp_path / "into", "cdr.sqlite3")
    assert [r.status for r in found["integrity"]] == [Verdict.PASS] * 3
    assert "15 foreign keys lead nowhere" in found["integrity"][1].actual
    ask_sqlite(tmp_path / "into" / "cdr.sqlite3", "delete from customer where id = 10")
    one = looked_at(done, tmp_path / "into", "cdr.sqlite3")["integrity"][1]
    assert one.status is Verdict.FAIL and "30 lead nowhere, 15 did when captured" in one.actual


def test_a_sequence_that_was_behind_already_is_told_at_once_and_fails(database: Path, tmp_path: Path) -> None:
    ask_sqlite(database, "update sqlite_sequence set seq = 5")
    done = captured(database, tmp_path / "into")
    assert "AUTOINCREMENT of customer is behind the rows" in done.findings[0]
    found = looked_at(done, tmp_path / "into", "cdr.sqlite3")
    assert verdict_of(found["identical"]) is Verdict.PASS and verdict_of(found["integrity"]) is Verdict.FAIL
    # The twin: the word in a comment or a text makes no sequence.
    ask_sqlite(database, "update sqlite_sequence set seq = 200; create table t (a integer primary key, b text default"
               " 'autoincrement' /* autoincrement */); insert into t values (5, 'x')")  # fmt: skip
    assert captured(database, tmp_path / "again").findings == []


def test_a_foreign_key_that_cannot_be_checked_is_told(database: Path, tmp_path: Path) -> None:
    ask_sqlite(database, "create table lame (note text references customer (note)); insert into lame values ('-')")
    done = captured(database, tmp_path / "into")
    assert "foreign keys cannot be checked: lame: SQLITE_ERROR" in done.findings[0]
    one = looked_at(done, tmp_path / "into", "cdr.sqlite3")["integrity"][1]
    assert one.status is Verdict.PASS and "not checked: lame; as in the source" in one.actual


# --- what only the application has ------------------------------------------------------------------------------


@pytest.fixture
def of_an_application(tmp_path: Path) -> Path:
    """Its own collation, function and virtual-table module: no other program has them."""
    path = tmp_path / "app.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.create_collation("phone", lambda a, b: (a > b) - (a < b))
        con.create_function("e164", 1, lambda x: x, deterministic=True)
        for sql in (
            "create table number (n text collate phone primary key, v text) without rowid",
            "insert into number values ('1', 'x'), ('2', 'y')",
            "create table made (a text, b text generated always as (e164(a)) virtual)",
            "insert into made (a) values ('1')",
            "create index by_e164 on made (e164(a))",
            "create view shown as select e164(n) from number",
            "create virtual table words using fts5 (body)",
            "insert into words values ('x')",
            "pragma writable_schema = on",
            "update sqlite_master set sql = replace(sql, 'using fts5', 'using sphinx') where name = 'words'",
        ):
            con.execute(sql)
    return path


def test_what_only_the_application_has_does_not_keep_it_from_being_backed_up(
    of_an_application: Path, tmp_path: Path
) -> None:
    """Every row is read and compared all the same; what cannot be looked at is no failure of the backup."""
    done = captured(of_an_application, tmp_path / "into")
    tables: Any = done.contents["tables"]
    assert (tables["number"]["rows"], tables["made"]["rows"], tables["words_content"]["rows"]) == (2, 1, 1)
    near = Near().beside(tmp_path / "into" / "app.db")
    context = CheckContext(
        manifest_of(done, tmp_path), tmp_path, tmp_path / "into", tmp_path, near, Host(), Digest(Host())
    )
    one = engine(of_an_application)
    assert verdict_of(list(one.identical(context))) is Verdict.PASS
    with pytest.raises(TestBroken, match="lacks something that integrity_check needs"):
        list(one.integrity(context))
    for sql in ("select * from shown", "select * from words", "select * from number order by n"):
        with pytest.raises(TestBroken, match="lacks something that the query needs"):
            one.query(near, context.manifest, sql)
    with pytest.raises(CommandFailed, match="a table is not there"):
        one.query(near, context.manifest, "select * from nowhere")
    assert one.query(near, context.manifest, "select a from made") == [["1"]]
    # Damage is damage, whatever cannot be looked at besides.
    ask_sqlite(tmp_path / "into" / "app.db", "create table t (id integer primary key autoincrement); insert into t"
               " values (5); delete from sqlite_sequence")  # fmt: skip
    found = {r.name: r.status for r in one.integrity(context)}
    assert found == {"foreign keys": Verdict.PASS, "sequences": Verdict.FAIL}


class Scripted:
    """A `Place` whose SQLite is another one: it answers what it is given."""

    def __init__(self, **told: Any) -> None:
        self.told = told

    def path(self, host: Path) -> str:
        return str(host)

    def run(self, argv: Sequence[str], **more: Any) -> Output:
        return Output(0, json.dumps(self.told) + "\n", NO_WORDS)


def test_an_image_whose_sqlite_is_too_old_proves_nothing(kept: tuple[Capture, Path]) -> None:
    done, into = kept
    manifest = manifest_of(done, into)
    said = 'malformed database schema (t) - near "strict": syntax error'
    one = engine(into / "cdr.sqlite3")
    with pytest.raises(TestBroken, match=r"SQLite 3\.34\.1 is older than"):
        one.load(Scripted(sqlite="3.34.1", refused=said, lacks=False), into, manifest)  # type: ignore[arg-type]
    with pytest.raises(BackupBad, match="not a database that opens"):  # the twin: nothing is to blame but the file
        one.load(Scripted(sqlite="99.0.0", refused=said, lacks=False), into, manifest)  # type: ignore[arg-type]
    one.load(Scripted(sqlite="3.34.1", glance={"tables": 2}), into, manifest)  # type: ignore[arg-type]


def test_the_same_file_read_otherwise_proves_nothing(kept: tuple[Capture, Path]) -> None:
    """The bytes are what was captured: whoever reads something else in them is wrong, not they."""
    done, into = kept
    contents: Any = json.loads(json.dumps(done.contents))
    contents["tables"]["call"]["sha256"] = "0" * 64
    for told in ({"contents": contents}, {"refused": "memory", "lacks": False}):
        place = Scripted(sqlite="3.46.1", **told)
        context = CheckContext(manifest_of(done, into), into, into, into, place, Host(), Digest(Host()))  # type: ignore[arg-type]
        with pytest.raises(TestBroken, match=r"SQLite 3\.46\.1"):
            list(engine(into / "cdr.sqlite3").identical(context))


# --- whole commands, in a real sandbox --------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, database: Path) -> Site:
    made = with_repository(Site(tmp_path))
    made.cdr(database)
    return made


def test_a_good_backup_passes_every_check_and_comes_back_for_real(site: Site, database: Path) -> None:
    database.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(database, 1234, 4321)
    site.backed_up()
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert [c["status"] for c in done.json["checks"]] == ["PASS"] * 10
    assert f"ccdr-{done.json['run']}" not in containers()
    to = site.root / "back"
    restored = site.run("restore", "p", "--asset", "cdr", "--to", str(to), "--yes-i-mean", "back")
    assert (restored.code, restored.json["result"]) == (0, "RESTORED"), restored
    assert [c["status"] for c in restored.json["checks"]] == ["PASS"] * 11
    found = to / "cdr.sqlite3"
    assert [p.name for p in to.iterdir()] == ["cdr.sqlite3"]
    assert (stat.S_IMODE(found.stat().st_mode), found.stat().st_uid) == (
        0o640,
        1234 if os.geteuid() == 0 else os.getuid(),
    )
    assert ask_sqlite(found, "pragma integrity_check") == [("ok",)]
    assert ask_sqlite(found, "insert into customer (name) values ('new') returning id, note") == [(201, None)]
    assert_clean(site)


def test_an_emptied_source_fails_by_its_own_checks(site: Site, database: Path) -> None:
    """A faithful copy of a database that lost its rows is no use: `rows`, `freshness` and `sql` say so."""
    ask_sqlite(database, "delete from customer where id > 100; update call set started_at = '2020-01-01 00:00:00'")
    assert site.run("backup", "p").code == 1, "and foreign keys lead nowhere, which is told at once"
    site.write("restore_tests/cdr.yaml", """
        restore_test: cdr
        checks:
          - {kind: identical}
          - {kind: rows, table: customer, at_least: 150}
          - {kind: freshness, query: "select max(started_at) from call", within: 24h}
          - {kind: sql, name: orphans, expect: 0, query: "select count(*) from call where customer_id > 100"}
          - {kind: sql, name: "null is no text", expect: "NULL", query: "select null"}
          - {kind: sql, name: "text is no null", expect: null, query: "select 'NULL'"}
          - {kind: sql, name: null, expect: null, query: "select null"}
          - {kind: sql, name: nothing may be written, expect: 1, query: "insert into customer (name) values ('x')"}
          - {kind: command, argv: [test, -f, cdr.sqlite3]}
        """)  # fmt: skip
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    found = {c["name"]: (c["status"], c["actual"]) for c in done.json["checks"]}
    assert [s for s, _ in list(found.values())[:4]] == ["PASS"] * 4, "identical"
    assert found["customer has at least 150 rows"] == ("FAIL", "100")
    assert found["newest row within 1d"][0] == "FAIL" and found["orphans"][0] == "FAIL"
    assert (
        found["null is no text"][0],
        found["text is no null"][0],
        found[f"query {sha256(b'select null').hexdigest()[:8]}"][0],
    ) == (
        "FAIL",
        "FAIL",
        "PASS",
    )
    assert found["nothing may be written"][0] == "FAIL" and found["test ends with 0"][0] == "PASS"
    assert_clean(site)


def test_an_image_without_sqlite_is_inconclusive(site: Site) -> None:
    site.backed_up()
    path = site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("  limits:", "  image: ccdr-sandbox/postgres:17\n    limits:"))
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE") and "python3" in done.json["reason"], done
    assert_clean(site)


def test_a_missing_database_is_a_failed_backup_with_a_next_step(site: Site, database: Path) -> None:
    site.backed_up()
    database.unlink()
    done = site.run("backup", "p")
    assert (done.code, done.json["result"]) == (1, "FAILED") and "is not there" in done.json["reason"], done
    failed = site.run("test", "p")
    assert (failed.code, failed.json["verdict"]) == (1, "FAIL") and "failed" in failed.json["reason"]
    assert_clean(site)
