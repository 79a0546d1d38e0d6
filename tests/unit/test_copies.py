"""A plan as it is seen from one of its copies, and what is told of these."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import convert, to_builtins
from syrupy.assertion import SnapshotAssertion
from tests.support.clocks import Clock
from tests.support.copied import add_copies
from tests.support.harness import Site
from tests.support.records import record_in
from tests.support.sparse import append_sparse

from ccdr.evidence.judgement.upkeep import of_copies
from ccdr.model.errors import UsageProblem
from ccdr.model.values import Verb
from ccdr.plans import LoadedPlan, load_plan
from ccdr.plans.copies import as_in_file, copy_named, seen_from
from ccdr.plans.due import RequestedRuns, RunStart, schedules, tallies
from ccdr.plans.facts import PlanFacts
from ccdr.plans.versions import PlanRevision
from ccdr.telling.copies import copies_of

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


def test_no_such_place_is_told_with_the_places_that_there_are(plan: LoadedPlan, wording: SnapshotAssertion) -> None:
    with pytest.raises(UsageProblem, match="no such place") as told:
        copy_named(plan.plan, "Sibiu")
    assert told.value.hint is not None and told.value.hint == wording


def test_a_site_of_two_repositories_does_not_say_which(plan: LoadedPlan) -> None:
    moved = plan.plan.copies["cold"].model_copy(update={"site": "Cluj"})
    with pytest.raises(UsageProblem, match="more than one"):
        copy_named(plan.plan.model_copy(update={"copies": {**plan.plan.copies, "cold": moved}}), "Cluj")


# --- lint ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("copy", "said"),
    [
        ("url: /srv/near, site: Cluj", "is that of the plan's own repository"),
        ("url: 's3:http://127.0.0.1:1/b/x', site: Iasi", "is Iasi, like that of the plan's own repository"),
        ("url: /srv/other, site: Cluj", "lies on the disk of the plan's own repository"),
        ("url: 's3:http://127.0.0.1:1/b/x', site: Cluj", None),
    ],
)
def test_a_copy_that_one_failure_destroys_with_the_first_is_told(tmp_path: Path, copy: str, said: str | None) -> None:
    path, (head, tail) = tmp_path / "p.yaml", PLAN.split("copies:\n")
    copies = f'copies:\n  offsite: {{{copy}, password_file: far, schedule: "0 4 * * *"}}\n'
    path.write_text(f"{head}{copies}assets:{tail.split('assets:')[1]}", "utf-8")
    found = [
        p.message for p in load_plan(path, None).lint if p.path.startswith("copies.offsite") and "_file" not in p.path
    ]
    assert (said is None and not found) or (said is not None and said in found[0]), found


def test_two_copies_in_one_bucket_are_told(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        PLAN.replace("/srv/far", "s3:http://127.0.0.1:1/b/x").replace("/srv/cold", "s3:http://127.0.0.1:1/b/y")
    )
    (found,) = [p for p in load_plan(path, None).lint if p.path == "copies.cold.url"]
    assert "lies in the bucket of the copy offsite" in found.message


# --- what is due --------------------------------------------------------------------------------------------------

DAY = timedelta(days=1)
BEGUN = datetime(2026, 11, 1, 12, tzinfo=UTC)


def test_a_copys_schedules_are_due_beside_the_plans_own(plan: LoadedPlan) -> None:
    """Whoever looks after the repository answers for them: a test there, or a prune of the plan's own, serves none."""
    version = PlanRevision("p", "d" * 64, plan.facts, 1, BEGUN, "root", None, {})
    assert convert(to_builtins(plan.facts), PlanFacts) == plan.facts
    known = schedules([version], BEGUN)
    assert {one for one in known if one[0] == "offsite"} == {
        ("offsite", v) for v in (Verb.COPY, Verb.PRUNE, Verb.CHECK)
    }
    asked = [RequestedRuns(BEGUN, frozenset({Verb.PRUNE, Verb.CHECK}), {})]
    at = [int((BEGUN + n * DAY).replace(hour=4).timestamp()) for n in (1, 2, 4)]
    starts = {("offsite", Verb.COPY): [RunStart(one + 60, one) for one in at]}
    told = {(t.asset, t.verb): t for t in tallies([version], asked, starts, BEGUN, BEGUN + 5 * DAY)}
    assert (told["offsite", Verb.COPY].due, told["offsite", Verb.COPY].missed) == (5, 2)
    elsewhere = [RequestedRuns(BEGUN, frozenset({Verb.BACKUP}), {})]
    other = {(t.asset, t.verb): t for t in tallies([version], elsewhere, {}, BEGUN, BEGUN + 5 * DAY)}
    assert (other["offsite", Verb.COPY].missed, other["offsite", Verb.COPY].elsewhere) == (0, 5)


# --- what is told -------------------------------------------------------------------------------------------------


class Told:
    """A plan with one copy, and a ledger that is told of it, hour by hour."""

    def __init__(self, root: Path) -> None:
        site = Site(root)
        site.recordings(root / "tree")
        add_copies(site, "offsite", bare=True)
        self.clock = Clock(BEGUN)
        self.services, self.loaded = site.services(self.clock), site.loaded()

    def record(self, kind: str, *, after: float = 1, asset: str | None = None, **body: Any) -> None:
        self.clock.at += timedelta(hours=after)
        record_in(self.services.ledger, kind, plan="p", asset=asset, run=f"r{self.clock.at:%d%H}", body=body)

    def copied(self, result: str = "DONE", *, after: float = 1, **body: Any) -> None:
        there = {"there": {"recordings": 3}, "newest": {"recordings": "2026-11-01T11:00:00Z"}}
        self.record("copy.end", after=after, result=result, copy="offsite", **{**there, **body})

    def tested(self, verdict: str = "PASS", *, copy: str = "offsite") -> None:
        body: dict[str, Any] = {"verdict": verdict, "reason": None, "findings": [], "copy": copy}
        body |= {"snapshot": {"id": "a" * 64, "selected": "latest"}}
        append_sparse(self.services.ledger, "restore_test.end", plan="p", asset="recordings", run="t", body=body)

    def all_codes(self, later: float = 0) -> dict[str, str]:
        now = self.clock.at + timedelta(hours=later)
        return {p.trouble.name: p.text for p in of_copies(self.loaded, self.services.histories(), now)}

    def codes(self, later: float = 0) -> dict[str, str]:
        """But for that nothing was restored from there."""
        told = self.all_codes(later)
        return {c: text for c, text in told.items() if not text.endswith("never restored from there")}


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_nothing_is_wrong_with_a_copy_that_is_filled_when_it_is_due(told: Told) -> None:
    assert told.codes() == {}
    told.copied()
    assert told.codes() == told.codes(39) == {}
    (found,) = copies_of(told.loaded, told.services.histories(), told.clock.at)
    assert found.exposure("recordings") == 7200 and "up to 2h 00m would be lost" in str(found)


def test_a_copy_that_is_overdue_is_told_once_it_came_due_twice(told: Told) -> None:
    told.copied()
    assert "overdue" in told.codes(40)["COPY_LATE"] and told.codes(40)["COPY_LATE"].startswith(
        "the copy offsite (Site "
    )


def test_what_failed_is_told_with_what_the_copy_still_holds(told: Told, wording: SnapshotAssertion) -> None:
    told.copied()
    told.copied("FAILED", reason="it did not answer", there=None, newest={}, repository="unavailable")
    assert told.codes()["COPY_FAILED"] == wording
    told.copied()
    assert told.codes() == {}


def test_a_copying_that_crashed_is_told_until_one_has_gone_well(told: Told) -> None:
    started = {"plan_sha256": "a" * 64, "trigger": {"by": "command"}}
    told.record("copy.start", copy="offsite", **started)
    assert "crashed" in told.codes()["COPY_FAILED"]
    told.copied()
    assert told.codes() == {}


def test_the_care_of_a_copy_is_told_of_it_alone(told: Told) -> None:
    told.copied()
    told.record("check.end", result="DAMAGED", part=1, parts=30, reason="a pack", copy="offsite")
    told.record("prune.end", result="FAILED", reason="it did not answer", removed=[], copy="offsite")
    assert told.codes().keys() == {"COPY_DAMAGED", "COPY_UPKEEP"}
    assert ("p", None) not in told.services.histories()  # nothing was taken for the plan's own
    told.record("check.end", result="CLEAN", part=1, parts=30, copy="offsite")
    told.record("prune.end", result="DONE", removed=[], copy="offsite")
    assert told.codes() == {}


def test_a_copy_that_nothing_was_ever_restored_from_is_told_until_a_test_from_there_has_come_to_a_verdict(
    told: Told,
    wording: SnapshotAssertion,
) -> None:
    assert "COPY_UNTESTED" not in told.all_codes()  # nothing is there
    told.copied()
    assert told.all_codes()["COPY_UNTESTED"] == wording
    told.tested(copy="primary")
    assert "COPY_UNTESTED" in told.all_codes()
    told.tested("INCONCLUSIVE")
    assert "INCONCLUSIVE" in told.all_codes()["COPY_UNTESTED"]
    told.tested()
    assert told.all_codes() == {}


def test_where_another_host_tests_it_is_not_known_whether_a_copy_was_restored_from(told: Told) -> None:
    told.copied()
    told.record("duties", verbs=["backup", "prune", "check"], gained=[], lost=[], reason=None)
    assert told.all_codes() == {}


def test_a_plan_without_copies_has_no_troubles_of_them(told: Told) -> None:
    told.copied("FAILED", reason="gone")
    bare = replace(told.loaded, plan=told.loaded.plan.model_copy(update={"copies": {}}))
    assert of_copies(bare, told.services.histories(), told.clock.at) == ()
