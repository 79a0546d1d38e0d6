"""`ccdr doctor` on Docker, images and a database."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.support.doctor import lines, state_of
from tests.support.harness import Ran, Site, Source
from tests.support.stored import assert_clean, with_repository

NO_DOCKER = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}


DECODED = "restore_test: recordings\nchecks:\n  - {kind: identical}\n  - {kind: decodable, match: ['*.wav']}\n"


def test_docker_does_not_answer(twin: Site) -> None:
    twin.write("restore_tests/recordings.yaml", DECODED)
    done = twin.run("doctor", env=NO_DOCKER)
    assert done.code == 3, done
    assert (state_of(done, "Docker"), state_of(done, "sandbox", "recordings")) == ("UNKNOWN", "UNKNOWN")
    assert state_of(twin.run("doctor"), "sandbox", "recordings") == "OK"
    assert twin.run("doctor", "--only", "backups", env=NO_DOCKER).code == 0, "a host that only backs up needs none"


def test_image_that_is_not_there(twin: Site) -> None:
    twin.write("restore_tests/recordings.yaml", DECODED)
    twin.recordings(twin.root / "tree", "image: registry.invalid/nothing:1", checks=DECODED)
    done = twin.run("doctor")
    assert (done.code, state_of(done, "sandbox", "recordings")) == (1, "FAIL"), done
    assert "registry.invalid/nothing:1" in lines(done)["sandbox", "recordings"]["found"]


@pytest.fixture
def older_image() -> Iterator[str]:
    """An image whose PostgreSQL client says that it is of version 16."""
    name = f"ccdr-test-pg16:{os.getpid()}"
    script = "printf '#!/bin/sh\\necho \"pg_dump (PostgreSQL) 16.9\"\\n' > /usr/bin/pg_dump; chmod 755 /usr/bin/pg_dump"
    made = subprocess.run(
        ["docker", "run", "-d", "--entrypoint", "sh", "ccdr-sandbox/files:1", "-c", script],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    subprocess.run(["docker", "wait", made], capture_output=True, check=True)
    subprocess.run(["docker", "commit", made, name], capture_output=True, check=True)
    subprocess.run(["docker", "rm", made], capture_output=True, check=True)
    yield name
    subprocess.run(["docker", "rmi", name], capture_output=True, check=True)


@pytest.fixture
def crm(site: Site, source: Source, database: str) -> Site:
    with_repository(site)
    site.crm(source, database)
    return site


def test_database_its_image_and_what_was_measured(crm: Site, source: Source, database: str, older_image: str) -> None:
    crm.backed_up()
    assert crm.run("test", "p").code == 0
    done = crm.run("doctor")
    assert done.code == 0, done
    for what in (
        "source",
        "connection",
        "rights to read",
        "sandbox",
        "room for a sandbox",
        "RTO by tests",
        "source's clock",
    ):
        assert state_of(done, what, "crm") == "OK", (what, str(done))
    assert state_of(done, "rights to write", "crm") == "WARN", "postgres is a superuser"
    assert "version 17, as the source" in lines(done)["sandbox", "crm"]["found"]

    crm.crm(source, database, f"image: {older_image}")
    done = crm.run("doctor", "--only", "tests")
    assert (done.code, state_of(done, "sandbox", "crm")) == (1, "FAIL"), done
    assert "16" in lines(done)["sandbox", "crm"]["found"]

    crm.crm(source, database, "image: 'ccdr-sandbox/files:1'")
    assert state_of(crm.run("doctor", "--only", "tests"), "sandbox", "crm") == "FAIL", "it holds no client at all"

    crm.crm(source, database, "objectives: {rpo: 30m, rto: 1s}")
    done = crm.run("doctor")
    assert (state_of(done, "RPO by schedule", "crm"), state_of(done, "RTO by tests", "crm")) == ("FAIL", "FAIL")
    crm.crm(source, database, "memory: 4096GiB")
    assert state_of(crm.run("doctor"), "room for a sandbox", "crm") == "FAIL"
    assert_clean(crm)


@contextmanager
def role(source: Source, database: str, *grants: str, options: str = "") -> Iterator[str]:
    name = f"{database}_doctor"
    source.psql(f"create role {name} login {options}")
    for grant in grants:
        source.psql(grant.format(role=name), database)
    try:
        yield name
    finally:
        source.psql(f"drop owned by {name}", database)
        source.psql(f"drop role {name}")


READ = "grant pg_read_all_data to {role}"
OBJECTS = (
    "do $$ declare o oid; begin for o in select oid from pg_largeobject_metadata loop"
    " execute format('grant select on large object %s to {role}', o); end loop; end $$"
)


def as_role(site: Site, name: str) -> Ran:
    plan = site.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("user: postgres", f"user: {name}"))
    return site.run("doctor", "--only", "backups")


@pytest.mark.parametrize(
    ("grants", "options", "reads", "writes"),
    [
        ((READ, OBJECTS), "bypassrls", "OK", "OK"),  # the README's
        ((), "bypassrls", "FAIL", "OK"),
        ((READ,), "bypassrls", "FAIL", "OK"),  # which does not cover large objects
        ((READ, OBJECTS, "grant insert on call to {role}"), "bypassrls", "OK", "WARN"),
        ((READ, OBJECTS, "alter table call enable row level security"), "", "FAIL", "OK"),
        ((READ, OBJECTS, "alter table call enable row level security"), "bypassrls", "OK", "OK"),
        ((READ, OBJECTS), "bypassrls createrole", "OK", "WARN"),
        ((READ, OBJECTS, "create schema shut; create table shut.t ()"), "bypassrls", "OK", "OK"),
        (
            ("grant select on all tables in schema public to {role}; grant select on all sequences in schema public to {role}",
             OBJECTS, "create schema shut; create table shut.t (); grant select on shut.t to {role}"),
            "bypassrls", "FAIL", "OK",
        ),
    ],
)  # fmt: skip
def test_rights_of_a_role(
    crm: Site, source: Source, database: str, grants: tuple[str, ...], options: str, reads: str, writes: str
) -> None:
    """And what the line says is what a backup by this role then does."""
    with role(source, database, *grants, options=options) as name:
        done = as_role(crm, name)
        assert (state_of(done, "rights to read", "crm"), state_of(done, "rights to write", "crm")) == (reads, writes), (
            done
        )
        assert done.code == (1 if reads == "FAIL" else 0)
        if reads == "FAIL":
            assert crm.run("backup", "p").code == 1


def test_source_that_refuses_and_one_that_does_not_answer(crm: Site) -> None:
    done = as_role(crm, "nobody_of_that_name")
    assert (done.code, state_of(done, "source", "crm")) == (1, "FAIL"), done
    plan = crm.root / "plans" / "p.yaml"
    (crm.root / "none").mkdir()
    text = plan.read_text()
    plan.write_text(text.replace(text.split("host: ")[1].split(",")[0], str(crm.root / "none")))
    done = crm.run("doctor")
    assert (done.code, state_of(done, "source", "crm")) == (3, "UNKNOWN"), done
    assert crm.run("doctor", "--only", "tests").code == 0
