"""Negative controls of what is captured as it goes (`stream`) and of whole servers (`physical`): each kind of damage that
an engine can have, by seeds. A few here, drawn by a seed; `make soak` does all of them (CCDR_SWEEP), by more."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from tests.support import mariadb_source as maria_centre
from tests.support.cluster import cluster
from tests.support.harness import SMALL, Site, Source, containers, small_database
from tests.support.mariadb_source import data_directory, mariadb_server, whole_server

from ccdr.model.damage import OF_FILES, OF_TABLES, Damage

SEEDS = int(os.environ.get("CCDR_SWEEP", "0"))  # of each kind; 0: a few of all
SEED = int(os.environ.get("CCDR_SEED", "20261128"))
CONTROL = 'negative_control: {schedule: "* * * * *"}'
CAPTURED = ("postgres-stream", "postgres-physical", "mariadb-physical")
# Of a server that is captured whole the fetched files are what is compared: these alone are damaged.
EVERY = [(of, kind) for of in CAPTURED for kind in ((*OF_TABLES, *OF_FILES) if of == "postgres-stream" else OF_FILES)]


def drawn() -> list[tuple[str, Damage, int]]:
    """What is captured, how it is damaged, by which seed."""
    chance = random.Random(SEED)
    if SEEDS:
        return [(captured, kind, chance.randrange(10_000)) for captured, kind in EVERY for _ in range(SEEDS)]
    each = [chance.choice([one for one in EVERY if one[0] == captured]) for captured in CAPTURED]
    return [(captured, kind, chance.randrange(10_000)) for captured, kind in each]


@pytest.fixture(scope="module")
def postgres_stream(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("sweep"))
    with small_database(source, "swept") as name:
        site.crm(source, name, f"method: stream\n{CONTROL}")
        site.backed_up()
        yield site


@pytest.fixture(scope="module")
def postgres_physical(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("swept")
    root.chmod(0o755)
    site = Site(tmp_path_factory.mktemp("sweep"))
    with cluster(root / "server") as made:
        made.renamed("crm")
        made.psql(SMALL, "crm")
        site.crm(made, "crm", f"method: physical\n{CONTROL}")
        site.backed_up()
        yield site


@pytest.fixture(scope="module")
def mariadb_physical(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site, data = Site(tmp_path_factory.mktemp("swept")), data_directory()
    with mariadb_server(data=data) as made, maria_centre.small_database(made, "crm"):
        maria_centre.crm(site, made, "crm", f"{whole_server(data)}\n{CONTROL}")
        site.backed_up()
        yield site


@pytest.mark.parametrize(("captured", "damage", "seed"), drawn())
def test_each_damage_is_found_and_the_copy_beside_it_passes(
    captured: str, damage: Damage, seed: int, request: pytest.FixtureRequest
) -> None:
    site: Site = request.getfixturevalue(captured.replace("-", "_"))
    done = site.run("test", "p", "--negative-control", "--damage", damage.value, "--seed", str(seed))
    shown = (done.json["reason"], done.json["healthy"], done.json["damaged"], site.words())
    assert (done.code, done.json["result"], done.json["damage"]["kind"]) == (0, "CAUGHT", damage.value), shown
    assert (done.json["healthy"]["verdict"], done.json["damaged"]["verdict"]) == ("PASS", "FAIL"), shown
    assert done.json["disposal"]["sandbox_gone"] and not done.json["disposal"]["left_behind"]
    assert not any(done.json["run"] in name for name in containers())
