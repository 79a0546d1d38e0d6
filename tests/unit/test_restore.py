"""What a restore decides before it writes anything: addresses, overlaps, roles, how long."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.manifests import SAID
from tests.support.sparse import sparse_record

from ccdr.engines import Files, Postgres
from ccdr.engines.mariadb import address as mariadb_address
from ccdr.engines.postgres import address
from ccdr.engines.postgres.connection import Connection
from ccdr.engines.postgres.dump import PostgresTarget
from ccdr.engines.postgres.dump import database as roles
from ccdr.engines.servers import connection as reached
from ccdr.evidence.records import Record
from ccdr.evidence.records.restores import RestoreTarget
from ccdr.jobs.restore import directory
from ccdr.jobs.restore import directory as guarded
from ccdr.jobs.restore.directory import Guarded, MountPoint, opened, refuse_sources, staging_for
from ccdr.jobs.restore.examination import PHASES, estimate
from ccdr.jobs.restore.request import RestoreResult
from ccdr.jobs.restore.work import Restoring
from ccdr.model.answers import NO_WORDS
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import Manifest
from ccdr.ports.place import Output, Source
from ccdr.ports.target import KnownSource

# --- a server's address -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "host", "port", "user", "database"),
    [
        ("postgresql://dba@db2.example:5433/crm", "db2.example", 5433, "dba", "crm"),
        ("postgres://dba@db2/crm", "db2", 5432, "dba", "crm"),
        ("postgresql://dba@[::1]:5433/crm", "::1", 5433, "dba", "crm"),
        ("postgresql://dba@%2FRun%2Fpg:5433/crm", "/Run/pg", 5433, "dba", "crm"),
        ("postgresql://dba@/crm?host=/Run/pg&port=5433", "/Run/pg", 5433, "dba", "crm"),
        ("postgresql://Chief%20Admin@db2/My%20%22New%22", "db2", 5432, "Chief Admin", 'My "New"'),
    ],
)
def test_url_names_a_server_and_a_database(url: str, host: str, port: int, user: str, database: str) -> None:
    connection = address.target(url, None, None)
    assert (connection.host, connection.port, connection.user, connection.database) == (host, port, user, database)
    assert address.target(address.shown(connection), None, None) == connection


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://dba@/crm?host=/var/run/postgresql", "postgresql://dba@/crm?host=/var/run/postgresql"),
        ("postgresql://dba@%2FRun%2Fpg:5433/crm", "postgresql://dba@/crm?host=/Run/pg&port=5433"),
        ("postgresql://dba@/crm?host=/Run/a%26b%2Bc", "postgresql://dba@/crm?host=/Run/a%26b%2Bc"),
        ("postgresql://jörg@db2/Anrufe (neu)", "postgresql://jörg@db2:5432/Anrufe%20(neu)"),
        ("postgresql://d%40ba@[::1]/a%2Fb%25c", "postgresql://d%40ba@[::1]:5432/a%2Fb%25c"),
    ],
)
def test_url_is_shown_as_a_person_writes_it(url: str, shown: str) -> None:
    connection = address.target(url, None, None)
    assert address.shown(connection) == shown
    assert address.target(shown, None, None) == connection


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql://dba@/Anrufe%20neu?socket=/tmp", "mysql://dba@/Anrufe%20neu?socket=/tmp"),
        ("mysql://jörg@db2/größe", "mysql://jörg@db2:3306/größe"),
    ],
)
def test_url_of_mariadb_is_shown_as_a_person_writes_it(url: str, shown: str) -> None:
    found = mariadb_address.parse(url)
    assert mariadb_address.shown(found.connection(None, str(found.database))) == shown
    assert mariadb_address.parse(shown) == found


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://dba:hunter2@db2/crm", "password"),
        ("postgresql://dba@db2/crm?password=hunter2", "password"),
        ("postgresql://dba:@db2/crm", "password"),
        ("postgresql://dba@db2/crm?sslmode=disable", "sslmode is not known"),
        ("mysql://dba@db2/crm", "neither"),
        ("postgresql://db2/crm", "user"),
        ("postgresql://dba@/crm", "host"),
        ("postgresql://dba@db2", "database"),
        ("postgresql://dba@db2/", "database"),
        ("postgresql://dba@db2/a/b", "database"),
        ("postgresql://dba@db2:none/crm", "port"),
        ("postgresql://dba@db2:70000/crm", "port"),
        ("postgresql://dba@db2/postgres", "belongs to the server"),
        ("postgresql://dba@db2/template1", "belongs to the server"),
        (f"postgresql://dba@db2/{'x' * 64}", "cannot have"),
        ("postgresql://[::1/crm", "cannot be read"),
        ("postgresql://dba@db1,db2/crm", "several hosts"),
        ("postgresql://dba@db1:5432,db2:5432/crm?port=5432", "no port"),
        ("postgresql://dba@db2:0/crm", "port"),
        ("postgresql://dba@db2/crm#part", "behind a #"),
    ],
)
def test_url_that_will_not_do_is_refused_and_never_quoted(url: str, said: str) -> None:
    with pytest.raises(UsageProblem, match=said) as refused:
        address.target(url, None, None)
    assert "hunter2" not in f"{refused.value} {refused.value.hint}"


def at(host: str, port: int = 5432) -> Connection:
    return Connection(host=host, port=port, user="x", database="x")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (at("db1"), at("db1"), True),
        (at("db1"), at("db1", 5433), False),
        (at("localhost"), at("127.0.0.1"), True),
        (at("/run/pg"), at("127.0.0.1"), True),  # may be: the server of a socket listens there too
        (at("/run/pg"), at("192.0.2.1"), False),
        (at("/run/pg"), at("/run/../run/pg"), True),
        (at("/run/pg"), at("/run/other"), False),
        (at("192.0.2.1"), at("192.0.2.2"), False),
    ],
)
def test_addresses_that_may_be_one_server(one: Connection, other: Connection, same: bool) -> None:
    assert reached.may_be_one(one, other) is same and reached.may_be_one(other, one) is same


def manifest(identifier: str | None) -> Manifest:
    contents = {"database": "crm", "system_identifier": identifier}
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return Manifest("p", "crm", "r", "postgres", "dump", "h", when, 0.0, {}, contents, attested=SAID)


def engine(host: str) -> Postgres:
    return Postgres(engine="postgres", connection=Connection(host=host, port=5432, user="x", database="crm"))


@pytest.mark.parametrize(
    ("here", "captured", "url", "allowed", "said"),
    [
        ("7", "7", "db1/crm", False, "is the source of crm"),
        ("7", "7", "db1/crm", True, "is the source of crm"),
        (
            "7",
            "7",
            "elsewhere/crm",
            True,
            "is the source of crm",
        ),  # another address of it, or a standby that was promoted
        ("7", "7", "elsewhere/new", False, "is on the server that crm is backed up from"),
        ("7", "7", "elsewhere/new", True, None),
        ("8", "7", "db1/crm", False, None),  # a new server where the lost one was
        ("8", "7", "elsewhere/crm", False, None),
        (None, "7", "db1/crm", True, "is the source of crm"),  # it does not tell: then by address
        ("8", None, "db1/crm", True, "is the source of crm"),  # an old backup does not tell
        ("8", None, "db1/new", False, "is on the server that crm is backed up from"),
        ("8", None, "db2/crm", False, None),
    ],
)
def test_whose_server_a_target_is(
    here: str | None, captured: str | None, url: str, allowed: bool, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reached, "_addresses", lambda host: {host})
    source, backup = engine("db1"), manifest(captured)
    target = PostgresTarget.of(f"postgresql://x@{url}", source, None, None)
    known = [KnownSource("crm", source, (backup,)), KnownSource("recordings", RECORDINGS, ())]
    if said is None:
        target.refuse_sources(here, known, onto_source_server=allowed)
        return
    with pytest.raises(UsageProblem, match=said):
        target.refuse_sources(here, known, onto_source_server=allowed)


RECORDINGS = Files(engine="files", paths=(Path("/var/spool/recordings"),))


def test_working_name_is_plain_and_short_enough_for_what_is_appended() -> None:
    for name in ("crm", 'My "New" ' * 5, "ăâî", "1crm", "x" * 63):
        target = PostgresTarget.of(f"postgresql://x@h/{quote(name, safe='')}", engine("db1"), None, None)
        target.run = "20261124T184036-abcdef"
        assert re.fullmatch(r"[a-z_][a-z0-9_]*", target.working) and len(f"{target.working}_was") <= 63, target.working


def test_a_database_has_its_name_also_where_that_holds_an_end_of_a_line() -> None:
    target = PostgresTarget.of("postgresql://x@h/of%E2%80%A8two", engine("db1"), None, None)
    target.run, target.version = "20261124T184036-abcdef", "17.1"
    place = SimpleNamespace(run=lambda *_, **__: Output(0, "postgres\nof\u2028two\n", NO_WORDS))
    assert target.named(Source(place, Path("/none")))


# --- roles ------------------------------------------------------------------------------------------------------

ROLES = """\
--
-- Roles
--
\\restrict abc

SET default_transaction_read_only = off;
CREATE ROLE app;
ALTER ROLE app WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:a;b$c';
COMMENT ON ROLE app IS 'it''s; an
application';
CREATE ROLE "i.țăranu; drop";
ALTER ROLE "i.țăranu; drop" WITH LOGIN;
CREATE ROLE old;
ALTER ROLE old WITH LOGIN;
ALTER ROLE old SET statement_timeout TO '30s';
ALTER ROLE ALL SET lock_timeout TO '1s';
GRANT old TO app WITH INHERIT TRUE GRANTED BY postgres;
GRANT app TO old GRANTED BY app;
GRANT app TO old GRANTED BY old;
GRANT pg_monitor TO old GRANTED BY postgres;
GRANT SET ON PARAMETER log_min_duration_statement TO app;
GRANT SET ON PARAMETER log_min_duration_statement TO old;
"""


def test_only_roles_that_are_missing_are_made() -> None:
    found = roles.needed(ROLES, {"app", "i.țăranu; drop"}, "postgres")
    assert found == [
        "CREATE ROLE app;",
        "ALTER ROLE app WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:a;b$c';",
        "COMMENT ON ROLE app IS 'it''s; an\napplication';",
        'CREATE ROLE "i.țăranu; drop";',
        'ALTER ROLE "i.țăranu; drop" WITH LOGIN;',
        "GRANT old TO app WITH INHERIT TRUE;",
        "GRANT app TO old GRANTED BY app;",
        "GRANT app TO old;",
        "GRANT SET ON PARAMETER log_min_duration_statement TO app;",
    ]


def test_what_made_roles_is_taken_back() -> None:
    made = roles.needed(ROLES, {"app", "i.țăranu; drop"}, "postgres")
    assert roles.undoing(made) == [
        "REVOKE ALL ON PARAMETER log_min_duration_statement FROM app;",
        'DROP ROLE app, "i.țăranu; drop";',
    ]
    assert roles.undoing([]) == []


def test_no_role_is_touched_where_none_is_missing() -> None:
    assert roles.needed(ROLES, set(), "postgres") == []


# --- how long ---------------------------------------------------------------------------------------------------


def measured(size: int, load: float, verdict: str = "PASS", asset: str = "crm") -> Record:
    phases = {"provision": 9.0, "fetch": 1.0, "load": load, "check": 2.0, "dispose": 9.0}
    snapshot = {"bytes": size, "verdict": verdict}
    of = {"kind": "restore_test.end", "plan": "p", "asset": asset, "run": "r", "verdict": verdict}
    return sparse_record({**of, "snapshot": snapshot, "phases": phases})


def test_estimate_scales_by_bytes_and_takes_the_middle() -> None:
    big = 100 * 2**30  # beside it what each restore costs at least does not show
    records = [measured(big, 10.0), measured(big, 1000.0), measured(2 * big, 24.0), measured(big, 5000.0, "FAIL")]
    found = estimate(records, "p", "crm", big, PHASES)
    assert found is not None and found.tests == 3
    assert found.phases == pytest.approx({"fetch": 1.0, "load": 12.0, "check": 2.0}, rel=0.01)
    assert found.seconds == pytest.approx(15.0, rel=0.01)


def test_a_test_of_next_to_nothing_does_not_make_a_gigabyte_take_hours() -> None:
    tiny = estimate([measured(950 * 2**10, 0.5)], "p", "crm", 900 * 2**20, PHASES)
    assert tiny is not None and 0.5 * 15 < tiny.phases["load"] < 0.5 * 60
    smaller = estimate([measured(900 * 2**20, 20.0)], "p", "crm", 950 * 2**10, PHASES)
    assert smaller is not None and 0.1 < smaller.phases["load"] < 2.0


def test_estimate_is_by_the_newest_five() -> None:
    records = [measured(100, 1000.0)] * 5 + [measured(100, 1.0)] * 5
    found = estimate(records, "p", "crm", 100, PHASES)
    assert found is not None and found.phases["load"] == 1.0


@pytest.mark.parametrize("records", [[], [measured(1, 1.0, "FAIL")], [measured(1, 1.0, asset="other")]])
def test_nothing_measured_is_no_estimate(records: list[Record]) -> None:
    assert estimate(records, "p", "crm", 100, PHASES) is None


def test_estimate_of_empty_snapshots_does_not_divide_by_nothing() -> None:
    found = estimate([measured(0, 3.0)], "p", "crm", 100, PHASES)
    assert found is not None and found.phases["load"] == 3.0


def test_estimate_from_much_smaller_snapshots_says_that_it_is_a_guess(wording: SnapshotAssertion) -> None:
    small = estimate([measured(5 * 2**20, 3.0)], "p", "crm", 250 * 2**20, PHASES)
    assert str(small) == wording
    like = estimate([measured(5 * 2**20, 3.0), measured(200 * 2**20, 9.0)], "p", "crm", 250 * 2**20, PHASES)
    assert str(like).endswith("by 2 restore tests in sandboxes")


# --- cleaning up ------------------------------------------------------------------------------------------------


class Half:
    """A `Way` with something begun, as far as cleaning up goes."""

    def __init__(self, trouble: Callable[[], object]) -> None:
        self.trouble, self.gone = trouble, False

    def undo(self) -> list[str]:
        self.trouble()
        self.gone = True
        return ["a role"]

    def standing(self) -> str:
        return "half of it stands as crm_working"


def test_who_interrupts_again_waits_until_what_was_begun_is_gone() -> None:
    half: Any = Half(lambda: os.kill(os.getpid(), signal.SIGINT))
    assert Restoring._undone(half) == ["a role"] and half.gone


def test_what_could_not_be_cleaned_up_is_told() -> None:
    def down() -> None:
        raise CcdrError("the server is down")

    half: Any = Half(down)
    (said,) = Restoring._undone(half)
    assert "the server is down" in said and "crm_working" in said and not half.gone


# --- directories ------------------------------------------------------------------------------------------------


def refused(target: Path, source: Path) -> str | None:
    try:
        refuse_sources(target, [Guarded(source, "a source")])
    except UsageProblem as problem:
        return str(problem).removeprefix(f"{target} ").split(f" {source}")[0]
    return None


def test_target_that_is_or_holds_or_lies_in_a_source(tmp_path: Path) -> None:
    source = tmp_path / "spool" / "recordings"
    source.mkdir(parents=True)
    (tmp_path / "link").symlink_to(source)
    (tmp_path / "above").symlink_to(tmp_path / "spool")
    assert refused(source, source) == "is"
    assert refused(source / "a" / "b", source) == "lies in"
    assert refused(tmp_path / "spool", source) == "holds"
    assert refused(tmp_path / "link", source) == "is"
    assert refused(tmp_path / "link" / "new", source) == "lies in"
    assert refused(tmp_path / "above" / "recordings", source) == "is"
    assert refused(tmp_path / "spool" / "recordings2", source) is None
    assert refused(tmp_path / "spool" / "record", source) is None
    assert refused(tmp_path / "new", source) is None


def test_source_that_is_not_there_is_guarded_by_its_name(tmp_path: Path) -> None:
    """After a disaster: the path is free, and still nobody restores there by accident."""
    source = tmp_path / "gone" / "recordings"
    assert refused(source, source) == "is" and refused(tmp_path / "gone", source) == "holds"


def test_bind_mounts_are_seen_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the source, of a part of it, of what is above it; by the kernel's table, wherever they are mounted."""
    real = Path(os.path.realpath(tmp_path))
    for name in ("disk/spool/recordings/2026", "whole", "part", "top"):
        (real / name).mkdir(parents=True)
    table = [
        MountPoint("/", "8:1", "/"),
        MountPoint(f"{real}/disk", "8:2", "/"),
        MountPoint(f"{real}/whole", "8:2", "/spool/recordings"),
        MountPoint(f"{real}/part", "8:2", "/spool/recordings/2026"),
        MountPoint(f"{real}/top", "8:2", "/spool"),
    ]
    monkeypatch.setattr(guarded, "mounts", lambda: table)
    source = real / "disk" / "spool" / "recordings"
    assert refused(real / "whole", source) == "is"
    assert refused(real / "whole" / "new", source) == "lies in"
    assert refused(real / "part" / "new", source) == "lies in"
    assert refused(real / "top", source) == "holds"
    assert refused(real / "top" / "new", source) is None
    assert refused(real / "elsewhere", source) is None


def test_mount_table_is_read_with_its_escapes(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("36 35 98:0 /a\\040b /mnt\\040two rw,noatime master:1 - ext3 /dev/root rw\n")
    assert guarded.mounts(table) == [MountPoint("/mnt two", "98:0", "/a b")]
    assert guarded.mounts(tmp_path / "none") == []


def sized(target: Path, **more: int) -> tuple[directory.Staging, list[str]]:
    return staging_for(target, [], **{"size": 10, "entries": 1, **more}, run="r1")


def test_staging_is_beside_the_target_and_nothing_is_made_yet(tmp_path: Path) -> None:
    staging, notes = sized(tmp_path / "back")
    assert staging.root == tmp_path / ".back.ccdr-restore-r1" and not staging.inside and notes == []
    assert list(tmp_path.iterdir()) == []


def test_targets_that_will_not_do(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name, said in {
        "full": "not empty: it holds 1 entry",
        "file": "not a directory",
        "dangling": "is a link",
        "no/parent": "is not there",
    }.items():
        with pytest.raises(UsageProblem, match=said):
            sized(tmp_path / name)
    with pytest.raises(UsageProblem):
        sized(Path("/"))
    with pytest.raises(UsageProblem, match="free, the restore needs"):
        sized(tmp_path / "back", size=2**60)
    with pytest.raises(UsageProblem):
        sized(tmp_path / "back", entries=2**50)


def test_hidden_file_makes_a_directory_not_empty(tmp_path: Path) -> None:
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / ".keep").touch()
    with pytest.raises(UsageProblem, match="not empty"):
        sized(tmp_path / "back")


def test_what_an_earlier_restore_left_is_told(tmp_path: Path) -> None:
    (tmp_path / ".back.ccdr-restore-r0").mkdir()
    _, notes = sized(tmp_path / "back")
    assert len(notes) == 1 and ".back.ccdr-restore-r0" in notes[0]


def test_modes_are_as_they_were_after_a_look(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "shut").mkdir(parents=True)
    (tree / "shut" / "secret").write_text("x")
    (tree / "open").write_text("x")
    (tree / "link").symlink_to("/etc/shadow")
    modes = {tree / "shut" / "secret": 0o600, tree / "open": 0o644, tree / "shut": 0o500, tree: 0o700}
    for path, mode in modes.items():
        path.chmod(mode)
    shadow = Path("/etc/shadow").stat().st_mode
    with pytest.raises(RuntimeError), opened(tree):
        assert (tree / "shut" / "secret").stat().st_mode & 0o777 == 0o644
        assert (tree / "shut").stat().st_mode & 0o777 == 0o555
        raise RuntimeError
    assert {path: path.stat().st_mode & 0o777 for path in modes} == modes
    assert Path("/etc/shadow").stat().st_mode == shadow


# --- what people are told -----------------------------------------------------------------------------------------


def test_what_to_do_next_is_told_once_it_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    from ccdr.cli.restore import tell_result

    result = RestoreResult(
        "p",
        "crm",
        "r",
        result="RESTORED",
        target=RestoreTarget(kind="directory", name="/srv/crm"),
        notes=["before", "start it"],
    )
    tell_result(result, result.notes[1:])
    said = capsys.readouterr().out
    assert "note: start it" in said and "before" not in said
