"""Ledgers of other hosts: what each knows of what the other did, as far as its ledger goes."""

from __future__ import annotations

import shutil
from datetime import timedelta
from hashlib import sha256

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.chronicle import Chronicle, acknowledged, digest
from tests.support.harness import Site
from tests.support.population import (
    DAY,
    END,
    HOUR,
    REAPED,
    Looked,
    Pair,
    brought_back,
    look,
    past,
    services_of,
    stored,
    wrote,
)

from ccdr.evidence.acknowledged import known_by
from ccdr.host.state import State
from ccdr.jobs.attest.other_ledgers import collect
from ccdr.model.finding import Finding
from ccdr.model.trouble import Trouble
from ccdr.model.values import ObjectiveVerdict


def missed(past: Chronicle, hours: float, ids: list[str]) -> None:
    """The repository was compared, and these of crm's snapshots were not there."""
    past.wrote(hours, "ledger.compared", asset=None, result="AGREES", reason=None, snapshots=2, elsewhere=0,
               newest=1, problems=[], whole=True, vanished={"crm": ids})  # fmt: skip


def due(found: Looked, verb: str) -> tuple[int, int, int]:
    """Due, missed, not known here."""
    told = [d for d in found.report.promises[0].due if d.verb.value == verb]
    return sum(d.due for d in told), sum(d.missed for d in told), sum(d.elsewhere for d in told)


def test_what_another_host_tests_is_not_known_here_until_its_ledger_lies_beside_ours(pair: Pair) -> None:
    pair.both()
    pair.ours("backs up")
    before = look(pair.site)
    assert before.troubles == {"NOT_KNOWN_HERE"} and not before.found.finding and not before.found.proven
    assert before.found.rto.verdict is ObjectiveVerdict.NOT_KNOWN_HERE
    assert before.report.exit_code == 0, before.report.findings
    assert before.report.answer.word == "Not proven"
    assert due(before, "test") == (0, 0, 2)
    pair.collected()
    found = look(pair.site)
    assert found.troubles == set() and found.found.proven and found.found.coverage == "tested"
    assert found.found.rto.verdict is ObjectiveVerdict.MET
    assert found.report.exit_code == 0 and found.report.answer.word == "Yes"
    assert due(found, "test") == (2, 0, 0) and due(found, "backup")[1:] == (0, 0)


def test_that_a_test_failed_elsewhere_is_seen_where_it_was_backed_up(pair: Pair) -> None:
    pair.both("FAIL")
    pair.ours("backs up")
    before = look(pair.site)
    assert not before.found.finding
    pair.collected()
    found = look(pair.site)
    assert "TEST_FAILED" in found.troubles and found.found.finding
    assert len(found.found.counting) == len(before.found.counting) - 1, "the one that failed counts no more"
    assert found.report.exit_code == 1


@pytest.mark.parametrize("which", ["backs up", "tests"])
def test_what_another_host_could_not_read_is_told_as_its_own_word(pair: Pair, which: str) -> None:
    """Here the snapshot's manifest is known, and it counts; where it could not be read it is said as it is."""
    said = f"snapshot {digest('b-1')[:8]} does not count: its manifest cannot be read"
    pair.both()
    pair.tests.tested(-0.05, "b-2", findings=[Finding(said, "does not count", cause=digest("b-1")[:8])])
    pair.ours(which)
    pair.collected()
    found = look(pair.site).found
    told = [p.text for p in found.troubles if p.trouble is Trouble.FINDING]
    assert told == [said if which == "tests" else f"on db2, by its ledger: {said}"]
    assert found.good is not None and found.good.id == digest("b-1")


def test_what_another_host_backs_up_is_judged_by_its_ledger_as_far_as_that_goes(pair: Pair) -> None:
    pair.both()
    pair.ours("tests")
    assert due(look(pair.site), "backup") == (0, 0, 50)
    pair.collected()
    found = look(pair.site)
    assert due(found, "backup") == (50, 0, 0) and found.found.rpo.verdict is ObjectiveVerdict.MET
    later = look(pair.site, END + 6 * HOUR)
    assert later.found.rpo.verdict is ObjectiveVerdict.NOT_KNOWN_HERE, "nothing is known of the last six hours"
    assert due(later, "backup") == (50, 0, 6) and not {"BACKUP_LATE", "BREACH_RPO"} & later.troubles


@pytest.mark.parametrize("how", ["", "removed", "disproved", "vanished", "of something else", "stopped"])
def test_a_backup_that_only_the_ledger_of_its_host_tells_of_counts_unless_something_disproves_it(
    pair: Pair, how: str
) -> None:
    """The host that tests has learned of none since its last test, nine hours ago."""
    pair.both()
    late = [s for s in pair.backs_up.there if s.consistent_point > END - 9 * HOUR]
    learned = [s for s in pair.backs_up.there if s not in late]
    ids, names = [s.id for s in late], [f"b{hours}" for hours in range(-9, 0)]
    if how == "stopped":
        told = [r for r in pair.backs_up.records if (r.get("snapshot") or {}).get("id") not in ids]
        pair.backs_up.records = told
        pair.backs_up.wrote(-0.01, "sandbox.reap", asset=None, **REAPED)
    elif how == "of something else":
        for record in pair.backs_up.records:
            if (record.get("snapshot") or {}).get("id") in ids:
                record["snapshot"]["source_sha256"] = "0" * 64
    elif how == "removed":
        pair.tests.pruned(-0.0009, "DONE", *names)
    elif how == "disproved":
        for n, name in enumerate(names):
            pair.tests.tested(-0.0009 + n / 10**5, name, "FAIL")
    elif how == "vanished":
        missed(pair.tests, -0.0009, ids)
    pair.backs_up.there = learned
    pair.ours("tests")
    assert look(pair.site).found.rpo.verdict is ObjectiveVerdict.NOT_KNOWN_HERE
    pair.collected()
    found = look(pair.site)
    assert found.found.rpo.verdict is (ObjectiveVerdict.BREACHED if how else ObjectiveVerdict.MET), how
    assert ("BREACH_RPO" in found.troubles) is bool(how)


def test_where_the_copies_lie_is_not_known_to_who_only_tests(pair: Pair, wording: SnapshotAssertion) -> None:
    """Who backs up has looked: its ledger tells, once it lies here."""
    pair.both()
    pair.ours("tests")
    answer = look(pair.site).report.answer
    assert answer.word == wording, answer
    assert answer.sentence == wording
    assert not look(pair.site).found.near_known
    pair.collected()
    assert look(pair.site).report.answer.word == "Yes" and look(pair.site).found.near_known


def test_backups_that_had_stopped_are_seen_by_who_tests(pair: Pair) -> None:
    """The host that backs up wrote other records until now, and none of a backup for five hours."""
    pair.both()
    pair.backs_up.records = [r for r in pair.backs_up.records if r["time"] < "2026-11-24T07:00"]
    pair.backs_up.there = [s for s in pair.backs_up.there if s.consistent_point < END - 5 * HOUR]
    pair.backs_up.wrote(-0.01, "sandbox.reap", asset=None, **REAPED)
    pair.ours("tests")
    pair.collected()
    found = look(pair.site)
    assert found.found.rpo.verdict is ObjectiveVerdict.BREACHED and {"BREACH_RPO", "BACKUP_LATE"} <= found.troubles
    assert due(found, "backup")[1:] == (4, 1), "the newest may have been begun since"


def test_beyond_the_end_of_its_ledger_nothing_is_known_of_another_host(pair: Pair) -> None:
    """It was collected two days ago: neither are its tests late by it, nor is anything proven now."""
    pair.both(until=-8)
    name = pair.ours("backs up")
    pair.collected(END - 7 * HOUR)
    found = look(pair.site)
    assert found.troubles == set() and found.found.proven, "the next test is not late yet"
    later = look(pair.site, END + 2 * DAY)
    told = [p for p in later.found.troubles if p.trouble.name == "NOT_KNOWN_HERE"]
    assert len(told) == 1 and f"from ledger {name[:8]} of db2" in told[0].text and "TEST_LATE" not in later.troubles
    assert not later.found.proven and due(later, "test") == (2, 0, 2)


def test_a_test_that_was_late_by_then_is_late(pair: Pair) -> None:
    pair.both()
    pair.tests.records = [r for r in pair.tests.records if r["kind"] not in ("restore_test.start", "restore_test.end")]
    pair.ours("backs up")
    pair.collected()
    found = look(pair.site)
    assert found.troubles == {"NEVER_TESTED"} and found.found.finding and due(found, "test") == (2, 2, 0)


def test_a_check_that_another_host_did_not_make_is_late_by_its_ledger(pair: Pair) -> None:
    pair.both(checked=False)
    pair.ours("backs up")
    (plan,) = look(pair.site).report.plans
    assert plan.findings == ()
    pair.collected()
    (plan,) = look(pair.site).report.plans
    assert [f.code for f in plan.findings] == ["CHECK_LATE"]


def test_duties_plans_and_what_is_acknowledged_are_each_hosts_own(pair: Pair) -> None:
    from ccdr.jobs.in_force import newest
    from ccdr.run.responsible import responsible_for

    pair.both()
    pair.ours("backs up")
    services, plans = services_of(pair.site), [pair.site.loaded()]
    before = responsible_for(plans, services.histories()), newest("p", services)
    pair.collected()
    assert (responsible_for(plans, services.histories()), newest("p", services)) == before
    ledgers = {told.host: told.duties for told in services.histories()["p", None].others.values()}
    assert ledgers.keys() == {"db2"} and set(ledgers["db2"] or ()) == {"test", "prune", "check"}


@pytest.mark.parametrize("dated", ["as it was", "after it was taken in"])
@pytest.mark.parametrize("whose", ["ours, brought back", "another host's"])
def test_an_acknowledgement_in_another_ledger_lasts_no_longer_than_one_in_ours(
    site: Site, whose: str, dated: str
) -> None:
    """For ever, it says: it is capped where it is read, from when it is known to have been there."""
    written = END - 2 * DAY if dated == "as it was" else END + 200 * DAY
    old = past(site)
    old.stored(-50, "first", begun=True)
    old.tested(-49, "first", "FAIL", begun=True)
    wrote(State(site.state), "h", old)
    stored(site, old)
    (problem,) = [p for p in look(site).found.troubles if p.trouble is Trouble.TEST_FAILED]
    shutil.rmtree(site.state)
    acknowledged(old, (written - END) / HOUR, "TEST_FAILED", [known_by(problem)], "9999-01-01T00:00:00Z")
    name = wrote(State(site.state), "h" if whose.startswith("ours") else "another", old)
    State(site.state).ledger.rename(site.root / "aside")
    new = past(site)
    new.wrote(-0.6, "not_begun", asset=None, verb="check", due="2026-11-24T11:00:00Z", reason="no key")
    wrote(State(site.state), "h", new)
    stored(site, old)
    if whose.startswith("ours"):
        brought_back(site, name)
    else:
        collect(site.root / "aside", services_of(site, END - timedelta(minutes=1)))

    def covered(days: float) -> bool:
        (said,) = [p for p in look(site, END + days * DAY).found.troubles if p.trouble is Trouble.TEST_FAILED]
        return said.acknowledged is not None

    as_ours = whose.startswith("ours") and dated == "as it was"
    assert [covered(days) for days in (0, 80, 89, 201, 289)] == [as_ours, as_ours, False, False, False]


@pytest.mark.parametrize("ago", [30, 24 * 45], ids=["of late", "months ago"])
@pytest.mark.parametrize("whose", ["another host's", "ours"])
def test_that_another_host_says_it_removed_a_snapshot_takes_no_failure_of_it_back(
    site: Site, whose: str, ago: int
) -> None:
    """It is there all the same: who may write a ledger of his own may write so. What was removed by us is gone."""
    mine, theirs = past(site), past(site)
    mine.asked(-ago, "backup", "test")
    mine.stored(-ago, "bad", begun=True)
    mine.tested(-ago + 0.5, "bad", "FAIL", begun=True)
    theirs.asked(-ago, "prune")
    theirs.manifests |= mine.manifests
    (theirs if whose.startswith("another") else mine).pruned(-ago + 1, "DONE", "bad")
    mine.wrote(-0.6, "not_begun", asset=None, verb="check", due="2026-11-24T11:00:00Z", reason="no key")
    theirs.wrote(-0.1, "sandbox.reap", asset=None, **REAPED)
    wrote(State(site.state), "h", mine)
    wrote(State(site.root / "other"), "db2", theirs)
    stored(site, mine)
    before = look(site)
    collect(site.root / "other", services_of(site, END - timedelta(minutes=1)))
    found = look(site)
    assert not found.found.counting and found.found.rpo.achieved_s == float("inf") and "TEST_FAILED" in found.troubles
    if whose.startswith("another"):
        assert before.found.rpo == found.found.rpo and not before.found.counting
        assert services_of(site).histories()["p", "crm"].proven == {digest("bad"): "FAIL"}
    else:
        assert services_of(site).histories()["p", "crm"].proven == {}


def test_who_backs_up_is_told_by_the_newest_snapshot_where_its_ledger_is_not_here(pair: Pair) -> None:
    pair.both()
    pair.ours("tests")
    (plan,) = look(pair.site).report.plans
    assert [str(one) for one in plan.elsewhere] == ["h, by the newest snapshot"]
    pair.collected()
    (plan,) = look(pair.site).report.plans
    assert plan.elsewhere[0].until == END - 0.75 * HOUR and "known up to 2026-11-24T11:15:00Z" in str(plan.elsewhere[0])


@pytest.mark.parametrize("theirs", ["crm", "another"])
def test_another_hosts_plan_of_the_same_name_is_not_taken_for_ours(pair: Pair, theirs: str) -> None:
    """Two branches may each have called their plan so: they have no snapshot in common."""
    pair.both("FAIL")
    if theirs == "another":
        for record in pair.tests.records:
            if (snapshot := record.get("snapshot")) is not None:
                snapshot["id"] = sha256(snapshot["id"].encode()).hexdigest()
    pair.ours("backs up")
    pair.collected()
    found = look(pair.site)
    (chain,) = services_of(pair.site).population().chains
    if theirs == "another":
        assert chain.apart == ("p",) and found.troubles == {"NOT_KNOWN_HERE"} and "it is another one" in str(chain)
    else:
        assert chain.apart == () and "TEST_FAILED" in found.troubles
    pair.collected()
    assert len([r for r in services_of(pair.site).ledger.records() if r["kind"] == "ledger.collected"]) == 1
