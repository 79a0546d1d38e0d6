"""One record's proof: verified by whoever has the key and a checkpoint, and nothing else is in it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tests.support.harness import Ran, Site
from tests.support.recorded import backup, test
from tests.support.verified import World

from ccdr.jobs.checkpoints import creation as signing_keys
from ccdr.jobs.checkpoints.creation import make


class Client:
    def __init__(self, tmp_path: Path) -> None:
        site = Site(tmp_path)
        site.recordings(tmp_path / "spool")
        self.world = World(site)
        for name in ("other-b0", "other-b1"):
            backup(self.world.ledger, name, "recordings")
        test(self.world.ledger, "t1", "recordings-x", "FAIL", "recordings")
        test(self.world.ledger, "other-t2", "recordings-b1", "PASS", "recordings")
        self.key = signing_keys.create(self.world.services).key
        self.proof, self.anchor = tmp_path / "proof", tmp_path / "anchor.txt"
        made = make(self.world.services).checkpoint
        self.size = made.size
        self.anchor.write_bytes(made.contents)

    def run(self, *words: object) -> Ran:
        return self.world.site.run("ledger", *map(str, words))

    def verify(self, where: Path | None = None, *words: object) -> tuple[int, str | None, list[str]]:
        pins = words or ("--pin", self.key, "--anchor", self.anchor)
        done = self.run("verify", where or self.proof, *pins)
        return done.code, done.json["says"], [one["code"] for one in done.json["findings"]]


@pytest.fixture
def client(tmp_path: Path) -> Client:
    made = Client(tmp_path)
    assert made.run("proof", "t1", made.proof).code == 0
    return made


def test_it_is_verified_by_key_and_checkpoint_alone(client: Client) -> None:
    done = client.run("verify", client.proof, "--pin", client.key, "--anchor", client.anchor)
    assert (done.code, done.json["says"], done.json["record"]["verdict"]) == (0, "verified", "FAIL")
    assert client.verify(client.proof / "proof.tlog-proof") == (0, "verified", [])


def test_without_key_or_checkpoint_it_proves_nothing(client: Client) -> None:
    assert client.verify(None, "--anchor", client.anchor) == (3, "internally consistent", [])
    assert client.verify(None, "--pin", client.key) == (3, "internally consistent", [])


def test_a_fingerprint_cannot_tell_its_key_and_an_honest_proof_is_no_finding(client: Client) -> None:
    assert client.verify(None, "--pin", client.key.fingerprint, "--anchor", client.anchor) == (
        3,
        "internally consistent",
        [],
    )


def test_it_discloses_no_other_record(client: Client) -> None:
    written = b"".join(path.read_bytes() for path in sorted(client.proof.rglob("*")) if path.is_file())
    encoded = [base64.b64decode(line.split()[-1]) for line in written.split(b"\n") if line.startswith(b"extra ")]
    for other in (b"other-t2", b"other-b0", b'"seq":1,'):
        assert other not in written and not any(other in one for one in encoded)


def changed(client: Client, name: str, was: bytes, to: bytes) -> None:
    path = client.proof / name
    contents = path.read_bytes()
    if name == "proof.tlog-proof":
        lines = contents.split(b"\n")
        line = base64.b64decode(lines[1].removeprefix(b"extra "))
        assert was in line
        lines[1] = b"extra " + base64.b64encode(line.replace(was, to, 1))
        path.write_bytes(b"\n".join(lines))
    else:
        assert was in contents
        path.write_bytes(contents.replace(was, to, 1))


@pytest.mark.parametrize("files", [("record.jsonl",), ("proof.tlog-proof",), ("record.jsonl", "proof.tlog-proof")])
def test_a_record_that_was_bettered_is_found(client: Client, files: tuple[str, ...]) -> None:
    for name in files:
        changed(client, name, b'"verdict":"FAIL"', b'"verdict":"PASS"')
    code, says, found = client.verify()
    assert (code, says, set(found)) == (1, None, {"PROOF_WRONG"})


def test_another_key_and_another_ledger_are_found(client: Client, tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    other = Client(tmp_path / "else")
    assert client.verify(None, "--pin", other.key, "--anchor", client.anchor)[::2] == (1, ["KEY_NOT_PINNED"])
    assert client.verify(None, "--pin", client.key, "--anchor", other.anchor)[:2] == (3, "internally consistent")


def test_by_the_checkpoint_that_its_reader_holds(client: Client, tmp_path: Path) -> None:
    backup(client.world.ledger, "b9", "recordings")
    make(client.world.services)
    newest = tmp_path / "newest"
    assert client.run("proof", "t1", newest).code == 0
    assert client.verify(newest)[:2] == (3, "internally consistent")
    held = tmp_path / "held"
    assert client.run("proof", "t1", held, "--records", client.size).code == 0
    assert client.verify(held) == (0, "verified", [])


@pytest.mark.parametrize("words", [("nothing",), ("t1", "--records", "2"), ("t1", "--records", "99999")])
def test_what_cannot_be_proven_is_refused(client: Client, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = client.run("proof", words[0], tmp_path / "none", *words[1:])
    assert done.code == 2 and not (tmp_path / "none").exists()


def test_nothing_is_proven_of_a_ledger_that_was_changed(client: Client, tmp_path: Path) -> None:
    (segment,) = (client.world.site.state / "ledger").glob("*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b'"verdict":"FAIL"', b'"verdict":"PASS"', 1))
    done = client.run("proof", "t1", tmp_path / "none")
    assert done.code == 1 and "changed since" in done.stderr and not (tmp_path / "none").exists()


@pytest.mark.parametrize("contents", [b"", b"c2sp.org/tlog-proof@v1\n", b"c2sp.org/tlog-proof@v1\nindex 1\n\nx\n"])
def test_what_is_no_proof_is_refused(client: Client, contents: bytes) -> None:
    (client.proof / "proof.tlog-proof").write_bytes(contents)
    assert client.run("verify", client.proof).code == 2


def test_a_proof_that_lies_in_a_copy_of_a_ledger_does_not_stand_for_it(client: Client, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in (client.world.site.state / "ledger").glob("*.jsonl"):
        (copy / path.name).write_bytes(path.read_bytes().replace(b'"FAIL"', b'"PASS"', 1))
    (copy / "proof.tlog-proof").write_bytes((client.proof / "proof.tlog-proof").read_bytes())
    code, says, _ = client.verify(copy)
    assert (code, says) == (1, None)
