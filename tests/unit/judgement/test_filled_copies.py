"""What is wrong with a plan's copies, each by what was done at it: what it is about, since when, and its next step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.chronicle import NOUGHT, Chronicle, acknowledged, digest
from tests.support.copied import add_copies
from tests.support.harness import Site
from tests.support.judged import END

from ccdr.evidence.acknowledged import known_by, steady
from ccdr.evidence.judgement.upkeep import of_copies
from ccdr.model.trouble import Problem
from ccdr.model.values import Verb, rfc3339
from ccdr.plans import LoadedPlan

DAY = 24.0


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedPlan:
    """`recordings`, tested, and its copy `offsite`, which is filled at four each day; one test in seven is from there."""
    site = Site(tmp_path_factory.mktemp("copies"), bare=True)
    site.recordings(site.root / "tree")
    add_copies(site, "offsite", bare=True)
    return site.loaded()


@pytest.fixture
def past() -> Chronicle:
    return Chronicle(END, "/tree", asset="recordings")


def filled(past: Chronicle, hours: float, result: str = "DONE", run: str | None = None, **more: Any) -> None:
    there: dict[str, Any] = {"there": {"recordings": 3}, "newest": {"recordings": rfc3339(past.at(hours - 1))}}
    past.wrote(hours, "copy.end", run, asset=None, result=result, copy="offsite", **there | more)


def began(past: Chronicle, hours: float, run: str) -> None:
    started = {"plan_sha256": NOUGHT, "trigger": {"by": "command"}}
    past.wrote(hours, "copy.start", run, asset=None, copy="offsite", **started)


def from_there(past: Chronicle, hours: float, verdict: str = "PASS", **more: Any) -> None:
    past.tested(hours, "old", verdict, copy="offsite", **more)


def here(past: Chronicle, many: int, hours: float = -1) -> None:
    for _ in range(many):
        past.tested(hours, "old")


def told(loaded: LoadedPlan, past: Chronicle, hours: float = 0, *, at_work: bool = False) -> dict[str, Problem]:
    found = of_copies(loaded, past.histories, past.at(hours), at_work=at_work)
    assert len({p.trouble for p in found}) == len(found)
    assert all(p.text.startswith("the copy offsite") and p.about.partition(" ")[0] == "offsite" for p in found)
    return {p.trouble.name: p for p in found}


@pytest.fixture
def well(past: Chronicle) -> Chronicle:
    """Filled and restored from, this night."""
    past.stored(-9, "old")
    filled(past, -8)
    from_there(past, -7)
    return past


def test_a_copy_that_is_filled_and_restored_from_has_no_trouble(loaded: LoadedPlan, well: Chronicle) -> None:
    assert told(loaded, well) == {}


def test_copying_is_overdue_once_it_came_due_twice(loaded: LoadedPlan, well: Chronicle) -> None:
    well.checked(15, copy="offsite")
    well.checked(15)
    assert told(loaded, well, 40) == {}
    late = told(loaded, well, 40.1)["COPY_LATE"]
    assert (late.verb, late.since, late.about) == (Verb.COPY, well.at(40), "offsite") and late.step is not None
    assert "2026-11-24T04:00:00Z" in late.text
    assert told(loaded, well, 40.1, at_work=True) == {}, "it is being filled now"


def test_a_copy_that_was_never_filled_is_overdue_and_that_alone(loaded: LoadedPlan, past: Chronicle) -> None:
    past.stored(-60, "old")
    found = told(loaded, past)
    assert found.keys() == {"COPY_LATE"} and found["COPY_LATE"].since == past.at(-32)
    assert "nothing was ever copied" in found["COPY_LATE"].text


def test_a_copying_that_failed_is_told_with_its_run_and_what_the_copy_holds(
    loaded: LoadedPlan, well: Chronicle
) -> None:
    filled(
        well, -2, "FAILED", "lost", reason="port 1234 did not answer", there=None, newest={}, repository="unavailable"
    )
    one = told(loaded, well)["COPY_FAILED"]
    assert (one.since, one.verb, one.run, one.about) == (well.at(-2), Verb.COPY, "lost", "offsite unavailable")
    assert (one.why, one.cause) == ("port 1234 did not answer", f"offsite {steady('port 1234 did not answer')}")
    assert rfc3339(well.at(-9))[:19] in one.text, "what it holds"
    filled(well, -1)
    assert told(loaded, well) == {}


def test_a_copying_that_failed_before_any_went_well_says_that_nothing_is_there(
    loaded: LoadedPlan, past: Chronicle
) -> None:
    filled(past, -2, "FAILED", there=None, newest={})
    (one,) = told(loaded, past).values()
    assert (one.trouble.name, one.about) == ("COPY_FAILED", "offsite")
    assert "nothing was ever copied" in one.text and one.why and one.cause == f"offsite {steady(one.why)}"


def test_a_copying_that_crashed_is_told_until_a_later_one_has_ended(loaded: LoadedPlan, well: Chronicle) -> None:
    began(well, -3, "dead")
    one = told(loaded, well)["COPY_FAILED"]
    assert (one.since, one.about, one.verb, one.why) == (well.at(-3), "offsite crash", Verb.COPY, "it crashed")
    filled(well, -2)
    assert told(loaded, well) == {}


def test_a_copying_that_could_not_start_is_told_with_why(loaded: LoadedPlan, well: Chronicle) -> None:
    well.wrote(-2, "not_begun", asset=None, verb="copy", due=rfc3339(well.at(-2)), reason="no disk", copy="offsite")
    one = told(loaded, well)["COPY_FAILED"]
    assert (one.since, one.about, one.verb, one.why) == (well.at(-2), "offsite begin", Verb.COPY, "no disk")


def test_snapshots_that_vanished_from_a_copy_are_named_three_of_them(loaded: LoadedPlan, well: Chronicle) -> None:
    ids = sorted(digest(name) for name in "abcd")
    filled(well, -2, vanished={"recordings": ids[::-1]})
    one = told(loaded, well)["COPY_VANISHED"]
    assert (one.since, one.verb, one.about) == (well.at(-2), Verb.COPY, "offsite")
    assert one.cause == f"offsite {' '.join(ids)}" and "4 snapshots" in one.text
    assert [i for i in ids if i[:8] in one.text] == ids[1:] and ids[3][:9] not in one.text
    filled(well, -1, "FAILED", reason="x", there=None, newest={})
    assert "COPY_VANISHED" in told(loaded, well), "what it was asked last stands"
    filled(well, -0.5)
    assert told(loaded, well) == {}


def test_what_is_wrong_with_a_copy_s_repository_is_the_copy_s_trouble(loaded: LoadedPlan, well: Chronicle) -> None:
    well.checked(-3, "DAMAGED", part=2, parts=3, copy="offsite")
    well.pruned(-3, "FAILED", reason="locked", copy="offsite")
    found = told(loaded, well)
    assert found.keys() == {"COPY_DAMAGED", "COPY_UPKEEP"}
    assert found["COPY_DAMAGED"].about == "offsite repository_damaged"
    assert found["COPY_UPKEEP"].about == "offsite prune_failed"
    assert all(p.step for p in found.values())


def test_a_test_from_there_that_failed_is_told_with_its_run_until_another_passed(
    loaded: LoadedPlan, well: Chronicle
) -> None:
    from_there(well, -3, "FAIL", reason="2 files differ")
    one = told(loaded, well)["COPY_TEST_FAILED"]
    assert (one.since, one.about, one.verb, one.run) == (
        well.at(-3), "offsite recordings", Verb.TEST, well.records[-1]["run"],
    )  # fmt: skip
    assert (one.why, one.cause) == ("2 files differ", f"offsite {steady('2 files differ')}")
    assert str(one.step).startswith("ccdr test p --asset recordings --from offsite ")
    assert rfc3339(well.at(-3))[:19] in one.text
    from_there(well, -2, "INCONCLUSIVE", reason="no Docker")
    assert told(loaded, well).keys() == {"COPY_TEST_FAILED"}, "that it could not be tried takes nothing back"
    from_there(well, -1)
    assert told(loaded, well) == {}


def test_a_test_from_there_that_came_to_nothing_shows_nothing(loaded: LoadedPlan, well: Chronicle) -> None:
    from_there(well, -3, "INCONCLUSIVE", reason="no Docker")
    one = told(loaded, well)["COPY_UNTESTED"]
    assert (one.since, one.about, one.verb, one.run) == (
        well.at(-3), "offsite recordings", Verb.TEST, well.records[-1]["run"],
    )  # fmt: skip
    assert (one.why, one.cause) == ("no Docker", f"offsite {steady('no Docker')}")
    assert rfc3339(well.at(-3))[:19] in one.text and "--from offsite" in str(one.step)


def test_a_copy_is_to_be_restored_from_as_often_as_the_plan_says_at_the_latest_by_twice_that(
    loaded: LoadedPlan, well: Chronicle
) -> None:
    every = loaded.plan.copies["offsite"].test_every
    here(well, 2 * every)
    assert told(loaded, well) == {}
    here(well, 1)
    one = told(loaded, well)["COPY_UNTESTED"]
    assert f"{2 * every + 1} restore tests" in one.text and f"one in {every}" in one.text
    assert (one.since, one.about, one.verb) == (None, "offsite recordings", Verb.TEST) and one.step
    from_there(well, -0.5)
    assert told(loaded, well) == {}


def test_what_lies_in_a_copy_and_was_never_restored_is_told_by_a_host_that_tests(
    loaded: LoadedPlan, past: Chronicle
) -> None:
    past.stored(-9, "old")
    filled(past, -8, there={"recordings": 0}, newest={})
    assert told(loaded, past) == {}, "nothing lies there"
    filled(past, -7)
    (one,) = told(loaded, past).values()
    assert (one.trouble.name, one.about, one.since) == ("COPY_UNTESTED", "offsite recordings", None)
    past.asked(-6, "backup", "prune", "check")
    assert told(loaded, past) == {}, "another host tests it"
    here(past, 1)
    assert told(loaded, past).keys() == {"COPY_UNTESTED"}, "this one knows of its tests"


def test_what_is_acknowledged_of_a_copy_is_marked(loaded: LoadedPlan, well: Chronicle) -> None:
    began(well, -3, "dead")
    (one,) = told(loaded, well).values()
    until = rfc3339(well.at(24))
    acknowledged(well, -1, "COPY_FAILED", [known_by(one)], until, asset=None)
    assert told(loaded, well)["COPY_FAILED"].acknowledged == well.at(24)


def test_what_a_copy_holds_is_as_old_as_the_asset_that_is_the_furthest_behind(
    loaded: LoadedPlan, past: Chronicle
) -> None:
    newest = {"recordings": rfc3339(past.at(-5)), "crm": rfc3339(past.at(-9))}
    filled(past, -4, newest=newest)
    filled(past, -2, "FAILED", there=None, newest={})
    text = told(loaded, past)["COPY_FAILED"].text
    assert newest["crm"][:19] in text and newest["recordings"][:19] not in text


def test_a_plan_is_as_old_as_its_first_record_whatever_another_s_are(loaded: LoadedPlan, past: Chronicle) -> None:
    replace(past, plan="q").failed(-200)
    past.stored(-60, "old")
    past.wrote(-3, "missed", asset="z", verb="backup", due=rfc3339(END), first_due=rfc3339(END), count=1)
    assert told(loaded, past)["COPY_LATE"].since == past.at(-32)
