"""Another host, or this one after it lost its state directory: the repository alone tells what was backed up."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.harness import Site, Source
from tests.support.mariadb_source import PASSWORD, crm, mariadb_server, small_database
from tests.support.stored import assert_clean, other_host, settled_file, with_repository


@pytest.fixture
def here(twin: Site) -> Site:
    return twin


@pytest.fixture
def there(here: Site, tmp_path: Path) -> Site:
    return other_host(here, tmp_path / "there")


def snapshots(site: Site) -> list[tuple[str, str, str]]:
    known = site.services().catalogue.snapshots("p", "recordings")
    return [(s.id, str(s.consistent_point), s.manifest_sha256) for s in known]


def test_another_host_tests_what_the_first_backed_up(here: Site, there: Site) -> None:
    done = there.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert snapshots(there) == snapshots(here)
    assert done.json["snapshot"]["id"] == snapshots(here)[-1][0]
    assert done.json["rpo"]["verdict"] == "MET"
    assert_clean(there)


def test_another_host_tests_a_database_it_never_saw(source: Source, database: str, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    here = with_repository(Site(tmp_path / "here"))
    here.crm(source, database)
    here.backed_up()
    there = other_host(here, tmp_path / "there")
    source.psql("drop table call cascade", database)
    done = there.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert_clean(there)


def test_a_host_that_tests_needs_neither_the_source_nor_its_password(tmp_path: Path) -> None:
    """Cron alone on it, as the README sets it up: the password's file was never there, the source is gone."""
    (tmp_path / "here").mkdir()
    with mariadb_server() as maria, small_database(maria, "crm", goes=True) as database:
        here = crm(with_repository(Site(tmp_path / "here")), maria, database)
        here.backed_up()
        there = other_host(here, tmp_path / "there")
        (there.root / "plans" / "crm.pw").unlink()
        maria.kill()
    first = there.run("run", "--only", "tests")
    assert (first.code, first.json["did"]) == (0, []), first
    (slot,) = (there.state / "schedule").glob("p.crm.test.json")
    a_day_ago = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    slot.write_text(json.dumps({**json.loads(slot.read_text()), "settled": a_day_ago}))
    for wake in slot.parent.glob("wake-*"):
        wake.unlink()
    done = there.run("run", "--only", "tests")
    assert done.code == 0 and [(d["verb"], d["done"]) for d in done.json["did"]] == [("test", True)], done
    result = done.json["did"][0]["result"]
    assert (result["verdict"], result["findings"]) == ("PASS", []), done
    assert {c["status"] for c in result["checks"]} == {"PASS"}
    assert {c["kind"] for c in result["checks"]} == {"identical", "integrity", "rows", "freshness", "sql"}
    assert done.json["troubles"] == [] and PASSWORD not in done.stdout + done.stderr
    (found,) = there.run("status").json["plans"][0]["assets"]
    assert found["coverage"] == "tested" and not any("crm.pw" in said for said in found["problems"]), found
    assert_clean(there)


def test_another_host_learns_of_a_newer_failure(here: Site, there: Site) -> None:
    newest = snapshots(here)[-1][0]
    shutil.move(here.root / "tree", here.root / "unmounted")
    broken = here.run("backup", "p")
    assert broken.code == 1
    done = there.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert broken.json["run"] in done.json["reason"], "the failed run is named"
    assert done.json["snapshot"] == {**done.json["snapshot"], "id": newest, "verdict": "PASS"}
    shutil.move(here.root / "unmounted", here.root / "tree")
    here.backed_up()
    healed = there.run("test", "p")
    assert (healed.code, healed.json["verdict"]) == (0, "PASS"), healed
    assert healed.json["snapshot"]["id"] == snapshots(here)[-1][0]


TREE_IS_THERE = "restore_test: recordings\nchecks:\n  - {kind: command, name: a tree, argv: ['true']}\n"


def test_backup_killed_before_its_verdict_on_a_partial_snapshot_passes_nowhere(here: Site, there: Site) -> None:
    """restic stores what it could read. We are killed before we see that it was not all, so nothing marks the
    snapshot; the other host's plan compares nothing."""
    for site in (here, there):
        site.write("restore_tests/recordings.yaml", TREE_IS_THERE)
    assert there.run("test", "p").json["verdict"] == "PASS"
    restic = shutil.which("restic")
    script = f"""\
    #!/bin/sh
    case "$*" in
      *kind=backup*) {restic} --exclude='*/call3.wav' "$@"; kill -9 $PPID;;
      *) exec {restic} "$@";;
    esac
    """
    here.write("bin/restic", script, mode=0o755)
    killed = here.start("backup", "p", env={"PATH": f"{here.root / 'bin'}:{os.environ['PATH']}"})
    killed.communicate(timeout=60)
    assert killed.returncode == -9
    done = there.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert "1 of 10 entries are missing" in done.json["reason"]
    assert done.json["snapshot"]["id"] not in {s[0] for s in snapshots(here)}
    here.backed_up()
    assert there.run("test", "p").json["verdict"] == "PASS"


def test_lost_state_directory_loses_no_backup(here: Site) -> None:
    before = snapshots(here)
    shutil.rmtree(here.state)
    done = here.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert snapshots(here) == before
    oldest = here.run("test", "p", "--snapshot", before[0][0][:8])
    assert (oldest.code, oldest.json["snapshot"]["id"]) == (0, before[0][0]), oldest
    settled_file(here.root / "tree" / "after.wav", os.urandom(100))
    here.backed_up()
    assert len(snapshots(here)) == 3
    assert here.run("test", "p").code == 0
    assert_clean(here)


def test_backups_of_two_hosts_count_together(here: Site, there: Site) -> None:
    there.backed_up()
    done = here.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert done.json["snapshot"]["id"] == snapshots(there)[-1][0], "the newest one, whoever made it"
    assert len(snapshots(here)) == 3


def test_damaged_catalogue_entry_is_read_back(here: Site) -> None:
    newest = snapshots(here)[-1][0]
    entry = here.state / "catalogue" / "p" / "recordings" / f"{newest}.json"
    entry.write_text(entry.read_text()[:100])
    done = here.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert done.json["snapshot"]["id"] == newest


@pytest.mark.parametrize("whole", [False, True], ids=["manifest alone", "manifest and its hash"])
def test_forged_catalogue_entry_fails(here: Site, whole: bool) -> None:
    """Somebody makes the catalogue claim fewer files: its own hash tells, and if that is forged too, the repository."""
    newest, _, digest = snapshots(here)[-1]
    path = here.state / "catalogue" / "p" / "recordings" / f"{newest}.json"
    entry = json.loads(path.read_text())
    entry["manifest"] = entry["manifest"].replace('"files":7', '"files":6')
    forged = sha256(entry["manifest"].encode()).hexdigest()
    assert forged != digest
    if whole:
        entry["snapshot"]["manifest_sha256"] = forged
    path.write_text(json.dumps(entry))
    done = here.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert ("not the one in the catalogue" if whole else "was changed") in done.json["reason"]


def told(site: Site) -> tuple[int, str, set[str], int]:
    """By `status`: exit code, coverage, codes of troubles, how many are not known here. The report agrees."""
    status, report = site.run("status"), site.run("report", "--format", "json")
    (plan,) = status.json["plans"]
    (asset,) = plan["assets"]
    codes, near = ({trouble["code"] for trouble in asset[key]} for key in ("troubles", "near"))
    assert (
        status.code == report.code
        and {f["code"] for f in report.json["findings"] if f["asset"]} - {None} == codes | near
    )
    return status.code, asset["coverage"], codes, status.json["not_known_here"]


def test_each_host_sees_what_the_other_did_once_their_ledgers_are_collected(here: Site, there: Site) -> None:
    for site, verb in ((here, "backups"), (there, "tests")):
        assert site.run("run", "--only", verb).code == 0
    here.backed_up()
    assert there.run("test", "p").json["verdict"] == "PASS"
    assert told(here) == (0, "untested", {"NOT_KNOWN_HERE"}, 1), "another host's, and not known which"
    assert "tests, prunes and checks: another host" in here.plainly("status").stdout
    assert here.run("ledger", "collect", str(there.state)).code == 0
    assert told(here) == (0, "tested", set(), 0)
    (plan,) = here.run("status").json["plans"]
    assert {one["what"] for one in plan["elsewhere"] if one["ledger"]} == {"test"}
    assert {one["host"] for one in plan["elsewhere"]} == {plan["elsewhere"][0]["host"], None}
    assert there.run("ledger", "collect", str(here.state)).code == 0
    assert told(there)[0] == 0 and there.run("status").json["plans"][0]["assets"][0]["rpo"]["verdict"] == "MET"
    assert there.run("ledger", "collect", str(here.state)).json["ledgers"][0]["new"] == 0, "nothing twice"
    there.write("restore_tests/recordings.yaml", TREE_IS_THERE.replace("'true'", "'false'"))
    assert there.run("test", "p").json["verdict"] == "FAIL"
    assert told(here)[0] == 0, "it cannot know yet"
    assert here.run("ledger", "collect", str(there.state)).code == 0
    code, _, codes, _ = told(here)
    assert code == 1 and "TEST_FAILED" in codes
    assert here.run("ledger", "verify").code == 0
    for site in (here, there):
        assert_clean(site)
