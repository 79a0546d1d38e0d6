"""The words of a message: a subject counts what is wrong, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ccdr.notify.message import _subject
from ccdr.notify.told import Entry, Kind, News
from ccdr.trouble import Trouble

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
    assert _subject("p", told, None) == f"ccdr: p: {subject}"
