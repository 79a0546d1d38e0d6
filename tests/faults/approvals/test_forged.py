"""A statement that is in no ledger by the hand of the person whom it names: whoever writes there can write any record, and
cannot sign it. `status`, `controls` and `report` verify what is in force each time that they tell of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.clocks import Ticking
from tests.support.harness import Site
from tests.support.records import body_of, record_in
from tests.support.signed import key, signed, signers
from tests.support.sparse import sparse_record

from ccdr.evidence.history.kinds import ERASURE_REPLAY
from ccdr.evidence.records.statements import STATEMENT
from ccdr.evidence.statements import GLASS_BROKEN, signatures_of
from ccdr.host.clock import SystemClock
from ccdr.host.processes import Host
from ccdr.host.signatures import verify
from ccdr.jobs.approvals import NotApproved, scheduled
from ccdr.model.values import rfc3339
from ccdr.plans.versions import digest_of, files_of

APPROVED, ATTESTED, REVIEWED, GLASS = "approve.plan", "declare.part", "review.access", "review.glass"
HANDED_OVER = "review.handover"
OTHER = "f" * 64
Change = Callable[[dict[str, Any]], object]


class Room:
    """Ana and Dan may sign for the plan `p`; root has a key of its own, and writes the ledger."""

    def __init__(self, root: Path) -> None:
        self.site = Site(root)
        (root / "tree").mkdir()
        self.keys = {name: key(root, name) for name in ("ana", "dan", "root")}
        self.signers = signers(root / "signers", {"ana@x": self.keys["ana"], "dan@x": self.keys["dan"]})
        self.site.recordings(root / "tree")
        self.plan()
        assert self.site.run("plan", "approve", "p", "--key", str(self.keys["ana"])).code == 0
        self.now = SystemClock().now().replace(microsecond=0)
        self.glass, self.broken = body_of(GLASS_BROKEN)["nonce"], 0
        self.replay: dict[str, Any] = {}
        self.exported = 0

    def plan(self, rest: str = "", block: str = "approval: {{signers: {0}}}\n") -> None:
        path = self.site.root / "plans/p.yaml"
        own = (line for line in path.read_text().splitlines() if not line.startswith(("approval:", "site:")))
        path.write_text("\n".join(own).replace("assets:", f"{block.format(self.signers)}{rest}assets:", 1) + "\n")

    def body(self, kind: str, by: str = "ana", *, name: str = "ana@x", asks: bool = True) -> dict[str, Any]:
        """Of something that this key has signed now, in that name."""
        soon, digest = rfc3339(self.now + timedelta(days=20)), digest_of(files_of(self.site.loaded()))
        body, now = body_of(kind), rfc3339(self.now)
        seen = {"digest": digest, "asks": asks, "item": "siem", "scope": None, "glass": self.glass, "exported": now}
        seen |= {"replay": self.replay["seq"], "at": self.replay["time"]} if self.replay else {}
        if kind == REVIEWED and not self.exported:
            self.export()
        seen |= {"unread": 0, "not_read": [], "result": "in_order", "record": self.broken, "export": self.exported}
        body["about"] |= {one: value for one, value in seen.items() if one in body["about"]}
        body |= {"made": now} | ({"until": soon} if body["until"] else {})
        body["by"] = {"name": name, "key": self.fingerprint(by), "user_verified": None, "signature": ""}
        (one,) = signatures_of(sparse_record({"plan": None if kind == ATTESTED else "p", "kind": STATEMENT, **body}))
        body["by"]["signature"] = signed(one.text, self.keys[by], one.namespace)
        return body

    def fingerprint(self, by: str) -> str:
        own = signers(self.site.root / "own", {"x": self.keys[by]}).read_text()
        return verify("text", signed("text", self.keys[by], "n"), own, "n", Host()).key

    def record(self, kind: str, body: dict[str, Any], *, ahead: float = 0) -> int:
        clock = Ticking(SystemClock().now() + timedelta(days=ahead)) if ahead else None
        ledger = self.site.services(clock).ledger
        plan = None if kind == ATTESTED else "p"
        stated = kind if kind in (GLASS_BROKEN, "access.exported") else STATEMENT
        asset = "recordings" if kind == HANDED_OVER else None
        return record_in(ledger, stated, plan=plan, asset=asset, run=None, body=body).seq

    def hand_over(self, by: str = "eva") -> None:
        """Somebody hands over what may hold erased people."""
        body = done_by(body_of(ERASURE_REPLAY) | {"result": "FAILED", "handed_over": True}, by)
        ledger = self.site.services().ledger
        record_in(ledger, ERASURE_REPLAY, plan="p", asset="recordings", run="r", body=body)
        (self.replay,) = self.site.records(ERASURE_REPLAY)

    def waits(self) -> bool:
        """Does what was handed over wait for a review? The report says the same."""
        told = "ERASED_RETURNED" in self.site.run("status", "p").stdout
        assert ("ERASED_RETURNED" in str(self.site.run("report", "--json").json["findings"])) == told
        return told

    def break_glass(self, by: str = "eva") -> None:
        self.broken = self.record(GLASS_BROKEN, done_by(body_of(GLASS_BROKEN), by))

    def export(self, by: str = "eva") -> None:
        """Somebody asks the systems who has access."""
        of = body_of(REVIEWED)["about"]
        body = body_of("access.exported") | {key: of[key] for key in ("export_sha256", "entries")} | {"unread": 0}
        self.exported = self.record("access.exported", done_by(body, by))

    def told(self) -> set[str]:
        """What `status` finds wrong of statements; the report says the same."""
        wanted = {"PLAN_UNAPPROVED", "STATEMENT_REFUSED", "BREAK_GLASS", "ATTESTATION_STALE", "ACCESS_REVIEW"}
        seen = self.site.run("status", "--json").json
        codes = {one["code"] for plan in seen["plans"] for one in plan["troubles"]}
        reported = {one["code"] for one in self.site.run("report", "--json").json["findings"]} & wanted
        codes |= {one["code"] for one in seen["attestations"]}
        assert reported == (codes & wanted) - {"ATTESTATION_STALE"}
        return codes & wanted

    def part(self, name: str) -> tuple[str, str]:
        """Its state by `controls`, which the report has, too."""
        measures = [
            self.site.run("controls").json["measures"],
            self.site.run("report", "--json").json["controls"]["measures"],
        ]
        now, reported = (next(p for m in of for p in m["parts"] if p["id"] == name) for of in measures)
        assert now["state"] == reported["state"]
        return now["state"], " ".join(one["text"] for one in now["observed"])


def done_by(body: dict[str, Any], by: str) -> dict[str, Any]:
    return body | {"who": body["who"] | {"login_uid": None, "claims": {"sudo_user": by}}}


@pytest.fixture
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("f"))


# Each kind: the part of a measure that shows it, and what is told where it is nobody's.
KINDS = {
    APPROVED: ("approval", "PLAN_UNAPPROVED"),
    ATTESTED: ("siem", "STATEMENT_REFUSED"),
    REVIEWED: ("access-review", "STATEMENT_REFUSED"),
    GLASS: ("four-eyes", "BREAK_GLASS"),
}


def test_what_they_signed_themselves_is_theirs(room: Room) -> None:
    """The twin of all that follows."""
    room.break_glass()
    assert room.told() == {"BREAK_GLASS"}
    room.now += timedelta(seconds=5)
    for kind in KINDS:
        room.record(kind, room.body(kind, "dan", name="dan@x"))
    assert room.told() == set()
    for kind in (APPROVED, ATTESTED, REVIEWED):
        state, text = room.part(KINDS[kind][0])
        assert state in ("shown", "stated") and "dan@x" in text and "not verified" not in text


FORGED: dict[str, tuple[dict[str, str], Change]] = {
    "the key of root": ({"by": "root"}, lambda body: None),
    "the name of another": ({"by": "dan"}, lambda body: body["by"].update(name="ana@x")),
    "another text": ({}, lambda body: body.update(nonce="0" * 32)),
}


@pytest.mark.parametrize("forged", FORGED)
def test_what_is_signed_by_nobody_whom_it_names_counts_for_nothing(room: Room, forged: str) -> None:
    how, change = FORGED[forged]
    room.break_glass()
    room.now += timedelta(seconds=5)
    for kind, (_part, code) in KINDS.items():
        body = room.body(kind, **how)
        change(body)
        room.record(kind, body)
        assert code in room.told(), kind
    for part, _code in KINDS.values():
        assert room.part(part)[0] == "contradicted", part
    refused = room.site.run("approval", "review", "p").json
    assert len(refused["to_review"]) == 1, "it can be reviewed by somebody who may"


CHANGED = {
    "a later day": (ATTESTED, {"until": "2099-01-01T00:00:00Z"}),
    "another file": (ATTESTED, {"files": [OTHER]}),
    "other words": (REVIEWED, {"words_sha256": OTHER}),
    "another glass": (GLASS, {"nonce": "1" * 32}),
    "a later review": (APPROVED, {"until": "2099-01-01T00:00:00Z"}),
}


@pytest.mark.parametrize("changed", CHANGED)
def test_what_was_changed_since_it_was_signed_counts_for_nothing(room: Room, changed: str) -> None:
    kind, change = CHANGED[changed]
    room.break_glass()
    room.now += timedelta(seconds=5)
    room.record(kind, room.body(kind) | change)
    assert KINDS[kind][1] in room.told()


def test_what_was_signed_once_does_not_hold_again_by_being_recorded_again(room: Room) -> None:
    """Whoever reads the ledger has each signature: an approval of a version from before, an attestation that was
    ended."""
    first, attested = room.site.records(APPROVED)[0], room.body(ATTESTED)
    room.record(ATTESTED, attested)
    assert room.site.run("attest", "siem", "--end", "--statement", "it was not so").code == 0
    text = (room.site.root / "plans/p.yaml").read_text()
    room.plan("site: Cluj\n")
    assert room.site.run("plan", "approve", "p", "--key", str(room.keys["ana"])).code == 0
    (room.site.root / "plans/p.yaml").write_text(text)
    room.site.run("backup", "p")
    assert room.told() == {"PLAN_UNAPPROVED"}
    envelope = ("seq", "prev", "time", "kind", "version", "plan", "asset", "run", "host", "actor", "ccdr")
    room.record(APPROVED, {one: value for one, value in first.items() if one not in envelope})
    room.record(ATTESTED, attested)
    assert room.told() == {"PLAN_UNAPPROVED"}
    assert room.part("siem")[0] == "nothing"


def test_an_approval_is_held_to_the_rules_that_were_approved_before_it(room: Room) -> None:
    """Else a forged one would take the block out, and with it whoever asks."""
    room.plan(block="")
    room.site.run("backup", "p")
    assert room.told() == {"PLAN_UNAPPROVED"}
    room.now += timedelta(seconds=5)
    room.record(APPROVED, room.body(APPROVED, "root", asks=False))
    assert room.told() == {"PLAN_UNAPPROVED"}
    with pytest.raises(NotApproved):  # nor is anything removed by it
        scheduled(room.site.loaded(), room.site.services())
    room.now += timedelta(seconds=5)
    room.record(APPROVED, room.body(APPROVED, "dan", name="dan@x", asks=False))
    assert room.told() == set(), "the twin: by who might approve the version that had it"


def test_what_is_dated_ahead_is_not_in_force_yet(room: Room) -> None:
    room.now += timedelta(days=10)
    for kind, code in ((APPROVED, "PLAN_UNAPPROVED"), (ATTESTED, "ATTESTATION_STALE"), (REVIEWED, "ACCESS_REVIEW")):
        room.record(kind, room.body(kind), ahead=10)
        assert code in room.told(), kind


def test_where_who_may_sign_cannot_be_read_nothing_is_taken_for_verified(room: Room) -> None:
    room.now += timedelta(seconds=5)
    for kind in (APPROVED, ATTESTED, REVIEWED):
        room.record(kind, room.body(kind))
    room.signers.chmod(0o666)
    assert room.told() == {"PLAN_UNAPPROVED"}
    for kind in (ATTESTED, REVIEWED):
        state, text = room.part(KINDS[kind][0])
        assert state == "contradicted" and "ana@x" in text and "not verified" in text


@pytest.mark.parametrize("kind", [GLASS, REVIEWED])
def test_a_review_by_who_did_it_counts_for_nothing_though_it_is_signed(room: Room, kind: str) -> None:
    """Written into the ledger past the command, which refuses it."""
    room.break_glass("dan")
    room.export("dan")
    room.now += timedelta(seconds=5)
    room.record(kind, room.body(kind, "dan", name="dan@x"))
    assert KINDS[kind][1] in room.told()
    room.now += timedelta(seconds=5)
    room.record(kind, room.body(kind))
    assert room.told() == ({"BREAK_GLASS"} if kind == REVIEWED else set()), "its twin, by another person"


@pytest.mark.parametrize("kind", [GLASS, REVIEWED])
def test_a_review_of_what_no_record_tells_of_counts_for_nothing(room: Room, kind: str) -> None:
    room.break_glass("dan")
    room.broken = room.exported = 1
    room.record(kind, room.body(kind))
    assert KINDS[kind][1] in room.told()


def test_a_declaration_by_whom_the_plan_does_not_name_counts_for_nothing(room: Room) -> None:
    room.plan(rest="declarations: {siem: [ana@x]}\n")
    assert room.site.run("plan", "approve", "p", "--key", str(room.keys["ana"])).code == 0
    room.record(ATTESTED, room.body(ATTESTED, "dan", name="dan@x"))
    assert room.told() == {"STATEMENT_REFUSED"} and room.part("siem")[0] == "contradicted"
    room.now += timedelta(seconds=5)
    room.record(ATTESTED, room.body(ATTESTED))
    assert room.told() == set() and room.part("siem")[0] == "stated", "its twin"


@pytest.mark.parametrize("kind", [GLASS, HANDED_OVER])
def test_a_review_that_is_dated_ahead_has_not_been_made_yet(room: Room, kind: str) -> None:
    room.break_glass()
    room.hand_over()
    room.now += timedelta(days=10)
    room.record(kind, room.body(kind), ahead=10)
    assert room.waits() and room.told() == {"BREAK_GLASS"}


REVIEW = ("erasure", "review", "p")


def test_what_was_handed_over_is_reviewed_by_who_signs_and_did_not_do_it(room: Room) -> None:
    """Here, or elsewhere."""
    room.hand_over("dan")
    assert room.waits()
    bare = room.site.run(*REVIEW, "--why", "looked")
    assert bare.code == 2 and "whoever reviews signs" in bare.stderr, bare
    own = room.site.run(*REVIEW, "--why", "looked", "--key", str(room.keys["dan"]))
    assert own.code == 2 and "for somebody else" in own.stderr, own
    text = room.site.root / "review.txt"
    assert room.site.run(*REVIEW, "--why", "looked", "--write", str(text)).code == 0 and room.waits()
    (room.site.root / "review.txt.sig").write_text(signed(text.read_text(), room.keys["ana"], "ccdr-approval"))
    done = room.site.run(*REVIEW, "--signed", str(text))
    assert done.code == 0 and not room.waits(), done
    room.site.ledger_holds()


@pytest.mark.parametrize("forged", [*FORGED, "another replay", "no signature", "who did it"])
def test_a_review_of_what_was_handed_over_that_is_nobodys_counts_for_nothing(room: Room, forged: str) -> None:
    how, change = FORGED.get(forged, ({}, lambda body: None))
    room.hand_over("ana" if forged == "who did it" else "eva")
    body = room.body(HANDED_OVER, **how)
    change(body)
    if forged == "another replay":
        body["about"]["at"] = "2026-01-01T00:00:00.000000Z"
    if forged == "no signature":
        body["by"] = None
    room.record(HANDED_OVER, body)
    assert room.waits()
    assert room.site.run(*REVIEW, "--why", "looked", "--key", str(room.keys["dan"])).code == 0
    assert not room.waits(), "its twin"
