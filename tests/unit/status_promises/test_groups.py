"""What `status` says of assets that are captured together."""

from __future__ import annotations

from datetime import datetime

from tests.support.asked import NOON, Centre, ago

from ccdr.model.trouble import Trouble
from ccdr.model.values import GroupRun


def together(centre: Centre, run: str, when: datetime, **numbers: int) -> None:
    group = GroupRun("centre", run, ("calls", "queue"))
    for asset, number in numbers.items():
        centre.snapshot(number, when, asset, group=group)


def test_the_group_is_as_of_the_last_time_that_it_has_a_snapshot_of(centre: Centre) -> None:
    assert centre.of().as_json()["group"] is None
    together(centre, "g1", ago(hours=2), calls=1, queue=2)
    together(centre, "g2", ago(hours=1), calls=3, queue=4)
    together(centre, "g3", ago(minutes=5), calls=5)
    points = {"calls": "2026-11-24T11:00:00Z", "queue": "2026-11-24T11:00:00Z"}
    whole = {"name": "centre", "run": "g2", "consistent_points": points, "skew_s": 0.0, "missing": []}
    assert centre.of("queue").as_json()["group"] == whole
    assert centre.of("calls").as_json()["group"] == {
        "name": "centre", "run": "g3", "consistent_points": {"calls": "2026-11-24T11:55:00Z"}, "skew_s": None,
        "missing": ["queue"],
    }  # fmt: skip
    assert centre.of("byhand").as_json()["group"] is None


def test_who_was_captured_without_its_group_is_told_so_until_it_is_captured_with_it(centre: Centre) -> None:
    centre.well()
    centre.well("queue", 2)
    text = "its group centre was not captured whole: there is no snapshot of queue with it"
    centre.wrote("group", None, group="centre", missing=["queue"], complete=False)
    (told,) = centre.told()
    assert (told.trouble, told.text, told.since) == (Trouble.GROUP_INCOMPLETE, text, NOON)
    assert centre.told("queue") == [], "why, is told of that one by itself"
    assert centre.told("byhand")[0].trouble is Trouble.NEVER_SUCCEEDED and len(centre.told("byhand")) == 2
    assert Trouble.GROUP_INCOMPLETE in centre.whose("backup")
    centre.wrote("group", None, group="other", missing=["calls"], complete=False)
    assert centre.says() == [(Trouble.GROUP_INCOMPLETE, text)], "another group's"
    centre.wrote("group", None, group="centre", missing=[], complete=True)
    assert centre.told() == []


def test_who_has_left_the_group_is_not_missed_in_it(centre: Centre) -> None:
    centre.well()
    centre.wrote("group", None, group="centre", missing=["retired"], complete=False)
    assert centre.told() == []
    centre.wrote("group", None, group="centre", missing=["retired", "queue"], complete=False)
    (told,) = centre.told()
    assert told.text.endswith("there is no snapshot of queue with it")
