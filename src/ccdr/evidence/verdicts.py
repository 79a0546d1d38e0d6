"""What the record of a restore test says of its snapshot, and of the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from ccdr.model.errors import RepositoryDamaged
from ccdr.model.values import (
    LATEST,
    utc,
)
from ccdr.plans.facts import checks_from, mended

Record = Mapping[str, Any]


def whole_until(stored: Record) -> datetime:
    """Up to when nothing is missing of a snapshot, by the record of it: files in use were left for the next backup."""
    return utc(stored["consistent_point"]) - timedelta(seconds=stored.get("missing_s") or 0.0)


def of_the_source(statuses: Iterable[tuple[str, str]]) -> bool:
    """By the kind and the status of each check: is what came back equal to its source, and that what fails?"""
    of = list(statuses)
    own = {status for kind, status in of if kind == "identical"}
    return own == {"PASS"} and any(status == "FAIL" for _, status in of)


def does_not_open(record: Record) -> bool:
    """Did the run find that what opens the repository is damaged? Then no snapshot of any asset can be had."""
    return record.get("repository") == RepositoryDamaged.repository


def of_the_newest(test: Record) -> bool:
    """Was what it tested the newest there is? A recovery to the log's end begins with the newest good base."""
    selected = (test.get("snapshot") or {}).get("selected")
    return LATEST in (selected, (test.get("recovery") or {}).get("target"))


def blames_the_log(test: Record) -> bool:
    return (test.get("recovery") or {}).get("verdict") == "FAIL"


def reached_for(recovery: Record) -> datetime:
    """Up to when the log was to be gone through in a test that has a verdict on the log."""
    return utc(recovery["recovery"]["until"])


def log_failure(before: Record | None, test: Record, *, stops: bool = False) -> Record | None:
    """The failed recovery by the log that stands after this test, `before` being what stood before it. It is the log's
    end that would be wanted: nothing goes further. `stops`: one that found what cannot be applied is as good."""
    recovery = test.get("recovery") or {}
    goes_as_far = before is None or recovery.get("target") == LATEST
    if before is not None and recovery.get("until") is not None:
        goes_as_far = goes_as_far or reached_for(test) >= reached_for(before)
    failed = recovery.get("verdict") == "FAIL" or (stops and recovery.get("stops", False))
    if not (failed or recovery.get("verdict") == "PASS") or not goes_as_far:
        return before
    return test if failed else None


def as_strict(failed: Record, then: list[Any] | None, now: list[Any] | None) -> bool:
    """Does a test that passed take back a failure, as far as its checks go? Where no version of the plan tells what was
    checked, it is believed; and where nothing of its own had failed."""
    if then is None or now is None:
        return True
    kinds = _failing(failed)
    if not kinds and (failed.get("snapshot") or {}).get("verdict") == "PASS":
        return True
    return mended(checks_from(then), checks_from(now), kinds)


def _failing(test: Record) -> set[str]:
    return {str(one.get("kind")) for one in test.get("checks") or () if one.get("status") == "FAIL"}


def failed_again(failed: Record, record: Record) -> bool:
    """Is this the same failure once more, of a snapshot at least as new: does what takes the one back take back the
    other? Where both were carried out by the same checks."""
    before, now = (
        (_failing(test), *((test.get("snapshot") or {}).get(key) for key in ("verdict", "selected")))
        for test in (failed, record)
    )
    return before == now and not of_a_newer(failed, record)


def of_a_newer(failure: Record | None, record: Record) -> bool:
    """Is the failure of a newer snapshot than this record's test?"""
    if failure is None:
        return False
    failed, tested = ((r.get("snapshot") or {}).get("consistent_point") for r in (failure, record))
    return failed is not None and (tested is None or utc(failed) > utc(tested))


def misfits(test: Record) -> bool:
    """What was restored is good by itself, and does not fit what another asset's snapshot holds."""
    own = (test.get("snapshot") or {}).get("verdict")
    failed = any(check.get("status") == "FAIL" for check in test.get("checks") or ())
    return test["verdict"] == "FAIL" and own == "PASS" and failed


def of_more_than(failure: Record, record: Record) -> bool:
    """Did a test of the newest snapshot fail though that was good, for what came after it or stands beside it? That the
    same snapshot (`record`'s) passes by another rule takes nothing of it back."""
    failed, tested = (r.get("snapshot") or {} for r in (failure, record))
    same = failed.get("id") is not None and failed.get("id") == tested.get("id")
    return bool(same and failed.get("verdict") == "PASS" and failed.get("selected") == LATEST)


def still_stands(failure: Record | None, record: Record) -> bool:
    """After this test, which passed, of what need not be the newest."""
    return failure is not None and (of_a_newer(failure, record) or of_more_than(failure, record))
