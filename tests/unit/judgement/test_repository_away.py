"""A repository or a source that was not to be had."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.chronicle import Chronicle
from tests.support.judged import NOON, judged, nothing, told, well

from ccdr.model.trouble import Level
from ccdr.plans.job import Job


@pytest.mark.parametrize(
    ("why", "level", "said"),
    [
        ("missing", Level.LOST, "it was not there"),
        ("closed", Level.LOST, "it did not open with the plan's password"),
        ("unavailable", Level.UNPROVEN, "it did not answer"),
        ("damaged", Level.LOST, "it did not open: its keys or its config are damaged"),
    ],
)
@pytest.mark.parametrize("verb", ["backup", "test"])
def test_what_could_not_be_reached_says_in_what_way(
    jobs: dict[str, Job], past: Chronicle, why: str, level: Level, said: str, verb: str, wording: SnapshotAssertion
) -> None:
    well(past)
    if verb == "backup":
        past.failed(-0.2, "away", repository=why)
    else:
        past.tested(-0.2, None, "INCONCLUSIVE", reason="away", repository=why)
    found = judged(jobs["crm"], past)
    text = f"when its repository was last asked, {NOON}11:48:00Z, {said}: away"
    assert told(found)[0] == ("REPOSITORY_AWAY", level, text, wording(name="step"))
    assert found.away and found.wrong[0].since == past.at(-0.2)


@pytest.mark.parametrize(
    ("then", "away"),
    [
        (nothing, True),
        (lambda p: p.checked(-0.1), False),
        (lambda p: p.checked(-0.1, "DAMAGED"), False),
        (lambda p: p.checked(-0.1, "INCONCLUSIVE", repository="missing"), True),
        (lambda p: p.stored(-0.1, "s"), False),
        (lambda p: p.tested(-0.1, "new", "INCONCLUSIVE"), False),
        (lambda p: p.failed(-0.1), False),
        (lambda p: p.began(-0.1, "restore_test", "x"), True),  # a crash tells nothing of it
        (lambda p: p.began(-0.1, "backup", "x"), True),
        (lambda p: p.pruned(-0.1), True),
    ],
)
def test_who_could_not_be_reached_last_is_away_until_somebody_reads_it(
    jobs: dict[str, Job], past: Chronicle, then: Callable[[Chronicle], object], away: bool
) -> None:
    well(past).checked(-0.3)
    past.failed(-0.2, repository="missing")
    then(past)
    assert judged(jobs["crm"], past).away is away


def because(job: Job, past: Chronicle) -> dict[str, str | None]:
    return {p.trouble.name: p.because and p.because.name for p in judged(job, past).troubles}


def test_what_another_attempt_met_is_no_cause_of_this_one(jobs: dict[str, Job], past: Chronicle) -> None:
    """A backup that broke for a reason of its own shows its own step, though a test found no repository since."""
    well(past).failed(-0.3, "disk full")
    past.tested(-0.2, None, "INCONCLUSIVE", reason="away", repository="unavailable")
    assert because(jobs["crm"], past) == {
        "REPOSITORY_AWAY": None, "BACKUP_FAILED": None, "TEST_INCONCLUSIVE": "REPOSITORY_AWAY",
    }  # fmt: skip
    past.failed(-0.1, "away", repository="unavailable")
    assert because(jobs["crm"], past)["BACKUP_FAILED"] == "REPOSITORY_AWAY"


def test_a_repository_that_no_backup_has_made_yet_is_not_what_is_wrong(jobs: dict[str, Job], past: Chronicle) -> None:
    past.failed(-0.3, "entry 1 of `paths:` is not there", source="away")
    past.tested(-0.2, None, "INCONCLUSIVE", reason="away", repository="missing")
    follows = ("BACKUP_FAILED", "NEVER_SUCCEEDED", "REPOSITORY_AWAY", "TEST_INCONCLUSIVE", "NEVER_TESTED")
    assert because(jobs["crm"], past) == {"SOURCE_AWAY": None, **dict.fromkeys(follows, "SOURCE_AWAY")}


def test_a_repository_that_no_backup_could_make_is_no_cause_of_why_none_has(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    """Backups and tests have met none: each follows from something, and nothing from itself."""
    past.failed(-0.4, "away", repository="missing")
    past.tested(-0.2, None, "INCONCLUSIVE", reason="away", repository="missing")
    by = {p.trouble.name: p.because and p.because.name for p in judged(jobs["crm"], past).troubles}
    roots = {name for name, cause in by.items() if cause is None}
    assert roots == {"BACKUP_FAILED"} and by["REPOSITORY_AWAY"] == "BACKUP_FAILED", by
