"""Which snapshots count, and why the newer ones do not."""

from __future__ import annotations

from syrupy.assertion import SnapshotAssertion
from tests.support.chronicle import Chronicle, digest
from tests.support.judged import judged, told, well
from tests.support.wording import lines_with

from ccdr.model.trouble import Level
from ccdr.plans.job import Job


def test_only_what_is_of_the_source_that_the_plan_names_counts(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).snapshot(-0.3, "s", source="/elsewhere")
    found = judged(jobs["crm"], past)
    assert found.rpo.achieved_s == 1800 and found.good is not None and found.good.id == digest("new")
    text = "its newest snapshot is from another source than the plan names now"
    assert told(found) == [("FINDING", Level.NOTE, text, None)], "what to do is to read this"
    past.stored(-0.2, "t")
    assert told(judged(jobs["crm"], past)) == [], "one of its own is newer"


def test_newer_ones_that_do_not_count_are_told_with_why(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).stored(-0.4, "bad")
    past.tested(-0.35, "bad", "FAIL")
    past.stored(-0.3, "increment", upon=("bad",))
    past.snapshot(1, "ahead")
    (found,) = [one for one in judged(jobs["crm"], past).wrong if one.about == "newer"]
    upon = f"{digest('increment')[:8]}, which depends on one that failed its restore test"
    said = f"{digest('ahead')[:8]}, which has a date in the future, 2026-11-24T13:00:00Z; {upon}; and 1 more"
    assert (found.trouble.name, found.about, found.text) == (
        "FINDING",
        "newer",
        f"3 newer snapshots do not count: {said}",
    )
    past.stored(-0.1, "good")
    (found,) = [one for one in judged(jobs["crm"], past).wrong if one.about == "newer"]
    assert found.text.startswith("1 newer snapshot does not count: ")


def test_an_increment_without_what_it_builds_upon_does_not_count(
    jobs: dict[str, Job], past: Chronicle, wording: SnapshotAssertion
) -> None:
    well(past).stored(-0.4, "full")
    past.stored(-0.3, "increment", upon=("full",))
    assert judged(jobs["crm"], past).troubles == ()
    past.tested(-0.2, "full", "FAIL", selected="random")
    found = judged(jobs["crm"], past)
    assert lines_with(found.problems, digest("increment")[:8]) == wording
    past.tested(-0.1, "increment")
    assert "newer" not in {p.about for p in judged(jobs["crm"], past).wrong}, "it has passed itself since"
    past.there = [s for s in past.there if s.id != digest("full")]
    (said,) = [p.text for p in judged(jobs["crm"], past).wrong if p.about == "newer"]
    assert f"depends on {digest('full')[:8]}, which is not there" in said
