"""Whose a signed statement is, says the file of who may sign that a verifier has; a record's own word is a claim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.harness import Ran, Site
from tests.support.records import body_of, record_in, record_kind
from tests.support.signed import PRESENT, VERIFIED, SecurityKey, signers
from tests.support.sparse import recorded_statement

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.records.registry import KINDS
from ccdr.evidence.records.statements import APPROVE_PLAN, SIGN_PERIOD, STATEMENT, TABLE
from ccdr.evidence.statements import signatures_of, signed_in
from ccdr.evidence.whose import HOLDS, whose
from ccdr.host.clock import SystemClock
from ccdr.host.processes import Host
from ccdr.host.signatures import SignatureRefused, verify
from ccdr.jobs.statements import Statements, verified_as, verified_by
from ccdr.model.errors import UsageProblem

OTHER = "f" * 64
SIGNABLE = [kind for kind, row in TABLE.items() if row.signed is not False]
Change = Callable[[dict[str, Any]], object]


@dataclass
class Room:
    """`ana@x` and `dan@x` may sign; what they signed is recorded in a ledger of its own."""

    root: Path

    def __post_init__(self) -> None:
        self.keys = {"ana@x": SecurityKey(), "dan@x": SecurityKey()}
        self.file = signers(self.root / "allowed_signers", {name: key.public for name, key in self.keys.items()})
        self.ledger = Ledger(self.root / "ledger", SystemClock(), host="h", actor="root")
        self.site = Site(self.root, bare=True)

    def signed(
        self,
        kind: str,
        *,
        by: SecurityKey | None = None,
        flags: int = PRESENT | VERIFIED,
        body: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """A body of this kind that Ana has signed, and where two have to, Dan; or this key in their names."""
        body = body or body_of(kind)
        for claimed in [body[name] for name in ("by", "requested") if body[name]]:
            claimed["name"] = "dan@x" if claimed is body.get("requested") else "ana@x"
            claimed["key"] = self.fingerprint(by or self.keys[claimed["name"]])
            claimed["user_verified"] = True
        for one in signatures_of(recorded_statement("p", body)):
            key = by or self.keys[one.by.name]
            signature = key.signed(one.text, namespace=one.namespace, flags=flags)
            next(c for c in (body["by"], body["requested"]) if c and c["name"] == one.by.name)["signature"] = signature
        return body

    def fingerprint(self, key: SecurityKey) -> str:
        text, own = "text", signers(self.root / "own", {"x": key.public}).read_text()
        return verify(text, key.signed(text, namespace="n"), own, "n", Host()).key

    def record(self, kind: str, body: dict[str, Any]) -> int:
        return record_in(self.ledger, record_kind(kind), plan="p", asset=None, run=None, body=body).seq

    def verified(self, *words: str) -> Ran:
        return self.site.run("ledger", "verify", str(self.ledger.directory), *words)

    def by_file(self) -> Ran:
        return self.verified("--signers", str(self.file))


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_a_statement_alone_has_signatures() -> None:
    with_one = {kind for kind, of in KINDS.items() if "SignedBy" in str(of.__annotations__)}
    assert with_one == {STATEMENT} and len({row.to for row in TABLE.values()}) == len(TABLE)


def test_without_a_file_of_who_may_sign_nobody_s_statements_are_verified(room: Room) -> None:
    assert (twin := room.verified("--signers", str(room.file))).code == 2, twin  # no ledger yet
    room.record("approve.plan", room.signed("approve.plan"))
    done = room.verified()
    assert (done.code, done.json["says"], len(done.json["not_judged"])) == (3, "internally consistent", 1), done
    assert done.json["statements"] == {"signed": 1, "held": [], "refused": []}


@pytest.mark.parametrize("kind", SIGNABLE)
def test_what_they_signed_is_theirs_by_the_verifier_s_file(room: Room, kind: str) -> None:
    room.record(kind, room.signed(kind))
    done = room.by_file()
    assert (done.code, done.json["ok"]) == (0, True), done
    by = ["ana@x", *(["dan@x"] if TABLE[kind].asked else [])]
    assert [(one["kind"], one["by"], one["count"]) for one in done.json["statements"]["held"]] == [
        (kind, name, 1) for name in by
    ]


def test_what_one_person_has_asked_for_and_approved_under_two_names_is_nobody_s(room: Room) -> None:
    """The twin is above: two keys."""
    room.keys["dan@x"] = room.keys["ana@x"]
    signers(room.file, {name: key.public for name, key in room.keys.items()})
    wrong = room.record("approve.operation", room.signed("approve.operation"))
    done = room.by_file()
    assert (done.code, done.json["statements"]["refused"]) == (1, [wrong]), done


@pytest.mark.parametrize("kind", SIGNABLE)
def test_a_key_that_the_verifier_does_not_know_signs_in_nobody_s_name(room: Room, kind: str) -> None:
    """Root writes the record, and signs it by a key of its own."""
    room.record(kind, room.signed(kind))
    wrong = room.record(kind, room.signed(kind, by=SecurityKey()))
    done = room.by_file()
    assert (done.code, done.json["statements"]["refused"]) == (1, [wrong]), done
    assert [one["code"] for one in done.json["findings"]] == ["STATEMENT_REFUSED"]
    assert {one["count"] for one in done.json["statements"]["held"]} == {1}


def about(**other: object) -> Change:
    return lambda body: body["about"].update(other)


FORGED: dict[str, tuple[str, Change]] = {
    "a name of another": ("approve.plan", lambda body: body["by"].update(name="dan@x")),
    "a key of another": ("approve.plan", lambda body: body["by"].update(key=f"SHA256:{'A' * 43}")),
    "a second factor that was not": ("approve.plan", lambda body: body["by"].update(user_verified=None)),
    "another version": ("approve.plan", about(digest=OTHER)),
    "a later day": ("approve.plan", lambda body: body.update(until="2099-01-01T00:00:00Z")),
    "another file": ("declare.part", lambda body: body.update(files=[OTHER])),
    "a file more": ("declare.part", lambda body: body["files"].append(OTHER)),
    "other words": ("declare.part", lambda body: body.update(words_sha256=OTHER)),
    "words of another review": ("review.glass", lambda body: body.update(words_sha256=OTHER)),
    "its end": ("declare.part", lambda body: body.update(says="end", until=None, files=[])),
    "another period": ("period.population", about(ends="2099-01-01T00:00:00Z")),
    "other rows": ("period.population", about(population_sha256=OTHER)),
    "another snapshot": ("approve.operation", about(snapshots=[OTHER])),
    "another export": ("review.access", about(export_sha256=OTHER)),
    "another deviation": ("accept.finding", about(deviation="0" * 8)),
    "another glass": ("review.glass", about(glass="0" * 32)),
}


@pytest.mark.parametrize("forged", FORGED)
def test_what_was_not_signed_is_refused_by_its_number(room: Room, forged: str) -> None:
    kind, change = FORGED[forged]
    body = room.signed(kind)
    change(body)
    wrong = room.record(kind, body)
    done = room.by_file()
    assert (done.code, done.json["statements"]) == (1, {"signed": 1, "held": [], "refused": [wrong]}), done


def test_what_was_signed_once_is_in_one_record(room: Room) -> None:
    """A ledger holds each signature: who reads it can record it again, once it has ended, or another came after it."""
    body = room.signed("declare.part")
    room.record("declare.part", body)
    again = room.record("declare.part", body)
    assert room.by_file().json["statements"]["refused"] == [again]


def test_what_is_dated_after_its_record_is_refused(room: Room) -> None:
    body = body_of("declare.part") | {"made": "2099-01-01T00:00:00Z"}
    wrong = room.record("declare.part", room.signed("declare.part", body=body))
    assert room.by_file().json["statements"]["refused"] == [wrong]


def test_a_key_that_did_not_know_its_user_is_no_second_factor(room: Room) -> None:
    wrong = room.record("approve.plan", room.signed("approve.plan", flags=PRESENT))
    assert room.by_file().json["statements"]["refused"] == [wrong]


def test_a_key_holds_for_the_time_that_the_verifier_says(room: Room) -> None:
    room.record("approve.plan", room.signed("approve.plan"))
    ana = {"ana@x": room.keys["ana@x"].public}
    signers(room.file, ana, options='valid-before="20200101"')
    assert room.by_file().code == 1
    signers(room.file, ana, options='valid-after="20200101"')
    assert room.by_file().code == 0, "the twin"


def test_who_has_not_signed_makes_no_statement_of_theirs(room: Room) -> None:
    room.record("declare.part", body_of("declare.part") | {"by": None})
    done = room.verified()
    assert (done.code, done.json["statements"]["signed"]) == (0, 0), done


@pytest.mark.parametrize(
    ("kind", "line", "other"),
    [
        ("declare.part", "files: ", None),
        ("declare.part", "scope: ", "scope: -"),
        ("declare.part", "scope: ", f"scope: {'a' * 64}"),
        ("review.access", "not-read: ", "not-read: /etc/shadow"),
        ("review.access", "not-read: ", "\n".join(["not-read: a role"] * 41)),
        ("accept.finding", "code: ", f"code: {'A' * 129}"),
        ("approve.plan", "digest: ", f"digest: {'x' * 64}"),
    ],
)
def test_a_text_that_ccdr_would_not_write_is_none(kind: str, line: str, other: str | None) -> None:
    of = TABLE[kind]
    text = of.recorded(recorded_statement("p", body_of(kind))).text()
    assert of.read(text).text() == text, "the twin"
    before = next(one for one in text.splitlines() if one.startswith(line))
    with pytest.raises(UsageProblem):
        of.read(text.replace(f"{before}\n", "" if other is None else f"{other}\n"))


@given(st.text(max_size=40), st.dictionaries(st.text(max_size=20), st.integers(0, 9), max_size=3))
def test_no_two_statements_make_the_same_text(host: str, accounts: dict[str, int]) -> None:
    """Also where another hand's record holds line ends: it takes no line that was signed for a value of its own."""
    body = body_of(SIGN_PERIOD.kind)
    of = SIGN_PERIOD.recorded(
        recorded_statement(None, body | {"about": body["about"] | {"on": host, "accounts": accounts}})
    )
    keys = [line.partition(": ")[0] for line in of.text().split("\n")[1:-1]]
    assert keys.count("findings") == 1 and keys.count("accounts") == len(accounts)
    assert SIGN_PERIOD.read(of.text()) == of


NEEDED: dict[str, Any] = {"until": "2026-11-24T02:30:00Z", "words_sha256": OTHER, "files": [OTHER]}


@pytest.mark.parametrize("kind", TABLE)
def test_a_record_that_the_table_does_not_have_is_not_written(room: Room, kind: str) -> None:
    """Nor read: without a signature where it has to have one, without an end, words or a file, or with one too many."""
    row, body = TABLE[kind], body_of(kind)
    room.record(kind, body)  # the twin
    changed = {"until": None, "words_sha256": None, "files": []}
    wrong = [{name: changed[name] if body[name] else NEEDED[name]} for name in NEEDED if name not in row.may]
    wrong += [{"says": "approve" if row.says != "approve" else "accept"}]
    signature = body_of("approve.plan")["by"]
    wrong += [] if row.signed is None else [{"by": None if row.signed else signature}]
    wrong += [{"requested": None if row.asked else body_of("approve.operation")["requested"]}]
    for change in wrong:
        with pytest.raises(ValueError, match="statement"):
            room.record(kind, body | change)


def test_what_holds_for_a_while_holds_for_no_longer_than_the_table_says() -> None:
    """But an approval of a plan: for that the plan itself says how long."""
    now, lasting = (
        datetime(2026, 11, 24, tzinfo=UTC),
        [row for row in TABLE.values() if "until" in (*row.needs, *row.may)],
    )
    assert {row.kind for row in lasting if not row.longest} == {APPROVE_PLAN.kind}
    assert not [row.kind for row in TABLE.values() if row.longest and row not in lasting]
    for row in lasting:
        assert row.end_of(now + timedelta(days=4000), now) == now + row.longest
        assert row.end_of(now, now) == now


# The same without a command: what each rule does alone.


def judged(room: Room) -> Statements:
    return verified_by(signed_in(room.ledger.directory), room.file.read_text())


def test_what_holds_is_counted_by_its_kind_and_by_whose_it_is(room: Room) -> None:
    for kind in ("approve.plan", "approve.operation", "approve.operation"):
        body = body_of(kind)
        body["nonce"] = f"{len([*room.ledger.records()]):032}"
        room.record(kind, room.signed(kind, body=body))
    found = judged(room)
    told = {("approve.operation", "ana@x"): 2, ("approve.operation", "dan@x"): 2, ("approve.plan", "ana@x"): 1}
    assert found.held == told and not found.refused
    held = [{"kind": kind, "by": name, "count": many} for (kind, name), many in told.items()]
    assert found.as_json() == {"signed": 3, "held": held, "refused": []}
    assert len(found.sentences()) == 3 and Statements(3).sentences() == [] and len(Statements(3).unproven) == 1


@pytest.mark.parametrize("claim", [{"name": "dan@x"}, {"key": f"SHA256:{'A' * 43}"}, {"user_verified": None}])
def test_a_claim_of_another_signer_key_or_factor_is_refused(room: Room, claim: dict[str, Any]) -> None:
    body = room.signed("approve.plan")
    wrong = room.record("approve.plan", body | {"by": body["by"] | claim})
    assert judged(room).as_json()["refused"] == [wrong]


def test_one_key_under_two_names_is_one_person(room: Room) -> None:
    room.keys["dan@x"] = room.keys["ana@x"]
    signers(room.file, {name: key.public for name, key in room.keys.items()})
    wrong = room.record("approve.operation", room.signed("approve.operation"))
    assert judged(room).as_json()["refused"] == [wrong]


def test_what_nobody_signed_is_as_it_was_and_what_holds_no_text_is_refused(room: Room) -> None:
    places, unsigned = [room.file.read_text()], recorded_statement("p", body_of("declare.part") | {"by": None})
    assert verified_as(unsigned, places, Host()) is unsigned
    body = room.signed("approve.plan")
    signed_ = recorded_statement("p", body | {"time": body["made"]})
    assert whose(verified_as(signed_, places, Host())).state == HOLDS
    assert whose(verified_as(replace(signed_, nonce="0" * 32), places, Host())).refused


def test_whoever_may_not_say_it_is_refused_whether_they_signed_or_not(room: Room) -> None:
    def nobody(*_: object) -> None:
        raise SignatureRefused("did_it", "it was them")

    body = room.signed("approve.plan")
    unsigned = recorded_statement("p", body_of("declare.part") | {"by": None, "actor": "ana"})
    for one in (recorded_statement("p", body | {"time": body["made"]}), unsigned):
        told = whose(verified_as(one, [room.file.read_text()], Host(), nobody))
        assert told.refused and told.why == "it was them"


def test_each_kind_holds_for_no_longer_than_its_table_says() -> None:
    days = {kind: row.longest / timedelta(days=1) for kind, row in TABLE.items() if row.longest}
    assert days == {
        "approve.operation": 7, "declare.part": 3 * 366, "review.access": 92, "accept.finding": 366,
        "assign.finding": 366, "acknowledge.trouble": 90, "pause.schedule": 1,
    }  # fmt: skip


def test_a_line_of_several_values_that_lacks_one_is_no_text(room: Room) -> None:
    text = SIGN_PERIOD.recorded(recorded_statement(None, body_of("period.population"))).text()
    (line,) = (line for line in text.split("\n") if line.startswith("read-with: "))
    with pytest.raises(UsageProblem):
        SIGN_PERIOD.read(text.replace(line, line.rpartition(" ")[0]))
