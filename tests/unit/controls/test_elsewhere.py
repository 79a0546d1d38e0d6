"""What was done at a repository shows nothing of the one that the plan names now, and a prune nothing of a retention
that came after it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.chronicle import Chronicle
from tests.support.control_histories import access_reviewed, compared, copied, extended, version
from tests.support.controls import known_of, part_of
from tests.support.judged import about

from ccdr.evidence.controls.values import ControlState
from ccdr.plans.job import Job

SHOWN, NOTHING = ControlState.SHOWN, ControlState.NOTHING
RETENTION = "legal-compliance/retention"


def planned(past: Chronicle, hours: float, primary: str = "1", far: str = "2", days: float = 35.0) -> None:
    """A version of the plan, whose repositories lie at these addresses."""
    version(past, hours)
    facts = past.records[-1]["facts"]

    def at(address: str) -> dict[str, object]:
        return {"location": address * 64, "on_host": False, "apart": True}

    of_copy = {"schedule": "0 4 * * *", "prune": "0 5 * * *", "check": "0 6 * * *", "parts": 2, "retention": None}
    facts["repository"] = at(primary)
    facts["copies"] = {"far": of_copy | {"repository": at(far), "test_every": 4}}
    facts["retention"] = {"keep_within": days * 86400}


def checked(past: Chronicle, hours: float) -> None:
    past.checked(hours, parts=2)
    past.checked(hours + 0.1, part=2, parts=2)


DONE: dict[str, tuple[Callable[[Chronicle, float], object], str, str]] = {
    "backup-and-recovery/checks": (checked, "primary", "job"),
    RETENTION: (lambda p, h: p.pruned(h, kept={"crm": 5}), "primary", "job"),
    "monitoring-and-audit/comparisons": (compared, "primary", "job"),
    "threats/object-locks": (extended, "primary", "locked"),
    "physical-security/copies": (copied, "far", "job"),
    "access-control/access-review": (access_reviewed, "primary", "job"),
}


@pytest.mark.parametrize("part", DONE)
def test_what_was_done_elsewhere_shows_nothing_of_this_repository(job: Job, locked: Job, part: str) -> None:
    tell, place, of = DONE[part]
    asked = {"job": job, "locked": locked}[of]
    other = "far" if place == "primary" else "primary"

    def states() -> ControlState:
        return part_of(known_of(asked, past), part).state

    past = about(asked)
    planned(past, -9)
    tell(past, -5)
    planned(past, -4, **{other: "3"})
    assert states() in (SHOWN, ControlState.STATED), "the twin: another place of it has moved"
    planned(past, -3, **{other: "3", place: "4"})
    assert states() is NOTHING
    planned(past, -2, **{other: "3", place: "1" if place == "primary" else "2"})
    assert states() is NOTHING, "who moves it back has not looked there since, either"
    tell(past, -1)
    assert states() in (SHOWN, ControlState.STATED)


def test_a_part_that_was_read_elsewhere_counts_for_none_of_all(job: Job) -> None:
    past = about(job)
    planned(past, -9)
    checked(past, -5)
    planned(past, -4, primary="4")
    past.checked(-1, parts=2)
    (seen,) = part_of(known_of(job, past), "backup-and-recovery/checks").observed
    assert seen.state is NOTHING and "1 of 2 parts" in seen.text, seen


def test_a_prune_by_another_retention_shows_nothing_of_this_one(job: Job) -> None:
    past = about(job)
    planned(past, -9)
    past.pruned(-5, kept={"crm": 5})
    planned(past, -4)
    assert part_of(known_of(job, past), RETENTION).state is SHOWN, "the twin: it says the same"
    planned(past, -3, days=7.0)
    (seen,) = part_of(known_of(job, past), RETENTION).observed
    assert seen.state is NOTHING and "retention was changed" in seen.text, seen
    past.pruned(-1, kept={"crm": 1})
    assert part_of(known_of(job, past), RETENTION).state is SHOWN
