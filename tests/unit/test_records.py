"""Each kind of record has one definition: writers keep to it, readers and the published schema come from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect
from syrupy.assertion import SnapshotAssertion
from tests.support.clocks import Ticking
from tests.support.drawn import examples
from tests.support.harness import Site
from tests.support.records import ENVELOPE, body_of, plain, record_in
from tests.support.schema import line_misfits, misfits

from ccdr.evidence.history.kinds import CLEAN, DAMAGED, DONE, FAILED, INCONCLUSIVE, STORED
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.ledger.verification import verify
from ccdr.evidence.records import (
    FIRST,
    KINDS,
    VERSIONS,
    TestEnd,
    Unread,
    decode,
    of_mapping,
    strictly,
    unknown,
    values,
)
from ccdr.evidence.records import reading as reading_module
from ccdr.evidence.records.schema import DIALECT, schema_of, schemas
from ccdr.evidence.summary import HOLDS
from ccdr.host.nearby import WORDS
from ccdr.jobs.daily_verification import BROKEN
from ccdr.jobs.restore.request import REFUSED, RESTORED
from ccdr.model import errors
from ccdr.model.errors import Exit
from ccdr.model.kinds import Word
from ccdr.model.values import ObjectiveVerdict, Verb, Verdict

SECRET = "Ionescu 0722000001"
NOW = datetime(2026, 11, 24, 2, 30, 0, 250_000, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "state/ledger", Ticking(NOW), host="db1", actor="alice")


def add(ledger: Ledger, kind: str, body: dict[str, Any]) -> None:
    record_in(ledger, kind, plan="p", asset="crm", run="r", body=body)


def lines(ledger: Ledger) -> list[bytes]:
    return b"".join(path.read_bytes() for path in sorted(ledger.directory.glob("*.jsonl"))).splitlines(keepends=True)


def line_of(**about: Any) -> bytes:
    envelope = {"seq": 1, "prev": "0" * 64, "time": "2026-11-24T02:30:00.250000Z", "host": "h", "actor": "a"}
    named = {"kind": "missed", "plan": "p", "asset": "crm", "run": "r", "version": VERSIONS["missed"]}
    return json.dumps({**envelope, **named, **about}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("full", [True, False], ids=["full", "spare"])
def test_what_is_written_is_what_is_read(
    ledger: Ledger, kind: str, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = body_of(kind, full=full)
    add(ledger, kind, body)
    monkeypatch.setattr(reading_module, "strictly", None)  # read at once: what is written reads back byte for byte
    (record,) = map(decode, lines(ledger))
    (line,) = lines(ledger)
    assert type(record) is KINDS[kind] and record.version == VERSIONS[kind]
    held = {key: value for key, value in json.loads(line).items() if key not in ENVELOPE}
    assert held == body if full else held.keys() >= body.keys()
    assert plain(record)["time"] == "2026-11-24T02:30:02.250000Z"
    assert verify(ledger.directory).ok is (body.get("spoilt") is not True) and next(ledger.records())["kind"] == kind


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("backup.end", {"resutl": "STORED"}),
        ("backup.end", {"result": SECRET}),
        ("backup.end", {"result": None}),
        ("backup.end", {"added_bytes": -1}),
        ("backup.end", {"added_bytes": 1.5}),
        ("backup.end", {"notes": SECRET}),
        ("backup.end", {"phases": {"store": -0.5}}),
        ("backup.end", {"phases": {"store": float("inf")}}),
        ("backup.end", {"tools": {"restic": 18}}),
        ("backup.end", {"snapshot": {**body_of("backup.end")["snapshot"], "id": SECRET}}),
        ("backup.end", {"snapshot": {**body_of("backup.end")["snapshot"], "id": "Z" * 64}}),
        ("backup.end", {"snapshot": {**body_of("backup.end")["snapshot"], "row": SECRET}}),
        ("backup.end", {"snapshot": {**body_of("backup.end")["snapshot"], "consistent_point": "2026-11-24T02:30:00"}}),
        ("backup.end", {"snapshot": {**body_of("backup.end")["snapshot"], "consistent_point": "2026-11-24T02:30:00+02:00"}}),
        ("backup.start", {"engine": SECRET}),
        ("restore_test.end", {"verdict": "MISSED"}),
        ("missed", {"verb": "cook"}),
        ("missed", {"due": "yesterday"}),
        ("missed", {"count": True}),
        ("policy.note", {}),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_definition_does_not_hold_is_not_written(ledger: Ledger, kind: str, change: dict[str, Any]) -> None:
    """Nor is it quoted by whoever refuses it."""
    body = body_of(kind) if kind in KINDS else {}
    with pytest.raises(ValueError, match=kind.replace(".", r"\.")) as refused:
        add(ledger, kind, {**body, **change})
    assert SECRET not in str(refused.value) and not ledger.directory.exists()
    if kind in KINDS:
        add(ledger, kind, body)  # the twin


@pytest.mark.parametrize(
    ("value", "wrong"), [(5, []), ("one", []), (["one"], []), (None, []), ("two words", ["$"]), (["a b"], ["$[0]"])]
)
def test_a_value_of_one_of_several_types_is_looked_at_as_what_it_is(value: object, wrong: list[str]) -> None:
    assert list(values.misfits(value, inspect.type_info(Word | int | list[Word] | None), "$")) == wrong


def test_every_code_that_a_program_of_ours_has_may_be_recorded() -> None:
    def codes(schema: dict[str, Any]) -> set[str]:
        return set(next(one for one in schema.get("anyOf", [schema]) if "enum" in one)["enum"])

    tested, parts = schema_of("restore_test.end")["properties"], schema_of("restore_test.end")["$defs"]
    assert (
        codes(parts["RecordedCheckResult"]["properties"]["status"])
        == codes(tested["verdict"])
        == {*Verdict} - {"MISSED"}
    )
    assert codes(parts["AchievedRpo"]["properties"]["verdict"]) == {*ObjectiveVerdict}
    assert codes(schema_of("missed")["properties"]["verb"]) == {*Verb}
    assert codes(schema_of("backup.end")["properties"]["beside_source"]) == set(WORDS)
    known = {getattr(error, "repository", None) for error in vars(errors).values() if isinstance(error, type)}
    assert codes(tested["repository"]) == {word for word in known if isinstance(word, str)}
    for kind, results in {
        "backup.end": (STORED, FAILED), "prune.end": (DONE, FAILED), "check.end": (CLEAN, DAMAGED, INCONCLUSIVE),
        "restore.end": (RESTORED, FAILED, REFUSED), "group": ("COMPLETE", "INCOMPLETE"), "ledger.verified": (HOLDS, BROKEN),
    }.items():  # fmt: skip
        assert codes(schema_of(kind)["properties"]["result"]) == set(results), kind


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_counts_may_be_left_out(ledger: Ledger, kind: str) -> None:
    spare = body_of(kind, full=False)
    for key in spare:
        with pytest.raises(ValueError, match=key if key in schema_of(kind)["required"] else kind):
            add(ledger, kind, {name: value for name, value in spare.items() if name != key})
    assert not ledger.directory.exists()


# --- of before, of later, and of another hand ----------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", [None, 1, FIRST - 1])
def test_of_before_the_first_release_nothing_is_read(kind: str, version: int | None) -> None:
    """Though it has all that today's has."""
    body = json.loads(line_of(kind=kind, **body_of(kind)))
    body = {key: value for key, value in (body | {"version": version}).items() if value is not None or key != "version"}
    record = decode(json.dumps(body, separators=(",", ":")).encode() + b"\n")
    assert isinstance(record, Unread) and record.unknown and record.kind == kind and VERSIONS[kind] >= FIRST


def test_a_ledger_of_before_the_first_release_is_refused_in_one_sentence(tmp_path: Path, ledger: Ledger) -> None:
    site = Site(tmp_path)
    for _ in range(3):
        ledger._append({"kind": "missed", "plan": "p", "asset": "crm", "run": "r", "version": 3, **body_of("missed")})
    done = site.run("ledger", "verify", str(ledger.directory))
    assert done.code == Exit.NOT_CARRIED_OUT and done.json["unknown"] == 3 and done.json["ok"], done
    (said,) = [note for note in done.json["notes"] if "before the first release" in note]
    assert said.startswith("3 records") and str(FIRST) in said


def test_only_the_envelopes_version_is_taken_for_it() -> None:
    """An asset may be called `version`."""
    body = body_of("prune.end") | {"kept": {"a": 1, "version": 2, "z": 3}}
    today = line_of(kind="prune.end", **body)
    spaced = today.replace(b'"version":4', b'"version": 4')
    assert plain(decode(today))["kept"] == plain(decode(spaced))["kept"] == body["kept"] and today != spaced
    of_before = decode(line_of(kind="prune.end", **body | {"version": 3, "kept": {"version": 4}}))
    assert isinstance(of_before, Unread) and of_before.unknown


@pytest.mark.parametrize(
    "about",
    [
        {"kind": "restore_test.end", "version": 5, "verdict": "PASS"},
        {"kind": "restore_test.end", "version": 5, **body_of("restore_test.end")},
        {"kind": "restore_test.end", "version": "4", **body_of("restore_test.end")},
        {"kind": "policy.note", "version": 4, "verdict": "PASS"},
        {"kind": "policy.note", "verdict": "PASS"},
    ],
    ids=["later", "later, though it fits", "strange", "unknown kind", "unknown kind, no version"],
)
def test_what_a_later_ccdr_wrote_is_told_from_what_is_not_there(about: dict[str, Any]) -> None:
    record = decode(line_of(**about))
    assert isinstance(record, Unread) and record.unknown and record.kind == about["kind"]
    assert (record.plan, record.asset, record.seq) == ("p", "crm", 1) and unknown(json.loads(line_of(**about)))


@pytest.mark.parametrize("change", [{"verdict": "PERFECT"}, {"extra": 1}, {"checks": None}], ids=str)
def test_what_no_ccdr_wrote_so_is_a_finding(ledger: Ledger, change: dict[str, Any], wording: SnapshotAssertion) -> None:
    body, where = (
        body_of("restore_test.end"),
        {"kind": "restore_test.end", "plan": "p", "asset": "crm", "run": "r", "version": 4},
    )
    ledger._append({**where, **body})
    assert verify(ledger.directory).ok, "the twin"
    ledger._append({**where, **body, **change})
    good, bad = map(decode, lines(ledger))
    assert isinstance(good, TestEnd) and isinstance(bad, Unread) and not bad.unknown
    (problem,) = verify(ledger.directory).problems
    assert problem == wording(name="a problem")


def test_a_ledger_with_records_of_a_later_ccdr_is_not_called_good(tmp_path: Path, ledger: Ledger) -> None:
    """The chain holds them, and what they tell is not known: `verify` is INCONCLUSIVE, and says so."""
    site = Site(tmp_path)
    add(ledger, "missed", body_of("missed"))
    assert site.run("ledger", "verify").code == Exit.OK, "the twin"
    fields = {"kind": "restore_test.end", "plan": "p", "asset": "crm", "run": "r", "version": 5, "verdict": "PASS"}
    ledger._append({**fields, "new": {}})
    done = site.run("ledger", "verify", str(ledger.directory))
    assert done.code == Exit.NOT_CARRIED_OUT and done.json["unknown"] == 1 and done.json["ok"], done


# --- safety -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["backup.end", "restore_test.end"])
@pytest.mark.parametrize(
    ("what", "by"),
    [
        (b'"reason":"text"', b'"reason":"text","reason":"text"'),
        (b'"reason":"text"', b'"reason":"text","rea\\u0073on":"other"'),
        (b'"bytes":7', b'"bytes":7,"bytes":8'),
        (b'{"name":0.1}', b'{"name":0.1,"name":0.1}'),
        (b'{"name":0.1}', b'{"name":NaN}'),
        (b'{"name":0.1}', b'{"name":Infinity}'),
        (b'"reason":"text"', b'"reason":"\xff"'),
        (b'"host":"db1"', b'"host":"db1","host":"db2"'),
        (b"}\n", b"} {}\n"),
        (b"}\n", b"}"),
        (b'"seq":1', b'"seq":1.0'),
    ],
    ids=str,
)
def test_what_two_readers_may_read_differently_is_no_record(ledger: Ledger, kind: str, what: bytes, by: bytes) -> None:
    add(ledger, kind, body_of(kind))
    (line,) = lines(ledger)
    assert isinstance(decode(line), KINDS[kind])
    assert what in line
    at = line.rindex(what) if what == b"}\n" else line.index(what)
    with pytest.raises(ValueError):
        decode(line[:at] + by + line[at + len(what) :])


@settings(max_examples=examples(100), deadline=None)
@given(data=st.data())
def test_the_quick_reader_takes_nothing_that_the_careful_one_would_not(data: st.DataObject) -> None:
    """Whatever was done to a line: a piece of it doubled, taken out, put elsewhere, a byte changed."""
    kind, version = data.draw(st.sampled_from(sorted(KINDS))), data.draw(st.sampled_from([3, 4, 5]))
    line = line_of(**body_of(kind, full=data.draw(st.booleans())) | {"kind": kind, "version": version})
    for _ in range(data.draw(st.integers(0, 2))):
        parts = re.split(rb'(?<=[,{\[])|(?=[,}\]:"])', line)
        at, to = (data.draw(st.integers(0, len(parts) - 1)) for _ in range(2))
        changed = {
            "doubled": [*parts[: at + 1], *parts[at:]],
            "gone": [*parts[:at], *parts[at + 1 :]],
            "moved": [*parts[:to], parts[at], *parts[to:]],
            "byte": [*parts[:at], parts[at] + data.draw(st.binary(max_size=1)), *parts[at + 1 :]],
            "key twice": [*parts[:at], b'"version":4,', *parts[at:]],
        }
        line = b"".join(changed[data.draw(st.sampled_from(sorted(changed)))])
    try:
        found = decode(line)
    except ValueError:
        with pytest.raises(ValueError):
            of_mapping(strictly(line if line.endswith(b"\n") else b"cut off"))
    else:
        assert found == of_mapping(strictly(line)) and line.endswith(b"\n")


def test_what_is_written_otherwise_and_means_the_same_is_read_with_care(ledger: Ledger) -> None:
    add(ledger, "backup.end", body_of("backup.end"))
    (line,) = lines(ledger)
    spaced = json.dumps(json.loads(line)).encode() + b"\n"
    swapped = json.dumps(dict(reversed(json.loads(line).items())), separators=(",", ":")).encode() + b"\n"
    assert decode(spaced) == decode(swapped) == decode(line)


def test_a_name_that_is_no_utf8_is_kept_and_read(ledger: Ledger) -> None:
    add(ledger, "sandbox.reap", {"removed": ["scratch a\udcff"]})
    (record,) = map(decode, lines(ledger))
    assert plain(record)["removed"] == ["scratch a\udcff"] and verify(ledger.directory).ok


def test_the_kind_is_that_of_the_record_and_no_text_can_pass_for_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger", Ticking(NOW), host='","kind":"backup.end', actor='x","kind":"backup.end"')
    add(ledger, "missed", body_of("missed"))
    (record,) = map(decode, lines(ledger))
    assert record.kind == "missed" and type(record) is KINDS["missed"]


# --- the schema ---------------------------------------------------------------------------------------


def test_every_kind_has_a_schema_that_says_what_its_values_mean() -> None:
    for kind, schema in schemas().items():
        assert schema["$schema"] == DIALECT and schema["$id"] == f"urn:ccdr:record:{kind}:{VERSIONS[kind]}"
        assert schema["properties"]["kind"] == {"const": kind} and schema["description"]
        assert not schema["additionalProperties"]
        for name, part in schema.get("$defs", {}).items():
            assert not part["additionalProperties"] and part["description"], name
    assert {ref.rpartition("/")[2] for ref in refs(schema_of("restore_test.end"))} == set(
        schema_of("restore_test.end")["$defs"]
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("full", [True, False], ids=["full", "spare"])
def test_a_reader_that_has_the_schema_alone_says_the_same(ledger: Ledger, kind: str, full: bool) -> None:
    add(ledger, kind, body_of(kind, full=full))
    (line,) = lines(ledger)
    assert line_misfits(line) == []
    record, schema = json.loads(line), schema_of(kind)
    for key in record:
        if key in schema["required"]:
            assert list(misfits({k: v for k, v in record.items() if k != key}, schema, schema)), key
        assert list(misfits(record | {key: [None]}, schema, schema)), key
    assert list(misfits(record | {"more": 1}, schema, schema))


def refs(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"]
        for inner in schema.values():
            yield from refs(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from refs(inner)


def test_the_program_publishes_them(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert site.run("ledger", "schema", "restore_test.end").json == schema_of("restore_test.end")
    assert site.run("ledger", "schema").json == {"schemas": schemas()}
    assert site.run("ledger", "schema", "policy.note").code == Exit.USAGE
    listed, _ = site.start("ledger", "schema").communicate()
    assert all(kind in listed for kind in KINDS)
    shown, _ = site.start("ledger", "schema", "missed").communicate()
    assert json.loads(shown) == schema_of("missed")


def test_what_a_schema_says_is_the_same_whichever_python_made_it() -> None:
    """Since 3.13 Python takes the indentation out of docstrings: nothing of that may be left in what others verify."""

    def texts(of: object) -> Iterator[str]:
        for one in of.values() if isinstance(of, dict) else of if isinstance(of, list) else ():
            yield from texts(one)
        if isinstance(of, dict) and isinstance(of.get("description"), str):
            yield of["description"]

    said = [text for schema in schemas().values() for text in texts(schema)]
    assert len(said) > 500 and not [text for text in said if "\n" in text or "  " in text]
