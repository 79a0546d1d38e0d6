"""Records of a time when a clock was wrong, and the order of all."""

from __future__ import annotations

import shutil

import pytest
from tests.support.harness import Site
from tests.support.population import FAILED, REAPED, Pair, look, past, services_of, stored, wrote

from ccdr.host.state import State
from ccdr.jobs.attest.other_ledgers import collect
from ccdr.jobs.daily_verification import compare, verify_now


@pytest.mark.parametrize("wrong", ["", "ahead", "behind"])
@pytest.mark.parametrize("whose", ["ours", "theirs"])
@pytest.mark.parametrize("newer", ["ours", "theirs"])
def test_what_was_written_while_a_clock_was_wrong_does_not_put_other_records_out_of_their_order(
    site: Site, wrong: str, whose: str, newer: str
) -> None:
    """Both hosts tested the same snapshot: the newer verdict, a FAIL, counts, whoever's it is."""
    ours, theirs = past(site), past(site)
    ours.stored(-10, "a", begun=True)
    for hours in (-9, -8, -7):
        ours.checked(hours)
    older = theirs if newer == "ours" else ours
    of_newer = ours if newer == "ours" else theirs
    theirs.asked(-20, "test")
    theirs.asked(-19, "test")
    theirs.manifests |= ours.manifests
    older.tested(-6, "a", "PASS", begun=True)
    of_newer.tested(-2, "a", "FAIL", begun=True, checks=FAILED)
    ours.checked(-1)
    theirs.asked(-1, "test")
    told = ours if whose == "ours" else theirs
    if wrong:
        told.wrote(24 * 365 if wrong == "ahead" else -24 * 365, "sandbox.reap", asset=None, **REAPED)
        strange = told.records.pop()
        told.records.insert(1 if wrong == "ahead" else len(told.records) - 1, strange)
    wrote(State(site.state), "h", ours)
    stored(site, ours)
    wrote(State(site.root / "other"), "db2", theirs)
    collect(site.root / "other", services_of(site))
    found = look(site)
    assert found.last_test["verdict"] == "FAIL" and "TEST_FAILED" in found.troubles
    assert found.report.answer.word != "Yes"


def test_all_is_read_anew_where_our_clock_was_set_back(pair: Pair) -> None:
    pair.both()
    pair.backs_up.records[0]["time"] = "2027-11-24T12:00:00.000000Z"
    pair.ours("backs up")
    pair.collected()
    services = services_of(pair.site)
    for hours in (-0.02, -0.01):
        verify_now(services)
        more = past(pair.site)
        more.stored(hours, f"n{hours}", begun=True)
        wrote(services.state, "h", more)
        going_on = services.histories()
        assert compare(services).summary == "EQUAL"
        shutil.rmtree(services.state.index)
        assert services.histories() == going_on


@pytest.mark.parametrize(
    ("times", "places"),
    [
        ("", ""),
        ("a", "a"),
        ("abbc", "abbc"),
        ("zabc", "aabc"),
        ("azbc", "aabc"),
        ("abcza", "abczz"),
        ("bcad", "bccd"),
        ("bczzzdefg", "bccccdefg"),
    ],
)
def test_a_record_out_of_order_goes_by_the_one_before_it(times: str, places: str) -> None:
    from ccdr.evidence.population import in_order

    assert in_order(list(times)) == list(places)


@pytest.mark.parametrize("more", ["z", "zzz", "{|}"])
def test_later_records_leave_the_order_as_it_is(more: str) -> None:
    from ccdr.evidence.population import in_order

    for times in ("zabc", "zyxabc", "abzcxd", "cba"):
        assert in_order([*times, *more])[: len(times)] == in_order(list(times))
