"""Whose backups and log go on: a server that a recovery here made, or that somebody agreed to, is no stranger; any other is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.support.batches import WAL
from tests.support.sparse import sparse_record

from ccdr.engines.base import LogShipping
from ccdr.engines.mariadb.binlog import Binlog, new_server_id
from ccdr.engines.mariadb.connection import Connection
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.continuity import is_successor
from ccdr.plans.job import Job
from ccdr.ports.log import ShippedLog

BINLOG = Binlog(Connection(user="u", database="d"), LogShipping(), "p/crm")
JOB = cast(Job, SimpleNamespace(plan="p", asset="crm"))


def recorded(record: dict[str, Any], known: str | None = None) -> Services:
    ends = {"result": "RESTORED"} if record.get("kind") == "restore.end" else {}
    whole = sparse_record({"kind": "restore.start", "plan": "p", "asset": "crm", "run": "one", **ends, **record})
    history = SimpleNamespace(server=known)
    return cast(Services, SimpleNamespace(records=lambda: iter([whole]), history=lambda job: history))


def made(record: dict[str, Any], log: ShippedLog = BINLOG, run: str = "one") -> bool:
    return is_successor(JOB, recorded(record), str(new_server_id(run)), log=log)


def test_by_a_restore_of_it_or_a_recovery_of_its_plan() -> None:
    assert made({})
    assert made({"kind": "recover.start", "asset": None})


@pytest.mark.parametrize("record", [{"asset": "other"}, {"plan": "q"}, {"run": "two"}, {"kind": "restore_test.start"}])
def test_what_tells_of_something_else_accounts_for_nothing(record: dict[str, Any]) -> None:
    assert not made(record)


def test_a_cluster_of_postgresql_keeps_its_identifier_and_is_the_one_that_its_backups_are_agreed_to_be_of() -> None:
    assert not made({}, log=WAL)
    assert not is_successor(JOB, recorded({}, known="8"), "7", log=WAL)
    assert is_successor(JOB, recorded({}, known="7"), "7", log=WAL)
    assert not is_successor(JOB, recorded({}), None, log=WAL)


@pytest.mark.parametrize(
    ("record", "number", "mark", "by"),
    [
        ({}, "7", "one", True),
        ({"kind": "recover.start", "asset": None}, None, "one", True),
        ({}, "7", "two", False),
        ({"asset": "other"}, "7", "one", False),
        ({"kind": "restore.end", "server": "7"}, "7", None, True),
        ({"kind": "restore.end", "server": "7", "result": "FAILED"}, "7", None, False),
        ({"kind": "restore.end", "server": "7"}, "8", None, False),
        ({"kind": "restore.end"}, None, None, False),
        ({"kind": "restore.end", "server": "7", "plan": "q"}, "7", None, False),
    ],
)
def test_a_server_that_a_recovery_made_or_restored_onto(
    record: dict[str, Any], number: str | None, mark: str | None, by: bool
) -> None:
    assert is_successor(JOB, recorded(record), number, mark) is by
