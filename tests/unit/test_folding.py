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

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.drawn import examples
from tests.support.ledgers import make, segments
from tests.support.records import body_of
from tests.support.years import Centre, write_ledger

from ccdr.evidence import reading
from ccdr.evidence.folding import Fold, read_folded
from ccdr.evidence.ledger.places import BEGINNING, Mark
from ccdr.evidence.ledger.verification import Verification
from ccdr.evidence.summing import Expected, Summing

CENTRE = Centre(3, 2, datetime(2026, 11, 20, tzinfo=UTC), 6, timedelta(hours=6), timedelta(days=1), manifests=False)
Lines = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def however_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WORTH_IT", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three plans, and what is of none of them."""
    directory = tmp_path_factory.mktemp("original") / "ledger"
    write_ledger(CENTRE, directory)
    made = make(directory)
    for kind in ("ledger.verified", "ledger.acknowledged"):
        made.append(kind, plan=None, asset=None, run=None, body=body_of(kind))
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
            latest="2099-01-01T00:00:00Z" if wrong == "the latest" else kept.latest,
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


@pytest.mark.parametrize("change", [another_plans_end, plan_last, no_kind])
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


def test_who_is_killed_has_folded_nothing(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = by_one(ledger, None, monkeypatch)
    monkeypatch.setattr(reading, "_carry_out", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    found, parted = in_parts(ledger)
    assert (found, parted) == (alone, False)


def test_of_what_is_kept_nothing_is_sent_where_nobody_wants_it(ledger: Path) -> None:
    _, fold = read_folded(ledger, None, keeps=False)
    assert not fold.others
    assert set(fold.of_plans) == {(None, None), *((CENTRE.plan_name(n), None) for n in range(CENTRE.plans))}
