"""A copy that was damaged on purpose must FAIL its restore test, each time by another damage; the copy that nobody
damaged passes in the same run. That a damaged one passes is told until the same damage is found, whoever would have it
quiet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from tests.support import mariadb_source as maria_centre
from tests.support.harness import SQLITE_SMALL, Quiet, Ran, Site, Source, ask_sqlite, containers
from tests.support.harness import small_database as small_postgres
from tests.support.mariadb_source import MariaSource
from tests.support.redis_source import queues, redis_server, small

from ccdr.engines.postgres.questions import damage as damage_postgres
from ccdr.host.processes import Host
from ccdr.jobs.negative_control import negative_control
from ccdr.model.damage import OF_FILES, Damage, NothingToDamage
from ccdr.model.errors import BackupBad
from ccdr.plans.job import Job

CONTROL = 'negative_control: {schedule: "* * * * *"}'


def tree_of(root: Path) -> Path:
    tree = root / "spool"
    (tree / "2026").mkdir(parents=True)
    for name, size in (("2026/one.wav", 30_000), ("two.wav", 9_000), ("three.wav", 12)):
        (tree / name).write_bytes(os.urandom(size))
        os.utime(tree / name, (1_700_000_000, 1_700_000_000))
    (tree / "empty").touch()
    os.utime(tree / "empty", (1_700_000_000, 1_700_000_000))
    return tree


def digests(top: Path) -> dict[str, str]:
    files = (path for path in top.rglob("*") if path.is_file() and "locks" not in path.parts)
    return {str(path.relative_to(top)): sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("n"))
    site.recordings(tree_of(site.root), CONTROL)
    site.backed_up()
    return site


@pytest.mark.parametrize("kind", OF_FILES)
def test_a_damaged_file_is_found_and_the_copy_beside_it_passes(recordings: Site, kind: Damage) -> None:
    site, before = recordings, (digests(recordings.repo), digests(recordings.root / "spool"))
    done = site.run("test", "p", "--negative-control", "--damage", kind.value, "--seed", "7")
    assert (done.code, done.json["result"], done.json["damage"]["kind"]) == (0, "CAUGHT", kind.value), done
    assert (done.json["healthy"]["verdict"], done.json["damaged"]["verdict"]) == ("PASS", "FAIL")
    record = site.records("negative_control.end")[-1]
    assert record["damage"] == {"kind": kind.value, "table": None, "seed": 7}
    assert record["disposal"]["scratch_gone"] and not record["disposal"]["left_behind"]
    assert (digests(site.repo), digests(site.root / "spool")) == before, "it is done to a copy alone"
    site.ledger_holds()
    assert not (words := [n for n in ("one.wav", "two.wav", "three.wav") if n in str(record)]), words


def test_runs_do_another_damage_each_time_and_record_their_seeds(recordings: Site) -> None:
    site = recordings
    before = len(site.records("negative_control.end"))
    for _ in OF_FILES:
        site.run("test", "p", "--negative-control")
    done = [record["damage"] for record in site.records("negative_control.end")[before:]]
    assert {one["kind"] for one in done} == set(OF_FILES)
    assert len({one["seed"] for one in done}) == len(OF_FILES)


def test_beside_a_copy_that_does_not_pass_a_control_shows_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.recordings(tree_of(tmp_path), CONTROL)
    site.backed_up()
    pack = max((p for p in (site.repo / "data").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.seek(100)
        file.write(b"\0" * 100)
    done = site.run("test", "p", "--negative-control")
    assert (done.code, done.json["result"], done.json["damage"]) == (3, "INCONCLUSIVE", None), done
    assert "CONTROL_INCONCLUSIVE" in str(site.run("status").json)


@pytest.mark.parametrize(
    "more", [["--snapshot", "latest"], ["--keep"], ["--damage", "row_changed"], ["--damage", "no"]]
)
def test_what_cannot_be_asked_of_a_control_is_refused(recordings: Site, more: list[str]) -> None:
    before = len(recordings.records())
    assert recordings.run("test", "p", "--negative-control", *more).code == 2
    assert recordings.run("test", "p", "--seed", "1").code == 2
    assert len(recordings.records()) == before


# --- what was loaded ------------------------------------------------------------------------------------------------

BLIND = "restore_test: cdr\nchecks:\n  - {kind: rows, table: call, at_least: 1000}\n"
SEEING = "restore_test: cdr\nchecks:\n  - {kind: identical}\n  - {kind: rows, table: call, at_least: 1000}\n"


def control(site: Site, damage: Damage, seed: int = 1) -> Ran:
    return site.run("test", "p", "--negative-control", "--damage", damage.value, "--seed", str(seed))


def codes(site: Site) -> list[str]:
    return [t["code"] for t in site.run("status").json["plans"][0]["assets"][0]["troubles"]]


def test_that_a_damaged_copy_passes_stands_until_the_same_damage_is_found(tmp_path: Path) -> None:
    """Blind checks are green for ever: whatever they say, nobody may have it quiet."""
    site = Site(tmp_path)
    ask_sqlite(tmp_path / "cdr.db", SQLITE_SMALL)
    site.cdr(tmp_path / "cdr.db", CONTROL, BLIND)
    site.backed_up()
    assert site.run("test", "p").code == 0, "the undamaged snapshot passes"
    done = control(site, Damage.ROW_CHANGED)
    assert (done.code, done.json["result"], done.json["healthy"]["verdict"]) == (1, "PASSED", "PASS"), done
    assert codes(site) == ["CONTROL_PASSED"] and site.run("status").code == 1
    assert site.run("report").json["answer"]["word"] == "Not proven"
    assert site.run("ack", "CONTROL_PASSED", "p", "--asset", "cdr", "--until", "1d", "--why", "noisy").code == 2
    assert control(site, Damage.TABLE_DROPPED, 1).json["result"] == "CAUGHT"
    assert codes(site) == ["CONTROL_PASSED"], "another damage was found: that says nothing of this one"
    site.cdr(tmp_path / "cdr.db", CONTROL, SEEING)
    again = site.run("test", "p", "--negative-control")
    assert (again.code, again.json["result"], again.json["damage"]["kind"]) == (0, "CAUGHT", "row_changed"), again
    assert codes(site) == [] and site.run("status").code == 0
    site.ledger_holds()


ONCE = "restore_test: cdr\nchecks:\n  - {kind: command, argv: [mkdir, /tmp/once], name: once}\n"
ONCE += "  - {kind: rows, table: call, at_least: 1000}\n"


def test_what_fails_without_the_damage_too_catches_nothing(tmp_path: Path) -> None:
    """A program that leaves something behind fails where it has run before. The twin sees the damage beside it."""
    site = Site(tmp_path)
    ask_sqlite(tmp_path / "cdr.db", SQLITE_SMALL)
    site.cdr(tmp_path / "cdr.db", CONTROL, ONCE)
    site.backed_up()
    done = control(site, Damage.ROW_CHANGED)
    assert (done.code, done.json["result"], done.json["damaged"]["verdict"]) == (3, "INCONCLUSIVE", "FAIL"), done
    assert [c["name"] for c in done.json["afterwards"]["checks"] if c["status"] == "FAIL"] == ["once"]
    assert "CONTROL_INCONCLUSIVE" in codes(site)
    site.cdr(tmp_path / "cdr.db", CONTROL, f"{ONCE}  - {{kind: identical}}\n")
    seeing = control(site, Damage.ROW_CHANGED)
    assert (seeing.code, seeing.json["result"]) == (0, "CAUGHT"), seeing
    site.cdr(tmp_path / "cdr.db", CONTROL, BLIND)
    dropped = control(site, Damage.TABLE_DROPPED, 1)
    assert (dropped.json["result"], dropped.json["afterwards"]["verdict"]) == ("CAUGHT", "PASS"), dropped
    site.ledger_holds()


def test_what_cannot_be_fetched_besides_the_damaged_file_catches_nothing(
    recordings: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot that it depends on, say: the file is damaged by then."""
    calls: list[object] = []

    def gone(*_: object) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise BackupBad("a snapshot that it depends on is gone")

    monkeypatch.setattr("ccdr.jobs.restore_test.course.fetch_bases", gone)
    (asset,) = recordings.loaded().plan.assets
    done = negative_control(
        Job(recordings.loaded(), asset), recordings.services(), Quiet(), damage=Damage.FILE_REPLACED, seed=7
    )
    assert (done.result, done.damage) == ("INCONCLUSIVE", Damage.FILE_REPLACED)
    assert done.reason is not None and "depends on" in done.reason


def test_that_another_table_s_damage_is_found_says_nothing_of_the_one_that_was_not(tmp_path: Path) -> None:
    """Each row of a customer is counted, and no call: a row that is removed is found in one of the tables."""
    site = Site(tmp_path)
    ask_sqlite(tmp_path / "cdr.db", SQLITE_SMALL)
    site.cdr(
        tmp_path / "cdr.db", CONTROL, "restore_test: cdr\nchecks:\n  - {kind: rows, table: customer, at_least: 200}\n"
    )
    site.backed_up()
    calls = next(n for n in range(1, 99) if table_of(n) == "call")
    customers = next(n for n in range(1, 99) if table_of(n) == "customer")
    assert control(site, Damage.ROW_REMOVED, calls).json["result"] == "PASSED"
    assert control(site, Damage.ROW_REMOVED, customers).json["result"] == "CAUGHT"
    assert "CONTROL_PASSED" in codes(site)
    again = site.run("test", "p", "--negative-control").json
    assert (again["result"], again["damage"]) == ("PASSED", {"kind": "row_removed", "table": "call", "seed": calls})
    site.cdr(tmp_path / "cdr.db", CONTROL, SEEING)
    assert site.run("test", "p", "--negative-control").json["damage"]["seed"] == calls
    assert "CONTROL_PASSED" not in codes(site)


def table_of(seed: int) -> str:
    """The table that such a control damages."""
    tables = ["call", "customer"]
    Random(Random(seed).randrange(2**32)).shuffle(tables)
    return tables[0]


@pytest.fixture(scope="module")
def postgres(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("n"))
    with small_postgres(source, "control_pg") as name:
        site.crm(source, name, CONTROL)
        site.backed_up()
        yield site


@pytest.fixture(scope="module")
def mariadb(maria: MariaSource, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("n"))
    with maria_centre.small_database(maria, "control_my") as name:
        maria_centre.crm(site, maria, name, CONTROL)
        site.backed_up()
        yield site


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with redis_server("redis") as server:
        small(server)
        site = queues(Site(tmp_path_factory.mktemp("n")), server, CONTROL)
        site.backed_up()
        yield site


@pytest.mark.parametrize(
    ("engine", "damage"),
    [
        ("postgres", Damage.ROW_CHANGED),
        ("postgres", Damage.PAGE_DAMAGED),
        ("mariadb", Damage.ROW_CHANGED),
        ("redis", Damage.KEY_CHANGED),
        ("redis", Damage.FILE_REPLACED),
    ],
)
def test_each_engine_finds_its_damage(engine: str, damage: Damage, request: pytest.FixtureRequest) -> None:
    site: Site = request.getfixturevalue(engine)
    done = control(site, damage)
    assert (done.code, done.json["result"]) == (0, "CAUGHT"), (done.json["reason"], done.json["damaged"], site.words())
    assert (done.json["healthy"]["verdict"], done.json["damaged"]["verdict"]) == ("PASS", "FAIL")
    assert done.json["disposal"]["sandbox_gone"]
    assert not any(done.json["run"] in name for name in containers())
    assert (done.json["damage"]["table"] is not None) == damage.value.startswith("row")
    site.ledger_holds()


def test_a_damage_that_a_trigger_takes_back_is_none(source: Source) -> None:
    """One that fires always does so in the copy, too. The twin is the table beside it."""
    name = "control_trigger"
    source.psql(f"create database {name} template template0")
    env = {"PGHOST": str(source.sockets), "PGUSER": "postgres", "PGDATABASE": name, "PGOPTIONS": ""}
    keeps = (
        "create table t (x text); insert into t values ('a'), ('b');"
        "create function keep() returns trigger language plpgsql as $$ begin new.x := old.x; return new; end $$;"
        "create trigger keep before update on t for each row execute function keep();"
        "alter table t enable always trigger keep;"
    )
    try:
        source.psql(keeps, name)
        with pytest.raises(NothingToDamage):
            damage_postgres(Host(), env, Damage.ROW_CHANGED, Random(7))
        source.psql("create table u (ccdr_at text, t text, x text); insert into u values ('a', 'b', 'c')", name)
        assert damage_postgres(Host(), env, Damage.ROW_CHANGED, Random(7)) == "public.u"
        assert source.psql("select * from u", name) != "a|b|c"
    finally:
        source.psql(f"drop database {name} with (force)")
