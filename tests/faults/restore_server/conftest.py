"""One target server for a worker's tests, with passwords; each test makes and drops its own databases and roles there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.harness import Site, Source, small_database
from tests.support.restored_database import CHECKS, GONE, MORE
from tests.support.sites import copy_of
from tests.support.stored import with_repository
from tests.support.target import PASSWORD, Target, server

from ccdr.engines.postgres.dump.database import DROP_SUBSCRIPTIONS


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with server(tmp_path_factory.mktemp("target")) as made:
        yield made


@pytest.fixture(autouse=True)
def clean(target: Target) -> Iterator[None]:
    """The target as it was: nothing of a test stays."""
    yield
    for database in target.databases - {"postgres", "template0", "template1"}:
        target.psql(f'alter database "{database}" is_template false', check=False)
        if target.psql("select count(*) from pg_subscription", check=False) != "0":
            target.psql(DROP_SUBSCRIPTIONS, database, check=False)
        target.psql(f'drop database "{database}" with (force)')
    if roles := ", ".join('"{}"'.format(role.replace('"', '""')) for role in target.roles - {"dba"}):
        target.psql(f"drop owned by {roles}; drop role {roles}")
    target.psql("alter role dba reset all")


@pytest.fixture(scope="session")
def stored(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with small_database(source, "restored") as name:
        source.psql(MORE.format(name=name), name)
        site = with_repository(Site(tmp_path_factory.mktemp(name)))
        site.crm(source, name, checks=CHECKS)
        site.backed_up()
        yield site
        source.psql(f"alter database {name} owner to postgres; alter table call owner to postgres", name)
        source.psql(GONE.format(name=name), name)


@pytest.fixture
def site(stored: Site, tmp_path: Path) -> Site:
    made = copy_of(stored, tmp_path / "site")
    made.write("pw", f"{PASSWORD}\n", mode=0o600)
    return made
