"""What the line of an asset shows of its last runs."""

from __future__ import annotations

from tests.support.asked import IDS, Centre, ago

from ccdr.model.answers import FreeText


def test_where_programs_own_words_are_kept_is_told_of_the_newest_runs_and_each_once(centre: Centre) -> None:
    state = centre.services.state
    for run in ("b0", "b1", "t1", "r1"):
        assert state.keep_words(run, FreeText("it said"))
    for run in ("b0", "b1"):
        centre.wrote("backup.end", run=run, result="FAILED", reason="-")
    assert centre.of().private == (str(state.words_path("b1")),)
    centre.wrote("restore_test.end", run="t1", verdict="INCONCLUSIVE", reason="-", snapshot=None)
    centre.wrote("restore.end", run="r1", result="FAILED", reason="-")
    expected = [str(state.words_path(run)) for run in ("b1", "t1", "r1")]
    assert centre.of().as_json()["private"] == expected and centre.of("queue").as_json()["private"] == []
    centre.wrote("restore_test.end", run="b1", verdict="INCONCLUSIVE", reason="-", snapshot=None)
    assert centre.of().as_json()["private"] == [expected[0], expected[2]]
    state.words_path("b1").unlink()
    assert centre.of().as_json()["private"] == [expected[2]], "what is there yet"


def test_a_line_shows_what_the_ledger_says_of_the_last_backup_and_test(centre: Centre) -> None:
    assert centre.of().as_json()["last_backup"] is None
    centre.stored(1, ago(minutes=5), findings=[])
    shown = centre.of().as_json()["last_backup"]
    (record,) = (r for r in centre.services.ledger.records() if r["kind"] == "backup.end")
    body = {"result": "STORED", "reason": None, "findings": []}
    where = {"plan": "p", "asset": "calls", "run": "r", "time": "2026-11-24T12:00:00.000000Z"}
    told = where | body | {"seq": record["seq"], "version": record["version"], "snapshot": record["snapshot"]}
    assert isinstance(shown, dict) and shown.items() >= told.items() and shown["snapshot"]["id"] == IDS[1]
