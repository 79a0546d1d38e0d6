"""Floors of versions: which is below, and every mistake of a user's own file is named with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ccdr.model.errors import PlanInvalid
from ccdr.plans.floors import Floors, floors_schema, load_floors, lowered, numbers_of
from ccdr.plans.own_file import packaged
from ccdr.telling.controls import floors_beside

LINES = ("10.6.20", "10.11.10", "11.4.4")


@pytest.mark.parametrize(
    ("floors", "version", "below"),
    [
        (("0.16",), "0.18.0", None),
        (("0.16",), "0.16.0", None),
        (("0.16",), "0.15.2", "0.16"),
        (("0.16",), "0.9.6", "0.16"),
        (("16.10", "17.6"), "16.9", "16.10"),
        (("16.10", "17.6"), "16.10", None),
        (("16.10", "17.6"), "17.12 (Debian 17.12-1)", None),
        (("16.10", "17.6"), "17.5", "17.6"),
        (("16.10", "17.6"), "15.14", "16.10"),
        (("16.10", "17.6"), "18.0", None),
        (LINES, "10.11.9-MariaDB-log", "10.11.10"),
        (LINES, "10.11.10-MariaDB-log", None),
        (LINES, "10.4.34-MariaDB", "10.6.20"),
        (LINES, "11.4.3", "11.4.4"),
        (LINES, "11.8.1", None),
        (("17.6",), "unknown", None),
        ((), "1.0", None),
    ],
)
def test_a_version_is_held_to_the_floor_of_its_own_line(
    floors: tuple[str, ...], version: str, below: str | None
) -> None:
    asked = Floors(versions={"it": floors} if floors else {})
    assert asked.below("it", version) == below and asked.below("other", version) is None


def test_versions_are_compared_by_their_numbers() -> None:
    assert numbers_of("11.8.9-MariaDB-0+deb13u1 from Debian-log") == (11, 8, 9)
    assert numbers_of("unknown") is None


GOOD = """\
versions:
  restic: "0.18"
  postgres: ["16.10", "17.6"]
ages: {image: 90d}
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"0.18"', "0.18", ":2: versions.restic: is a number with decimals"),
        ('"17.6"', '"seventeen"', ":3: versions.postgres[1]: is no version"),
        ("90d", "90", ":4: ages.image: is not a duration"),
        ("ages", "age", ":4: age: unknown key, did you mean ages?"),
        ('["16.10", "17.6"]', "[]", ":3: versions.postgres: has too few entries"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "floors.yaml"
    path.write_text(GOOD.replace(old, new, 1), "utf-8")
    with pytest.raises(PlanInvalid) as told:
        load_floors(path)
    assert any(said in str(one) for one in told.value.problems), told.value.problems


def test_those_beside_the_plans_take_the_place_of_ours(tmp_path: Path) -> None:
    plans = tmp_path / "plans"
    assert floors_beside(plans).raw == packaged("floors.yaml") and floors_beside(plans).path is None
    (tmp_path / "floors.yaml").write_text(GOOD, "utf-8")
    own = floors_beside(plans)
    assert own.path == tmp_path / "floors.yaml" and own.value.below("postgres", "17.5") == "17.6"
    assert own.value.ages.versions == 31 * 86400, "what is not said is as ours"


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"versions": {"restic": "0.16", "postgres": ["16.10", "17.6"]}}, {}),
        ({"versions": {"restic": "0.1"}}, {"restic": "restic 0.1 (0.16)"}),
        ({"versions": {"postgres": ["9.0", "17.6"]}}, {"postgres": "postgres 9.0 (14.0)"}),
        ({"versions": {"mariadb": ["11.8.0"]}}, {}),
        ({"tls": "1.0"}, {"tls": "TLS 1.0 (1.2)"}),
        ({"tls": "1.3"}, {}),
    ],
)
def test_what_asks_for_less_than_ours_is_told(own: dict[str, Any], told: dict[str, str]) -> None:
    assert lowered(Floors(**own), load_floors(None).value) == told
    assert lowered(load_floors(None).value, load_floors(None).value) == {}


def test_editors_have_a_schema() -> None:
    assert set(floors_schema()["properties"]) == {"versions", "tls", "ages"}
