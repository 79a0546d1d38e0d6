"""docs/how-to/verify-a-package.md: an auditor verifies a package without ccdr, by the commands as they stand there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.packages import sealed
from tests.support.pages import DOCS, commands
from tests.support.records import ENVELOPE, record_in
from tests.support.signed import key, signed
from tests.support.signing_off import SignOffRoom
from tests.support.sparse import statement_of

from ccdr.evidence.statements import signatures_of
from ccdr.jobs.checkpoints import creation as signing_keys
from ccdr.jobs.checkpoints.creation import make
from ccdr.jobs.checkpoints.store import directory_of

CONFIG = """
[tsa]
default_tsa = one
[one]
serial = {0}/serial
signer_cert = {0}/tsa.pem
signer_key = {0}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""


def stamped(at: Path, data: Path, token: Path) -> None:
    """By an authority of our own."""
    at.mkdir(exist_ok=True)
    (at / "ts.cnf").write_text(CONFIG.format(at))
    (at / "serial").write_text("01\n")
    make_ = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key", "-out", "tsa.pem", "-days", "20",
             "-subj", "/CN=tsa", "-addext", "extendedKeyUsage=critical,timeStamping"]  # fmt: skip
    query = ["ts", "-query", "-data", str(data), "-sha256", "-cert", "-out", "q.tsq"]
    reply = ["ts", "-reply", "-config", "ts.cnf", "-queryfile", "q.tsq", "-out", str(token)]
    for argv in (make_, query, reply):
        subprocess.run(["openssl", *argv], cwd=at, check=True, capture_output=True)


def newest_note(package: Path) -> Path:
    return max(package.glob("data/checkpoints/*/0*.txt"))


class Audit:
    """A period that was tested and signed off; the auditor has the key, a checkpoint, signers and a certificate."""

    def __init__(self, root: Path) -> None:
        self.room = room = SignOffRoom(root)
        self.services = room.services()
        room.tested("dan")
        room.tested("dan", hours=40)
        self.key = signing_keys.create(self.services).key
        assert room.sign().code == 0
        evidence = room.site.write("siem.txt", "gathered")
        given = (
            "--statement",
            "so it is",
            "--evidence",
            str(evidence),
            "--until",
            "30d",
            "--signers",
            str(room.signers),
        )
        assert room.site.run("attest", "siem", *given, "--key", str(room.ana)).code == 0
        self.package, self.home = root / "package", root / "home"
        had = self.home / "auditor"
        had.mkdir(parents=True)
        (had / "ledger.pem").write_text(self.key.pem)
        made = make(self.services)
        (had / "from-mail.txt").write_bytes(made.checkpoint.contents)
        (had / "allowed_signers").write_bytes(room.signers.read_bytes())
        anchors = directory_of(self.services.state, str(self.services.lineage().ledger)) / "anchors"
        anchors.mkdir(exist_ok=True)
        stamped(root / "tsa", made.path, anchors / f"{made.path.stem}.authority.tsr")
        (had / "tsa.pem").write_bytes((root / "tsa/tsa.pem").read_bytes())

    def export(self, *words: str) -> None:
        done = self.room.site.run("ledger", "export", str(self.package), *words)
        assert done.code in (0, 1), done
        (self.home / "auditor/from-mail.txt").write_bytes(newest_note(self.package).read_bytes())

    def forge(self, *, by: Path | None = None, **changed: object) -> int:
        """The attestation, recorded once more, signed by this key in Ana's name; as it was where that is None."""
        record = self.room.site.records("declare.part")[0]
        body = {key: value for key, value in record.items() if key not in ENVELOPE} | changed
        (one,) = signatures_of(statement_of(record, **changed))
        if by is not None:
            body["by"] = record["by"] | {"signature": signed(one.text, by, one.namespace)}
        return record_in(self.services.ledger, "statement", plan=None, asset=None, run=None, body=body).seq

    def read_by_hand(self) -> tuple[int, str]:
        text = (DOCS / "how-to/verify-a-package.md").read_text("utf-8")
        blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        assert len(blocks) == 10
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", "\n".join(blocks)], cwd=self.package, text=True,
            capture_output=True, env={"HOME": str(self.home), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Audit(tmp_path)


SAID = (
    "as written",
    "no file is missing, none was added",
    "nothing leads elsewhere",
    "the package has the checkpoint that you were told",
    "the records are those of the checkpoint",
    "it ends with the record of its export",
    "no record is dated before the one it follows",
    "the rows are those that are named",
    "Verification: OK",
    "Time stamp:",
    'Good "ccdr-sign-off" signature for ana@x',
    'Good "ccdr-attestation" signature for ana@x',
    "each signature of a record is there",
    "nothing that was signed once is there twice",
    "nothing stopped",
)


def lacking(audit: Audit) -> list[str]:
    """What the page says that one sees, and that is not seen."""
    code, said = audit.read_by_hand()
    signatures = 1 + len(list(audit.package.glob("data/tests/*")))
    wrong = [sentence for sentence in SAID if sentence not in said]
    wrong += [] if said.count("Signature Verified Successfully") == signatures else ["a signature"]
    return [*wrong, *([f"exit {code}"] if code else [])]


@pytest.mark.parametrize("part", [False, True])
def test_an_auditor_verifies_a_package_by_the_commands_of_the_page(audit: Audit, part: bool) -> None:
    audit.export(*(audit.room.period if part else ()))
    assert bool(list(audit.package.glob("data/ledgers/*/tree.jsonl"))) is part
    of_host = ['Good "ccdr-attestation" signature for ana@x']  # which is in no part
    assert lacking(audit) == (of_host if part else [])


def test_ccdr_verifies_sign_offs_by_the_file_that_an_auditor_has(audit: Audit, tmp_path: Path) -> None:
    audit.export()
    by = ("--pin", str(audit.home / "auditor/ledger.pem"), "--anchor", str(audit.home / "auditor/from-mail.txt"))
    run = audit.room.site.run
    done = run("ledger", "verify", str(audit.package), *by, "--signers", str(audit.home / "auditor/allowed_signers"))
    assert (done.code, done.json["says"]) == (0, "verified"), done
    without = run("ledger", "verify", str(audit.package), *by)
    assert (without.code, without.json["statements"]) == (3, {"signed": 2, "held": [], "refused": []}), without
    (tmp_path / "nobody").write_text("")
    other = run("ledger", "verify", str(audit.package), *by, "--signers", str(tmp_path / "nobody"))
    assert (other.code, [one["code"] for one in other.json["findings"]]) == (1, ["STATEMENT_REFUSED"] * 2)


@pytest.mark.parametrize("part", [False, True])
def test_a_statement_that_somebody_else_signed_is_seen_in_a_package(audit: Audit, part: bool) -> None:
    """By hand, by ccdr, and in what it tells of the package; whoever brings no file is told that nobody's is verified."""
    words = audit.room.period if part else ()
    audit.export(*words)
    run, had = audit.room.site.run, str(audit.home / "auditor/allowed_signers")
    well = run("report", "--package", str(audit.package), "--signers", had)
    assert (well.code, {one["by"] for one in well.json["statements"]}) == (0, {"ana@x"}), well
    without = run("report", "--package", str(audit.package))
    told = {(one["claimed"], one["by"], one["signature"]) for one in without.json["statements"]}
    assert (without.code, told) == (3, {("ana@x", None, "not_verified")}), without
    in_it = json.loads((audit.package / "data/report.json").read_text())
    assert {one["signature"] for one in in_it["sign_offs"]} == {"not_verified"}
    assert "ana@x (not verified)" in (audit.package / "data/report.html").read_text()
    shutil.rmtree(audit.package)
    root = audit.forge(by=key(audit.home, "root"), nonce="0" * 32)
    replayed, longer = audit.forge(), audit.forge(until="2099-01-01T00:00:00Z", nonce="1" * 32)
    audit.export(*words)
    forged = run("report", "--package", str(audit.package), "--signers", had)
    refused = [one["record"] for one in forged.json["statements"] if one["signature"] == "refused"]
    shown = {one["record"] for one in forged.json["statements"]}
    assert refused == [one for one in (root, replayed, longer) if one in shown] and forged.code == int(bool(refused))
    if not part:
        assert len(refused) == 3
        code, said = audit.read_by_hand()
        assert code and said.count("STOP: ccdr-attestation") == 2 and said.count("STOP: recorded twice") == 1


def test_a_statement_whose_files_were_left_out_is_missed(audit: Audit) -> None:
    audit.export()
    for path in audit.package.glob("data/signed/ccdr-attestation-*"):
        path.unlink()
    sealed(audit.package)
    assert "each signature of a record is there" in lacking(audit)
    done = audit.room.site.run("ledger", "verify", str(audit.package))
    assert [one["code"] for one in done.json["findings"]] == ["SIGNED_FILE_MISSING"] * 3


def test_where_the_checkpoint_of_a_mail_is_not_there_the_page_says_no(audit: Audit) -> None:
    """A package that was cut off before it: nothing reads as if it were well."""
    audit.export()
    newest_note(audit.package).unlink()
    sealed(audit.package)
    code, said = audit.read_by_hand()
    assert code and "STOP: the package has no checkpoint of" in said
    assert "has no checkpoint of" in said and "nothing stopped" not in said


def first(package: Path, pattern: str) -> Path:
    return sorted(package.glob(pattern))[0]


def forged(path: Path) -> None:
    """Its signature's first character: `keyid` beside it is not signed."""
    contents = path.read_bytes()
    at = contents.index(b'"sig": "') + len(b'"sig": "')
    path.write_bytes(contents[:at] + (b"A" if contents[at : at + 1] != b"A" else b"B") + contents[at + 1 :])


def changed(path: Path) -> None:
    """One digit of it, the last one."""
    contents = path.read_bytes()
    at = max(contents.rindex(digit) for digit in (b"2", b"3", b"4") if digit in contents)
    path.write_bytes(contents[:at] + bytes([contents[at] ^ 1]) + contents[at + 1 :])


def changed_early(path: Path) -> None:
    contents = path.read_bytes()
    at = contents.index(b"2")
    path.write_bytes(contents[:at] + b"3" + contents[at + 1 :])


@pytest.mark.parametrize(
    ("damage", "lacks"),
    [
        (lambda p: changed_early(first(p, "data/ledgers/*/0*.jsonl")), "the records are those of the checkpoint"),
        (lambda p: changed_early(p / "data/population.csv"), "the rows are those that are named"),
        (
            lambda p: changed_early(first(p, "data/signed/ccdr-sign-off-*.txt")),
            'Good "ccdr-sign-off" signature for ana@x',
        ),
        (lambda p: forged(first(p, "data/tests/*.json")), "a signature"),
        (lambda p: changed(newest_note(p)), "the package has the checkpoint that you were told"),
    ],
    ids=["a record", "a row", "a sign-off", "a statement", "a checkpoint"],
)
def test_what_was_changed_does_not_verify_by_hand_either(
    audit: Audit, damage: Callable[[Path], object], lacks: str
) -> None:
    """Its digests made anew, as whoever changes it would."""
    audit.export()
    damage(audit.package)
    sealed(audit.package)
    assert lacks in (missing := lacking(audit)) and "nothing stopped" in missing


def test_a_file_that_was_added_is_seen_by_hand(audit: Audit) -> None:
    audit.export()
    (audit.package / "data/more.txt").write_text("x")
    assert {"no file is missing, none was added", "nothing stopped"} <= set(lacking(audit))


def test_the_chain_is_verified_by_sha256sum_and_jq_alone(audit: Audit) -> None:
    """docs/explanation/evidence.md, in a package of all of a ledger."""
    audit.export()
    first_block = commands("explanation/evidence.md", "Verify with sha256sum and jq alone")[:3]
    script = "\n".join(first_block).replace("/tmp/", f"{audit.home}/")
    here = next(audit.package.glob("data/ledgers/*"))
    done = subprocess.run(["bash", "-e", "-c", script], cwd=here, text=True, capture_output=True)
    count = sum(len(path.read_bytes().splitlines()) for path in here.glob("0*.jsonl"))
    assert done.returncode == 0 and done.stdout.startswith(f"{count} "), done
    changed_early(next(here.glob("0*.jsonl")))
    done = subprocess.run(["bash", "-e", "-c", script], cwd=here, text=True, capture_output=True)
    assert done.returncode != 0 and "1c1" in done.stdout, done


def test_a_mail_that_does_not_reach_the_last_record_is_seen_by_hand(audit: Audit) -> None:
    before = make(audit.services).checkpoint.contents
    audit.export()
    (audit.home / "auditor/from-mail.txt").write_bytes(before)
    assert {"it ends with the record of its export", "nothing stopped"} <= set(lacking(audit))


def hides_all(directory: Path, size: int, root: str) -> None:
    """One hash, the checkpoint's own, stands for more records than there are; what is shown then is held by nothing."""
    height = (size - 1).bit_length() or 1
    shown = directory.joinpath("000000000001.jsonl").read_bytes().splitlines()
    ends = (1 << height) + len(shown)
    (directory / "tree.jsonl").write_text(
        json.dumps({"hashes": [1, 1 << height], "nodes": [[height, root]]})
        + "\n"
        + json.dumps({"lines": [(1 << height) + 1, ends]})
        + "\n"
    )


def shows_more(directory: Path, size: int, root: str) -> None:
    with (directory / "000000000001.jsonl").open("ab") as lines:
        lines.write(b'{"seq":1,"kind":"restore_test.end","verdict":"PASS"}\n')


@pytest.mark.parametrize("do", [hides_all, shows_more])
def test_lines_of_a_part_that_its_hashes_do_not_hold_are_seen_by_hand(
    audit: Audit, do: Callable[[Path, int, str], None]
) -> None:
    audit.export(*audit.room.period)
    _, size, root, *_ = (audit.home / "auditor/from-mail.txt").read_text().splitlines()
    do(first(audit.package, "data/ledgers/*/tree.jsonl").parent, int(size), root)
    sealed(audit.package)
    assert {"the records are those of the checkpoint", "nothing stopped"} <= set(lacking(audit))
