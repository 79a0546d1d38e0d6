"""Four eyes: where a plan is to be approved, what removes backups out of turn takes a request that another person has
signed; it is for this, here, now and once. Without, nothing is removed; by breaking the glass, and everybody knows."""

from __future__ import annotations

import json
import re
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.copied import copied, with_copies
from tests.support.harness import Quiet, Ran, ShiftedClock, Site
from tests.support.listeners import web_server
from tests.support.records import kind_in
from tests.support.signed import SecurityKey, key, signed, signers
from tests.support.stored import again, settled_file
from tests.support.upkeep import known, there

from ccdr.evidence.payloads import payload
from ccdr.evidence.records.statements import APPROVE_OPERATION
from ccdr.host.signatures import verify
from ccdr.jobs.approvals import NotApproved
from ccdr.jobs.copies import from_site
from ccdr.jobs.services import Trigger
from ccdr.jobs.upkeep import prune
from ccdr.model.values import Verb
from ccdr.run.scheduled import run
from ccdr.run.tasks import RunResult

REASON = "disk of Mrs Ionescu is full"


@dataclass
class Room:
    """The site with four backups, three of which would go; Ana asks, Dan approves, Mallory is nobody."""

    site: Site
    keys: dict[str, Path]
    signers: Path

    def approved(self, more: str = "") -> None:
        """The plan has the block, and this version is approved."""
        path = self.site.root / "plans/p.yaml"
        path.write_text(path.read_text().replace("assets:", f"approval: {{signers: {self.signers}{more}}}\nassets:", 1))
        done = self.site.run("plan", "approve", "p", "--key", str(self.keys["dan"]))
        assert done.code == 0, done

    @property
    def file(self) -> Path:
        return self.site.root / "prune.txt"

    def asked(self, *more: str, by: str = "ana") -> None:
        done = self.site.run(
            "approval", "request", "p", "prune", "--key", str(self.keys[by]), "--out", str(self.file), *more
        )
        assert done.code == 0, done

    def signed(self, by: str = "dan") -> None:
        self.sig(signed(self.file.read_text(), self.keys[by]))

    def sig(self, signature: str) -> None:
        self.file.with_name("prune.txt.sig").write_text(signature)

    def pruned(self, *more: str) -> Ran:
        return self.site.run("upkeep", "p", "--prune", *(more or ("--approval", str(self.file))))

    def again(self, old: str, new: str) -> None:
        """Another text, which both have signed as it is."""
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new, 1))
        for end, by, space in (("requested", "ana", "ccdr-request"), ("sig", "dan", "ccdr-approval")):
            made = signed(self.file.read_text(), self.keys[by], space)
            self.file.with_name(f"prune.txt.{end}").write_text(made)

    def codes(self) -> set[str]:
        (plan,) = self.site.run("status", "p").json["plans"]
        return {t["code"] for t in plan["troubles"]}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    room = tmp_path_factory.mktemp("keys")
    return {name: key(room, name) for name in ("ana", "dan", "mallory")}


@pytest.fixture
def room(site: Site, keys: dict[str, Path]) -> Room:
    known_keys = signers(site.root / "signers", {"ana@x": keys["ana"], "dan@x": keys["dan"]})
    return Room(site, keys, known_keys)


def test_a_prune_that_another_has_approved_removes_what_it_names_and_is_for_once(room: Room) -> None:
    room.approved()
    before = known(room.site)
    room.asked()
    room.signed()
    assert APPROVE_OPERATION.read(room.file.read_text()).about.snapshots == tuple(sorted(before[:-1]))
    done = room.pruned()
    assert done.code == 0, done
    assert there(room.site) == before[-1:]
    (used,) = room.site.records("approve.operation")
    assert (used["requested"]["name"], used["by"]["name"]) == ("ana@x", "dan@x")
    assert used["about"]["snapshots"] == sorted(before[:-1]) and used["about"]["operation"] == "prune"
    kinds = [kind_in(r) for r in room.site.records()]
    assert kinds.index("approve.operation") < kinds.index("prune.start"), "recorded before anything is done"
    once_more = room.pruned()
    assert once_more.code == 2 and "carried out already" in once_more.json["prune"]["reason"]
    assert room.site.records("approval.refused")[-1]["why"] == "used"
    room.site.ledger_holds()


def test_without_a_block_nobody_is_asked(room: Room) -> None:
    before = known(room.site)
    done = room.pruned("--prune")
    assert done.code == 0 and there(room.site) == before[-1:]
    assert room.pruned("--break-glass", REASON).code == 2, "there is none to break"


def test_without_an_approval_nothing_is_removed_and_that_is_recorded(room: Room) -> None:
    room.approved()
    done = room.pruned("--prune")
    assert done.code == 2 and done.json["prune"]["result"] == "REFUSED" and len(there(room.site)) == 4
    (refused,) = room.site.records("approval.refused")
    assert refused["why"] == "missing" and room.site.records("prune.start") == []
    assert room.pruned("--dry-run").code == 0, "to look is free"
    room.site.ledger_holds()


def test_a_check_goes_on_where_the_prune_beside_it_is_refused(room: Room) -> None:
    room.approved()
    done = room.site.run("upkeep", "p")
    assert done.code == 2 and done.json["check"]["result"] == "CLEAN" and len(there(room.site)) == 4


def _without(name: str) -> Callable[[Room], None]:
    def change(room: Room) -> None:
        signers(room.signers, {"ana@x": room.keys["ana"], "eve@x": room.keys["mallory"]})

    return change


def _asked_by_who_approves(room: Room) -> None:
    """Under another name, too: the key is the same."""
    room.file.unlink()
    signers(room.signers, {"ana@x": room.keys["ana"], "dan@x": room.keys["dan"], "daniel@x": room.keys["dan"]})
    room.asked(by="dan")
    room.signed()


def _changed_plan(room: Room) -> None:
    path = room.site.root / "plans/p.yaml"
    path.write_text(path.read_text() + "# a comment\n")


BAD: dict[str, tuple[Callable[[Room], object], str]] = {
    "only asked for": (lambda room: room.sig("none"), "signature"),
    "approved by nobody who may": (lambda room: room.signed("mallory"), "signature"),
    "approved by who asked": (lambda room: room.signed("ana"), "same_person"),
    "approved by who asked, under two names": (_asked_by_who_approves, "same_person"),
    "who approved may not any more": (_without("dan"), "signature"),
    "the text was changed since": (
        lambda room: room.file.write_text(re.sub("snapshots: [0-9a-f]{64}", f"snapshots: {'0' * 64}", room.file.read_text(), count=1)),
        "signature",
    ),
    "no text of ccdr's": (lambda room: room.file.write_text("please\n"), "not_as_written"),
    "for another host": (lambda room: room.again(f"on: {socket.gethostname()}", "on: elsewhere"), "another_host"),
    "for something else": (lambda room: room.again("operation: prune", "operation: recover"), "another_operation"),
    "of another plan": (lambda room: room.again("plan: p", "plan: q"), "another_version"),
    "of another repository": (
        lambda room: room.again(f"repository: {APPROVE_OPERATION.read(room.file.read_text()).about.repository}", f"repository: {'0' * 64}"),
        "another_repository",
    ),
    "of another version": (_changed_plan, "another_version"),
    "the signers are anybody's": (lambda room: room.signers.chmod(0o666), "signers"),
}  # fmt: skip


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "ready"


@pytest.fixture
def ready(room: Room, kept: Path) -> Room:
    """Approved, and a request is signed by both: made once."""
    if kept.exists():
        again(room.site, kept)
    else:
        room.approved()
        room.asked()
        room.signed()
        shutil.copytree(room.site.root, kept, symlinks=True)
    return room


@pytest.mark.parametrize("how", BAD)
def test_what_is_no_approval_of_this_removes_nothing(ready: Room, how: str) -> None:
    room = ready
    damage, why = BAD[how]
    damage(room)
    done = room.pruned()
    assert done.code == 2 and len(there(room.site)) == 4, done
    assert [r["why"] for r in room.site.records("approval.refused")] == [why]
    assert room.site.records("approve.operation") == [] and room.site.records("prune.start") == []


def test_it_expires(room: Room) -> None:
    """The twin is every request above, which is used within its day."""
    room.approved()
    room.asked("--for", "1h")
    room.signed()
    from ccdr.cli.approving import GoingOn

    services = room.site.services(ShiftedClock(timedelta(hours=2)))
    given = GoingOn(room.file, None).given(room.site.loaded(), services)
    with pytest.raises(Exception, match="it held until"):
        prune(room.site.loaded(), services, Quiet(), given=given)
    assert len(there(room.site)) == 4
    done = room.site.run("approval", "request", "p", "prune", "--key", str(room.keys["ana"]), "--out",
                         str(room.site.root / "long"), "--for", "8d")  # fmt: skip
    assert done.code == 2 and "7 days at most" in done.json["error"]


def test_what_the_request_does_not_name_stays(room: Room) -> None:
    """One more that has come to its time since: retention keeps one, and another was stored."""
    room.approved()
    before = known(room.site)
    room.asked()
    room.signed()
    settled_file(room.site.root / "tree/more.wav", b"more")
    room.site.backed_up()
    assert room.site.run("test", "p").code == 0
    done = room.pruned()
    assert done.code == 0, done
    assert there(room.site) == [before[-1], known(room.site)[-1]], "the last of the four was to go by now"
    spared = [d for d in done.json["prune"]["decisions"] if d["why"] == ["the approval does not name it"]]
    assert [d["id"] for d in spared] == [before[-1]]


def test_a_second_factor_is_asked_for_where_the_plan_asks(room: Room) -> None:
    device = SecurityKey()
    signers(room.signers, {"ana@x": room.keys["ana"], "dan@x": device.public, "eve@x": room.keys["dan"]})
    path = room.site.root / "plans/p.yaml"
    block = f"approval: {{signers: {room.signers}, second_factor: true}}"
    path.write_text(path.read_text().replace("assets:", f"{block}\nassets:", 1))
    room.asked()
    room.signed()
    assert room.pruned().code == 2
    assert room.site.records("approval.refused")[-1]["why"] == "second_factor"
    room.sig(device.signed(room.file.read_text()))
    assert room.pruned().code == 0
    assert room.site.records("approve.operation")[0]["by"]["user_verified"] is True


# --- by schedule --------------------------------------------------------------------------------------


def by_schedule(room: Room) -> None:
    prune(room.site.loaded(), room.site.services(), Quiet(), trigger=Trigger(datetime.now(UTC), 1))


def test_the_schedule_is_covered_by_the_approved_version_and_by_no_other(room: Room) -> None:
    room.approved()
    _changed_plan(room)
    with pytest.raises(NotApproved, match="nobody has approved version"):
        by_schedule(room)
    assert len(there(room.site)) == 4, "whatever its retention says now"
    assert room.site.run("plan", "approve", "p", "--key", str(room.keys["dan"])).code == 0
    by_schedule(room)
    assert len(there(room.site)) == 1


def test_a_recorded_approval_that_does_not_hold_covers_nothing(room: Room) -> None:
    """Who signed it is not among the signers any more."""
    room.approved()
    signers(room.signers, {"ana@x": room.keys["ana"]})
    with pytest.raises(NotApproved, match="does not hold"):
        by_schedule(room)
    assert len(there(room.site)) == 4


# --- without ------------------------------------------------------------------------------------------


def test_who_breaks_the_glass_is_told_of_at_once_and_it_is_red_until_reviewed(room: Room) -> None:
    with web_server() as web:
        path = room.site.root / "plans/p.yaml"
        room.site.write("plans/urls", f"{web.url()}\n", mode=0o600)
        path.write_text(path.read_text().replace("assets:", "notify: {urls_file: urls}\nassets:", 1))
        room.approved()
        done = room.pruned("--break-glass", REASON)
        assert done.code == 0 and len(there(room.site)) == 1, done
        assert any("BREAK-GLASS" in title for title in web.titles), web.titles
    assert "BREAK_GLASS" in room.codes() and room.site.run("status", "p").code == 1
    assert REASON not in json.dumps(room.site.records())
    refused = room.site.run("ack", "BREAK_GLASS", "p", "--until", "1d", "--why", "later")
    assert refused.code == 2 and "BREAK_GLASS" in room.codes()
    waiting = room.site.run("approval", "review", "p")
    assert waiting.code == 1 and [one["why"] for one in waiting.json["to_review"]] == [REASON]
    for by, code in (("mallory", 2), ("dan", 0)):
        done = room.site.run("approval", "review", "p", "--found", "so it was", "--key", str(room.keys[by]))
        assert done.code == code, done
    assert "BREAK_GLASS" not in room.codes() and room.site.run("approval", "review", "p").json == {"to_review": []}
    room.site.ledger_holds()


def test_who_broke_the_glass_does_not_review_it(room: Room) -> None:
    """As far as this host knows them by an account: `sudo` tells whose it was."""
    room.approved()
    room.site.env["SUDO_USER"] = "dan"
    assert room.pruned("--break-glass", REASON).code == 0
    del room.site.env["SUDO_USER"]
    for by, code in (("dan", 2), ("ana", 0)):
        done = room.site.run("approval", "review", "p", "--found", "so it was", "--key", str(room.keys[by]))
        assert done.code == code, done
        assert ("BREAK_GLASS" in room.codes()) == (by == "dan")


def test_what_a_review_found_is_signed_with_it(room: Room) -> None:
    """Else whoever writes the ledger puts other words below that signature."""
    room.approved()
    assert room.pruned("--break-glass", REASON).code == 0
    text, review = room.site.root / "review.txt", ("approval", "review", "p")
    assert room.site.run(*review, "--write", str(text)).code == 2, "what it found is missing"
    assert room.site.run(*review, "--found", "so it was", "--write", str(text)).code == 0
    text.with_name("review.txt.sig").write_text(signed(text.read_text(), room.keys["dan"]))
    assert room.site.run(*review, "--found", "all is well", "--signed", str(text)).code == 2, "it is signed already"
    assert room.site.run(*review, "--signed", str(text)).code == 0
    (record,) = room.site.records("review.glass")
    assert f"words-sha256: {record['words_sha256']}\n" in text.read_text()
    assert payload(room.site.services().state, record["words_sha256"]) == "so it was"


def test_two_that_carry_one_request_out_at_once_use_it_once(ready: Room) -> None:
    room = ready
    argv = ("upkeep", "p", "--prune", "--approval", str(room.file), "--json")
    both = [room.site.start(*argv) for _ in range(4)]
    codes = sorted(process.wait(120) for process in both)
    assert codes[0] == 0 and set(codes[1:]) <= {2, 5}, codes
    assert len(room.site.records("approve.operation")) == 1 == len(room.site.records("prune.start"))


def test_it_is_recorded_before_anything_is_done_and_goes_on_though_nobody_can_be_told(room: Room) -> None:
    room.site.write("plans/urls", "json://127.0.0.1:1/hook\n", mode=0o600)
    path = room.site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("assets:", "notify: {urls_file: urls}\nassets:", 1))
    room.approved()
    done = room.pruned("--break-glass", REASON)
    assert done.code == 0 and len(there(room.site)) == 1, done
    kinds = [kind_in(r) for r in room.site.records()]
    assert kinds.index("approval.glass") < kinds.index("prune.start")


def test_to_take_the_block_out_needs_four_eyes_still(room: Room) -> None:
    room.approved()
    path = room.site.root / "plans/p.yaml"
    path.write_text("".join(n for n in path.read_text().splitlines(keepends=True) if not n.startswith("approval:")))
    assert room.pruned("--prune").code == 2 and len(there(room.site)) == 4
    with pytest.raises(NotApproved):
        by_schedule(room)


def test_both_signatures_can_be_verified_from_the_record(room: Room) -> None:
    room.approved()
    room.asked()
    room.signed()
    text = room.file.read_text()
    room.pruned()
    (used,) = room.site.records("approve.operation")
    services, there_ = room.site.services(), room.signers.read_text()
    for whose, space in (("requested", "ccdr-request"), ("by", "ccdr-approval")):
        assert verify(text, used[whose]["signature"], there_, space, services.host).name == used[whose]["name"]


def test_a_plans_copies_are_pruned_by_the_same_rules(tmp_path: Path, keys: dict[str, Path]) -> None:
    """What was approved and what was used is the plan's, wherever it is seen from."""
    site = with_copies(tmp_path, extra="retention: {keep_last: 1}\n")
    copied(site)
    room = Room(site, keys, signers(tmp_path / "signers", {"ana@x": keys["ana"], "dan@x": keys["dan"]}))
    room.approved()

    def by_schedule_there() -> str:
        loaded, services = from_site(site.loaded(), site.services(), "offsite")
        return prune(loaded, services, Quiet(), trigger=Trigger(datetime.now(UTC), 1)).result

    assert by_schedule_there() == "DONE"
    room.asked("--from", "offsite")
    room.signed()
    refused = room.pruned()
    assert refused.code == 2 and "another repository" in refused.json["prune"]["reason"]
    there_too = ("--approval", str(room.file), "--from", "offsite")
    assert room.pruned(*there_too).code == 0 and room.pruned(*there_too).code == 2
    assert [r["why"] for r in site.records("approval.refused")] == ["another_repository", "used"]
    path = site.root / "plans/p.yaml"
    path.write_text("".join(n for n in path.read_text().splitlines(keepends=True) if not n.startswith("approval:")))
    with pytest.raises(NotApproved):
        by_schedule_there()


def test_ccdr_run_prunes_nothing_by_a_version_that_nobody_has_approved_and_says_so(room: Room) -> None:
    def at(days: float) -> RunResult:
        clock = ShiftedClock(timedelta(days=days))
        return run([room.site.loaded()], room.site.services(clock), Quiet(), only=[Verb.PRUNE])

    room.approved()
    at(0)  # its schedule counts from now on
    _changed_plan(room)
    (did,) = at(8).did
    assert did.code == 1 and "nobody has approved version" in str(did.reason) and len(there(room.site)) == 4
    assert room.site.records("not_begun")[-1]["verb"] == "prune"
    assert room.site.run("plan", "approve", "p", "--key", str(room.keys["dan"])).code == 0
    (did,) = at(15).did
    assert did.code == 0 and room.site.records("prune.end")[-1]["result"] == "DONE"
