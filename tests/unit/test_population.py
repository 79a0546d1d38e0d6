"""Ledgers that lie beside ours are read with it as one population, by whoever looks: one of this host's that was lost
and brought back, and those of other hosts. Each that tells something has its twin that is as it was."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.support.chronicle import Chronicle, digest
from tests.support.clocks import Clock
from tests.support.harness import Site
from tests.support.records import body_of
from tests.support.schema import report_document

from ccdr.cli import main
from ccdr.cli.settings import Settings
from ccdr.evidence.acknowledged import known_by
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.ledger.verification import verify
from ccdr.evidence.lineage.answers import answer_for_spoilt
from ccdr.evidence.lineage.beside import read_id
from ccdr.evidence.lineage.comparing import beginning, keep
from ccdr.evidence.records import written
from ccdr.host.state import State
from ccdr.jobs.attest import compare as compare_with
from ccdr.jobs.attest import troubles
from ccdr.jobs.attest.beside import collect, copied, link, placed, recover
from ccdr.jobs.services import Services, pruning_of
from ccdr.jobs.verification import compare, daily
from ccdr.jobs.verification import look as verify_now
from ccdr.model.errors import CcdrError, LedgerBroken, UsageProblem
from ccdr.model.trouble import Trouble
from ccdr.model.values import Attestation, ObjectiveVerdict, rfc3339, utc
from ccdr.run.ending import _verified, conclude
from ccdr.run.scheduled import RunResult
from ccdr.setup.discover.unprotected import _our_own, untested
from ccdr.storage.catalogue import Pruning
from ccdr.storage.restic import RepoSnapshot
from ccdr.telling.metrics import RunFacts
from ccdr.telling.metrics import collect as numbers
from ccdr.telling.notify.concerns import concerns_of
from ccdr.telling.report import Period, Report, make_report
from ccdr.telling.report.page import html
from ccdr.telling.report.population import csv_text
from ccdr.telling.status import status, upkeep_problems

END = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PLAN = """
crm:
  engine: files
  paths: [/spool]
  backup: {schedule: "15 * * * *"}
  restore_test: {schedule: "0 3 * * *", checks: [t]}
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path, bare=True)
    made.write("restore_tests/t.yaml", "restore_test: t\nchecks:\n  - {kind: identical}\n")
    made.plan(PLAN)
    return made


def past(site: Site) -> Chronicle:
    return Chronicle(END, str(site.loaded().plan.assets["crm"].source_name))


def wrote(state: State, host: str, told: Chronicle) -> str:
    """The ledger of a host says all this at its time; which ledger that is."""
    clock = Clock()
    ledger = Ledger(state.ledger, clock, host=host, actor="a", begin=beginning(state, host))
    for record in told.records:
        clock.at = datetime.fromisoformat(record["time"])
        ledger._append({k: v for k, v in record.items() if k not in ("seq", "prev", "time", "host", "actor")})
    keep(state, ledger)
    return str(read_id(state.ledger))


def stored(site: Site, *told: Chronicle) -> None:
    """What the repository holds is the same for every host."""
    for one in told:
        there = Chronicle(END, "", manifests=one.manifests, there=one.there)
        there.keep(site.root / "none", site.services(Clock()).catalogue)


@dataclass
class Looked:
    found: AssetStatus
    report: Report

    @property
    def troubles(self) -> set[str]:
        return {p.trouble.name for p in self.found.troubles}

    @property
    def last_test(self) -> dict[str, Any]:
        return dict(self.found.as_json()["last_test"])  # type: ignore[call-overload]


def services_of(site: Site, at: datetime = END) -> Services:
    found = site.services(Clock(at))
    found.ledger._begin = beginning(found.state, found.ledger.host)
    return found


def look(site: Site, at: datetime = END) -> Looked:
    """By `status` and the report, which agree."""
    services, loaded = services_of(site, at), site.loaded()
    (found,) = status([loaded], services, services.histories())
    assert status([loaded], services) == [found], "by the summary as by the records"
    report = make_report([loaded], services, Period(at - 30 * DAY, at, until_now=True), command="x")
    (said,) = [a for a in report.assets if a.asset == "crm"]
    assert sorted(f.text for f in said.findings if f.code) == sorted(p.text for p in found.troubles)
    assert (said.coverage, said.rpo_now, said.rto) == (found.coverage, found.rpo, found.rto)
    return Looked(found, report)


# --- one that was lost, and brought back -------------------------------------------------------------------------


def lost(site: Site, verdict: str = "FAIL") -> str:
    """A backup, whose test ended so; then the ledger was lost, and the new one tells of nothing that happened before."""
    old, new = past(site), past(site)
    old.asked(-60, "backup", "test", "prune", "check")
    old.stored(-50, "first", begun=True)
    old.tested(-49, "first", verdict, begun=True)
    new.wrote(-0.6, "not_begun", asset=None, verb="check", due="2026-11-24T11:00:00Z", reason="no key")
    state = State(site.state)
    name = wrote(state, "h", old)
    state.ledger.rename(site.root / "aside")
    wrote(state, "h", new)
    stored(site, old)
    return name


def brought_back(site: Site, name: str) -> None:
    services, aside = services_of(site, END - timedelta(minutes=1)), site.root / "aside"
    taken = copied(services.state, name, aside, verify(aside), "the repository")
    placed(services.state, link(taken, None, 0, services))


def test_an_old_fail_counts_again_once_a_lost_ledger_was_brought_back(site: Site) -> None:
    name = lost(site)
    assert look(site).found.counting, "the ledger that knew better is lost"
    brought_back(site, name)
    found = look(site)
    assert not found.found.counting and "TEST_FAILED" in found.troubles
    assert (found.last_test["verdict"], found.last_test["ledger"], found.last_test["seq"]) == ("FAIL", name, 6)
    assert not troubles(services_of(site).lineage()) and not found.report.ledger.problems


def test_an_old_pass_proves_again_once_a_lost_ledger_was_brought_back(site: Site) -> None:
    name = lost(site, "PASS")
    assert "NEVER_TESTED" in look(site).troubles
    brought_back(site, name)
    found = look(site)
    assert len(found.found.counting) == 1 and not {"NEVER_TESTED", "TEST_FAILED"} & found.troubles
    assert found.found.rto.verdict is ObjectiveVerdict.MET


def test_what_passes_later_takes_back_what_failed_in_a_ledger_that_was_lost(site: Site) -> None:
    name = lost(site)
    later = past(site)
    later.stored(-0.5, "second", begun=True)
    later.tested(-0.4, "second", begun=True)
    wrote(State(site.state), "h", later)
    stored(site, later)
    brought_back(site, name)
    found = look(site)
    assert [s.consistent_point for s in found.found.counting] == [END - 0.5 * HOUR]
    assert "TEST_FAILED" not in found.troubles and "ledger" not in found.last_test
    (mended,) = [i for i in found.report.interruptions if i.verb == "test"]
    assert mended.mended is not None and mended.runs[0].ledger == name


def test_what_is_shown_of_a_record_of_another_ledger_is_its_own_number(site: Site) -> None:
    name = lost(site)
    brought_back(site, name)
    report = look(site).report
    rows = [line for line in b"".join(csv_text(report)).decode().splitlines() if ",test,p,crm," in line]
    assert [row.split(",")[:2] for row in rows] == [[f"5@{name[:8]}", f"6@{name[:8]}"]]
    document = report_document(report)
    (run,) = [one for one in document["runs"] if one["what"] == "test"]
    assert (run["seq"], run["end_seq"], run["ledger"]) == (5, 6, name)
    (whole,) = document["tests"]
    assert (whole["started_seq"], whole["seq"], whole["ledger"]) == (5, 6, name)
    assert "told_by" not in json.dumps(document)


def test_a_summary_is_of_all_of_them_and_is_made_anew_where_they_are_others(site: Site) -> None:
    name = lost(site)
    services = services_of(site)
    verify_now(services)
    assert compare(services).summary == "EQUAL"
    brought_back(site, name)
    assert compare(services).summary == "NONE", "it was of ours alone, and is not used"
    known = services.histories()
    assert "FAIL" in known["p", "crm"].proven.values()
    services = services_of(site, END + timedelta(hours=1))
    assert daily(services)[0] is not None and compare(services).summary == "EQUAL", "that is due within an hour"
    assert services.histories() == known
    more = past(site)
    more.stored(-0.01, "newest", begun=True)
    wrote(services.state, "h", more)
    going_on = services.histories()
    (file,) = services.state.index.glob("histories-*")
    file.write_bytes(file.read_bytes().replace(b"FAIL", b"PASS"))
    assert going_on == services.histories() and len(going_on["p", "crm"].stored) == 2, "as by all records"
    assert compare(services).summary == "DIFFERS"


def test_the_hours_whose_records_are_lost_are_not_known_to_be_missed(site: Site) -> None:
    """What came due behind the end of the ledger that was brought back, before the next one says what runs here are for:
    it may have been done."""
    old, new = past(site), past(site)
    facts = site.loaded().facts.as_json()
    version = {"digest": "0" * 64, "predecessor": None, "files": {}, "facts": facts}  # none whose copy could be gone
    old.wrote(-50, "plan.version", asset=None, **version)
    old.asked(-50, "backup", "test", "prune", "check")
    for hours in range(-50, -40):
        old.began(hours + 0.26, "backup", f"o{hours}", trigger={"by": "command"})
        old.stored(hours + 0.25, f"o{hours}", usable=hours + 0.27)
    new.asked(-10, "backup", "test", "prune", "check")
    for hours in range(-10, 0):
        new.stored(hours + 0.25, f"n{hours}", usable=hours + 0.27, begun=True)
    state = State(site.state)
    name = wrote(state, "h", old)
    state.ledger.rename(site.root / "aside")
    wrote(state, "h", new)
    stored(site, old, new)
    brought_back(site, name)
    report = look(site).report
    (backups,) = [d for d in report.promises[0].due if d.verb.value == "backup"]
    assert backups.missed == 0 and backups.elsewhere == 30


@pytest.mark.parametrize("how", ["removed", "rewritten", "cut", "changed"])
def test_one_that_is_not_as_it_was_taken_in_is_told_and_not_believed(site: Site, how: str) -> None:
    name = lost(site, "PASS")
    brought_back(site, name)
    assert compare(services_of(site)).problems == ()
    directory = site.state / "ledgers" / name
    directory.chmod(0o700)
    (segment,) = directory.glob("*.jsonl")
    segment.chmod(0o600)
    whole = segment.read_bytes()
    lines = whole.splitlines(keepends=True)
    if how == "removed":
        segment.unlink()
        (directory / "id").unlink()
        directory.rmdir()
    elif how == "cut":
        segment.write_bytes(b"".join(lines[:-1]))
    elif how == "rewritten":
        segment.write_bytes(b"".join([*lines[:-1], lines[-1].replace(b'"PASS"', b'"FAIL"')]))
    else:  # nor does its end tell
        segment.write_bytes(whole.replace(b'"actor":"a"', b'"actor":"b"', 1))
    services = services_of(site)
    found = look(site)
    assert "NEVER_TESTED" in found.troubles, "nothing of it is believed"
    told = [p.trouble.name for p in troubles(services.lineage())]
    assert told == {"removed": ["LEDGER_LOST"], "changed": []}.get(how, ["LEDGER_CONTRADICTED"])
    assert found.report.answer.word == "Not proven" and found.report.exit_code == 1
    if how == "changed":
        assert name[:8] in compare(services).problems[0] and name[:8] in found.report.ledger.problems[0]


def test_one_that_is_gone_can_be_answered_for(site: Site) -> None:
    from ccdr.evidence.lineage.answers import acknowledge

    name = lost(site, "PASS")
    brought_back(site, name)
    directory = site.state / "ledgers" / name
    directory.chmod(0o700)
    directory.rename(site.root / "away")
    services = services_of(site)
    assert name[:8] in str(services.lineage().loss)
    acknowledge(services.state, services.ledger, "the disk died")
    assert services_of(site).lineage().loss is None


@pytest.mark.parametrize("lost", [False, True])
def test_one_that_was_lost_and_is_collected_again_makes_no_summary_suspect(pair: Pair, lost: bool) -> None:
    """Its records have their places by when it was taken in: that is later now."""
    from ccdr.evidence.lineage.answers import acknowledge

    pair.site.state.mkdir()
    State(pair.site.state).mark()
    pair.both()
    name = pair.ours("backs up")
    pair.collected(END)
    verify_now(services_of(pair.site, END + HOUR))
    services = services_of(pair.site, END + 2 * HOUR)
    assert compare(services).summary == "EQUAL"
    if lost:
        directory = pair.site.state / "ledgers" / name
        directory.chmod(0o700)
        directory.rename(pair.site.root / "away")
        acknowledge(services.state, services.ledger, "the disk died")
        pair.collected(END + 3 * HOUR)
    services = services_of(pair.site, END + 4 * HOUR)
    found = compare(services)
    assert (found.summary, found.problems) == ("NONE" if lost else "EQUAL", ()), "it is of one that was taken in before"
    daily(services)
    assert compare(services).summary == "EQUAL"


@pytest.mark.parametrize("how", ["brought back", "collected", "collected, not brought back"])
def test_only_what_was_brought_back_is_this_hosts_own(site: Site, how: str) -> None:
    """Anybody may write a ledger that bears the id of one that was lost here."""
    from ccdr.evidence.lineage.answers import acknowledge

    name = lost(site, "PASS")
    services = services_of(site, END - timedelta(minutes=1))
    if how == "brought back":
        brought_back(site, name)
    elif how == "collected":
        collect(site.root / "aside", services)
        recover([], services)
    else:
        acknowledge(services.state, services.ledger, "a disk died")
        collect(site.root / "aside", services)
    services = services_of(site)
    (chain,) = services.population().chains
    assert chain.ours is (how != "collected, not brought back")
    assert (services.histories()["p", None].duties is not None) is chain.ours, "what it was asked for counts as well"
    assert ("lost" in str(chain)) is chain.ours


@pytest.mark.parametrize("forged", [False, True])
def test_a_forged_copy_is_not_brought_back_for_what_was_lost(site: Site, forged: bool) -> None:
    name = lost(site)
    if forged:
        (segment,) = (site.root / "aside").glob("*.jsonl")
        lines, before = [], "0" * 64
        for line in segment.read_text().splitlines():
            record = json.loads(line) | {"prev": before}
            record["actor"] = "somebody else"
            text = json.dumps(record, separators=(",", ":")) + "\n"
            lines.append(text)
            before = sha256(text.encode()).hexdigest()
        segment.write_text("".join(lines))
    services = services_of(site)
    collect(site.root / "aside", services)
    if forged:
        with pytest.raises(CcdrError, match="another chain than what was lost"):
            recover([], services)
    else:
        assert [taken.ledger for taken in recover([], services)] == [name]
    assert [chain.ours for chain in services.population().chains] == [not forged]


# --- clocks that were wrong ------------------------------------------------------------------------------------------


FAILED = [{"name": "identical", "kind": "identical", "status": "FAIL", "expected": "1", "actual": "2"}]


@pytest.mark.parametrize("wrong", ["", "ahead", "behind"])
@pytest.mark.parametrize("whose", ["ours", "theirs"])
@pytest.mark.parametrize("newer", ["ours", "theirs"])
def test_what_was_written_while_a_clock_was_wrong_does_not_put_other_records_out_of_their_order(
    site: Site, wrong: str, whose: str, newer: str
) -> None:
    """Both hosts tested the same snapshot: the newer verdict, a FAIL, counts, whoever's it is."""
    ours, theirs = past(site), past(site)
    ours.stored(-10, "a", begun=True)
    for hours in (-9, -8, -7):
        ours.checked(hours)
    older = theirs if newer == "ours" else ours
    of_newer = ours if newer == "ours" else theirs
    theirs.asked(-20, "test")
    theirs.asked(-19, "test")
    theirs.manifests |= ours.manifests
    older.tested(-6, "a", "PASS", begun=True)
    of_newer.tested(-2, "a", "FAIL", begun=True, checks=FAILED)
    ours.checked(-1)
    theirs.asked(-1, "test")
    told = ours if whose == "ours" else theirs
    if wrong:
        told.wrote(24 * 365 if wrong == "ahead" else -24 * 365, "sandbox.reap", asset=None, **REAPED)
        strange = told.records.pop()
        told.records.insert(1 if wrong == "ahead" else len(told.records) - 1, strange)
    wrote(State(site.state), "h", ours)
    stored(site, ours)
    wrote(State(site.root / "other"), "db2", theirs)
    collect(site.root / "other", services_of(site))
    found = look(site)
    assert found.last_test["verdict"] == "FAIL" and "TEST_FAILED" in found.troubles
    assert found.report.answer.word != "Yes"


def test_all_is_read_anew_where_our_clock_was_set_back(pair: Pair) -> None:
    pair.both()
    pair.backs_up.records[0]["time"] = "2027-11-24T12:00:00.000000Z"
    pair.ours("backs up")
    pair.collected()
    services = services_of(pair.site)
    for hours in (-0.02, -0.01):
        verify_now(services)
        more = past(pair.site)
        more.stored(hours, f"n{hours}", begun=True)
        wrote(services.state, "h", more)
        going_on = services.histories()
        assert compare(services).summary == "EQUAL"
        shutil.rmtree(services.state.index)
        assert services.histories() == going_on


@pytest.mark.parametrize(
    ("times", "places"),
    [
        ("", ""),
        ("a", "a"),
        ("abbc", "abbc"),
        ("zabc", "aabc"),
        ("azbc", "aabc"),
        ("abcza", "abczz"),
        ("bcad", "bccd"),
        ("bczzzdefg", "bccccdefg"),
    ],
)
def test_a_record_out_of_order_goes_by_the_one_before_it(times: str, places: str) -> None:
    from ccdr.evidence.population import in_order

    assert in_order(list(times)) == list(places)


@pytest.mark.parametrize("more", ["z", "zzz", "{|}"])
def test_later_records_leave_the_order_as_it_is(more: str) -> None:
    from ccdr.evidence.population import in_order

    for times in ("zabc", "zyxabc", "abzcxd", "cba"):
        assert in_order([*times, *more])[: len(times)] == in_order(list(times))


# --- other hosts' ----------------------------------------------------------------------------------------------------


def missed(past: Chronicle, hours: float, ids: list[str]) -> None:
    """The repository was compared, and these of crm's snapshots were not there."""
    past.wrote(hours, "ledger.compared", asset=None, result="AGREES", reason=None, snapshots=2, elsewhere=0,
               unattested=0, newest=1, problems=[], vanished={"crm": ids})  # fmt: skip


class Pair:
    """A host that backs up (`h`, ours) and one that tests (`db2`), of the same plan."""

    def __init__(self, site: Site) -> None:
        self.site = site
        facts = site.loaded().facts.as_json()
        version = {
            "digest": "0" * 64,
            "predecessor": None,
            "files": {},
            "facts": facts,
        }  # none whose copy could be gone
        self.backs_up, self.tests = past(site), past(site)
        self.backs_up.wrote(-50, "plan.version", asset=None, **version)
        self.backs_up.asked(-50, "backup")
        self.tests.wrote(-50, "plan.version", asset=None, **version)
        self.tests.asked(-50, "test", "prune", "check")
        self.tests.checked(-49.9)

    def both(self, verdict: str = "PASS", *, until: float = 0, checked: bool = True) -> None:
        """Hourly backups, until now; each night a test, of which the last ended so: at 03:00, nine hours ago. The host
        that tests wrote its last record at `until`."""
        for hours in range(-50, 0):
            self.backs_up.stored(hours + 0.25, f"b{hours}", begun=True)
        self.tests.manifests |= self.backs_up.manifests
        for hours, said in ((-33.0, "PASS"), (-9.0, verdict)):
            if hours < until:
                name = f"b{int(hours) - 1}"
                self.tests.tested(hours + 0.1, name, said, begun=True)
            if hours < -10 and checked:
                self.tests.checked(-10)
        self.tests.wrote(until - 0.001, "sandbox.reap", asset=None, **REAPED)

    def ours(self, which: str) -> str:
        """This host is that one; the ledger of the other, which lies in `other/`."""
        told, other = (self.backs_up, self.tests) if which == "backs up" else (self.tests, self.backs_up)
        wrote(State(self.site.state), "h" if which == "backs up" else "db2", told)
        stored(self.site, self.backs_up)
        return wrote(State(self.site.root / "other"), "db2" if which == "backs up" else "h", other)

    def collected(self, at: datetime = END) -> None:
        collect(self.site.root / "other", services_of(self.site, at))


REAPED: dict[str, Any] = {"removed": []}


@pytest.fixture
def pair(site: Site) -> Pair:
    return Pair(site)


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
    pair.tests.tested(-0.05, "b-2", findings=[said])
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


def test_where_the_copies_lie_is_not_known_to_who_only_tests(pair: Pair) -> None:
    """Who backs up has looked: its ledger tells, once it lies here."""
    pair.both()
    pair.ours("tests")
    answer = look(pair.site).report.answer
    assert answer.word == "Yes, but where the copies lie is not known", answer
    assert "whether the backups of its one asset lie beside what they protect is not known here" in answer.sentence
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
    from ccdr.run.duties import duties

    pair.both()
    pair.ours("backs up")
    services, plans = services_of(pair.site), [pair.site.loaded()]
    before = duties(plans, services.histories()), newest("p", services)
    pair.collected()
    assert (duties(plans, services.histories()), newest("p", services)) == before
    ledgers = {told["host"]: told["duties"] for told in services.histories()["p", None].others.values()}
    assert ledgers.keys() == {"db2"} and set(ledgers["db2"]) == {"test", "prune", "check"}


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
    body = {"code": "TEST_FAILED", "act": "begun", "until": "9999-01-01T00:00:00Z", "of": [known_by(problem)]}
    old.wrote((written - END) / HOUR, "ack", **body)
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


def test_the_same_ledger_collected_again_counts_once(pair: Pair) -> None:
    pair.both()
    name = pair.ours("backs up")
    pair.collected()
    once = look(pair.site)
    records = services_of(pair.site).ledger.head().seq
    pair.collected()
    assert services_of(pair.site).ledger.head().seq == records, "nothing new to tell of"
    assert look(pair.site).report.population == once.report.population
    more = past(pair.site)
    more.manifests |= pair.backs_up.manifests
    more.tested(-0.05, "b-2", "FAIL")
    wrote(State(pair.site.root / "other"), "db2", more)
    pair.collected()
    found = look(pair.site)
    assert found.report.population.rows == once.report.population.rows + 1 and "TEST_FAILED" in found.troubles
    assert [path.name for path in (pair.site.state / "ledgers").iterdir()] == [name]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("before", ["its record", "its place was free", "it came there", "nothing"])
@pytest.mark.parametrize("first", [True, False])
def test_who_is_killed_while_a_ledger_is_taken_in_leaves_one_that_is_as_it_is_told(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, before: str, first: bool
) -> None:
    pair.both()
    name = pair.ours("backs up")
    if not first:
        pair.collected(END - HOUR)
        more = past(pair.site)
        more.manifests |= pair.backs_up.manifests
        more.tested(-0.05, "b-2", "FAIL")
        wrote(State(pair.site.root / "other"), "db2", more)
    rename, state = Path.rename, State(pair.site.state)

    def killed(*_: Any) -> None:
        raise Killed

    def renamed(path: Path, to: Path) -> Path:
        ours = path.parent == state.root / "ledgers"
        if ours and (before == "its place was free" or (path.name.endswith(".new") and before == "it came there")):
            raise Killed
        return rename(path, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", renamed)
        if before == "its record":
            patch.setattr("ccdr.jobs.attest.beside._told", killed)
        with contextlib.suppress(Killed):
            pair.collected()
    told = before != "its record"
    services = services_of(pair.site)
    assert not troubles(services.lineage()) and not services.population().problems()
    assert bool(services.population()) is (told or not first)
    assert ("TEST_FAILED" in look(pair.site).troubles) is (told and not first)
    pair.collected()
    assert [path.name for path in (state.root / "ledgers").iterdir()] == [name]
    assert ("TEST_FAILED" in look(pair.site).troubles) is not first and not troubles(services_of(pair.site).lineage())


def test_our_own_ledger_is_not_collected(pair: Pair) -> None:
    pair.both()
    pair.ours("backs up")
    with pytest.raises(UsageProblem, match="this host's own"):
        collect(pair.site.state, services_of(pair.site))


def test_a_run_at_work_when_its_ledger_was_copied_is_no_crash_and_an_old_one_is(pair: Pair) -> None:
    pair.both()
    pair.tests.began(-80, "restore_test", "crashed", selection="latest")
    pair.tests.records.sort(key=lambda record: record["time"])
    pair.tests.began(-0.0005, "restore_test", "at work", selection="latest")
    pair.ours("backs up")
    pair.collected()
    outcomes = {run.run: run.outcome for run in look(pair.site).report.runs if run.verb == "test"}
    assert (outcomes["crashed"], outcomes["at work"]) == ("CRASHED", "RUNNING")


def test_a_chain_that_was_rewritten_is_put_back_by_collecting_it_again(pair: Pair) -> None:
    pair.both("FAIL")
    name = pair.ours("backs up")
    pair.collected()
    directory = pair.site.state / "ledgers" / name
    directory.chmod(0o700)
    (segment,) = directory.glob("*.jsonl")
    segment.chmod(0o600)
    segment.write_bytes(segment.read_bytes().replace(b'"FAIL"', b'"PASS"'))
    assert [p.trouble.name for p in troubles(services_of(pair.site).lineage())] == []
    assert "TEST_FAILED" not in look(pair.site).troubles and look(pair.site).report.exit_code == 1
    pair.collected()
    assert "TEST_FAILED" in look(pair.site).troubles and compare(services_of(pair.site)).problems == ()


def middle_changed(site: Site, name: str) -> None:
    """A record of a ledger beside ours says otherwise, and the chain is not made anew: its end is as it was."""
    directory = site.state / "ledgers" / name
    (segment,) = directory.glob("*.jsonl")
    directory.chmod(0o700)
    segment.chmod(0o600)
    segment.write_bytes(segment.read_bytes().replace(b'"FAIL"', b'"PASS"'))


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("summary", [False, True])
def test_a_ledger_beside_ours_that_was_changed_in_its_middle_is_told_by_whoever_reads_it(
    pair: Pair, everybody: Callable[[str], Everybody], changed: bool, summary: bool
) -> None:
    """Where all is read, at once; where a summary is, that was made when it was sound, and says what it said then."""
    pair.site.state.mkdir()
    State(pair.site.state).mark()  # no older ccdr's: nothing of a migration is recorded, by the clock on the wall
    pair.both("FAIL")
    name = pair.ours("backs up")
    pair.collected()
    asked = everybody("b-10")
    if summary:
        verify_now(services_of(pair.site))
    if changed:
        middle_changed(pair.site, name)
    said, services = asked.asked("status"), services_of(pair.site)
    told = [one for one in said["lineage"]["problems"] if name[:8] in one]
    assert bool(told) is (changed and not summary)
    assert [one["ledger"] for one in said["lineage"]["beside"]] == ([] if told else [name])
    lines = asked.told("status").output.splitlines()
    assert any(f"ledger: FAIL: ledger {name[:8]}" in line for line in lines) is bool(told)
    assert asked.told("status").exit_code == 1 and asked.status() == (None if told else "FAIL")
    done = conclude([pair.site.loaded()], services, RunResult(), seconds=1.0)
    assert (done.stands, any(name[:8] in line for line in done.troubles)) == ((1, True) if told else (0, False))
    concerns = [one for one in _verified([pair.site.loaded()], services, done) if one.about == name]
    assert [one.trouble for one in concerns] == ([Trouble.LEDGER_CONTRADICTED] if told else [])
    if changed:
        assert {name[:8] in one for one in compare(services).problems} == {True}, "`ledger verify` says so in any case"
        tomorrow = services_of(pair.site, END + 1.1 * DAY)
        verified, news = daily(tomorrow)
        assert verified is not None and news is summary and not verified.ok and name[:8] in verified.problems[0]
        pair.collected()  # over it
        assert not asked.asked("status")["lineage"]["problems"] and asked.status() == "FAIL"


@pytest.mark.parametrize("forged", [False, True])
def test_a_chain_that_snapshots_contradict_is_not_collected(pair: Pair, forged: bool) -> None:
    """The host that tests knows snapshots of the one that backs up, which attest its ledger."""
    from ccdr.evidence.ledger.verification import verify as verify_ledger

    pair.both("FAIL")
    name = pair.ours("tests")
    there = pair.site.root / "other" / "ledger"
    head = verify_ledger(there)
    services = services_of(pair.site)
    newest = services.catalogue.snapshots("p", "crm")[-1]
    text = json.loads((services.catalogue.directory / "p" / "crm" / f"{newest.id}.json").read_text())["manifest"]
    said = Attestation(name, head.records, "0" * 64 if forged else head.head, 1, "0" * 12)
    services.catalogue.add(replace(newest, attested=said), text)
    if forged:
        with pytest.raises(LedgerBroken, match="is not the one that snapshot"):
            pair.collected()
        assert not services.population()
    else:
        pair.collected()
        assert services.population()


def test_a_report_says_which_ledgers_it_was_read_from(pair: Pair) -> None:
    pair.both()
    name = pair.ours("backs up")
    pair.collected()
    report = look(pair.site).report
    document = report_document(report)
    (told,) = document["ledger"]["beside"]
    assert (told["ledger"], told["host"], told["lost_here"]) == (name, "db2", False) and len(told["head"]) == 64
    closing = b"".join(csv_text(report)).decode().splitlines()[-1]
    assert f"read with ledger {name[:8]} of db2" in closing and told["head"] in closing
    page = b"".join(html(report)).decode()
    assert told["head"] in page and "done elsewhere: restore test by db2, by its ledger" in page
    (plan,) = document["plans"]
    assert {one["what"]: one["host"] for one in plan["elsewhere"]} == {"test": "db2", "prune": "db2", "check": "db2"}


@pytest.mark.parametrize("how", ["well", "not asked", "unattested", "longer", "rewritten", "changed"])
def test_a_report_says_of_each_ledger_what_shows_that_it_holds(pair: Pair, how: str) -> None:
    """What was verified, which snapshots attest it, and when a repository was last compared with it."""
    pair.both()
    name = pair.ours("tests")
    services, there = services_of(pair.site), verify(pair.site.root / "other" / "ledger")
    newest = services.catalogue.snapshots("p", "crm")[-1]
    if how != "unattested":
        text = json.loads((services.catalogue.directory / "p" / "crm" / f"{newest.id}.json").read_text())["manifest"]
        said = Attestation(name, there.records, there.head, 1, "0" * 12)
        services.catalogue.add(replace(newest, attested=said), text)
        if how == "longer":
            services.catalogue.add(replace(newest, attested=replace(said, seq=there.records + 3)), text)
    pair.collected(END - HOUR / 2)
    if how == "rewritten":
        services.catalogue.add(replace(newest, attested=replace(said, head="0" * 64)), text)
    if how == "changed":
        (segment,) = (pair.site.state / "ledgers" / name).glob("*.jsonl")
        segment.chmod(0o600)
        segment.write_bytes(segment.read_bytes().replace(b'"host":"h"', b'"host":"x"', 1))
    if how != "not asked":
        body = {"snapshots": 0, "elsewhere": 1, "unattested": 0, "newest": 0, "problems": []}
        services.ledger.append(
            "ledger.compared", plan="p", asset=None, run=None, body={"result": "AGREES", "reason": None, **body}
        )
    report = make_report([pair.site.loaded()], services, Period(END - 5 * DAY, END, until_now=True), command="x")
    (facts,) = report.ledger.beside
    page = b"".join(html(report)).decode()
    assert facts.believed is (how != "changed")
    assert f"all of its {there.records} records hold" in page or how == "changed"
    assert facts.snapshots == (0 if how == "unattested" else 1) and facts.agrees is (how != "rewritten")
    known = f"1 snapshot known here attests it, up to record {there.records + (3 if how == 'longer' else 0)}"
    assert (known in page) is (how != "unattested")
    assert ("what is here of it is not what they say" in page) is (how == "rewritten")
    assert (f"after record {there.records} is not here" in page) is (how == "longer")
    assert ("it does not verify: nothing of it is believed" in page) is (how == "changed")
    asked = how not in ("not asked", "unattested")
    assert ("the repository of p: agrees, last recorded 2026-11-24T12:00:00Z" in page) is asked
    assert ("no repository was compared with it since" in page) is not asked
    (shown,) = report_document(report)["ledger"]["beside"]
    assert (shown["believed"], shown["attested"]["agrees"]) == (facts.believed, facts.agrees)


def test_who_backs_up_is_told_by_the_newest_snapshot_where_its_ledger_is_not_here(pair: Pair) -> None:
    pair.both()
    pair.ours("tests")
    (plan,) = look(pair.site).report.plans
    assert [str(one) for one in plan.elsewhere] == ["h, by the newest snapshot"]
    pair.collected()
    (plan,) = look(pair.site).report.plans
    assert plan.elsewhere[0].until == END - 0.75 * HOUR and "known up to 2026-11-24T11:15:00Z" in str(plan.elsewhere[0])


def test_the_first_record_of_all_is_where_a_period_begins_to_be_known(site: Site) -> None:
    name = lost(site)
    assert "the first record is of 2026-11-24" in look(site).report.over_the_period
    brought_back(site, name)
    assert "the first record is of 2026-11-22 00:00" in look(site).report.over_the_period


def test_no_place_between_two_of_our_records_is_shown_to_people(site: Site) -> None:
    """A run that failed, its checks and phases, and a plan's version, all of a ledger that was brought back."""
    old, new, facts = past(site), past(site), site.loaded().facts.as_json()
    old.asked(-60, "backup", "test", "prune", "check")
    for hours, version in ((-45, "1" * 64), (-44, "2" * 64)):
        old.wrote(hours, "plan.version", asset=None, digest=version, predecessor=None, files={}, facts=facts)
    old.stored(-43, "third", begun=True)
    old.tested(-42, "third", "FAIL", begun=True, checks=FAILED)
    new.wrote(-0.6, "not_begun", asset=None, verb="check", due="2026-11-24T11:00:00Z", reason="no key")
    state = State(site.state)
    name = wrote(state, "h", old)
    state.ledger.rename(site.root / "aside")
    wrote(state, "h", new)
    stored(site, old)
    brought_back(site, name)
    report = look(site).report
    page = b"".join(html(report)).decode()
    assert f"<small>record 7@{name[:8]}</small>" in page and f"Checks of record 7@{name[:8]}" in page
    assert re.search(r"<small>record \d+ of ledger [0-9a-f]{8}</small>", page)
    assert not re.search(r"\de-\d", re.sub(r"[0-9a-f-]{12,}", "", page))
    assert not re.search(r"record\w* \d+\.\d", page)


def test_a_report_begins_by_itself_with_the_first_record_of_all(site: Site) -> None:
    from ccdr.cli.report import _first_record

    name = lost(site)
    assert _first_record(services_of(site)) == END - timedelta(minutes=36)
    brought_back(site, name)
    assert _first_record(services_of(site)) == END - 60 * HOUR


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


# --- every command --------------------------------------------------------------------------------------------------


class Listed:
    """A repository that holds what the catalogue has."""

    location = "nowhere"

    def __init__(self, services: Services) -> None:
        self.there = services.catalogue.snapshots("p", "crm")

    def snapshots(self, tags: Sequence[str]) -> list[RepoSnapshot]:
        of = ("ccdr", "plan=p", "kind=backup", "asset=crm")
        found = [RepoSnapshot(s.id, s.consistent_point, s.usable_at, ("/r",), of) for s in self.there]
        return [s for s in found if {*tags} <= {*s.tags}]

    def version(self) -> str:
        return "0"


@dataclass
class Everybody:
    """Who judges by records, each by what it says of crm's newest restore test, which was of that snapshot: its
    verdict, None where it knows of none."""

    site: Site
    tested: str

    def told(self, *args: str) -> Result:
        root = self.site.root
        of = ["--plans", str(root / "plans"), "--restore-tests", str(root / "restore_tests")]
        return CliRunner().invoke(main, [*of, "--state", str(self.site.state), *args])

    def asked(self, *args: str) -> Any:
        return json.loads(self.told(*args, "--json").stdout)

    def status(self) -> object:
        return (self.asked("status")["plans"][0]["assets"][0]["last_test"] or {}).get("verdict")

    def report(self) -> object:
        runs = [run for run in look(self.site).report.runs if run.verb == "test"]
        return runs[-1].outcome if runs else None

    def snapshots(self) -> object:
        (found,) = [s for s in self.asked("snapshots", "p")["snapshots"] if s["id"] == self.tested]
        return found["last_test"]

    def restore(self) -> object:
        to = ["--to", str(self.site.root / "there"), "--dry-run"]
        said = self.told("restore", "p", "--asset", "crm", "--snapshot", self.tested, *to).output
        known = {"its last restore test passed": "PASS", "failed its last restore test": "FAIL", "never restore-": None}
        (verdict,) = (v for text, v in known.items() if text in said)
        assert verdict == "FAIL" or ("not measured" in said) is (verdict is None), said
        return verdict

    def doctor(self) -> object:
        """Of its verdict it says nothing where an earlier one was measured."""
        (found,) = (c for c in self.asked("doctor", "p", "--only", "tests")["checks"] if c["what"] == "RTO by tests")
        return None if "never tested" in found["found"] else self.status()

    def discover(self) -> object:
        return None if [*untested([self.site.loaded()], services_of(self.site))] else self.status()

    def metrics(self) -> object:
        services, plans = services_of(self.site), [self.site.loaded()]
        made = numbers(
            status(plans, services), upkeep_problems(plans, services), services.histories(), RunFacts(END, 1.0, 0, {})
        )
        where = {"plan": "p", "asset": "crm"}
        told = {
            v: made.get_sample_value("ccdr_asset_last_test_verdict", {**where, "verdict": v}) for v in ("PASS", "FAIL")
        }
        return next((verdict for verdict, said in told.items() if said), None)

    def messages(self) -> object:
        services, plans = services_of(self.site), [self.site.loaded()]
        kinds = {c.trouble.name for c in concerns_of(status(plans, services), upkeep_problems(plans, services))}
        return "FAIL" if "TEST_FAILED" in kinds else None if kinds & {"NOT_KNOWN_HERE", "NEVER_TESTED"} else "PASS"

    @property
    def all(self) -> dict[str, object]:
        names = ("status", "report", "snapshots", "restore", "doctor", "discover", "metrics", "messages")
        return {name: getattr(self, name)() for name in names}


@pytest.fixture
def everybody(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Everybody]:
    def of(tested: str) -> Everybody:
        monkeypatch.setattr(Settings, "services", lambda _: services_of(site))
        monkeypatch.setattr(Services, "repository", lambda self, *_, **__: Listed(self))
        monkeypatch.setattr("ccdr.setup.doctor.machine.docker", lambda _: (None, []))
        return Everybody(site, digest(tested))

    return of


@pytest.mark.parametrize("verdict", ["PASS", "FAIL"])
@pytest.mark.parametrize("whose", ["collected", "brought back"])
def test_every_command_reads_the_ledgers_as_one_population(
    site: Site, everybody: Callable[[str], Everybody], whose: str, verdict: str
) -> None:
    """What each says of a test that only a ledger beside ours tells of: nothing before that lies there, and then all
    the same."""
    if whose == "collected":
        pair = Pair(site)
        pair.both(verdict)
        pair.ours("backs up")
        asked = everybody("b-10")
    else:
        name = lost(site, verdict)
        asked = everybody("first")
    assert set(asked.all.values()) == {None}, asked.all
    if whose == "collected":
        pair.collected()
    else:
        brought_back(site, name)
    assert set(asked.all.values()) == {verdict}, asked.all


@pytest.mark.parametrize("whose", ["collected", "brought back"])
def test_where_a_restore_went_is_told_by_the_ledgers_of_this_host_alone(site: Site, whose: str) -> None:
    """A path is of one host: what another one has restored there is not what lies here."""
    there, told, own = site.root / "restored", past(site), past(site)
    there.mkdir()
    said = {"kind": "directory", "name": str(there)}
    told.began(-50, "restore", "r", target=said)
    told.wrote(24 * 365, "restore.end", "r", result="RESTORED", target=said, phases={}, checks=[])
    own.asked(-0.6, "backup", "test", "prune", "check")
    name = wrote(State(site.root / "aside"), "h" if whose == "brought back" else "db2", told)
    wrote(State(site.state), "h", own)
    services = services_of(site, END + timedelta(minutes=1))
    assert not _our_own(there, services)
    if whose == "collected":
        collect(site.root / "aside", services)
    else:
        taken = copied(
            services.state, name, site.root / "aside" / "ledger", verify(site.root / "aside" / "ledger"), "x"
        )
        placed(services.state, link(taken, None, 0, services))
    assert _our_own(there, services) is (whose == "brought back")


@pytest.mark.parametrize("changed", [True, False])
def test_what_the_catalogue_says_is_compared_with_the_ledger_that_was_brought_back(site: Site, changed: bool) -> None:
    """Somebody has made the newest backup look newer than it is."""
    name, services = lost(site, "PASS"), services_of(site)
    (known,) = services.catalogue.snapshots("p", "crm")
    if changed:
        text = json.loads((services.catalogue.directory / "p" / "crm" / f"{known.id}.json").read_text())["manifest"]
        later = known.consistent_point + 49 * HOUR
        services.catalogue.add(replace(known, consistent_point=later, usable_at=later), text)
    assert "CATALOGUE_WRONG" not in look(site).troubles, "nobody remembers"
    brought_back(site, name)
    found = look(site)
    assert ("CATALOGUE_WRONG" in found.troubles) is changed and found.found.rpo.achieved_s == 50 * 3600


@pytest.mark.parametrize("gone", ["nothing", "all", "the newest", "an older one"])
def test_entries_of_the_catalogue_that_are_gone_are_told_and_the_records_stand(site: Site, gone: str) -> None:
    """An older one may be gone by another host's prune, and changes nothing."""
    told = past(site)
    told.asked(-4, "backup", "test", "prune", "check")
    for hours in (-2.5, -1.5, -0.5):
        told.stored(hours, f"b{hours}", begun=True)
    told.tested(-0.4, "b-0.5", begun=True)
    wrote(State(site.state), "h", told)
    stored(site, told)
    before, directory = look(site), site.state / "catalogue"
    assert before.found.rpo.achieved_s == 1800 and "CATALOGUE_WRONG" not in before.troubles
    if gone == "all":
        shutil.rmtree(directory)
    elif gone != "nothing":
        (directory / "p" / "crm" / f"{digest('b-0.5' if gone == 'the newest' else 'b-1.5')}.json").unlink()
    found = look(site)
    assert found.found.rpo == before.found.rpo and found.found.coverage == before.found.coverage
    assert found.found.good is not None and found.found.good.id == digest("b-0.5")
    wrong = [p for p in found.found.troubles if p.trouble.name == "CATALOGUE_WRONG"]
    if gone in ("all", "the newest"):
        (one,) = wrong
        assert "no entry any more" in one.text and (one.step or "").startswith("ccdr snapshots p   ")
        assert found.report.exit_code == 1 and found.report.answer.word == "Not proven"
        assert found.troubles == before.troubles | {"CATALOGUE_WRONG"}
    else:
        assert not wrong and found.troubles == before.troubles


@pytest.mark.parametrize("there", [False, True])
def test_what_the_lost_ledger_saw_stored_is_missed_by_the_new_one(site: Site, there: bool) -> None:
    """The catalogue was lost with it, and nobody else remembers. Its twin is in the repository still."""
    name, services = lost(site), services_of(site)
    repository = Listed(services)
    if not there:
        shutil.rmtree(services.catalogue.directory)
        repository.there = []

    def vanished() -> list[str]:
        return [s.id for s in services.synchronise(site.loaded(), repository, ["crm"]).vanished]  # type: ignore[arg-type]

    assert vanished() == []
    brought_back(site, name)
    assert vanished() == ([] if there else [digest("first")])


# --- what vanished, and when ----------------------------------------------------------------------------------------


def a_month(site: Site, *, missed: dict[float, list[str]]) -> Services:
    """Twenty daily backups, and what comparisons missed of them, by when."""
    path = site.root / "plans" / "p.yaml"
    path.write_text(path.read_text().replace("rpo: 1h", "rpo: 25h").replace("15 * * * *", "0 12 * * *"))
    own = past(site)
    own.asked(-24 * 21, "backup")
    for day in range(20, 0, -1):
        own.stored(-24 * day, f"d{day}", begun=True)
    for hours, gone in missed.items():
        own.wrote(hours, "ledger.compared", asset=None, result="AGREES", reason=None, snapshots=20, elsewhere=0,
                  unattested=0, newest=1, problems=[], vanished={"crm": [digest(one) for one in gone]})  # fmt: skip
    wrote(State(site.state), "h", own)
    stored(site, own)
    return services_of(site)


def test_what_vanished_counts_up_to_when_it_was_missed(site: Site, tmp_path: Path) -> None:
    """Weeks ago it was there, and whoever had needed it would have had it."""
    (tmp_path / "twin").mkdir()
    twin = Site(tmp_path / "twin", bare=True)
    twin.write("restore_tests/t.yaml", "restore_test: t\nchecks:\n  - {kind: identical}\n")
    twin.plan(PLAN)
    older = [f"d{day}" for day in range(20, 8, -1)]
    newer = [f"d{day}" for day in (3, 2, 1)]
    told = {
        name: (at, a_month(at, missed=missed))
        for name, at, missed in [("twin", twin, {-0.2: []}), ("missed", site, {-60.0: older, -0.2: [*older, *newer]})]
    }

    def worst(name: str, end: datetime = END) -> float:
        at, services = told[name]
        report = make_report([at.loaded()], services, Period(END - 19 * DAY, end, until_now=end == END), command="x")
        (asset,) = report.assets
        return asset.completed.worst_s

    before = END - timedelta(hours=1)
    assert worst("twin") == worst("twin", before) == worst("missed", before) == DAY.total_seconds()
    assert worst("missed") == 4 * DAY.total_seconds(), "since it was missed, the newest is four days old"
    history = told["missed"][1].histories()["p", "crm"]
    first = {one: utc(history.vanished[digest(one)]) for one in ("d20", "d2")}
    assert first == {"d20": END - 60 * HOUR, "d2": END - 0.2 * HOUR}, "missed again is not missed later"


def test_the_rules_since_a_snapshot_was_taken_are_known_by_the_plans_versions(site: Site) -> None:
    """As they were asked for work: nobody, by another host, here."""
    own = past(site)
    history = own.histories.get(("p", None), AssetHistory())
    assert pruning_of(history) is Pruning.UNKNOWN
    for verbs, whose in ((["backup"], Pruning.ELSEWHERE), (["backup", "prune"], Pruning.OURS)):
        own.asked(-5, *verbs)
        assert pruning_of(own.histories["p", None]) is whose
    of = AssetHistory()
    for day, rules in ((9, {"keep_last": 2.0}), (8, {"keep_last": 2.0}), (5, None), (3, {"keep_within": 60.0})):
        facts = {"retention": rules, "timezone": "UTC"}
        of.take({"kind": "plan.version", "run": None, "time": rfc3339(END - day * DAY), "seq": 1, "facts": facts})
    assert list(of.retentions_past()) == [
        ({"keep_last": 2.0}, "UTC", END - 5 * DAY),
        ({"keep_within": 60.0}, "UTC", None),
    ]


@pytest.mark.parametrize("how", ["answered for", "and a record before it is changed", "its file is gone"])
def test_what_another_ledger_has_lost_and_somebody_answers_for_contradicts_nothing(pair: Pair, how: str) -> None:
    """A bad sector took the line that a snapshot attests: a snapshot, a comparison and a report ask that ledger, too."""
    pair.both()
    name, other = pair.ours("tests"), State(pair.site.root / "other")
    there = Ledger(other.ledger, Clock(END - HOUR / 4), host="h", actor="a", begin=beginning(other, "h"))
    ref = there._append(written("backup.start", "p", "crm", "fresh", body_of("backup.start")))
    services = services_of(pair.site)
    newest = services.catalogue.snapshots("p", "crm")[-1]
    text = json.loads((services.catalogue.directory / "p" / "crm" / f"{newest.id}.json").read_text())["manifest"]
    last = there.numbered(ref.seq)
    assert last is not None
    said = Attestation(name, ref.seq, ref.hash, ref.seq, "0" * 12, str(last["prev"]))
    services.catalogue.add(replace(newest, attested=said), text)
    (segment,) = other.ledger.glob("*.jsonl")
    *lines, before, line = segment.read_bytes().splitlines(keepends=True)
    if "changed" in how:
        before = before.replace(b'"host":"h"', b'"host":"x"')
    segment.write_bytes(b"".join(lines) + before + b"[" + line[1:])
    answer_for_spoilt(other, there, "the disk of h is bad")
    if how != "answered for":
        if "gone" in how:
            (aside,) = other.ledger.glob("torn-*.bin")
            aside.unlink()
        with pytest.raises(LedgerBroken):
            pair.collected()
        return
    pair.collected()
    tags = ["ccdr", "kind=backup", "plan=p", "asset=crm", "run=fresh", *said.as_tags()]
    listed = [RepoSnapshot(newest.id, END, END, ("/",), tuple(tags))]
    assert compare_with(services_of(pair.site), "p", listed).problems == ()
    report = make_report([pair.site.loaded()], services, Period(END - 5 * DAY, END, until_now=True), command="x")
    (facts,) = report.ledger.beside
    assert facts.agrees and facts.snapshots == 1
