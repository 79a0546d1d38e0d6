"""An asset as it is judged: what is well, what only follows from something else, and each trouble told apart."""

from __future__ import annotations

from typing import Any

from syrupy.assertion import SnapshotAssertion
from tests.support.chronicle import Chronicle, digest
from tests.support.judged import END, NEWER, RPO, RTO, codes, judged, step, told, well

from ccdr.evidence.history.folded import RuleVerdict
from ccdr.evidence.judgement.asset_status import why_not_counting
from ccdr.model.finding import Finding
from ccdr.model.trouble import NOTHING_TO_TEST, Level, Trouble
from ccdr.model.values import utc
from ccdr.plans.job import Job


def test_what_is_backed_up_and_tested_has_no_trouble_and_its_numbers(jobs: dict[str, Job], past: Chronicle) -> None:
    found = judged(jobs["crm"], well(past))
    assert found.troubles == () and found.proven and not found.finding and not found.away
    assert found.rpo.as_json() == {"objective_s": RPO, "achieved_s": 1800.0, "verdict": "MET"}
    assert found.rto.as_json() == {"objective_s": RTO, "achieved_s": 60.0, "verdict": "MET"}
    assert (found.plan, found.asset, found.coverage, found.backs_up) == ("p", "crm", "tested", True)
    assert found.good == past.there[-1] and list(found.counting) == list(found.usable) == past.there
    assert found.last_backup and found.last_backup.seq == 3 and found.last_test and found.last_test.seq == 2
    assert found.by_rule == {"latest": RuleVerdict(utc(past.records[1]["time"]), "PASS"), "oldest": None}


def test_a_line_as_json_holds_what_the_ledger_says_and_no_envelope(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).tested(-0.2, "new", "FAIL", selected="oldest", begun=True)
    said: Any = judged(jobs["crm"], past).as_json()
    time = past.records[-1]["time"]
    assert said["tested_by_rule"] == {
        "latest": {"time": past.records[1]["time"], "verdict": "PASS"}, "oldest": {"time": time, "verdict": "FAIL"},
    }  # fmt: skip
    assert (
        said["last_test"]["verdict"] == "FAIL" and said["last_test"]["seq"] == 5 and said["last_test"]["time"] == time
    )
    assert not {"prev", "host", "actor", "kind"} & said["last_test"].keys()
    assert said["last_good_backup"] == {
        "time": "2026-11-24T07:00:00Z",
        "snapshot": {"id": digest("old"), "consistent_point": "2026-11-24T07:00:00Z", "in_use": 0},
    }
    assert said["problems"] and [t["code"] for t in said["troubles"]] == codes(judged(jobs["crm"], past))
    assert (said["asset"], said["coverage"], said["group"], said["private"]) == ("crm", "tested", None, [])


def test_a_test_that_did_not_pass_is_told_with_its_run_and_its_cause(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).tested(-0.3, "new", "FAIL", reason="12 rows are gone")
    past.tested(-0.2, "old", "INCONCLUSIVE", selected="oldest", reason="no room for 3 GiB")
    by_code = {p.trouble.name: p for p in judged(jobs["crm"], past).wrong}
    failed, broke = by_code["TEST_FAILED"], by_code["TEST_INCONCLUSIVE"]
    assert (failed.run, failed.cause, failed.since) == (past.records[3]["run"], "# rows are gone", past.at(-0.3))
    assert (broke.run, broke.cause, broke.since) == (past.records[4]["run"], "no room for # GiB", past.at(-0.2))


def test_what_only_follows_from_something_else_says_from_what_and_has_its_step(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    def because() -> dict[str, str | None]:
        found = judged(jobs["crm"], past)
        root = {p.trouble: p for p in found.troubles}
        assert all(p.step == root[p.because].step for p in found.troubles if p.because)
        return {p.trouble.name: p.because and p.because.name for p in found.troubles}

    past.failed(-3, "no answer", repository="unavailable")
    past.tested(-2.5, None, "INCONCLUSIVE", repository="unavailable")
    away = dict.fromkeys(("BACKUP_FAILED", "NEVER_SUCCEEDED", "TEST_INCONCLUSIVE", "NEVER_TESTED"), "REPOSITORY_AWAY")
    assert because() == {"REPOSITORY_AWAY": None, **away}
    past.failed(-2)
    past.tested(-1.5, None, "FAIL")
    assert because() == {"BACKUP_FAILED": None, "NEVER_SUCCEEDED": "BACKUP_FAILED", "TEST_FAILED": "BACKUP_FAILED"}
    past.stored(-1.2, "s")
    past.tested(-1.1, "s", "FAIL")
    failed = {"TEST_FAILED": None, "BREACH_RPO": "TEST_FAILED"}
    assert {k: v for k, v in because().items() if k != "FINDING"} == failed, (
        "of a snapshot: that says something of itself"
    )
    past.stored(-0.1, "t")
    past.tested(-0.05, "t")
    assert because() == {}


def test_each_snapshot_that_does_not_count_says_why(
    jobs: dict[str, Job], past: Chronicle, wording: SnapshotAssertion
) -> None:
    well(past).stored(-0.45, "bad")
    past.tested(-0.4, "bad", "FAIL")
    past.stored(-0.35, "upon", upon=("bad",))
    past.stored(-0.2, "other", source="/elsewhere")
    past.snapshot(30, "ahead")

    def reasons() -> dict[str, str | None]:
        job = jobs["crm"]
        said = why_not_counting(judged(job, past), job, past.history(), past.there, END)
        return {name: said[digest(name)] for name in ("old", "new", "bad", "upon", "other", "ahead")}

    assert reasons() == wording and [name for name, why in reasons().items() if why is None] == ["old", "new"]  # fmt: skip
    past.checked(-0.1, "DAMAGED")
    damaged = "the repository was found damaged, and nothing as new has passed a test since"
    assert (reasons()["old"], reasons()["new"]) == (None, damaged)


def test_what_failed_its_test_was_backed_up_once(jobs: dict[str, Job], past: Chronicle) -> None:
    """Also where another host has done that, of which no record tells here."""
    past.snapshot(-2, "theirs")
    past.tested(-1, "theirs", "FAIL")
    assert codes(judged(jobs["crm"], past)) == ["TEST_FAILED", "FINDING"]
    past.there.clear()
    assert "NEVER_SUCCEEDED" in codes(judged(jobs["crm"], past)), "its twin: nothing is there"


def test_no_cause_follows_from_what_it_is_the_cause_of() -> None:
    def roots(code: Trouble, seen: tuple[Trouble, ...] = ()) -> None:
        assert code not in seen
        for cause in code.causes:
            roots(cause, (*seen, code))

    for code in (*Trouble, *NOTHING_TO_TEST):
        roots(code)


def test_two_troubles_of_one_asset_that_are_called_alike_are_told_apart(jobs: dict[str, Job], past: Chronicle) -> None:
    def failed() -> list[tuple[str, str]]:
        return [(p.about, p.why) for p in judged(jobs["crm"], past).wrong if p.trouble is Trouble.TEST_FAILED]

    well(past).tested(-0.3, "new", "FAIL", reason="rows are gone")
    assert failed() == [("", "rows are gone")]
    past.tested(-0.2, "old", "FAIL", selected="oldest", reason="a key is gone")
    assert failed() == [("newest test", "a key is gone"), ("", "rows are gone")], "the one that was told keeps its name"
    past.tested(-0.1, "old", selected="oldest")
    assert failed() == [("", "rows are gone")]
    past.stored(-0.05, "s", findings=[Finding(f"{n} files were in use", "in use", (n,)) for n in (2.0, 3.0)])
    found = [(p.about, p.text) for p in judged(jobs["crm"], past).wrong if "in use" in p.text]
    assert found == [("in use", "2.0 files were in use"), ("in use (2)", "3.0 files were in use")]


def test_what_was_made_good_and_has_measured_nothing_leaves_the_rto_unmeasured(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    well(past).tested(-0.3, "new", "FAIL", took=None, **NEWER)
    assert codes(judged(jobs["crm"], past)) == ["NEWER_FAILED"]
    past.stored(-0.2, "s")
    text = "its last conclusive restore test did not measure its RTO"
    assert told(judged(jobs["crm"], past)) == [
        ("RTO_UNMEASURED", Level.LATE, text, step(Trouble.RTO_UNMEASURED, jobs["crm"]))
    ]
