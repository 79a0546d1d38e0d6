"""A plan as it is seen from one of its copies."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccdr.model.errors import UsageProblem
from ccdr.plans import LoadedPlan, load_plan
from ccdr.plans.copies import as_in_file, copy_named, seen_from

PLAN = """
plan: p
service: A test
owner: ops@example.test
objectives: {rpo: 1h, rto: 30m}
repository: {url: /srv/near, password_file: key, site: Iasi}
retention: {keep_within: 35d}
copies:
  offsite: {url: /srv/far, password_file: far, site: Cluj, schedule: "0 4 * * *"}
  cold:
    url: /srv/cold
    password_file: far
    site: Oradea
    schedule: "0 4 1 * *"
    retention: {keep_within: 700d}
    upkeep: {prune: "0 1 1 * *"}
assets:
  recordings: {engine: files, paths: [/var/spool/recordings], backup: {schedule: "15 * * * *"}}
"""


@pytest.fixture
def plan(tmp_path: Path) -> LoadedPlan:
    path = tmp_path / "p.yaml"
    path.write_text(PLAN, "utf-8")
    return load_plan(path, None)


def test_a_copy_stands_in_for_the_repository_and_nothing_else_changes(plan: LoadedPlan) -> None:
    there = seen_from(plan, "cold")
    assert there.plan.repository.location == "/srv/cold"
    assert (there.plan.retention, there.plan.upkeep.prune) == (plan.plan.copies["cold"].retention, "0 1 1 * *")
    assert there.plan.assets == plan.plan.assets and there.plan.objectives == plan.plan.objectives
    assert there.plan.copy_facts == {"copy": "cold", "site": "Oradea"}
    assert plan.plan.copy_facts == {"copy": "primary", "site": "Iasi"}
    assert (there.facts, there.sha256) == (plan.facts, plan.sha256)  # it is no other version of the plan
    assert as_in_file(there) is plan and as_in_file(plan) is plan


def test_a_copy_that_says_no_rules_of_its_own_has_the_plans(plan: LoadedPlan) -> None:
    there = seen_from(plan, "offsite")
    assert (there.plan.retention, there.plan.upkeep) == (plan.plan.retention, plan.plan.upkeep)


@pytest.mark.parametrize(
    ("where", "name"),
    [("offsite", "offsite"), ("Cluj", "offsite"), ("cold", "cold"), ("primary", None), ("Iasi", None)],
)
def test_where_to_fetch_from_is_named_by_the_copy_or_by_its_site(plan: LoadedPlan, where: str, name: str) -> None:
    assert copy_named(plan.plan, where) == name


def test_no_such_place_is_told_with_the_places_that_there_are(plan: LoadedPlan) -> None:
    with pytest.raises(UsageProblem, match="no such place") as told:
        copy_named(plan.plan, "Sibiu")
    assert told.value.hint is not None and "primary, offsite (Cluj) and cold (Oradea)" in told.value.hint


def test_a_site_of_two_repositories_does_not_say_which(plan: LoadedPlan) -> None:
    moved = plan.plan.copies["cold"].model_copy(update={"site": "Cluj"})
    with pytest.raises(UsageProblem, match="more than one"):
        copy_named(plan.plan.model_copy(update={"copies": {**plan.plan.copies, "cold": moved}}), "Cluj")
