"""A host that is new to a repository takes its first backup, or restore test, without reading all that is stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any, cast

import pytest
from tests.support.harness import Site
from tests.support.listed import ROOT, Repository, an_id

from ccdr.engines.postgres.physical import BASE_FILE
from ccdr.host.state import Run
from ccdr.jobs.fetch import newest_of
from ccdr.jobs.parents import base_for
from ccdr.jobs.services import Services
from ccdr.model.values import FileDigest
from ccdr.plans.job import Job

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CRM = (
    "crm: {engine: postgres, method: physical, incremental: {full_every: 7d},"
    " connection: {host: /one, user: u, database: d}}"
)
MANY = 2000
HELD = "a backup manifest"


@pytest.fixture
def services(site: Site) -> Services:
    site.plan(CRM)
    clock = cast("Any", type("Still", (), {"now": lambda _: NOW, "monotonic": lambda _: 0.0})())
    return site.services(clock)


@pytest.fixture
def job(site: Site, services: Services) -> Job:
    return Job(site.loaded(), "crm")


@pytest.fixture
def run(services: Services) -> Iterator[Run]:
    with services.state.run(services.clock) as made:
        yield made


def stored(job: Job, *, elsewhere: int = 0) -> Repository:
    """Half-hourly full ones; the newest are of another server, by what the plan names now."""
    repo, files = Repository(), {BASE_FILE: FileDigest(len(HELD), sha256(HELD.encode()).hexdigest())}
    for n in range(MANY):
        at = NOW - timedelta(minutes=30 * (MANY - n))
        source = "elsewhere" if n >= MANY - elsewhere else job.engine.source_name
        run = f"run={at:%Y%m%dT%H%M%S}-abcdef"
        listed = repo.backup(n, at, "crm", run, method="physical", files=files, contents={"source": source})
        repo.files[listed.id, PurePosixPath(ROOT) / BASE_FILE] = HELD
    return repo


@pytest.mark.parametrize("elsewhere", [0, 60])
def test_the_parent_of_an_increment_is_the_newest_and_a_handful_is_read_for_it(
    services: Services, job: Job, run: Run, elsewhere: int
) -> None:
    repo = stored(job, elsewhere=elsewhere)
    base = base_for(job, services, cast("Any", repo), run.scratch / "none", run)
    assert [snapshot.id for snapshot, _ in base.chain] == [an_id(MANY - 1 - elsewhere)] and base.why == ""
    assert len(set(repo.reads)) <= 20 + 2 * elsewhere


def test_what_is_read_for_the_newest_is_read_once(services: Services, job: Job) -> None:
    repo = stored(job)
    told = newest_of(job, services, cast("Any", repo), ())
    assert len(told.unlooked) == MANY - len(set(repo.reads)) and len(repo.reads) == len(set(repo.reads))
    before = len(repo.reads)
    newest_of(job, services, cast("Any", repo), ())
    assert len(repo.reads) <= 2 * before, "as many again, and no more, by a host that knows the newest"


def test_where_few_are_new_all_are_read(services: Services, job: Job) -> None:
    repo = stored(job)
    repo.there = repo.there[-20:]
    assert not newest_of(job, services, cast("Any", repo), ()).unlooked and len(repo.reads) == 20
