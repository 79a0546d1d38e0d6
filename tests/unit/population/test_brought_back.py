"""A ledger of this host's that was lost and brought back is read with the one that was begun since."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest
from msgspec import to_builtins
from tests.support.chronicle import digest
from tests.support.harness import Site
from tests.support.population import END, HOUR, Listed, Pair, brought_back, look, lost, past, services_of, stored, wrote
from tests.support.schema import report_document

from ccdr.host.state import State
from ccdr.jobs.attest import troubles
from ccdr.jobs.attest.other_ledgers import collect
from ccdr.jobs.attest.recovering import recover
from ccdr.jobs.daily_verification import compare, daily, verify_now
from ccdr.model.errors import CcdrError
from ccdr.model.values import ObjectiveVerdict
from ccdr.telling.report.population_csv import csv_text


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
    facts = to_builtins(site.loaded().facts)
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
    from ccdr.evidence.lineage.comparison import acknowledge

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
    from ccdr.evidence.lineage.comparison import acknowledge

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
    from ccdr.evidence.lineage.comparison import acknowledge

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
        assert [taken.ledger for taken in recover([], services)[0]] == [name]
    assert [chain.ours for chain in services.population().chains] == [not forged]


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
    if not there:
        found = look(site)
        (never,) = [p for p in found.found.troubles if p.trouble.name == "NEVER_SUCCEEDED"]
        assert "does not know" in never.text and (never.step or "").startswith("ccdr ledger recover")
        assert found.report.answer.word == "Not proven" and "since the ledger was lost" in found.report.answer.sentence
    brought_back(site, name)
    assert vanished() == ([] if there else [digest("first")])


@pytest.mark.parametrize("catalogue", ["lost", "kept"])
def test_what_the_catalogue_lost_with_the_ledger_is_no_doubt_once_that_was_brought_back(
    site: Site, catalogue: str
) -> None:
    name = lost(site, "PASS", at=-2)
    if catalogue == "lost":
        shutil.rmtree(site.state / "catalogue")
    brought_back(site, name)
    found = look(site)
    told = [p.text for p in found.found.troubles if "catalogue" in p.text]
    assert "CATALOGUE_WRONG" not in found.troubles and len(told) == (catalogue == "lost")
    assert found.found.coverage == "tested" and found.report.answer.word == "Yes, but not as promised"  # an RPO of 1h
