"""What the record of a restore test says of its snapshot, and of the log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from ccdr.evidence.records.backups import BackupEnd, StoredSnapshot
from ccdr.evidence.records.restores import LogRecovery, TestEnd
from ccdr.evidence.records.values import End, Record
from ccdr.model.errors import RepositoryDamaged
from ccdr.model.values import LATEST, source_digest
from ccdr.plans.facts import CheckFacts, mended


def whole_until(stored: StoredSnapshot) -> datetime:
    """Up to when nothing is missing of a snapshot, by the record of it: files in use were left for the next backup."""
    return stored.consistent_point - timedelta(seconds=stored.missing_s)


def of_the_source(statuses: Iterable[tuple[str, str]]) -> bool:
    """By the kind and the status of each check: is what came back equal to its source, and that what fails?"""
    of = list(statuses)
    own = {status for kind, status in of if kind == "identical"}
    return own == {"PASS"} and any(status == "FAIL" for _, status in of)


def other_source(record: BackupEnd | TestEnd, source: str) -> bool:
    """Was this backup, or restore test, of something else than `source`? The plan may have been changed since it."""
    of = record.snapshot.source_sha256 if record.snapshot else None
    return of is not None and of != source_digest(source)


def does_not_open(record: Record) -> bool:
    """Did the run find that what opens the repository is damaged? Then no snapshot of any asset can be had."""
    return isinstance(record, End) and getattr(record, "repository", None) == RepositoryDamaged.repository


def of_the_newest(test: TestEnd) -> bool:
    """Was what it tested the newest there is? A recovery to the log's end begins with the newest good base."""
    selected = test.snapshot.selected if test.snapshot else None
    return LATEST in (selected, test.recovery.target if test.recovery else None)


def blames_the_log(test: TestEnd) -> bool:
    return test.recovery is not None and test.recovery.verdict == "FAIL"


def log_fails(failed: LogRecovery | None, recovery: LogRecovery | None, *, stops: bool = False) -> bool | None:
    """Does a recovery by the log fail after this one, where one had `failed` before? None: this one says nothing of it,
    as it goes less far. It is the log's end that would be wanted: nothing goes further. `stops`: one that found what
    cannot be applied is as good."""
    if recovery is None:
        return None
    bad = recovery.verdict == "FAIL" or (stops and recovery.stops)
    if not bad and recovery.verdict != "PASS":
        return None
    as_far = failed is None or recovery.target == LATEST
    if not as_far and failed is not None and recovery.until is not None:
        as_far = recovery.until >= reached_for(failed)
    return bad if as_far else None


def reached_for(recovery: LogRecovery) -> datetime:
    """Up to when the log was to be gone through in a recovery that failed, or stops."""
    assert recovery.until is not None
    return recovery.until


def as_strict(failed: TestEnd, then: Sequence[CheckFacts] | None, now: Sequence[CheckFacts] | None) -> bool:
    """Does a test that passed take back a failure, as far as its checks go? Where no version of the plan tells what was
    checked, it is believed; and where nothing of its own had failed."""
    if then is None or now is None:
        return True
    kinds = _failing(failed)
    if not kinds and verdict_on_snapshot(failed) == "PASS":
        return True
    return mended(then, now, kinds)


def verdict_on_snapshot(test: TestEnd) -> str | None:
    """On it alone; None where there was none."""
    return test.snapshot.verdict if test.snapshot else None


def point_of(test: TestEnd) -> datetime | None:
    """The consistent point of what was tested; None where there was nothing."""
    return test.snapshot.consistent_point if test.snapshot else None


def _failing(test: TestEnd) -> set[str]:
    return {one.kind for one in test.checks if one.status == "FAIL"}


def failed_again(failed: TestEnd, record: TestEnd) -> bool:
    """Is this the same failure once more, of a snapshot at least as new: does what takes the one back take back the
    other? Where both were carried out by the same checks."""
    before, now = (
        (_failing(test), verdict_on_snapshot(test), test.snapshot.selected if test.snapshot else None)
        for test in (failed, record)
    )
    return before == now and not of_a_newer(failed, record)


def of_a_newer(failure: TestEnd | None, record: TestEnd) -> bool:
    """Is the failure of a newer snapshot than this record's test?"""
    if failure is None:
        return False
    failed, tested = point_of(failure), point_of(record)
    return failed is not None and (tested is None or failed > tested)


def misfits(test: TestEnd) -> bool:
    """What was restored is good by itself, and does not fit what another asset's snapshot holds."""
    return test.verdict == "FAIL" and verdict_on_snapshot(test) == "PASS" and bool(_failing(test))


def of_more_than(failure: TestEnd, record: TestEnd) -> bool:
    """Did a test of the newest snapshot fail though that was good, for what came after it or stands beside it? That the
    same snapshot (`record`'s) passes by another rule takes nothing of it back."""
    failed, tested = failure.snapshot, record.snapshot
    same = failed is not None and tested is not None and failed.id == tested.id
    return same and failed is not None and failed.verdict == "PASS" and failed.selected == LATEST


def still_stands(failure: TestEnd | None, record: TestEnd) -> bool:
    """After this test, which passed, of what need not be the newest."""
    return failure is not None and (of_a_newer(failure, record) or of_more_than(failure, record))
