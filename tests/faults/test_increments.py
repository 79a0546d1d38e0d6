"""Increments of a server: as good as all that they build upon, and never better."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import Cluster, cluster
from tests.harness import SMALL, Ran, Site
from tests.stored import copy_of, left

INCREMENTAL = "method: physical\nincremental: {full_every: 7d}"
CHECKS = """\
restore_test: crm
checks:
  - {kind: identical}
  - {kind: integrity}
  - {kind: rows, table: call, at_least: 3000}
"""
MORE = """
insert into call (customer_id, state, started_at) select 1, 'lost', now() from generate_series(1, 50);
update kept set n = n + 1 where n < 50;
"""


def prepared(made: Cluster) -> Cluster:
    """With a tablespace of its own, which increments hold, too."""
    made.run("mkdir", f"{made.tablespaces}/one")
    made.psql("create database crm")
    made.psql(SMALL, "crm")
    made.psql(f"create tablespace one location '{made.tablespaces}/one'")
    made.psql("create table kept (n int) tablespace one; insert into kept select generate_series(1, 20000)", "crm")
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    root = tmp_path_factory.mktemp("increments")
    root.chmod(0o755)
    with cluster(root / "server", summarize_wal="on") as made:
        yield prepared(made)


@pytest.fixture(scope="module")
def chained(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A full base and two increments."""
    site = Site(tmp_path_factory.mktemp("chained"))
    site.crm(server, "crm", INCREMENTAL, checks=CHECKS)
    for _ in range(3):
        site.backed_up()
        server.psql(MORE, "crm")
    return site


@pytest.fixture
def site(chained: Site, tmp_path: Path) -> Site:
    return copy_of(chained, tmp_path / "site")


def chain_of(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.run("snapshots", "p").json["snapshots"]
    return found


def rpo(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = site.run("status").json["plans"][0]["assets"][0]["rpo"]
    return found


def backed_up(site: Site) -> Ran:
    done = site.run("backup", "p")
    assert done.json["result"] == "STORED", done
    return done


def builds_upon(done: Ran) -> list[str]:
    found: list[str] = done.json["snapshot"].get("upon", [])
    return found


def test_increments_restore(site: Site) -> None:
    full, first, second = chain_of(site)
    assert full["builds_upon"] == [] and first["builds_upon"] == [full["id"]]
    assert second["builds_upon"] == [full["id"], first["id"]]
    stored = [r["added_bytes"] for r in site.records("backup.end")]
    assert max(stored[1:]) < stored[0] / 2
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    files = next(c for c in done.json["checks"] if c["name"].startswith("files"))
    assert "put together of 3 snapshots" in files["actual"]
    assert done.json["rto"]["achieved_s"] >= done.json["phases"]["fetch"] + done.json["phases"]["load"]
    assert not left(site)
