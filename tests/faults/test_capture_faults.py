"""A capture that fails, however it fails, is a failed backup: recorded, cleaned up, and yesterday's still stands."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.faulty_proxy import faulty_proxy
from tests.support.harness import Quiet, Ran, Site, Source, eventually, small_database
from tests.support.stored import (
    LIMITS,
    again,
    assert_clean,
    copy_of,
    left,
    on_store,
    other_host,
    pristine,
    restic_of,
    settled_file,
    with_repository,
)

from ccdr.demo.store import DemoStore
from ccdr.jobs.backup import backup
from ccdr.model.errors import Exit
from ccdr.plans.job import Job
from ccdr.sandbox.docker import Docker

PATIENT = "limits: {lock_wait: 10m, no_progress: 10m}"
LOCKING = "begin; lock table call in access exclusive mode;"


@pytest.fixture(scope="module")
def captured(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Path, str]]:
    """A database that was backed up once, the site as it was kept, and the database's name."""
    with small_database(source, "captured") as name:
        site = Site(tmp_path_factory.mktemp(name))
        site.crm(source, name, LIMITS)
        site.backed_up()
        yield site, pristine(site), name


@pytest.fixture
def dbname(captured: tuple[Site, Path, str]) -> str:
    """All tests share it: what they add to it, they remove."""
    return captured[2]


@pytest.fixture
def crm(captured: tuple[Site, Path, str]) -> Site:
    """A database that was backed up once."""
    site, kept, _ = captured
    return again(site, kept)


@pytest.fixture
def big(source: Source, dbname: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """A table of so many rows, some kilobyte each."""
    rows = f"select g, repeat('voice', 200) v from generate_series(1, {request.param}) g"
    source.psql(f"create table big as {rows}", dbname)
    yield
    source.psql("drop table big", dbname)


def failed(done: Ran, site: Site, *words: str) -> None:
    """Exit 1, recorded as FAILED with its reason, nothing left behind; the older snapshot is there and counts."""
    assert (done.code, done.json["result"], done.json["snapshot"]) == (1, "FAILED", None), done
    for word in words:
        assert word in done.json["reason"], done.json["reason"]
    assert site.records("backup.end")[-1]["reason"] == done.json["reason"]
    assert_clean(site)


def yesterdays_stands(site: Site, asset: str = "crm") -> None:
    """The older snapshot passes by itself; with `latest` the newer failure is what is told."""
    snapshots = site.services().catalogue.snapshots("p", asset)
    assert len(snapshots) == 1
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert done.json["snapshot"] == {**done.json["snapshot"], "id": snapshots[0].id, "verdict": "PASS"}
    assert "failed" in done.json["reason"] or "crashed" in done.json["reason"]


def heals(site: Site) -> None:
    site.backed_up()
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert_clean(site)


# --- dumps ------------------------------------------------------------------------------------------------------


def test_failing_dump_is_a_failed_backup(crm: Site, source: Source, dbname: str) -> None:
    """Another session holds a lock on a table, for longer than `lock_wait`."""
    with source.session(LOCKING, dbname):
        failed(crm.run("backup", "p"), crm, "waited for", "public.call", "role postgres")
    yesterdays_stands(crm)
    heals(crm)


def test_empty_dump_is_a_failed_backup(site: Site, source: Source, database: str) -> None:
    source.psql("drop owned by current_user; drop view if exists answered", database, check=False)
    source.psql(
        "drop schema public cascade; create schema public; select lo_unlink(oid) from pg_largeobject_metadata", database
    )
    with_repository(site).crm(source, database, LIMITS)
    failed(site.run("backup", "p"), site, "no object of its own")
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), "there is nothing that could be restored"


def pids(*words: str) -> list[int]:
    """Processes of this host whose command line has all of `words`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if all(word in line for word in words):
                    found.append(int(entry.name))
    return found


def stopped_half_way(process: subprocess.Popen[str], site: Site) -> list[int]:
    """pg_dump's processes, stopped when a table's first megabyte is written: none ends before it is killed.

    On a busy machine the dump could be over before this looks: it works when nobody else wants to."""
    while not any(p.stat().st_size > 2**20 for p in (site.state / "scratch").rglob("*.dat")):
        assert process.poll() is None
        for pid in pids("pg_dump -", str(site.root)):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    dumping = pids("pg_dump -", str(site.root))
    for pid in dumping:
        os.kill(pid, signal.SIGSTOP)
    return dumping


def kill_client(source: Source, database: str, dumping: list[int]) -> None:
    for pid in dumping:
        os.kill(pid, signal.SIGKILL)


def kill_server(source: Source, database: str, dumping: list[int]) -> None:
    source.psql(
        f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}' and query ~ '^COPY'"
    )


@pytest.mark.parametrize("big", [150_000], indirect=True)
@pytest.mark.parametrize("kill", [kill_client, kill_server])
def test_dump_killed_half_way_is_a_failed_backup(
    crm: Site, source: Source, dbname: str, big: None, kill: Callable[[Source, str, list[int]], None]
) -> None:
    process = crm.start("backup", "p", "--json")
    dumping = stopped_half_way(process, crm)
    kill(source, dbname, dumping)
    for pid in dumping:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, (out, err)
    assert crm.records("backup.end")[-1]["result"] == "FAILED"
    assert_clean(crm)
    yesterdays_stands(crm)


def test_hanging_dump_is_stopped(crm: Site, source: Source, dbname: str) -> None:
    crm.crm(source, dbname, "limits: {lock_wait: 10m, no_progress: 3s}")
    with source.session(LOCKING, dbname):
        failed(crm.run("backup", "p"), crm, "no progress")
    heals(crm)


def test_stopped_dump_leaves_no_session_at_the_source(crm: Site, source: Source, dbname: str) -> None:
    crm.crm(source, dbname, "limits: {lock_wait: 10m, no_progress: 3s}")
    with source.session(LOCKING, dbname):
        crm.run("backup", "p")
        assert eventually(lambda: sessions(source, dbname) == 1, 10), "only the one that holds the lock is left"


def sessions(source: Source, database: str) -> int:
    return int(source.psql(f"select count(*) from pg_stat_activity where datname = '{database}'"))


def test_source_that_is_down_is_a_failed_backup(crm: Site, source: Source, dbname: str, tmp_path: Path) -> None:
    """Distributions remove the directory of its socket then."""
    nobody = tmp_path / "nobody"
    crm.crm(Source(source.container, nobody), dbname, LIMITS)
    done = crm.run("backup", "p")
    failed(done, crm, f"{nobody} is not there" if shutil.which("psql") is None else "asking the source")
    assert "is the server running" in done.json["hint"] or shutil.which("psql")
    nobody.mkdir()
    failed(crm.run("backup", "p"), crm, "asking the source")
    crm.crm(source, dbname, LIMITS)
    yesterdays_stands(crm)


def test_database_that_is_gone_is_a_failed_backup(crm: Site, source: Source, dbname: str) -> None:
    crm.crm(source, f"{dbname}_gone", LIMITS)
    failed(crm.run("backup", "p"), crm, "does not exist")


# --- files --------------------------------------------------------------------------------------------------------


def test_what_is_not_as_it_should_be_around_a_good_backup_is_noted(twin: Site, wording: SnapshotAssertion) -> None:
    key = twin.root / "plans" / "key"
    notes = twin.backed_up().json["notes"]
    assert notes == wording
    assert twin.records("backup.end")[-1]["beside_source"] == "disk"
    key.chmod(0o644)
    notes = twin.backed_up().json["notes"]
    assert [one.replace(str(key), "KEY") for one in notes[1:]] == wording
    assert f"{key} holds a secret" in twin.start("backup", "p").communicate()[0]
    twin.repo.rename(twin.root / "unmounted")
    away = twin.run("backup", "p")
    assert away.code == 1 and away.json["notes"] == notes[1:], "where it would lie is not where it lies"
    assert twin.records("backup.end")[-1]["beside_source"] is None
    said = [f["text"] for f in twin.run("report").json["findings"]]
    assert any("it was not there" in text for text in said) and not any("its repository lies" in text for text in said)


def test_missing_path_is_a_failed_backup(site: Site) -> None:
    """One of two: restic itself would store the other one and exit with 0."""
    with_repository(site).recordings(site.root / "tree", LIMITS)
    plan = site.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("/tree]", f"/tree, {site.root / 'other'}]"))
    settled_file(site.root / "tree" / "a.wav", b"a voice")
    settled_file(site.root / "other" / "b.wav", b"another voice")
    site.backed_up()
    shutil.move(site.root / "other", site.root / "unmounted")
    failed(site.run("backup", "p"), site, "entry 2 of `paths:` is not there")
    yesterdays_stands(site, "recordings")
    shutil.move(site.root / "unmounted", site.root / "other")
    heals(site)


@pytest.mark.parametrize("inside", [[], ["agent1", "agent2"]])
def test_empty_tree_is_a_failed_backup(twin: Site, inside: list[str]) -> None:
    """An unmounted file system leaves its mount point, and maybe directories."""
    shutil.rmtree(twin.root / "tree")
    for name in ["", *inside]:
        (twin.root / "tree" / name).mkdir()
    failed(twin.run("backup", "p"), twin, "no settled file")
    assert len(twin.services().catalogue.snapshots("p", "recordings")) == 2


def test_path_that_is_a_loop_of_links_is_a_failed_backup(twin: Site) -> None:
    shutil.rmtree(twin.root / "tree")
    (twin.root / "tree").symlink_to(twin.root / "tree")
    failed(twin.run("backup", "p"), twin)


def test_loop_of_links_within_a_tree_is_kept_as_it_is(twin: Site) -> None:
    (twin.root / "tree" / "loop").symlink_to(".")
    (twin.root / "tree" / "self").symlink_to("self")
    heals(twin)


class Unprivileged(Site):
    """ccdr run by somebody whom file modes bind: an ordinary user, or root without its two privileges over them."""

    def argv(self, *args: str) -> list[str]:
        argv = super().argv(*args)
        if os.geteuid() != 0:
            return argv
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv")
        privileges = "-dac_override,-dac_read_search"
        return ["setpriv", f"--inh-caps={privileges}", f"--bounding-set={privileges}", *argv]


@pytest.fixture
def ordinary(twin: Site) -> Site:
    return Unprivileged(twin.root)


def test_unreadable_file_is_a_failed_backup(ordinary: Site) -> None:
    heals(ordinary)
    hidden = ordinary.root / "tree" / "agent0" / "call0.wav"
    hidden.chmod(0)
    failed(ordinary.run("backup", "p"), ordinary, "permission denied")
    hidden.chmod(0o600)
    heals(ordinary)


def test_unreadable_directory_is_a_failed_backup(ordinary: Site) -> None:
    hidden = ordinary.root / "tree" / "agent0"
    hidden.chmod(0)
    failed(ordinary.run("backup", "p"), ordinary, "permission denied")
    hidden.chmod(0o700)
    heals(ordinary)


UNREADABLE_MEANWHILE = """\
#!/bin/sh
case " $* " in *" backup "*) chmod 0 {file} ;; esac
exec {real} "$@"
"""


def test_partial_backup_never_counts(ordinary: Site, tmp_path: Path) -> None:
    """A file that can be hashed and then not be read: restic stores a snapshot, and exits with 3."""
    hidden = ordinary.root / "tree" / "agent0" / "call0.wav"
    before = sum("kind=backup" in tags for tags in tags_of(ordinary))
    (ordinary.root / "bin").mkdir()
    ordinary.write("bin/restic", UNREADABLE_MEANWHILE.format(file=hidden, real=shutil.which("restic")), mode=0o755)
    failed(ordinary.run("backup", "p", env={"PATH": f"{ordinary.root / 'bin'}:{os.environ['PATH']}"}), ordinary)
    stored = [t for t in tags_of(ordinary) if "kind=backup" in t]
    assert len(stored) == before + 1, "restic did store it"
    assert len(ordinary.services().catalogue.snapshots("p", "recordings")) == 2, "and it does not count"
    elsewhere = other_host(ordinary, tmp_path / "elsewhere")
    done = elsewhere.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert len(elsewhere.services().catalogue.snapshots("p", "recordings")) == 2, "nor on a host that learns of it"
    hidden.chmod(0o600)
    heals(ordinary)


def tags_of(site: Site) -> list[list[str]]:
    import json

    return [s["tags"] for s in json.loads(restic_of(site.root, "snapshots", "--json"))]


# --- this host's disk ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(place: Path, size: str, *flags: str) -> Iterator[None]:
    """A file system of its own, a few megabytes in memory."""
    place.mkdir(parents=True, exist_ok=True)
    argv = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *flags]), "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(argv, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("big", [30_000], indirect=True)
def test_disk_full_in_scratch_is_a_failed_backup(crm: Site, big: None) -> None:
    (crm.state / "scratch").mkdir(exist_ok=True)
    with small_disk(crm.state / "scratch", "16m"):
        failed(crm.run("backup", "p"), crm, "No space left")
    yesterdays_stands(crm)
    heals(crm)


def test_a_full_disk_of_the_repository_is_named_by_status(site: Site, tmp_path: Path) -> None:
    settled_file(tmp_path / "tree" / "a.wav", os.urandom(2**23))
    site.recordings(tmp_path / "tree")
    with small_disk(site.repo, "3m"):
        assert site.run("backup", "p").code == 1
        (asset,) = site.run("status", "p").json["plans"][0]["assets"]
    steps = {one["code"]: one["next_step"] for one in asset["troubles"]}
    assert f"free space at {site.repo}," in steps["BACKUP_FAILED"], steps


def test_ledger_that_may_not_grow_stops_everything(twin: Site) -> None:
    """As by a quota: not even the start can be recorded, so nothing is done."""

    class Limited(Site):
        def argv(self, *args: str) -> list[str]:
            size = max(p.stat().st_size for p in (self.state / "ledger").glob("*.jsonl"))
            return ["prlimit", f"--fsize={size + 10}", *super().argv(*args)]

    if shutil.which("prlimit") is None:
        pytest.skip("needs prlimit")
    before, records = restic_of(twin.root, "list", "snapshots"), len(twin.records())
    for verb in ("backup", "test"):
        done = Limited(twin.root, {"PYTHONDONTWRITEBYTECODE": "1"}).run(verb, "p")  # it would be cut off as well
        assert done.code == 3, done
    assert restic_of(twin.root, "list", "snapshots") == before, "what cannot be recorded is not done"
    assert len(twin.records()) == records
    assert_clean(twin)
    heals(twin)


def test_full_disk_below_the_state_directory(twin: Site) -> None:
    kept = twin.root / "kept"
    shutil.move(twin.state, kept)
    with small_disk(twin.state, "32m"):
        shutil.copytree(kept, twin.state, dirs_exist_ok=True)
        before = restic_of(twin.root, "list", "snapshots")
        with contextlib.suppress(OSError), (twin.state / "filler").open("wb") as filler:
            while True:
                filler.write(bytes(4096))
        for verb in ("backup", "test"):
            done = twin.run(verb, "p")
            assert done.code in (1, 3), done
            if done.code == 1 and verb == "backup":  # there was room to say so
                assert done.json["result"] == "FAILED"
            assert "pace" in done.stdout + done.stderr or "B free" in done.stdout, done
        (twin.state / "filler").unlink()
        assert len(twin.services().catalogue.snapshots("p", "recordings")) == 2
        assert len(restic_of(twin.root, "list", "snapshots").split()) <= len(before.split()) + 1, "a mark at most"
        heals(twin)


def test_a_state_directory_without_room_says_which_and_how_much(twin: Site) -> None:
    """Room to record it, and none for the listing of the tree: what is free and what it needs is told."""
    for number in range(4000):
        settled_file(twin.root / "tree" / "many" / f"{number:05}.wav", b"x")
    twin.backed_up()
    kept = twin.root / "kept"
    shutil.move(twin.state, kept)
    with small_disk(twin.state, "64m"):
        shutil.copytree(kept, twin.state, dirs_exist_ok=True)
        free = shutil.disk_usage(twin.state).free
        (twin.state / "filler").write_bytes(bytes(free - 200_000))
        done = twin.run("backup", "p")
        assert (done.code, done.json["result"]) == (1, "FAILED"), done
        reason = str(done.json["reason"])
        assert "Errno" not in reason and str(twin.state) in reason, reason
        assert re.search(r"has [\d.]+ (B|KiB) free, .*[\d.]+ KiB", reason)
        assert "make room" in done.json["hint"]
        (twin.state / "filler").unlink()
        heals(twin)


def test_state_directory_read_only_stops_everything(twin: Site) -> None:
    with small_disk(twin.state, "32m", "ro"):
        for verb in ("backup", "test"):
            done = twin.run(verb, "p")
            assert done.code == 3, done
            assert "Read-only file system" in done.stderr


def test_state_that_is_a_file_stops_everything(twin: Site) -> None:
    shutil.rmtree(twin.state)
    twin.state.write_text("a file\n")
    done = twin.run("backup", "p")
    assert done.code == 2, done
    assert "is a file" in done.stderr


# --- ccdr itself is stopped ---------------------------------------------------------------------------------------

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGKILL]


def gone(process: subprocess.Popen[str], sign: signal.Signals) -> None:
    process.send_signal(sign)
    process.communicate(timeout=60)
    assert process.returncode == (-9 if sign == signal.SIGKILL else 3)


def told(site: Site) -> str:
    """What a test says to a person."""
    return site.start("test", "p").communicate()[0]


def crash_is_told(site: Site, sign: signal.Signals, asset: str) -> None:
    """A start without an end, or an end that says so; no snapshot came of it, and the chain is whole."""
    site.ledger_holds()
    ends = {r["run"]: r for r in site.records("backup.end")}
    last = site.records("backup.start")[-1]["run"]
    if sign == signal.SIGKILL:
        assert last not in ends
    else:
        assert (ends[last]["result"], ends[last]["reason"]) == ("FAILED", "interrupted")
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert ("crashed" if sign == signal.SIGKILL else "was interrupted, and stored nothing") in done.json["reason"]
    again = f"`ccdr backup p --asset {asset}`"
    step = (
        f"{again} takes a new one" if sign != signal.SIGKILL else f"`ccdr doctor p` looks for the cause; then {again}"
    )
    assert site.records("restore_test.end")[-1]["verdict"] == "FAIL" and step in told(site), told(site)
    said = site.run("status", "p")
    assert said.code == 1 and any(
        "crashed" in p or "interrupted" in p for p in said.json["plans"][0]["assets"][0]["problems"]
    )


@pytest.mark.parametrize("sign", SIGNALS)
def test_stopped_while_dumping(crm: Site, source: Source, dbname: str, sign: signal.Signals) -> None:
    crm.crm(source, dbname, PATIENT)
    waiting = f"select count(*) from pg_stat_activity where datname = '{dbname}' and wait_event_type = 'Lock'"
    with source.session(LOCKING, dbname):
        process = crm.start("backup", "p")
        assert eventually(lambda: source.psql(waiting) != "0"), "it is dumping"
        assert crm.run("backup", "p").code == 5, "the lock is held"
        gone(process, sign)
        assert eventually(lambda: not pids("pg_dump", str(crm.root))), "the dump died with its master"
        assert eventually(lambda: not [name for name in left(crm) if name.startswith("ccdr-")]), "and its container"
    crash_is_told(crm, sign, "crm")
    crm.run("sandbox", "reap")
    assert_clean(crm)
    crm.backed_up()


@pytest.fixture(scope="module")
def stopped(
    good: Site, kept: Path, store: DemoStore, tmp_path_factory: pytest.TempPathFactory
) -> dict[signal.Signals, Site]:
    """Sites whose ccdr was stopped in the middle of an upload; all at once, since each waits for a stalled store."""
    settled_file(again(good, kept).root / "tree" / "tomorrow.wav", os.urandom(2_000_000))

    def one(sign: signal.Signals) -> Site:
        site = copy_of(good, tmp_path_factory.mktemp(sign.name))
        with faulty_proxy(store.endpoint) as proxy:
            on_store(site, store, f"ccdr-stopped-{sign.name.lower()}", endpoint=proxy.endpoint)
            plan = site.root / "plans" / "p.yaml"
            plan.write_text(plan.read_text().replace(LIMITS, PATIENT))
            proxy.after(500_000, "stall")
            process = site.start("backup", "p")
            assert proxy.tripped.wait(60), "it is uploading"
            gone(process, sign)
            proxy.set("pass")
            assert eventually(lambda: not pids("restic", str(site.state)), 30), "the upload died with its master"
            plan.write_text(plan.read_text().replace(proxy.endpoint, store.endpoint))
        return site

    with ThreadPoolExecutor(len(SIGNALS)) as pool:
        return dict(zip(SIGNALS, pool.map(one, SIGNALS), strict=True))


@pytest.mark.parametrize("sign", SIGNALS)
def test_stopped_while_uploading(stopped: dict[signal.Signals, Site], sign: signal.Signals) -> None:
    site = stopped[sign]
    crash_is_told(site, sign, "recordings")
    site.run("sandbox", "reap")
    assert_clean(site)
    assert len(site.services().catalogue.snapshots("p", "recordings")) == 2
    heals(site)


def test_a_client_container_that_does_not_go_is_told_and_the_backup_is_good(
    crm: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = Docker._remove

    def half(docker: Docker, name: str, volume: str | None) -> list[str]:
        return [*really(docker, name, volume), f"container {name} is still there: device or resource busy"]

    monkeypatch.setattr(Docker, "_remove", half)
    done = backup(Job(crm.loaded(), "crm"), crm.services(), Quiet())
    assert (done.result, done.exit_code) == ("STORED", Exit.LEFT_BEHIND)
    assert [said.split(":")[0] for said in done.left_behind] == [f"container ccdr-{done.run}-client is still there"]
    assert crm.records("backup.end")[-1]["left_behind"] == done.left_behind
    monkeypatch.undo()
    assert crm.run("test", "p", "--asset", "crm").code == 0
