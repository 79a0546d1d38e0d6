"""What every engine promises. Joining the union enrols it: an engine without a source of its own here fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import pytest
from tests.support.cluster import cluster
from tests.support.harness import (
    SMALL,
    SQLITE_SMALL,
    Damage,
    Quiet,
    Site,
    Source,
    ask_sqlite,
    containers,
    sql_damage,
)
from tests.support.mariadb_source import crm as maria_crm
from tests.support.mariadb_source import data_directory, maria_damage, mariadb_server, whole_server
from tests.support.mariadb_source import small_database as small_maria
from tests.support.redis_source import queues, redis_damage, redis_server, small

from ccdr.checks.reconcile.rows import read_rows
from ccdr.engines import AnyEngine
from ccdr.jobs.access.export import AccessExport
from ccdr.jobs.access.reviews import ask_sources
from ccdr.jobs.backup import backup
from ccdr.jobs.leftovers import clear_leftovers
from ccdr.jobs.restore import Request, restoring
from ccdr.jobs.restore_test import RestoreTest, restore_test
from ccdr.model.answers import FreeText
from ccdr.model.errors import CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import CheckResult, Health, Manifest, Probe, Snapshot, Verdict
from ccdr.plans.job import Job
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Place
from ccdr.setup.doctor.machine import source as source_look
from ccdr.storage.catalogue import Catalogue
from ccdr.storage.manifest import MANIFEST, manifest_text, parse_manifest, text_digest

CRON = 0o077  # the umask of cron's line and systemd's unit, deploy/


def _names(kind: Any) -> list[str]:
    """What a plan calls it: `files`; `postgres:dump` and `postgres:physical` where there are several methods."""
    (name,), methods = (get_args(kind.model_fields[field].annotation) for field in ("engine", "method"))
    return [name] if len(methods) == 1 else [f"{name}:{method}" for method in methods]


ENGINES: dict[str, Any] = {name: kind for kind in get_args(get_args(AnyEngine)[0]) for name in _names(kind)}


@dataclass
class Subject:
    """A real source of one engine, backed up once: what it holds, how to harm it, how to empty it."""

    site: Site
    asset: str
    began: datetime
    ended: datetime
    manifest: Manifest
    harm: Damage
    empty: Callable[[], object]

    @property
    def job(self) -> Job:
        return Job(self.site.loaded(), self.asset)

    def outcome(self, damage: Damage | None = None) -> RestoreTest:
        if damage is None:
            return restore_test(self.job, "latest", self.site.services(), Quiet())
        return harmed(self, damage)


Enrolled = tuple[Site, str, Damage, Callable[[], object]]


@contextmanager
def postgres(source: Source, root: Path, extra: str = "") -> Iterator[Enrolled]:
    locale = " locale 'ro_RO.UTF-8'" if romanian(source) else ""
    source.psql(f"create database contract template template0{locale}")
    source.psql(SMALL.replace("app_reader", "contract_reader") + "create extension pgcrypto", "contract")
    site = Site(root, umask=CRON)
    site.crm(source, "contract", extra, checks="restore_test: crm\nchecks:\n  - {kind: identical}\n")
    try:
        yield site, "crm", sql_damage("delete from call where id = 7", "contract"), lambda: _emptied(source)
    finally:
        source.psql("drop database contract with (force)")
        source.psql("drop role contract_reader")


def postgres_stream(source: Source, root: Path) -> AbstractContextManager[Enrolled]:
    return postgres(source, root, "method: stream")


def romanian(source: Source) -> bool:
    return source.psql("select count(*) > 0 from pg_collation where collname = 'ro_RO.utf8'") == "t"


def _emptied(source: Source) -> None:
    source.psql("select lo_unlink(oid) from pg_largeobject_metadata", "contract")
    source.psql("drop schema public cascade; create schema public", "contract")


def postgres_physical(_: Source, root: Path) -> AbstractContextManager[Enrolled]:
    return _physical(root, "method: physical")


@contextmanager
def postgres_increment(_: Source, root: Path) -> Iterator[Enrolled]:
    """What is looked at is an increment: the full base is taken here."""
    with _physical(root, "method: physical\nincremental: {}", summarize_wal="on") as (site, asset, harm, empty):
        assert backup(Job(site.loaded(), asset), site.services(), Quiet()).snapshot
        yield site, asset, harm, empty


@contextmanager
def _physical(root: Path, extra: str, **settings: str) -> Iterator[Enrolled]:
    root.chmod(0o755)
    with cluster(root / "server", **settings) as source:
        locale = " locale 'ro_RO.UTF-8'" if romanian(source) else ""
        source.psql(f"create database contract template template0{locale}")
        source.psql(SMALL.replace("app_reader", "contract_reader") + "create extension pgcrypto", "contract")
        site = Site(root, umask=CRON)
        checks = "restore_test: crm\nchecks:\n  - {kind: identical}\n"
        site.crm(source, "contract", extra, checks=checks)
        yield site, "crm", sql_damage("drop view answered", "contract"), lambda: _emptied(source)


@contextmanager
def files(source: Source, root: Path) -> Iterator[Enrolled]:
    tree = root / "spool"
    (tree / "a").mkdir(parents=True)
    for name in ("a/one", "a/two", "three"):
        (tree / name).write_text(f"{name}\n")
        os.utime(tree / name, (1_700_000_000, 1_700_000_000))
    site = Site(root, umask=CRON)
    site.recordings(tree)

    def harm(box: Place, restored: Path, manifest: Manifest) -> None:
        fetched = Path(str(restored).split("/fetched/", 1)[0]) / "fetched"
        (fetched / tree.relative_to("/") / "a/one").unlink()

    def empty() -> None:
        for path in [p for p in tree.rglob("*") if p.is_file()]:
            path.unlink()

    yield site, "recordings", harm, empty


@contextmanager
def mariadb(source: Source, root: Path) -> Iterator[Enrolled]:
    with mariadb_server() as maria, small_maria(maria, "contract") as name:
        site = maria_crm(
            Site(root, umask=CRON), maria, name, checks="restore_test: crm\nchecks:\n  - {kind: identical}\n"
        )

        def empty() -> None:
            maria.sql("drop database contract; create database contract")

        yield site, "crm", maria_damage("delete from `call` where id = 7", name), empty


@contextmanager
def mariadb_physical(source: Source, root: Path) -> Iterator[Enrolled]:
    data = data_directory()
    with mariadb_server(data=data) as maria, small_maria(maria, "contract") as name:
        checks = "restore_test: crm\nchecks:\n  - {kind: identical}\n"
        site = maria_crm(Site(root, umask=CRON), maria, name, whole_server(data), checks=checks)
        yield (
            site,
            "crm",
            maria_damage("drop view answered", name),
            lambda: maria.sql("drop database contract; create database contract"),
        )


def redis(source: Source, root: Path) -> AbstractContextManager[Enrolled]:
    return _redis("redis", root)


def valkey(source: Source, root: Path) -> AbstractContextManager[Enrolled]:
    return _redis("valkey", root)


@contextmanager
def _redis(server: str, root: Path) -> Iterator[Enrolled]:
    with redis_server(server, guarded=True) as queue:
        small(queue)
        site = queues(Site(root, umask=CRON), queue, checks="restore_test: queues\nchecks:\n  - {kind: identical}\n")
        yield site, "queues", redis_damage("DEL queue:sales"), lambda: queue.cli("FLUSHALL")


@contextmanager
def sqlite(source: Source, root: Path) -> Iterator[Enrolled]:
    database = root / "cdr.sqlite3"
    ask_sqlite(database, SQLITE_SMALL)
    site = Site(root, umask=CRON)
    site.cdr(database, checks="restore_test: cdr\nchecks:\n  - {kind: identical}\n")

    def harm(box: Place, restored: Path, manifest: Manifest) -> None:
        ask_sqlite(restored / "cdr.sqlite3", "delete from call where id = 7")

    yield site, "cdr", harm, lambda: ask_sqlite(database, "drop view answered; drop table call; drop table customer")


# One line for each engine of the union and each of its methods; an engine of two servers has two, and so has a method
# that takes increments.
SOURCES = {
    "postgres:dump": postgres,
    "postgres:physical": postgres_physical,
    "postgres:stream": postgres_stream,
    "postgres:increment": postgres_increment,
    "files": files,
    "mariadb:dump": mariadb,
    "mariadb:physical": mariadb_physical,
    "redis": redis,
    "sqlite": sqlite,
    "valkey": valkey,
}
SERVERS_OF = {"valkey": "redis", "postgres:increment": "postgres:physical"}


def test_every_engine_of_the_union_is_enrolled() -> None:
    assert {SERVERS_OF.get(name, name) for name in SOURCES} == set(ENGINES)


@pytest.fixture(scope="module", params=sorted(ENGINES | SOURCES))
def subject(
    request: pytest.FixtureRequest, source: Source, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    assert request.param in SOURCES, f"the engine {request.param} has no source in the contract suite"
    root = tmp_path_factory.mktemp(request.param.replace(":", "-"))
    with SOURCES[request.param](source, root) as (site, asset, harm, empty):
        began = datetime.now(UTC)
        done = backup(Job(site.loaded(), asset), site.services(), Quiet())
        assert done.snapshot is not None, done.reason
        manifest = site.services().catalogue.manifest(done.snapshot)
        yield Subject(site, asset, began, datetime.now(UTC), manifest, harm, empty)


def harmed(subject: Subject, damage: Damage) -> RestoreTest:
    """The damage is done to what was restored, right before `identical` looks at it."""
    return looked_into(subject, lambda context: damage(context.box or context.host, context.restored, context.manifest))


def looked_into(subject: Subject, look: Callable[[CheckContext], None]) -> RestoreTest:
    """A restore test in which `look` is given what was restored, right before `identical` is."""
    kind = type(subject.job.engine)
    real = kind.identical

    def identical(self: Any, context: CheckContext) -> Iterator[CheckResult]:
        look(context)
        yield from real(self, context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "identical", identical)
        return restore_test(subject.job, "latest", subject.site.services(), Quiet())


def test_manifest_says_what_was_captured(subject: Subject) -> None:
    found, job = subject.manifest, subject.job
    assert (found.plan, found.asset) == ("p", subject.asset)
    assert (found.engine, found.method) == (job.engine.engine_name, job.engine.method)
    assert found.host and found.run and found.files
    assert {"restic", "ccdr"} <= set(found.tools) and all(found.tools.values())
    assert all(len(d.sha256) == 64 and d.bytes >= 0 for d in found.files.values())
    assert all(not name.startswith("/") and ".." not in name for name in found.files)


def test_consistent_point_is_within_the_capture(subject: Subject) -> None:
    """Never later than the start of the data's read, never the upload's end; by this host's clock."""
    *_, snapshot = subject.site.services().catalogue.snapshots("p", subject.asset)
    assert subject.began <= subject.manifest.consistent_point <= snapshot.usable_at <= subject.ended
    assert snapshot.consistent_point == subject.manifest.consistent_point
    skew = subject.manifest.clock_skew_s
    assert skew is not None and abs(skew) < timedelta(seconds=5).total_seconds()


def test_manifest_round_trips_and_is_the_one_in_the_repository(subject: Subject) -> None:
    text = manifest_text(subject.manifest)
    assert parse_manifest(text) == subject.manifest
    *_, snapshot = subject.site.services().catalogue.snapshots("p", subject.asset)
    assert snapshot.manifest_sha256 == text_digest(text)
    job, services = subject.job, subject.site.services()
    repo = services.repository(job.loaded, job.limits)
    assert repo.read(snapshot.id, PurePosixPath(snapshot.root) / MANIFEST) == text


def test_manifest_holds_no_secret_and_no_row(subject: Subject) -> None:
    text = manifest_text(subject.manifest)
    assert "correct horse" not in text and "tefan" not in text and "voice mail" not in text


def test_restored_copy_is_identical(subject: Subject) -> None:
    done = subject.outcome()
    assert (done.verdict, int(done.exit_code)) == (Verdict.PASS, 0), (done.reason, done.checks)
    assert done.disposal.left_behind == [] and done.disposal.scratch_gone
    assert f"ccdr-{done.run}" not in containers()
    said = " ".join(check.actual for check in done.checks if check.kind == "identical")
    held = subject.job.engine.holds(subject.manifest)
    assert held and all(f"{count} {what}" in said and count > 0 for what, count in held.items()), (held, said)
    subject.site.ledger_holds()


# Of each engine and method: what every capture of it writes.
WRITTEN = {
    "postgres:dump": "standby",
    "postgres:stream": "reaching",
    "postgres:physical": "unlogged",
    "files": "listing_sha256",
    "mariadb:dump": "changed",
    "mariadb:physical": "definers",
    "redis:rdb": "described",
    "sqlite:copy": "mode",
}


def test_a_manifest_that_lacks_what_every_capture_writes_is_damage(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, read = subject.manifest, Catalogue.manifest
    key = next(key for name, key in WRITTEN.items() if f"{held.engine}:{held.method}".startswith(name))

    def lacking(self: Catalogue, snapshot: Snapshot) -> Manifest:
        found = read(self, snapshot)
        return replace(found, contents={name: told for name, told in found.contents.items() if name != key})

    monkeypatch.setattr(Catalogue, "manifest", lacking)
    done = subject.outcome()
    assert (done.verdict, int(done.exit_code)) == (Verdict.FAIL, 1), (done.reason, done.checks)
    assert f"{key!r} is missing" in f"{done.reason} {done.checks}"


QUESTIONS = {  # put to its client, and what it answers
    "postgres": ("select 'held ' || count(*) from call;", "held 3000"),
    "mariadb": ("select concat('held ', count(*)) from `call`;", "held 3000"),
    "redis": ("TYPE agent:7", "hash"),
    "sqlite": ("print('held', db.execute('select count(*) from call').fetchone())", "held (3000,)"),
    "files": ("find . -name one", "/a/one"),
}


def test_a_kept_sandbox_is_opened_by_the_line_that_is_told(subject: Subject) -> None:
    done = restore_test(subject.job, "latest", subject.site.services(), Quiet(), keep=True)
    try:
        assert done.verdict is Verdict.PASS and done.look is not None
        question, answer = QUESTIONS[subject.job.engine.engine_name]
        line = done.look.replace("docker exec -it ", "exec docker exec -i ")
        line, stdin = (line, f"{question}\n") if line != done.look else (f"{line} && {question}", "")
        said = subprocess.run(["sh", "-c", line], input=stdin, capture_output=True, text=True, check=False)
        assert said.returncode == 0 and answer in said.stdout, said
        assert subject.outcome().look is None, "nothing was kept"
    finally:
        subprocess.run(["docker", "rm", "-f", f"ccdr-{done.run}"], capture_output=True, check=False)
        clear_leftovers(subject.site.services())


def test_restored_for_real_into_a_directory(subject: Subject, tmp_path: Path) -> None:
    """Whatever the engine: what was captured can be had as files, proven whole."""
    with restoring(subject.job, Request(to=str(tmp_path / "back")), subject.site.services(), Quiet()) as one:
        one.carry_out(Quiet())
    assert (one.result.result, int(one.result.exit_code)) == ("RESTORED", 0), one.result
    assert one.result.checks[0].status is Verdict.PASS and not one.result.left_behind
    assert [p.name for p in tmp_path.iterdir()] == ["back"] and any((tmp_path / "back").rglob("*"))
    subject.site.ledger_holds()


def test_no_engine_restores_onto_what_is_none_of_its_servers(subject: Subject) -> None:
    for url in ("nonsense://x@y/z", "http://example.com/x"):
        with pytest.raises(UsageProblem):
            subject.job.engine.onto(url, None, None)


def test_damaged_copy_fails(subject: Subject) -> None:
    done = subject.outcome(subject.harm)
    assert (done.verdict, int(done.exit_code)) == (Verdict.FAIL, 1), (done.reason, done.checks)
    assert f"ccdr-{done.run}" not in containers()


def test_engine_says_what_the_rooms_ask_of_it(subject: Subject) -> None:
    """Its fields are its YAML: it comes back from what `plan show` prints, and never changes."""
    engine = subject.job.engine
    shown = json.loads(engine.model_dump_json(exclude_none=True))
    assert type(engine).model_validate(shown, context={"base": subject.site.root}) == engine
    needs = engine.sandbox(subject.manifest)
    assert needs.bytes >= 0 and needs.memory > 0 and (needs.user or engine.has_server is False)
    assert needs.user not in ("root", "0", "0:0")
    assert engine.image_candidates(needs.major)
    with pytest.raises(Exception, match="frozen"):
        engine.image = "x"  # type: ignore[misc]


def test_postgres_manifest_lists_tables_schema_and_server(subject: Subject) -> None:
    if subject.manifest.engine != "postgres" or subject.manifest.method not in ("dump", "stream"):
        pytest.skip("of a dump")
    held: Any = subject.manifest.contents
    (call,) = [t for name, t in held["tables"].items() if name.startswith("public call ")]
    assert call["rows"] == 3000 and call["bytes"] > 0 and len(call["sha256"]) == 64
    (customer,) = [t for name, t in held["tables"].items() if name.startswith("public customer ")]
    assert customer["rows"] == 200
    assert len(held["schema_sha256"]) == 64 and held["encoding"] == "UTF8" and held["collate"] and held["ctype"]
    assert held["version"].startswith("17") and {"plpgsql", "pgcrypto"} <= set(held["extensions"])
    assert {"postgres", "contract_reader"} <= set(held["roles"]) and "call_pkey" in held["rules"]
    toc = "dump/toc.dat" if subject.manifest.method == "dump" else "dump"
    assert "pg_dump" in subject.manifest.tools and {"roles.sql", "globals.sql", toc} <= set(subject.manifest.files)


def test_a_manifest_tells_the_columns_that_an_entry_of_the_register_may_name(subject: Subject) -> None:
    if not subject.job.engine.speaks_sql or (subject.manifest.engine, subject.manifest.method) == (
        "postgres",
        "physical",
    ):
        pytest.skip("it has no tables, or a server's of which not every database is asked")
    held: Any = subject.manifest.contents
    names = {table.rpartition(".")[2]: columns for table, columns in held["columns"].items()}
    assert {"id", "name"} <= set(names["customer"]) and "customer_id" in names["call"]


# Of each engine that exports: a SELECT that gives these values, as one row.
VALUES = [None, b"", b"tab\there", b"new\nline", b"back\\slash", b"\\N", "notă".encode()]
EXPORTS = {
    "postgres": r"select null, '', E'tab\there', E'new\nline', E'back\\slash', E'\\N', 'notă'  -- as one row",
    "sqlite": r"select null, '', 'tab' || char(9) || 'here', 'new' || char(10) || 'line', 'back\slash', '\N', 'notă' -- .",
    "mariadb": r"select null, '', 'tab\there', 'new\nline', 'back\\slash', '\\N', 'notă'  -- as one row",
}


def test_exported_rows_come_back_as_they_are(subject: Subject) -> None:
    engine = subject.job.engine
    if not engine.exports:
        with pytest.raises(TestBroken, match="cannot write rows in bulk"):
            engine.export(None, subject.manifest, "select 1", Path("nowhere"))  # type: ignore[arg-type]
        return
    found: list[Any] = []

    def export(context: CheckContext) -> None:
        sql, to = EXPORTS[engine.engine_name], context.out / "rows"
        engine.export(context.sandbox, context.manifest, sql, to)
        found.extend(read_rows(to.open("rb")))
        with pytest.raises(CommandFailed):
            engine.export(context.sandbox, context.manifest, "select nothing from nowhere", context.out / "none")
        # A client's own commands are none here: the server is asked what the plan says, and nothing else is done.
        for command in ("\\! touch {}", "system touch {}", "\\o {}", "\\g {}", "\\w {}", "\\gexec"):
            planted, to = context.out / "planted", context.out / "refused"
            sql = f"select 1\n{command.format(context.sandbox.path(planted))}\n"
            with pytest.raises(CommandFailed):
                engine.export(context.sandbox, context.manifest, sql, to)
            assert not planted.exists(), command

    assert looked_into(subject, export).verdict is Verdict.PASS
    assert found == [VALUES]


def test_physical_manifest_tells_the_server(subject: Subject) -> None:
    if (subject.manifest.engine, subject.manifest.method) != ("postgres", "physical"):
        pytest.skip("of a base backup")
    held: Any = subject.manifest.contents
    assert held["source"] == "cluster of contract" and held["version"].startswith("17")
    assert held["system_identifier"].isdigit() and held["timeline"] == 1
    assert held["start_lsn"] < held["stop_lsn"] and held["files"] > 900 and held["bytes"] > 20_000_000
    assert held["data_checksums"] is True and held["block_size"] == 8192
    assert {"contract", "postgres", "template1", "template0"} <= set(held["databases"])
    assert held["databases"]["contract"]["bytes"] > 0 and held["tables"]["public.call"]["rows"] == 3000
    assert {"plpgsql", "pgcrypto"} <= set(held["extensions"]) and int(held["settings"]["max_connections"]) > 0
    assert set(held["catalogues"]) == {"contract", "postgres", "template1"}
    assert "pg_basebackup" in subject.manifest.tools
    assert len(subject.manifest.upon) == (0 if subject.job.engine.incremental is None else 1)
    digest = subject.manifest.files["data/backup_manifest"].sha256
    assert held["backup_manifest_sha256"] == digest
    assert any(name.startswith("data/pg_wal/0") for name in subject.manifest.files)


def test_mariadb_manifest_lists_tables_objects_and_server(subject: Subject) -> None:
    if (subject.manifest.engine, subject.manifest.method) != ("mariadb", "dump"):
        pytest.skip("of mariadb-dump")
    held: Any = subject.manifest.contents
    assert {t: (v["engine"], v["rows"]) for t, v in held["tables"].items()} == {
        "customer": ("InnoDB", 202),
        "call": ("InnoDB", 3000),
        "live_agent": ("MEMORY", 2),
        "agent_log": ("MyISAM", 500),
        "agent_log_archive": ("Aria", 500),
        "rule": ("InnoDB", 3),
        "cdr": ("InnoDB", 2),
        "unkeyed": ("InnoDB", 50),
        "odd `name`; 'ș'": ("InnoDB", 2),
    }
    assert all(len(v["sha256"]) == 64 and v["bytes"] > 0 for v in held["tables"].values())
    assert set(held["objects"]) == {
        "event tick",
        "function minutes_of",
        "procedure forget",
        "sequence ticket",
        "trigger second",
        "trigger stamp",
        "view a_last",
        "view answered",
    }
    assert held["version"].startswith("11.8.") and held["collation"] == "utf8mb4_romanian_ci"
    assert held["binlog"]["file"] and held["binlog"]["position"] > 0 and held["binlog"]["gtid"].startswith("0-7-")
    assert held["locked"] == ["agent_log", "agent_log_archive", "live_agent"] and held["orphans"] == []
    assert "mariadb-dump" in subject.manifest.tools
    assert {"tables.sql", "code.sql", "views.sql", "users.sql", "rows/call.sql"} <= set(subject.manifest.files)


def test_files_manifest_counts_and_digests(subject: Subject) -> None:
    if subject.manifest.engine != "files":
        pytest.skip("of files")
    held: Any = subject.manifest.contents
    assert (held["files"], held["directories"], held["bytes"]) == (3, 2, 18)
    assert len(held["listing_sha256"]) == 64 == len(subject.manifest.files["files.jsonl"].sha256)


def test_redis_manifest_counts_keys_by_database_and_type(subject: Subject) -> None:
    if subject.manifest.engine != "redis":
        pytest.skip("of redis")
    held: Any = subject.manifest.contents
    told = held["described"]
    fields = 1 if held["server"] == "redis" else 0
    assert told["keys"] == {"0": 15 + 2 * fields, "3": 2} and held["keys"] == 17 + 2 * fields
    counted = {"string": 5, "list": 1, "set": 3, "zset": 2, "hash": 3 + fields, "stream": 1}
    assert {k: n for k, n in told["types"]["0"].items() if not k.startswith("module:")} == {
        **counted,
        "hash": 3 + fields,
    }
    assert told["types"]["3"] == {"string": 1, "list": 1} and held["expiring"] == 2
    assert held["users"] == ["default", "dialler"] and list(told["functions"]) == ["dialler"]
    assert held["version"].startswith("8.") and len(told["contents_sha1"]) == 40
    assert held["settings"]["databases"] == "16" and held["modules"] == {}


def looked_at(subject: Subject) -> list[Probe]:
    found = list(source_look(subject.job, subject.site.services()))
    assert all((look.do is None) == (look.state is Health.OK) for look in found)
    assert "correct horse" not in str(found) and "tefan" not in str(found)
    return found


def test_a_look_at_the_source_finds_that_it_can_be_backed_up(subject: Subject) -> None:
    found = looked_at(subject)
    assert {"source", "rights to read"} <= {look.what for look in found}
    assert {look.state for look in found} <= {Health.OK, Health.WARN}
    assert not subject.job.engine.refused(FreeText("connection refused"))


def test_who_may_do_what_is_told_and_no_password(subject: Subject) -> None:
    """A server tells of its accounts; who only reads for backups may see fewer of them, and that is said."""
    job, made = subject.job, AccessExport(plan=subject.job.plan, at=datetime.now(UTC), host="h")
    ask_sources(job.loaded, subject.site.services(), Quiet(), made)
    (told, *others) = [*made.databases, None]
    assert (told is not None) == job.engine.has_server and not [one for one in others if one], made.unread
    if told is None:
        return
    assert told.asset == subject.asset and told.accounts, (told, made.unread)
    named = {one.name for one in told.accounts}
    user = getattr(getattr(job.engine, "connection", None), "user", None) or "default"
    assert any(name == user or name.startswith(f"{user}@") for name in named), named
    hashes = re.search(r"[0-9a-fA-F]{40}|SCRAM|md5[0-9a-f]{32}|correct horse", repr([told, made.unread]))
    assert hashes is None, hashes


def test_zz_empty_source_is_a_failed_backup(subject: Subject) -> None:
    """Last, since it empties the source; the good snapshot stands, but `latest` is no longer what is wanted."""
    before = subject.site.services().catalogue.snapshots("p", subject.asset)
    subject.empty()
    assert Health.FAIL in {look.state for look in looked_at(subject)}, "and it can be seen before"
    done = backup(subject.job, subject.site.services(), Quiet())
    assert (done.result, int(done.exit_code), done.snapshot) == ("FAILED", 1, None)
    assert subject.site.services().catalogue.snapshots("p", subject.asset) == before
    found = subject.outcome()
    assert found.verdict is Verdict.FAIL and "failed" in str(found.reason) and found.own_verdict is Verdict.PASS
    subject.site.ledger_holds()
