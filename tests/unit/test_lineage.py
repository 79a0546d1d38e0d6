"""A ledger says which one it is, and what became of the one before it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest
from tests.support.clocks import Clock
from tests.support.records import kind_in
from tests.support.sparse import append_sparse

from ccdr.evidence.ledger.ledger import BEGINNING, Ledger
from ccdr.evidence.ledger.verification import verify
from ccdr.evidence.lineage import comparison as comparing
from ccdr.evidence.lineage.comparison import (
    acknowledge,
    beginning,
    differs,
    id_in,
    keep,
    misnamed,
    read,
    read_id,
    write_kept,
)
from ccdr.evidence.lineage.own_records import (
    ACKNOWLEDGED,
    COMPARED,
    LINKED,
    LOST,
    VERIFIED,
    LedgerStanding,
    Lineage,
    fold,
)
from ccdr.evidence.payloads import payload
from ccdr.evidence.records.statements import STATEMENT
from ccdr.host.state import State
from ccdr.jobs.attest.storing import superseded
from ccdr.model.errors import UsageProblem
from ccdr.storage.listing import RepoSnapshot

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class Host:
    """A state directory, and its ledger."""

    root: Path
    clock: Clock = field(default_factory=Clock)

    @property
    def state(self) -> State:
        return State(self.root / "state")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.state.ledger, self.clock, begin=beginning(self.state, "db1"), segment_bytes=900)

    def add(self, kind: str = "backup.start", **body: object) -> int:
        """Whatever it is: not every record here is as its kind is defined."""
        if kind == "backup.start" and not body:
            return append_sparse(self.ledger, kind, plan="p", asset="crm", run="r", body={}).seq
        if kind in (COMPARED, LOST, LINKED, VERIFIED) and body:
            of = {"plan": "p", "asset": "crm"} | {name: body.pop(name) for name in ("plan", "asset") if name in body}
            with suppress(AssertionError, msgspec.ValidationError):
                return append_sparse(self.ledger, kind, **of, run="r", body=body).seq  # type: ignore[arg-type]
        where = {"kind": kind, "plan": "p", "asset": "crm", "run": "r", "version": 4}
        return self.ledger._append({**where, **body}).seq

    def lived(self, records: int = 5) -> str:
        for _ in range(records):
            self.add()
        keep(self.state, self.ledger)
        return str(read_id(self.state.ledger))

    def kinds(self) -> list[str]:
        return [str(kind_in(record)) for record in self.ledger.records()]

    def first(self) -> Mapping[str, Any]:
        return next(self.ledger.records())


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_first_record_says_which_ledger_it_is(host: Host) -> None:
    assert host.add() == 2 and host.add() == 3
    begun = host.first()
    assert (begun["kind"], begun["from"], begun["predecessor"]) == ("ledger.begin", 1, None)
    assert len(begun["ledger"]) == 32 and begun["ledger"] == read_id(host.state.ledger) == id_in(host.state.ledger)
    assert verify(host.state.ledger).ok and read(host.state, host.ledger).ledger == begun["ledger"]
    assert Host(host.root / "other").lived() != begun["ledger"]


def test_one_from_before_says_it_at_its_next_record(host: Host) -> None:
    old = Ledger(host.state.ledger, host.clock)
    for _ in range(3):
        old._append({"kind": "backup.start", "plan": "p", "asset": "crm", "run": "r", "version": 4})
    assert read(host.state, host.ledger).ledger is None
    assert host.add() == 5
    assert host.kinds() == ["backup.start"] * 3 + ["ledger.begin", "backup.start"]
    assert read(host.state, host.ledger).since == 4


def test_its_name_is_found_again_where_the_file_is_lost_or_a_crash_came_before_it(host: Host) -> None:
    was = host.lived()
    (host.state.ledger / "id").unlink()
    host.add()
    assert read_id(host.state.ledger) == was and host.kinds().count("ledger.begin") == 1
    (host.state.ledger / "id").write_text("0" * 32 + "\n")
    assert "one of them was changed" in misnamed(host.state.ledger)[0]
    (host.state.ledger / "id").write_text(f"{was}\n")
    assert misnamed(host.state.ledger) == []


def test_what_is_kept_of_it_tells_a_cut_a_rewrite_and_another_one(host: Host) -> None:
    host.lived()
    assert read(host.state, host.ledger).kept is LedgerStanding.HOLDS
    newest = max(host.state.ledger.glob("*.jsonl"))
    whole = newest.read_bytes()
    newest.write_bytes(whole[: whole.rstrip(b"\n").rfind(b"\n") + 1])
    assert read(host.state, host.ledger).kept is LedgerStanding.CUT
    newest.write_bytes(whole.replace(b'"host":"', b'"host":"x'))
    assert read(host.state, host.ledger).kept is LedgerStanding.REWRITTEN
    keep(host.state, host.ledger)
    assert read(host.state, host.ledger).kept is LedgerStanding.REWRITTEN, "nor does it go over by itself"
    other = Host(host.root / "other")
    other.lived()
    shutil.rmtree(host.state.ledger)
    shutil.copytree(other.state.ledger, host.state.ledger)
    found = read(host.state, host.ledger)
    assert found.kept is LedgerStanding.OTHER and found.loss is None
    shutil.rmtree(host.state.ledger)
    gone = read(host.state, host.ledger)
    assert gone.kept is LedgerStanding.GONE and gone.loss


def test_one_that_is_begun_anew_names_the_lost_one_until_somebody_answers(host: Host) -> None:
    was = host.lived()
    head = host.ledger.head()
    shutil.rmtree(host.state.ledger)
    host.add()
    assert host.first()["predecessor"] == {"ledger": was, "last_seq": head.seq, "last_head": head.hash}
    found = read(host.state, host.ledger)
    assert [(one.ledger, one.seq) for one in found.lost] == [(was, 6)] and was[:8] in str(found.loss)
    keep(host.state, host.ledger)
    assert read(host.state, host.ledger).lost == found.lost, "by what is kept as by the records"
    acknowledge(host.state, host.ledger, "the disk of db1 died")
    found = read(host.state, host.ledger)
    assert found.loss is None and was in found.known
    assert "acknowledged" in found.past_losses(NOW)[0][1] and found.past_losses(NOW + 400 * DAY) == []
    with pytest.raises(UsageProblem, match="nothing to acknowledge"):
        acknowledge(host.state, host.ledger, "again")


def test_a_loss_can_be_answered_for_before_anything_was_recorded(host: Host) -> None:
    host.lived()
    shutil.rmtree(host.state.ledger)
    acknowledge(host.state, host.ledger, "a new disk")
    assert host.kinds() == ["ledger.begin", ACKNOWLEDGED] and read(host.state, host.ledger).loss is None


def test_one_that_was_emptied_with_all_that_was_kept_still_leaves_its_name(host: Host) -> None:
    was = host.lived()
    for path in host.state.ledger.glob("*.jsonl"):
        path.write_bytes(b"")
    (host.state.root / "chain.json").unlink()
    host.add()
    (one,) = read(host.state, host.ledger).lost
    assert (one.ledger, one.seq) == (was, 0) and "an unknown number" in str(one)


@pytest.mark.parametrize("why", ["", "   ", "x" * 501])
def test_an_answer_is_a_short_sentence(host: Host, why: str) -> None:
    host.lived()
    shutil.rmtree(host.state.ledger)
    with pytest.raises(UsageProblem, match="reason of up to 500"):
        acknowledge(host.state, host.ledger, why)
    assert not list(host.ledger.records())


def test_words_are_kept_apart_and_salted(host: Host) -> None:
    host.lived()
    shutil.rmtree(host.state.ledger)
    acknowledge(host.state, host.ledger, "Ștefan dropped it")
    (record,) = (r for r in host.ledger.records() if kind_in(r) == ACKNOWLEDGED)
    (kept,) = (host.state.root / "payloads").iterdir()
    assert "tefan" not in str(record) and kept.stem == record["words_sha256"]
    assert payload(host.state, kept.stem) == "Ștefan dropped it" and kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 6}', '{"format": 6, "mark": {}, "lineage": {}}'])
def test_what_is_kept_and_damaged_is_made_anew(host: Host, text: str) -> None:
    was = host.lived()
    (host.state.root / "chain.json").write_text(text)
    assert read(host.state, host.ledger).ledger == was
    keep(host.state, host.ledger)
    assert json.loads((host.state.root / "chain.json").read_text())["lineage"]["ledger"] == was


def test_what_is_kept_says_what_the_records_say(host: Host) -> None:
    host.lived()
    compared = {"result": "AGREES", "snapshots": 2, "newest": 4, "whole": True, "problems": []}
    for kind, body in (
        (LOST, {"ledger": "a" * 32, "last_seq": 7, "last_head": "b" * 64}),
        (COMPARED, compared),
        (LINKED, {"ledgers": ["a" * 32], "records": 0}),
        (LOST, {"ledger": "c" * 32, "last_seq": 9, "last_head": "d" * 64}),
    ):
        host.add(kind, **body)
        keep(host.state, host.ledger)
        assert replace(read(host.state, host.ledger), gone=()) == fold(host.ledger.of_itself(BEGINNING))
    found = read(host.state, host.ledger)
    assert [one.ledger for one in found.lost] == ["c" * 32] and found.linked == ("a" * 32,)


def test_a_ledger_that_a_repository_contradicts_is_not_kept_as_it_is(host: Host) -> None:
    host.lived()
    before = (host.state.root / "chain.json").read_text()
    host.add(COMPARED, result="DIFFERS", snapshots=2, newest=4, whole=True, problems=["it was rewritten"])
    keep(host.state, host.ledger)
    assert (host.state.root / "chain.json").read_text() == before


def test_records_that_cannot_be_understood_are_passed_over(host: Host) -> None:
    was = host.lived()
    for body in ({}, {"ledger": 3}, {"ledgers": 7}):
        for kind in (LOST, LINKED, COMPARED, "ledger.something"):
            host.add(kind, **body)
        host.add(STATEMENT, says="answer", about={"of": "ledger", **body})
    assert read(host.state, host.ledger).ledger == was


def test_a_line_is_found_by_its_number_with_its_hash(host: Host) -> None:
    host.lived(20)
    marks = {record.seq: mark.hash for mark, record in host.ledger.after(BEGINNING)}
    assert {seq: host.ledger.hash_of(seq) for seq in marks} == marks and host.ledger.hash_of(99) is None
    assert host.ledger.head().hash == marks[21]


def stored(day: int, records: int, ledger: str = "a" * 32) -> RepoSnapshot:
    at = NOW + day * DAY
    return RepoSnapshot(f"{ledger[:1]}{day}", at, at, ("/l",), ("ccdr", f"ledger={ledger}", f"ledger_seq={records}"))


def test_stored_ledgers_go_once_many_newer_ones_say_as_much() -> None:
    daily = [stored(day, 10 * day) for day in range(100)]
    assert set(superseded(daily, NOW + 100 * DAY)) == {f"a{day}" for day in range(65)}
    assert superseded(daily[:6], NOW + 1000 * DAY) == [], "the last of a host that is no more stay"
    other = [stored(0, 5, "b" * 32)]
    assert "b0" not in superseded([*daily, *other], NOW + 100 * DAY), "another ledger's only one stays"


def test_a_stored_ledger_with_more_records_than_newer_ones_stays() -> None:
    """It was cut since: only this one can tell."""
    cut = [stored(0, 900), *(stored(day, 10 * day) for day in range(1, 80))]
    gone = superseded(cut, NOW + 200 * DAY)
    assert "a0" not in gone and "a1" in gone


# --- what is kept, and somebody changes ------------------------------------------------------------------------


def chained(host: Host, change: Callable[[dict[str, Any]], None]) -> Lineage:
    """What is read after somebody has changed what is kept."""
    path = host.state.root / "chain.json"
    body = json.loads(path.read_text())
    change(body["lineage"])
    path.write_text(json.dumps(body))
    return read(host.state, host.ledger)


DIFFERED = {"result": "DIFFERS", "snapshots": 3, "newest": 5, "whole": True, "problems": ["cut"]}
VERIFIED_BODY = {"records": 7, "head": "0" * 64, "summary": "EQUAL"}

CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "answered for by nobody": lambda kept: kept.update(
        lost=[], past=[[kept["lost"][0], "2024-01-01T00:00:00Z", ACKNOWLEDGED]], answers={kept["lost"][0]["ledger"]: 1}
    ),
    "answered for by another record": lambda kept: kept.update(
        lost=[], past=[[kept["lost"][0], "2026-11-24T12:00:00Z", ACKNOWLEDGED]], answers={}
    ),
    "never lost": lambda kept: kept.update(lost=[]),
    "another one": lambda kept: kept.update(ledger="0" * 32),
    "another installation": lambda kept: kept.update(installation="elsewhere"),
    "it agreed": lambda kept: kept["compared"]["p"].update(result="AGREES", problems=[]),
    "never compared": lambda kept: kept.update(compared={}),
    "it held": lambda kept: kept["verified"].update(result="HOLDS", problems=[]),
    "never verified": lambda kept: kept.update(verified=None),
}


@pytest.mark.parametrize("age", [0, 40], ids=["young", "of many segments"])
@pytest.mark.parametrize("what", CHANGES)
def test_what_is_changed_of_what_is_kept_is_not_believed_and_told(host: Host, what: str, age: int) -> None:
    host.lived()
    shutil.rmtree(host.state.ledger)
    host.lived(age)
    host.add(COMPARED, asset=None, **DIFFERED)
    host.add(VERIFIED, plan=None, asset=None, result="BROKEN", problems=["bad"], **VERIFIED_BODY)
    true = read(host.state, host.ledger)
    path = host.state.root / "chain.json"
    body = json.loads(path.read_text())
    mark = host.ledger.mark_of(host.ledger.head())
    assert mark is not None and true.changed is None and true.verified is not None
    write_kept(host.state, mark, true)  # as a run's end leaves it, though a repository says otherwise
    assert read(host.state, host.ledger) == true and not differs(host.state, host.ledger)
    found = chained(host, CHANGES[what])
    assert found.changed is not None and replace(found, changed=None) == true, (what, body)
    assert keep(host.state, host.ledger).changed is not None, "nothing makes it anew unseen"
    assert keep(host.state, host.ledger, anew=True).changed is not None and len(list(host.ledger.records())) > age


def test_what_is_older_than_the_newest_segments_the_daily_comparison_finds(host: Host) -> None:
    """That a ledger was lost by a repository's word alone, long ago, and nobody has answered."""
    host.lived()
    host.add(LOST, asset=None, ledger="a" * 32, last_seq=7, last_head="0" * 64)
    host.lived(40)
    assert [one.ledger for one in read(host.state, host.ledger).lost] == ["a" * 32]
    assert chained(host, lambda kept: kept.update(lost=[])).lost == (), "the records that it goes by say nothing of it"
    assert differs(host.state, host.ledger)


# --- several processes at once -----------------------------------------------------------------------------------


def test_two_that_keep_at_once_leave_what_the_records_say(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """One looks at the ledger, another records a comparison and keeps that, and the first goes on."""
    host.lived()
    others: list[Thread] = []

    def other() -> None:
        host.add(COMPARED, asset=None, **{**DIFFERED, "result": "AGREES", "problems": []})
        keep(host.state, host.ledger)

    def slow(state: State, ledger: Ledger) -> Lineage:
        if not others:
            others.append(Thread(target=other))
            others[0].start()
            others[0].join(0.3)
        return read(state, ledger)

    monkeypatch.setattr("ccdr.evidence.lineage.comparison.read", slow)
    keep(host.state, host.ledger)
    others[0].join()
    found = read(host.state, host.ledger)
    assert found.changed is None and found.compared["p"].result == "AGREES"
    kept = json.loads((host.state.root / "chain.json").read_text())
    assert kept["mark"]["seq"] == host.ledger.head().seq and kept["prev"] == list(host.ledger.records())[-1]["prev"]


@pytest.mark.parametrize("forged", [False, True])
def test_what_another_keeps_between_two_looks_is_no_change_of_it(
    host: Host, monkeypatch: pytest.MonkeyPatch, forged: bool
) -> None:
    """The first comparison is recorded while somebody reads; its twin: nothing is kept, and a record says that it was."""
    host.add()
    path, told = host.state.root / "chain.json", []
    looked = comparing.read_kept

    def meanwhile(state: State) -> object:
        kept = looked(state)
        if not told:
            told.append(host.add(COMPARED, asset=None, **{**DIFFERED, "result": "AGREES", "problems": []}))
            if not forged:
                mark = host.ledger.mark_of(host.ledger.head())
                assert mark is not None
                write_kept(host.state, mark, fold(host.ledger.of_itself(BEGINNING)))
        return kept

    monkeypatch.setattr(comparing, "read_kept", meanwhile)
    assert not path.exists()
    assert (read(host.state, host.ledger).changed is not None) is forged


def test_who_gets_no_turn_leaves_it_to_the_next(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.lived()
    path = host.state.root / "chain.json"
    before, seq = path.read_text(), host.add()
    monkeypatch.setattr(comparing, "KEPT_WITHIN", 2)
    with host.state.turn("chain") as mine:
        assert mine and keep(host.state, host.ledger).kept is LedgerStanding.HOLDS and path.read_text() == before
    keep(host.state, host.ledger)
    assert json.loads(path.read_text())["mark"]["seq"] == seq
