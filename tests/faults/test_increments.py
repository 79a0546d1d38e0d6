"""Increments of a server: as good as all that they build upon, and never better."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import _image
from tests.support.cluster import DATA, Cluster, cluster
from tests.support.copied import add_copies, copied
from tests.support.harness import SMALL, Quiet, Ran, Site, eventually, texts
from tests.support.pages import commands
from tests.support.primary import Primary, primary
from tests.support.shipping import SMALL as CALLS
from tests.support.shipping import back, note, plan, recovered, ship_once
from tests.support.stored import copy_of, left, restic_of

import ccdr.jobs.restore.into_directory
import ccdr.jobs.restore_test.course
from ccdr.engines.postgres.physical import parents
from ccdr.jobs.backup import backup
from ccdr.jobs.restore import Request, restoring
from ccdr.jobs.restore_test import RestoreTest, restore_test
from ccdr.model.errors import UsageProblem
from ccdr.model.values import Verdict
from ccdr.plans.job import Job
from ccdr.ports.log import RecoveryTarget

pytestmark = pytest.mark.long

INCREMENTAL = "method: physical\nincremental: {full_every: 7d}"
CHECKS = """\
restore_test: crm
checks:
  - {kind: identical}
  - {kind: rows, table: call, at_least: 3000}
"""
MORE = """
insert into call (customer_id, state, started_at) select 1, 'lost', now() from generate_series(1, 50);
update kept set n = n + 1 where n < 50;
"""


def prepared(made: Cluster) -> Cluster:
    """With a tablespace of its own, which increments hold, too."""
    made.run("mkdir", f"{made.tablespaces}/one")
    made.renamed("crm")
    made.psql(SMALL, "crm")
    made.psql(f"create tablespace one location '{made.tablespaces}/one'")
    made.psql("create table kept (n int) tablespace one; insert into kept select generate_series(1, 20000)", "crm")
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    root = tmp_path_factory.mktemp("increments")
    root.chmod(0o755)
    with cluster(root / "server", summarize_wal="on") as made:
        yield prepared(made)


@pytest.fixture(scope="module")
def chained(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A full base and two increments."""
    site = Site(tmp_path_factory.mktemp("chained"))
    site.crm(server, "crm", INCREMENTAL, checks=CHECKS)
    for _ in range(3):
        site.backed_up()
        server.psql(MORE, "crm")
    return site


@pytest.fixture
def site(chained: Site, tmp_path: Path) -> Site:
    return copy_of(chained, tmp_path / "site")


def test_a_time_without_a_zone_is_read_in_that_of_the_source(tmp_path: Path) -> None:
    """The restored server has a configuration of ours, and the source's zone in it."""
    ask = "  - {{kind: freshness, name: {0}, query: select max(at) from {0}, within: 1h}}\n"
    tmp_path.chmod(0o755)
    with cluster(tmp_path / "server", timezone="Asia/Kolkata") as source:
        source.psql("create database zoned")
        for table, age in (("old", "5 hours 35 minutes"), ("new", "10 minutes")):
            source.psql(f"create table {table} as select localtimestamp - interval '{age}' as at", "zoned")
        site = Site(tmp_path)
        checks = "restore_test: crm\nchecks:\n" + ask.format("old") + ask.format("new")
        site.crm(source, "zoned", "method: physical", checks=checks)
        site.backed_up()
    done = site.run("test", "p")
    assert [(c["name"], c["status"]) for c in done.json["checks"]] == [("old", "FAIL"), ("new", "PASS")], done


def chain_of(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.run("snapshots", "p").json["snapshots"]
    return found


def rpo(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = site.run("status").json["plans"][0]["assets"][0]["rpo"]
    return found


def backed_up(site: Site) -> Ran:
    done = site.run("backup", "p")
    assert done.json["result"] == "STORED", done
    return done


def builds_upon(done: Ran) -> list[str]:
    found: list[str] = done.json["snapshot"].get("upon", [])
    return found


def test_increments_restore(site: Site) -> None:
    full, first, second = chain_of(site)
    assert full["builds_upon"] == [] and first["builds_upon"] == [full["id"]]
    assert second["builds_upon"] == [full["id"], first["id"]]
    stored = [r["added_bytes"] for r in site.records("backup.end")]
    assert max(stored[1:]) < stored[0] / 2
    site.write("restore_tests/crm.yaml", CHECKS + "  - {kind: integrity}\n")
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    files = next(c for c in done.json["checks"] if c["name"].startswith("files"))
    assert "put together of 3 snapshots" in files["actual"]
    assert done.json["rto"]["achieved_s"] >= done.json["phases"]["fetch"] + done.json["phases"]["load"]
    assert not left(site)


def hooked(site: Site, harm: Callable[[Path], None]) -> RestoreTest:
    """A restore test in which `harm` is done to what was fetched, before anything looks at it."""
    real = ccdr.jobs.restore_test.course.fetch_bases

    def fetch_bases(repo: Any, engine: Any, bases: Any, restored: Path, progress: Any) -> None:
        real(repo, engine, bases, restored, progress)
        harm(restored)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ccdr.jobs.restore_test.course, "fetch_bases", fetch_bases)
        return restore_test(Job(site.loaded(), "crm"), "latest", site.services(), Quiet())


def flipped(file: Path) -> None:
    """One byte in its middle is another one."""
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 2)
        byte = opened.read(1)
        opened.seek(-1, 1)
        opened.write(bytes([byte[0] ^ 1]))


def largest(directory: Path, pattern: str) -> Path:
    return max((p for p in directory.rglob(pattern) if p.is_file()), key=lambda p: p.stat().st_size)


HARMS: dict[str, Callable[[Path], None]] = {
    "a byte of the increment": lambda at: flipped(largest(at / "data" / "base", "INCREMENTAL.*")),
    "a byte of the increment before": lambda at: flipped(largest(at / "upon/1/data/base", "INCREMENTAL.*")),
    "a byte of the full base": lambda at: flipped(largest(at / "upon/0/data/base", "[0-9]*")),
    "a byte in a tablespace of the increment": lambda at: flipped(largest(at / "tablespaces", "INCREMENTAL.*")),
    "a byte of the increment's log": lambda at: flipped(largest(at / "data/pg_wal", "0*")),
    "a file of the full base is gone": lambda at: largest(at / "upon/0/data/base", "[0-9]*").unlink(),
    "the full base is left out": lambda at: shutil.rmtree(at / "upon/0/data"),
    "the first increment in the full base's place": lambda at: put_for(at / "upon/1/data", at / "upon/0/data"),
}


def put_for(one: Path, other: Path) -> None:
    shutil.rmtree(other)
    shutil.copytree(one, other, symlinks=True)


@pytest.mark.parametrize("harm", HARMS)
def test_damage_in_any_part_of_a_chain_fails(site: Site, harm: str) -> None:
    done = hooked(site, HARMS[harm])
    assert (done.verdict, int(done.exit_code)) == (Verdict.FAIL, 1), (done.reason, done.checks)
    assert not left(site)


def test_an_undamaged_chain_passes_the_same_way(site: Site) -> None:
    done = hooked(site, lambda at: None)
    assert (done.verdict, int(done.exit_code)) == (Verdict.PASS, 0), (done.reason, done.checks)


def test_another_base_in_the_full_ones_place_fails(site: Site, server: Cluster) -> None:
    """Whole by its own manifest, of the same server, and not the one that was built upon."""
    site.crm(server, "crm", "method: physical", checks=CHECKS)
    other = backed_up(site).json["snapshot"]["id"]
    restic_of(site.root, "restore", other, "--target", str(site.root / "other"))
    data = next((site.root / "other").rglob("backup_manifest")).parent
    services = site.services()
    second = services.catalogue.snapshots("p", "crm")[2]
    assert second.upon
    job = Job(site.loaded(), "crm")
    real = ccdr.jobs.restore_test.course.fetch_bases

    def fetch_bases(repo: Any, engine: Any, bases: Any, restored: Path, progress: Any) -> None:
        real(repo, engine, bases, restored, progress)
        put_for(data, restored / "upon/0/data")
        put_for(data.parent / "tablespaces", restored / "upon/0/tablespaces")

    assert restore_test(job, second.id, site.services(), Quiet()).verdict is Verdict.PASS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ccdr.jobs.restore_test.course, "fetch_bases", fetch_bases)
        done = restore_test(job, second.id, site.services(), Quiet())
    assert (done.verdict, int(done.exit_code)) == (Verdict.FAIL, 1), (done.reason, done.checks)


def test_another_snapshot_under_the_full_ones_id_fails(site: Site) -> None:
    """The catalogue's entry of the full base is of another one: nothing is built upon that."""
    full, first, _ = (site.state / "catalogue/p/crm" / f"{s['id']}.json" for s in chain_of(site))
    entry, other = json.loads(full.read_text()), json.loads(first.read_text())
    other["snapshot"]["id"] = entry["snapshot"]["id"]
    full.write_text(json.dumps(other) + "\n")
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL") and "another one" in done.json["reason"], done
    assert done.json["rpo"]["verdict"] == rpo(site)["verdict"] == "BREACHED"


def test_an_increment_whose_full_base_vanished_is_none(site: Site, server: Cluster, tmp_path: Path) -> None:
    full, *_ = chain_of(site)
    assert rpo(site)["verdict"] == "MET"
    restic_of(site.root, "forget", full["id"])
    found = site.run("snapshots", "p")
    said = " ".join(texts(found.json["findings"]))
    assert found.code == 1 and f"depends on {full['id'][:8]}, which is not there" in said, found
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL") and "not there" in done.json["reason"], done
    assert done.json["rpo"] == {"objective_s": 3600, "achieved_s": None, "verdict": "BREACHED"}
    with pytest.raises(UsageProblem, match="there is no snapshot"):
        restored(site, tmp_path / "back")
    again = backed_up(site)
    assert builds_upon(again) == [] and "not there" in again.json["notes"][0], again
    done = site.run("test", "p")
    assert done.json["verdict"] == "PASS" and done.json["rpo"]["verdict"] == "MET", done


def test_nothing_is_built_upon_what_vanished(site: Site) -> None:
    *_, second = chain_of(site)
    restic_of(site.root, "forget", second["id"])
    done = backed_up(site)
    assert builds_upon(done) == [] and f"{second['id'][:8]}, vanished" in done.json["notes"][0], done
    (asset,) = site.run("status").json["plans"][0]["assets"]
    assert "SNAPSHOT_VANISHED" in {one["code"] for one in asset["troubles"]}, "what the backup learned is told at once"


def test_without_the_increment_between_only_the_full_base_is_left(site: Site, tmp_path: Path) -> None:
    full, first, _ = chain_of(site)
    restic_of(site.root, "forget", first["id"])
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    oldest = site.run("test", "p", "--snapshot", full["id"])
    assert oldest.json["verdict"] == "PASS", oldest


def test_what_disproves_the_full_base_disproves_its_increments(site: Site) -> None:
    full, *_ = chain_of(site)
    job = Job(site.loaded(), "crm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ccdr.jobs.restore_test.course,
            "fetch_bases",
            lambda r, e, b, at, p: flipped(largest(at / "data/base", "[0-9]*")),
        )
        done = restore_test(job, full["id"], site.services(), Quiet())
    assert done.verdict is Verdict.FAIL and rpo(site) == {
        "objective_s": 3600,
        "achieved_s": None,
        "verdict": "BREACHED",
    }
    again = backed_up(site)
    assert builds_upon(again) == [] and "failed its test" in again.json["notes"][0], again
    assert rpo(site)["verdict"] == "MET"


def test_an_increment_that_passes_later_is_good_again(site: Site) -> None:
    """It has read every byte of what it builds upon."""
    full, *_ = chain_of(site)
    job = Job(site.loaded(), "crm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ccdr.jobs.restore_test.course,
            "fetch_bases",
            lambda r, e, b, at, p: flipped(largest(at / "data/base", "[0-9]*")),
        )
        restore_test(job, full["id"], site.services(), Quiet())
    assert site.run("test", "p").json["verdict"] == "PASS"
    assert rpo(site)["verdict"] == "MET"


def restored(site: Site, to: Path) -> Any:
    with restoring(Job(site.loaded(), "crm"), Request(to=str(to)), site.services(), Quiet()) as one:
        one.carry_out(Quiet())
    return one.result


def test_restored_for_real_it_is_one_whole_directory(site: Site, server: Cluster, tmp_path: Path) -> None:
    back = tmp_path / "back"
    result = restored(site, back)
    assert (result.result, int(result.exit_code)) == ("RESTORED", 0), result
    assert not result.left_behind and not left(site)
    there = ["captured", "ccdr-manifest.json", "data", "settings.json", "tablespaces"]
    assert sorted(p.name for p in back.iterdir()) == there
    assert not list(back.rglob("INCREMENTAL.*"))
    links = [p for p in (back / "data/pg_tblspc").iterdir() if p.is_symlink()]
    assert links and all(p.resolve().is_relative_to(back) for p in links)
    answered(back, server)


def answered(back: Path, server: Cluster) -> None:
    """A server of the same version runs on it."""
    there = f"{server.tablespaces}/{back.parent.name}-{back.name}"
    shutil.copytree(back, there, symlinks=True)
    script = f"""set -e
      cp -r {there} /var/lib/postgresql/again; cd /var/lib/postgresql/again; chmod 700 data
      pg_verifybackup -q -i postgresql.conf data
      pg_ctl -D data -w -s -l /tmp/again.log -o "-c port=5444 -c listen_addresses= -c unix_socket_directories=/sockets -c fsync=off" start
      psql -XqAt -h /sockets -p 5444 -U postgres -d crm -c 'select count(*) >= 3100 from call, (select count(*) from kept) k where k.count = 20000'
      pg_ctl -D data -w -s -m immediate stop; rm -rf /var/lib/postgresql/again"""
    for path in Path(there).rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o055)
    Path(there).chmod(0o755)
    assert server.run("bash", "-c", script).strip() == "t"


def test_damage_is_found_before_anything_is_given_its_name(site: Site, tmp_path: Path) -> None:
    real = ccdr.jobs.restore.into_directory.fetch_bases

    def fetch_bases(repo: Any, engine: Any, bases: Any, at: Path, progress: Any) -> None:
        real(repo, engine, bases, at, progress)
        flipped(largest(at / "upon/0/data/base", "[0-9]*"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ccdr.jobs.restore.into_directory, "fetch_bases", fetch_bases)
        result = restored(site, tmp_path / "back")
    assert result.result != "RESTORED" and "not what was captured" in result.reason, result
    assert not list(tmp_path.glob("*back*")) and not left(site)


def test_put_together_by_hand(site: Site, server: Cluster) -> None:
    """As docs/how-to/recover.md says, with restic and PostgreSQL's own tools."""
    there = server.tablespaces / "by-hand"
    there.mkdir()
    ids = dict(zip(("FULL", "NEXT", "LAST"), (s["id"] for s in chain_of(site)), strict=True))
    root = site.services().catalogue.snapshots("p", "crm")[0].root
    lines = commands("how-to/recover.md", "By hand: a whole PostgreSQL server")
    words = {**ids, "CAPTURED": root, "/restore": str(there)}
    said = [re.sub("|".join(words), lambda match: words[match[0]], line) for line in lines]
    assert sum(line.startswith("restic") for line in said) == 3
    for line in said:
        if line.startswith("restic"):
            restic_of(site.root, *shlex.split(line)[1:])
    subprocess.run(["chmod", "-R", "a+rwX", there], check=True)
    done = server.run("sh", "-c", "\n".join(["set -e", *(line for line in said if not line.startswith("restic"))]))
    assert "BAD" not in done
    answered(there / "whole", server)


# --- why a base is a full one ------------------------------------------------------------------------------


def test_without_summaries_of_its_log_every_base_is_a_full_one(tmp_path: Path) -> None:
    """Off is a finding, with the next step; that there are none any more is told in a note."""
    tmp_path.chmod(0o755)
    (tmp_path / "site").mkdir()
    site = Site(tmp_path / "site")
    with cluster(tmp_path / "server") as made:
        site.crm(prepared(made), "crm", INCREMENTAL, checks=CHECKS)
        done = backed_up(site)
        assert done.code == 1 and builds_upon(done) == [] and "summarize_wal = on" in texts(done.json["findings"])[0], (
            done
        )
        assert "keeps no summaries" in site.run("doctor", "p").stdout
        made.psql("alter system set summarize_wal = on; select pg_reload_conf()")
        assert backed_up(site).code == 0  # upon the first, where the server still had the log to summarize
        assert builds_upon(backed_up(site))
        made.psql(MORE + "checkpoint;", "crm")
        upto = made.psql("select redo_lsn from pg_control_checkpoint()")
        written = f"select bool_or(end_lsn >= '{upto}') from pg_available_wal_summaries()"
        assert eventually(lambda: made.psql(written) == "t")
        made.run("bash", "-c", f"rm -f {DATA}/pg_wal/summaries/*")
        done = backed_up(site)
        assert done.code == 0 and builds_upon(done) == [] and "no increment" in done.json["notes"][0], done
        test = site.run("test", "p")
        assert (test.code, test.json["verdict"]) == (0, "PASS"), test


def test_another_server_is_built_upon_nothing(site: Site, server: Cluster, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with cluster(tmp_path / "other", summarize_wal="on") as other:
        prepared(other)
        site.crm(other, "crm", INCREMENTAL, checks=CHECKS)
        with pytest.MonkeyPatch.context() as patch:  # it is asked before; the server would not take it either
            patch.setattr(parents, "_SAME", {})
            done = ccdr_backup(site)
        assert done.snapshot is not None and not done.snapshot.upon and "no increment" in done.notes[0], done
        site.crm(server, "crm", INCREMENTAL, checks=CHECKS)
        done = backed_up(site)
        assert builds_upon(done) == [] and "another server" in done.json["notes"][0], done
        assert len(builds_upon(backed_up(site))) == 1


def ccdr_backup(site: Site) -> Any:
    return backup(Job(site.loaded(), "crm"), site.services(), Quiet())


def test_a_new_timeline_begins_with_a_full_base(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with cluster(tmp_path / "server", summarize_wal="on") as made:
        (tmp_path / "site").mkdir()
        site = Site(tmp_path / "site")
        site.crm(prepared(made), "crm", INCREMENTAL, checks=CHECKS)
        site.backed_up()
        assert len(builds_upon(backed_up(site))) == 1
        made.stop()
        made.run("touch", f"{DATA}/recovery.signal")
        made.start(summarize_wal="on", restore_command="false")
        assert eventually(lambda: made.psql("select pg_is_in_recovery()") == "f")
        made.psql("checkpoint")
        done = backed_up(site)
        assert builds_upon(done) == [] and "timeline" in done.json["notes"][0], done
        assert len(builds_upon(backed_up(site))) == 1
        test = site.run("test", "p")
        assert (test.code, test.json["verdict"]) == (0, "PASS"), test


def test_a_source_whose_disk_was_put_back_is_built_upon_nothing(tmp_path: Path) -> None:
    """Its identity, its timeline and its number of bytes are as they should be, and PostgreSQL takes the increment."""
    tmp_path.chmod(0o755)
    states = "select v, count(*) from early group by 1 order by 1"
    with cluster(tmp_path / "server", summarize_wal="on") as made:
        prepared(made).psql(EARLY, "crm")
        (tmp_path / "site").mkdir()
        site = Site(tmp_path / "site")
        site.crm(made, "crm", INCREMENTAL, checks=CHECKS)
        site.backed_up()
        made.stop()
        made.run("cp", "-a", DATA, f"{DATA}.kept")
        made.start(summarize_wal="on")
        made.psql("update early set v = 'old' where id <= 5000; checkpoint", "crm")
        assert len(builds_upon(backed_up(site))) == 1
        made.stop()
        made.run("sh", "-c", f"rm -r {DATA} && mv {DATA}.kept {DATA}")
        made.start(summarize_wal="on")
        made.psql(
            "delete from early where id > 55000; update early set v = 'new' where id between 6000 and 9000", "crm"
        )
        made.psql("checkpoint")
        made.psql("create table log as select repeat(md5(n::text), 20) from generate_series(1, 100000) n", "crm")
        done = backed_up(site)
        assert builds_upon(done) == [] and "does not lead on" in done.json["notes"][0], done
        want = made.psql(states, "crm")
        assert len(builds_upon(backed_up(site))) == 1, "and from there on as ever"
        test = site.run("test", "p", "--keep")
        assert (test.code, test.json["verdict"]) == (0, "PASS"), test
        assert back(test, states, "crm") == want and "new|3001" in want


EARLY = """
create table early (id int, v text);
insert into early select n, 'base' from generate_series(1, 60000) n;
alter table early set (autovacuum_enabled = off);
"""


def test_the_manifest_that_is_held_is_used_only_if_it_is_the_right_one(site: Site) -> None:
    """Else it is fetched; and where the one in the repository is not to be had, a full base is taken."""
    held = site.state / "index/p.crm.backup_manifest"
    held.write_text(held.read_text().replace("a", "b", 1))
    assert len(builds_upon(backed_up(site))) == 3
    held.unlink()
    assert len(builds_upon(backed_up(site))) == 4
    test = site.run("test", "p")
    assert (test.code, test.json["verdict"]) == (0, "PASS"), test


# --- retention ---------------------------------------------------------------------------------------------


def keeping(site: Site, rule: str) -> None:
    plan = site.root / "plans/p.yaml"
    plan.write_text(plan.read_text().replace("assets:\n", f"retention: {rule}\nassets:\n", 1))


def test_prune_keeps_what_a_kept_increment_builds_upon(site: Site, server: Cluster) -> None:
    keeping(site, "{keep_last: 1}")
    full, first, second = (s["id"] for s in chain_of(site))
    assert site.run("test", "p").json["verdict"] == "PASS"
    planned = site.run("upkeep", "p", "--prune", "--dry-run")
    why = {d["id"]: d["why"] for d in planned.json["prune"]["decisions"]}
    assert all(f"snapshot {second[:8]} depends on it" in why[one] for one in (full, first)), planned
    done = site.run("upkeep", "p", "--prune")
    assert done.code == 0 and [s["id"] for s in chain_of(site)] == [full, first, second], done
    assert site.run("test", "p").json["verdict"] == "PASS"
    # Once a full base follows, and has passed, the whole chain goes.
    site.crm(server, "crm", "method: physical", checks=CHECKS)
    keeping(site, "{keep_last: 1}")
    newest = backed_up(site).json["snapshot"]["id"]
    assert site.run("test", "p").json["verdict"] == "PASS"
    done = site.run("upkeep", "p", "--prune")
    assert done.code == 0 and [s["id"] for s in chain_of(site)] == [newest], done


# --- killed ------------------------------------------------------------------------------------------------


def test_a_killed_increment_leaves_the_chain_as_it_was(site: Site, server: Cluster) -> None:
    """Killed while pg_basebackup writes it: the next one builds upon the same."""
    before = chain_of(site)
    server.psql(MORE, "crm")
    site.crm(server, "crm", f"{INCREMENTAL}\nmax_rate: 32KiB", checks=CHECKS)
    capture = site.state / "scratch/capture/p/crm/ccdr-capture"
    process = site.start("backup", "p")
    assert eventually(lambda: (capture / "data/base").is_dir() and (capture / "ccdr-base").is_file(), 60)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    site.run("sandbox", "reap")
    assert chain_of(site) == before
    site.crm(server, "crm", INCREMENTAL, checks=CHECKS)
    done = backed_up(site)
    assert builds_upon(done) == [s["id"] for s in before], done
    test = site.run("test", "p")
    assert (test.json["verdict"], test.code) == ("PASS", 0), test
    assert not left(site)
    site.ledger_holds()


# --- with a shipped log ------------------------------------------------------------------------------------


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[tuple[Site, Primary]]:
    """An increment, and log that leads on from it."""
    settings = ("max_slot_wal_keep_size=1GB", "summarize_wal=on")
    with primary(tmp_path / "source", _image(), *settings) as source:
        source.psql(CALLS)
        (tmp_path / "site").mkdir()
        site = Site(tmp_path / "site")
        plan(site, source)
        text = (site.root / "plans/p.yaml").read_text()
        site.write("plans/p.yaml", text.replace("method: physical\n", "method: physical\n    incremental: {}\n"))
        assert builds_upon(backed_up(site)) == []
        note(source, "before the increment")
        assert len(builds_upon(backed_up(site))) == 1
        note(source, "after the increment")
        ship_once(site)
        yield site, source


def test_recovered_by_the_log_from_an_increment(shipped: tuple[Site, Primary], tmp_path: Path) -> None:
    site, _ = shipped
    increment = chain_of(site)[-1]
    done = recovered(site, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert done.json["snapshot"]["id"] == increment["id"] and increment["builds_upon"]
    assert back(done, "select count(*) from call") == "102"
    asked = Request(to=str(tmp_path / "back"), at=RecoveryTarget())
    with restoring(Job(site.loaded(), "crm"), asked, site.services(), Quiet()) as one:
        one.carry_out(Quiet())
    assert one.result.result == "RESTORED" and one.result.snapshot and one.result.snapshot.upon, one.result
    assert not (tmp_path / "back/data/recovery.signal").exists() and not list(
        (tmp_path / "back").rglob("INCREMENTAL.*")
    )
    assert len(chain_of(site)) == 2 and not left_of(site)
    from_a_copy_with_the_rest_gone(site, tmp_path)


def from_a_copy_with_the_rest_gone(site: Site, tmp_path: Path) -> None:
    """The increment, its base and the log are found there by the ids that they were first stored under."""
    add_copies(site, "offsite")
    done = copied(site)
    assert done["there"] == {"crm": 2} and done["log_copied"] >= 1 and "crm" in done["log_until"], done
    again = copied(site)
    assert (again["copied"], again["log_copied"], again["log_until"]) == ({}, 0, done["log_until"])
    here, there = chain_of(site), site.run("snapshots", "p", "--from", "offsite")
    assert there.code == 0 and [s["builds_upon"] for s in there.json["snapshots"]] == [s["builds_upon"] for s in here]
    shutil.rmtree(site.repo)
    tested = site.run("test", "p", "--from", "offsite", "--at", "latest")
    assert (tested.code, tested.json["verdict"]) == (0, "PASS"), tested
    assert tested.json["snapshot"]["id"] == here[-1]["id"]
    words = [
        "restore",
        "p",
        "--asset",
        "crm",
        "--from",
        "Site offsite",
        "--at",
        "latest",
        "--to",
        str(tmp_path / "far"),
    ]
    back = site.run(*words, "--yes-i-mean", "far")
    assert back.code == 0 and not (tmp_path / "far/data/recovery.signal").exists(), back
    site.ledger_holds()


def left_of(site: Site) -> list[str]:
    """But for what a kept sandbox needs."""
    return [one for one in left(site) if "run-" not in one]


def test_without_its_full_base_nothing_is_recovered_by_the_log(shipped: tuple[Site, Primary]) -> None:
    site, _ = shipped
    restic_of(site.root, "forget", chain_of(site)[0]["id"])
    done = recovered(site, "latest")
    assert (done.code, done.json["verdict"]) == (1, "FAIL") and "depends on" in done.json["reason"], done
    assert done.json["rpo"]["verdict"] == "BREACHED"
