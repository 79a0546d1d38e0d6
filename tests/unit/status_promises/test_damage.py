"""What `status` says of damage to a repository, and when it is over."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.asked import IDS, PART, Centre, ago

from ccdr.model.trouble import Trouble
from ccdr.telling.notify.concerns import Concern


def damaged(found: list[Concern]) -> list[tuple[str, datetime | None, str]]:
    return [(c.text, c.since, c.about) for c in found if c.trouble is Trouble.REPOSITORY_DAMAGED]


@pytest.mark.parametrize("found_by", ["check", "backup"])
def test_damage_is_told_of_each_asset_until_its_newest_snapshot_has_passed(centre: Centre, found_by: str) -> None:
    centre.well()
    centre.well("queue", 2)
    centre.clock.at += timedelta(minutes=1)
    if found_by == "check":
        centre.wrote("check.end", None, result="DAMAGED", part=1, **PART)
    else:
        body = {"result": "FAILED", "reason": "a key is gone", "repository": "damaged", "snapshot": None}
        centre.wrote("backup.end", "calls", **body)
    text = (
        f"the {found_by} of 2026-11-24T12:01:00Z found the repository damaged, and no test of the newest "
        "snapshot has passed since"
    )
    for asset in ("calls", "queue"):
        assert (text, centre.clock.at, "") in damaged(centre.told(asset)), asset
        assert str(centre.told(asset)[0].step), asset
    centre.tested(number=1)
    assert damaged(centre.told()) == [] and damaged(centre.told("queue"))


def test_damage_that_a_test_found_is_told_of_that_asset_alone(centre: Centre, wording: SnapshotAssertion) -> None:
    centre.well()
    centre.well("queue", 2)
    centre.stored(3, ago(minutes=2))
    centre.tested("FAIL", number=4, damaged=True)
    doubt = "1 newer snapshot does not count until one has passed a test: the repository was found damaged"
    assert damaged(centre.told()) == [(doubt, None, "doubt")] and damaged(centre.told("queue")) == []
    assert centre.of().as_json()["last_good_backup"]["snapshot"]["id"] == IDS[1]  # type: ignore[index]
    centre.stored(5, ago(minutes=1))
    assert damaged(centre.told())[0][0] == wording
    centre.tested(number=5)
    assert damaged(centre.told()) == []
