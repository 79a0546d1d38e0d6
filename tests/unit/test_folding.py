"""A ledger of several plans, folded by several processes, comes to what one would have made of it; or it is one."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.drawn import examples
from tests.support.ledgers import by_several, make, segments
from tests.support.records import body_of, record_in, record_kind
from tests.support.years import Centre, write_ledger

from ccdr.evidence import reading
from ccdr.evidence.folding import Expected, Fold, Summing, read_folded
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.ledger.ledger import BEGINNING, Mark
from ccdr.evidence.ledger.verification import Verification
from ccdr.evidence.population import ALONE
from ccdr.evidence.summary import File
from ccdr.model.values import utc

CENTRE = Centre(3, 2, datetime(2026, 11, 20, tzinfo=UTC), 6, timedelta(hours=6), timedelta(days=1), manifests=False)
Lines = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def however_small(monkeypatch: pytest.MonkeyPatch) -> None:
    by_several(monkeypatch)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three plans, and what is of none of them."""
    directory = tmp_path_factory.mktemp("original") / "ledger"
    write_ledger(CENTRE, directory)
    made = make(directory)
    for kind in ("ledger.verified", "answer.ledger"):
        record_in(made, record_kind(kind), plan=None, asset=None, run=None, body=body_of(kind))
    return directory


@pytest.fixture
def ledger(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "ledger")


def marks_of(directory: Path) -> list[Mark]:
    return [mark for mark, _ in make(directory).after(BEGINNING)]


def kept_at(directory: Path, mark: Mark) -> Expected:
    """What a summary says that was made up to this mark."""
    summing = Summing()
    for at, record in make(directory).after(BEGINNING):
        if at.seq <= mark.seq:
            summing.take(record)
    encoded = {place: sha256(of).digest() for place, of in summing.each_encoded()}
    return Expected(mark, summing.latest, encoded)


def comes_to(found: tuple[Verification, Fold]) -> dict[str, Any]:
    verification, fold = found
    histories = fold.summing.encoded() | fold.others
    return {
        "verification": verification, "latest": fold.summing.latest, "alike": fold.alike, "wrong": sorted(fold.wrong),
        "gaps": [str(gap) for gap in fold.due.gaps()], "histories": histories, "plans": sorted(map(str, fold.of_plans)),
        "file": sorted(b"".join(fold.up_to(BEGINNING))),
    }  # fmt: skip


def by_one(directory: Path, expected: Expected | None, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    with monkeypatch.context() as patch:
        patch.setattr(reading, "WORTH_IT", 10**12)
        verification, fold = read_folded(directory, expected, keeps=True)
        assert not fold.others
        return comes_to((verification, fold))


def in_parts(directory: Path, expected: Expected | None = None) -> tuple[dict[str, Any], bool]:
    """What it comes to, and whether it was folded in parts."""
    verification, fold = read_folded(directory, expected, keeps=True)
    return comes_to((verification, fold)), bool(fold.others)


@pytest.mark.parametrize("at", [0, 57, -1])
def test_a_whole_ledger_comes_to_the_same_in_parts(ledger: Path, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = kept_at(ledger, marks_of(ledger)[at])
    found, parted = in_parts(ledger, expected)
    assert parted and found["alike"] and found["verification"].ok
    assert found == by_one(ledger, expected, monkeypatch)
    assert len({plan for plan, _ in found["histories"] if plan}) == CENTRE.plans


@pytest.mark.parametrize("wrong", ["a history", "one too many", "one too few", "the latest", "the mark"])
def test_a_summary_that_says_otherwise_is_found(ledger: Path, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of either part: each history in turn."""
    kept = kept_at(ledger, marks_of(ledger)[-2])
    for place, digest in kept.histories.items():
        changed = dict(kept.histories)
        changed[place] = bytes(32) if wrong == "a history" else digest
        if wrong == "one too few":
            del changed[place]
        if wrong == "one too many":
            changed[f"{place[0]}-x", place[1]] = digest
        expected = replace(
            kept,
            histories=changed,
            latest=utc("2099-01-01T00:00:00Z") if wrong == "the latest" else kept.latest,
            mark=replace(kept.mark, hash="0" * 64) if wrong == "the mark" else kept.mark,
        )
        found, parted = in_parts(ledger, expected)
        assert parted and found["verification"].ok and not found["alike"]
    assert found == by_one(ledger, expected, monkeypatch)


def rewritten(directory: Path, change: Callable[[Lines], None]) -> None:
    """By somebody who numbers and chains anew."""
    lines = [json.loads(line) for path in segments(directory) for line in path.read_bytes().splitlines()]
    change(lines)
    raw, prev = [], "0" * 64
    for number, record in enumerate(lines, start=1):
        one = {"seq": number, "prev": prev} | {k: v for k, v in record.items() if k not in ("seq", "prev")}
        raw.append(json.dumps(one, separators=(",", ":")).encode() + b"\n")
        prev = sha256(raw[-1]).hexdigest()
    for path in segments(directory):
        path.unlink()
    (directory / "000000000001.jsonl").write_bytes(b"".join(raw))


def another_plans_end(lines: Lines) -> None:
    end = next(one for one in lines[60:] if one["kind"] == "backup.end")
    end["plan"] = next(one["plan"] for one in lines if one["plan"] != end["plan"])


def plan_last(lines: Lines) -> None:
    """In a record's body stands what its envelope has in any other."""
    record = lines[60]
    plan = record.pop("plan")
    record["trigger"] = {"plan": "inbound", "by": "run", "due": None}
    record["plan"] = plan


def no_kind(lines: Lines) -> None:
    lines[61]["result"] = "PERHAPS"


def of_itself_under_a_plan(lines: Lines) -> None:
    """It is of the host, whatever it says."""
    lines[-1]["plan"] = "inbound"


def a_start_that_cannot_be_read(lines: Lines) -> None:
    """A later ccdr wrote it: its end may be another plan's, for all that is known here."""
    start = next(one for one in lines[60:] if one["kind"] == "backup.start")
    start["version"] = 99


def a_plan_that_is_called_like_a_copy(lines: Lines) -> None:
    for one in lines:
        one["plan"] = "outbound@second" if one["plan"] == "inbound" else one["plan"]


def a_run_of_two_plans(lines: Lines) -> None:
    """Begun by a record that nothing is taken from, and by another plan's; ended as the first."""
    start = next(one for one in lines[60:] if one["kind"] == "backup.start")
    other = next(one for one in lines[60:] if one["kind"] == "backup.start" and one["plan"] != start["plan"])
    start["version"], other["run"] = 99, start["run"]


HOW = [
    another_plans_end, plan_last, no_kind, of_itself_under_a_plan, a_start_that_cannot_be_read,
    a_plan_that_is_called_like_a_copy, a_run_of_two_plans,
]  # fmt: skip


@pytest.mark.parametrize("change", HOW)
def test_what_cannot_be_parted_is_folded_by_one(
    ledger: Path, change: Callable[[Lines], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rewritten(ledger, change)
    found, parted = in_parts(ledger)
    assert not parted and found == by_one(ledger, None, monkeypatch)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_was_done_to_it(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    ledger = tmp_path / "ledger"
    shutil.rmtree(ledger, ignore_errors=True)
    shutil.copytree(original, ledger)
    path = segments(ledger)[0]
    lines = path.read_bytes().splitlines(keepends=True)
    at, to = data.draw(st.integers(0, len(lines) - 1)), data.draw(st.integers(0, len(lines) - 1))
    how = data.draw(st.sampled_from(["lost", "doubled", "swapped", "of another plan", "byte", "none", "plan twice"]))
    plans = [b'"plan":"outbound"', b'"plan":"inbound"', b'"plan":"collections"', b'"plan":null', b'"plan" :"inbound"']
    was = next((one for one in plans if one in lines[at]), plans[0])
    if how == "lost":
        del lines[at]
    elif how == "doubled":
        lines.insert(to, lines[at])
    elif how == "swapped":
        lines[at], lines[to] = lines[to], lines[at]
    elif how == "of another plan":
        lines[at] = lines[at].replace(was, data.draw(st.sampled_from(plans)), 1)
    elif how == "plan twice":
        lines[at] = lines[at].replace(was, was + b"," + data.draw(st.sampled_from(plans)), 1)
    elif how == "byte":
        byte = data.draw(st.integers(0, len(lines[at]) - 1))
        lines[at] = lines[at][:byte] + data.draw(st.binary(min_size=1, max_size=1)) + lines[at][byte + 1 :]
    path.write_bytes(b"".join(lines))
    assert in_parts(ledger)[0] == by_one(ledger, None, monkeypatch)


def test_no_other_history_makes_room_for_a_forged_one(ledger: Path) -> None:
    """What the ledger tells of itself, once under a plan of the second part: each has a history of the host."""
    rewritten(ledger, of_itself_under_a_plan)
    kept = kept_at(ledger, marks_of(ledger)[-1])
    assert in_parts(ledger, kept)[0]["alike"]
    forged = replace(kept, histories={**kept.histories, ("C", "z"): bytes(32)})
    assert not in_parts(ledger, forged)[0]["alike"]


ODD: dict[str, Callable[[dict[str, Any]], object]] = {
    "an entry that is a number": lambda of: of["histories"].append(7),
    "an entry of two": lambda of: of["histories"].append(["p", "a"]),
    "a place that is a number": lambda of: of["histories"].append([1, "a", {}]),
    "a place twice": lambda of: of["histories"].insert(0, ["p", "a", {"first": None}]),
    "a key more": lambda of: of.update(more=1),
    "no time": lambda of: of.pop("latest"),
    "a time that is a number": lambda of: of.update(latest=7),
    "no histories": lambda of: of.pop("histories"),
    "a text": lambda of: of.update(histories="none"),
}


@pytest.mark.parametrize("odd", [None, *ODD])
def test_a_file_that_no_ccdr_has_made_so_is_like_nothing(odd: str | None) -> None:
    summing = Summing(latest=utc("2026-11-20T00:00:00Z"))
    summing.known["p", "a"] = AssetHistory()
    mark = Mark("000000000001.jsonl", 0, 9, 1, "0" * 64)
    made = msgspec.msgpack.decode(b"".join(summing.up_to(mark)))
    if odd is not None:
        ODD[odd](made)
    histories = made.pop("histories", None)
    last = {} if histories is None else {"histories": histories}
    contents = msgspec.msgpack.encode(made | last)
    if isinstance(histories, list):  # as ccdr writes a list's length
        contents = b"".join([msgspec.msgpack.encode(made | {"histories": []})[:-1], b"\xdd",
                             len(histories).to_bytes(4, "big"), *map(msgspec.msgpack.encode, histories)])  # fmt: skip
    expected = File("histories-000000000001.state", contents, as_recorded=True).expected(ALONE)
    assert expected is not None and expected.is_of(summing) is (odd is None)


def test_who_is_killed_has_folded_nothing(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = by_one(ledger, None, monkeypatch)
    monkeypatch.setattr(reading, "_carry_out", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    found, parted = in_parts(ledger)
    assert (found, parted) == (alone, False)


def test_of_what_is_kept_nothing_is_sent_where_nobody_wants_it(ledger: Path) -> None:
    _, fold = read_folded(ledger, None, keeps=False)
    assert not fold.others
    assert set(fold.of_plans) == {(None, None), *((CENTRE.plan_name(n), None) for n in range(CENTRE.plans))}
