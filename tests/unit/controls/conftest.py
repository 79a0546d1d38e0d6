"""A plan with one asset, and its past."""

from __future__ import annotations

import pytest
from tests.support.harness import Site

from ccdr.plans.job import Job


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    site = Site(tmp_path_factory.mktemp("controls"), bare=True)
    site.write("restore_tests/t.yaml", "restore_test: t\nchecks:\n  - {kind: identical}\n")
    site.plan(
        """
        crm:
          engine: files
          paths: [/spool]
          backup: {schedule: "15 * * * *"}
          restore_test: {schedule: "0 3 * * *", checks: [t]}
        """,
        extra='retention: {keep_within: 35d}\nupkeep: {prune: "0 5 * * *", check: "0 6 * * *", parts: 2}\n'
        'negative_control: {schedule: "0 4 * * *"}\n'
        "copies:\n"
        '  far: {url: /far, password_file: key, site: Cluj, schedule: "0 4 * * *"}\n'
        '  farther: {url: /farther, password_file: key, site: Oradea, schedule: "0 4 1 1 *"}\n',
    )
    return Job(site.loaded(), "crm")


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A plan without copies, and without retention."""
    site = Site(tmp_path_factory.mktemp("bare"), bare=True)
    site.plan("crm: {engine: files, paths: [/spool]}")
    return Job(site.loaded(), "crm")


@pytest.fixture(scope="session")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A plan whose packs in use are to be locked."""
    site = Site(tmp_path_factory.mktemp("locked"), bare=True)
    url = "{url: 's3:http://127.0.0.1:1/b', password_file: key, lock: {keep: 35d, env_file: key}}"
    site.plan("crm: {engine: files, paths: [/spool]}", repository=url)
    return Job(site.loaded(), "crm")


@pytest.fixture(scope="session")
def to_be_approved(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A plan that is to be approved."""
    site = Site(tmp_path_factory.mktemp("approved"), bare=True)
    site.plan("crm: {engine: files, paths: [/spool]}", extra="approval: {review: 90d}\n")
    return Job(site.loaded(), "crm")


@pytest.fixture(scope="session")
def bare_copy(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A plan with a copy, none of whose assets has a schedule for restore tests."""
    site = Site(tmp_path_factory.mktemp("bare_copy"), bare=True)
    copy = '{url: /far, password_file: key, site: Cluj, schedule: "0 4 * * *"}'
    site.plan("crm: {engine: files, paths: [/spool]}", extra=f"copies:\n  far: {copy}\n")
    return Job(site.loaded(), "crm")


@pytest.fixture(scope="session")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A plan with a credential for a role."""
    site = Site(tmp_path_factory.mktemp("roles"), bare=True)
    site.plan("crm: {engine: files, paths: [/spool]}", extra="access: {verify: {env_file: verify.env}}\n")
    return Job(site.loaded(), "crm")


@pytest.fixture(scope="session")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A plan with the data of two clients."""
    site = Site(tmp_path_factory.mktemp("tenants"), bare=True)
    of = "{{engine: files, paths: [/{0}], tenant: {0}}}"
    site.plan(f"crm: {of.format('acme')}\ncdr: {of.format('beta')}", extra="incidents: {role: processor}\n")
    return Job(site.loaded(), "crm")


@pytest.fixture(scope="session")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A database that is dumped, its whole server, and one of another server."""
    site = Site(tmp_path_factory.mktemp("twice"), bare=True)
    one, another = (
        f"connection: {{host: {host}, user: ccdr, database: crm, password_file: key}}" for host in ("db1", "db2")
    )
    site.plan(
        f"crm: {{engine: postgres, {one}}}\nwhole: {{engine: postgres, method: physical, {one}}}\n"
        f"elsewhere: {{engine: postgres, {another}}}"
    )
    return Job(site.loaded(), "crm")
