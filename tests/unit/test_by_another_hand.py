"""Whatever another hand writes into a ledger, or another machine could tell: it is read with care, ends in no error of
ours, and takes nothing back that stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.clocks import NOON, Ticking
from tests.support.records import body_of, record_in
from tests.support.sparse import history_of, sparse_record

from ccdr.evidence.incidents import due_of
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.ledger.verification import verify
from ccdr.evidence.records import Record, Unread, decode
from ccdr.evidence.verdicts import does_not_open
from ccdr.model.values import rfc3339

RUN = {"plan": "p", "asset": "crm", "run": "r"}


def line_of(record: Record, **other: object) -> bytes:
    """Its line, with other values, as whoever writes to the file may leave it."""
    return json.dumps({**msgspec.to_builtins(record), **other}, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize("far", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59.999999-05:00"])
def test_a_time_that_no_utc_holds_is_none(far: str) -> None:
    missed = sparse_record({"kind": "missed", "plan": "p", "verb": "backup", "count": 1})
    assert decode(line_of(missed)) == missed, "the twin"
    assert decode(line_of(missed, due="9999-12-31T23:59:59Z")) != missed, "the last there is"
    found = decode(line_of(missed, due=far))
    assert isinstance(found, Unread) and not found.unknown
    with pytest.raises(ValueError, match="its time"):
        decode(line_of(missed, time=far))


@pytest.mark.parametrize("facts", [{"timezone": "Nowhere/Else"}, {"prune": "never at all"}])
def test_a_version_that_this_machine_cannot_tell_the_time_by_is_not_known_here(
    tmp_path: Path, facts: dict[str, str]
) -> None:
    """It lacks a zone that another machine has: the ledger is no worse for it."""
    ledger = Ledger(tmp_path, Ticking(NOON), host="h", actor="a")
    body = body_of("plan.version")
    made = record_in(ledger, "plan.version", plan="p", asset=None, run=None, body=body)
    assert (found := verify(tmp_path)).ok and found.unknown == 0, "the twin"
    known = next(iter(ledger.as_read()))
    (path,) = tmp_path.glob("*.jsonl")
    path.write_bytes(line_of(known, facts=msgspec.to_builtins(known.facts) | facts))  # type: ignore[attr-defined]
    (other,) = ledger.as_read()
    assert made.seq == 1 and isinstance(other, Unread) and other.unknown
    assert (found := verify(tmp_path)).ok and found.unknown == 1


def clock(name: str, **of: Any) -> dict[str, Any]:
    return {"clock": name, "law": "l", "to": "authority", **of}


@pytest.mark.parametrize(
    ("zone", "length", "due"),
    [
        ("UTC", {"months": 1}, NOON.replace(month=12)),
        ("Nowhere/Else", {"months": 1}, NOON.replace(month=12)),
        ("UTC", {"months": 999_999}, NOON),
        ("UTC", {"within_s": 1e15}, NOON),
    ],
)
def test_an_incident_s_clock_that_cannot_be_counted_here_is_due_no_later(
    zone: str, length: dict[str, Any], due: Any
) -> None:
    opened = {
        "kind": "incident.opened", "plan": "p", "incident": "i-1", "timezone": zone, "aware_at": rfc3339(NOON),
        "clocks": [clock("a", within_s=60.0), clock("b", after="a", **length)],
    }  # fmt: skip
    filed = {
        "kind": "statement", "plan": "p", "says": "decide", "time": rfc3339(NOON), "files": ["f" * 64],
        "about": {"of": "filing", "incident": "i-1", "clock": "a", "filed_at": rfc3339(NOON)},
    }  # fmt: skip
    entries = history_of([opened, filed])["p", None].incidents
    (entry,) = entries.values()
    assert entry.clocks["b"].due == due and due_of(entry.clocks, "b", NOON, zone) == due


@pytest.mark.parametrize(("kind", "ends"), [("log.shipped", False), ("backup.end", True)])
def test_a_run_is_ended_by_its_end_alone(kind: str, ends: bool) -> None:
    begun = {"kind": "backup.start", **RUN}
    history = history_of([begun, {"kind": kind, **RUN, **({"result": "FAILED"} if ends else {})}])
    assert [*history["p", "crm"].open_runs] == ([] if ends else ["r"])


def test_a_repository_that_is_called_damaged_is_not() -> None:
    of = {"kind": "lock.extended", "plan": "p", "repository": "damaged"}
    assert not does_not_open(sparse_record(of))
    assert does_not_open(sparse_record({"kind": "backup.end", **RUN, "result": "FAILED", "repository": "damaged"}))


def test_what_was_asked_for_last_is_by_verbs() -> None:
    duties = sparse_record({"kind": "duties", "plan": "p"})
    assert not isinstance(decode(line_of(duties, asked_last={"test": rfc3339(NOON)})), Unread)
    assert isinstance(decode(line_of(duties, asked_last={"tests": rfc3339(NOON)})), Unread)


@pytest.mark.parametrize("of", [{"verdict": "FAIL"}, {"stops": True}])
def test_a_recovery_that_failed_says_how_far_it_was_to_go(of: dict[str, Any]) -> None:
    recovery = {"target": "latest", "until": rfc3339(NOON), **of}
    test = sparse_record({"kind": "restore_test.end", **RUN, "verdict": "FAIL", "recovery": recovery})
    whole = msgspec.to_builtins(test)["recovery"]
    assert not isinstance(decode(line_of(test)), Unread), "the twin"
    assert isinstance(decode(line_of(test, recovery=whole | {"until": None})), Unread)


def test_where_a_sandbox_lay_is_one_of_two() -> None:
    test = sparse_record({"kind": "restore_test.end", **RUN, "verdict": "INCONCLUSIVE", "snapshot": None})
    box = msgspec.to_builtins(test)["sandbox"]
    assert not isinstance(decode(line_of(test, sandbox=box | {"storage": "disk"})), Unread)
    assert isinstance(decode(line_of(test, sandbox=box | {"storage": "tape"})), Unread)
