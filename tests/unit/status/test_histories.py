"""History folded from records: what counts, what crashed, what is open."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.manifests import counted
from tests.support.sparse import history_of
from tests.support.standing import IDS, NOW, ago

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.model.values import rfc3339

_SEQ = itertools.count(1)


def record(kind: str, when: datetime, run: str, **body: Any) -> dict[str, Any]:
    return {"seq": next(_SEQ), "kind": kind, "time": rfc3339(when), "plan": "p", "asset": "a", "run": run, **body}


def judged(number: int, verdict: str, when: datetime = NOW, own: str | None = None) -> dict[str, Any]:
    snapshot = {"id": IDS[number], "verdict": own or (None if verdict == "SKIPPED" else verdict)}
    return record("restore_test.end", when, f"t{number}", verdict=verdict, snapshot=snapshot, reason=None)


def folded(*records: dict[str, Any]) -> AssetHistory:
    return history_of(records).get(("p", "a"), AssetHistory())


ONE = counted(IDS[1], "p", "a", "r", "files", "scan", NOW, NOW, 1, "/", "0" * 64)


def test_nothing_is_no_history() -> None:
    assert history_of([]) == {} and not folded().disproved(ONE)


def test_records_of_other_kinds_and_assets_do_not_count() -> None:
    other = {**judged(1, "FAIL"), "asset": "b"}
    found = history_of([other, record("sandbox.reap", NOW, "x"), {**judged(1, "PASS"), "plan": "q"}])
    assert set(found) == {("p", "b"), ("q", "a")}


def test_a_snapshots_latest_verdict_on_itself_holds() -> None:
    assert folded(judged(1, "PASS"), judged(1, "FAIL")).disproved(ONE)
    assert not folded(judged(1, "FAIL"), judged(1, "PASS")).disproved(ONE)


def test_inconclusive_and_skipped_disprove_nothing_and_prove_nothing() -> None:
    history = folded(judged(1, "FAIL"), judged(1, "INCONCLUSIVE"), judged(1, "SKIPPED"))
    assert history.disproved(ONE)
    assert history.last_test and history.last_test.verdict == "INCONCLUSIVE"
    assert history.last_conclusive_test and history.last_conclusive_test.verdict == "FAIL"
    assert folded(judged(1, "SKIPPED")).last_test is None


def test_a_test_that_failed_for_a_newer_backup_does_not_disprove_the_older_snapshot() -> None:
    history = folded(judged(1, "FAIL", own="PASS"))
    assert history.proven == {IDS[1]: "PASS"} and history.last_test and history.last_test.verdict == "FAIL"


def test_a_failed_backup_counts_from_its_moment() -> None:
    failed = record("backup.end", ago(hours=1), "b1", result="FAILED", reason="disk full")
    history = folded(record("backup.start", ago(hours=1), "b1"), failed)
    assert "disk full" in str(history.failed_since(ago(hours=2)))
    assert history.failed_since(ago(minutes=30)) is None
    assert history.last_good_backup is None


def test_a_start_without_an_end_is_a_crash_unless_it_is_running() -> None:
    history = folded(record("backup.start", ago(minutes=5), "b1"))
    assert "crashed" in str(history.failed_since(ago(hours=1)))
    assert history.failed_since(NOW) is None
    history.at_work = ["b1"]
    assert history.failed_since(ago(hours=1)) is None


def test_a_crashed_test_is_no_failed_backup() -> None:
    history = folded(record("restore_test.start", ago(minutes=5), "t1"))
    assert history.failed_since(ago(hours=1)) is None and set(history.open_runs) == {"t1"}


runs = st.lists(st.tuples(st.sampled_from(["backup", "restore_test"]), st.booleans()), max_size=8)


@given(runs)
def test_open_runs_are_the_starts_without_an_end(made: list[tuple[str, bool]]) -> None:
    records = []
    for number, (verb, ends) in enumerate(made):
        records.append(record(f"{verb}.start", NOW, f"r{number}"))
        if ends:
            said = {"result": "STORED"} if verb == "backup" else {"verdict": "PASS"}
            records.append(record(f"{verb}.end", NOW, f"r{number}", snapshot={"id": IDS[number]}, **said))
    assert set(folded(*records).open_runs) == {f"r{n}" for n, (_, ends) in enumerate(made) if not ends}


def test_a_restore_that_was_killed_is_not_told_for_ever() -> None:
    history = folded(record("restore.start", ago(days=6), "r1"))
    assert history.crashed_restore(NOW)
    assert history.crashed_restore(NOW + timedelta(days=2)) is None
