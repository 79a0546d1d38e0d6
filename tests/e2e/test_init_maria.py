"""From a MariaDB server's address to a proven restore in three commands; and which of its databases are in no plan."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.test_init import ccdr, lint, proven
from tests.support.mariadb_source import PASSWORD, USER, MariaSource, mariadb_server, small_database

pytestmark = pytest.mark.long

CALLS = "create table t (id int primary key, at datetime); insert into t select seq, now() - interval seq hour from seq_1_to_90;"


@pytest.fixture(scope="module")
def own() -> Iterator[MariaSource]:
    """A server with nothing on it that a test has not made."""
    with mariadb_server("--skip-log-bin") as source:
        yield source


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "dialler.pw").write_text(f"{PASSWORD}\n")
    (tmp_path / "plans" / "dialler.pw").chmod(0o600)
    return tmp_path


LOGIN = ("--password-file", "plans/dialler.pw")


def url(source: MariaSource, user: str, database: str = "", scheme: str = "mysql") -> str:
    return f"{scheme}://{user}@/{database}?socket={source.sockets}"


def test_three_commands_from_an_address_to_a_proven_restore(here: Path, maria: MariaSource) -> None:
    with small_database(maria, "first") as name:
        made = ccdr(here, "init", url(maria, f"{USER}_{name}", name), *LOGIN)
        assert made.code == 0, made
        assert "not transactional: " in made.stdout and "1 MyISAM" in made.stdout
        assert lint(here) == []
        text = (here / "plans" / "first.yaml").read_text()
        assert "not transactional: 3 tables" in text and "password_file: dialler.pw" in text
        (result,) = proven(here, made, bare=True)
        names = [check["name"] for check in result["checks"]]
        assert {"`call` has at least 1500 rows", "newest row of `call`", "CHECK TABLE … EXTENDED"} <= set(names), names
        assert not any("live_agent" in name for name in names), "agents may all be away"
        assert ccdr(here, "status").code == 0
        assert PASSWORD not in made.stdout + made.stderr + text


def test_whole_server_and_what_its_user_lacks(here: Path, own: MariaSource) -> None:
    """Each statement that is told, carried out as it stands, leads to a plan without a finding, and a PASS."""
    user = "init_all"
    for name in ("crm", "odd_name`s", "empty", "closed"):
        own.sql("create database `{}`".format(name.replace("`", "``")))
        if name != "empty":
            own.sql(CALLS, name)
    own.sql(
        f"create user {user}@localhost identified by '{PASSWORD.replace(chr(92), chr(92) * 2).replace(chr(39), chr(39) * 2)}'"
    )
    own.sql(f"grant select on crm.* to {user}@localhost; grant select on `odd\\_name``s`.* to {user}@localhost;"
            f"grant select on empty.* to {user}@localhost; grant select on mysql.* to {user}@localhost")  # fmt: skip
    made = ccdr(here, "init", url(own, user, scheme="mariadb"), *LOGIN, "--name", "all", "--json")
    assert made.code == 1, made
    assert [a["database"] for a in made.json["assets"]] == ["crm", "odd_name`s"]
    assert any("empty is left out" in note for note in made.json["notes"])
    told = made.json["findings"]
    assert any("closed is left out" in f for f in told) and len(told) == 4, told
    *grants, again = made.json["next"]
    assert grants and all(any(f.endswith(grant) for f in told) for grant in grants)
    for finding in told:
        own.sql(finding[finding.index("GRANT ") :])
    made = ccdr(here, *shlex.split(again)[1:])
    assert "--force" in again and made.code == 0, made
    assert lint(here) == []
    assert len(proven(here, made)) == 3


def test_discover_names_databases_that_no_plan_protects(here: Path, maria: MariaSource) -> None:
    """By another address it is the same server: what one plan names, no other plan leaves out."""
    with small_database(maria, "known") as name:
        user = f"{USER}_{name}"
        maria.sql(f"create database forgotten; create database hollow; grant select on *.* to {user}@localhost")
        maria.sql(CALLS, "forgotten")
        try:
            assert ccdr(here, "init", url(maria, user, name), *LOGIN, "--name", "p").code == 0
            found = {u["name"]: u for u in ccdr(here, "discover", "p", "--json").json["unprotected"]}
            assert found["forgotten"]["kind"] == "database" and found["forgotten"]["server"] == str(maria.sockets)
            assert name not in found and "hollow" not in found and "mysql" not in found
            (here / "alias").symlink_to(maria.sockets)
            again = url(maria, user, "forgotten").replace(str(maria.sockets), f"{here}/alias/mysqld.sock")
            ccdr(here, "init", again, *LOGIN, "--name", "q")
            done = ccdr(here, "discover", "--json")
            assert "forgotten" not in {u["name"] for u in done.json["unprotected"]}, done
        finally:
            maria.sql("drop database forgotten; drop database hollow")


def test_wrong_addresses_and_passwords_are_told(here: Path, maria: MariaSource) -> None:
    with small_database(maria, "refusing") as name:
        user = f"{USER}_{name}"
        for given, more, said in (
            (url(maria, user, name), (), "--password-file"),
            (url(maria, "nobody", name), LOGIN, "check the user's name"),
            (url(maria, user, "nowhere"), LOGIN, "sees no database nowhere"),
            (url(maria, user, "mysql"), LOGIN, "belongs to the server itself"),
            (f"mysql://{user}:hush@localhost/{name}", (), "the URL holds a password"),
            (f"mysql://{user}@/{name}?sockett=x", LOGIN, "option sockett is not known"),
        ):
            done = ccdr(here, "init", given, *more)
            assert done.code == 2 and said in done.stderr and "hush" not in done.stderr, (given, done)
        assert not list((here / "plans").glob("*.yaml"))
    for given, code, said in (
        (f"mysql://u@/x?socket={here}/none", 2, "there is no socket at"),
        ("mysql://u@127.0.0.1:9/x", 3, "does a MariaDB server answer there"),
    ):
        done = ccdr(here, "init", given, *LOGIN)
        assert done.code == code and said in done.stderr, done
