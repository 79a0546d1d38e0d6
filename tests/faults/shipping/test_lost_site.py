"""A PostgreSQL server's log, shipped for real: what ccdr says is lost with a site is no less than what is."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from tests.conftest import _image
from tests.support.harness import Site, eventually
from tests.support.primary import Primary, primary
from tests.support.shipping import (
    CLOSE,
    INTERVAL,
    SMALL,
    back,
    log_repo,
    lost_and_reached,
    note,
    plan,
    received,
    recovered,
    ship_once,
    shipping,
    standing,
)

from ccdr.jobs.shipping.log_archive import archive_of
from ccdr.model.values import utc
from ccdr.plans.job import Job

pytestmark = pytest.mark.long


def test_what_a_lost_site_has_lost_is_what_ccdr_says(shipped: Site, source: Primary) -> None:
    """Whatever was acknowledged before the point that was reached is there, and little of what came after it is."""
    with shipping(shipped) as process, source.commits(200):
        time.sleep(INTERVAL)
        before = standing(shipped)["usable"]
        assert eventually(lambda: standing(shipped)["usable"] != before, 60)
        time.sleep(INTERVAL / 2)  # the next is not stored yet; of its last half second the load's list knows nothing
        process.kill()  # together with its spool
        killed = source.kill()
    shutil.rmtree(shipped.state / "shipping")
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    lost, reached = lost_and_reached(done, source, killed)
    assert lost and lost[0] > reached, "never more than it says"
    assert lost[0] - reached < CLOSE, "and not much less"
    assert done.json["rpo"]["achieved_s"] >= (killed - lost[0]).total_seconds()


def test_where_rules_take_turns_it_is_the_latests_turn_that_recovers_by_the_log(shipped: Site, source: Primary) -> None:
    """The oldest base is restored as of itself: what was written since is the log's."""
    base = shipped.records("backup.end")[0]["snapshot"]["id"]
    note(source, "shipped")
    ship_once(shipped)
    path = shipped.root / "plans" / "p.yaml"
    text = path.read_text()
    assert "checks: [crm]" in text
    path.write_text(text.replace("checks: [crm]", "snapshot: [oldest, latest], at: latest, checks: [crm]"))
    rows = "select count(*) from call where note = 'shipped'"
    for rule, there in (("oldest", "0"), ("at", "1"), ("oldest", "0")):
        done = shipped.run("test", "p", "--keep")
        assert (done.code, done.json["verdict"]) == (0, "PASS"), done
        assert (done.json["snapshot"]["selected"], done.json["snapshot"]["id"]) == (rule, base)
        assert (done.json["recovery"] is not None) is (rule == "at") and back(done, rows) == there
    (asset,) = shipped.run("status").json["plans"][0]["assets"]
    assert {rule: said["verdict"] for rule, said in asset["tested_by_rule"].items()} == {"oldest": "PASS", "at": "PASS"}
    path.write_text(text.replace("checks: [crm]", "snapshot: oldest, at: latest, checks: [crm]"))
    assert shipped.run("test", "p").json["snapshot"]["selected"] == "at", "one word beside it means the log, as ever"


def test_a_source_that_dies_alone_has_lost_next_to_nothing(shipped: Site, source: Primary) -> None:
    """What was received is stored although the source is gone."""
    with shipping(shipped), source.commits(200):
        time.sleep(INTERVAL)
        killed = source.kill()
        assert eventually(lambda: standing(shipped)["trouble"] is not None, 30)
        before = standing(shipped)["usable"]
        assert eventually(lambda: standing(shipped)["usable"] != before, 30)
    shipped.ledger_holds()
    assert [r["trouble"] for r in shipped.records("log.shipped")][-2:-1] != [None]
    found = shipped.run("status")
    assert found.code == 1 and "log is not shipped" in found.stdout
    done = recovered(shipped, "latest", "--keep")
    assert done.json["verdict"] == "PASS", done
    lost, reached = lost_and_reached(done, source, killed)
    assert all(when > reached for when in lost) and killed - reached < CLOSE


HEARTBEAT = "select extract(epoch from at) from ccdr.heartbeat"
WRITTEN = "select pg_snapshot_xmax(pg_current_snapshot())"  # counts up with each transaction that writes


@pytest.mark.parametrize("canary", [True, False])
def test_how_far_a_recovery_reaches_is_read_from_the_canary(site: Site, source: Primary, canary: bool) -> None:
    """Nobody else writes, and the source dies long before the next interval: without the row nothing tells that what
    was received since goes further than what was proven received."""
    plan(site, source, "{interval: 10m, canary: {every: 1s}}" if canary else "{interval: 10m}")
    site.backed_up()
    with shipping(site):
        point, usable = utc(standing(site)["point"]), standing(site)["usable"]
        if canary:
            assert eventually(lambda: float(source.psql(HEARTBEAT)) >= point.timestamp() + 4, 60), "it beats"
        else:
            source.psql("select pg_switch_wal(); checkpoint")  # log, and no commit in it
        assert received(site, source)
        source.kill()
        assert eventually(lambda: standing(site)["usable"] != usable, 60), standing(site)
    done = recovered(site, "latest", "--keep")
    assert done.json["verdict"] == "PASS", done
    reached = utc(done.json["recovery"]["reached"]["at"])
    if canary:
        restored = float(back(done, HEARTBEAT))
        newest = archive_of(Job(site.loaded(), "crm"), log_repo(site)).newest
        assert newest is not None and newest.skew is not None
        behind = reached.timestamp() - (restored - newest.skew)  # the row's time is the source's; its commit came after
        assert restored >= point.timestamp() + 4 and -0.001 <= behind < 0.5, (restored, reached, newest.skew)
    else:
        assert back(done, "select to_regclass('ccdr.heartbeat') is null") == "t" and reached == point


def test_nothing_is_written_at_the_source_without_a_canary(site: Site, tmp_path: Path) -> None:
    with primary(tmp_path / "source", _image(), "max_slot_wal_keep_size=1GB", "autovacuum=off") as source:
        source.psql(SMALL)
        for canary in ("", ", canary: {every: 1s}"):
            transactions = source.psql(WRITTEN)
            plan(site, source, f"{{interval: 2s{canary}}}")
            site.backed_up()
            with shipping(site):
                time.sleep(2 * INTERVAL)
            assert (source.psql(WRITTEN) == transactions) == (not canary)
            assert source.psql("select to_regnamespace('ccdr') is null") == ("f" if canary else "t")
