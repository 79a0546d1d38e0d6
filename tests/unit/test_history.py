"""What the ledger says of each asset: one pass over its records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from tests.support.manifests import counted
from tests.support.recorded import DUE, NIGHT, backup, check, test
from tests.support.sparse import append_sparse, history_of, sparse_record

from ccdr.evidence.history import folded
from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.history.folded import DamagedBefore
from ccdr.evidence.ledger.ledger import BEGINNING, Ledger
from ccdr.evidence.records import Record
from ccdr.evidence.records.statements import STATEMENT
from ccdr.host.clock import SystemClock
from ccdr.model.erasure import Looked
from ccdr.model.values import Needed, Snapshot, rfc3339


def test_a_check_of_all_data_is_one_of_every_part(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger", SystemClock())

    def care() -> AssetHistory:
        return history_of(ledger.records())["p", None]

    check(ledger, "CLEAN", 1)
    check(ledger, "DAMAGED", 2)
    assert care().damaged_parts == ["2"] and care().cycle == ["1", "2"]
    check(ledger, "DAMAGED", 0, all_data=True)
    assert care().damaged_parts == ["1", "2", "3", "4"]
    check(ledger, "CLEAN", 3)
    assert care().damaged_parts == ["1", "2", "4"]
    check(ledger, "CLEAN", 0, all_data=True)
    assert care().damaged_parts == [] and care().cycle == ["1", "2", "3", "4"]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path / "ledger", SystemClock())
    for n in range(3):
        backup(made, f"b{n}")
    test(made, "t", "a-b2", "PASS")
    return made


def whole(ledger: Ledger) -> Histories:
    return history_of(ledger.records())


def test_what_retention_removed_is_forgotten(ledger: Ledger) -> None:
    removed: list[dict[str, Any]] = [
        {"asset": "a", "id": "a-b0"},
        {"asset": "a", "id": "a-b2"},
        {"asset": "z", "id": "?"},
    ]
    append_sparse(ledger, "prune.end", plan="p", asset=None, run="r", body={"result": "DONE", "removed": removed})
    found = whole(ledger)
    assert found["p", "a"].stored_here == {"a-b1".ljust(64, "0")} and found["p", "a"].proven == {}
    assert (pruned := found["p", None].last_done_prune) and pruned.removed == 3, "how many; which, the ledger says"


def test_a_mark_holds_until_its_line_changes(ledger: Ledger) -> None:
    *_, (mark, record) = ledger.after(BEGINNING)
    assert ledger.holds(mark) and record.seq == mark.seq == 8 and list(ledger.after(mark)) == []
    backup(ledger, "later")
    assert [r.seq for _, r in ledger.after(mark)] == [9, 10] and ledger.holds(mark)
    path = ledger.directory / mark.segment
    path.write_bytes(path.read_bytes().replace(b'"PASS"', b'"FAIL"'))
    assert not ledger.holds(mark)


NOON = "2026-11-05T12:00:00Z"


def checked(seq: int, part: int, result: str, parts: int = 3) -> dict[str, Any]:
    body = {"part": part, "parts": parts, "result": result, "repository_bytes": seq}
    return {"kind": "check.end", "seq": seq, "time": f"2026-11-{seq:02}T06:00:00Z", "plan": "p", "asset": None,
            "run": f"c{seq}", **body}  # fmt: skip


def proof(seq: int, verdict: str, selected: str = "latest") -> dict[str, Any]:
    return {"kind": "restore_test.end", "seq": seq, "time": f"2026-11-{seq:02}T07:00:00Z", "plan": "p", "asset": "a",
            "run": f"t{seq}", "verdict": verdict, "snapshot": {"id": "s", "verdict": verdict, "selected": selected}}  # fmt: skip


@pytest.mark.parametrize(
    ("after", "open_"),
    [
        ([], True),
        ([proof(5, "PASS")], False),
        ([proof(5, "PASS", "oldest")], True),  # proves nothing of the newest
        ([proof(5, "PASS", "at") | {"recovery": {"target": "latest", "verdict": "PASS", "until": NOON}}], False),
        ([proof(5, "PASS", "at") | {"recovery": {"target": NOON, "verdict": "PASS", "until": NOON}}], True),
        ([proof(5, "FAIL")], True),
        ([proof(5, "INCONCLUSIVE")], True),
        ([checked(5, 3, "CLEAN")], True),  # another part
        ([proof(5, "PASS"), checked(6, 2, "DAMAGED")], True),
    ],
)
def test_damage_stays_open_until_the_newest_is_tested_good(
    after: list[dict[str, Any]], open_: bool, wording: SnapshotAssertion
) -> None:
    found = history_of([proof(2, "PASS"), checked(3, 1, "CLEAN"), checked(4, 2, "DAMAGED"), *after])
    damage = found["p", "a"].damage_since(found["p", None])
    assert (damage is not None) is open_
    if damage is not None:  # tests by another rule may well have passed
        assert damage.partition(" found ")[2] == wording(name="damage"), damage


def test_parts_are_followed_through_their_cycles() -> None:
    results = ["CLEAN", "DAMAGED", "INCONCLUSIVE", "CLEAN", "CLEAN"]
    found = history_of(
        checked(n + 1, part, r) for n, (part, r) in enumerate(zip([1, 2, 3, 3, 1], results, strict=True))
    )
    upkeep = found["p", None]
    assert upkeep.cycle == ["1"] and {p: one.result for p, one in upkeep.read.items()} == {
        "1": "CLEAN",
        "2": "DAMAGED",
        "3": "CLEAN",
    }
    history_of([checked(9, 1, "CLEAN", parts=5)], found)
    assert (upkeep.parts, list(upkeep.read), upkeep.cycle) == (5, ["1"], ["1"])


@pytest.mark.parametrize("found", ["DAMAGED", "CLEAN"])
def test_damage_is_not_forgotten_when_the_data_is_read_in_other_parts(found: str) -> None:
    """Nobody knows in which of them it lies now: it is over once all have been read."""
    since = datetime(2026, 11, 2, 6, tzinfo=UTC)
    there = DamagedBefore("2", 3, since) if found == "DAMAGED" else None
    upkeep = history_of([checked(1, 1, "CLEAN"), checked(2, 2, found), checked(3, 1, "CLEAN", 2)])["p", None]
    assert upkeep.damaged_before == there
    again = history_of([checked(4, 1, "CLEAN", 3)], {("p", None): upkeep})["p", None]
    assert again.damaged_before == there
    for part in (2, 3):
        history_of([checked(4 + part, part, "CLEAN", 3)], {("p", None): again})
    assert again.damaged_before is None


def of(snapshot: str, seq: int, verdict: str, selected: str, own: str = "PASS") -> dict[str, Any]:
    said = {
        "id": snapshot,
        "verdict": own,
        "selected": selected,
        "consistent_point": f"2026-11-0{snapshot[1]}T05:00:00Z",
    }
    return proof(seq, verdict) | {"snapshot": said}


@pytest.mark.parametrize(
    ("after", "red"),
    [
        ([], True),
        ([of("s2", 5, "PASS", "random")], True),  # it was good then, too: something newer was not
        ([of("s1", 5, "PASS", "oldest"), of("s2", 6, "PASS", "oldest")], True),
        ([of("s2", 5, "PASS", "latest")], False),
        ([of("s3", 5, "PASS", "random")], False),
    ],
)
def test_a_failure_for_a_newer_backup_is_not_taken_back_by_the_same_snapshot(after: list[Any], red: bool) -> None:
    """Of a host that tests only, nothing else tells that another host's newest backup failed."""
    found = history_of([of("s2", 4, "FAIL", "latest"), *after])["p", "a"]
    assert (found.failure is not None) is red


def test_a_snapshot_that_failed_itself_and_passes_since_is_good_again() -> None:
    found = history_of([of("s2", 4, "FAIL", "latest", "FAIL"), of("s2", 5, "PASS", "random")])["p", "a"]
    assert found.failure is None


def test_sizes_are_one_a_day_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folded, "MOST_SIZES", 3)
    found = history_of([checked(n, 1, "CLEAN") for n in range(1, 9)])
    assert found["p", None].sizes == {"2026-11-06": 6, "2026-11-07": 7, "2026-11-08": 8}


def test_the_newest_failure_is_no_older_one(ledger: Ledger) -> None:
    test(ledger, "f", "a-b2", "FAIL")
    found = whole(ledger)["p", "a"]
    assert found.failure == found.last_test and found.older_failure is None
    test(ledger, "i", "a-b2", "INCONCLUSIVE")
    assert whole(ledger)["p", "a"].older_failure == found.failure


NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
BASE = "s".ljust(64, "0")


def recovery(seq: int, verdict: str, target: str = "latest", until: datetime | None = NOON) -> dict[str, Any]:
    """A test of base `s` by its log: what the log did wrong says nothing of the base."""
    own = "PASS" if verdict == "PASS" else None
    said = {"target": target, "verdict": verdict, "until": until and rfc3339(until)}
    return {**proof(seq, verdict, "at"), "snapshot": {"id": "s", "verdict": own, "selected": "at"}, "recovery": said}


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("after", "red"),
    [
        ([], True),
        ([proof(5, "PASS")], True),  # of the base alone: no log was applied
        ([proof(5, "PASS", "oldest"), proof(6, "PASS")], True),
        ([recovery(5, "INCONCLUSIVE")], True),
        ([recovery(5, "PASS", "a time", NOON - HOUR)], True),  # which lies before what is bad
        ([recovery(5, "PASS", "0-1-4711", None)], True),  # nobody knows how far
        ([recovery(5, "PASS", "a time")], False),
        ([recovery(5, "PASS", until=NOON + HOUR)], False),
        ([recovery(5, "PASS", until=NOON - HOUR)], False),  # its end, by a clock that was set back
        ([recovery(5, "PASS"), recovery(6, "FAIL", "a time", NOON - HOUR)], True),
    ],
)
def test_a_log_that_failed_stays_so_until_a_recovery_as_far_has_passed(after: list[dict[str, Any]], red: bool) -> None:
    found = history_of([proof(2, "PASS"), recovery(4, "FAIL"), *after])["p", "a"]
    assert (found.log_failure is not None) is red
    assert found.failure is None and found.proven == {BASE: "PASS"}, "the base is good"


def test_a_log_that_failed_is_no_failure_of_its_base_and_a_bad_base_is_none_of_its_log() -> None:
    found = history_of([recovery(2, "FAIL"), proof(3, "FAIL")])["p", "a"]
    assert found.proven == {BASE: "FAIL"} and found.failure and found.failure.seq == 3
    assert found.log_failure and found.log_failure.seq == 2
    assert found.older_log_failure == found.log_failure and found.older_failure is None
    assert history_of([proof(3, "FAIL")])["p", "a"].log_failure is None


def test_log_that_leads_on_from_a_newer_base_is_not_what_failed() -> None:
    found = history_of([recovery(2, "FAIL")])["p", "a"]

    def base(at: datetime) -> Snapshot:
        return counted("b", "p", "a", "r", "postgres", "physical", at, at, 1, "/x", "0" * 64)

    assert found.log_disproved(base(NOON - HOUR)) and found.log_disproved(base(NOON))
    assert not found.log_disproved(base(NOON + HOUR))
    assert not history_of([recovery(2, "PASS")])["p", "a"].log_disproved(base(NOON))


def test_log_in_which_a_recovery_found_what_cannot_be_applied_does_not_count() -> None:
    """Though that is no failure: not until one that goes as far has passed, and for no newer base."""
    bases = [
        counted("b", "p", "a", "r", "postgres", "physical", at, at, 1, "/x", "0" * 64) for at in (NOON, NOON + HOUR)
    ]
    stopped = recovery(2, "INCONCLUSIVE")
    stopped["recovery"] = {**stopped["recovery"], "verdict": None, "stops": True}
    for_real = {**stopped, "kind": "restore.end", "result": "FAILED"}
    del for_real["verdict"], for_real["snapshot"]
    for first in (stopped, for_real):
        found = history_of([first])["p", "a"]
        assert found.log_failure is None and [found.log_disproved(b) for b in bases] == [True, False]
    for after, counts in (
        ([], False),
        ([recovery(3, "INCONCLUSIVE")], False),
        ([recovery(3, "PASS", "a time", NOON - HOUR)], False),
        ([recovery(3, "PASS")], True),
    ):
        found = history_of([stopped, *after])["p", "a"]
        assert found.log_failure is None and [found.log_disproved(b) for b in bases] == [not counts, False]
    broken = history_of([recovery(2, "INCONCLUSIVE")])["p", "a"]
    assert not broken.log_disproved(bases[0]), "nothing was found of the log"


@given(st.lists(st.tuples(st.sampled_from(["PASS", "FAIL"]), st.sampled_from([None, 0, 1, 2, 3])), max_size=8))
def test_what_stands_is_a_failure_that_nothing_went_past(tests: list[tuple[str, int | None]]) -> None:
    """None: the log's end."""
    records = [
        recovery(n, verdict, "latest" if hour is None else "a time", NOON + 9 * HOUR if hour is None else NOON + hour * HOUR)
        for n, (verdict, hour) in enumerate(tests, 1)
    ]  # fmt: skip
    found = history_of(records).get(("p", "a"), AssetHistory()).log_failure
    ranks = [9 if hour is None else hour for _, hour in tests]
    if found is None:
        assert not any(
            verdict == "FAIL" and not any(later >= ranks[n] for later in ranks[n + 1 :])
            for n, (verdict, _) in enumerate(tests)
        )
    else:
        assert tests[found.seq - 1][0] == "FAIL"
        assert all(later < ranks[found.seq - 1] for later in ranks[found.seq :])


def test_which_rule_was_tried_when_and_what_it_found_last(ledger: Ledger) -> None:
    """A test that broke was tried, and has found nothing; one by an id is no rule's."""
    test(ledger, "o", "a-b0", "FAIL", rule="oldest")
    test(ledger, "i", "a-b2", "INCONCLUSIVE", rule="oldest")
    test(ledger, "b", "a-b1", "PASS", rule="a-b1")
    found = whole(ledger)["p", "a"]
    assert {rule: one.due and rfc3339(one.due) for rule, one in found.tried.items()} == {
        "latest": NIGHT,
        "oldest": DUE["i"],
    }
    assert {rule: one.verdict for rule, one in found.by_rule.items()} == {"latest": "PASS", "oldest": "FAIL"}


def test_an_increment_is_disproved_by_a_later_failure_of_what_it_builds_upon_though_that_had_passed_before() -> None:
    """It is the newest verdict of each that counts, and when that was given."""
    base, increment = "b" * 64, "c" * 64
    now = datetime.now(UTC)
    upon = counted(increment, "p", "a", "r", "postgres", "physical", now, now, 1, "/", "0" * 64,
                    upon=(Needed(base, "0" * 64),))  # fmt: skip

    def after(*verdicts: tuple[str, str]) -> AssetHistory:
        records = [
            {"seq": n, "time": "2026-11-24T12:00:00Z", "kind": "restore_test.end", "plan": "p", "asset": "a", "run": f"t{n}",
             "verdict": verdict, "snapshot": {"id": of, "verdict": verdict}}
            for n, (of, verdict) in enumerate(verdicts, 1)
        ]  # fmt: skip
        return history_of(records)["p", "a"]

    passed = ((base, "PASS"), (increment, "PASS"))
    assert not after(*passed).disproved(upon)
    assert after(*passed, (base, "FAIL")).disproved(upon)
    assert not after((increment, "FAIL"), *passed, (base, "FAIL"), (increment, "PASS")).disproved(upon), "and again"


# --- what failed, and what takes it back ---------------------------------------------------------------------------

_CHECK = {"kind": "identical", "fingerprint": "1" * 64, "subject": "1" * 64, "floors": {}, "ceilings": {}}
_MORE = {"kind": "command", "fingerprint": "2" * 64, "subject": "2" * 64, "floors": {}, "ceilings": {}}
STRONG, WEAK = [_CHECK, _MORE], [_CHECK]


class Story:
    """Records of one asset, in the ledger's order."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def wrote(self, kind: str, run: str, asset: str | None = "a", **body: Any) -> None:
        seq = len(self.records) + 1
        when = f"2026-11-24T{seq // 60:02}:{seq % 60:02}:00Z"
        self.records.append({"seq": seq, "kind": kind, "time": when, "plan": "p", "asset": asset, "run": run, **body})

    def promises(self, checks: list[dict[str, Any]]) -> None:
        self.wrote("plan.version", "v", None, facts={"assets": {"a": {"checks": checks}}})

    def tested(
        self, verdict: str, *, own: str | None = None, failed: str | None = None, meanwhile: list[Any] | None = None
    ) -> None:
        run = f"t{len(self.records)}"
        self.wrote("restore_test.start", run, selection="latest")
        if meanwhile is not None:
            self.promises(meanwhile)
        checks = [{"kind": failed, "name": failed, "status": "FAIL"}] if failed else []
        snapshot = {
            "id": run,
            "verdict": own or verdict,
            "selected": "latest",
            "consistent_point": "2026-11-24T00:00:00Z",
        }
        self.wrote("restore_test.end", run, verdict=verdict, snapshot=snapshot, checks=checks, reason=None)

    @property
    def unchecked(self) -> bool:
        return history_of(self.records)["p", "a"].unchecked is not None


def test_what_failed_is_taken_back_by_a_test_that_checks_as_much_and_by_no_other() -> None:
    story = Story()
    story.promises(STRONG)
    story.tested("FAIL", failed="command")
    story.promises(WEAK)
    story.tested("PASS")
    assert story.unchecked
    story.tested("PASS")
    assert story.unchecked, "not by the next one either"
    story.promises(STRONG)
    story.tested("PASS")
    assert not story.unchecked


def test_a_later_failure_for_another_reason_makes_nobody_forget_the_first() -> None:
    story = Story()
    story.promises(STRONG)
    story.tested("FAIL", failed="command")
    story.promises(WEAK)
    story.tested("FAIL", own="PASS")  # for a newer backup that had failed
    story.tested("PASS")
    assert story.unchecked
    twin = Story()
    twin.promises(STRONG)
    twin.tested("FAIL", own="PASS")
    twin.promises(WEAK)
    twin.tested("PASS")
    assert not twin.unchecked, "nothing of its own had failed"


def test_a_test_is_judged_by_what_it_checked_whatever_the_plan_says_when_it_ends() -> None:
    story = Story()
    story.promises(STRONG)
    story.tested("FAIL", failed="command")
    story.promises(WEAK)
    story.tested("PASS", meanwhile=STRONG)
    assert story.unchecked


def of_register(kind: str, seq: int, **body: Any) -> Record:
    kind = STATEMENT if "says" in body else f"erasure.{kind}"
    return sparse_record(
        {"kind": kind, "seq": seq, "plan": "p", "asset": "a", "run": "r", "time": rfc3339(NOON), **body}
    )


@pytest.mark.parametrize(
    ("replay", "at", "counts"), [(3, NOON, True), (3, NOON + timedelta(seconds=1), False), (4, NOON, False)]
)
def test_a_review_is_of_that_handover_of_that_moment(replay: int, at: datetime, counts: bool) -> None:
    """One of another ledger's, or of one that is yet to come, is none."""
    history = AssetHistory()
    history.take(of_register("replay", 3, result="ERASED", handed_over=True))
    about = {"of": "handover", "replay": replay, "at": rfc3339(at)}
    history.take(of_register("review", 5, says="review", about=about))
    history.take(of_register("replay", 4, result="ERASED", handed_over=True))
    assert [seq for seq, _ in history.handed_over] == ([4] if counts else [3, 4])


def test_what_was_found_of_an_entry_is_known_until_it_is_withdrawn_or_another_has_its_number() -> None:
    history = AssetHistory()
    for n in (1, 2):
        history.take(of_register("add", n, entry=f"e-00000{n}", withdraws=None))
    found = [{"id": "e-000001", "found_before": 3, "found_after": 0}]
    history.take(of_register("replay", 3, result="ERASED", found=found, missing=["e-000002"]))
    history.take(
        of_register("replay", 4, result="ERASED", found=[{**found[0], "found_before": 1}], missing=["e-000002"])
    )
    nobody = {"says": "answer", "about": {"of": "entry", "entry": "e-000002", "missing": 2}}
    history.take(of_register("nobody", 5, **nobody))
    assert history.looked("e-000001") == Looked(found=3)
    assert history.looked("e-000002") == Looked(missing=2, stated=True)
    late = {"result": "ERASED", "point": rfc3339(NOON), "found": [{**found[0], "late": True}]}
    before, after = (rfc3339(NOON + timedelta(days=days)) for days in (-1, 1))
    history.take(of_register("replay", 6, **late))
    history.take(of_register("replay", 6, **late | {"point": before}))
    history.take(of_register("replay", 6, **late | {"point": before, "found": found}))
    assert history.looked("e-000001") == Looked(found=3, late=NOON, still=True), "an older snapshot shows nothing"
    history.take(of_register("replay", 7, **late | {"point": after, "found": [], "result": "FAILED"}))
    assert history.looked("e-000001").still
    history.take(of_register("replay", 7, **late | {"point": after, "found": []}))
    assert history.looked("e-000001") == Looked(found=3, late=NOON), "and now they are gone"
    history.take(of_register("add", 8, entry="e-000003", withdraws="e-000002"))
    assert history.looked_for.keys() == {"e-000001"}
    history.take(of_register("add", 9, entry="e-000001", withdraws=None))  # of a register that was begun anew
    assert history.looked("e-000001") == Looked()
