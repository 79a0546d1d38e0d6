"""`ccdr ledger verify` by pinned keys and an anchor: what each change does, and what honest work does not."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.records import record_in
from tests.support.verified import World

from ccdr.jobs.checkpoints import creation as signing_keys
from ccdr.jobs.checkpoints.creation import make
from ccdr.jobs.checkpoints.store import directory_of


class Signed:
    """A world whose ledger a key signs: the auditor has the key, and a checkpoint from last week."""

    def __init__(self, world: World, tmp_path: Path) -> None:
        world.clock.on(days=10)  # behind whatever wrote by the real clock
        self.world, self.services = world, world.services
        self.key = signing_keys.create(self.services).key
        self.pin = str(self.key)
        self.anchor = tmp_path / "from-mail.txt"
        self.anchor.write_bytes(make(self.services).checkpoint.contents)
        self.copy = tmp_path / "copy"

    @property
    def segment(self) -> Path:
        (only,) = (self.world.site.state / "ledger").glob("*.jsonl")
        return only

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.segment.read_bytes().splitlines()]

    def work(self) -> None:
        record_in(self.world.ledger, "ledger.verified", plan=None, asset=None, run=None, body=_VERIFIED)

    def verify(self, *words: str) -> tuple[int, str | None, list[str]]:
        done = self.world.site.run("ledger", "verify", *words)
        return done.code, done.json["says"], [one["code"] for one in done.json["findings"]]

    def by_pin(self, *words: str) -> tuple[int, str | None, list[str]]:
        return self.verify("--pin", self.pin, "--anchor", str(self.anchor), *words)

    def rewritten(self, lines: list[dict[str, object]]) -> None:
        """All of it chained anew: what root can do."""
        prev, made = "0" * 64, b""
        for number, record in enumerate(lines, start=1):
            line = json.dumps({**record, "seq": number, "prev": prev}, separators=(",", ":"), ensure_ascii=False)
            made += (encoded := line.encode() + b"\n")
            prev = sha256(encoded).hexdigest()
        self.segment.write_bytes(made)
        for kept in ("chain.json", "verified.json"):
            (self.world.site.state / kept).unlink(missing_ok=True)
        shutil.rmtree(self.world.site.state / "index", ignore_errors=True)

    def signed_anew(self) -> None:
        """By the key that lies on the host."""
        there = directory_of(self.services.state, str(self.services.lineage().ledger))
        shutil.rmtree(there)
        make(self.services)


_VERIFIED = {
    "result": "HOLDS", "reason": None, "records": 1, "head": "0" * 64, "summary": "NONE", "problems": [], "index": {},
}  # fmt: skip


@pytest.fixture
def signed(world: World, tmp_path: Path) -> Signed:
    return Signed(world, tmp_path)


def test_without_a_pin_it_is_consistent_and_with_pin_and_anchor_verified(signed: Signed) -> None:
    assert signed.verify() == (0, "internally consistent", [])
    assert signed.verify("--pin", signed.pin) == (3, "internally consistent", [])
    assert signed.verify("--anchor", str(signed.anchor)) == (3, "internally consistent", [])
    assert signed.by_pin() == (0, "verified", [])
    signed.work()
    done = signed.world.site.run("ledger", "verify", "--pin", signed.pin, "--anchor", str(signed.anchor))
    boundary = done.json["boundary"]
    assert done.code == 0 and boundary["record"] == len(signed.lines) - 1
    assert boundary["time"] == str(signed.lines[-2]["time"]).replace(".000000Z", "Z")


def test_a_rewrite_with_the_key_is_found_by_the_anchor_alone(signed: Signed) -> None:
    lines = signed.lines
    lines[1]["actor"] = "mallory"
    signed.rewritten(lines)
    signed.signed_anew()
    assert signed.verify("--pin", signed.pin) == (3, "internally consistent", [])
    assert signed.by_pin() == (1, None, ["FORK"])


def test_a_rewrite_without_the_key_is_found_by_the_checkpoint(signed: Signed) -> None:
    lines = signed.lines
    lines[1]["actor"] = "mallory"
    signed.rewritten(lines)
    assert signed.verify() == (1, None, ["CHECKPOINT_CONTRADICTED"])


def test_records_cut_off_behind_an_anchor_are_found(signed: Signed) -> None:
    signed.rewritten(signed.lines[:-1])
    code, says, found = signed.by_pin()
    assert (code, says) == (1, None) and "RECORDS_CUT_OFF" in found


def test_what_came_after_the_anchor_is_outside_the_boundary(signed: Signed) -> None:
    """Said, not hidden: the healthy twin of all that is found."""
    signed.work()
    signed.rewritten(signed.lines[:-1])
    assert signed.by_pin() == (0, "verified", [])


def test_another_key_is_unknown_and_a_rotation_is_followed(signed: Signed) -> None:
    signing_keys.rotate(signed.services)
    make(signed.services)
    assert signed.by_pin() == (0, "verified", [])
    path = signing_keys.keys_directory(signed.services.state)
    for key in path.iterdir():
        key.unlink()
    signing_keys.create(signed.services, lost=True)
    make(signed.services)
    code, _, found = signed.by_pin()
    assert code == 1 and {"KEY_NOT_HANDED_OVER", "KEY_NOT_PINNED"} <= set(found)
    known = signing_keys.current(signed.services)
    assert known is not None
    assert signed.by_pin("--pin", str(known.key)) == (0, "verified", [])


def test_a_foreign_signature_on_a_checkpoint_is_found(signed: Signed) -> None:
    from tests.support.merkle import over

    from ccdr.evidence.checkpoints.checkpoint import SigningKey, checkpoint_of, read_checkpoint

    there = directory_of(signed.services.state, str(signed.services.lineage().ledger))
    (path,) = there.glob("*.txt")
    origin = read_checkpoint(path.read_bytes()).origin
    tree = over(signed.segment.read_bytes().splitlines(keepends=True))
    path.write_bytes(checkpoint_of(origin, tree, SigningKey.new(signed.key.name)).contents)
    code, _, found = signed.by_pin()
    assert code == 1 and found == ["KEY_UNKNOWN"]


def test_nothing_is_signed_of_a_ledger_that_was_changed(signed: Signed) -> None:
    lines = signed.lines
    lines[1]["actor"] = "mallory"
    signed.rewritten(lines)
    done = signed.world.site.run("ledger", "checkpoint")
    assert done.code == 1 and "changed since" in done.stderr


def test_a_copy_is_held_to_a_pin_and_an_anchor(signed: Signed) -> None:
    shutil.copytree(signed.segment.parent, signed.copy)
    assert signed.verify(str(signed.copy)) == (3, "internally consistent", [])
    assert signed.by_pin(str(signed.copy)) == (0, "verified", [])
    (line,) = list(signed.copy.glob("*.jsonl"))
    line.write_bytes(line.read_bytes().replace(b'"actor":"', b'"actor":"x', 1))
    assert signed.by_pin(str(signed.copy))[0] == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--pin", "nonsense"), "verifier key"),
        (("--pin", "0" * 64, "--anchor", "/etc/hostname"), "checkpoint"),
    ],
)
def test_what_is_no_key_or_no_checkpoint_is_refused(signed: Signed, words: tuple[str, ...], says: str) -> None:
    done = signed.world.site.run("ledger", "verify", *words)
    assert done.code == 2 and says in done.stderr


def test_the_daily_verification_holds_the_ledger_to_its_checkpoints(signed: Signed) -> None:
    """A rewrite that the state's own marks do not tell of. Its twin: the same day without one."""
    from ccdr.jobs.daily_verification import newest, verify_now

    verify_now(signed.services)
    last = newest(signed.services.lineage())
    assert last is not None and last.ok
    lines = signed.lines
    lines[1]["actor"] = "mallory"
    signed.rewritten(lines)
    verify_now(signed.services)
    last = newest(signed.services.lineage())
    assert last is not None and not last.ok and any("checkpoint of" in problem for problem in last.problems)


def test_since_the_last_verification_the_newest_checkpoint_must_stand(signed: Signed) -> None:
    from ccdr.jobs.daily_verification import verify_now

    verify_now(signed.services)
    make(signed.services)
    done = signed.world.site.run("ledger", "verify", "--since-verified")
    assert (done.code, done.json["since"] is None) == (0, False)
    assert any("newest checkpoint" in note for note in done.json["notes"])
    there = directory_of(signed.services.state, str(signed.services.lineage().ledger))
    newest = max(there.glob("*.txt"))
    newest.write_bytes(newest.read_bytes().replace(b"\n\n", b"x\n\n", 1))
    done = signed.world.site.run("ledger", "verify", "--since-verified")
    assert done.code == 1 and done.json["since"] is None and "all of it is read" in done.stderr
