"""SIGKILL over `ccdr recover`, whatever it has just done: `--resume` goes on, repeats nothing that is done, and nothing
half-written ever stands under a final name. A seeded few kills here; `make soak` does all points (CCDR_SOAK, CCDR_SEED).
"""

from __future__ import annotations

import json
import os
import random
import shutil
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
from tests.support.restored_files import listing
from tests.support.sites import copy_of
from tests.support.stored import left, settled_file
from tests.support.target import PASSWORD, Target, server

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
def site(three: Site, target: Target, tmp_path: Path) -> Iterator[Site]:
    made = copy_of(three, tmp_path / "site")
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
    for database in target.databases - {"postgres", "template0", "template1"}:
        target.psql(f'drop database "{database}" with (force)')
    for role in target.roles - {"dba"}:
        target.psql(f'drop role "{role}"')


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
    assert (done.code, done.json["state"]) == (0, "done"), done
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
