"""A dump that goes into the repository as it is made: whatever ends half way stores nothing that counts."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.faults.test_capture_faults import failed, heals, small_disk, yesterdays_stands
from tests.support.faulty_proxy import Mode, faulty_proxy
from tests.support.harness import PASSWORD, Quiet, Site, Source, eventually, small_database, sql_damage
from tests.support.repositories import new_repository
from tests.support.stored import LIMITS, again, assert_clean, copy_of, on_store, other_host, pristine, restic_of, tested
from tests.support.target import PASSWORD as TARGET_PASSWORD
from tests.support.target import server

from ccdr.demo.store import DemoStore
from ccdr.engines.postgres.dump.method import Dump
from ccdr.engines.postgres.engine import Postgres
from ccdr.host.processes import Host
from ccdr.host.state import State
from ccdr.jobs.restore_test import restore_test
from ccdr.jobs.streaming import store as stream
from ccdr.jobs.upkeep import prune
from ccdr.model.errors import BackupFailed, CcdrError, CommandFailed
from ccdr.model.values import CheckResult, Manifest, Verdict
from ccdr.plans.job import Job
from ccdr.ports.capture import StreamWriter
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Place, Pulse
from ccdr.storage.restic import Restic

STREAM = f"method: stream\n{LIMITS}"
BIG = 60_000  # rows, some kilobyte each


@pytest.fixture(scope="module")
def captured(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Path, str]]:
    """A database of 60 MB and more that was backed up once, the site as it was kept, and the database's name."""
    with small_database(source, "streamed") as name:
        source.psql(
            f"create table big as select g, repeat(md5(g::text), 32) v from generate_series(1, {BIG}) g;"
            "create table mono_left as select g, 'left ' || g v from generate_series(1, 9) g;"
            "create table mono_rite as select g, 'rite ' || g v from generate_series(1, 9) g;"
            'create table "odd name; Type: X FROM stdin;" ("a\nb" text); create table nothing ();'
            r"""insert into "odd name; Type: X FROM stdin;" values (E'\\.'), (null), (E'-- x\nCOPY y FROM stdin;');"""
            "select lo_create(424242) \\g /dev/null\n"
            r"comment on large object 424242 is E'it''s\nCOPY t (a) FROM stdin;\nSELECT pg_catalog.lo_open(''7'', 131072);'",
            name,
        )
        site = Site(tmp_path_factory.mktemp(name))
        site.crm(source, name, STREAM)
        site.backed_up()
        yield site, pristine(site), name


@pytest.fixture
def crm(captured: tuple[Site, Path, str]) -> Site:
    site, kept, _ = captured
    return again(site, kept)


@pytest.fixture
def dbname(captured: tuple[Site, Path, str]) -> str:
    return captured[2]


def streams(site: Site) -> list[str]:
    """Ids of the streams in the repository."""
    listed = json.loads(restic_of(site.root, "snapshots", "--json") or "[]") or []
    return [s["id"] for s in listed if "kind=stream" in (s.get("tags") or ())]


# --- room -------------------------------------------------------------------------------------------------------


def test_database_larger_than_scratch_is_stored_and_comes_back(crm: Site, source: Source, dbname: str) -> None:
    """Its twin, a dump into the same scratch, finds the disk full."""
    shutil.rmtree(crm.state / "scratch")
    with small_disk(crm.state / "scratch", "4m"):
        crm.backed_up()
        crm.crm(source, dbname, LIMITS)
        failed(crm.run("backup", "p"), crm, "No space left")
        crm.crm(source, dbname, STREAM)
        crm.backed_up()
    snapshot = crm.services().catalogue.snapshots("p", "crm")[-1]
    assert snapshot.bytes > 14 * 2**22, "of which scratch held a small part"
    done = crm.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert_clean(crm)


# --- what ends half way --------------------------------------------------------------------------------------------


def pid_of(program: str, site: Site, name: str) -> int | None:
    """A process of this site's backup, wherever it runs: by its environment or its command line."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "comm").read_text().strip() == program:
                about = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                if f"PGDATABASE={name}\0".encode() in about or str(site.root).encode() in about:
                    return int(entry.name)
    return None


def kill_dump(site: Site, source: Source, name: str) -> None:
    pid = pid_of("pg_dump", site, name)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def end_connection(site: Site, source: Source, name: str) -> None:
    source.psql(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}' and query ~ '^COPY'")


def kill_container(site: Site, source: Source, name: str) -> None:
    label = f"label=ccdr.state={State(site.state.absolute()).id}"
    (client,) = subprocess.run(
        ["docker", "ps", "-q", "--filter", label], capture_output=True, text=True, check=True
    ).stdout.split()
    subprocess.run(["docker", "kill", client], capture_output=True, check=True)


def kill_reader(site: Site, source: Source, name: str) -> None:
    pid = pid_of("cat", site, name)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def kill_restic(site: Site, source: Source, name: str) -> None:
    pid = pid_of("restic", site, name)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def kill_hasher(site: Site, source: Source, name: str) -> None:
    """One that reads beside restic: what it would have told is part of the proof."""
    pid = pid_of("pg_restore", site, name)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


FAULTS = (kill_dump, end_connection, kill_container, kill_reader, kill_restic, kill_hasher)


def test_stream_that_ends_half_way_stores_nothing(crm: Site, source: Source, dbname: str) -> None:
    before = streams(crm)
    for fault in FAULTS:
        ends_half_way(crm, source, dbname, fault)
        assert (crm.records("backup.end")[-1]["result"], streams(crm)) == ("FAILED", before), fault
        restic_of(crm.root, "unlock")  # a killed restic's
        assert_clean(crm)
    assert len(crm.records("backup.end")) == 1 + len(FAULTS)
    yesterdays_stands(crm)


def ends_half_way(crm: Site, source: Source, dbname: str, fault: Callable[[Site, Source, str], None]) -> None:
    process = crm.start("backup", "p", "--json")
    found: list[int] = []

    def half_way() -> bool:
        assert process.poll() is None, process.communicate()
        pid = pid_of("pg_dump", crm, dbname)
        with contextlib.suppress(OSError, ValueError):
            if pid is not None and int(Path(f"/proc/{pid}/io").read_text().split("wchar: ")[1].split()[0]) > 2**20:
                found.append(pid)
        return bool(found)

    while not half_way():
        pass
    os.kill(found[0], signal.SIGSTOP)  # it does not end before the fault
    fault(crm, source, dbname)
    with contextlib.suppress(ProcessLookupError):
        os.kill(found[0], signal.SIGCONT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in err, (fault, out, err)
    assert eventually(lambda: not [p for p in ("pg_dump", "cat", "restic") if pid_of(p, crm, dbname)]), fault


def test_source_that_hangs_is_told_apart_from_one_that_answers(crm: Site, source: Source, dbname: str) -> None:
    crm.crm(source, dbname, "method: stream\nlimits: {lock_wait: 10m, no_progress: 3s}")
    with source.session("begin; lock table call in access exclusive mode;", dbname):
        failed(crm.run("backup", "p"), crm, "no progress", "role postgres")
    heals(crm)


def test_lock_that_is_not_given_is_told_by_the_source(crm: Site, source: Source, dbname: str) -> None:
    with source.session("begin; lock table call in access exclusive mode;", dbname):
        failed(crm.run("backup", "p"), crm, "waited for", "public.call", "role postgres")
    assert len(streams(crm)) == 1
    heals(crm)


@pytest.fixture
def fresh(source: Source, dbname: str) -> Iterator[None]:
    """Rows that no repository has: more than one pack, so that the upload begins before the dump has ended."""
    rows = "select md5(random()::text) a, md5(random()::text) b, md5(random()::text) c from generate_series(1, 400000)"
    source.psql(f"create table fresh as {rows}", dbname)
    yield
    source.psql("drop table fresh", dbname)


def test_upload_that_fails_under_it_ends_and_stores_nothing(
    crm: Site, source: Source, dbname: str, fresh: None, store: DemoStore, tmp_path: Path
) -> None:
    """Every kind of failure at once: they wait more than they work."""
    modes: tuple[Mode, ...] = ("stall", "5xx", "reset")

    def fails(mode: Mode) -> None:
        site = copy_of(crm, tmp_path / mode)
        with faulty_proxy(store.endpoint) as proxy:
            on_store(site, store, f"ccdr-stream-{mode}", endpoint=proxy.endpoint)
            proxy.after(1_000_000, mode)
            done = site.run("backup", "p", timeout=120)
            assert proxy.tripped.is_set() and (done.code, done.json["result"]) == (1, "FAILED"), (mode, done)
            assert_clean(site)
            proxy.set("pass")
            plan = site.root / "plans" / "p.yaml"
            plan.write_text(plan.read_text().replace(proxy.endpoint, store.endpoint))
            heals(site)

    for mode in modes:
        (tmp_path / mode).mkdir()
    with ThreadPoolExecutor(len(modes)) as pool:
        list(pool.map(fails, modes))


# --- the store itself -----------------------------------------------------------------------------------------------


@pytest.fixture
def repo(tmp_path: Path) -> Restic:
    new_repository(tmp_path / "repo", PASSWORD)
    (tmp_path / "key").write_text(PASSWORD)
    env = {"RESTIC_PASSWORD_FILE": str(tmp_path / "key")}
    return Restic(str(tmp_path / "repo"), env, tmp_path / "cache", Host(no_progress=5))


def writing(script: str) -> StreamWriter:
    def write(pipe: Path, verdict: Path, pulse: Pulse) -> None:
        Host(no_progress=5).run(["bash", "-c", script, "write", str(pipe), str(verdict)], pulse=pulse)

    return write


def stored(repo: Restic, root: Path, script: str) -> int:
    root.mkdir()
    done = stream(repo, ["t"], root, writing(script), lambda _: None)
    assert repo.snapshots(["t"])[0].id == done.snapshot
    return done.bytes


def test_what_is_whole_is_stored(repo: Restic, tmp_path: Path) -> None:
    assert stored(repo, tmp_path / "s", 'exec 9> "$1"; echo all >&9; printf whole > "$2"') == 4


@pytest.mark.parametrize(
    "script",
    [
        'exec 9> "$1"; echo some >&9',  # no verdict
        'exec 9> "$1"; echo some >&9; printf who > "$2"',  # half of one
        'exec 9> "$1"; echo some >&9; exit 1',
        'exec 9> "$1"; echo some >&9; kill -9 $$',
        'exec 9> "$1"; printf whole > "$2"',  # empty
        "exit 1",  # before anything reads
    ],
)
def test_what_is_not_whole_is_refused(repo: Restic, tmp_path: Path, script: str) -> None:
    """Only of an empty one does restic store a snapshot, and that is told."""
    with pytest.raises((BackupFailed, CommandFailed)):
        stored(repo, tmp_path / "s", script)
    assert len(repo.snapshots(["t"])) == (1 if script.endswith('> "$1"; printf whole > "$2"') else 0)


def test_writer_does_not_wait_for_a_repository_that_is_not_there(repo: Restic, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "repo")
    with pytest.raises(CcdrError, match="repository"):
        stored(repo, tmp_path / "s", 'exec 9> "$1"; while echo more >&9; do :; done 2>/dev/null; exit 141')


# --- what somebody did to it ----------------------------------------------------------------------------------------


def restored_again(site: Site, tmp_path: Path, change: Callable[[Path], None]) -> Site:
    """Somebody stores the newest backup once more, its stream changed, under a manifest that names the new stream; and
    a host that knows nothing of it."""
    snapshot = site.services().catalogue.snapshots("p", "crm")[-1]
    manifest = site.services().catalogue.manifest(snapshot)
    assert isinstance(manifest.contents["stream"], dict)
    tags = ["--tag", "ccdr-3", "--tag", "plan=p", "--tag", "asset=crm", "--tag", "run=r1", "--host", "ccdr", "--json"]
    new = tmp_path / "new"
    restic_of(site.root, "restore", manifest.contents["stream"]["snapshot"], "--target", str(new))
    change(new / "dump")
    shell = ["sh", "-c", 'cat "$1"', "cat", str(new / "dump")]
    name = ["--stdin-filename", "dump", "--stdin-from-command"]
    said = restic_of(site.root, "backup", *tags, "--tag", "kind=stream", *name, "--", *shell)
    stream_id = json.loads(said.splitlines()[-1])["snapshot_id"]
    capture = tmp_path / "ccdr-capture"
    restic_of(site.root, "restore", f"{snapshot.id}:{snapshot.root}", "--target", str(capture))
    text = (capture / "ccdr-manifest.json").read_text("utf-8", "surrogateescape")
    changed = text.replace(manifest.contents["stream"]["snapshot"], stream_id)
    (capture / "ccdr-manifest.json").write_text(changed, "utf-8", "surrogateescape")
    more = ["--tag", "kind=backup", "--tag", f"stream={stream_id}"]
    restic_of(site.root, "backup", *tags, *more, str(capture))
    restic_of(site.root, "forget", snapshot.id)
    return other_host(site, tmp_path / "elsewhere")


def as_it_was(dump: Path) -> None: ...


def truncated(dump: Path) -> None:
    os.truncate(dump, dump.stat().st_size - 200)


def one_byte(dump: Path) -> None:
    """In the middle of the rows: it loads without a word."""
    data = dump.read_bytes()
    at = data.index(b"left 7\n")
    dump.write_bytes(data[:at] + b"lefT" + data[at + 4 :])


@pytest.mark.parametrize(
    ("change", "verdict", "why"),
    [(as_it_was, "PASS", ""), (truncated, "FAIL", "incomplete: dump has"), (one_byte, "FAIL", "table of contents")],
)
def test_stream_that_somebody_stored(
    crm: Site, tmp_path: Path, change: Callable[[Path], None], verdict: str, why: str
) -> None:
    done = restored_again(crm, tmp_path, change).run("test", "p")
    assert done.json["verdict"] == verdict and why in (done.json["reason"] or ""), done


def test_backup_whose_stream_is_gone_has_vanished(crm: Site, tmp_path: Path) -> None:
    restic_of(crm.root, "forget", *streams(crm))
    done = crm.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL") and "vanished" in str(done.json["findings"]), done
    elsewhere = other_host(crm, tmp_path / "elsewhere").run("test", "p")
    assert (elsewhere.code, elsewhere.json["verdict"]) == (1, "FAIL"), elsewhere


# --- what is not as captured ----------------------------------------------------------------------------------------

SWAP = """
create temp table kept as table mono_left;
delete from mono_left; insert into mono_left table mono_rite; delete from mono_rite; insert into mono_rite table kept;
"""


# What is done to the restored database, and which part of `identical` must name it.
DAMAGES: list[tuple[str, str | None]] = [
    ("create temp table k as table big; truncate big; insert into big select * from k order by v", None),
    ("update big set v = v || '.' where g = 7", "tables"),
    ("delete from call where id = 7", "tables"),
    (SWAP, "tables"),
    ("drop table nothing", "tables"),
    (r"""update "odd name; Type: X FROM stdin;" set "a\nb" = '' where "a\nb" is null""", "tables"),
    ("select lo_put(424242, 0, 'x')", "large objects"),
    ("select lo_unlink(424242)", "large objects"),
    ("alter sequence call_id_seq restart with 7", "sequences"),
    ("drop index call_by_customer", "objects"),
]


def test_only_what_came_back_as_captured_passes(crm: Site, dbname: str) -> None:
    """In one sandbox, each damage to a copy of what was loaded there; then what was loaded itself."""
    found: list[list[CheckResult]] = []
    real = Dump.identical

    def admin(context: CheckContext, sql: str) -> None:
        assert context.sandbox is not None
        sql_damage(sql, "postgres")(context.sandbox, context.restored, context.manifest)

    def identical(self: Dump, context: CheckContext) -> Iterator[CheckResult]:
        assert context.sandbox is not None
        admin(context, f"alter database {dbname} rename to as_loaded;")
        for sql, _ in DAMAGES:
            admin(context, f"create database {dbname} template as_loaded strategy file_copy;")
            damage = sql_damage(sql.replace(r"a\nb", "a\nb"), dbname)
            damage(context.sandbox, context.restored, context.manifest)
            out = context.out / str(len(found))
            out.mkdir()
            out.chmod(context.out.stat().st_mode)
            found.append(list(real(self, replace(context, out=out))))
            admin(context, f"drop database {dbname} with (force);")
        admin(context, f"create database {dbname} template as_loaded strategy file_copy;")
        yield from real(self, context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dump, "identical", identical)
        undamaged = tested(crm)
    assert undamaged.verdict is Verdict.PASS, (undamaged.reason, undamaged.checks)
    for (sql, named), results in zip(DAMAGES, found, strict=True):
        bad = [r.name for r in results if r.status is Verdict.FAIL]
        assert bad == [] if named is None else any(name.startswith(named) for name in bad), (sql, results)
        if named is None:
            assert any("1 in another row order" in r.actual for r in results), results


def test_what_did_not_come_back_as_captured_fails_the_test(crm: Site, dbname: str) -> None:
    done = crm.damaged_test(sql_damage("delete from call where id = 7", dbname))
    assert done.verdict is Verdict.FAIL, (done.reason, done.checks)
    assert any(c.kind == "identical" and c.status is Verdict.FAIL and c.name.startswith("tables") for c in done.checks)


def test_archive_cut_short_before_the_load_does_not_load(crm: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else looks at it: what does not read to its end is a bad backup."""
    real = Postgres.load

    def load(self: Postgres, box: Place, restored: Path, manifest: Manifest) -> None:
        truncated(restored / "dump")
        real(self, box, restored, manifest)

    monkeypatch.setattr(Postgres, "load", load)
    done = restore_test(Job(crm.loaded(), "crm"), "latest", crm.services(), Quiet())
    assert done.verdict is Verdict.FAIL and "does not load" in str(done.reason), (done.reason, done.checks)


# --- what comes after -----------------------------------------------------------------------------------------------


def test_stream_goes_with_its_backup(crm: Site) -> None:
    plan = crm.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("assets:\n", f"retention: {{keep_last: 1}}\n{LIMITS}\nassets:\n"))
    crm.backed_up()
    assert crm.run("test", "p").code == 0
    old, new = streams(crm)
    lost = restic_of(crm.root, "backup", "--tag", "ccdr-3,plan=p,asset=crm,run=r9,kind=stream", str(plan))
    assert lost and len(streams(crm)) == 3
    assert prune(crm.loaded(), crm.services(), Quiet()).result == "DONE"
    left = streams(crm)
    assert old not in left and new in left and len(left) == 2, "one of no backup may belong to one that is under way"
    done = crm.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["findings"]) == (0, "PASS", []), done


def test_restored_for_real(crm: Site, tmp_path: Path, dbname: str) -> None:
    """Onto a server, and as files."""
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    with server(sockets) as target:
        password = crm.write("target.pw", f"{TARGET_PASSWORD}\n", mode=0o600)
        words = ["restore", "p", "--asset", "crm", "--to", target.url("back"), "--password-file", str(password)]
        done = crm.run(*words, "--yes-i-mean", "back")
        assert (done.code, done.json["result"]) == (0, "RESTORED"), done
        assert target.psql("select count(*) from big", "back") == str(BIG)
    done = crm.run("restore", "p", "--asset", "crm", "--to", str(tmp_path / "files"), "--yes-i-mean", "files")
    assert (done.code, done.json["result"]) == (0, "RESTORED"), done
    assert (tmp_path / "files" / "dump").stat().st_size > 14 * 2**22
