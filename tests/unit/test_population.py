"""Ledgers that lie beside ours are read with it as one population, by whoever looks: one of this host's that was lost
and brought back, and those of other hosts. Each that tells something has its twin that is as it was."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.chronicle import Chronicle
from tests.harness import Site

from ccdr.attest import troubles
from ccdr.attest.beside import Taken, _put, link
from ccdr.judgement import AssetStatus
from ccdr.ledger import Ledger, verify
from ccdr.lineage import beginning, keep, read_id
from ccdr.model import ObjectiveVerdict
from ccdr.report import Period, Report, make_report
from ccdr.report.document import json_lines
from ccdr.report.population import csv_text
from ccdr.services import Services
from ccdr.state import State
from ccdr.status import status
from ccdr.verification import compare

END = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PLAN = """
crm:
  engine: files
  paths: [/spool]
  backup: {schedule: "15 * * * *"}
  restore_test: {schedule: "0 3 * * *", checks: [t]}
"""


class Clock:
    def __init__(self, at: datetime = END) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0


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
    (found,) = status([loaded], services, services.histories(doubted=True))
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
    taken = _put(services.state, name, aside, verify(aside), "the repository")
    link(Taken(name, taken.records, taken.head, taken.directory, taken.new), None, 0, services)


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
    document = json.loads(b"".join(json_lines(report)))
    (run,) = [one for one in document["runs"] if one["what"] == "test"]
    assert (run["seq"], run["end_seq"], run["ledger"]) == (5, 6, name)
    (whole,) = document["tests"]
    assert (whole["started_seq"], whole["seq"], whole["ledger"]) == (5, 6, name)
    assert "told_by" not in json.dumps(document)


def test_a_summary_is_of_all_of_them_and_is_made_anew_where_they_are_others(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ccdr.history.WORTH_KEEPING", 1)
    name = lost(site)
    services = services_of(site)
    services.histories()
    assert compare(services).summary == "EQUAL"
    brought_back(site, name)
    assert compare(services).summary == "NONE", "it was of ours alone, and is not used"
    known = services.histories()
    assert "FAIL" in known["p", "crm"].proven.values() and compare(services).summary == "EQUAL"
    assert services.histories() == known == services.histories(doubted=True)
    more = past(site)
    more.stored(-0.01, "newest", begun=True)
    wrote(services.state, "h", more)
    going_on, anew = services.histories(), services.histories(doubted=True)
    assert going_on == anew and len(going_on["p", "crm"].stored) == 2 and compare(services).summary == "EQUAL"
    kept = services.state.summary
    kept.write_text(kept.read_text().replace('"FAIL"', '"PASS"'))
    assert compare(services).summary == "DIFFERS"
    assert "FAIL" in services.histories(doubted=True)["p", "crm"].proven.values(), "nor is it believed meanwhile"


def test_the_hours_whose_records_are_lost_are_not_known_to_be_missed(site: Site) -> None:
    """What came due behind the end of the ledger that was brought back, before the next one says what runs here are for:
    it may have been done."""
    old, new = past(site), past(site)
    facts = site.loaded().facts.as_json()
    version = {"digest": "0" * 64, "predecessor": None, "files": {"plans/p.yaml": "0" * 64}, "facts": facts}
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
    from ccdr.lineage import acknowledge

    name = lost(site, "PASS")
    brought_back(site, name)
    directory = site.state / "ledgers" / name
    directory.chmod(0o700)
    directory.rename(site.root / "away")
    services = services_of(site)
    assert name[:8] in str(services.lineage().loss)
    acknowledge(services.state, services.ledger, "the disk died")
    assert services_of(site).lineage().loss is None
