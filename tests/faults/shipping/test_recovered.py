"""A source that was recovered to a moment, or failed over, goes on there: its log is shipped on by itself, and both
histories can be gone back to."""

from __future__ import annotations

import re
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.cluster import DATA, Cluster
from tests.support.harness import Ran, Site, eventually
from tests.support.primary import Primary
from tests.support.shipping import (
    KEPT,
    WAL,
    back,
    based,
    log_repo,
    recovered,
    ship_once,
    standing,
    started,
)

from ccdr.jobs.shipping.log_archive import LogArchive, archive_of
from ccdr.model.values import rfc3339, utc
from ccdr.plans.job import Job

pytestmark = pytest.mark.long

STANDBY = "/var/lib/postgresql/standby"
NOTES = "select string_agg(note, ' ' order by id) from call where id > 100"


def wrote(made: Cluster, text: str, *, switch: bool = False) -> datetime:
    """A row; and a moment right after its commit, before which there is no other."""
    made.psql(f"insert into call (id, note) select max(id) + 1, '{text}' from call", "postgres")
    when = now(made)
    time.sleep(0.05)
    if switch:
        made.psql("select pg_switch_wal()", "postgres")
    return when


def now(made: Cluster) -> datetime:
    return datetime.fromisoformat(made.psql("select clock_timestamp()", "postgres").replace(" ", "T"))


def inside(made: Cluster, *argv: str) -> None:
    subprocess.run(["docker", "exec", "-u", "root", made.container, *argv], check=True, capture_output=True)


def gone_back(site: Site, made: Cluster, at: str, *options: str) -> Ran:
    """The server is lost, and recovered to that moment for real: it goes on where the plan says that it stands."""
    made.stop("immediate")
    target = made.tablespaces / f"back{len(list(made.tablespaces.iterdir()))}"
    argv = ["restore", "p", "--asset", "crm", "--at", at, *options, "--to", str(target)]
    done = site.run(*argv, "--yes-i-mean", target.name)
    assert (done.code, done.json["result"]) == (0, "RESTORED"), done
    inside(made, "chown", "-R", "postgres", str(target))
    inside(made, "sh", "-c", f"rm -rf {DATA} && mv {target}/data {DATA}")
    made.start(**KEPT)
    assert eventually(lambda: made.psql("select pg_is_in_recovery()", "postgres", check=False) == "f", 30)
    return done


def lagging(made: Cluster) -> None:
    """A standby that has all up to now, and gets no more."""
    made.run("pg_basebackup", "-h", "/sockets", "-U", "postgres", "-D", STANDBY, "-c", "fast", "-X", "stream")


def failed_over(made: Cluster) -> datetime:
    """To the standby, under the same address; a moment between the two."""
    made.stop("immediate")
    between = datetime.now(UTC)
    time.sleep(0.05)
    inside(made, "sh", "-c", f"rm -rf {DATA} && mv {STANDBY} {DATA}")
    made.run("touch", f"{DATA}/standby.signal")
    made.start(**KEPT)
    made.run("pg_ctl", "-D", DATA, "-w", "promote")
    return between


def stored(site: Site) -> LogArchive:
    return archive_of(Job(site.loaded(), "crm"), log_repo(site))


def there(site: Site, at: str, *options: str) -> str:
    """What a recovery that passes brings back."""
    done = recovered(site, at, "--keep", *options)
    assert (done.code, done.json["verdict"]) == (0, "PASS"), (done.json["reason"], done.json["checks"], done.stderr)
    return back(done, NOTES)


def test_a_source_that_was_recovered_to_a_moment_is_shipped_on_and_both_histories_are_kept(tmp_path: Path) -> None:
    """By itself, whatever segment that moment lay in; so is one that is recovered a second time. What pruning lets go
    of is what no kept base leads to."""
    with based(tmp_path) as (site, made):
        load = Primary(made.container, made.sockets, made.tablespaces)
        inside(made, "ln", "-sfn", str(made.tablespaces), "/work")
        made.psql("create unlogged table scratch (n int)", "postgres")
        with started(site):
            with load.commits(100):
                time.sleep(3)
                moment = wrote(made, "first", switch=True)
                time.sleep(2)
                wrote(made, "taken", switch=True)
                time.sleep(3)
            last = wrote(made, "back")
            assert eventually(lambda: utc(standing(site)["point"]) > last, 60), standing(site)
            notes = gone_back(site, made, moment.isoformat()).json["notes"]
            assert "1 unlogged table comes back empty (postgres.public.scratch)" in notes
            wrote(made, "anew")
            assert eventually(lambda: standing(site)["branch"] == 2 and standing(site)["trouble"] is None, 90), (
                standing(site)
            )
            recent = wrote(made, "again", switch=True)
            assert eventually(lambda: utc(standing(site)["point"]) > recent, 60), standing(site)
            assert not standing(site)["gap"] and not stored(site).gaps(WAL)
            assert there(site, "latest") == "first anew again", "the base from before leads there too"
            commits = {key for key, when in load.acknowledged().items() if when < last}
            done = recovered(site, last.isoformat(), "--keep")
            assert (done.code, done.json["verdict"]) == (0, "PASS"), done
            assert done.json["recovery"]["log"]["timeline"] == 1
            found = back(done, f"select ({NOTES}), (select string_agg(client || ' ' || n, ',') from acknowledged)")
            notes, _, numbers = found.partition("|")
            assert notes == "first taken back"
            assert {tuple(map(int, pair.split())) for pair in numbers.split(",")} >= commits and len(commits) > 100
            site.backed_up()
            behind = wrote(made, "behind")
            assert eventually(lambda: utc(standing(site)["point"]) > behind, 60), standing(site)
            assert there(site, "latest") == "first anew again behind"
            gone_back(site, made, "latest")
            wrote(made, "third")
            assert eventually(lambda: standing(site)["branch"] == 3 and standing(site)["trouble"] is None, 90), (
                standing(site)
            )
        ship_once(site)
        assert there(site, "latest") == "first anew again behind third"
        assert there(site, last.isoformat()) == "first taken back"
        base = utc(site.records("backup.end")[-1]["snapshot"]["consistent_point"])
        assert eventually(lambda: datetime.now(UTC) - base > timedelta(seconds=40), 60)
        path = site.root / "plans/p.yaml"
        text = path.read_text().replace("assets:", "retention: {keep_last: 1}\nassets:", 1)
        path.write_text(re.sub(r"rpo: \w+", "rpo: 40s", text))  # the log is younger than that, its base is not
        ship_once(site)
        done = site.run("upkeep", "p", "--prune")
        assert done.json["prune"]["result"] == "DONE" and len(done.json["prune"]["removed"]) == 1, done
        assert {WAL.branch(batch.ends) for batch in stored(site).batches} == {2, 3}
        assert there(site, "latest") == "first anew again behind third"
        assert recovered(site, last.isoformat()).code == 2, "no base of that time is kept"


def test_what_was_stored_of_a_former_primary_is_applied_where_it_leads_to_the_moment(tmp_path: Path) -> None:
    """The standby that was promoted lacks what its primary had written last, and that was stored."""
    with based(tmp_path) as (site, made):
        wrote(made, "first")
        lagging(made)
        made.psql("select pg_create_restore_point('mark')", "postgres")
        moment = wrote(made, "there alone")
        wrote(made, "to the last")
        ship_once(site)
        between = failed_over(made)
        promoted = wrote(made, "anew", switch=True)
        ship_once(site)
        ship_once(site)
        assert not standing(site)["gap"] and not stored(site).gaps(WAL)
        (fork,) = stored(site).forks(None)
        assert fork.at is not None and between - timedelta(seconds=2) < fork.at <= promoted, "to the second at least"
        assert there(site, "latest") == "first anew"
        assert there(site, promoted.isoformat()) == "first anew"
        assert there(site, moment.isoformat()) == "first there alone"
        assert there(site, "mark") == "first"
        done = recovered(site, between.isoformat())
        assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
        assert "may mean timeline 1 or timeline 2" in done.json["reason"], done.json["reason"]
        assert f"goes on from {fork.position} and lacks what 1 holds behind that" in done.json["reason"]
        assert "`--timeline 1` or `--timeline 2`" in done.json["reason"], done.json["reason"]
        assert there(site, between.isoformat(), "--timeline", "2") == "first"
        assert there(site, "latest", "--timeline", "1") == "first there alone to the last"
        assert recovered(site, "latest", "--timeline", "7").code == 2
        gone_back(site, made, moment.isoformat())  # behind which a number is taken already
        wrote(made, "third")
        ship_once(site)
        ship_once(site)
        assert standing(site)["branch"] == 3 and not standing(site)["gap"], standing(site)
        assert there(site, "latest") == "first there alone third"
        assert there(site, promoted.isoformat()) == "first anew"


def test_a_recovery_to_the_very_end_of_a_segment_is_followed(tmp_path: Path) -> None:
    """Where the new timeline's log begins with a segment of its own."""
    with based(tmp_path) as (site, made):
        wrote(made, "first")
        made.psql("select pg_create_restore_point('edge')", "postgres")
        made.psql("select pg_switch_wal()", "postgres")
        wrote(made, "taken back", switch=True)
        wrote(made, "too")
        ship_once(site)
        last = rfc3339(utc(standing(site)["point"]))
        gone_back(site, made, "edge")
        wrote(made, "anew")
        ship_once(site)
        assert there(site, "latest") == "first anew"
        assert there(site, last) == "first taken back too"
