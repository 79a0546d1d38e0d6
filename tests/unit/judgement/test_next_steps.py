"""What to do next leads to what ends a trouble: it is never first the very thing that has just failed, and whoever follows
it is not told the same again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support.chronicle import Chronicle, digest
from tests.support.judged import about, judged, well

from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.log_standing import LogStanding
from ccdr.model.finding import Finding
from ccdr.model.next_steps import Missing, after_vanishing, mend_first, ship_again
from ccdr.model.trouble import Level, Problem, Trouble, next_step
from ccdr.plans.job import Job

TEST, BACKUP = "ccdr test p --asset a", "ccdr backup p --asset a"
# What has failed, or has found it: to do that again is no way out. None: nothing was tried, or it comes from elsewhere.
FAILED: dict[Trouble, tuple[str, ...]] = {
    Trouble.LEDGER_BROKEN: ("ccdr run", "ccdr status p"),
    Trouble.LEDGER_LOST: ("ccdr run", "ccdr status p"),
    Trouble.LEDGER_SPOILT: ("ccdr run", "ccdr status p"),
    Trouble.LEDGER_CONTRADICTED: ("ccdr run", "ccdr status p", "ccdr snapshots p"),
    Trouble.SUMMARY_WRONG: ("ccdr status p", "ccdr ledger verify"),
    Trouble.ANCHOR_OVERDUE: ("ccdr status p", "ccdr run"),
    Trouble.RECORDS_UNKNOWN: ("ccdr status p",),
    Trouble.RECORDS_WRONG: ("ccdr status p",),
    Trouble.CATALOGUE_WRONG: ("ccdr status p", TEST),
    Trouble.PLAN_NOT_STORED: ("ccdr status p", "ccdr run"),
    Trouble.PLAN_FILES_GONE: ("ccdr status p",),
    Trouble.PLAN_GONE: ("ccdr status p",),
    Trouble.PLAN_ELSEWHERE: ("ccdr status p",),
    Trouble.PLAN_UNAPPROVED: ("ccdr status p", "ccdr run"),
    Trouble.BREAK_GLASS: ("ccdr status p", "ccdr upkeep p --prune"),
    Trouble.PLAN_REVIEW: ("ccdr status p", "ccdr plan approve p"),
    Trouble.ACCESS_BROKEN: ("ccdr status p", "ccdr access test p"),
    Trouble.ACCESS_REVIEW: ("ccdr status p",),
    Trouble.ACCESS_REVIEW_ENDS: ("ccdr status p",),
    Trouble.PLAN_WRONG: ("ccdr run",),
    Trouble.CONTROL_PASSED: (TEST, f"{TEST} --negative-control"),
    Trouble.CONTROL_INCONCLUSIVE: (f"{TEST} --negative-control",),
    Trouble.CONTROL_LATE: ("ccdr run",),
    Trouble.TEST_FAILED: (TEST, "ccdr test p"),
    Trouble.LOG_FAILED: (f"{TEST} --at latest", TEST),
    Trouble.NEWER_FAILED: (TEST, "ccdr test p"),
    Trouble.BACKUP_FAILED: (BACKUP, "ccdr backup p"),
    Trouble.REPOSITORY_AWAY: (TEST, BACKUP, "ccdr test p"),
    Trouble.REPOSITORY_DAMAGED: ("ccdr upkeep p --check", "ccdr upkeep p --prune", BACKUP),
    Trouble.REPOSITORY_NEAR: (BACKUP,),
    Trouble.SNAPSHOT_VANISHED: ("ccdr snapshots p", TEST, "ccdr run"),
    Trouble.SNAPSHOT_SUSPECT: (BACKUP, "ccdr run"),
    Trouble.OTHER_CLUSTER: (BACKUP, "ccdr run"),
    Trouble.BREACH_RPO: ("ccdr status p",),
    Trouble.BREACH_RTO: (TEST, "ccdr status p"),
    Trouble.RTO_UNMEASURED: ("ccdr status p",),
    Trouble.NEVER_SUCCEEDED: ("ccdr status p",),
    Trouble.NOT_BEGUN: ("ccdr run", BACKUP, TEST),
    Trouble.BACKUP_LATE: ("ccdr status p", "ccdr run"),
    Trouble.TEST_LATE: ("ccdr status p", "ccdr run"),
    Trouble.LOG_LATE: ("ccdr status p", "ccdr run"),
    Trouble.LOG_GAP: ("ccdr ship p --asset a",),
    Trouble.FINDING: (),
    Trouble.GROUP_INCOMPLETE: ("ccdr backup p",),
    Trouble.NO_LONGER_CHECKED: (TEST,),
    Trouble.TEST_INCONCLUSIVE: (TEST, "ccdr test p"),
    Trouble.NEVER_TESTED: ("ccdr status p",),
    Trouble.NOT_KNOWN_HERE: ("ccdr status p",),
    Trouble.RESTORE_CRASHED: ("ccdr restore p --asset a --to …",),
    Trouble.ERASED_RETURNED: ("ccdr restore p --asset a --to …",),
    Trouble.RUNBOOK_STANDS: ("ccdr runbook run p",),
    Trouble.FETCH_LIMIT: (TEST, "ccdr test p"),
    Trouble.RECOVERY_UNFINISHED: ("ccdr recover p",),
    Trouble.PRUNE_FAILED: ("ccdr upkeep p --prune",),
    Trouble.PRUNE_LATE: ("ccdr run",),
    Trouble.CHECK_INCONCLUSIVE: ("ccdr upkeep p --check",),
    Trouble.CHECK_LATE: ("ccdr run",),
    Trouble.LOCK_SHORT: ("ccdr run", "ccdr lock extend p"),
    Trouble.OBJECTS_OVERWRITTEN: ("ccdr lock extend p",),
    Trouble.ACCESS_UNUSUAL: ("ccdr status p",),
    Trouble.COPY_FAILED: ("ccdr copy p", "ccdr run"),
    Trouble.COPY_LATE: ("ccdr run",),
    Trouble.COPY_VANISHED: ("ccdr copy p",),
    Trouble.COPY_DAMAGED: ("ccdr upkeep p --from COPY", "ccdr upkeep p --from COPY --check"),
    Trouble.COPY_TEST_FAILED: ("ccdr test p --from COPY",),
    Trouble.COPY_UNTESTED: ("ccdr test p --from COPY",),
    Trouble.COPY_UPKEEP: ("ccdr upkeep p --from COPY", "ccdr run"),
    Trouble.PACKAGE_LATE: ("ccdr run",),
    Trouble.PAUSED: (),
    Trouble.STATEMENT_REFUSED: ("ccdr status p",),
    Trouble.ATTESTATION_STALE: ("ccdr status p",),
    Trouble.ATTESTATION_ENDS: ("ccdr status p",),
    Trouble.INCIDENT_OVERDUE: ("ccdr status p",),
    Trouble.INCIDENT_DUE: ("ccdr status p",),
    Trouble.SOURCE_AWAY: ("ccdr backup p", "ccdr ship p"),
    Trouble.DEVIATION_OVERDUE: ("ccdr status p",),
    Trouble.DUTIES: (),
    Trouble.MISSED: (),
    Trouble.UNTOLD: ("ccdr run",),
}


def actions(step: str) -> list[str]:
    """What is to be done, in order; of a command without what it is said to do."""
    said = re.split(r"; (?:then |and )?|, then |, and (?=ccdr)", step.replace("`", ""))
    return [re.split(r"   | looks | takes | tries | finds ", one)[0].strip() for one in said]


@pytest.mark.parametrize("trouble", Trouble)
def test_no_next_step_is_first_what_has_just_failed(trouble: Trouble) -> None:
    step = next_step(trouble, "p", "a")
    if trouble is Trouble.MISSED:
        assert step is None, "it is over"
        return
    assert step and actions(step)[0] not in FAILED[trouble], step


@pytest.mark.parametrize(
    ("step", "failed"),
    [
        (after_vanishing("p", "a", Missing.NOTHING, retained=True), (TEST, "ccdr snapshots p")),
        (after_vanishing("p", "a", Missing.STORED, retained=True), (BACKUP, "ccdr snapshots p")),
        (after_vanishing("p", "a", Missing.SHOWN, retained=False), (TEST, BACKUP, "ccdr snapshots p")),
        (mend_first("p", "a"), (TEST, f"{TEST} --snapshot latest", BACKUP)),
        (ship_again("p", "a"), ("ccdr ship p --asset a",)),
    ],
)
def test_nor_where_more_is_known(step: str, failed: tuple[str, ...]) -> None:
    assert actions(step)[0] not in failed, step


def test_what_is_first_is_told_from_what_follows() -> None:
    """A step that is the same test again would be seen."""
    assert actions(f"{TEST}   shows it; find out who") == [TEST, "find out who"]
    assert actions("`ccdr doctor p` looks for the cause; then `ccdr backup p`") == ["ccdr doctor p", "ccdr backup p"]


# --- whoever follows it -------------------------------------------------------------------------------------------


gone = Chronicle.gone


@dataclass
class Followed:
    job: Job
    past: Chronicle

    @property
    def now(self) -> AssetStatus:
        return judged(self.job, self.past)

    def of(self, trouble: Trouble) -> Problem:
        (found,) = (p for p in self.now.troubles if p.trouble is trouble)
        return found

    @property
    def codes(self) -> dict[str, str | None]:
        return {p.trouble.name: p.because and p.because.name for p in self.now.troubles}


@pytest.fixture
def crm(jobs: dict[str, Job]) -> Followed:
    return Followed(jobs["crm"], well(about(jobs["crm"])))


def found_gone(name: str) -> list[Finding]:
    said = f"snapshot {digest(name)[:8]} of 2026-11-24T11:30:00Z vanished, and no prune removed it"
    return [Finding(said, "vanished", cause=digest(name)[:8])]


def test_a_snapshot_that_vanished_is_one_trouble_and_what_follows_from_it(crm: Followed) -> None:
    """Whoever follows the steps is told another one each time, up to who can take note of it."""
    past, said = crm.past, [crm.codes]
    assert said == [{}]
    gone(past, -0.4, "new")
    assert crm.codes == {"SNAPSHOT_VANISHED": None, "BREACH_RPO": "SNAPSHOT_VANISHED"}
    assert crm.of(Trouble.SNAPSHOT_VANISHED).level is Level.LATE
    assert actions(str(crm.of(Trouble.SNAPSHOT_VANISHED).step))[:2] == [
        "ccdr backup p --asset crm",
        "ccdr test p --asset crm",
    ]
    past.tested(-0.35, "old", "FAIL", own="PASS", findings=found_gone("new"))
    follows = dict.fromkeys(("NEWER_FAILED", "BREACH_RPO"), "SNAPSHOT_VANISHED")
    assert crm.codes == {"SNAPSHOT_VANISHED": None, **follows}, "that the test found it, too, is told once"
    assert actions(str(crm.of(Trouble.NEWER_FAILED).step))[0] == "ccdr backup p --asset crm"
    past.stored(-0.3, "next")
    assert crm.codes == {"SNAPSHOT_VANISHED": None, "NEWER_FAILED": "SNAPSHOT_VANISHED"}
    assert actions(str(crm.of(Trouble.NEWER_FAILED).step))[0] == "ccdr test p --asset crm"
    past.tested(-0.2, "next", findings=found_gone("new"))
    assert crm.codes == {"SNAPSHOT_VANISHED": None}
    step = str(crm.of(Trouble.SNAPSHOT_VANISHED).step)
    assert "ccdr backup" not in step and "ccdr test" not in step and "SNAPSHOT_VANISHED p --asset crm" in step
    gone(past, -0.1)
    past.tested(-0.05, "next")
    assert crm.codes == {}, "it is back"


def test_what_the_ledger_alone_knows_of_is_made_up_for_by_what_is_stored_next(crm: Followed) -> None:
    """The catalogue was lost, too."""
    past = crm.past
    gone(past, -0.4, "new")
    past.there = [s for s in past.there if s.id != digest("new")]
    assert actions(str(crm.of(Trouble.SNAPSHOT_VANISHED).step))[0] == "ccdr backup p --asset crm"
    past.stored(-0.3, "next")
    past.tested(-0.2, "next")
    assert crm.codes == {"SNAPSHOT_VANISHED": None}
    assert "ccdr ack SNAPSHOT_VANISHED" in str(crm.of(Trouble.SNAPSHOT_VANISHED).step)


def test_an_older_snapshot_that_vanished_is_made_up_for_already(crm: Followed) -> None:
    crm.past.tested(-0.4, "new")
    gone(crm.past, -0.3, "old")
    assert crm.codes == {"SNAPSHOT_VANISHED": None}
    assert crm.of(Trouble.SNAPSHOT_VANISHED).level is Level.NOTE, "what there is was shown to come back"
    assert "ccdr backup" not in str(crm.of(Trouble.SNAPSHOT_VANISHED).step)
    breached = judged(crm.job, crm.past, 3)
    (late,) = (p for p in breached.troubles if p.trouble is Trouble.BREACH_RPO)
    assert late.because is None, "what was made up for is not why backups stand still"


@pytest.mark.parametrize("other", [False, True])
def test_what_was_found_of_others_is_told_beside_what_vanished(crm: Followed, other: bool) -> None:
    named = f"{digest('other')[:8]} depends on {digest('new')[:8]}" if other else "2 files were in use"
    cause = f"{digest('other')[:8]} {digest('new')[:8]}" if other else ""
    crm.past.tested(-0.45, "new", findings=[Finding(named, "not whole", cause=cause)])
    gone(crm.past, -0.4, "new")
    (found,) = (p for p in crm.now.troubles if p.trouble is Trouble.FINDING)
    assert found.text == named and (found.because is Trouble.SNAPSHOT_VANISHED) is other


Event = Callable[[Chronicle], object]


@pytest.mark.parametrize(
    ("event", "first"),
    [
        (lambda p: p.tested(-0.3, "new", "FAIL", damaged=True), "docs/how-to/recover.md, A damaged repository, says how to repair it"),
        (
            lambda p: p.tested(-0.3, "old", "FAIL", damaged=True, selected="oldest"),
            "ccdr test p --asset crm --snapshot latest",
        ),
        (
            lambda p: (p.tested(-0.3, "new", "FAIL", damaged=True), p.stored(-0.2, "mended")),
            "ccdr test p --asset crm --snapshot latest",
        ),
        (lambda p: p.tested(-0.3, "new", took=7200.0), "restore faster (more processors, memory, a nearer repository), or set a realistic RTO"),
        (lambda p: p.tested(-0.3, "new", "INCONCLUSIVE"), "ccdr doctor p"),
        (lambda p: p.failed(-0.3), "ccdr doctor p"),
    ],
    ids=["damage met by the newest", "by another", "and stored anew", "too slow", "broke", "backup failed"],
)  # fmt: skip
def test_the_same_again_is_not_what_to_do(crm: Followed, event: Event, first: str) -> None:
    event(crm.past)
    steps = {actions(str(p.step))[0] for p in crm.now.troubles if p.trouble is not Trouble.FINDING}
    assert first in steps and "ccdr test p --asset crm" not in steps, steps


def test_a_log_that_is_not_shipped_is_not_shipped_by_the_same_command(jobs: dict[str, Job]) -> None:
    past = well(about(jobs["log"]))
    away: dict[str, Any] = {"point": past.at(-0.05), "usable": past.at(-0.05), "position": "0/3"}
    standing = LogStanding(**away, trouble="the source is away", troubled=past.at(-0.1))
    found = judged(jobs["log"], past, ships=True, standing=standing, logged=lambda *_: ())
    (late,) = (p for p in found.troubles if p.trouble is Trouble.LOG_LATE)
    assert actions(str(late.step))[0] == "ccdr doctor p"


def test_a_new_backup_that_passes_is_the_way_out_of_a_failed_test(crm: Followed) -> None:
    crm.past.tested(-0.3, "new", "FAIL")
    assert actions(str(crm.of(Trouble.TEST_FAILED).step))[0] == "ccdr backup p --asset crm && ccdr test p --asset crm"
    crm.past.stored(-0.2, "next")
    crm.past.tested(-0.1, "next")
    assert crm.codes == {}


@pytest.mark.parametrize(("identical", "leads"), [("PASS", False), ("FAIL", True)])
def test_where_the_source_itself_is_not_as_the_checks_want_it_no_new_backup_is_first(
    crm: Followed, identical: str, leads: bool
) -> None:
    """It would be equal to that again."""
    said = {"expected": "-", "actual": "-"}
    checks = [
        {"name": "a", "kind": "identical", "status": identical, **said},
        {"name": "b", "kind": "rows", "status": "FAIL", **said},
    ]
    crm.past.tested(-0.3, "new", "FAIL", checks=checks)
    assert str(crm.of(Trouble.TEST_FAILED).step).startswith("ccdr backup p --asset crm") is leads
