"""What people state holds from when it was stated until its own end, for what it is about, and is shown by its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.records import body_of, record_in, record_kind
from tests.support.sparse import recorded_statement, sparse_record

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.statements import judge_people
from ccdr.evidence.judgement.statements import refused as refused_of
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.records import VERSIONS, StatementRecord, of_mapping
from ccdr.evidence.records.statements import (
    APPROVE_PLAN,
    DECLARE_PART,
    HEAD,
    SIGN_PERIOD,
    STATEMENT,
    TABLE,
    MeasurePart,
    PeriodPopulation,
    Row,
    Statement,
    kind_of,
)
from ccdr.evidence.statements import (
    AHEAD,
    ATTESTABLE,
    SIGNATURE,
    Attestation,
    attested_until_of,
    item_of,
    judge,
    key_of,
    named_for,
    names_somebody,
    nonce,
    not_known,
    person,
    refuse_until,
    same_files,
    scope_of,
    signatures_of,
    signed_in,
    signed_record,
    standing,
    told_of_not_known,
    until_of,
    written_later,
)
from ccdr.evidence.whose import HOLDS, NOT_ASKED, REFUSED, UNREADABLE, seen, whose
from ccdr.host.clock import SystemClock
from ccdr.model.errors import UsageProblem
from ccdr.model.trouble import Trouble
from ccdr.model.values import rfc3339

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
BY = {"name": "ana@x", "key": "SHA256:k", "user_verified": True, "signature": "s"}
WORDS, F, G, H, J = ("0123f"[n] * 64 for n in range(5))  # digests


def said(item: str = "siem", *, at: datetime = NOW, days: float = 300, seq: int = 7, **more: Any) -> StatementRecord:
    """The record of an attestation."""
    record = sparse_record({
        "kind": STATEMENT, "says": "declare", "about": {"of": "part", "item": item}, "time": rfc3339(at), "seq": seq,
        "until": rfc3339(at + days * DAY), "words_sha256": WORDS, "files": [F], "by": None, "actor": "root", **more,
    })  # fmt: skip
    assert isinstance(record, StatementRecord)
    return record


ENDED: dict[str, Any] = {"says": "end", "until": None, "files": []}


def scoped(item: str, scope: str | None) -> dict[str, Any]:
    return {"of": "part", "item": item, "scope": scope}


def recorded(row: Row[Any], body: Mapping[str, Any], plan: str | None = "p") -> Statement[Any]:
    """What such a line states. UsageProblem where it is no record."""
    head = {"version": VERSIONS[STATEMENT], "plan": plan, "asset": None, "run": None}
    envelope = {"seq": 1, "prev": F, "time": rfc3339(NOW), "host": "h", "actor": "root", "kind": STATEMENT}
    made = of_mapping({**envelope, **head, **body})
    if not isinstance(made, StatementRecord) or made.row is not row:
        raise UsageProblem("no record of it")
    return row.recorded(made)


# --- until when ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "until"),
    [
        ("90s", NOW + 90 * SECOND),
        ("2026-11-24", datetime(2026, 11, 25, tzinfo=UTC)),  # to the end of today
        ("2026-11-24T12:00:01.7Z", NOW + SECOND),
        ("9999-12-30", datetime(9999, 12, 31, tzinfo=UTC)),
        ("999999999d", datetime.max.replace(tzinfo=UTC, microsecond=0)),
    ],
)
def test_until_is_whole_seconds_and_as_far_as_there_are_days(written: str, until: datetime) -> None:
    assert until_of(written, NOW, "14d") == until


@pytest.mark.parametrize("written", ["2026-11-24T12:00:00Z", "2026-11-23", "9999-12-31", "20261224", "２０２６-12-24"])
def test_until_is_neither_now_nor_what_no_clock_shows(written: str) -> None:
    with pytest.raises(UsageProblem, match="--for") as refused:
        until_of(written, NOW, "14d", option="--for")
    assert "14d" in str(refused.value.hint)


def test_an_attestation_is_for_no_longer_than_what_it_states_can_hold() -> None:
    longest = ATTESTABLE["host-patching"].longest
    assert longest == 31 * DAY and ATTESTABLE["host-patching"].until == "31d"
    assert attested_until_of("31d", "host-patching", NOW) == NOW + longest
    for written in ("32d", rfc3339(NOW + longest + SECOND)):
        with pytest.raises(UsageProblem) as refused:
            attested_until_of(written, "host-patching", NOW)
        assert "31d" in str(refused.value.hint)
    with pytest.raises(UsageProblem, match="past"):
        attested_until_of("2026-11-23", "host-patching", NOW)
    refuse_until(NOW + SECOND, "host-patching", NOW)
    with pytest.raises(UsageProblem, match="past"):
        refuse_until(NOW, "host-patching", NOW)
    assert {one.longest.days for one in ATTESTABLE.values()} == {31, 92, 366, 3 * 366}
    assert [name for name, one in ATTESTABLE.items() if one.happened] == ["penetration-test"]


def test_a_record_that_says_more_holds_no_longer() -> None:
    """Whoever wrote it."""
    assert Attestation.of(said("host-patching", days=300)).valid_until == NOW + 31 * DAY
    assert Attestation.of(said("host-patching", days=3)).valid_until == NOW + 3 * DAY


def test_an_attestation_holds_from_its_record_to_its_end() -> None:
    one = Attestation.of(said(days=100))
    assert [one.holds(at) for at in (NOW - AHEAD - SECOND, NOW - AHEAD, NOW + 100 * DAY - SECOND, NOW + 100 * DAY)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert (one.state(NOW), one.state(NOW + 100 * DAY)) == ("valid", "STALE")


@pytest.mark.parametrize(("item", "days", "told_before"), [("siem", 300, 30), ("siem", 120, 30), ("siem", 20, 5)])
def test_its_end_is_told_a_month_before_or_in_its_last_quarter(item: str, days: float, told_before: float) -> None:
    one = Attestation.of(said(item, days=days))
    end = NOW + days * DAY
    assert one.ends_soon(end - told_before * DAY) and not one.ends_soon(end - told_before * DAY - SECOND)
    assert not one.ends_soon(end)


# --- what stands --------------------------------------------------------------------------------------------------


def test_an_attestation_is_as_its_record_says() -> None:
    one = Attestation.of(said("siem", about=scoped("siem", "cluj"), by=BY, files=[F, G]))
    assert (one.item, one.scope, one.name, one.made) == ("siem", "cluj", "siem of cluj", NOW)
    assert (one.by, one.key, one.user_verified) == ("ana@x", "SHA256:k", True)
    assert (one.statement, one.evidence, one.seq, one.whose.signed) == (WORDS, (F, G), 7, True)
    own = Attestation.of(said())
    assert (own.by, own.key, own.user_verified, own.name, own.whose.signed) == ("root", None, None, "siem", False)


def test_what_was_ended_stands_no_more() -> None:
    newest = {"b": said(seq=8), "a": said(seq=9), "c": said(**ENDED)}
    assert [one.seq for one in standing(newest)] == [9, 8]


def test_a_part_is_its_item_and_its_scope() -> None:
    each = [
        MeasurePart(item=item, scope=scope) for item, scope in (("siem", None), ("siem", "cluj"), ("policies", "cluj"))
    ]
    each += [MeasurePart(item="siem"), MeasurePart(item="siem", scope="None")]
    assert len({key_of(one) for one in each}) == 4 and key_of(each[0]) == key_of(each[3])


def test_one_file_for_several_items_is_told_of_each() -> None:
    there = [
        said("siem", seq=1, files=[F, G]), said("instructions", seq=2, files=[G, H]),
        said("siem", seq=3, about=scoped("siem", "cluj"), files=[F]), said("assistance", seq=4, files=[J]),
        said("card-data", seq=5, files=[H, G]),
    ]  # fmt: skip
    assert same_files([Attestation.of(one) for one in there]) == {
        1: ["card-data", "instructions"], 2: ["card-data", "siem"], 5: ["instructions", "siem"],
    }  # fmt: skip


def test_what_is_stale_is_told_since_its_end_and_what_ends_soon_with_its_next_step() -> None:
    newest = {"a": said(days=100), "b": said("host-patching", days=31, about=scoped("host-patching", "db1"))}
    assert list(judge(newest, NOW)) == []
    (soon,) = judge(newest, NOW + 25 * DAY)
    assert (soon.trouble, soon.about, soon.since) == (Trouble.ATTESTATION_ENDS, "host-patching of db1", None)
    assert "ccdr attest host-patching --of db1 " in str(soon.step) and "--until 31d" in str(soon.step)
    stale, also = judge(newest, NOW + 100 * DAY)
    assert (stale.trouble, stale.about, stale.since) == (Trouble.ATTESTATION_STALE, "siem", NOW + 100 * DAY)
    assert "--of" not in str(stale.step) and "--until 366d" in str(stale.step)
    assert (also.trouble, also.since) == (Trouble.ATTESTATION_STALE, NOW + 31 * DAY)


def test_what_is_nobody_s_is_told_by_its_number_beside_what_is_stale() -> None:
    forged = seen(said(by=BY, seq=12), REFUSED, "it is not among them")
    review = seen(said(by=BY, seq=13, says="review", about={"of": "access"}, files=[]), REFUSED, "no")
    other = seen(
        said(by=BY, seq=14, says="approve", about={"of": "plan"}, files=[], words_sha256=None),
        REFUSED,
        "PLAN_UNAPPROVED tells of it",
    )
    history = AssetHistory(attested={"a": said(days=1)}, refused=[forged, review, other])
    told = list(refused_of(history))
    assert [one.about for one in told] == ["declare.part 12", "review.access 13"]
    assert {(one.trouble, one.since) for one in told} == {(Trouble.STATEMENT_REFUSED, NOW)}
    assert "record 12" in told[0].text and "ana@x" in told[0].text and "it is not among them" in told[0].text
    assert [one.trouble.name for one in judge_people(history, NOW + 2 * DAY)] == [
        "STATEMENT_REFUSED", "STATEMENT_REFUSED", "ATTESTATION_STALE",
    ]  # fmt: skip


# --- by whom ------------------------------------------------------------------------------------------------------


def test_whose_it_is_says_who_verified_it() -> None:
    claimed = said(by=BY)
    own = whose(said())
    assert (own.name, own.signed, own.state, own.refused) == ("root", False, None, False)
    assert str(own).startswith("root, ")
    for state in (None, HOLDS, REFUSED, UNREADABLE):
        one = whose(claimed if state is None else seen(claimed, state, "why"))
        assert (one.name, one.signed, one.state, one.refused) == ("ana@x", True, state, state == REFUSED)
        assert one.why == ("" if state is None else "why")
    texts = [str(whose(seen(claimed, state))) for state in (HOLDS, REFUSED, UNREADABLE)]
    assert texts[0] == "ana@x" and REFUSED in texts[1] and REFUSED not in texts[2] and texts[2] == str(whose(claimed))
    assert NOT_ASKED not in {HOLDS, REFUSED, UNREADABLE}


def test_an_account_that_names_nobody_is_counted() -> None:
    accounts = {"root": 2, "uid 1001": 3, "(not a name)": 5, "alice": 7}
    assert [name for name in accounts if names_somebody(name)] == ["alice"]
    given = PeriodPopulation(**{**_population(), "accounts": accounts, "tests_by_command": 17})
    assert not_known(given) == 10 and "10 of 17" in told_of_not_known(given)
    assert told_of_not_known(PeriodPopulation(**{**_population(), "accounts": {"alice": 7}})) == ""


def _population() -> dict[str, Any]:
    about = dict(body_of("period.population")["about"])
    del about["of"]
    return about


def test_one_person_has_many_spellings() -> None:
    assert {person(name) for name in ("alice", "alice@db1", "Alice@example.com", "CORP\\alice", "CORP\\Alice@x")} == {
        "alice"
    }
    assert person("bob@alice") == "bob"


def test_who_is_named_for_an_item_is_named_by_any_plan_once() -> None:
    def plan(declarations: dict[str, list[str]]) -> Any:
        return SimpleNamespace(plan=SimpleNamespace(declarations=declarations))

    names = [f"{letter}@x" for letter in "hgfedcba"]
    plans = [plan({"siem": names, "assistance": ["eve@x"]}), plan({"siem": ["a@x"]}), plan({})]
    assert named_for("siem", plans) == sorted(names) and named_for("card-data", plans) == []


def test_an_item_and_a_scope_are_words_that_there_are() -> None:
    assert item_of("siem") == "siem" and scope_of("a.b-c_D+1") == "a.b-c_D+1" and scope_of("x" * 63) == "x" * 63
    for wrong in ("", "-", "x" * 64, "a b", "ă", "a\n"):
        with pytest.raises(UsageProblem):
            scope_of(wrong)
    with pytest.raises(UsageProblem) as refused:
        item_of("training")
    assert all(name in str(refused.value.hint) for name in ATTESTABLE)


# --- one text, one record -----------------------------------------------------------------------------------------


def made(at: datetime, recorded: datetime) -> StatementRecord:
    return said(at=recorded, made=rfc3339(at))


def test_what_was_written_before_takes_the_place_of_nothing() -> None:
    there = made(NOW, NOW)
    assert written_later(made(NOW - DAY, NOW + DAY), None), "there is none"
    assert [written_later(made(NOW + n * SECOND, NOW + DAY), there) for n in (-1, 0, 1)] == [False, False, True]


def test_one_that_was_dated_ahead_of_its_record_hinders_none() -> None:
    """By a clock that was wrong for longer than a few minutes."""
    assert written_later(made(NOW, NOW), made(NOW + AHEAD + SECOND, NOW))
    assert not written_later(made(NOW, NOW), made(NOW + AHEAD, NOW))


def test_no_two_texts_have_one_nonce() -> None:
    assert len(nonce()) == 32 and int(nonce(), 16) >= 0 and nonce() != nonce()


def test_a_statement_s_kind_is_what_it_says_of_what() -> None:
    assert kind_of(said(**ENDED)) == "end.part" and kind_of(said()) == "declare.part"
    assert kind_of(sparse_record({"kind": "ledger.verified"})) == "ledger.verified"


def test_a_line_that_is_no_statement_s_is_nobody_s() -> None:
    """What is no record at all is a finding of the verification."""
    assert signed_record(json.dumps({"kind": "backup.end"}).encode()) is None
    assert signed_record(b"{" + SIGNATURE) is None


def test_every_signed_record_of_a_ledger_is_found_in_order_and_no_other(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger", SystemClock(), host="h", actor="root")
    kinds = ["approve.plan", "declare.part", "plan.stored", "approve.operation"]
    for kind in kinds:
        record_in(ledger, record_kind(kind), plan="p", asset=None, run="r", body=body_of(kind))
    unsigned = body_of("declare.part") | {"by": None}
    record_in(ledger, "statement", plan="p", asset=None, run=None, body=unsigned)
    there = signed_in(ledger.directory)
    assert [(record.seq, kind_of(record)) for record in there] == [
        (1, "approve.plan"), (2, "declare.part"), (4, "approve.operation"),
    ]  # fmt: skip
    assert [len(signatures_of(record)) for record in there] == [1, 1, 2]
    assert [one.namespace for one in signatures_of(there[2])] == ["ccdr-request", "ccdr-approval"]
    assert signatures_of(recorded_statement("p", unsigned)) == []


def test_what_somebody_typed_is_said_back_as_far_as_a_line_takes_it() -> None:
    typed = "x" * 99
    for refuse in (
        lambda: until_of(typed, NOW, "14d"), lambda: scope_of(typed), lambda: item_of(typed),
        lambda: DECLARE_PART.read(f"{HEAD}\nto: {typed}\n"),
    ):  # fmt: skip
        with pytest.raises(UsageProblem) as refused:
            refuse()
        assert f"'{typed[:40]}'" in str(refused.value)


def test_two_clocks_may_differ_by_five_minutes() -> None:
    assert timedelta(minutes=5) == AHEAD


# --- its text -----------------------------------------------------------------------------------------------------


def statement(kind: str) -> Statement[Any]:
    return recorded(TABLE[kind], body_of(kind))


@pytest.mark.parametrize("kind", [kind for kind, row in TABLE.items() if row.signed is not False])
def test_a_text_is_of_its_kind_and_of_no_other(kind: str) -> None:
    row, text = TABLE[kind], statement(kind).text()
    assert row.read(text).text() == text and text.startswith(f"{HEAD}\nto: {row.to}\n")
    for other in TABLE.values():
        if other is not row:
            with pytest.raises(UsageProblem) as refused:
                other.read(text)
            assert repr(row.to)[1:-1] in str(refused.value) and other.to in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["", "\n", f"{HEAD}\n", f"{HEAD}\nto\n", statement("approve.plan").text().replace("format 4", "format 3")],
)
def test_what_is_no_such_text_at_all_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="was changed"):
        APPROVE_PLAN.read(text)


def test_a_line_that_nobody_reads_is_another_text() -> None:
    text = statement("approve.plan").text()
    for more in ("to: approve a plan\n", "words: x\n", "plan: p\n", "\n", "x\n"):
        with pytest.raises(UsageProblem):
            APPROVE_PLAN.read(text + more)


def test_the_same_numbers_in_another_order_are_the_same_text() -> None:
    """A record's mappings have no order of their own."""
    body = body_of("period.population")

    def text(accounts: dict[str, int]) -> str:
        return recorded(SIGN_PERIOD, body | {"about": body["about"] | {"accounts": accounts}}, None).text()

    assert text({"bo": 1, "al": 2}) == text({"al": 2, "bo": 1}) != text({"al": 1, "bo": 2})


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (APPROVE_PLAN, {"asks": "true"}),
        (SIGN_PERIOD, {"rows": "7"}),
        (DECLARE_PART, {"item": "no such item"}),
        (DECLARE_PART, {"of": "plan"}),
    ],
)
def test_a_record_that_only_looks_like_it_is_what_nobody_signed(row: Row[Any], change: dict[str, Any]) -> None:
    body = body_of(row.kind)
    recorded(row, body)  # the twin
    with pytest.raises(UsageProblem):
        recorded(row, body | {"about": body["about"] | change})


def test_a_statement_s_record_has_the_plan_in_its_envelope() -> None:
    one = statement("approve.plan")
    assert "plan" not in one.body() and one.body()["about"] == body_of("approve.plan")["about"]
    assert one.expiry == one.until and one.row is APPROVE_PLAN
    with pytest.raises(AssertionError):
        _ = statement("period.population").expiry


@pytest.mark.parametrize("host", ["a\nb", "a\\nb", "\\", "\n", "a\\\n\\nb"])
def test_a_line_end_in_a_value_is_none_in_the_text(host: str) -> None:
    body = body_of("period.population")
    one = recorded(SIGN_PERIOD, body | {"about": body["about"] | {"on": host}})
    assert SIGN_PERIOD.read(one.text()).about.on == host
    assert one.text().count("\n") == recorded(SIGN_PERIOD, body).text().count("\n")


def test_what_is_to_be_signed_always_never_or_as_whoever_states_it_wants() -> None:
    by = {signed: {kind for kind, row in TABLE.items() if row.signed is signed} for signed in (None, True, False)}
    once = {kind for kind, row in TABLE.items() if row.namespace == "ccdr-statement"}
    assert {*once} == {kind for kind in TABLE if kind.startswith(("answer.", "decide.", "end."))} - {"end.part"}
    assert by[None] == {"declare.part", "end.part", "review.access", "review.handover"} | once
    assert by[True] == {"approve.plan", "approve.operation", "review.glass", "accept.finding", "period.population"}
    assert len(by[False]) == len(TABLE) - 9 - len(once) and all(not TABLE[kind].namespace for kind in by[False])


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("approve.plan", {"nonce": "0" * 33}),
        ("approve.plan", {"nonce": "0" * 31}),
        ("accept.finding", {"about": {"deviation": "0" * 7}}),
        ("accept.finding", {"about": {"deviation": "0" * 9}}),
        ("review.access", {"about": {"not_read": ["x" * 101]}}),
        ("review.access", {"about": {"not_read": ["x"] * 41}}),
        ("declare.part", {"about": {"scope": "x" * 64}}),
    ],
)
def test_a_value_that_is_too_long_or_too_short_is_none(kind: str, change: dict[str, Any]) -> None:
    body = body_of(kind)
    about = body["about"] | change.pop("about", {})
    with pytest.raises(UsageProblem):
        recorded(TABLE[kind], body | change | {"about": about})


@pytest.mark.parametrize("kind", TABLE)
def test_what_the_table_does_not_have_is_no_statement(kind: str) -> None:
    """Without what it needs, with what it has no use for, or of a kind that says it of something else."""
    row, body = TABLE[kind], body_of(kind)
    recorded(row, body)  # the twin
    given: dict[str, Any] = {"until": rfc3339(NOW), "words_sha256": "f" * 64, "files": ["f" * 64]}
    none: dict[str, Any] = {"until": None, "words_sha256": None, "files": []}
    wrong = [{name: none[name] if body[name] else given[name]} for name in given if name not in row.may]
    for change in [*wrong, {"says": "approve" if row.says != "approve" else "accept"}]:
        with pytest.raises(UsageProblem):
            recorded(row, body | change)
