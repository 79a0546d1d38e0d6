"""What a new server is set to, and what is told of what it is not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.manifests import a_manifest

from ccdr.engines.mariadb.engine import MariaDB
from ccdr.engines.postgres.engine import Postgres
from ccdr.engines.postgres.inventory import Inventory
from ccdr.engines.postgres.new_server import configuration as conf
from ccdr.engines.postgres.new_server import here
from ccdr.engines.postgres.new_server.homes import initdb_options
from ccdr.engines.postgres.physical.capture import emptied
from ccdr.engines.postgres.server_settings import compared, for_server
from ccdr.engines.servers.target import set_otherwise
from ccdr.jobs.restore.new_server import LOADED, Loaded
from ccdr.jobs.restore.opening import closed_to, owner_of
from ccdr.model.errors import UsageProblem
from ccdr.model.values import CheckResult, Verdict, utc
from ccdr.ports.log import Reached
from ccdr.ports.new_server import Owner, Site
from ccdr.sandbox.docker import Image

HOME = Path("/srv/crm")
CAPTURED = {
    "max_connections": "200",
    "max_wal_senders": "3",
    "wal_level": "logical",
    "archive_mode": "on",
    "ssl": "on",
    "timezone": "Europe/Bucharest",
}
ENGINE = Postgres.model_validate(
    {"engine": "postgres", "connection": {"host": "/run/x", "user": "ccdr", "database": "crm"}}
)


def settings(site: Site, captured: dict[str, str] = CAPTURED, more: dict[str, str] | None = None) -> dict[str, str]:
    lines = conf.postgresql_conf(site, 5433, captured, more or {}).splitlines()[1:]
    return {key: value.strip("'") for key, _, value in (line.partition(" = ") for line in lines)}


def test_it_listens_where_the_plan_says_and_keeps_what_its_log_and_standbys_need() -> None:
    made = settings(Site(HOME, mark="20261128T030000-1"))
    assert made["listen_addresses"] == "127.0.0.1" and made["port"] == "5433"
    assert made["unix_socket_directories"] == "/srv/crm/run" and made["data_directory"] == "/srv/crm/data"
    assert (
        made["max_connections"] == "200" and made["wal_level"] == "logical" and made["timezone"] == "Europe/Bucharest"
    )
    assert made["max_wal_senders"] == "10" and made[conf.MARK] == "20261128T030000-1"
    assert "archive_mode" not in made and "ssl" not in made
    assert settings(Site(HOME), {"wal_level": "minimal"})["wal_level"] == "replica"


def test_what_was_set_is_taken_but_for_a_stated_list_and_what_the_server_does_not_know() -> None:
    source: dict[str, str | None] = {
        "lock_timeout": "77000", "app.key": "x", "archive_command": "cp", "data_directory": "/d", "primary_conninfo": "h",
        "of_a_library": "on", "log_line_prefix": None, "lc_messages": "xx_YY", "max_stack_depth": "100000",
    }  # fmt: skip
    taken, notes = for_server(source, {n: "" for n in source if n != "of_a_library"})
    assert taken == {"lock_timeout": "77000", "app.key": "x"}
    (note,) = notes
    assert note.endswith(": of_a_library, log_line_prefix")
    assert for_server({"lock_timeout": "0"}, {"lock_timeout": "77"}) == ({"lock_timeout": "0"}, []), "the twin"


def test_on_a_server_that_exists_what_was_set_is_compared() -> None:
    source: dict[str, str | None] = {"lock_timeout": "77000", "work_mem": "4096", "app.key": None, "port": "5432"}
    other, words = set_otherwise(compared(source), {"lock_timeout": "0", "work_mem": "4096", "port": "1"}, "FILE")
    assert " lock_timeout;" in other and "port" not in other and words.endswith("(FILE): app.key")
    assert not list(set_otherwise(compared({"port": "5432"}), {"port": "1"}, "FILE")), "the twin"


def test_the_plans_settings_go_before_all_and_never_take_its_mark() -> None:
    site = Site(HOME, settings={"max_connections": "50", "archive_mode": "on", conf.MARK: "stolen"}, mark="ours")
    made = settings(site, more={"max_logical_replication_workers": "0"})
    assert (made["max_connections"], made["archive_mode"], made[conf.MARK]) == ("50", "on", "ours")
    assert made["max_logical_replication_workers"] == "0"


def test_what_is_not_taken_over_is_told_unless_the_plan_sets_it() -> None:
    assert [text.split(":")[0] for text in conf.told(CAPTURED, {})] == ["it spoke TLS"]
    assert not list(conf.told(CAPTURED, {"ssl": "on"}))
    assert not list(conf.told({"archive_mode": "off", "ssl": "off"}, {}))


def test_which_unlogged_tables_come_back_empty_is_told(wording: SnapshotAssertion) -> None:
    named = emptied({"unlogged": 1, "unlogged_tables": ["public dialler_session"]})
    assert named is not None and "(public.dialler_session)" in named and named == wording
    assert emptied({"unlogged": 0, "unlogged_tables": []}) is None


def test_memory_that_this_host_has_not_is_not_asked_for() -> None:
    gigabyte = {"shared_buffers": str(2**30 // 8192)}
    assert conf.fitted(gigabyte, 8 * 2**30) == (gigabyte, [])
    less, notes = conf.fitted(gigabyte, 2 * 2**30)
    assert less == {"shared_buffers": "512MB"} and "shared_buffers of 1.0 GiB" in notes[0], notes
    assert conf.fitted({}, 2**30) == ({}, [])


@pytest.mark.parametrize(
    ("address", "networks"), [("127.0.0.1", {"127.0.0.1/32", "::1/128"}), ("10.0.0.7", {"samenet"}), ("*", {"samenet"})]
)
def test_passwords_are_taken_from_no_further_than_it_listens(address: str, networks: set[str]) -> None:
    site = Site(HOME, address=address)
    lines = [line.split() for line in conf.pg_hba_conf(site, old_passwords=False).splitlines()[1:]]
    assert {line[3] for line in lines if line[0] == "host"} == networks
    assert {line[-1] for line in lines if line[0] == "host"} == {"scram-sha-256"}
    assert {line[3] for line in lines if line[0] == "local"} == {"peer"}
    assert "md5" in conf.pg_hba_conf(site, old_passwords=True) and "trust" not in conf.pg_hba_conf(
        site, old_passwords=True
    )
    assert ("samenet" in conf.whence(site)) == (networks == {"samenet"})


def test_root_and_its_own_account_are_the_first_superuser() -> None:
    text = conf.pg_ident_conf("postgres", ['o"dd', "ccdr"])
    assert text.splitlines()[1:] == [
        'ccdr postgres "o""dd"', 'ccdr postgres "ccdr"', 'ccdr root "o""dd"', 'ccdr root "ccdr"', r"ccdr /^(.*)$ \1",
    ]  # fmt: skip


def test_libraries_and_locales_that_it_needs() -> None:
    contents = {
        "timezone": "UTC",
        "settings": {"shared_preload_libraries": 'auto_explain, "pg_cron"', "lc_monetary": "ro_RO.UTF-8"},
        "databases": {"a": {"collate": "C.UTF-8", "ctype": "de_DE.UTF-8"}, "b": {"collate": "C", "ctype": "C"}},
    }
    captured = conf.captured_settings(contents)
    assert conf.libraries(captured, {}) == ["auto_explain", "pg_cron"]
    assert conf.libraries(captured, {"shared_preload_libraries": ""}) == []
    assert conf.locales(contents) == {"ro_RO.UTF-8", "de_DE.UTF-8"}
    assert conf.locales({"timezone": "UTC", "settings": {}, "collate": "sv_SE.utf8", "ctype": "C"}) == {"sv_SE.utf8"}
    assert here._plain("ro_RO.UTF-8") == here._plain("ro_RO.utf8") != here._plain("ro_RO")


@pytest.mark.parametrize(
    ("more", "options"),
    [
        ({}, ["--lc-collate=ro_RO.UTF-8", "--lc-ctype=C", "--data-checksums"]),
        ({"data_checksums": False}, ["--lc-collate=ro_RO.UTF-8", "--lc-ctype=C"]),
        ({"data_checksums": False, "version": "18.1"}, ["--no-data-checksums"]),
        ({"locale_provider": "i", "icu_locale": "ro"}, ["--locale-provider=icu", "--icu-locale=ro"]),
        (
            {"locale_provider": "i", "icu_locale": "ro", "icu_rules": "&V << w"},
            ["--icu-locale=ro", "--icu-rules=&V << w"],
        ),
        ({"locale_provider": "b", "icu_locale": "C.UTF-8"}, ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]),
    ],
)
def test_a_cluster_for_a_dump_is_made_as_the_captured_one_was(more: dict[str, object], options: list[str]) -> None:
    facts = {"version": "17.2", "collate": "ro_RO.UTF-8", "ctype": "C", "locale_provider": "c", "icu_locale": None}
    facts |= {"icu_rules": None, "data_checksums": True}
    made = list(initdb_options(Inventory({**facts, **more})))
    assert set(options) <= set(made) and ("--data-checksums" in made) == ("data_checksums" not in more)
    assert made == options or more


def test_a_site_that_no_server_can_have_is_refused() -> None:
    assert ENGINE.new_server(Site(HOME)).port == 5432 and ENGINE.new_server(Site(HOME, port=1)).port == 1
    for site, why in (
        (Site(Path("/srv") / ("n" * 100)), "the socket's path would have"),
        (Site(HOME, sockets=Path("/nowhere/at/all")), "is not there"),
        (Site(HOME, settings={"work_mem = 1\nfsync": "off"}), "is no setting of PostgreSQL"),
    ):
        with pytest.raises(UsageProblem, match=why):
            ENGINE.new_server(site)


def test_lines_that_start_it_name_a_user_that_debian_has(wording: SnapshotAssertion) -> None:
    contents = {"version": "17.2", "bootstrap": "postgres", "database": "crm", "timezone": "UTC"}
    manifest = SimpleNamespace(method="dump", contents=contents)
    maker = ENGINE.new_server(Site(Path("/srv/my crm"), sockets=None))
    named = maker.start_lines(manifest, "postgres:17", Owner(101, 104, "pg"))  # type: ignore[arg-type]
    assert named.debian[0] == wording
    assert named.debian[-1] == "pg_ctlcluster 17 my_crm start"
    (docker,) = named.docker
    assert "--user 101:104" in docker and "-v '/srv/my crm:/srv/my crm'" in docker and "-D '/srv/my crm/data'" in docker
    numbered = maker.start_lines(manifest, "postgres:17", Owner(999, 999))  # type: ignore[arg-type]
    assert numbered.debian[:2] == wording


def test_whose_files_they_are() -> None:
    import pwd

    me = pwd.getpwall()[-1]
    assert owner_of(me.pw_name, "x") == owner_of(str(me.pw_uid), "x") == Owner(me.pw_uid, me.pw_gid, me.pw_name)
    assert owner_of(None, "no-such-user-here") is None and owner_of(None, me.pw_name) is not None
    assert owner_of("1234567", "x") == Owner(1234567, 1234567)
    for name in ("no-such-user-here", "root", "0", str(2**32 - 1)):
        with pytest.raises(UsageProblem):
            owner_of(name, "x")


def test_a_directory_that_its_server_cannot_reach_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    other, mine = Owner(54321, 54321), Owner(tmp_path.stat().st_uid, 54321)
    closed = closed_to(other, tmp_path / "new")
    assert closed is not None and closed in (tmp_path, *tmp_path.parents)
    assert closed_to(mine, tmp_path / "new") is None
    assert closed_to(other, Path("/new")) is None


def test_what_was_loaded_is_read_as_it_was_written(tmp_path: Path) -> None:
    reached = Reached("0/3000060", utc("2026-11-28T03:00:00Z"), None)
    checks = [CheckResult("log", "recovered to the target", Verdict.PASS, "latest", "0/3000060", "a detail")]
    made = Loaded.of("abcd", Image("i", "sha256:1", ()), reached, checks)
    made.write(tmp_path)
    again = Loaded.read(tmp_path)
    assert again is not None and (again.snapshot, again.reached) == ("abcd", reached)
    assert again.checks[0].status is Verdict.PASS and again.checks[0].detail is None, "a detail is nobody's to keep"
    (tmp_path / LOADED).write_text("{}")
    assert Loaded.read(tmp_path) is None and Loaded.read(tmp_path / "nowhere") is None


@pytest.mark.parametrize("engine", [MariaDB, Postgres])
def test_a_password_that_this_host_lacks_is_told_before_anything_is_done(
    engine: type[MariaDB | Postgres], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(here, "lacks", lambda *_: None)
    monkeypatch.setattr(conf, "libraries", lambda *_: ())
    monkeypatch.setattr(conf, "locales", lambda *_: ())
    file = tmp_path / "dialler.pw"
    connection = {"host": "db1.example", "user": "ccdr", "database": "d", "password_file": file}
    asset = engine.model_validate({"engine": engine.__name__.lower(), "connection": connection})
    settings = {"system_time_zone": "UTC", "time_zone": "SYSTEM"}
    contents = {"version": "17.2", "tables": {}, "timezone": "UTC", "settings": settings, "plugins": {}}
    contents |= {"elsewhere": [], "reaching": []}
    maker, manifest = asset.new_server(Site(HOME)), a_manifest(contents=contents)

    def told() -> list[str]:
        return [note for note in maker.notes(manifest, None) if str(file) in note]  # type: ignore[arg-type]

    (note,) = told()
    assert "which no repository holds" in note and "as root of this host" in note
    file.write_text("x\n", "utf-8")
    assert told() == []
