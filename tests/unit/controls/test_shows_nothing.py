"""Evidence that is there and shows nothing of what is asked: of an empty repository, of another one, of a sandbox that
never came about, of somebody who was never looked for."""

from __future__ import annotations

from tests.support.chronicle import NOUGHT, Chronicle
from tests.support.control_histories import erased, replayed
from tests.support.controls import known_of, part_of
from tests.support.judged import about

from ccdr.evidence.controls.values import ControlState, PartState
from ccdr.plans.job import Job

PRESENT, FAILING = ControlState.EVIDENCE_PRESENT, ControlState.FAILING
STALE, LACKING = ControlState.STALE, ControlState.NOT_COVERED
ERASURES = "legal-compliance/erasures"
ISOLATION, IMAGES = "security-testing/isolation", "updates/images"


def shown(job: Job, past: Chronicle, part: str, at: float = 0.1) -> PartState:
    return part_of(known_of(job, past, at), part)


def withdrawn(past: Chronicle, hours: float, entry: str, entries: int) -> None:
    erased(past, hours, entries)
    past.records[-1]["withdraws"] = entry


def test_once_the_only_entry_is_withdrawn_nobody_is_asked_for_until_another_is_added(job: Job) -> None:
    """Then no test replays anything, and what was replayed before never gets newer."""
    for result in ("PROVEN", "FAILED"):
        past = about(job)
        erased(past, -9)
        replayed(past, -8, result, found=[])
        withdrawn(past, -7, "e-000001", 2)
        (seen,) = shown(job, past, ERASURES).observed
        assert (seen.state, seen.asset) == (LACKING, None), seen
        erased(past, -6, 3)
        (seen,) = shown(job, past, ERASURES).observed
        assert (seen.state, seen.asset) == ({"PROVEN": STALE, "FAILED": FAILING}[result], "crm"), seen
    past = about(job)
    erased(past, -9)
    erased(past, -8, 2)
    replayed(past, -7, head={"register": "r", "entries": 2, "hash": NOUGHT}, entries=2)
    withdrawn(past, -6, "e-000001", 3)
    assert shown(job, past, ERASURES).state is STALE, "another one stands"


def test_a_register_that_is_gone_fails_though_nobody_stands_in_it(job: Job) -> None:
    past = about(job)
    erased(past, -9)
    withdrawn(past, -7, "e-000001", 2)
    replayed(past, -6, "FAILED", head=None, entries=0, found=[])
    assert shown(job, past, ERASURES).state is FAILING


def test_who_was_added_on_another_host_is_asked_for_where_it_is_replayed(job: Job) -> None:
    past = about(job)
    replayed(past, -4, "ERASED")
    (seen,) = shown(job, past, ERASURES).observed
    assert (seen.state, seen.asset) == (LACKING, "crm") and "no canary" in seen.text, seen
