"""What records tell of an incident: what came before anybody was aware of it, not before somebody typed it in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.chronicle import Chronicle
from tests.support.control_histories import opened
from tests.support.harness import Site
from tests.support.judged import END

from ccdr.jobs.incidents import find
from ccdr.jobs.incidents.facts import facts_of
from ccdr.model.values import rfc3339

Told = Callable[[Chronicle], object]


@pytest.fixture
def tested(tmp_path: Path) -> Callable[[Chronicle], list[tuple[int, bool]]]:
    """The restore tests that a draft tells of: their records, and whether they passed."""
    site = Site(tmp_path, bare=True)

    def told(past: Chronicle) -> list[tuple[int, bool]]:
        services = site.services()
        past.keep(services.state.ledger, services.catalogue)
        facts = facts_of(find(services, "inc-1"), services)
        return [(one.seq, bool(one.values["passed"])) for one in facts.done if one.what == "tested"]

    return told


Tested = Callable[[Chronicle], list[tuple[int, bool]]]


@pytest.fixture
def past() -> Chronicle:
    made = Chronicle(END, "/x")
    made.stored(-20, "old")
    return made


def test_a_restore_test_after_somebody_was_aware_was_not_before_the_incident(past: Chronicle, tested: Tested) -> None:
    past.tested(-1, "old")
    opened(past, 0, aware_at=rfc3339(past.at(-2)))
    assert tested(past) == []


def test_of_several_the_newest_before_that_is_told_of_and_a_failure_stays_one(past: Chronicle, tested: Tested) -> None:
    past.tested(-9, "old")
    past.tested(-5, "old", verdict="FAIL")
    past.tested(-4, "old", verdict="INCONCLUSIVE")
    past.tested(-1, "old")
    opened(past, 0, aware_at=rfc3339(past.at(-2)))
    assert tested(past) == [(3, False)]


def test_a_restore_test_before_an_incident_that_is_opened_at_once_is_told_of(past: Chronicle, tested: Tested) -> None:
    past.tested(-1, "old")
    opened(past, 0)
    past.tested(1, "old")
    assert tested(past) == [(2, True)]


@pytest.mark.parametrize(
    ("kinds", "told"),
    [(["confidentiality"], 0), (["confidentiality", "availability"], 1), (["integrity"], 1)],
)
def test_backups_are_no_measure_against_a_disclosure(
    past: Chronicle, tested: Tested, kinds: list[str], told: int
) -> None:
    past.tested(-1, "old")
    opened(past, 0, kinds=kinds)
    assert len(tested(past)) == told


@pytest.mark.parametrize(("by", "whats"), [("restore", ["kinds_assumed"]), ("person", ["kinds"])])
def test_what_a_recovery_opened_is_assumed_from_it_and_nobody_has_stated_it(
    tmp_path: Path, past: Chronicle, by: str, whats: list[str]
) -> None:
    site = Site(tmp_path, bare=True)
    past.began(-0.1, "restore", "r-1")
    opened(past, 0, run="r-1", by=by)
    services = site.services()
    past.keep(services.state.ledger, services.catalogue)
    facts = facts_of(find(services, "inc-1"), services).happened
    told = [one for one in facts if one.what.startswith("kinds")]
    assert [one.what for one in told] == whats
    assert told[0].values.get("assets") == ([past.asset] if by == "restore" else None)


def test_a_recovery_tells_of_the_tests_of_what_it_brought_back_alone(past: Chronicle, tested: Tested) -> None:
    past.tested(-1, "old")
    past.asset = "other"
    past.stored(-0.9, "its-own")
    past.tested(-0.5, "its-own")
    past.began(-0.1, "restore", "r-1")
    opened(past, 0, run="r-1", by="restore")
    assert tested(past) == [(4, True)]
