"""Where a ledger's anchors stand: which are overdue and since when, and up to where a change would show to whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ccdr.evidence.judgement.anchors import FOR_WHOM, AnchorAsked, AnchorsStanding, boundaries, standing
from ccdr.evidence.lineage.own_records import Anchoring, LastAnchored
from ccdr.model.trouble import Trouble
from ccdr.model.values import rfc3339

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ASKED = AnchorAsked("tsa", "rfc3161", HOUR, 3 * HOUR, "w")
SIGNED: dict[str, Any] = {"seq": 1}


def ago(hours: float) -> datetime:
    return NOW - hours * HOUR


def held(hours: float, size: int = 7, *, name: str = "tsa", kind: str = "rfc3161", where: str = "w") -> LastAnchored:
    return LastAnchored(name, kind, size, rfc3339(ago(hours)), 9, where)


def now(
    last: LastAnchored | None = None,
    *,
    configured: float = 100,
    waits: float | None = None,
    key: dict[str, Any] | None = SIGNED,
    tries: int = 0,
    mistake: str | None = None,
) -> AnchorsStanding:
    known = Anchoring(key, configured_since=rfc3339(ago(configured)), last={last.name: last} if last else {})
    since = {"tsa": None if waits is None else ago(waits)}
    there = standing([ASKED], known, NOW, since, {"tsa": tries})
    return AnchorsStanding(there.anchors, there.boundaries, there.signed, mistake)


@pytest.mark.parametrize(
    ("last", "waits", "overdue"),
    [
        (10, None, None),  # it holds all there is
        (10, 2.9, None),
        (10, 3, 0),  # three hours after what waits came
        (10, 5, 2),
        (4, 5, 1),  # … or after it last held
        (None, 5, 2),
    ],
)
def test_an_anchor_is_overdue_once_what_it_does_not_hold_waits_for_too_long(
    last: float | None, waits: float | None, overdue: float | None
) -> None:
    (one,) = now(None if last is None else held(last), waits=waits).anchors
    assert one.overdue == (None if overdue is None else ago(overdue))


def test_an_anchor_that_never_held_has_its_time_from_when_it_was_configured() -> None:
    assert now(configured=2, waits=50).anchors[0].overdue is None
    assert now(configured=4, waits=50).anchors[0].overdue == ago(1)
    assert standing([ASKED], Anchoring(SIGNED), NOW, {"tsa": ago(50)}).anchors[0].overdue is None, "not recorded yet"
    assert standing([ASKED], Anchoring(SIGNED), NOW, {}, {}).anchors[0].tries == 0


def test_what_an_anchor_of_that_name_held_elsewhere_is_not_its_own() -> None:
    """It leads to another place since: nothing is there yet."""
    (own,), (unknown,), (other,) = (now(held(4, where=where)).anchors for where in ("w", "", "elsewhere"))
    assert (own.size, own.at) == (unknown.size, unknown.at) == (7, ago(4))
    assert (other.size, other.at) == (None, None)


def test_an_overdue_anchor_is_told_with_what_was_tried_in_vain() -> None:
    (one,) = now(held(10), waits=5, tries=2).problems()
    assert (one.trouble, one.since, one.about) == (Trouble.ANCHOR_OVERDUE, ago(2), "tsa")
    assert "2 times" in one.text and "ccdr" in str(one.step) and "never" not in one.text
    (one,) = now(waits=5).problems()
    assert "never" in one.text and "vain" not in one.text
    assert list(now(held(10), waits=1, tries=2).problems()) == []


def test_anchors_without_a_key_hold_nothing_and_that_alone_is_told() -> None:
    (one,) = now(held(10), waits=5, key=None).problems()
    assert (one.about, one.since) == ("key", None) and "ledger key create" in str(one.step)
    assert list(AnchorsStanding([], [], signed=False).problems()) == [], "nobody asks for any"


def test_a_file_of_anchors_that_cannot_be_read_is_told_beside_what_was_recorded() -> None:
    assert [p.about for p in now(held(10), waits=5, mistake="no").problems()] == ["anchors.yaml", "tsa"]
    (one,) = now(held(10), mistake="no").problems()
    assert (one.about, one.text) == ("anchors.yaml", "no") and one.step


def test_a_change_shows_by_the_largest_of_each_kind_the_furthest_first() -> None:
    each = [
        held(1, 5, name="a", kind="told"), held(2, 9, name="b", kind="told"), held(3, 9, name="c", kind="told"),
        held(4, 12, name="d", kind="object_lock"), held(5, 99, name="e", kind="of another ccdr"),
    ]  # fmt: skip
    first, second = boundaries(each)
    assert (first.record, first.name, first.whom) == (12, "d", FOR_WHOM["object_lock"])
    assert (second.record, second.name, second.at) == (9, "b", ago(2))
    assert boundaries([]) == []
    there = AnchorsStanding([], [first, second], signed=True).as_json()
    assert there["boundary"] == first.as_json() != second.as_json()


def test_what_stands_is_told_by_number_and_time() -> None:
    there = now(held(10), waits=5, tries=3)
    whom = FOR_WHOM["rfc3161"]
    boundary = {"record": 7, "anchor": "tsa", "kind": "rfc3161", "at": rfc3339(ago(10)), "independent_for": whom}
    anchor = {
        "name": "tsa", "kind": "rfc3161", "every_s": 3600.0, "records": 7, "at": rfc3339(ago(10)), "overdue": True,
        "tried_in_vain": 3, "independent_for": whom,
    }  # fmt: skip
    assert there.as_json() == {
        "signed": True, "configured": [anchor], "boundary": boundary, "boundaries": [boundary], "mistake": None,
    }  # fmt: skip
    never = now(key=None).as_json()
    assert (never["signed"], never["boundary"], never["boundaries"]) == (False, None, [])
    (anchor,) = never["configured"]  # type: ignore[misc]
    assert (anchor["records"], anchor["at"], anchor["overdue"], anchor["tried_in_vain"]) == (None, None, False, 0)


def test_people_read_of_each_anchor_and_last_of_the_boundary() -> None:
    there = now(held(10), waits=5, tries=3)
    (anchor, boundary) = there.lines()
    assert "2026-11-24 02:00 UTC" in anchor and "7 records" in anchor and "OVERDUE" in anchor and "3 times" in anchor
    assert boundary == str(there.boundaries[0]) and "record 7" in boundary
    (anchor,) = now(held(10), tries=1).lines()[:1]
    assert "OVERDUE" not in anchor and "vain" in anchor and "1 times" not in anchor
    assert "2 times" in now(held(10), tries=2).lines()[0]
    assert "vain" not in now(held(10)).lines()[0]
    never, none = now().lines()
    assert "never" in never and none == now(key=None).lines()[-1]
    (alone,) = AnchorsStanding([], [], signed=True).lines()
    assert alone not in (never, none)
    assert AnchorsStanding([], there.boundaries, signed=True).lines() == [alone, boundary]
