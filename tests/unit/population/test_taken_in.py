"""A ledger is collected once and whole, and one that was changed is told and not believed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.clocks import Clock
from tests.support.harness import Site
from tests.support.population import DAY, END, HOUR, Everybody, Pair, look, past, services_of, wrote
from tests.support.records import body_of, written

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.lineage.comparison import answer_for_spoilt, beginning
from ccdr.host.state import State
from ccdr.jobs.attest import compare as compare_with
from ccdr.jobs.attest import troubles
from ccdr.jobs.attest.other_ledgers import collect
from ccdr.jobs.daily_verification import compare, daily, verify_now
from ccdr.model.errors import LedgerBroken, UsageProblem
from ccdr.model.trouble import Trouble
from ccdr.model.values import Attestation
from ccdr.run.ending import _verified, end_run
from ccdr.run.tasks import RunResult
from ccdr.storage.listing import RepoSnapshot
from ccdr.telling.report import Period, make_report


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
            patch.setattr("ccdr.jobs.attest.other_ledgers._recorded", killed)
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
    done = end_run([pair.site.loaded()], services, RunResult(), seconds=1.0)
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
    said = Attestation(name, head.records, "0" * 64 if forged else head.head, 1, "0" * 12, "0" * 64)
    services.catalogue.add(replace(newest, attested=said), text)
    if forged:
        with pytest.raises(LedgerBroken, match="is not the one that snapshot"):
            pair.collected()
        assert not services.population()
    else:
        pair.collected()
        assert services.population()


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
    said = Attestation(name, ref.seq, ref.hash, ref.seq, "0" * 12, last.prev)
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
    tags = ["ccdr-3", "kind=backup", "plan=p", "asset=crm", "run=fresh", *said.as_tags()]
    listed = [RepoSnapshot(newest.id, END, END, ("/",), tuple(tags))]
    assert compare_with(services_of(pair.site), "p", listed).problems == ()
    report = make_report([pair.site.loaded()], services, Period(END - 5 * DAY, END, until_now=True), command="x")
    (facts,) = report.ledger.beside
    assert facts.agrees and facts.snapshots == 1
