"""A recovery that nobody has brought to an end is told, with what goes on with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.support.harness import Site
from tests.support.sparse import history_of

from ccdr.evidence.judgement.upkeep import judge_upkeep
from ccdr.model.trouble import Trouble
from ccdr.model.values import utc

AT = "2026-11-24T03:00:00Z"


def record(seq: int, kind: str, run: str, **more: Any) -> dict[str, Any]:
    envelope = {"seq": seq, "prev": "0" * 64, "time": AT, "host": "h", "actor": "a", "version": 4}
    return {**envelope, "kind": kind, "plan": "p", "asset": None, "run": run, **more}


BEGUN = record(1, "recover.start", "one", assets=[{"asset": "crm"}])
PAUSED = record(2, "recover.end", "one", state="paused_by_failed_step", assets=[{"asset": "crm", "state": "failed"}])
DONE = record(4, "recover.end", "two", state="done", assets=[{"asset": "crm", "state": "done"}])
AGAIN = record(3, "recover.start", "two", assets=[{"asset": "crm"}])


@pytest.mark.parametrize(
    ("records", "at_work", "days", "text"),
    [
        ([BEGUN], [], 1, "crashed: its run one never recorded an end"),
        ([BEGUN], ["one"], 1, None),
        ([BEGUN, PAUSED], [], 1, "was not finished (run one); not brought back: crm"),
        ([BEGUN, PAUSED, AGAIN], ["two"], 1, None),
        ([BEGUN, PAUSED, AGAIN, DONE], [], 1, None),
        ([BEGUN, AGAIN, DONE], [], 1, None),
        ([BEGUN, PAUSED], [], 8, None),
    ],
)
def test_a_recovery_without_a_good_end_is_told_for_a_week(
    tmp_path: Any, records: list[dict[str, Any]], at_work: list[str], days: int, text: str | None
) -> None:
    site = Site(tmp_path, bare=True)
    site.recordings(tmp_path / "tree")
    histories = history_of(records)
    for history in histories.values():
        history.at_work = at_work
    found = judge_upkeep(site.loaded(), histories, utc(AT) + timedelta(days=days))
    told = [p for p in found if p.trouble is Trouble.RECOVERY_UNFINISHED]
    assert [text in p.text for p in told] == ([True] if text else [])
    assert all(p.step and p.step.startswith("ccdr recover --resume p") for p in told)
