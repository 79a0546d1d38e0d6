"""Whose signature a version of a plan takes, and what an operation takes that two people sign: who may, for what, here,
now and once. Without a repository: what is removed then is tested in tests/faults/upkeep."""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from tests.support.clocks import NOON, Clock
from tests.support.harness import Site
from tests.support.records import body_of, record_in
from tests.support.signed import PRESENT, SecurityKey, key, signed, signers
from tests.support.sparse import sparse_record

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.lineage.comparison import read
from ccdr.evidence.payloads import payload
from ccdr.evidence.records import StatementRecord
from ccdr.evidence.records.statements import (
    APPROVE_OPERATION,
    APPROVE_PLAN,
    REVIEW_HANDOVER,
    STATEMENT,
    RequestedOperation,
    ScheduleRef,
    Statement,
)
from ccdr.evidence.records.values import Claims, RecordedUser
from ccdr.evidence.statements import Operation, signatures_of
from ccdr.evidence.whose import HOLDS, whose
from ccdr.host.signatures import SignatureRefused, Signer
from ccdr.jobs import in_force
from ccdr.jobs.approvals import (
    FREELY,
    NOTHING,
    Allowed,
    ApprovalRefused,
    ApprovedPlan,
    Given,
    NotApproved,
    Wanted,
    allowed,
    approve,
    believed,
    block_of,
    holds,
    not_here,
    request,
    reviewed,
    scheduled,
    signed_by,
    to_approve,
    to_be_approved,
    to_be_reviewed,
    to_review,
    told_of,
)
from ccdr.jobs.services import Hand, Services
from ccdr.jobs.signatories import accounts_of
from ccdr.jobs.statement_records import digest_of_shown, record_statement, signed_by_any, stated
from ccdr.model.errors import UsageProblem
from ccdr.model.values import AHEAD, rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.versions import digest_of, files_of

LONGEST = APPROVE_OPERATION.longest
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
MONTH = timedelta(days=30)
SNAPSHOTS = ["b" * 64, "a" * 64]


class Room:
    """A plan that Ana and Dan may approve; Ana asks with a key of hers in a file, Dan has a security key."""

    def __init__(self, root: Path, ana: Path) -> None:
        self.site, self.clock = Site(root, bare=True), Clock(NOON)
        self.ana, self.dan, self.eve = ana, SecurityKey(), SecurityKey()
        self.signers = root / "signers"
        self.may({"ana@x": ana, "dan@x": self.dan.public})
        self.plan()

    def may(self, keys: dict[str, Path | str]) -> None:
        signers(self.signers, keys)

    def plan(self, more: str = "", *, block: bool = True, rest: str = "") -> None:
        extra = f"approval: {{signers: {self.signers}, review: 30d{more}}}\n" if block else ""
        self.site.plan("crm: {engine: files, paths: [/spool]}", extra=extra + rest)

    @property
    def loaded(self) -> LoadedPlan:
        return self.site.loaded()

    @property
    def services(self) -> Services:
        return self.site.services(self.clock)

    @property
    def digest(self) -> str:
        return digest_of(files_of(self.loaded))

    def approved(self, text: str | None = None, by: SecurityKey | None = None, **more: Any) -> ApprovedPlan:
        text = to_approve(self.loaded, self.services).text() if text is None else text
        return approve(self.loaded, self.services, text, (by or self.dan).signed(text, **more))

    def wanted(self, operation: Operation = Operation.PRUNE, about: str | None = None) -> Wanted:
        return Wanted(operation, self.loaded, about)

    def asked(self, lasts: timedelta = HOUR, **more: Any) -> Given:
        """What Ana asks for, and Dan has signed."""
        asked, requested = request(self.wanted(), self.services, self.ana, lasts, SNAPSHOTS, **more)
        return Given(asked.text(), requested, self.dan.signed(asked.text()))

    def of(self, **about: Any) -> Given:
        """Another text, that both have signed as it is."""
        text, _ = request(self.wanted(), self.services, self.ana, HOUR, SNAPSHOTS)
        body = text.body() | {"plan": about.pop("plan", "p")}
        body |= {name: about.pop(name) for name in ("made", "until") if name in about}
        made = msgspec.convert(body | {"about": body["about"] | about}, Statement[RequestedOperation]).text()  # type: ignore[operator]
        return Given(made, signed(made, self.ana, "ccdr-request"), self.dan.signed(made))

    def refused(self, given: Given, wanted: Wanted | None = None) -> str:
        with pytest.raises(ApprovalRefused) as why:
            allowed(wanted or self.wanted(), self.services, given)
        assert self.site.records("approval.refused")[-1]["why"] == why.value.code
        return why.value.code


@pytest.fixture(scope="module")
def ana(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return key(tmp_path_factory.mktemp("keys"), "ana")


@pytest.fixture
def room(tmp_path: Path, ana: Path) -> Room:
    return Room(tmp_path, ana)


# --- a version of a plan --------------------------------------------------------------------------------------------


def test_what_is_to_be_signed_is_the_version_and_its_review(room: Room) -> None:
    text = to_approve(room.loaded, room.services)
    assert (text.plan, text.about.digest, text.about.asks) == ("p", room.digest, True)
    assert (text.until, text.made, text.row) == (NOON + MONTH, NOON, APPROVE_PLAN)
    room.clock.at += timedelta(milliseconds=500)
    assert to_approve(room.loaded, room.services).until == NOON + MONTH, "whole seconds"


def test_an_approval_is_recorded_with_the_version_that_it_is_of(room: Room) -> None:
    done = room.approved()
    (record,) = room.site.records("approve.plan")
    (version,) = room.site.records("plan.version")
    assert version["digest"] == record["about"]["digest"] == done.digest == room.digest
    assert (done.plan, done.signer.name, done.review_by, done.seq) == ("p", "dan@x", NOON + MONTH, record["seq"])
    assert (record["by"]["name"], record["by"]["key"]) == ("dan@x", done.signer.key)
    assert record["by"]["user_verified"] is True and record["tenant"] == "default"
    assert done.as_json() == {
        "plan": "p", "version": room.digest, "by": "dan@x", "key": done.signer.key, "user_verified": True,
        "review_by": rfc3339(NOON + MONTH), "record": record["seq"], "not_here": [],
    }  # fmt: skip
    told = believed([room.loaded], room.services)["p", None]
    assert told.approval is not None and whose(told.approval).state == HOLDS and not told.refused


Text = Callable[[str], str]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("plan: p\n", "plan: q\n"),
        lambda text: text.replace("digest: ", "digest: 0")[: text.index("digest: ") + 72] + text[text.index("digest: ") + 72 :],
        lambda text: text.replace(rfc3339(NOON + MONTH), rfc3339(NOON + MONTH + SECOND)),
        lambda text: text.replace(rfc3339(NOON + MONTH), rfc3339(NOON)),
        lambda text: text.replace(f"made: {rfc3339(NOON)}", f"made: {rfc3339(NOON + AHEAD + SECOND)}"),
        lambda text: text + "\n",
    ],
    ids=["another plan", "another version", "for longer", "over", "dated ahead", "a line more"],
)  # fmt: skip
def test_a_text_that_the_plan_does_not_allow_now_approves_nothing(room: Room, change: Text) -> None:
    text = to_approve(room.loaded, room.services).text()
    with pytest.raises(UsageProblem):
        room.approved(change(text))
    assert room.site.records("approve.plan") == []
    room.approved(text)


def test_a_text_of_a_clock_that_is_a_little_ahead_is_taken(room: Room) -> None:
    room.clock.at += AHEAD
    text = to_approve(room.loaded, room.services).text()
    room.clock.at -= AHEAD
    assert room.approved(text).review_by == NOON + MONTH + AHEAD


def test_nobody_else_approves_and_what_was_signed_before_approves_no_more(room: Room) -> None:
    with pytest.raises(UsageProblem):
        room.approved(by=room.eve)
    first = to_approve(room.loaded, room.services).text()
    room.clock.at += SECOND
    then = to_approve(room.loaded, room.services).text()
    room.approved(then)
    room.clock.at += SECOND
    for replayed in (first, then):
        with pytest.raises(UsageProblem):
            room.approved(replayed)
    assert len(room.site.records("approve.plan")) == 1
    room.approved()


def test_a_plan_without_the_block_is_approved_by_nobody_until_it_had_one(room: Room) -> None:
    room.plan(block=False)
    assert block_of(room.loaded, room.services) is None
    with pytest.raises(UsageProblem):
        to_approve(room.loaded, room.services)
    room.plan()
    room.approved()
    room.plan(block=False)
    block = block_of(room.loaded, room.services)
    assert block is not None and block.signers == room.signers, "by who might approve the version that had it"
    text = to_approve(room.loaded, room.services)
    assert text.about.asks is False
    room.clock.at += SECOND
    room.approved()
    assert block_of(room.loaded, room.services) is None


def test_the_rules_of_the_version_before_stand_until_a_new_one_is_approved(room: Room, tmp_path: Path) -> None:
    """Whoever changes who may approve is held to who might."""
    room.approved()
    theirs = signers(tmp_path / "theirs", {"eve@x": room.eve.public})
    own, room.signers = room.signers, theirs
    room.plan()
    block = block_of(room.loaded, room.services)
    assert block is not None and block.signers == own
    room.clock.at += SECOND
    with pytest.raises(UsageProblem):
        room.approved(by=room.eve)
    room.approved()
    now = block_of(room.loaded, room.services)
    assert now is not None and now.signers == theirs


def test_a_second_factor_is_asked_of_the_one_who_signs(room: Room) -> None:
    room.plan(", second_factor: true")
    with pytest.raises(UsageProblem) as refused:
        room.approved(flags=PRESENT)
    assert getattr(refused.value, "code", None) == "second_factor"
    assert room.approved().signer.user_verified is True


def test_what_is_to_be_approved_says_what_differs_from_what_was(room: Room) -> None:
    first = to_be_approved(room.loaded, room.services)
    assert (first.before, first.keys, first.version, first.review_by) == (None, None, room.digest, NOON + MONTH)
    assert first.why is not None and [one.split()[:4] for one in first.next] == [["ccdr", "plan", "approve", "p"]] * 2
    before = room.digest
    room.approved()
    assert to_be_approved(room.loaded, room.services).why is None
    room.plan(rest="retention: {keep_last: 3}\n")
    then = to_be_approved(room.loaded, room.services)
    assert (then.before, then.version) == (before, room.digest) and then.keys and "retention" in then.keys[0]
    assert then.as_json() == {
        "plan": "p", "version": room.digest, "review_by": rfc3339(NOON + MONTH), "files": files_of(room.loaded),
        "approved_before": before, "changed_keys": [*then.keys], "why": then.why, "not_here": [], "next": then.next,
    }  # fmt: skip


def test_who_may_approve_no_more_has_approved_nothing(room: Room) -> None:
    """Asked when it is told: a signer has left."""
    room.approved()
    assert scheduled(room.loaded, room.services) is FREELY
    room.may({"ana@x": room.ana})
    told = believed([room.loaded], room.services)["p", None]
    assert told.approval is None and [r.says for r in told.refused] == ["approve"]
    with pytest.raises(NotApproved):
        scheduled(room.loaded, room.services)


def test_what_comes_due_is_covered_by_the_approved_version_alone(room: Room) -> None:
    with pytest.raises(NotApproved):
        scheduled(room.loaded, room.services)
    room.approved()
    room.plan(rest="retention: {keep_last: 3}\n")
    with pytest.raises(NotApproved):
        scheduled(room.loaded, room.services)
    room.clock.at += SECOND
    room.approved()
    assert scheduled(room.loaded, room.services) is FREELY


# --- an operation ---------------------------------------------------------------------------------------------------


def test_what_two_people_signed_is_allowed_once_and_names_what_may_go(room: Room) -> None:
    given = room.asked()
    may = allowed(room.wanted(), room.services, given)
    assert may.snapshots == {*SNAPSHOTS} and "dan@x" in str(may.by)
    assert may.may_go("a" * 64) and not may.may_go("c" * 64) and FREELY.may_go("c" * 64)
    (used,) = room.site.records("approve.operation")
    assert (used["requested"]["name"], used["by"]["name"], used["tenant"]) == ("ana@x", "dan@x", "default")
    assert used["about"]["snapshots"] == sorted(SNAPSHOTS) and used["about"]["on"] == socket.gethostname()
    assert used["about"]["digest"] == room.digest and used["until"] == rfc3339(NOON + HOUR)
    assert room.refused(given) == "used"
    assert len(room.site.records("approve.operation")) == 1


def test_a_request_waits_for_a_week_at_most(room: Room) -> None:
    asked, _ = request(room.wanted(), room.services, room.ana, LONGEST, ["a" * 64] * 2, "there")
    assert (asked.until, asked.about.on, asked.about.snapshots) == (NOON + LONGEST, "there", ("a" * 64,))
    assert (asked.about.requested_by, asked.about.operation, asked.about.about) == ("ana@x", "prune", None)
    for lasts in (timedelta(0), LONGEST + SECOND):
        with pytest.raises(UsageProblem):
            request(room.wanted(), room.services, room.ana, lasts, [])
    room.may({"dan@x": room.dan.public})
    with pytest.raises(UsageProblem):
        request(room.wanted(), room.services, room.ana, HOUR, [])
    room.plan(block=False)
    with pytest.raises(UsageProblem):
        request(room.wanted(), room.services, room.ana, HOUR, [])


OTHER: dict[str, tuple[dict[str, Any], str]] = {
    "another operation": ({"operation": "key-remove"}, "another_operation"),
    "about something": ({"about": "e-000017"}, "another_operation"),
    "another plan": ({"plan": "q"}, "another_version"),
    "another version": ({"digest": "0" * 64}, "another_version"),
    "another repository": ({"repository": "0" * 64}, "another_repository"),
    "another host": ({"on": "elsewhere"}, "another_host"),
    "dated ahead": ({"made": rfc3339(NOON + AHEAD + SECOND)}, "expired"),
    "over": ({"until": rfc3339(NOON)}, "expired"),
    "for longer than a week": ({"until": rfc3339(NOON + LONGEST + SECOND)}, "expired"),
    "asked by another": ({"requested_by": "eve@x"}, "signature"),
    "asked with another key": ({"key": f"SHA256:{'A' * 43}"}, "signature"),
}


@pytest.mark.parametrize("what", OTHER)
def test_what_is_signed_for_something_else_does_not_allow_this(room: Room, what: str) -> None:
    about, code = OTHER[what]
    assert room.refused(room.of(**about)) == code
    allowed(room.wanted(), room.services, room.of())


def test_what_is_no_text_or_signed_by_nobody_who_may_allows_nothing(room: Room) -> None:
    good = room.asked()
    text = str(good.text)
    assert room.refused(NOTHING) == "missing"
    assert room.refused(replace(good, text=f"{text}\n")) == "not_as_written"
    assert room.refused(replace(good, approved=room.eve.signed(text))) == "signature"
    assert room.refused(replace(good, requested=room.eve.signed(text, namespace="ccdr-request"))) == "signature"
    assert room.refused(replace(good, requested=signed(text, room.ana))) == "signature", "not for a request"
    assert room.refused(replace(good, approved=signed(text, room.ana))) == "same_person"
    room.may({"ana@x": room.ana, "dan@x": room.ana})
    assert room.refused(replace(good, approved=signed(text, room.ana))) == "same_person", "one key, two names"
    two = (
        signers(room.signers, {"ana@x": room.ana}).read_text()
        + signers(room.signers, {"ana@x": room.dan.public}).read_text()
    )
    room.signers.write_text(two)
    assert room.refused(good) == "same_person", "one name, two keys"
    room.signers.chmod(0o666)
    assert room.refused(good) == "signers"
    assert {r["request_sha256"] for r in room.site.records("approval.refused")[:1]} == {None}
    assert len({r["request_sha256"] for r in room.site.records("approval.refused")}) == 3
    assert room.site.records("approve.operation") == []


def test_a_second_factor_is_asked_of_who_approves_an_operation(room: Room) -> None:
    room.plan(", second_factor: true")
    good = room.asked()
    touched = replace(good, approved=room.dan.signed(str(good.text), flags=PRESENT))
    assert room.refused(touched) == "second_factor"
    assert allowed(room.wanted(), room.services, good).by


def test_where_nobody_need_approve_it_a_request_is_left_out(room: Room) -> None:
    recover = room.wanted(Operation.RECOVER)
    assert allowed(recover, room.services, NOTHING) is FREELY, "where the plan does not say so"
    with pytest.raises(UsageProblem, match="recover"):
        allowed(recover, room.services, Given(reason="x"))
    room.plan(", recover: true")
    assert room.refused(NOTHING, room.wanted(Operation.RECOVER)) == "missing"
    room.plan(block=False)
    assert allowed(room.wanted(), room.services, NOTHING) is FREELY
    assert Allowed() == FREELY and room.wanted(about="e-1").asked == "prune --about e-1"
    assert room.wanted().asked == "prune"


# --- without an approval --------------------------------------------------------------------------------------------


def test_who_breaks_the_glass_is_recorded_and_told_first_and_another_reviews_it(room: Room) -> None:
    told: list[int] = []
    may = allowed(
        room.wanted(about="e-1"), room.services,
        Given(reason="the disk is full", tell=lambda: told.append(len(room.site.records("approval.glass")))),
    )  # fmt: skip
    assert may is FREELY and told == [1]
    (record,) = room.site.records("approval.glass")
    assert (record["operation"], record["about"], record["digest"]) == ("prune", "e-1", room.digest)
    assert payload(room.services.state, record["why_sha256"]) == "the disk is full"
    (broken,) = to_be_reviewed(room.services, room.loaded)
    assert broken.as_json() == {
        "plan": "p", "operation": "prune", "at": record["time"], "by": record["actor"], "record": record["seq"],
        "why": "the disk is full",
    }  # fmt: skip
    text = to_review("p", broken, room.services, "it was").text()
    room.may({"ana@x": room.ana})
    with pytest.raises(UsageProblem):
        reviewed(room.loaded, room.services, text, room.dan.signed(text))
    room.may({"dan@x": room.dan.public})
    assert reviewed(room.loaded, room.services, text, room.dan.signed(text)).name == "dan@x"
    assert to_be_reviewed(room.services, room.loaded) == []
    (review,) = room.site.records("review.glass")
    assert payload(room.services.state, review["words_sha256"]) == "it was" and review["tenant"] == "default"
    with pytest.raises(UsageProblem, match="waits"):
        reviewed(room.loaded, room.services, text, room.dan.signed(text))


def test_a_review_that_is_dated_ahead_or_of_another_plan_is_none(room: Room) -> None:
    allowed(room.wanted(), room.services, Given(reason="x"))
    (broken,) = to_be_reviewed(room.services, room.loaded)
    for plan, ahead in (("q", timedelta(0)), ("p", AHEAD + SECOND)):
        room.clock.at = NOON + ahead
        text = to_review(plan, broken, room.services, "it was").text()
        room.clock.at = NOON
        with pytest.raises(UsageProblem):
            reviewed(room.loaded, room.services, text, room.dan.signed(text))
    text = to_review("p", broken, room.services, "it was").text()
    room.plan(block=False)
    with pytest.raises(UsageProblem, match="approval:"):
        reviewed(room.loaded, room.services, text, room.dan.signed(text))


def test_a_signature_is_recorded_as_openssh_writes_it() -> None:
    by = signed_by(Signer("ana@x", "SHA256:k", None), "  -----BEGIN\r\nabc \n-----END\n\n")
    assert (by.name, by.key, by.user_verified, by.signature) == (
        "ana@x",
        "SHA256:k",
        None,
        "-----BEGIN\nabc\n-----END\n",
    )


def test_of_two_broken_glasses_the_one_that_was_looked_at_is_over(room: Room) -> None:
    for reason in ("first", "second"):
        allowed(room.wanted(), room.services, Given(reason=reason))
    (_, second) = to_be_reviewed(room.services, room.loaded)
    text = to_review("p", second, room.services, "it was").text()
    reviewed(room.loaded, room.services, text, room.dan.signed(text))
    (left,) = to_be_reviewed(room.services, room.loaded)
    assert (left.why, second.why) == ("first", "second") and left.seq < second.seq
    (version,) = room.site.records("plan.version")
    assert version["seq"] < left.seq, "by which version, is recorded before"


@pytest.mark.parametrize(
    ("actor", "who", "names"),
    [
        ("dan@h", None, {"dan"}),
        ("root", None, set()),
        ("dan as root", None, {"dan"}),
        ("root", RecordedUser(claims=Claims(sudo_user="dan")), {"dan"}),
        ("root", RecordedUser(login_uid=0), set()),
        ("ana", RecordedUser(claims=Claims(sudo_user="root"), login_uid=2**40), {"ana"}),
        ("", RecordedUser(), set()),
    ],
)
def test_whoever_went_on_without_an_approval_is_known_by_every_name_that_the_record_has(
    actor: str, who: RecordedUser | None, names: set[str]
) -> None:
    assert {*accounts_of(actor, who)} == names


def test_who_went_on_without_an_approval_does_not_review_it(room: Room) -> None:
    allowed(room.wanted(), room.services, Given(reason="x"))
    (broken,) = to_be_reviewed(room.services, room.loaded)
    room.may({f"{getpass.getuser()}@x": room.ana, "dan@x": room.dan.public})
    text = to_review("p", broken, room.services, "it was").text()
    if "root" not in broken.actor:
        with pytest.raises(UsageProblem):
            reviewed(room.loaded, room.services, text, signed(text, room.ana))
    reviewed(room.loaded, room.services, text, room.dan.signed(text))


def test_rules_that_lie_some_versions_back_are_found(room: Room, tmp_path: Path) -> None:
    """Versions came and went since, which nobody has approved."""
    room.approved()
    own, room.signers = room.signers, signers(tmp_path / "theirs", {"eve@x": room.eve.public})
    for number in (3, 4, 5):
        room.plan(rest=f"retention: {{keep_last: {number}}}\n")
        in_force.record(room.loaded, room.services)
    block = block_of(room.loaded, room.services)
    assert block is not None and block.signers == own
    room.plan(block=False)
    block = block_of(room.loaded, room.services)
    assert block is not None and block.signers == own


def test_a_second_factor_that_the_plan_asks_for_now_is_asked_of_what_was_signed(room: Room) -> None:
    room.approved(flags=PRESENT)
    record = next(room.services.ledger.newest(StatementRecord))
    block = room.loaded.plan.approval
    assert (
        isinstance(record, StatementRecord)
        and block is not None
        and holds(record, block, room.services).name == "dan@x"
    )
    with pytest.raises(UsageProblem):
        holds(record, block.model_copy(update={"second_factor": True}), room.services)


def test_an_operation_is_recorded_of_its_tenant(room: Room) -> None:
    room.plan(rest="tenant: acme\n")
    allowed(room.wanted(), room.services, room.asked())
    allowed(room.wanted(), room.services, Given(reason="x"))
    room.refused(NOTHING)
    kinds = ("approve.operation", "approval.glass", "approval.refused")
    assert [[r["tenant"] for r in room.site.records(kind)] for kind in kinds] == [["acme"]] * 3
    assert all(r["who"] for kind in kinds for r in room.site.records(kind))


def test_two_that_go_on_the_same_way_are_the_same_whoever_is_told() -> None:
    assert Given(reason="x", tell=lambda: None) == Given(reason="x") != NOTHING


def test_a_review_of_no_glass_that_was_broken_is_none(room: Room) -> None:
    allowed(room.wanted(), room.services, Given(reason="x"))
    (broken,) = to_be_reviewed(room.services, room.loaded)
    text = to_review("p", replace(broken, nonce="0" * 32), room.services, "it was").text()
    with pytest.raises(UsageProblem, match="waits"):
        reviewed(room.loaded, room.services, text, room.dan.signed(text))


class Held:
    """A catalogue of one asset's snapshots: which ledgers tell of them."""

    def __init__(self, *ledgers: str | None) -> None:
        self.ledgers = ledgers

    def assets(self, plan: str) -> list[str]:
        return ["crm"] if plan == "p" else []

    def snapshots(self, plan: str, asset: str) -> list[Any]:
        told = (one and SimpleNamespace(ledger=one) for one in self.ledgers)
        return [SimpleNamespace(attested=one) for one in told]


def test_a_ledger_that_is_not_here_may_hold_an_approval_until_one_is_known(room: Room) -> None:
    """Of a host that was lost, and whose repository tells of its backups."""
    own = str(read(room.services.state, room.services.ledger).ledger)
    services = replace(room.services, catalogue=Held("b" * 32, None, own, "a" * 32, "b" * 32))  # type: ignore[arg-type]
    assert not_here("p", services) == ("a" * 32, "b" * 32) and not_here("q", services) == ()
    text = told_of("p", not_here("p", services))
    assert "aaaaaaaa…, bbbbbbbb…" in text and "--ledger aaaaaaaa`" in text
    assert to_be_approved(room.loaded, services).not_here == ("a" * 32, "b" * 32)
    room.approved()
    assert not_here("p", services) == ()


def test_a_review_of_access_is_believed_by_the_signers_of_the_plan(room: Room) -> None:
    body, of = body_of("review.access"), body_of("access.exported")
    of["export_sha256"] = body["about"]["export_sha256"]
    export = record_in(room.services.ledger, "access.exported", plan="p", asset=None, run=None, body=of)
    body["about"]["export"] = export.seq
    body["by"] = {"name": "dan@x", "key": room.approved().signer.key, "user_verified": True, "signature": "x"}
    (one,) = signatures_of(sparse_record({"plan": "p", "kind": "statement", **body}))
    body["by"]["signature"] = room.dan.signed(one.text, namespace=one.namespace)
    record_in(room.services.ledger, "statement", plan="p", asset=None, run=None, body=body)
    told = believed([room.loaded], room.services)["p", None]
    assert told.review is not None and whose(told.review).state == HOLDS and not told.refused
    room.may({"dan@x": room.eve.public})
    told = believed([room.loaded], room.services)["p", None]
    assert told.review is None
    assert {r.says for r in told.refused} == {"approve", "review"}


def test_a_text_of_another_version_is_told_with_both(room: Room) -> None:
    first, text = room.digest, to_approve(room.loaded, room.services).text()
    room.plan(rest="retention: {keep_last: 3}\n")
    with pytest.raises(UsageProblem) as why:
        room.approved(text.replace("plan: p\n", f"plan: {'q' * 70}\n"))
    words = re.findall(r"\w+", str(why.value))
    assert {first[:8], room.digest[:8], "q" * 63} <= {*words}


# --- what every statement has in common -----------------------------------------------------------------------------


def test_what_shows_nothing_is_refused(tmp_path: Path) -> None:
    def shown(name: str) -> str:
        return digest_of_shown(tmp_path / name, "the receipt", no_file="is no file", hint="")

    (tmp_path / "full").write_text("x")
    assert shown("full") == sha256(b"x").hexdigest(), "the twin"
    (tmp_path / "empty").touch()
    for name, why in (("empty", "is empty"), ("none", "cannot be read"), (".", "cannot be read")):
        with pytest.raises(UsageProblem, match=why):
            shown(name)


def test_whose_it_is_says_the_first_file_that_has_the_key(room: Room) -> None:
    given = to_approve(room.loaded, room.services)
    others = signers(room.site.root / "others", {"eve@x": room.eve.public})
    by, text = signed_by_any(given, room.dan.signed(given.text()), [others, room.signers], room.services)
    assert (by.name, text) == ("dan@x", room.signers.read_text())
    with pytest.raises(SignatureRefused):
        signed_by_any(given, room.dan.signed(given.text()), [others, others], room.services)


def test_of_several_files_the_first_tells_why_it_is_nobodys(room: Room) -> None:
    given = to_approve(room.loaded, room.services)
    nowhere, others = room.site.root / "nowhere", signers(room.site.root / "others", {"eve@x": room.eve.public})
    for places in ([nowhere, others], [others, nowhere]):
        with pytest.raises(UsageProblem) as why:
            signed_by_any(given, room.dan.signed(given.text()), places, room.services)
        assert isinstance(why.value, SignatureRefused) is (places[0] == others)


def test_what_may_be_signed_is_signed_by_the_key_that_is_at_hand_and_what_is_not_is_none(room: Room) -> None:
    of, words = ScheduleRef(boot=None, elapsed_s=0.0), "x"
    services = replace(room.services, hand=Hand(room.ana, (room.signers,)))
    ended = record_statement(stated(services, "end", of, plan="p", words=words), services)
    paused = stated(services, "pause", of, plan="p", words=words, until=NOON + HOUR)
    record_statement(paused, services)
    record_statement(stated(room.services, "end", of, plan="p", words=words), room.services)
    there = [record for record in room.site.records() if record["kind"] == "statement"]
    told = [(record["says"], record["by"] and record["by"]["name"]) for record in there]
    assert told == [("end", "ana@x"), ("pause", None), ("end", None)] and there[0]["seq"] == ended


def test_who_may_approve_is_not_said_anew_because_who_approved_has_left(room: Room, tmp_path: Path) -> None:
    """No approval holds any more, and none came before: the rules of the refused one stand."""
    room.approved()
    room.may({"ana@x": room.ana})
    own, room.signers = room.signers, signers(tmp_path / "theirs", {"eve@x": room.eve.public})
    room.plan()
    block = block_of(room.loaded, room.services)
    assert block is not None and block.signers == own
    room.clock.at += SECOND
    with pytest.raises(UsageProblem):
        room.approved(by=room.eve)


def test_a_review_that_nobody_signed_counts_where_the_plan_asks_for_no_signature(room: Room) -> None:
    body = body_of(REVIEW_HANDOVER.kind, full=False)
    record_in(room.services.ledger, STATEMENT, plan="p", asset="crm", run=None, body=body)
    review = next(room.services.ledger.newest(StatementRecord))
    assert isinstance(review, StatementRecord)
    of = {("p", None): AssetHistory(), ("p", "crm"): AssetHistory(handover_reviews={"h": review})}

    def counts() -> bool:
        return bool(believed([room.loaded], room.services, of)["p", "crm"].handover_reviews)

    assert review.by is None and not counts()
    room.plan(block=False)
    assert counts()


def test_a_version_that_was_approved_without_a_block_asks_for_none(room: Room) -> None:
    room.approved()
    room.plan(block=False)
    assert block_of(room.loaded, room.services) is not None, "the version before it asks"
    room.clock.at += SECOND
    room.approved()
    assert block_of(room.loaded, room.services) is None


def test_it_is_to_be_looked_at_again_at_a_whole_second(room: Room) -> None:
    room.clock.at += timedelta(microseconds=7)
    assert to_approve(room.loaded, room.services).expiry.microsecond == 0
