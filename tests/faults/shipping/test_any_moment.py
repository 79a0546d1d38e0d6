"""A PostgreSQL server's log, shipped for real: any moment can be gone back to, and nothing that the log does not hold."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.conftest import _image
from tests.support.harness import Quiet, ShiftedClock, Site, eventually, image_on
from tests.support.primary import Primary
from tests.support.shipping import CHECKS, back, log_repo, note, now, recovered, ship_once, standing
from tests.support.stored import restic_of

from ccdr.jobs.shipping.log_archive import archive_of
from ccdr.jobs.shipping.ship import ship
from ccdr.model.values import rfc3339, utc
from ccdr.plans.job import Job

pytestmark = pytest.mark.long


def test_any_moment_can_be_gone_back_to(shipped: Site, source: Primary) -> None:
    first = note(source, "first")
    second = note(source, "second")
    source.psql("select pg_create_restore_point('before-migration')")
    third = note(source, "third")
    ship_once(shipped)
    rows = "select string_agg(note, ' ' order by id) from call where id > 100"
    for at, expected in (
        (first.isoformat(), "first"),
        (second.isoformat(), "first second"),
        ("before-migration", "first second"),
        (third.isoformat(), "first second third"),  # after which nothing was committed
        ("latest", "first second third"),
    ):
        done = recovered(shipped, at, "--keep")
        assert (done.code, done.json.get("verdict")) == (0, "PASS"), (at, done)
        assert back(done, rows) == expected, at
    assert done.json["recovery"]["reached"]["last_commit"]
    newest = archive_of(Job(shipped.loaded(), "crm"), log_repo(shipped)).newest
    assert newest is not None and newest.point < newest.taken
    done = recovered(shipped, rfc3339(newest.taken))  # behind what is proven, and nothing was written since
    assert done.code == 2 and "holds no commit after" in done.stdout + done.stderr, done
    # A point stays one behind a newer base, which holds more.
    older = shipped.records("backup.end")[0]["snapshot"]["id"]
    shipped.backed_up()
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), "no log of the new base is stored yet"
    note(source, "fourth")
    ship_once(shipped)
    done = recovered(shipped, "before-migration", "--keep")
    assert (done.code, done.json["verdict"], done.json["snapshot"]["id"]) == (0, "PASS", older), done
    assert back(done, rows) == "first second"
    # Nor need it be the newest base: whoever names one has the log applied to that.
    done = recovered(shipped, "latest", "--snapshot", older[:8], "--keep")
    assert (done.code, done.json["verdict"], done.json["snapshot"]["id"]) == (0, "PASS", older), done
    assert back(done, rows) == "first second third fourth"
    argv = ["restore", "p", "--asset", "crm", "--at", "latest", "--to", str(shipped.root / "back"), "--dry-run"]
    for named, base in ((("--snapshot", older), True), ((), False)):
        done = shipped.run(*argv, *named)
        assert done.code == 0 and (done.json["would_restore"]["snapshot"]["id"] == older) is base, done
    for at in ("16:41:30", "before-lunch"):
        argv = ["restore", "p", "--asset", "crm", "--at", at, "--to", str(shipped.root / "back"), "--dry-run"]
        done = shipped.run(*argv)
        assert done.code == 2 and f"has a point named '{at}'" in done.stdout + done.stderr, done

    # By a plan that is made from the repository alone, where nobody has stored one: no earlier state, and its log.
    for line in shipped.records("plan.stored"):
        restic_of(shipped.root, "forget", "-q", line["snapshot"])
    dr, state = shipped.root / "dr", ("--state", str(shipped.root / "nothing"))
    made = shipped.run(
        "bootstrap", str(shipped.repo), "--password-file", str(shipped.root / "plans/key"), "--into", str(dr), *state
    )
    assert made.code == 0 and made.json["plans"][0]["made"], made
    elsewhere = ("--plans", str(dr / "plans"), "--restore-tests", str(dr / "restore_tests"), *state)
    argv = ["restore", "p", "--asset", "crm", "--at", "before-migration", "--to", str(shipped.root / "back")]
    done = shipped.run(*argv, "--dry-run", *elsewhere)
    assert done.code == 0 and done.json["would_restore"]["snapshot"]["id"] == older, done


def test_freshness_is_measured_from_the_point_that_was_reached(shipped: Site, source: Primary) -> None:
    """The newest row is as old as the base: fresh enough for that one, and not for what the log led to."""
    query = "select max(at) from call where id > 100"
    shipped.write("restore_tests/crm.yaml", f"{CHECKS}  - {{kind: freshness, query: '{query}', within: 3s}}\n")
    (base,) = shipped.services().catalogue.snapshots("p", "crm")
    point = base.consistent_point
    source.psql(f"insert into call values (101, 'as old as the base', '{point.isoformat()}')")
    assert eventually(lambda: now(source) - point > timedelta(seconds=6), 60)
    stale = now(source)
    assert eventually(lambda: now(source) - stale > timedelta(seconds=1), 60)  # clocks are compared over a busy wire
    fresh = note(source, "fresh")
    ship_once(shipped)

    def judged(at: datetime) -> tuple[str, str]:
        done = recovered(shipped, at.isoformat())
        (check,) = (c for c in done.json["checks"] if c["kind"] == "freshness")
        assert "the point that was reached" in check["expected"], check
        return done.json["verdict"], check["status"]

    assert judged(fresh) == ("PASS", "PASS")
    assert judged(stale) == ("FAIL", "FAIL")


def test_a_restore_for_real_can_go_back_to_any_moment_too(shipped: Site, source: Primary, tmp_path: Path) -> None:
    """A data directory, its log applied up to that moment: a server is started on it, and that is all."""
    first = note(source, "first")
    note(source, "second")
    ship_once(shipped)
    tested = recovered(shipped, "latest").json
    (server,) = (check for check in tested["checks"] if check["name"] == "server")
    assert tested["verdict"] == "PASS" and "timeline 2, begun at the end" in server["actual"]
    target = tmp_path / "back"
    argv = ["restore", "p", "--asset", "crm", "--at", first.isoformat(), "--to", str(target), "--yes-i-mean", "back"]
    done = shipped.run(*argv)
    assert (done.code, done.json["result"]) == (0, "RESTORED"), done
    assert not list(target.rglob("recovery.signal")), "nothing is armed: the log is applied"
    assert f"as of   {rfc3339(first)}, once the log" in done.stderr
    assert "its last restore test passed" in done.stderr and "1 snapshot of it, up to" in done.stderr
    start = f"""set -e
    chown -R postgres {target}
    su postgres -c '. /etc/profile; PATH=$PATH:/usr/lib/postgresql/17/bin
      pg_ctl -D {target}/data -w -s -l /tmp/log -o "-c unix_socket_directories=/tmp -c listen_addresses=" start
      psql -h /tmp -XqAtc "create table can_be_written ()"
      psql -h /tmp -XqAtc "select string_agg(note, chr(32) order by id) from call where id > 100"'
    """
    run = image_on(target)
    said = subprocess.run(
        [*run, _image(), "timeout", "60", "bash", "-c", start], capture_output=True, text=True, check=False
    )
    subprocess.run([*run, _image(), "chown", "-R", "0:0", str(target)], check=True)
    assert said.stdout.split() == ["first"], said


def test_log_that_was_stored_by_a_clock_set_forward_is_told(shipped: Site, source: Primary) -> None:
    """Nothing says how far it reaches; by the right clock it is stored once more."""
    note(source, "first")
    ahead = shipped.services(ShiftedClock(timedelta(hours=9)))
    ship(Job(shipped.loaded(), "crm"), ahead, Quiet(), once=True)
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (1, "FAIL") and "in the future" in done.json["reason"], done
    found = shipped.run("status")
    assert found.code == 1 and "in the future" in found.stdout, found
    note(source, "second")
    ship_once(shipped)
    done = recovered(shipped, "latest", "--keep")
    assert done.json["verdict"] == "PASS" and utc(done.json["recovery"]["reached"]["at"]) <= now(source), done
    assert back(done, "select count(*) from call where id > 100") == "2"
    assert not standing(shipped)["findings"]


def test_what_no_log_holds_cannot_be_reached(shipped: Site, source: Primary) -> None:
    """Nothing is tested then: neither green nor red."""
    note(source, "first")
    ship_once(shipped)
    for at in ("no-such-point", "2031-01-01T00:00:00Z", "2001-01-01T00:00:00Z"):
        done = recovered(shipped, at)
        assert done.code == 2, (at, str(done))
    assert shipped.records("restore_test.end")[-1]["verdict"] == "SKIPPED"
