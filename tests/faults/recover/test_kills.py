"""SIGKILL over `ccdr recover`, whatever it has just done: `--resume` goes on, repeats nothing that is done, and nothing
half-written ever stands under a final name. A seeded few kills here; `make soak` does all points (CCDR_SOAK, CCDR_SEED).
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.recover.conftest import CDR, TWO
from tests.support.harness import (
    SQLITE_SMALL,
    Ran,
    Site,
    Source,
    ask_sqlite,
    containers,
    eventually,
    killed,
    small_database,
)
from tests.support.listeners import free_port
from tests.support.new_server import as_it_is, psql
from tests.support.restored_files import listing
from tests.support.sites import copy_of
from tests.support.stored import left, settled_file
from tests.support.target import PASSWORD, Target, server

from ccdr.jobs.restore.new_server import LeftServer
from ccdr.ports.new_server import HOME
from ccdr.sandbox.docker import RUN

pytestmark = pytest.mark.long

SEED = int(os.environ.get("CCDR_SEED", "20261128"))
STAGES = (
    ("begun", "fetched", "checked", "naming", "named"),  # recordings
    ("begun", "fetched", "checked", "naming", "named"),  # cdr
    ("begun", "fetched", "loaded", "checked", "naming", "named"),  # crm
)
POINTS = [(asset, stage) for asset, of in zip(("recordings", "cdr", "crm"), STAGES, strict=True) for stage in of]
SAMPLE = 3 if "CCDR_SOAK" not in os.environ else len(POINTS)
CRM = """
crm:
  engine: postgres
  connection: {{host: {sockets}, user: postgres, database: {database}}}
  backup: {{schedule: "*/30 * * * *"}}
  restore_test: {{schedule: "0 3 * * *", checks: [crm]}}
"""
CRM_CHECKS = "restore_test: crm\nchecks:\n  - {kind: rows, table: call, at_least: 3000}\n"
# What it fetched is told by its summary.
RESTIC = """\
#!/bin/sh
case " $* " in *" restore "*) exec {restic} "$@" | tee -a {log};; esac
exec {restic} "$@"
"""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with server(tmp_path_factory.mktemp("target")) as made:
        yield made


@pytest.fixture(scope="module")
def three(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with small_database(source, "kills") as database:
        root = tmp_path_factory.mktemp("kills")
        site = Site(root)
        for number in range(30):
            settled_file(root / "tree" / f"{number:03}.wav", random.Random(number).randbytes(30_000), 1_700_000_000)
        ask_sqlite(root / "cdr.db", SQLITE_SMALL)
        site.write("restore_tests/recordings.yaml", "restore_test: recordings\nchecks:\n  - {kind: identical}\n")
        site.write("restore_tests/cdr.yaml", CDR)
        site.write("restore_tests/crm.yaml", CRM_CHECKS)
        site.plan(TWO.format(root=root) + CRM.format(sockets=source.sockets, database=database))
        site.backed_up()
        yield site


@pytest.fixture
def site(three: Site, target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = copy_of(three, tmp_path_factory.mktemp("k"))  # a socket's path has room for a short name alone
    (made.root / "back").mkdir()
    made.write("pw", f"{PASSWORD}\n", mode=0o600)
    made.write(
        "targets.yaml",
        f"targets:\n  recordings: {{directory: {made.root}/back/recordings}}\n  cdr: {{directory: {made.root}/back/cdr}}\n"
        f"  crm: {{server: '{target.url('back')}', password_file: pw}}\n",
    )
    script = RESTIC.format(restic=shutil.which("restic"), log=made.root / "restored.jsonl")
    made.write("bin/restic", script, mode=0o755)
    made.env["PATH"] = f"{made.root / 'bin'}:{os.environ['PATH']}"
    yield made
    target.clear()


def journal(site: Site) -> list[dict[str, object]]:
    paths = list((site.state / "recover").glob("*/journal.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_bytes().split(b"\n")[:-1]]


def reached(site: Site) -> set[tuple[object, object]]:
    return {(line["asset"], line["stage"]) for line in journal(site) if "stage" in line}


def kill_at(site: Site, point: tuple[str, str], after: float, *args: str) -> None:
    """One `ccdr recover`, ended by SIGKILL a moment after the journal has told of that."""
    process = site.start("recover", *args)
    while process.poll() is None and point not in reached(site):
        time.sleep(0.002)
    time.sleep(after)
    killed(process)
    assert process.stdout and process.stderr
    process.stdout.close(), process.stderr.close()


def nothing_is_half(site: Site, target: Target, lost: Path) -> set[str]:
    """What stands under a final name is whole; which those are."""
    back, there = site.root / "back", set()
    if (back / "recordings").exists():
        assert listing(back / "recordings" / str(lost / "tree").lstrip("/")) == listing(lost / "tree")
        there.add("recordings")
    if (back / "cdr").exists():
        assert ask_sqlite(back / "cdr" / "cdr.db", "select count(*) from call") == [(3000,)]
        there.add("cdr")
    if "back" in target.databases:
        assert target.psql("select count(*) from call", "back") == "3000"
        there.add("crm")
    return there


def fetched(site: Site) -> int:
    """Bytes that restic wrote."""
    log, total = site.root / "restored.jsonl", 0
    for line in log.read_text().splitlines() if log.exists() else ():
        told = json.loads(line) if line.startswith("{") and line.endswith("}") else {}
        total += int(told.get("bytes_restored", 0)) if told.get("message_type") == "summary" else 0
    log.unlink(missing_ok=True)
    return total


def goes_on(site: Site, target: Target, lost: Path, there: set[str]) -> Ran:
    before, tree = len(site.records()), reached(site)
    fetched(site)  # by the one that was killed
    done = site.run("recover", "--resume")
    assert (done.code, done.json.get("state")) == (0, "done"), done
    assert {s["asset"] for s in done.json["steps"] if s["brought_before"]} >= there - {"crm"}, "told"
    begun = {r["asset"] for r in site.records()[before:] if r["kind"] == "restore.start"}
    assert not begun & there, "what had its final name is not brought again"
    assert begun == {"recordings", "cdr", "crm"} - there
    if begun == {"recordings"} and ("recordings", "fetched") in tree:
        assert fetched(site) == 0, "what was fetched is not fetched again"
    assert nothing_is_half(site, target, lost) == {"recordings", "cdr", "crm"}
    return done


def nothing_is_left(site: Site, target: Target) -> None:
    assert {p.name for p in (site.root / "back").iterdir()} == {"recordings", "cdr"}
    assert not [name for name in target.databases if "ccdr_restore" in name]
    assert left(site) == []
    assert eventually(lambda: not {f"ccdr-{r['run']}" for r in site.records()} & containers())
    site.ledger_holds()


CHOOSE = random.Random(SEED)


@pytest.mark.parametrize("point", CHOOSE.sample(POINTS, SAMPLE), ids="-".join)
def test_killed_anywhere_it_goes_on_and_repeats_nothing(
    site: Site, three: Site, target: Target, point: tuple[str, str]
) -> None:
    kill_at(site, point, CHOOSE.uniform(0, 0.05), "p", "--to", str(site.root / "targets.yaml"), "--yes-i-mean", "p")
    there = nothing_is_half(site, target, three.root)
    if not finished(site):
        done = goes_on(site, target, three.root, there)
        assert done.json["resumes"] and done.json["rto"]["away_s"] >= 0
    nothing_is_left(site, target)


def finished(site: Site) -> bool:
    return any(line.get("ended") == "done" for line in journal(site))


@pytest.mark.parametrize("stage", ["fetched", "loaded", "naming"])
def test_a_new_server_whose_load_had_ended_is_opened_again_and_not_loaded_again(site: Site, stage: str) -> None:
    """And where that had not, what was fetched is not fetched again."""
    home = site.root / "back/crm"
    site.write("targets.yaml", f"targets:\n  crm: {{new_server: {{directory: {home}, port: 5499}}}}\n")
    kill_at(
        site, ("crm", stage), 0, "p", "--to", str(site.root / "targets.yaml"), "--assets", "crm", "--yes-i-mean", "p"
    )
    there = home.exists()
    if not finished(site):
        fetched(site)
        done = site.run("recover", "--resume", "p")
        assert (done.code, done.json.get("state")) == (0, "done"), done
        (step,) = done.json["steps"]
        assert step["brought_before"] is there and fetched(site) == 0, step
        assert stage == "fetched" or "fetch" not in step["phases"], step
        assert step["start"]["debian"] and "`ccdr recover check p --opened`" in done.json["hint"], "how it goes on"
    assert [p.name for p in (site.root / "back").iterdir()] == ["crm"] and (home / "ccdr-server.json").is_file()
    owner = (home / "data").stat().st_uid, (home / "data").stat().st_gid
    before = as_it_is(home)
    again = site.run("recover", "check", "p")
    told = [(check["kind"], check["status"]) for check in again.json["steps"][0]["checks"]]
    assert (again.code, told) == (0, [("server", "PASS"), ("rows", "PASS")]), again
    assert LeftServer.read(home).untouched
    assert all((p.lstat().st_uid, p.lstat().st_gid) == owner for p in (home / "data").rglob("*"))
    if stage == "loaded":
        nobody_reaches_it_while_it_is_checked(site)
    site.write("restore_tests/crm.yaml", CRM_CHECKS.replace("3000", "99999"))
    bad = site.run("recover", "check", "p")
    assert bad.code == 1 and as_it_is(home) == before, bad
    assert left(site) == []


def nobody_reaches_it_while_it_is_checked(site: Site) -> None:
    """The container in which a copy of it is opened has no network."""
    network = "{{.HostConfig.NetworkMode}} {{len .NetworkSettings.Ports}}"
    shown = f"{{{{range .Mounts}}}}{{{{.Source}}}}:{{{{.Destination}}}} {{{{end}}}}\t{network}"
    seen: set[str] = set()
    with site.start("recover", "check", "p") as check:
        while check.poll() is None:
            asked = ["docker", "ps", "--all", "--quiet", "--filter", f"label={RUN}"]
            if ids := subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split():
                argv = ["docker", "inspect", "--format", shown, *ids]
                told = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
                lines = (line.split("\t") for line in told.splitlines() if line)
                seen |= {net for mounts, net in lines if str(site.root) in mounts and f":{HOME} " in mounts}
        check.communicate()
    assert (check.returncode, seen) == (0, {"none 0"})


def with_unlogged_rows(site: Site, source: Source) -> tuple[Path, list[str]]:
    """The newest snapshot of crm has some; the home of its new server, and how it is asked for."""
    home = site.root / "back/crm"
    site.write("targets.yaml", f"targets:\n  crm: {{new_server: {{directory: {home}, port: 5499}}}}\n")
    source.psql("create unlogged table session as select generate_series(1, 20) as id", "kills")
    try:
        assert site.run("backup", "p", "--asset", "crm").code == 0
    finally:
        source.psql("drop table session", "kills")
    site.write(
        "restore_tests/crm.yaml", CRM_CHECKS + "  - {kind: identical}\n  - {kind: rows, table: session, at_least: 20}\n"
    )
    return home, ["p", "--to", str(site.root / "targets.yaml"), "--assets", "crm", "--yes-i-mean", "p"]


def test_a_new_server_that_crashes_once_its_checks_have_passed_does_not_get_its_name(
    site: Site, source: Source
) -> None:
    """It would come up again by itself, without the rows of unlogged tables."""
    home, asked = with_unlogged_rows(site, source)
    process = site.start("recover", *asked)
    while process.poll() is None and ("crm", "checked") not in reached(site):
        time.sleep(0.002)
    process.send_signal(signal.SIGSTOP)
    run = site.records("restore.start")[-1]["run"]
    (box,) = (name for name in containers() if str(run) in name)
    top = ["docker", "top", box, "-eo", "pid,args"]
    told = subprocess.run(top, capture_output=True, text=True, check=True).stdout
    (one,) = (line.split()[0] for line in told.splitlines() if "checkpointer" in line)
    os.kill(int(one), signal.SIGKILL)
    time.sleep(2)  # until it would be up again
    process.send_signal(signal.SIGCONT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and not home.exists(), out
    done = site.run("recover", "--resume", "p")
    assert (done.code, done.json.get("state")) == (0, "done"), done
    again = site.run("recover", "check", "p")
    rows = [c["status"] for c in again.json["steps"][0]["checks"] if c["kind"] == "rows"]
    assert (again.code, rows) == (0, ["PASS", "PASS"]) and left(site) == [], again


def test_rows_that_only_a_clean_end_keeps_are_loaded_again(site: Site, source: Source) -> None:
    """Recovery from a crash empties an unlogged table."""
    home, asked = with_unlogged_rows(site, source)
    kill_at(site, ("crm", "checked"), 0, *asked)
    assert not home.exists()
    done = site.run("recover", "--resume", "p")
    assert (done.code, done.json.get("state")) == (0, "done"), done
    again = site.run("recover", "check", "p")
    rows = [c["status"] for c in again.json["steps"][0]["checks"] if c["kind"] == "rows"]
    assert (again.code, rows) == (0, ["PASS", "PASS"]), again
    before = as_it_is(home)
    for point in LOOKED_AT:
        kill_while_it_looks(site, point)
        assert as_it_is(home) == before, "whoever starts it finds what was proven"
    again = site.run("recover", "check", "p")
    assert again.code == 0 and as_it_is(home) == before and left(site) == [], again
    (lost := max(one for one in (home / "data/base").rglob("*") if one.is_file())).unlink()
    assert site.run("recover", "check", "p").code in (1, 3), lost
    edited = json.loads((home / "ccdr-server.json").read_text()) | {"snapshot": "0" * 64}
    (home / "ccdr-server.json").write_text(json.dumps(edited))
    assert site.run("recover", "check", "p").code == 1


# Of a look: its files are being copied; its container is there; its server answers.
LOOKED_AT = ("copy", "container", "answer")


def kill_while_it_looks(site: Site, point: str) -> None:
    """A look takes seconds, and so does asking Docker on a busy machine: one that ended unseen is done again."""
    there = containers()

    def reached_() -> bool:
        if point == "copy":
            return any((site.state / "scratch").glob("*/standing-crm/tree/data"))
        pids = list((site.state / "scratch").glob("*/standing-crm/tree/data/postmaster.pid"))
        return bool(containers() - there) if point == "container" else any("ready" in p.read_text() for p in pids)

    for _ in range(5):
        process = site.start("recover", "check", "p")
        seen = eventually(lambda: reached_() or process.poll() is not None, 60)  # noqa: B023
        if seen and process.poll() is None:
            break
        assert process.wait(60) == 0, process.communicate()
    assert process.poll() is None, point
    killed(process)
    assert process.stdout and process.stderr
    process.stdout.close(), process.stderr.close()


def test_what_lost_files_since_it_was_brought_is_not_there_any_more(site: Site) -> None:
    kill_at(site, ("recordings", "named"), 0, "p", "--to", str(site.root / "targets.yaml"), "--yes-i-mean", "p")
    if finished(site):
        pytest.skip("it was too quick")
    (lost := next((site.root / "back/recordings").rglob("003.wav"))).rename(site.root / "kept")
    refused = site.run("recover", "--resume")
    assert refused.code == 2 and "29 files" in refused.stderr, refused
    (site.root / "kept").rename(lost)
    assert site.run("recover", "--resume").code == 0


START = """\
import json, os, subprocess, sys
if not os.path.exists("{root}/ok"): sys.exit(7)
line = json.load(open("{root}/back/crm/ccdr-server.json"))["start"]["docker"][0]
subprocess.run(["sh", "-ec", line], check=True)
"""


def test_a_new_server_that_could_not_be_started_is_started_by_the_next_and_not_brought_again(site: Site) -> None:
    home, port = site.root / "back/crm", free_port()
    start = site.write("start.py", START.format(root=site.root))
    new = f"{{directory: {home}, port: {port}, start: [python3, {start}]}}"
    site.write("targets.yaml", f"targets:\n  crm: {{new_server: {new}}}\n")
    asked = ["p", "--to", str(site.root / "targets.yaml"), "--assets", "crm", "--yes-i-mean", "p"]
    done = site.run("recover", *asked)
    assert (done.code, done.json["state"]) == (3, "paused_by_failed_step"), done
    assert "exited with 7" in done.json["reason"] and (home / "ccdr-server.json").is_file()
    assert site.run("recover", "check", "p").code == 0, "a check of it keeps nobody from starting it"
    site.write("ok", "")
    try:
        again = site.run("recover", "--resume")
        assert (again.code, again.json["state"]) == (0, "done"), again
        assert len(site.records("restore.start")) == 1 and again.json["steps"][0]["start"] is None
        assert psql(home, port, "select count(*) from call", "kills") == "3000"
        checked = site.run("recover", "check", "p")
        first, *others = checked.json["steps"][0]["checks"]
        assert checked.code == 0 and first["actual"] == "it answers, and is that one", checked
        assert [(check["kind"], check["status"]) for check in others] == [("rows", "PASS")], "it is asked itself"
        psql(home, port, "delete from call where id = 1", "kills")
        damaged = site.run("recover", "check", "p")
        statuses = [check["status"] for check in damaged.json["steps"][0]["checks"]]
        assert (damaged.code, statuses) == (1, ["PASS", "FAIL"]), damaged
    finally:
        line = json.loads((home / "ccdr-server.json").read_text())["start"]["docker"][0]
        name = line.split("--name ")[1].split()[0]
        subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True)


def test_a_server_that_dies_stops_what_goes_there_alone(site: Site, three: Site, tmp_path: Path) -> None:
    sockets = tmp_path / "dying"
    sockets.mkdir()
    with server(sockets) as dying:
        targets = (site.root / "targets.yaml").read_text()
        path = site.write("dying.yaml", re.sub(r"server: '[^']*'", f"server: '{dying.url('back')}'", targets))
        process = site.start("recover", "p", "--to", str(path), "--yes-i-mean", "p", "--json")
        assert eventually(lambda: ("crm", "begun") in reached(site) or process.poll() is not None, 60)
        subprocess.run(["docker", "kill", dying.container], check=True, capture_output=True)
        out, said = process.communicate(timeout=120)
    document = json.loads(out)
    assert process.returncode in (3, 4) and document["state"] == "paused_by_failed_step", (said, out)
    assert {s["asset"]: s["state"] for s in document["steps"]} == {"recordings": "done", "cdr": "done", "crm": "failed"}
    with server(sockets) as again:
        done = site.run("recover", "--resume")
        assert (done.code, done.json.get("state")) == (0, "done"), done
        assert again.psql("select count(*) from call", "back") == "3000"
    assert {r["asset"] for r in site.records("restore.start")[3:]} == {"crm"} and three.root.exists()
