"""A new MariaDB server is what was captured: its clients find their rows once it is started by the lines that ccdr
gives, and it is backed up as the one before it was."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.support.debian import started_by_debian
from tests.support.erased import added, of_its_own
from tests.support.harness import Site
from tests.support.mariadb_source import DATA, MariaSource, image_of
from tests.support.new_server import looked, made
from tests.support.new_server_mariadb import APP, answering, ask, backup_user, started
from tests.support.opened import is_it

# As whoever backs it up may see it.
FACTS = """
set names utf8mb4;
select count(*), sum(crc32(concat_ws(',', id, customer_id, state, started_at, ended_at, seconds, cost, codec + 0))) from crm.`call`;
select sum(crc32(concat_ws(',', id, name, note, hex(voice), settings))) from crm.customer where id <= 202;
select table_name, engine, table_collation from information_schema.tables where table_schema = 'crm' and table_name <> 'made_late' order by 1;
select user, host, json_value(priv, '$.authentication_string'), json_value(priv, '$.plugin'), json_value(priv, '$.access') & 1 from mysql.global_priv where user <> 'root' order by 1, 2;
select event_name, status, definer from information_schema.events where event_schema = 'crm' order by 1;
select routine_name, definer, md5(routine_definition) from information_schema.routines where routine_schema = 'crm' order by 1;
select @@sql_mode, @@lower_case_table_names, @@character_set_server, @@global.time_zone, @@max_connections, @@log_bin, @@binlog_format;
select @@global.auto_increment_increment, @@global.auto_increment_offset, @@global.autocommit, @@global.low_priority_updates;
select convert_tz('2026-01-01', 'Test/Odd', 'Test/Plain');
select @@global.block_encryption_mode, @@global.default_storage_engine, @@global.init_connect, @@global.max_password_errors;
"""
OURS = "select count(*) from mysql.global_priv where user like 'ccdr_sandbox%'"


def facts(container: str, socket: Path) -> str:
    return ask(container, socket, FACTS, *backup_user("crm"))


NEXT = "select auto_increment from information_schema.tables where table_schema = 'crm' and table_name = 'waiting'"


def of_source(server: MariaSource) -> str:
    return facts(server.container, Path("/sockets/mysqld.sock"))


def test_who_was_erased_is_not_beside_its_data_either(site: Site, stored: Site, tmp_path: Path) -> None:
    """What MEMORY tables held is written down for whoever opens it. First of these: the others store more, without."""
    own = of_its_own(site, stored.repo)
    added(own, "asset: crm\nrows: [{table: customer, key: {id: 17}}, {table: live_agent, key: {agent: a2}}]\n")
    added(own, "asset: crm\ntable: customer\nkey: {id: 18}\ncanary: true\nerased_at: 2026-01-01T00:00:00Z\n")
    home = tmp_path / "new"
    done = made(own, "crm", home)
    assert done.code == 0 and done.json["result"] == "RESTORED", done
    (replay,) = own.records("erasure.replay")
    assert (replay["result"], replay["atomic"]) == ("PROVEN", False)
    assert [(one["found_before"], one["found_after"]) for one in replay["found"]] == [(2, 0), (1, 1)]
    kept = (home / "memory.sql").read_bytes()
    assert b"READY" in kept and b"INCALL" not in kept


def test_a_database_is_named_as_its_server_writes_it(site: Site, server: MariaSource) -> None:
    """Which folds names: in what it prints ccdr would not know that of its own database again."""
    plan, user = site.root / "plans/p.yaml", "ccdr_backup_crm@localhost"
    plan.write_text(plan.read_text().replace("database: crm,", "database: CRM,"))
    rights = "select, lock tables, show view, trigger, event, execute on *.*"
    server.sql(f"grant {rights} to {user}")
    try:
        done = site.run("backup", "p", "--asset", "crm")
    finally:
        server.sql(f"revoke {rights} from {user}")
    assert done.code == 1 and "no database CRM" in done.json["reason"] and "SHOW DATABASES" in done.json["hint"], done


def test_of_a_dump_started_by_debian(site: Site, server: MariaSource, tmp_path: Path) -> None:
    home = tmp_path / "new"
    done = made(site, "crm", home)
    assert done.code == 0 and done.json["result"] == "RESTORED", done
    assert {c["status"] for c in done.json["checks"]} == {"PASS"}, done.json["checks"]
    assert sorted(p.name for p in home.iterdir()) == [
        *("binlog", "ccdr-server.json", "data", "log", "memory.sql", "my.cnf", "run", "systemd.conf"),
    ]
    with started_by_debian(image_of("11.8"), home, done.json["start"]["debian"]) as container:
        socket = answering(container, home)
        assert facts(container, socket) == of_source(server)
        assert ask(container, socket, "select @@port") == "23306", "whoever comes by the socket knows of none"
        assert ask(container, socket, "select count(*) from crm.`call`") == "3000"
        assert (
            ask(container, socket, "insert into crm.customer (name) values ('new'); select crm.minutes_of(61)") == "1"
        )
        assert "denied" in ask(container, socket, "select 1", APP, "wrong")
        assert ask(container, socket, "select count(*) from crm.live_agent") == "0"
        assert any("2 MEMORY tables (live_agent, waiting)" in note for note in done.json["notes"])
        (left,) = (note for note in done.json["notes"] if note.startswith("set at the source, and not so here: "))
        assert left.split(" (")[0].split(": ")[1] == "foreign_key_checks, report_host", left
        assert "s3cret" in (home / "my.cnf").read_text()
        assert not [p for p in site.state.rglob("*") if p.is_file() and b"s3cret" in p.read_bytes()]
        wait, refill = done.json["start"]["then"]
        assert " --wait=" in wait, "the lines are pasted together with those that start it"
        for line in (wait, refill):
            subprocess.run(["docker", "exec", container, "sh", "-ec", line], check=True, capture_output=True)
        assert ask(container, socket, "select count(*) from crm.live_agent") == "2"
        assert ask(container, socket, NEXT) == "10", "as the source gives it, and not behind its rows"
        (look,) = done.json["start"]["look"]
        told = subprocess.run(
            ["docker", "exec", container, "sh", "-ec", look], check=True, capture_output=True, text=True
        )
        assert re.search(r"\| call +\| ", told.stdout)
        assert ask(container, socket, OURS, *backup_user("crm")) == "0"
        assert ask(container, socket, "show binary logs", *backup_user("crm")).startswith("binlog.000001")
        scheduler = "select @@event_scheduler"
        assert ask(container, socket, scheduler) == "OFF", "the source's was ON"
        (silenced,) = [note for note in done.json["notes"] if note.startswith("silenced: its events")]
        on = silenced.split("`")[1]
        subprocess.run(["docker", "exec", "-u", "root", container, "sh", "-ec", on], check=True, capture_output=True)
        assert ask(container, socket, scheduler) == "ON"
        assert "event_scheduler=ON" in (home / "my.cnf").read_text().splitlines()
        numbers = {
            ask(one, at, "select @@server_id")
            for one, at in ((container, socket), (server.container, "/sockets/mysqld.sock"))
        }
        assert len(numbers) == 2


def test_of_a_copy_and_its_log_started_by_docker_and_backed_up_again(
    site: Site, server: MariaSource, data: Path, moment: dict[str, str], tmp_path: Path
) -> None:
    """To a moment: what was written later is not in it. Its own users back it up, by both methods."""
    home = tmp_path / "new"
    done = made(site, "whole", home, "--at", moment["before"])
    assert done.code == 0 and done.json["result"] == "RESTORED", done
    assert {c["status"] for c in done.json["checks"]} == {"PASS"}, done.json["checks"]
    with started(done.json["start"]["docker"], home) as (container, socket):
        assert facts(container, socket) == of_source(server)
        newest = "select name from crm.customer order by id desc limit 1"
        assert ask(container, socket, newest) == "by the log"
        agents = "select count(*), sum(crc32(concat(agent, state, hex(seat)))) from crm.live_agent"
        assert ask(container, socket, agents) == "0\tNULL", "rows in memory go with a server that is ended"
        for line in done.json["start"]["then"]:
            subprocess.run(
                ["docker", "exec", "-u", "root", container, "sh", "-ec", line], check=True, capture_output=True
            )
        assert ask(container, socket, agents) == server.sql(agents)
        assert ask(container, socket, NEXT) == "10"
        (told,) = (c["actual"] for c in done.json["checks"] if c["name"] == "files")
        assert "made by the log: made_late" in told, "none of the base's own"
        engine = "select engine from information_schema.tables where table_name = 'made_late'"
        assert ask(container, socket, engine) == "MyISAM", "the source's own engine, which no log names"
        assert ask(container, socket, OURS, *backup_user("crm")) == "0"
        assert re.search(r"\| call +\| ", looked(done.json["start"], container))
        assert is_it(site, "whole", home, done.json["run"])
        assert not is_it(site, "whole", home, "another recovery")
        assert not is_it(site, "whole", home, done.json["run"], sockets=server.sockets), "the one that was lost"
        again = moved(site, server, data, home)
        again.backed_up()
        once = again.run("ship", "p", "--once")
        assert once.code != 0 and "made new by ccdr" in once.stderr, once
        assert again.run("ship", "p", "--once").code == 0
        assert ask(container, socket, "insert into crm.customer (name) values ('in the new one'); commit") == ""
        assert again.run("ship", "p", "--once").code == 0
        tested = again.run("test", "p", "--asset", "whole", "--at", "latest")
        assert (tested.code, tested.json["verdict"]) == (0, "PASS"), tested


def moved(site: Site, server: MariaSource, data: Path, home: Path) -> Site:
    """The plan names the new server now."""
    repository = site.repo.resolve()
    site.repo.unlink()
    shutil.copytree(repository, site.repo)
    plan = site.root / "plans/p.yaml"
    text = plan.read_text().replace(str(server.sockets), str(home / "run"))
    plan.write_text(text.replace(str(data / DATA), str(home / "data")))
    return site
