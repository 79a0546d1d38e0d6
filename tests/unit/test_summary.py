"""The summary that the daily verification keeps: reading on from it is reading everything, and nobody believes one that
is not as the ledger says."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site
from tests.support.recorded import VERDICTS, backup, check, test
from tests.support.records import record_in
from tests.support.sparse import append_sparse, history_of, sparse_record

from ccdr.evidence import folding as summing
from ccdr.evidence import summary
from ccdr.evidence.ledger.ledger import Mark
from ccdr.evidence.records import LedgerVerified, MissedRuns, TestEnd
from ccdr.evidence.summary import Summary
from ccdr.jobs.daily_verification import compare, daily, verify_now
from ccdr.jobs.services import Services
from ccdr.model.values import RULES

step = st.tuples(
    st.sampled_from(["stored", "failed", "crashed", "duties", "prune", "check", "summed", "asked", *VERDICTS]),
    st.sampled_from("ab"),
)


def small(site: Site) -> Services:
    """In segments of a few records."""
    services = site.services()
    services.ledger.segment_bytes = 900
    return services


def files(services: Services) -> list[Path]:
    return sorted(services.state.index.glob("histories-*"))


@given(st.lists(step, max_size=25))
def test_reading_on_from_it_is_reading_everything_and_nobody_suspects_it(steps: list[tuple[str, str]]) -> None:
    """Whenever it was made, whatever came after, and whatever the same process has read before."""
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "MANY", 2)
        services = small(Site(Path(place)))
        ledger, made = services.ledger, False
        for n, (what, asset) in enumerate(steps):
            if what == "summed":
                made = made or ledger.head().seq > 0
                verify_now(services)
            elif what == "asked":
                assert services.histories() == history_of(ledger.records())
            elif what in VERDICTS:
                test(ledger, f"t{n}", f"{asset}-b{n % 3}", what, asset, RULES[n % 4])
            elif what == "duties":
                asked = {"verbs": ["backup", "test"][: n % 3], "gained": [], "lost": []}
                append_sparse(ledger, "duties", plan="p", asset=None, run=None, body=asked)
            elif what == "prune":
                gone = [{"asset": asset, "id": f"{asset}-b{m}"} for m in range(n)]
                body = {"result": "DONE", "removed": gone}
                append_sparse(ledger, "prune.end", plan="p", asset=None, run="r", body=body)
            elif what == "check":
                check(ledger, "CLEAN" if n % 2 else "DAMAGED", n % 4 + 1)
            else:
                backup(ledger, f"b{n}", asset, result=what.upper(), ends=what != "crashed")
        found = compare(services)
        assert not found.problems and found.summary == ("EQUAL" if made else "NONE") and len(files(services)) == made
        assert services.histories() == history_of(ledger.records())


@pytest.fixture
def services(tmp_path: Path) -> Services:
    """A ledger with a summary of its first week, whose newest test is FAIL; after that there is another backup."""
    made = Site(tmp_path).services()
    for n in range(8):
        backup(made.ledger, f"b{n}", result="FAILED" if n == 3 else "STORED")
    test(made.ledger, "t1", "a-b1", "FAIL")
    check(made.ledger, "CLEAN", 2)
    verify_now(made)
    backup(made.ledger, "b8")
    return made


def read(path: Path) -> Summary:
    return msgspec.msgpack.decode(path.read_bytes(), type=Summary)


def green(said: Summary) -> Summary:
    """Nothing ever failed."""
    of = said.known
    known = of["p", "a"]
    assert known.last_test is not None
    passed = sparse_record(
        {"kind": "restore_test.end", "plan": "p", "asset": "a", "run": "t1", "verdict": "PASS", "snapshot": {}}
    )
    assert isinstance(passed, TestEnd)
    good = replace(
        known, failure=None, unmended=[], last_test=passed, last_conclusive_test=passed, proven={"a-b1": "PASS"}
    )
    return replace(said, histories=[(*key, good if key == ("p", "a") else one) for key, one in of.items()])


def elsewhere(**mark: Any) -> Callable[[Summary], Summary]:
    return lambda said: replace(green(said), mark=Mark(**{**msgspec.to_builtins(said.mark), **mark}))


EDITS: dict[str, Callable[[Summary], Summary]] = {
    "nothing failed": green,
    "nothing is known": lambda said: replace(said, histories=[]),
    "another asset": lambda said: replace(said, histories=[*said.histories, ("p", "ghost", said.known["p", "a"])]),
    "of a place that skips the newest": elsewhere(seq=10**9),
    "of a place outside": elsewhere(segment="../../etc/passwd"),
    "of nothing": elsewhere(start=10, end=10, hash=sha256(b"").hexdigest()),
    "of another format": lambda said: replace(green(said), format=said.format + 1),
    "of other ledgers too": lambda said: replace(green(said), beside=[["x", 1, "y", True, []]]),
}


@pytest.mark.parametrize("edit", EDITS)
def test_one_that_was_edited_is_not_read_and_is_found(
    services: Services, edit: str, wording: SnapshotAssertion
) -> None:
    (path,) = files(services)
    truth = services.histories()
    assert truth == history_of(services.ledger.records()) and compare(services).summary == "EQUAL"
    path.write_bytes(msgspec.msgpack.encode(EDITS[edit](read(path))))
    assert services.histories() == truth
    found = compare(services)
    assert found.summary == "DIFFERS" and found.problems[0].replace(path.name, "FILE") == wording(name="a problem")
    verify_now(services)
    assert compare(services).summary == "EQUAL", "it was made anew"


@pytest.mark.parametrize("contents", [b"", b"{", b"\x93\x01", None, "directory"])
def test_one_that_is_damaged_or_gone_is_made_anew(services: Services, contents: bytes | str | None) -> None:
    (path,) = files(services)
    path.unlink()
    if isinstance(contents, bytes):
        path.write_bytes(contents)
    elif contents:
        path.mkdir()
    assert services.histories() == history_of(services.ledger.records())
    if isinstance(contents, str):
        path.rmdir()
    verify_now(services)
    assert compare(services).summary == "EQUAL" and len(files(services)) == 1


def test_one_that_a_record_was_forged_for_is_found_within_a_day(services: Services) -> None:
    """Whoever may append to the ledger may have it say that his summary is the one that was made: until all of it is
    read again."""
    (path,) = files(services)
    forged = msgspec.msgpack.encode(green(read(path)))
    path.write_bytes(forged)
    newest = next(services.ledger.newest(LedgerVerified))
    body = {key: getattr(newest, key) for key in ("result", "reason", "records", "head", "summary", "problems")}
    index = {path.name: sha256(forged).hexdigest()}
    record_in(services.ledger, "ledger.verified", plan=None, asset=None, run=None, body={**body, "index": index})
    assert services.histories()["p", "a"].failure is None, "else nothing was forged"
    found = compare(services)
    assert found.summary == "DIFFERS" and "status` was not to be believed" in found.problems[0]
    verify_now(services)
    assert services.histories()["p", "a"].failure is not None


def test_one_of_another_ledger_does_not_count(services: Services) -> None:
    shutil.rmtree(services.ledger.directory)
    backup(services.ledger, "new", result="FAILED")
    assert services.histories() == history_of(services.ledger.records())


def test_after_an_upgrade_all_is_read_until_it_is_made_anew_within_an_hour_and_nothing_is_suspected(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = summary.FORMAT + 1
    for room in (summary, summing):
        monkeypatch.setattr(room, "FORMAT", newer)
    assert services.histories() == history_of(services.ledger.records())
    assert compare(services).summary == "NONE" and not compare(services).problems
    before = list(services.ledger.newest(LedgerVerified))
    daily(services)
    assert list(services.ledger.newest(LedgerVerified)) == before
    monkeypatch.setattr("ccdr.jobs.daily_verification.SOON", timedelta(0))
    daily(services)
    assert compare(services).summary == "EQUAL"


def test_who_is_killed_before_it_is_recorded_leaves_the_one_that_was(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(services)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("ccdr.jobs.daily_verification._record", killed)
        verify_now(services)
    assert compare(services).summary == "EQUAL" and before[0] in files(services)
    verify_now(services)
    assert compare(services).summary == "EQUAL" and len(files(services)) == 1


@pytest.mark.parametrize("changed", [b'"a-bX0', b'"a-b5"'])
def test_a_ledger_that_does_not_hold_any_more_gets_none_and_work_goes_on_by_the_one_that_was(
    services: Services, changed: bytes
) -> None:
    """Even where an old line is no record any more, so that not all of it can be read."""
    before, truth = files(services), services.histories()
    (segment,) = services.ledger.directory.glob("*.jsonl")
    whole = segment.read_bytes()
    segment.write_bytes(whole.replace(b'"a-b50', changed))
    verify_now(services)
    assert next(services.ledger.newest(LedgerVerified)).result == "BROKEN"
    known = services.histories()
    assert [span.code for span in known[None, None].deviations.spans] == ["LEDGER_BROKEN"]  # that is new, and so told
    known[None, None].deviations.spans.clear()
    assert files(services) == before and known == truth
    segment.write_bytes(segment.read_bytes().replace(changed, b'"a-b50'))
    assert compare(services).summary == "EQUAL"


def test_it_does_not_matter_that_it_cannot_be_written(services: Services) -> None:
    shutil.rmtree(services.state.index)
    services.state.index.write_text("in the way")
    verify_now(services)
    assert services.histories() == history_of(services.ledger.records())


def test_the_newest_of_a_kind_is_found_from_the_end_and_nothing_else_is_taken_for_it(tmp_path: Path) -> None:
    ledger = small(Site(tmp_path)).ledger
    assert not list(ledger.newest(MissedRuns))
    for n in range(20):
        append_sparse(
            ledger,
            "missed" if n < 12 else "duties",
            plan="p",
            asset="a",
            run=f"r{n}",
            body={"count": n + 1} if n < 12 else {},
        )
    append_sparse(ledger, "duties", plan='"kind":"missed"', asset="a", run="x", body={})
    assert len(list(ledger.directory.glob("*.jsonl"))) > 2
    assert [r.run for r in ledger.newest(MissedRuns)] == [f"r{n}" for n in reversed(range(12))]
    last = max(ledger.directory.glob("*.jsonl"))
    whole = last.read_bytes()
    last.write_bytes(whole + b'{"seq":22,"kind":"missed"')
    assert next(ledger.newest(MissedRuns)).run == "r11", "torn"
    os.truncate(last, len(whole))
