"""MariaDB's binary log, shipped and recovered by: what is claimed is never more than what comes back."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.faults.test_shipping import (
    CLOSE,
    INTERVAL,
    log_repo,
    recovered,
    ship_once,
    shipping,
    standing,
    started,
    stored_again,
    trouble,
    without_repository,
)
from tests.support.harness import Quiet, Ran, Site, eventually, image_on
from tests.support.mariadb_source import (
    DATA,
    MariaSource,
    acknowledged,
    crm,
    data_directory,
    dialling,
    image_of,
    mariadb_server,
    whole_server,
)

from ccdr.engines.mariadb import MariaDB
from ccdr.engines.mariadb.accounts import SANDBOX_USER
from ccdr.engines.mariadb.server import SOCKET
from ccdr.jobs.restore_test import restore_test
from ccdr.jobs.shipping.log_repository import archive_of
from ccdr.model.values import Manifest, Verdict, utc
from ccdr.plans.job import Job
from ccdr.ports.log import Reached, Target
from ccdr.ports.place import Place

CHECKS = """
restore_test: crm
checks:
  - {kind: identical}
  - {kind: integrity}
  - {kind: rows, table: agents, at_least: 1}
"""
SMALL = """
create database crm; use crm;
create table calls (id int auto_increment primary key, note varchar(80) not null);
create table agents (id int primary key, state varchar(9)) engine = myisam;
insert into calls (note) select concat('call ', seq) from seq_1_to_100; insert into agents values (1, 'READY');
create user ccdr_backup_crm@localhost identified by 'correct "horse'' #of \\\\the; dialler';
grant all on *.* to ccdr_backup_crm@localhost;
"""


@pytest.fixture
def data() -> Path:
    return data_directory()


@pytest.fixture
def source(data: Path) -> Iterator[MariaSource]:
    with mariadb_server("--log-bin=binlog", "--binlog-format=ROW", data=data) as made:
        made.sql(SMALL)
        yield made


@pytest.fixture
def shipped(site: Site, source: MariaSource, data: Path) -> Site:
    """Backed up once: its log leads on from there."""
    crm(site, source, "crm", whole_server(data, "{interval: 2s, canary: {every: 1s}}"), checks=CHECKS)
    site.backed_up()
    return site


def back(done: Ran, sql: str) -> str:
    """What the kept sandbox of a recovery answers; it is removed then."""
    name = f"ccdr-{done.json['run']}"
    argv = [
        "docker",
        "exec",
        "-i",
        name,
        "mariadb",
        "--no-defaults",
        f"--socket={SOCKET}",
        f"--user={SANDBOX_USER}",
        "-BN",
    ]
    try:
        return subprocess.run(argv, input=sql, check=True, capture_output=True, text=True).stdout.strip()
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=True, capture_output=True)


def test_what_a_lost_site_has_lost_is_what_ccdr_says(shipped: Site, source: MariaSource, tmp_path: Path) -> None:
    """Whatever was acknowledged before the point that was reached is there, and little of what came after it is."""
    with shipping(shipped) as process, dialling(source, tmp_path, 200):
        time.sleep(2 * INTERVAL)
        process.kill()
        source.kill()
        killed = datetime.now(UTC)
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    there = set(map(int, back(done, "select n from crm.acknowledged").split()))
    known, reached = acknowledged(tmp_path), utc(done.json["recovery"]["reached"]["at"])
    lost = sorted(when for number, when in known.items() if number not in there)
    assert len(known) > 20 and there and lost, "the newest were lost"
    assert lost[0] > reached, "never more than it says"
    assert lost[0] - reached < CLOSE, "and not much less"
    assert done.json["rpo"]["achieved_s"] >= (killed - lost[0]).total_seconds()


def test_log_is_received_while_the_repository_is_away(shipped: Site, source: MariaSource) -> None:
    """And nothing of it is lost, though what ships is killed meanwhile."""

    def spooled(text: str) -> bool:
        spool = shipped.state / "shipping/p/crm/spool"
        return any(text.encode() in path.read_bytes() for path in spool.iterdir())

    with shipping(shipped) as process, without_repository(shipped):
        assert eventually(lambda: "no repository" in trouble(shipped), 60), standing(shipped)
        usable = standing(shipped)["usable"]
        source.sql("insert into crm.calls (note) values ('first'); flush binary logs")
        assert eventually(lambda: spooled("first"), 30), standing(shipped)
        found = shipped.run("status")
        assert found.code == 1 and "log is not shipped" in found.stdout, found
        process.kill()
        process.wait()
        source.sql("insert into crm.calls (note) values ('second')")
        with started(shipped):
            assert eventually(lambda: spooled("second"), 60), standing(shipped)
            assert spooled("first") and standing(shipped)["usable"] == usable
            (shipped.root / "hidden").rename(shipped.repo)
            assert eventually(lambda: standing(shipped)["trouble"] is None, 120), standing(shipped)
    assert not standing(shipped)["gap"]
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    sql = "select group_concat(note order by id separator ' ') from crm.calls where id > 100"
    assert back(done, sql) == "first second"


def process_of(program: str, word: str) -> int | None:
    """Wherever it runs."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            argv = path.read_text(errors="replace").split("\0")
            if Path(argv[0]).name == program and any(word in each for each in argv):
                return int(path.parent.name)
    return None


@pytest.mark.parametrize("caught_up", [True, False])
def test_what_was_received_is_not_lost_while_it_is_received_anew(
    shipped: Site, source: MariaSource, data: Path, caught_up: bool
) -> None:
    """A receiver that is started again empties the file that it left off in, and the source dies right then: only the
    spool has what was not stored yet."""
    log = shipped.state / "shipping/p/crm/spool"
    with shipping(shipped), without_repository(shipped):
        assert eventually(lambda: "no repository" in trouble(shipped), 60), standing(shipped)
        source.sql(
            "use crm; create table crm.voice (id int auto_increment primary key, sound longblob);"
            "insert into crm.voice (sound) select repeat(char(65 + seq % 26), 1 << 20) from seq_1_to_100;"
            "insert into crm.calls (note) values ('received')"
        )
        (name, size) = source.sql("show master status").split()[:2]
        open_ = log / name
        assert eventually(lambda: open_.stat().st_size >= int(size), 60), list(log.iterdir())
        server, receiver = process_of("mariadbd", str(data)), process_of("mariadb-binlog", str(shipped.state))
        assert server and receiver
        before = (open_.stat().st_ino, int(size))

        def begun_anew() -> bool:
            with contextlib.suppress(FileNotFoundError):
                return (open_.stat().st_ino, open_.stat().st_size) != before
            return False

        os.kill(receiver, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while not begun_anew():
            assert time.monotonic() < deadline
        if caught_up:
            assert eventually(lambda: open_.stat().st_size >= int(size), 60)
        os.kill(server, signal.SIGKILL)
        assert (open_.stat().st_size >= int(size)) == caught_up, "the fault was really there"
        (shipped.root / "hidden").rename(shipped.repo)
        usable = standing(shipped)["usable"]
        assert eventually(lambda: standing(shipped)["usable"] != usable, 90), standing(shipped)
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert back(done, "select note from crm.calls where id > 100; select count(*) from crm.voice") == "received\n100"


def test_any_moment_can_be_gone_back_to(shipped: Site, source: MariaSource) -> None:
    source.sql("insert into crm.calls (note) values ('first')")
    time.sleep(1.1)  # the log tells whole seconds
    moment = source.sql("select utc_timestamp()")
    time.sleep(1.1)
    source.sql(
        "create database later; create table later.t (i int); insert into later.t values (1);"
        "update crm.agents set state = 'BUSY'; flush binary logs; insert into crm.calls (note) values ('second')"
    )
    gtid = source.sql("select @@gtid_binlog_pos")
    source.sql("truncate table crm.calls")
    ship_once(shipped)
    sql = "select coalesce(group_concat(note order by id separator ' '), '-') from crm.calls where id > 100"
    for at, expected in ((f"{moment}+00:00", "first"), (gtid, "first second"), ("latest", "-")):
        done = recovered(shipped, at, "--keep")
        assert (done.code, done.json.get("verdict")) == (0, "PASS"), (at, done)
        assert back(done, sql) == expected, at
    for nowhere in ("no-such-point", "0-1-999999", "0-1-1"):  # the last one is of before the base
        assert recovered(shipped, nowhere).code == 2


def test_a_restore_for_real_can_go_back_to_any_moment_too(shipped: Site, source: MariaSource, tmp_path: Path) -> None:
    """What it says has to be done is done, word for word."""
    source.sql("insert into crm.calls (note) values ('first')")
    time.sleep(1.1)
    moment = source.sql("select utc_timestamp()")
    time.sleep(1.1)
    source.sql("insert into crm.calls (note) values ('second')")
    ship_once(shipped)
    target = tmp_path / "back"
    argv = ["restore", "p", "--asset", "crm", "--at", f"{moment}+00:00", "--to", str(target), "--yes-i-mean", "back"]
    done = shipped.run(*argv)
    assert (done.code, done.json["result"]) == (0, "RESTORED"), done
    (said,) = [note for note in done.json["notes"] if "mariadb-binlog" in note]
    prepare, _, rest = said.partition(";")
    client = "mariadb --no-defaults -S /tmp/s"
    apply = rest.partition("TZ=UTC: ")[2].replace(" …the files after it", "").replace("mariadb --", f"{client} --")
    start = f"""set -e
    {prepare} 2>/dev/null
    chown -R mysql {target}
    mariadbd --no-defaults --user=mysql --datadir={target}/data --socket=/tmp/s --skip-networking --skip-grant-tables 2>/tmp/err &
    server=$!
    until mariadb --no-defaults -S /tmp/s -e 'select 1' >/dev/null 2>&1; do
      kill -0 $server || {{ cat /tmp/err >&2; exit 1; }}
      sleep 0.1
    done
    export TZ=UTC
    {apply}
    {client} -BN -e "select note from crm.calls where id > 100"
    """
    run = image_on(target)
    box = [*run, image_of("11.8")]
    found = subprocess.run([*box, "timeout", "60", "bash", "-c", start], capture_output=True, text=True, check=False)
    subprocess.run([*box, "chown", "-R", "0:0", str(target)], check=True)
    assert found.stdout.split()[-1:] == ["first"], found


def test_log_that_the_source_let_go_is_a_gap(shipped: Site, source: MariaSource) -> None:
    ship_once(shipped)
    for _ in range(3):
        source.sql("insert into crm.calls (note) values ('lost'); flush binary logs")
    newest = source.sql("show master status").split()[0]

    def purged() -> bool:
        """What the server still sends to a receiver that has gone, and was not missed yet, it does not purge."""
        source.sql(f"purge binary logs to '{newest}'")
        return len(source.sql("show binary logs").splitlines()) == 1

    assert eventually(purged, 60)
    ship_once(shipped)
    assert standing(shipped)["gap"]
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (1, "FAIL") and "missing between" in done.json["reason"], done
    shipped.backed_up()
    ship_once(shipped)
    assert recovered(shipped, "latest").json["verdict"] == "PASS"


NOTES = "select group_concat(note order by id separator ' ') from crm.calls where id > 100"


@pytest.mark.parametrize("seen_first", [True, False], ids=["shipped before the new base", "backed up first"])
def test_a_source_whose_log_was_begun_anew_is_shipped_on_behind_a_new_base(
    shipped: Site, source: MariaSource, seen_first: bool
) -> None:
    """As that of a server that was recovered is: lower numbers, and soon the same names, of another history. What was
    received of the old one is stored first, and can be gone back to."""
    source.sql("flush binary logs; insert into crm.calls (note) values ('first'); flush binary logs")
    ship_once(shipped)
    last = standing(shipped)["point"]
    time.sleep(1.1)  # a log tells the second in which it was begun
    source.sql("reset master; insert into crm.calls (note) values ('anew')")
    if not seen_first:
        shipped.backed_up()
    done = shipped.run("ship", "p", "--once")
    assert done.code != 0 and "its log begun anew" in done.stdout + done.stderr, done
    if seen_first:
        found = shipped.run("status")
        assert found.code == 1 and "a new base backup is needed: run `ccdr backup p`" in " ".join(found.stdout.split())
        shipped.backed_up()
    for text in ("behind", "the same names"):
        source.sql(f"insert into crm.calls (note) values ('{text}'); flush binary logs")
        ship_once(shipped)
    assert "its log" not in shipped.run("status").stdout
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert back(done, NOTES) == "first anew behind the same names"
    done = recovered(shipped, last, "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert back(done, NOTES) == "first"


def test_a_log_that_was_begun_anew_under_the_same_name_is_not_taken_for_the_old_one(
    shipped: Site, source: MariaSource
) -> None:
    """The first file of either history has the same name."""
    source.sql("insert into crm.calls (note) values ('first')")
    ship_once(shipped)
    last = standing(shipped)["point"]
    time.sleep(1.1)  # a log tells the second in which it was begun
    source.sql("use crm; reset master; insert into calls (note) select 'unseen' from seq_1_to_50")
    done = shipped.run("ship", "p", "--once")
    assert done.code != 0 and "its log begun anew" in done.stdout + done.stderr, done
    assert shipped.run("status").code == 1
    shipped.backed_up()
    done = recovered(shipped, "latest")  # a base of the new history, and log of the old one
    assert (done.code, done.json["verdict"]) == (1, "FAIL") and "gone back behind its own log" in done.json["reason"], (
        done
    )
    done = recovered(shipped, last, "--keep")  # up to where it was known
    assert done.json["verdict"] == "PASS" and back(done, NOTES) == "first", done


def test_a_log_that_was_begun_anew_behind_its_base_asks_for_a_new_one(shipped: Site, source: MariaSource) -> None:
    """Nothing was shipped yet: the base alone knows how its log began."""
    time.sleep(1.1)
    source.sql("reset master; insert into crm.calls (note) values ('after')")
    done = shipped.run("ship", "p", "--once")
    assert done.code != 0 and "begun anew" in done.stdout + done.stderr and "backup" in done.stdout + done.stderr, done
    shipped.backed_up()
    ship_once(shipped)
    assert recovered(shipped, "latest").json["verdict"] == "PASS"


def test_log_that_is_cut_short_is_a_failure(shipped: Site, source: MariaSource, tmp_path: Path) -> None:
    source.sql("insert into crm.calls (note) values ('first')")
    time.sleep(1.1)  # the log tells whole seconds
    moment = f"{source.sql('select utc_timestamp()')}+00:00"
    ship_once(shipped)
    assert recovered(shipped, moment).json["verdict"] == "PASS"
    repo, job = log_repo(shipped), Job(shipped.loaded(), "crm")
    batch = archive_of(job, repo).batches[-1]
    copy = tmp_path / "copy"
    repo.restore(batch.id, batch.root, copy)
    log = copy / f"{batch.open}.open"
    log.write_bytes(log.read_bytes()[:-40])  # in the middle of an event
    stored_again(shipped, batch, copy)
    for at in ("latest", moment):
        done = recovered(shipped, at)
        assert (done.code, done.json["verdict"]) == (1, "FAIL") and "the log ends at" in done.json["reason"], done
        assert batch.position in done.json["reason"]


def test_a_change_that_is_damaged_in_the_sources_own_log_fails(shipped: Site, source: MariaSource, data: Path) -> None:
    """By its checksum: the receiver passes it on, and it would be applied as if it were whole. Before it all is well."""
    source.sql("insert into crm.calls (note) values ('before')")
    time.sleep(1.1)  # the log tells whole seconds
    moment = f"{source.sql('select utc_timestamp()')}+00:00"
    source.sql("insert into crm.calls (note) values ('spoilt'); flush logs; insert into crm.calls (note) values ('b')")
    (log,) = [f for f in (data / DATA).glob("binlog.0*") if b"spoilt" in f.read_bytes()]
    log.write_bytes(log.read_bytes().replace(b"spoilt", b"spoile"))
    ship_once(shipped)
    done = recovered(shipped, moment)
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert f"the log's {log.name} is damaged: an event in it" in done.json["reason"]


def test_a_copy_that_was_changed_is_a_failure_before_a_server_runs_on_it(
    shipped: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shipped.run("test", "p").json["verdict"] == "PASS"
    load = MariaDB.load

    def harmed(self: MariaDB, box: Place, restored: Path, manifest: Manifest) -> None:
        path = restored / "data/crm/agents.MYD"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        load(self, box, restored, manifest)

    monkeypatch.setattr(MariaDB, "load", harmed)
    done = restore_test(Job(shipped.loaded(), "crm"), "latest", shipped.services(), Quiet())
    assert done.verdict is Verdict.FAIL and "not what was captured" in str(done.reason)


def test_a_table_of_any_database_that_is_not_well_is_a_failure(shipped: Site, source: MariaSource, data: Path) -> None:
    """The whole server is captured, so all of it is read through, and not the database alone that the plan names."""
    source.sql(
        "create database ivr; use ivr;"
        "create table menu (id int auto_increment primary key, said varchar(80), key (said)) engine = myisam;"
        "insert into menu (said) select concat('press ', seq) from seq_1_to_500;"
        "create table live (id int) engine = memory; insert into live values (1); flush tables;"
        "create table `odd\tname\n\\ ``\"'\u2028` (id int); create table crm.`a\tb\\n;` (id int)"
    )
    shipped.backed_up()
    done = shipped.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    (objects,) = [c for c in done.json["checks"] if c["name"] == "objects of crm"]
    assert "1 MEMORY table of the server, empty here" in objects["actual"]
    harm = "head -c 2000 /dev/zero | tr '\\0' x | dd of=menu.MYI bs=1 seek=2048 conv=notrunc status=none"
    argv = ["docker", "exec", "-w", f"{data / DATA}/ivr", source.container, "bash", "-ec", harm]
    subprocess.run(argv, check=True, capture_output=True)
    shipped.backed_up()
    done = shipped.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    (check,) = [c for c in done.json["checks"] if c["name"] == "CHECK TABLE … EXTENDED"]
    assert check["actual"] == "ivr.menu is not well"


def test_a_table_of_an_engine_that_the_source_loads_by_its_own_options_is_no_failure(site: Site, data: Path) -> None:
    with mariadb_server("--log-bin=binlog", "--plugin-load-add=ha_archive", data=data) as made:
        made.sql(f"{SMALL} create database ivr; create table ivr.old (id int) engine = archive;")
        made.sql("insert into ivr.old values (1)")
        crm(site, made, "crm", whole_server(data), checks=CHECKS)
        site.backed_up()
        done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done


def test_a_log_that_is_filtered_is_not_shipped(site: Site, data: Path) -> None:
    filters = ("--binlog-do-db=other", "--binlog-ignore-db=crm")
    with mariadb_server("--log-bin=binlog", "--binlog-format=ROW", *filters, data=data) as made:
        made.sql(SMALL)
        crm(site, made, "crm", whole_server(data, "{interval: 2s}"), checks=CHECKS)
        site.backed_up()
        done = site.run("ship", "p", "--once")
        assert done.code != 0 and "does not hold every change" in done.stdout + done.stderr, done
        assert "binlog_do_db (other)" in done.stderr and "binlog_ignore_db (crm)" in done.stderr, done
        assert "point" not in standing(site) or standing(site)["point"] is None
        assert site.run("test", "p").json["verdict"] == "PASS", "the copy itself is whole"


def test_a_log_that_was_filtered_when_the_base_was_taken_leads_nowhere(
    shipped: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship_once(shipped)
    recover = MariaDB.recover

    def lacking(self: MariaDB, box: Place, restored: Path, log: Path, manifest: Manifest, target: Target) -> Reached:
        told = replace(manifest, contents={**manifest.contents, "log_lacks": "binlog_do_db (x)"})
        return recover(self, box, restored, log, told, target)

    monkeypatch.setattr(MariaDB, "recover", lacking)
    done = restore_test(Job(shipped.loaded(), "crm"), "latest", shipped.services(), Quiet(), at=Target())
    assert done.verdict is Verdict.FAIL and "binlog_do_db (x)" in str(done.reason)


def test_a_copy_of_a_replica_that_stands_still_is_no_backup(shipped: Site, source: MariaSource) -> None:
    ship_once(shipped)
    source.sql("change master to master_host='192.0.2.1', master_user='x', master_password='x'")
    for verb in (["backup", "p"], ["ship", "p", "--once"]):
        done = shipped.run(*verb)
        assert done.code != 0 and "does not replicate at present" in done.stdout + done.stderr, done
    source.sql("reset slave all")
    shipped.backed_up()
    ship_once(shipped)


def test_changes_that_are_logged_as_statements_are_not_proven(shipped: Site, source: MariaSource) -> None:
    source.sql("insert into crm.calls (note) values ('a row'); analyze table crm.calls; create table crm.more (i int)")
    source.sql("create user someone@localhost; alter table crm.agents add column seat int; drop user someone@localhost")
    ship_once(shipped)
    assert recovered(shipped, "latest").json["verdict"] == "PASS"
    source.sql("set binlog_format = statement; /* app */\ninsert into crm.calls (note) values (uuid())")
    ship_once(shipped)
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    assert "1 changes are in the log as statements" in done.json["reason"]


AS_STATEMENT = """
set session binlog_format = statement; use crm; DELETE FROM calls
where crc32(uuid()) % 2 = 0; /* nightly
 of the day */ update calls set note = uuid(); /*M! insert into calls (note) values (uuid()) */;
"""
NOT_THE_SAME_AGAIN = {
    "set session binlog_format = statement; create table made as select id, uuid() as u from calls":
        "1 change in the log is a CREATE TABLE … SELECT",
    "alter table calls add u varchar(40) default (concat('a', uuid()))": "whose default calls uuid()",
    "alter ignore table twice add unique (a)": "ALTER IGNORE TABLE that keeps of equal rows the one that lies first",
    "alter table keyless add id int auto_increment primary key": "ALTER TABLE that numbers rows in the order in which",
    "set session binlog_alter_two_phase = on; alter table agents add u uuid default uuid()": "ALTER TABLE in two phases",
    "create user a@h; create user a@h, b@h": "a statement that ended in an error half-way",
    "grant select on crm.* to current_user()": "about the user who ran it",
}  # fmt: skip


def test_what_may_not_do_the_same_again_is_not_proven(shipped: Site, source: MariaSource) -> None:
    """Each was seen to do otherwise. Rows of a table without a key lie in the order in which sessions wrote them, and
    the log has that of their commits."""
    source.sql("use crm; create table keyless (a int); create table twice (a int, b int); create table listed (a int)")
    with source.session("begin; insert into keyless values (1); insert into twice values (1, 1)", "crm") as first:
        source.sql("use crm; insert into keyless values (2); insert into twice values (1, 2)")
        assert first.stdin
        first.stdin.write("commit;\n")
    for sql in NOT_THE_SAME_AGAIN:
        source.sql(f"use crm; {sql}", check="a@h" not in sql)
    ship_once(shipped)
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    assert not [why for why in NOT_THE_SAME_AGAIN.values() if why not in done.json["reason"]], done.json["reason"]
    shipped.backed_up()
    source.sql("drop table crm.listed, crm.missing", check=False)
    ship_once(shipped)
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    assert "the log drops a table that is not there" in done.json["reason"]
    source.sql(AS_STATEMENT)
    ship_once(shipped)
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    assert "3 changes are in the log as statements" in done.json["reason"]


def test_definitions_that_do_the_same_again_are_proven(shipped: Site, source: MariaSource) -> None:
    """Though they name what differs each time."""
    source.sql(
        "use crm; create table made as select id, uuid() as u from calls;"
        "create table keyed (id int primary key, u uuid default uuid(), user varchar(80));"
        "insert into keyed (id, user) values (1, 'a'), (2, 'b'); alter table keyed add index user (user);"
        "alter table keyed modify u uuid not null default uuid(), add at datetime(6) default now(6);"
        "create view named as select uuid() as u; create procedure filled() update keyed set u = uuid();"
        "create trigger marked before insert on keyed for each row set new.user = concat('x', rand());"
        "insert into keyed (id) values (3); call filled();"
        "alter table calls add said varchar(40) default 'uuid()' comment 'it''s rand()' /* default\n uuid() */;"
        "begin; insert into calls (note) values ('a'); savepoint s; insert into calls (note) values ('b');"
        "insert into agents values (2, 'BUSY'); rollback to s; commit; optimize table agents; truncate agents;"
        "insert into agents values (3, 'READY');"
        "create procedure told() /* why */ select 1 /* what */; create table past (a int, b text) with system versioning;"
        "insert into past values (1, 'x'), (1, 'x'), (2, 'y'); update past set a = 3 where a = 1 limit 1;"
        "set system_versioning_alter_history = keep; alter table past add c int default 5; delete from past where a = 2;"
        "create sequence numbers cache 5; create table numbered (n int default nextval(numbers), a int);"
        "insert into numbered (a) values (1), (2); select setval(numbers, 90); insert into numbered (a) values (3);"
        "xa start 'open'; insert into numbered values (7, 7); xa end 'open'; xa prepare 'open'"
    )
    for image in ("MINIMAL", "NOBLOB"):
        source.sql(
            f"set session binlog_row_image = {image}; use crm; create table {image} (a int, f float, n varchar(9), b blob,"
            f"v int as (a + 1) virtual); insert into {image} (a, f, n, b) values (1, 1.1, null, repeat('b', 3000)),"
            "(1, 1.1, null, repeat('b', 3000)), (2, -0.0, 'x ', null), (2, 0.0, 'x', null), (3, 3e7, 'ü', 'c');"
            f"update {image} set n = 'once' where a = 1 limit 1; delete from {image} where a = 2 limit 1;"
            f"update {image} set f = f * 3 where a = 1; delete from {image} where n is null limit 1"
        )
    ship_once(shipped)
    sql = (
        "use crm; select * from made order by id; select * from keyed order by id; select * from calls order by id;"
        "show create procedure told; select *, row_start, row_end from past for system_time all order by row_start, a;"
        "select * from numbered order by n; select * from numbers; xa recover;"
        "select a, f, n, md5(b), v from MINIMAL order by a, f, n; select a, f, n, md5(b), v from NOBLOB order by a, f, n"
    )
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert back(done, sql) == source.sql(sql)


SETTINGS = {
    "binlog_expire_logs_seconds = 3600, global binlog_row_image = MINIMAL": [
        "the source keeps its log for 1h 00m only",
        "binlog_row_image is MINIMAL: set it to FULL",
    ],
    "binlog_format = MIXED": ["binlog_format is MIXED: set it to ROW"],
    "binlog_format = STATEMENT": ["binlog_format is STATEMENT: set it to ROW"],
}


def test_a_setting_of_the_source_that_makes_its_log_worth_less_is_told(
    site: Site, source: MariaSource, data: Path
) -> None:
    """By what ships, by `status`, and by the test where it cannot be carried out for it."""
    crm(site, source, "crm", whole_server(data, "{interval: 2s}"), checks=CHECKS)
    for setting, told in SETTINGS.items():
        source.sql(f"set global {setting}")
        site.backed_up()
        source.sql("insert into crm.calls (note) values ('a row'); update crm.calls set note = 'told' where id = 7")
        ship_once(site)
        findings, status = " ".join(standing(site)["findings"]), " ".join(site.run("status").stdout.split())
        assert all(each in findings and each in status for each in told), (findings, status)
        done = recovered(site, "latest", "--keep")
        if "format" in setting:
            assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
            assert "2 changes are in the log as statements" in done.json["reason"]
        else:
            assert (done.code, done.json["verdict"]) == (0, "PASS"), done
            rows = "select count(*), sum(note = 'told') from crm.calls"
            assert back(done, rows) == source.sql(rows)


def test_a_session_that_sets_its_time_ahead_makes_nothing_newer(shipped: Site, source: MariaSource) -> None:
    """Neither what was reached, nor where in the log a moment lies."""
    source.sql(
        "set timestamp = unix_timestamp() + 3600; insert into crm.calls (note) values ('ahead');"
        "set timestamp = default; set timestamp = unix_timestamp() - 60; insert into crm.calls (note) values ('old');"
    )
    time.sleep(1.1)
    moment = source.sql("select utc_timestamp()")
    time.sleep(1.1)
    source.sql("insert into crm.calls (note) values ('after')")
    gtid = source.sql("select @@gtid_binlog_pos")
    source.sql("set timestamp = unix_timestamp() + 3600; insert into crm.calls (note) values ('last')")
    ship_once(shipped)
    done = recovered(shipped, f"{moment}+00:00")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    assert "times do not tell" in done.json["reason"]
    assert recovered(shipped, gtid).json["verdict"] == "PASS"
    done = recovered(shipped, "latest", "--keep")
    assert done.json["verdict"] == "PASS", done
    assert utc(done.json["recovery"]["reached"]["at"]) <= datetime.now(UTC)
    sql = "select group_concat(note order by id separator ' ') from crm.calls where id > 100"
    assert back(done, sql) == "ahead old after last"


def test_a_moment_that_the_base_itself_reaches_to_needs_no_log(shipped: Site, source: MariaSource) -> None:
    earlier = source.sql("select @@gtid_binlog_pos")
    source.sql("insert into crm.calls (note) values ('in the base')")
    gtid = source.sql("select @@gtid_binlog_pos")
    shipped.backed_up()
    time.sleep(1.1)
    moment = source.sql("select utc_timestamp()")
    time.sleep(1.1)
    ship_once(shipped)
    sql = "select group_concat(note order by id separator ' ') from crm.calls where id > 100"
    for at in (gtid, f"{moment}+00:00"):
        done = recovered(shipped, at, "--keep")
        assert (done.code, done.json.get("verdict")) == (0, "PASS"), (at, done)
        assert back(done, sql) == "in the base", at
    domain, server, number = gtid.split("-")
    done = recovered(shipped, f"{domain}-{server}-{int(number) + 1000}")
    assert done.code == 2 and "no log that is stored has a point named" in done.stdout + done.stderr, done
    done = recovered(shipped, earlier, "--keep")
    assert (done.code, done.json.get("verdict")) == (0, "PASS"), done
    assert back(done, sql) == "NULL", "an earlier base leads to what lies before this one"
