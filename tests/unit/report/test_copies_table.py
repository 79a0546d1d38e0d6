"""The report's table of a plan's copies: what each could have given."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from tests.support.copied import add_copies
from tests.support.past import DAY, HOUR, MINUTE, NOW, Past, rows_of, written

from ccdr.model.values import rfc3339
from ccdr.telling.report import Report, html, json_lines


def copied(past: Past, when: datetime, newest: datetime | None, **more: object) -> None:
    run = past.run_id()
    began = {"plan_sha256": "a" * 64, "trigger": {"by": "run", "due": rfc3339(when)}, "copy": "offsite"}
    past.wrote(when, "copy.start", run=run, asset=None, **began)
    told: dict[str, object] = {"result": "DONE", "there": None, "copy": "offsite", "site": "Cluj"}
    if newest is not None:
        told |= {"there": {"recordings": 3}, "newest": {"recordings": rfc3339(newest)}}
        told |= {"arrived": {"recordings": rfc3339(when + MINUTE)}}
    past.wrote(when + MINUTE, "copy.end", run=run, asset=None, **{**told, **more})


def made(past: Past) -> tuple[Report, dict[str, Any], str]:
    report = past.report(rfc3339(NOW - 10 * DAY))
    document = json.loads(b"".join(json_lines(report)))
    (one,) = document["plans"][0]["copies"]
    page = written(html(report))
    return report, one, page[page.index('id="copies"') : page.index('id="objectives"')]


def test_each_copy_is_told_by_when_what_it_holds_was_there_and_by_the_worst_that_was(past: Past) -> None:
    add_copies(past.site, "offsite", bare=True)
    past.fine()
    for days, newest in ((4, 2 * HOUR), (1, HOUR)):  # filled four days ago, and then not for three days
        copied(past, NOW - days * DAY, NOW - days * DAY - newest)
    report, one, page = made(past)
    held = one["assets"]["recordings"]
    assert held["exposure_s"] == 25 * 3600
    assert held["worst_exposure_s"] == 3 * 86400 + 2 * 3600 + 60  # until the next came there, a minute after it began
    assert held["arrived"] == rfc3339(NOW - DAY + MINUTE) and held["snapshot"] == rfc3339(NOW - 25 * HOUR)
    assert (held["last_test"], [p["code"] for p in held["troubles"]]) == (None, ["COPY_UNTESTED"])
    assert "Site offsite" in page and ">never</td>" in page and "COPY_UNTESTED" in page
    assert "1d 1h" in page and "3d 2h" in page, page
    assert [row["outcome"] for row in rows_of(report) if row["what"] == "copy" and row["outcome"] != "MISSED"] == [
        "DONE"
    ] * 2


def test_what_was_restored_from_a_copy_is_told_with_its_snapshot_and_one_that_fails_with_why(past: Past) -> None:
    add_copies(past.site, "offsite", bare=True)
    snapshot = past.fine()
    copied(past, NOW - HOUR, NOW - 2 * HOUR)
    past.test(NOW - 30 * MINUTE, snapshot, copy="offsite")
    _, one, page = made(past)
    held = one["assets"]["recordings"]
    assert (held["last_test"], held["last_test_snapshot"], held["troubles"]) == ("PASS", snapshot, [])
    assert snapshot[:8] in page and one["troubles"] == []
    copied(past, NOW - 20 * MINUTE, None, result="FAILED", reason="it did not answer")
    _, one, page = made(past)
    assert [p["code"] for p in one["troubles"]] == ["COPY_FAILED"] and "it did not answer" in page
    assert one["assets"]["recordings"]["arrived"] == held["arrived"]


def test_a_plan_without_copies_has_no_such_table(past: Past) -> None:
    past.fine()
    assert 'id="copies"' not in written(html(past.report()))
