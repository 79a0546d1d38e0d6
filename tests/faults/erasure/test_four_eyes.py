"""Where a plan is to be approved, who is erased from what is restored, and who is no more, takes another person's
signature: about that entry, for once. Whoever breaks the glass is told of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.erased import added
from tests.support.harness import Ran, Site
from tests.support.records import kind_in
from tests.support.signed import key, signed, signers
from tests.support.stored import copy_of, settled_file

FIRST, SECOND = ("asset: recordings\nfiles: ['1.wav']\n", "asset: recordings\nfiles: ['2.wav']\n")


@dataclass
class Room:
    """Ana asks, Dan approves."""

    site: Site
    keys: dict[str, Path]

    def approved(self) -> None:
        known = signers(self.site.root / "signers", {f"{name}@x": of for name, of in self.keys.items()})
        path = self.site.root / "plans/p.yaml"
        path.write_text(path.read_text().replace("assets:", f"approval: {{signers: {known}}}\nassets:", 1))
        assert self.site.run("plan", "approve", "p", "--key", str(self.keys["dan"])).code == 0

    def request(self, about: str, operation: str = "register") -> list[str]:
        """The options that go on by it."""
        file = self.site.root / f"{operation}-{about[:17]}.txt"
        asked = ["--key", str(self.keys["ana"]), "--out", str(file), "--about", about]
        done = self.site.run("approval", "request", "p", operation, *asked)
        assert done.code == 0, done
        file.with_name(f"{file.name}.sig").write_text(signed(file.read_text(), self.keys["dan"]))
        return ["--approval", str(file)]

    def add(self, selector: str, *more: str) -> Ran:
        name = self.site.write("selector.yaml", selector, mode=0o600)
        return self.site.run("erasure", "add", "p", "--selector", str(name), *more)

    def withdraw(self, entry: str, *more: str) -> Ran:
        return self.site.run("erasure", "withdraw", "p", entry, "--why", "another caller's", *more)

    def nobody(self, entry: str, *more: str) -> Ran:
        return self.site.run("erasure", "review", "p", "--nobody", entry, "--why", "never called us", *more)

    @property
    def standing(self) -> list[str]:
        return [one["entry"] for one in self.site.run("erasure", "list", "p").json["entries"]]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("e"))
    for n in (1, 2, 3):
        settled_file(site.root / f"tree/{n}.wav", b"%d" % n)
    site.recordings(site.root / "tree")
    site.backed_up()
    return site


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    room = tmp_path_factory.mktemp("keys")
    return {name: key(room, name) for name in ("ana", "dan")}


@pytest.fixture
def room(stored: Site, keys: dict[str, Path], tmp_path: Path) -> Room:
    (root := tmp_path / "s").mkdir()
    return Room(copy_of(stored, root), keys)


def test_an_edit_of_the_register_takes_what_another_has_signed_about_that_entry(room: Room) -> None:
    room.approved()
    refused = room.add(FIRST)
    assert (refused.code, room.standing) == (2, []) and "--about first" in refused.json["hint"], refused
    would = room.add(FIRST, "--dry-run")
    assert (would.code, would.json["about"]) == (0, "first")
    assert room.add(FIRST, *room.request("first")).code == 0
    about = room.add(SECOND, "--dry-run").json["about"]
    assert about == room.add(SECOND, "--dry-run").json["pseudonym"]
    given = room.request(about)
    assert room.add(SECOND.replace("2", "3"), *given).code == 2, "it is about another person"
    assert room.add(SECOND, *given).code == 0
    assert room.withdraw("e-000001").code == 2 and room.withdraw("e-000001", *given).code == 2
    third = room.request("e-000001")
    assert room.withdraw("e-000002", *third).code == 2 and room.standing == ["e-000001", "e-000002"]
    assert room.withdraw("e-000001", *third).code == 0
    assert room.standing == ["e-000002"]
    site = room.site
    assert [r["about"]["about"] for r in site.records("approve.operation")] == ["first", about, "e-000001"]
    assert {r["why"] for r in site.records("approval.refused")} == {"missing", "another_operation"}
    kinds = [kind_in(r) for r in site.records()]
    assert kinds.index("approve.operation") < kinds.index("erasure.add"), "recorded before anything is done"
    site.ledger_holds()


def test_that_nobody_is_to_be_found_by_an_entry_takes_it_too(room: Room) -> None:
    """It turns an entry that was never found into one that counts as shown."""
    added(room.site, FIRST, SECOND)
    room.approved()
    refused = room.nobody("e-000001")
    assert refused.code == 2 and "--about nobody.e-000001" in refused.json["hint"], refused
    withdrawal, given = room.request("e-000001"), room.request("nobody.e-000001")
    assert room.nobody("e-000001", *withdrawal).code == 2, "it is signed to withdraw it"
    assert room.nobody("e-000002", *given).code == 2 and room.site.records("answer.entry") == []
    assert room.nobody("e-000001", *given).code == 0
    assert [r["about"]["about"] for r in room.site.records("approve.operation")] == ["nobody.e-000001"]
    assert room.nobody("e-000002", "--break-glass", "nobody answers, OPS-9").code == 0
    assert [r["about"]["entry"] for r in room.site.records("answer.entry")] == ["e-000001", "e-000002"]
    room.site.ledger_holds()


def test_an_approval_of_something_else_edits_nothing(room: Room) -> None:
    room.approved()
    assert room.add(FIRST, *room.request("first", "recover")).code == 2 and room.standing == []


def test_who_breaks_the_glass_is_told_of(room: Room) -> None:
    room.approved()
    assert room.add(FIRST, "--break-glass", "nobody answers, OPS-9").code == 0
    assert room.withdraw("e-000001", "--break-glass", "nobody answers, OPS-9").code == 0
    assert [r["about"] for r in room.site.records("approval.glass")] == ["first", "e-000001"]
    status = room.site.run("status", "p")
    assert status.code == 1 and "BREAK_GLASS" in status.stdout
    assert "OPS-9" not in str(room.site.records())


def test_without_a_block_nobody_is_asked_and_to_look_and_to_prove_is_free(room: Room) -> None:
    added(room.site, FIRST)
    assert room.add(SECOND, "--dry-run").json["about"] is None
    assert room.withdraw("e-000001", "--break-glass", "no need").code == 2
    room.approved()
    assert room.add(FIRST).json["known"] is True, "nothing is added, and nobody need approve it"
    assert room.site.run("erasure", "prove", "p").json["proofs"][0]["result"] == "ERASED"
    assert room.site.records("approval.refused") == []
