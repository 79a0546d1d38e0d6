"""A source that is gone is one trouble, with one way to go on from; what follows from it says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.chronicle import Chronicle
from tests.support.harness import Site
from tests.support.judged import about, judged, well
from tests.support.sparse import sparse_record

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.asset import judge
from ccdr.evidence.judgement.asset_status import Seen
from ccdr.evidence.log_standing import LogStanding
from ccdr.evidence.records import RecoverEnd
from ccdr.model.answers import FreeText
from ccdr.model.trouble import Problem, Trouble, next_step
from ccdr.plans.job import Job

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WAY, FILES = "ccdr runbook run p ", "is the file system of /spool mounted? if it is lost: [ -e /hourly-restored-"


def found(job: Job, past: Chronicle, at: float = 0, **seen: object) -> dict[str, Problem]:
    return {p.trouble.name: p for p in judged(job, past, at, **seen).troubles}


def test_backups_that_find_nobody_there_tell_since_when_the_source_is_gone(jobs: dict[str, Job]) -> None:
    """Since the first of them; another cause is another trouble, and a backup that is stored ends it."""
    job, past = jobs["hourly"], about(jobs["hourly"])
    past.stored(-5, "s")
    past.tested(-4.9, "s")
    for hours in (-3, -2, -1):
        past.failed(hours, "pg_dump exited with 1: connection refused", source="away")
    gone = found(job, past)
    assert gone["SOURCE_AWAY"].since == past.at(-3) and str(gone["SOURCE_AWAY"].step).startswith(FILES)
    assert {name: p.because for name, p in gone.items() if name != "SOURCE_AWAY"} == {
        "BACKUP_FAILED": Trouble.SOURCE_AWAY,
        "BREACH_RPO": Trouble.SOURCE_AWAY,
    }
    assert len({p.step for p in gone.values()}) == 1
    past.failed(-0.5, "disk full")
    assert "SOURCE_AWAY" not in found(job, past) and found(job, past)["BACKUP_FAILED"].because is None
    past.failed(-0.4, source="away")
    assert found(job, past)["SOURCE_AWAY"].since == past.at(-0.4), "from anew"
    past.stored(-0.2, "t")
    assert "SOURCE_AWAY" not in found(job, past)


def test_what_ships_its_log_tells_it_at_once(jobs: dict[str, Job]) -> None:
    job = jobs["log"]
    past = well(about(job))
    away = LogStanding(point=past.at(-0.1), usable=past.at(-0.1), trouble="connection refused", troubled=past.at(-0.05))

    def told(standing: LogStanding) -> dict[str, Problem]:
        return found(job, past, standing=standing, ships=True)

    gone = told(replace(away, away=True))
    assert gone["SOURCE_AWAY"].since == past.at(-0.05) and gone["LOG_LATE"].because is Trouble.SOURCE_AWAY
    assert str(gone["LOG_LATE"].step).startswith(WAY)
    twin = told(away)
    assert "SOURCE_AWAY" not in twin and twin["LOG_LATE"].because is None
    past.failed(-0.2, source="away")
    assert "SOURCE_AWAY" not in told(replace(away, trouble=None, troubled=None)), "its log came since"


@pytest.mark.parametrize(
    ("words", "nobody"),
    [
        ('psql: error: connection to server on socket "/run/x/.s.PGSQL.5432" failed: No such file or directory', True),
        ('pg_dump: error: connection to server at "db" (10.0.0.7), port 5432 failed: Connection refused', True),
        ('pg_basebackup: error: connection to server at "db", port 5432 failed: No route to host', True),
        ('psql: error: could not translate host name "db" to address: Name or service not known', True),
        ("ERROR 2002 (HY000): Can't connect to local server through socket '/run/mysqld/mysqld.sock' (2)", True),
        ('mariadb-dump: Got error: 2003: "Can\'t connect to server on db (111)" when trying to connect', True),
        ("Could not connect to Redis at /run/redis/redis.sock: Connection refused", True),
        ('psql: error: connection to server at "db" (::1), port 5432 failed: FATAL:  the database system is starting up', False),
        ('psql: error: connection to server at "db" failed: FATAL:  password authentication failed for user "x"', False),
        ("ERROR 1045 (28000): Access denied for user 'x'@'localhost'", False),
        ("Fatal: unable to open repository: dial tcp 127.0.0.1:8333: connect: connection refused", False),
        ("Failing row contains (7, Connection refused)", False),
    ],
)  # fmt: skip
def test_only_what_says_that_nobody_is_there_counts(words: str, nobody: bool) -> None:
    assert FreeText(words).nobody_answers is nobody


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        ('psql: error: connection to server at "db" (::1), port 5432 failed: FATAL:  database "crm" does not exist', True),
        ('pg_dump: error: connection to server on socket "/run/x" failed: FATAL:  3D000: database "crm" does not exist', True),
        ("ERROR 1049 (42000): Unknown database 'crm'", True),
        ("mariadb-dump: Got error: 1049: \"Unknown database 'crm'\" when selecting the database", True),
        ('psql: error: connection to server at "db" failed: FATAL:  role "x" does not exist', False),
        ('ERROR:  database "crm" does not exist', False),  # a statement's, of another one
    ],
)  # fmt: skip
def test_a_server_that_has_no_such_database_is_known_by_its_words(words: str, absent: bool) -> None:
    assert FreeText(words).no_database is absent


@pytest.mark.parametrize(
    ("state", "hours", "asset", "leads"),
    [
        ("done", -1, "hourly", "start the new servers (`ccdr recover check p --opened` says which do not answer)"),
        ("done", -25, "hourly", FILES),
        ("failed", -1, "hourly", FILES),
        ("done", -1, "other", FILES),
    ],
    ids=["recovered", "long ago", "failed", "another asset"],
)
def test_of_what_was_recovered_within_a_day_the_new_server_is_to_be_started(
    jobs: dict[str, Job], state: str, hours: float, asset: str, leads: str
) -> None:
    job, past = jobs["hourly"], about(jobs["hourly"])
    past.stored(-40, "s")
    past.failed(-30, source="away")
    end = {"kind": "recover.end", "seq": 99, "plan": job.plan, "run": "x", "state": state, "assets": [{"asset": asset}]}
    recovered = sparse_record(end | {"time": past.at(hours).isoformat()})
    assert isinstance(recovered, RecoverEnd)
    upkeep = AssetHistory(recovered=recovered)
    own = past.histories[job.plan, job.asset]
    told = {p.trouble: p for p in judge(job, own, upkeep, Seen(past.there), past.at(0)).troubles}
    assert str(told[Trouble.SOURCE_AWAY].step).startswith(leads)
    assert str(told[Trouble.BACKUP_FAILED].step).startswith(leads)


def test_a_file_that_is_gone_is_brought_back_by_one_line(jobs: dict[str, Job]) -> None:
    """Beside where it was, since nothing is written onto a source; then put back, and backed up again."""
    job, past = jobs["hourly"], well(about(jobs["hourly"]))
    past.failed(-0.2, "entry 1 of `paths:` is not there", source="away")
    line = str(found(job, past)["SOURCE_AWAY"].step).partition("if it is lost: ")[2]
    restore, _, back = line.partition(" && ")
    to = f"/hourly-restored-{past.at(-0.2):%Y%m%dT%H%M%S}"
    assert restore == f"[ -e {to} ] || ccdr restore p --asset hourly --to {to}", "what is there is whole"
    assert back == f"mkdir -p / && mv -T {to}/spool /spool && ccdr backup p --asset hourly"


def test_a_database_that_its_server_has_lost_is_loaded_beside_and_gets_its_name(tmp_path: Path) -> None:
    site = Site(tmp_path, bare=True)
    site.plan(
        "crm: {engine: postgres, connection: {host: db1, user: ccdr_backup, database: crm}}\n"
        'own: {engine: postgres, connection: {host: /run/pg, user: postgres, database: "a b"}}\n'
        "all: {engine: postgres, method: physical, connection: {host: db1, user: u, database: crm}}\n"
    )
    crm, own, whole = (Job(site.loaded(), name) for name in ("crm", "own", "all"))
    ours = str(crm.way_back(NOW, there=True)).partition("if its database alone is gone: ")[2]
    assert ours == (
        "ccdr restore p --asset crm --to postgresql://postgres@db1:5432/crm_restored --onto-source-server "
        "--password-file postgres.pw && psql postgresql://postgres@db1:5432/postgres -c "
        '\'alter database "crm_restored" rename to "crm"\' && ccdr backup p --asset crm'
    )
    assert "'postgresql://postgres@/a%20b_restored?host=/run/pg' --onto-source-server && psql" in str(
        own.way_back(NOW, there=True)
    )
    assert crm.way_back(NOW, there=False) == next_step(Trouble.BACKUP_FAILED, "p", "crm"), "it was never there"
    assert whole.way_back(NOW, there=True) == next_step(Trouble.SOURCE_AWAY, "p", "all")


def test_what_was_never_backed_up_has_nothing_to_be_brought_back_from(jobs: dict[str, Job]) -> None:
    past = about(jobs["hourly"])
    past.failed(-0.2, "entry 1 of `paths:` is not there", source="away")
    gone = found(jobs["hourly"], past)
    assert "ccdr restore" not in str(gone["SOURCE_AWAY"].step)
    assert str(gone["SOURCE_AWAY"].step).endswith("ccdr backup p --asset hourly")
    assert gone["NEVER_SUCCEEDED"].because is Trouble.SOURCE_AWAY
