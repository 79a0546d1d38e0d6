"""A role that is dropped between the dump's snapshot and its end: the dump names it, the server does not know it any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.harness import Quiet, Site, Source

from ccdr.engines.postgres.dump import capture
from ccdr.engines.postgres.dump.capture import Dumper
from ccdr.jobs.backup import backup
from ccdr.plans.job import Job

CHECKS = "restore_test: crm\nchecks:\n  - {kind: identical}\n"
MADE = """
create table call as select 1 id; create role passing; grant select on call to passing;
create role owning; create table own (id int); alter table own owner to owning;
"""
DROP = "reassign owned by owning to postgres; drop owned by owning, passing; drop role owning, passing"


@pytest.fixture
def crm(site: Site, source: Source) -> Iterator[Site]:
    source.psql("create database passing template template0")
    source.psql(MADE, "passing")
    site.crm(source, "passing", checks=CHECKS)
    yield site
    source.psql("drop database passing with (force)")
    source.psql("drop role if exists owning, passing, ghost")


def backed_up(site: Site) -> dict[str, Any]:
    result = backup(Job(site.loaded(), "crm"), site.services(), Quiet())
    assert result.result == "STORED" and result.snapshot is not None, result
    return dict(site.services().catalogue.manifest(result.snapshot).contents)


@pytest.mark.parametrize("moment", ["before its grants are read", "after them"])
def test_it_is_told_and_the_test_passes(
    crm: Site, source: Source, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    early = moment.startswith("before")
    where, name = (Dumper, "_beside") if early else (capture, "write_roles")
    really = getattr(where, name)

    def meanwhile(*args: Any) -> Any:
        source.psql(DROP, "passing")
        return really(*args)

    number = source.psql("select oid from pg_roles where rolname = 'passing'")
    monkeypatch.setattr(where, name, meanwhile)
    contents = backed_up(crm)
    assert contents["dropped_roles"] == sorted(["owning", "passing", *([number] if early else [])])
    done = crm.run("test", "p", "--json")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done


def test_a_role_that_is_there_is_none_of_these_and_one_that_the_globals_lack_stays_a_failure(
    crm: Site, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = capture.write_roles

    def without(place: Any, env: Any, database: Any, into: Any, *args: Any) -> Any:
        dropped = really(place, env, database, into, *args)
        text = (into / "roles.sql").read_text()
        (into / "roles.sql").write_text("".join(x for x in text.splitlines(True) if " passing" not in x))
        return dropped

    monkeypatch.setattr(capture, "write_roles", without)
    assert backed_up(crm)["dropped_roles"] == []
    done = crm.run("test", "p", "--json")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
