"""A plan with `approval:` is approved version by version, by the signature of somebody who may."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.clocks import Ticking
from tests.support.harness import Ran, Site
from tests.support.signed import PRESENT, SecurityKey, key, signed, signers
from tests.support.sparse import statement_of
from tests.support.stored import settled_file

from ccdr.evidence.lineage.comparison import read_id
from ccdr.host.clock import SystemClock
from ccdr.jobs.approvals import block_of
from ccdr.model.values import utc
from ccdr.telling.status import upkeep_problems

BLOCK = "approval: {{signers: {signers}{more}}}\n"


class Room:
    """A site whose plan is to be approved by Ana; Mallory has a key, too."""

    def __init__(self, root: Path) -> None:
        self.site = Site(root)
        (root / "tree").mkdir()
        (root / "tree/one").write_text("one")
        self.ana, self.mallory = key(root, "ana"), key(root, "mallory")
        self.signers = signers(root / "signers", {"ana@x": self.ana})
        self.plan()

    def plan(self, more: str = "", *, rest: str = "", block: bool = True) -> None:
        self.site.recordings(self.site.root / "tree")
        path = self.site.root / "plans/p.yaml"
        extra = BLOCK.format(signers=self.signers, more=more) if block else ""
        path.write_text(path.read_text().replace("assets:", f"{extra}{rest}assets:", 1))

    def approve(self, *args: str) -> Ran:
        return self.site.run("plan", "approve", "p", *(args or ("--key", str(self.ana))))

    def text(self, name: str = "to-sign") -> Path:
        path = self.site.root / name
        assert self.approve("--write", str(path)).code == 0
        return path

    def codes(self) -> set[str]:
        """What is wrong with the approval, as `status` tells it."""
        (plan,) = self.site.run("status", "p").json["plans"]
        return {t["code"] for t in plan["troubles"]} & {"PLAN_UNAPPROVED", "PLAN_REVIEW"}

    def codes_in(self, days: float) -> set[str]:
        """The same, when so much time has passed."""
        services = self.site.services(Ticking(SystemClock().now() + timedelta(days=days)))
        problems = upkeep_problems([self.site.loaded()], services)["p"]
        return {p.trouble.name for p in problems} & {"PLAN_UNAPPROVED", "PLAN_REVIEW"}


@pytest.fixture
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("a"))


def test_a_plan_is_unapproved_until_somebody_who_may_signs_it(room: Room) -> None:
    assert room.codes() == {"PLAN_UNAPPROVED"}
    done = room.approve()
    assert done.code == 0 and done.json["by"] == "ana@x", done
    assert room.codes() == set()
    (record,) = room.site.records("approve.plan")
    assert record["about"]["digest"] == room.site.records("plan.version")[-1]["digest"]
    assert record["by"]["name"] == "ana@x" and record["by"]["user_verified"] is None and record["about"]["asks"] is True
    room.site.ledger_holds()


def test_a_plan_without_the_block_is_not_judged(room: Room) -> None:
    room.plan(block=False)
    assert room.codes() == set()
    done = room.approve()
    assert done.code == 2 and "has no `approval:`" in done.json["error"]


def test_an_approval_is_of_one_version(room: Room) -> None:
    """Of its restore tests, too; and back again is a change as any other."""
    room.approve()
    room.plan(rest="retention: {keep_within: 2d}\n")
    assert room.codes() == set(), "nobody has acted by it: what is in force is what was approved"
    room.site.run("backup", "p")
    assert room.codes() == {"PLAN_UNAPPROVED"}
    assert room.approve().code == 0 and room.codes() == set()
    room.site.write(
        "restore_tests/recordings.yaml", "restore_test: recordings\nchecks:\n  - {kind: identical}  # all of it\n"
    )
    room.site.run("backup", "p")
    assert room.codes() == {"PLAN_UNAPPROVED"}


def test_to_take_the_block_out_is_to_be_approved_as_well(room: Room) -> None:
    """By who might approve the version that had it."""
    room.approve()
    room.plan(block=False)
    room.site.run("backup", "p")
    assert room.codes() == {"PLAN_UNAPPROVED"}
    assert room.approve("--key", str(room.mallory)).code == 2
    assert room.codes() == {"PLAN_UNAPPROVED"}
    assert room.approve().code == 0
    assert room.codes() == set() and room.site.records("approve.plan")[-1]["about"]["asks"] is False
    room.plan(rest="retention: {keep_within: 2d}\n", block=False)
    room.site.run("backup", "p")
    assert room.codes() == set(), "and then it is a plan like any other"


def test_what_was_signed_elsewhere_is_taken(room: Room) -> None:
    text = room.text()
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "ccdr-approval", "-f", room.ana, text], check=True)
    assert room.approve("--signed", str(text)).code == 0 and room.codes() == set()


REFUSED: dict[str, tuple[Callable[[Room, Path], None], str]] = {
    "signed by nobody who may": (lambda room, text: sig(text, signed(text.read_text(), room.mallory)), "not among"),
    "signed for something else": (
        lambda room, text: sig(text, signed(text.read_text(), room.ana, "git")),
        "another purpose",
    ),
    "no signature": (lambda room, text: sig(text, "yes"), "no signature"),
    "the text was changed": (
        lambda room, text: (sig(text, signed(text.read_text(), room.ana)), text.write_text(text.read_text() + "\n")),  # type: ignore[func-returns-value]
        "was changed since",
    ),
    "it would hold for longer": (
        lambda room, text: again(room, text, "until: 2", "until: 3"),
        "does not allow that",
    ),
    "it is of another plan": (lambda room, text: again(room, text, "plan: p", "plan: q"), "of q"),
    "it is of another version": (lambda room, text: again(room, text, "digest: ", "digest: ", flip=True), "version"),
    "it is dated ahead": (lambda room, text: again(room, text, "made: 2", "made: 3"), "does not allow that"),
    "the file of signers is anybody's": (
        lambda room, text: (sig(text, signed(text.read_text(), room.ana)), room.signers.chmod(0o666)),  # type: ignore[func-returns-value]
        "can be written by others than root",
    ),
    "the plan was changed since": (
        lambda room, text: (sig(text, signed(text.read_text(), room.ana)), room.plan(rest="site: Cluj\n")),  # type: ignore[func-returns-value]
        "is at version",
    ),
}


def sig(text: Path, signature: str) -> None:
    text.with_name(f"{text.name}.sig").write_text(signature)


def again(room: Room, text: Path, old: str, new: str, *, flip: bool = False) -> None:
    """Signed as it should be, but for another text."""
    body = text.read_text()
    if flip:
        at = body.index(old) + len(old)
        body = body[:at] + ("0" if body[at] != "0" else "1") + body[at + 1 :]
    else:
        body = body.replace(old, new)
    text.write_text(body)
    sig(text, signed(body, room.ana))


@pytest.mark.parametrize("how", REFUSED)
def test_what_is_not_signed_as_it_should_be_approves_nothing(room: Room, how: str) -> None:
    damage, says = REFUSED[how]
    text = room.text()
    damage(room, text)
    done = room.approve("--signed", str(text))
    assert done.code == 2 and says in done.json["error"], done
    assert room.site.records("approve.plan") == []


def test_a_second_factor_is_asked_for_where_the_plan_asks(room: Room) -> None:
    device = SecurityKey()
    signers(room.signers, {"ana@x": room.ana, "dan@x": device.public})
    room.plan(", second_factor: true")
    done = room.approve()
    assert done.code == 2 and "second factor" in done.json["error"]
    text = room.text()
    sig(text, device.signed(text.read_text(), flags=PRESENT))
    assert room.approve("--signed", str(text)).code == 2, "it was touched, and knew nobody"
    sig(text, device.signed(text.read_text()))
    done = room.approve("--signed", str(text))
    assert done.code == 0 and done.json["user_verified"] is True and room.codes() == set()


def test_a_review_that_is_overdue_is_told(room: Room) -> None:
    room.plan(", review: 30d")
    room.approve()
    assert room.codes_in(29) == set() and room.codes_in(31) == {"PLAN_REVIEW"}
    assert room.approve().code == 0, "it is signed anew, as it is"


def test_the_period_that_is_signed_is_that_of_the_text_which_is_approved(room: Room) -> None:
    room.plan(", review: 365d")
    assert room.approve().code == 0
    room.plan(", review: 30d")
    assert room.approve().code == 0
    first, second = (SystemClock().now() + timedelta(days=days) for days in (29, 31))
    assert first < utc(room.site.records("approve.plan")[-1]["until"]) < second
    assert room.codes_in(29) == set() and room.codes_in(31) == {"PLAN_REVIEW"}


def test_without_an_option_it_shows_what_would_be_signed_and_what_differs(room: Room) -> None:
    shown = room.approve("--json")
    assert shown.code == 0 and shown.json["approved_before"] is None and shown.json["changed_keys"] is None
    assert "nobody has approved" in shown.json["why"] and room.site.records("approve.plan") == []
    assert room.approve().code == 0
    first = room.site.records("approve.plan")[0]["about"]["digest"]
    assert shown.json["version"] == first and room.approve("--json").json["why"] is None
    room.plan(", review: 30d", rest="site: Cluj\n")
    shown = room.approve("--json")
    assert shown.json["changed_keys"] == ["approval.review (new)", "site (new)"]
    assert shown.json["approved_before"] == first != shown.json["version"]
    process = room.site.start("plan", "approve", "p")
    out, err = process.communicate()
    assert process.returncode == 0 and f"changed since version {first[:8]}" in out and "site (new)" in out
    assert shown.json["version"] in out and "→ ccdr plan approve p --key KEY" in err
    digest = room.site.records("approve.plan")[0]["about"]["digest"]
    for path in (room.site.state / "plans/p" / digest).rglob("*.yaml"):
        path.chmod(0o600)
        path.write_text("changed")
    gone = room.approve("--json")
    assert gone.code == 2 and "its files are gone" in gone.json["error"], "what was changed is no version"


def test_who_has_not_signed_cannot_have_approved_by_a_record_alone(room: Room) -> None:
    """Whoever writes into the ledger can write such a record. Whoever acts upon it asks for the signature again."""
    from ccdr.host.signatures import SignatureRefused
    from ccdr.jobs.approvals import holds

    room.approve()
    (record,) = room.site.records("approve.plan")
    block = room.site.loaded().plan.approval
    assert block is not None
    services = room.site.services()
    assert holds(statement_of(record), block, services).name == "ana@x"
    with pytest.raises(SignatureRefused):
        holds(statement_of(record, about=record["about"] | {"digest": "0" * 64}), block, services)
    signers(room.signers, {"dan@x": room.mallory})
    with pytest.raises(SignatureRefused):
        holds(statement_of(record), block, services)


def test_doctor_looks_at_who_may_approve_and_verifies_the_signature_again(room: Room) -> None:
    def looks() -> list[tuple[str, str]]:
        checks = room.site.run("doctor", "p", "--only", "backups").json["checks"]
        return [(look["state"], look["found"]) for look in checks if look["what"] == "approval"]

    (before,) = looks()
    assert before[0] == "WARN" and "nobody has approved" in before[1]
    room.approve()
    (good,) = looks()
    assert good[0] == "OK" and "approved by ana@x" in good[1]
    signers(room.signers, {"dan@x": room.mallory})
    (gone,) = looks()
    assert gone[0] == "FAIL", "who signed it may not any more"
    room.signers.chmod(0o666)
    (open_,) = looks()
    assert open_[0] == "FAIL" and "can be written by others than root" in open_[1]
    room.plan(block=False)
    room.signers.unlink()
    assert [state for state, _ in looks()] == ["FAIL"], "the version that was approved had the block"


def test_who_changes_the_rules_is_held_to_those_that_were_approved(room: Room) -> None:
    """Else whoever may write the plan names a file of signers in which they stand, or asks for less."""
    device = SecurityKey()
    signers(room.signers, {"ana@x": room.ana, "dan@x": device.public})
    room.plan(", second_factor: true, recover: true")
    text = room.text()
    sig(text, device.signed(text.read_text()))
    assert room.approve("--signed", str(text)).code == 0
    ours, room.signers = room.signers, signers(room.site.root / "theirs", {"mallory@x": room.mallory})
    room.plan(", recover: false")
    for by in (room.mallory, room.ana):
        refused = room.approve("--key", str(by))
        assert refused.code == 2 and len(room.site.records("approve.plan")) == 1, refused
    block = block_of(room.site.loaded(), room.site.services())
    assert block is not None and block.recover and block.second_factor and block.signers == ours
    again_ = room.text("again")
    sig(again_, device.signed(again_.read_text()))
    assert room.approve("--signed", str(again_)).code == 0, "who may approve the one may approve the other"
    block = block_of(room.site.loaded(), room.site.services())
    assert block is not None and not block.recover and block.signers == room.signers


def test_a_plan_that_asks_for_more_is_approved_by_more(room: Room) -> None:
    assert room.approve().code == 0
    room.plan(", second_factor: true")
    assert room.approve().code == 2 and len(room.site.records("approve.plan")) == 1


def test_what_was_signed_for_an_older_version_does_not_bring_it_back(room: Room) -> None:
    """The ledger holds each signature, and the text can be had again from its record."""
    first = room.text("first")
    sig(first, signed(first.read_text(), room.ana))
    older = room.text("older")
    sig(older, signed(older.read_text(), room.ana))
    assert room.approve("--signed", str(first)).code == 0
    before = (room.site.root / "plans/p.yaml").read_text()
    room.plan(rest="retention: {keep_within: 35d}\n")
    assert room.approve().code == 0
    (room.site.root / "plans/p.yaml").write_text(before)
    for text in (first, older):
        done = room.approve("--signed", str(text))
        assert done.code == 2 and "before what stands now" in done.json["error"], done
    room.site.run("backup", "p")
    assert room.codes() == {"PLAN_UNAPPROVED"}
    assert room.approve().code == 0 and room.codes() == set(), "the twin: it is signed anew"


def test_who_may_not_approve_any_more_has_not_approved(room: Room) -> None:
    """Their signature is verified again each day, and whenever somebody asks for it."""

    def looks() -> tuple[str, set[str], str]:
        measures = {m["id"]: m for m in room.site.run("controls", "--examine").json["measures"]}
        (part,) = [p for p in measures["policies-and-training"]["parts"] if p["id"] == "approval"]
        return part["state"], room.codes(), room.site.records("plan.examined")[-1]["approval"]

    room.approve()
    assert looks() == ("shown", set(), "holds")
    signers(room.signers, {"dan@x": room.mallory})
    assert looks() == ("contradicted", {"PLAN_UNAPPROVED"}, "refused")
    room.signers.chmod(0o666)
    assert looks() == ("contradicted", {"PLAN_UNAPPROVED"}, "unreadable")
    signers(room.signers, {"ana@x": room.ana})
    assert looks() == ("shown", set(), "holds"), "it holds again by who may"
    assert room.approve().code == 0 and room.codes() == set()
    room.site.ledger_holds()


def test_on_a_new_host_an_approval_says_that_one_from_before_may_be_elsewhere(room: Room) -> None:
    """Who may approve is what the plan says there: no version from before holds it to its signers."""
    settled_file(room.site.root / "tree/one", b"one")
    assert room.approve().json["not_here"] == []
    room.site.backed_up()
    assert room.approve("--json").json["not_here"] == [], "the twin: here it is known"
    ledger = read_id(room.site.state / "ledger")
    assert ledger is not None
    shutil.rmtree(room.site.state)
    room.site.run("snapshots", "p")
    shown = room.approve("--json")
    assert shown.json["approved_before"] is None and shown.json["not_here"] == [ledger], shown
    process = room.site.start("plan", "approve", "p")
    out, _ = process.communicate()
    assert "as far as this host knows" in out and f"ccdr ledger recover p --ledger {ledger[:8]}" in out
    assert room.approve().json["not_here"] == [ledger]
    assert room.approve().json["not_here"] == []


def test_what_somebody_signed_who_may_not_sign_any_more_shows_nothing(room: Room) -> None:
    """An attestation, and a review of who has access; and one whose signature somebody has copied from another one."""
    evidence, export = room.site.write("report.pdf", "%PDF"), room.site.root / "access.json"
    given = [
        "--statement",
        "so it is",
        "--evidence",
        str(evidence),
        "--signers",
        str(room.signers),
        "--key",
        str(room.ana),
    ]
    assert room.site.run("attest", "penetration-test", *given, "--until", "30d").code == 0
    assert room.site.run("access", "review", "p", "--out", str(export)).code == 0
    looked = ["--looked-at", str(export), "--found", "as agreed", "--elsewhere", "Ion, by hand", "--key", str(room.ana)]
    assert room.site.run("access", "review", "p", *looked).code == 0

    def states() -> dict[str, str]:
        measures = room.site.run("controls", "--examine").json["measures"]
        parts = {p["id"]: p["state"] for m in measures for p in m["parts"]}
        return {name: parts[name] for name in ("penetration-test", "access-review")}

    assert set(states().values()) == {"stated"}, "the twin"
    signers(room.signers, {"dan@x": room.mallory})
    assert set(states().values()) == {"contradicted"}
    room.signers.chmod(0o666)
    assert set(states().values()) == {"contradicted"}, "who may sign cannot be read"
    signers(room.signers, {"ana@x": room.ana})
    assert set(states().values()) == {"stated"}, "they hold again by who may"
    room.site.ledger_holds()
