"""What `status` calls proven, and what it calls a finding."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.support.asked import NOON, Centre, ago

from ccdr.model.trouble import Trouble
from ccdr.telling.status import exit_code


def test_what_has_passed_and_is_as_it_should_be_is_proven_and_no_finding(centre: Centre) -> None:
    centre.well()
    found = centre.of()
    assert found.proven and not found.finding and exit_code([found]) == 0


@pytest.mark.parametrize(
    ("minutes", "seconds", "findings"),
    [(60.1, 5.0, []), (5, 1800.1, []), (5, 5.0, ["3 files were in use"])],
    ids=["rpo", "rto", "finding"],
)
def test_one_thing_alone_is_a_finding_and_keeps_it_from_being_proven(
    centre: Centre, minutes: float, seconds: float, findings: list[str]
) -> None:
    """Just past an objective, with nothing else the matter; or that something was said, with both objectives met."""
    centre.stored(1, ago(minutes=minutes), findings=findings)
    centre.tested(rto={"achieved_s": seconds, "basis": "throwaway"})
    found = centre.of()
    verdicts = (found.rpo.verdict, found.rto.verdict)
    assert verdicts == ("BREACHED" if minutes > 60 else "MET", "BREACHED" if seconds > 1800 else "MET")
    assert found.problems == tuple(findings) and found.coverage == "tested"
    assert not found.proven and found.finding
    centre.well("queue", 2)
    assert exit_code([centre.of("queue"), found]) == 1 and exit_code([centre.of("queue")]) == 0


def test_an_objective_that_is_just_met_is_met(centre: Centre) -> None:
    centre.stored(1, ago(minutes=60))
    centre.tested(rto={"achieved_s": 1800.0, "basis": "throwaway"})
    assert centre.of().proven and not centre.of().finding


def test_where_another_host_backs_up_what_it_may_have_stored_since_is_no_finding_here(centre: Centre) -> None:
    centre.asked("test")
    centre.snapshot(1, ago(hours=3))
    centre.tested()
    found = centre.of()
    assert found.rpo.verdict == "NOT_KNOWN_HERE" and found.proven and not found.finding


def test_what_was_tested_stays_tested_where_the_plan_asks_for_no_tests(centre: Centre) -> None:
    centre.well("byhand")
    centre.well()
    centre.clock.at += timedelta(days=400)
    assert centre.of("byhand").coverage == "tested" and centre.of().coverage == "stale"
    assert not any(c.trouble in (Trouble.BACKUP_LATE, Trouble.TEST_LATE) for c in centre.told("byhand"))


def test_a_breach_that_the_last_look_found_stands_until_anything_newer_is_known_here(centre: Centre) -> None:
    """Two hours ago a test found the newest backup a day old. What was stored since was seen, and is too old as well:
    but who backs up elsewhere may have stored another one."""
    centre.asked("test")
    centre.snapshot(1, ago(hours=26))
    centre.clock.at = ago(hours=2)
    centre.tested(rpo={"objective_s": 3600, "achieved_s": 86400.0, "verdict": "BREACHED"})
    centre.clock.at = NOON
    assert centre.of().rpo.verdict == "BREACHED" and centre.of().rpo.achieved_s == 26 * 3600
    centre.snapshot(2, ago(hours=1.5))
    assert centre.of().rpo.verdict == "NOT_KNOWN_HERE" and centre.of().rpo.achieved_s == 1.5 * 3600


@pytest.mark.parametrize("rpo", [{}, {"rpo": None}])
def test_a_look_that_did_not_come_to_what_is_exposed_tells_nothing_of_it(centre: Centre, rpo: dict[str, Any]) -> None:
    centre.asked("test")
    centre.snapshot(1, ago(hours=26))
    centre.tested("INCONCLUSIVE", **rpo)
    assert centre.of().rpo.verdict == "NOT_KNOWN_HERE"
