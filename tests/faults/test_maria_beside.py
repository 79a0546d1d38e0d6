"""Two MariaDB databases of one server, brought back side by side onto one other server: they need the same users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.harness import Site, eventually
from tests.support.mariadb_source import PASSWORD, USER, MariaSource, _text, mariadb_server, small_database

NAMES = ("side", "sidetwo")  # whoever has rights in `side%` is needed by both
ASSET = """
{name}:
  engine: mariadb
  connection: {{host: {sockets}, user: {user}_{name}, database: {name}, password_file: crm.pw}}
  backup: {{schedule: "*/30 * * * *"}}
  restore_test: {{schedule: "0 3 * * *", checks: [{name}]}}
"""
CHECKS = "restore_test: {name}\nchecks:\n  - {{kind: identical}}\n"
SLOW = "create table slow (id int, filler varchar(2000)); insert into slow select seq, repeat('x', 2000) from seq_1_to_2000"
OF_THE_FIRST = (
    r"from information_schema.processlist where concat_ws(' ', db, info) like '%side\_ccdr%' and user = 'dba'"
)
KILL = f"delimiter //\nbegin not atomic for a in (select id {OF_THE_FIRST}) do kill a.id; end for; end//"
ODD = "side odd'user@%"


@pytest.fixture
def site(maria: MariaSource, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    with small_database(maria, NAMES[0]), small_database(maria, NAMES[1]):
        maria.sql(SLOW, NAMES[0])
        made.write("plans/crm.pw", f"{PASSWORD}\n", mode=0o600)
        for name in NAMES:
            made.write(f"restore_tests/{name}.yaml", CHECKS.format(name=name))
        made.plan("".join(ASSET.format(name=n, sockets=maria.sockets, user=USER) for n in NAMES))
        made.backed_up()
        yield made


def users(server: MariaSource) -> set[str]:
    return set(server.sql("select concat(user, '@', host) from mysql.user").splitlines())


def test_the_users_they_share_are_made_once_and_stay_with_the_one_that_is_back(site: Site, maria: MariaSource) -> None:
    with mariadb_server("--skip-log-bin", "--sql-mode=") as target:
        target.sql(f"create user dba@localhost identified by {_text(PASSWORD)}")
        target.sql("grant all privileges on *.* to dba@localhost with grant option")
        site.write("pw", f"{PASSWORD}\n", mode=0o600)
        url = f"mysql://dba@/{{name}}?socket={target.sockets}"
        lines = [f"  {name}: {{server: '{url.format(name=name)}', password_file: pw}}\n" for name in NAMES]
        to = site.write("targets.yaml", "targets:\n" + "".join(lines))
        process = site.start("recover", "p", "--to", str(to), "--yes-i-mean", "p", "--json")
        made = "select count(*) from information_schema.schemata where schema_name like 'side%\\_ccdr%'"
        assert eventually(lambda: target.sql(made) == "2", 60), "both have their users"
        with target.session("flush tables with read lock", "mysql"):
            loading = f"select count(*) {OF_THE_FIRST}"
            assert eventually(lambda: target.sql(loading) != "0", 60), "it is not in its load"
            target.sql(KILL, check=False)
        process.communicate(timeout=120)
        states = {r["asset"]: r["result"] for r in site.records("restore.end")}
        assert states == {"side": "FAILED", "sidetwo": "RESTORED"}
        assert ODD in users(target), "who has rights in the one that is back"
        assert f"{USER}_side@localhost" not in users(target), "whom nobody needs now"
        done = site.run("recover", "--resume")
        assert (done.code, done.json["state"]) == (0, "done"), done
        assert {ODD, "side_user@10.%", "sidetwo_user@10.%"} <= users(target)
        assert target.sql("select count(*) from slow", "side") == "2000"
