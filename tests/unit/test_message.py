"""The words of a message: a subject counts what is wrong, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site
from tests.support.wording import lines_with

from ccdr.model.trouble import Trouble
from ccdr.telling.notify.message import _subject, compose
from ccdr.telling.notify.state import Entry, Kind, News

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def news(kind: Kind, trouble: Trouble) -> News:
    return News(kind, Entry("crm", trouble, "", "it is so", NOW))


BROKE, LATE = news(Kind.NEW, Trouble.TEST_INCONCLUSIVE), news(Kind.STILL, Trouble.BACKUP_LATE)
MENDED, TESTED = news(Kind.FIXED, Trouble.BACKUP_FAILED), news(Kind.FIXED, Trouble.TEST_FAILED)


@pytest.mark.parametrize(
    ("told", "subject"),
    [
        ([BROKE], "crm restore test INCONCLUSIVE"),
        ([BROKE, LATE], "crm restore test INCONCLUSIVE (+1 more)"),
        ([BROKE, MENDED], "crm restore test INCONCLUSIVE"),
        ([MENDED, BROKE, LATE], "crm restore test INCONCLUSIVE (+1 more)"),
        ([MENDED, TESTED], "fixed: crm backup FAILED (+1 more)"),
    ],
)
def test_what_is_fixed_is_not_counted_as_more_trouble(told: list[News], subject: str) -> None:
    assert _subject("p", told, None, NOW) == f"ccdr: p: {subject}"


def test_what_to_do_next_is_what_is_known_of_this_trouble(site: Site, wording: SnapshotAssertion) -> None:
    site.plan("crm: {engine: files, paths: [/srv]}")
    bare, known = BROKE, News(Kind.NEW, replace(BROKE.entry, step="mount /srv; ccdr test p --asset crm"))
    assert lines_with(compose(site.loaded(), [bare], NOW).body, "next:") == wording
    said = compose(site.loaded(), [known], NOW).body
    assert lines_with(said, "next:") == ["next: mount /srv; ccdr test p --asset crm"] and "ccdr doctor" not in said
    assert "the programs' own messages" not in said


def test_where_programs_own_words_are_is_said_and_they_are_not(site: Site, wording: SnapshotAssertion) -> None:
    site.plan("crm: {engine: files, paths: [/srv]}")
    one = News(Kind.NEW, replace(BROKE.entry, private=("/s/private/r.txt", "/s/private/r.jsonl")))
    said = compose(site.loaded(), [one], NOW).body
    assert lines_with(said, "/s/private/r.txt") == wording
    assert lines_with(said, "/s/private/r.jsonl") == wording
