"""What `status` says of the care of repositories: each sentence with since when, what to do and whose work it is, and when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.asked import ASSETS, IDS, NOON, PART, Centre, ago

from ccdr.model.trouble import Trouble
from ccdr.model.values import Verb


def cared(centre: Centre, kind: str, **body: Any) -> list[tuple[Trouble, str, datetime | None, str]]:
    centre.wrote(kind, None, **body)
    return care(centre)


def care(centre: Centre) -> list[tuple[Trouble, str, datetime | None, str]]:
    return [(c.trouble, c.text, c.since, c.about) for c in centre.told(None)]


def test_a_prune_that_failed_is_told_until_one_has_not(centre: Centre) -> None:
    failed = (Trouble.PRUNE_FAILED, "its last prune FAILED: locked", NOON, "")
    found = (Trouble.FINDING, "2 snapshots are held", None, "2 snapshots are held")
    findings = ["2 snapshots are held"]
    assert cared(centre, "prune.end", result="FAILED", reason="locked", findings=findings) == [failed, found]
    assert centre.whose("prune", None) == {Trouble.PRUNE_FAILED, Trouble.FINDING}
    assert cared(centre, "prune.end", result="DONE", reason=None, findings=findings) == [found]
    assert cared(centre, "prune.end", result="DONE", reason=None) == []


def test_a_check_that_broke_is_told_until_one_has_not(centre: Centre) -> None:
    broke = {"result": "INCONCLUSIVE", "part": 1, **PART, "reason": "no answer"}
    text = "its last check is INCONCLUSIVE: no answer"
    assert cared(centre, "check.end", **broke) == [(Trouble.CHECK_INCONCLUSIVE, text, NOON, "")]
    assert centre.whose("check", None) == {Trouble.CHECK_INCONCLUSIVE}
    assert cared(centre, "check.end", result="CLEAN", part=1, **PART) == []


@pytest.mark.parametrize(("verb", "trouble"), [("prune", Trouble.PRUNE_FAILED), ("check", Trouble.CHECK_INCONCLUSIVE)])
def test_upkeep_that_crashed_is_told_until_it_has_been_done_since(centre: Centre, verb: str, trouble: Trouble) -> None:
    text = f"the {verb} of 2026-11-24T12:00:00Z crashed: its run u1 never recorded an end"
    assert cared(centre, f"{verb}.start", run="u1") == [(trouble, text, NOON, "crash")]
    assert centre.whose(verb, None) == {trouble}
    ended = {"result": "DONE"} if verb == "prune" else {**PART, "result": "INCONCLUSIVE", "part": 1}
    with centre.services.state.run(centre.clock) as run:
        centre.wrote(f"{verb}.end", None, run="u1", **ended)
        centre.wrote(f"{verb}.start", None, run=run.id)
        assert not any("crashed" in text for _, text, _, _ in care(centre)), "it is at work"
    assert any("crashed" in text for _, text, _, _ in care(centre))
    end = {"result": "DONE"} if verb == "prune" else {"result": "CLEAN", "part": 1, **PART}
    assert cared(centre, f"{verb}.end", **{"reason": None, **end}) == []


@pytest.mark.parametrize("verb", ["prune", "check"])
def test_upkeep_that_could_not_begin_is_told_until_it_has_been_done(centre: Centre, verb: str) -> None:
    text = f"its {verb} could not start: no such key"
    told = (Trouble.NOT_BEGUN, text, NOON, verb)
    assert cared(centre, "not_begun", verb=verb, reason="no such key") == [told]
    assert centre.whose(verb, None) == {Trouble.NOT_BEGUN}
    end = {"result": "DONE"} if verb == "prune" else {"result": "CLEAN", "part": 1, **PART}
    assert cared(centre, f"{verb}.end", **{"reason": None, **end}) == []


def test_which_parts_are_damaged_is_told_and_since_when_the_first_was_found(centre: Centre) -> None:
    text = "a check found part {} of 3 of the repository's data DAMAGED"
    found = cared(centre, "check.end", result="DAMAGED", part=2, **PART)
    assert found == [(Trouble.REPOSITORY_DAMAGED, text.format("2"), NOON, "")]
    centre.clock.at += timedelta(minutes=1)
    found = cared(centre, "check.end", result="DAMAGED", part=1, **PART)
    assert found == [(Trouble.REPOSITORY_DAMAGED, text.format("1, 2"), NOON, "")]
    found = cared(centre, "check.end", result="DAMAGED", part=3, **PART)
    text = "a check that read all of the repository's data found some of it DAMAGED"
    assert found == [(Trouble.REPOSITORY_DAMAGED, text, NOON, "")]
    for verb in ("check", "prune", "test", "backup"):
        assert centre.whose(verb, None) == set(), "whoever sees it is told"


def test_damage_is_not_forgotten_where_the_data_are_divided_anew(centre: Centre) -> None:
    cared(centre, "check.end", result="DAMAGED", part=2, **PART)
    centre.clock.at += timedelta(minutes=1)
    text = (
        "a check found part 2 of 3 of the repository's data DAMAGED; since then it is read in 2 parts, and not all of "
        "them were found clean yet"
    )
    found = cared(centre, "check.end", result="CLEAN", part=1, **PART | {"parts": 2})
    assert found == [(Trouble.REPOSITORY_DAMAGED, text, NOON, "before")]
    assert cared(centre, "check.end", result="CLEAN", part=2, **PART | {"parts": 2}) == []


def lateness(centre: Centre, days: float) -> list[tuple[Trouble, str, datetime | None, str]]:
    centre.clock.at = NOON + timedelta(days=days)
    try:
        return care(centre)
    finally:
        centre.clock.at = NOON


def test_upkeep_that_is_overdue_says_when_it_was_done_last_or_since_when_it_is_due(
    centre: Centre, wording: SnapshotAssertion
) -> None:
    """By the second time that it has come due: Sundays at 05:00, and each day at 06:00."""
    centre.asked("prune", "check")
    prune, check = lateness(centre, 12)
    overdue = "its prune is overdue"
    due = datetime(2026, 12, 6, 5, tzinfo=UTC), datetime(2026, 11, 26, 6, tzinfo=UTC)
    assert prune == (Trouble.PRUNE_LATE, wording, due[0], "")
    text = "its check is overdue: it never ran, and is due since 2026-11-26T06:00:00Z"
    assert check == (Trouble.CHECK_LATE, text, due[1], "")
    centre.wrote("prune.end", None, result="DONE", reason=None)
    centre.wrote("check.end", None, result="CLEAN", part=1, **PART)
    last = "the last one was at 2026-11-24T12:00:00Z"
    assert [text for _, text, _, _ in lateness(centre, 12)] == [f"{overdue}: {last}", f"its check is overdue: {last}"]
    centre.clock.at += timedelta(days=12)
    for verb, trouble in (("prune", Trouble.PRUNE_LATE), ("check", Trouble.CHECK_LATE)):
        assert centre.whose(verb, None) == set(), f"who does not answer for {trouble} does not even look"


@pytest.mark.parametrize(("asked", "late"), [("prune", Trouble.PRUNE_LATE), ("check", Trouble.CHECK_LATE)])
def test_who_answers_for_one_of_the_two_is_told_of_that_one(centre: Centre, asked: str, late: Trouble) -> None:
    centre.asked(asked)
    assert [trouble for trouble, _, _, _ in lateness(centre, 20)] == [late]


def test_upkeep_that_nobody_was_asked_for_counts_from_the_plans_first_record(centre: Centre) -> None:
    """Of any asset of it, and of no other plan."""
    centre.plan("q", ASSETS)
    centre.clock.at = ago(days=30)
    centre.wrote("backup.end", plan="q", result="STORED", reason=None, snapshot={"id": IDS[8]})
    centre.clock.at = NOON
    assert lateness(centre, 1.9) == []
    centre.wrote("backup.end", result="FAILED", reason="-")
    assert lateness(centre, 1) == []
    centre.clock.at = NOON + timedelta(days=1)
    centre.wrote("backup.end", "queue", result="FAILED", reason="-")
    assert [trouble for trouble, _, _, _ in lateness(centre, 2)] == [Trouble.CHECK_LATE]


def test_what_was_removed_of_an_asset_that_this_host_knows_nothing_of_is_no_trouble(centre: Centre) -> None:
    assert cared(centre, "prune.end", result="DONE", reason=None, removed=[{"asset": "queue", "id": IDS[1]}]) == []
    assert [trouble for trouble, _, _, _ in lateness(centre, 2)] == [Trouble.CHECK_LATE]


def secrets(centre: Centre) -> Iterator[tuple[str, str]]:
    for c in centre.told(None):
        if c.trouble is Trouble.FINDING:
            yield c.text, c.about


def test_a_secret_that_others_may_read_is_the_same_finding_while_it_lasts(centre: Centre) -> None:
    key = centre.site.root / "plans" / "key"
    assert list(secrets(centre)) == []
    for mode in (0o640, 0o604):
        key.chmod(mode)
        text = f"{key} holds a secret, and other users can read it (mode 0{mode:o}): chmod 600 {key}"
        assert list(secrets(centre)) == [(text, str(key))]
    for verb in Verb:
        assert centre.whose(verb, None) == set(), "whoever can read it is told"
