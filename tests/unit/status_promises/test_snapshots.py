"""What `status` says of snapshots that do not count."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.asked import Centre, ago

from ccdr.model.values import Needed

ALONE = (Needed("f" * 64, "0" * 64),)  # an increment without what it builds upon


def newer(centre: Centre) -> list[str]:
    return [c.text for c in centre.told() if c.about == "newer"]


def test_as_many_newer_snapshots_as_are_named_are_all_of_them(centre: Centre, wording: SnapshotAssertion) -> None:
    centre.snapshot(1, ago(minutes=50))
    for number in (2, 3):
        centre.snapshot(number, ago(minutes=10 - number), upon=ALONE)
    assert newer(centre) == wording
    centre.snapshot(4, ago(minutes=6), upon=ALONE)
    assert newer(centre) == wording


def test_one_as_old_as_the_newest_good_one_is_made_up_for(centre: Centre) -> None:
    centre.snapshot(1, ago(minutes=5), upon=ALONE)
    assert newer(centre), "nothing is as new and good"
    centre.snapshot(2, ago(minutes=5))
    assert newer(centre) == []


def test_what_builds_upon_a_bad_one_is_told_as_that(centre: Centre, wording: SnapshotAssertion) -> None:
    centre.snapshot(1, ago(minutes=50))
    (full,) = centre.services.catalogue.snapshots("p", "calls")
    upon = (Needed(full.id, full.manifest_sha256),)
    centre.snapshot(2, ago(minutes=5), upon=upon)
    assert newer(centre) == []
    centre.tested("FAIL")
    assert newer(centre) == wording
    centre.tested("FAIL", number=2)
    assert newer(centre)[0] == wording


@pytest.mark.parametrize("usable", [2, -2])
def test_a_future_date_is_the_later_of_its_two(centre: Centre, usable: int, wording: SnapshotAssertion) -> None:
    centre.snapshot(1, ago(hours=usable), usable=ago(hours=-usable))
    assert newer(centre) == wording  # fmt: skip
