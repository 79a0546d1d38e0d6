"""What somebody does to a package, and that it is found; beside it, that the undamaged one is not."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.packages import Exporting, made, sealed, told_otherwise
from tests.support.sparse import append_sparse

from ccdr.evidence.checkpoints.checkpoint import SigningKey
from ccdr.evidence.package import statements
from ccdr.jobs.checkpoints.creation import make
from ccdr.model.values import rfc3339


def one(package: Path, pattern: str) -> Path:
    return sorted(package.glob(pattern))[0]


def replaced(path: Path, old: bytes, new: bytes) -> None:
    assert old in path.read_bytes(), path
    path.write_bytes(path.read_bytes().replace(old, new, 1))


def statement_says(package: Path, key: SigningKey | None = None) -> None:
    path = package / "data/tests/t2.dsse.json"
    payload = base64.b64decode(json.loads(path.read_text())["payload"])
    path.write_bytes(statements.envelope(payload.replace(b"FAILED", b"PASSED"), key))


def of_another_key(package: Path) -> None:
    path = package / "data/tests/t1.dsse.json"
    payload = base64.b64decode(json.loads(path.read_text())["payload"])
    path.write_bytes(statements.envelope(payload, SigningKey.new("ccdr.host/mallory")))


def two_payloads(package: Path) -> None:
    """Of two keys of one name some readers take the first, others the last."""
    path = package / "data/tests/t2.dsse.json"
    body = json.loads(path.read_text())
    better = base64.b64encode(base64.b64decode(body["payload"]).replace(b"FAILED", b"PASSED")).decode()
    path.write_text(path.read_text().replace('"payload":', f'"payload": "{better}",\n "payload":', 1))


def receipt(package: Path, contents: bytes) -> None:
    note = one(package, "data/checkpoints/*/*.txt")
    (note.parent / "anchors").mkdir(exist_ok=True)
    (note.parent / "anchors" / f"{note.stem}.bucket.json").write_bytes(contents)


def rows_changed(package: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """By whoever makes all digests and counts fit."""
    from hashlib import sha256

    path = package / "data/population.csv"
    heading, *rows, closing = path.read_bytes().splitlines(keepends=True)
    before, count = sha256(b"".join([heading, *rows])).hexdigest(), len(rows)
    assert change(list(rows)) != rows, "it must change something"
    rows = change(list(rows))
    after = sha256(b"".join([heading, *rows])).hexdigest()
    closing = closing.replace(before.encode(), after.encode())
    closing = closing.replace(b"COMPLETE,%d," % count, b"COMPLETE,%d," % len(rows))
    path.write_bytes(b"".join([heading, *rows, closing]))


def of_nowhere(rows: list[bytes]) -> bytes:
    """The test that failed, as one of another ledger, and passed."""
    (failed,) = (row for row in rows if b",FAIL," in row)
    seq, end, rest = failed.split(b",", 2)
    return b",".join([seq + b"@0badcafe", end + b"@0badcafe", rest.replace(b",FAIL,", b",PASS,")])


def without(rows: list[bytes], what: bytes) -> list[bytes]:
    left = [row for row in rows if what not in row]
    assert left != rows
    return left


def cut(package: Path) -> None:
    path = one(package, "data/ledgers/*/0*.jsonl")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


WITHOUT_SEALING: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file is missing": (lambda p: (p / "data/report.html").unlink(), "PACKAGE_FILE_MISSING"),
    "a file is added": (lambda p: (p / "data/extra.txt").write_text("x"), "PACKAGE_FILE_EXTRA"),
    "a file is added beside": (lambda p: (p / "fetch.txt").write_text("x"), "PACKAGE_FILE_EXTRA"),
    "a file is changed": (lambda p: replaced(p / "data/report.html", b"html", b"htmx"), "PACKAGE_FILE_CHANGED"),
    "a file is renamed": (lambda p: (p / "data/LIMITS.txt").rename(p / "data/LIMITS.old"), "PACKAGE_FILE_MISSING"),
    "bag-info is changed": (lambda p: replaced(p / "bag-info.txt", b"Ccdr-Host", b"Ccdr-Hosx"), "PACKAGE_FILE_CHANGED"),
    "bagit.txt is gone": (lambda p: (p / "bagit.txt").unlink(), "PACKAGE_FILE_MISSING"),
    "the manifest is gone": (lambda p: (p / "manifest-sha256.txt").unlink(), "PACKAGE_FILE_MISSING"),
    "the tag manifest is gone": (lambda p: (p / "tagmanifest-sha256.txt").unlink(), "PACKAGE_FILE_MISSING"),
    "a file is a link": (lambda p: linked(p / "data/LIMITS.txt"), "PACKAGE_NO_FILE"),
    "a directory is a link": (lambda p: (p / "data/more").symlink_to("/etc"), "PACKAGE_NO_FILE"),
    "a file is a pipe": (lambda p: os.mkfifo(p / "data/pipe"), "PACKAGE_NO_FILE"),
    "a path leads out": (lambda p: named(p, "data/../../etc/passwd"), "PACKAGE_PATH_UNSAFE"),
    "a path is absolute": (lambda p: named(p, "/etc/passwd"), "PACKAGE_PATH_UNSAFE"),
    "a name is of another system": (lambda p: (p / "data/a\\b").write_text("x"), "PACKAGE_PATH_UNSAFE"),
}  # fmt: skip

SEALED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a record is changed": (lambda p: replaced(one(p, "data/ledgers/*/0*.jsonl"), b'"FAIL"', b'"PASS"'), "CHAIN_BROKEN"),
    "the end is cut off": (cut, "RECORDS_CUT_OFF"),
    "the id is another": (lambda p: one(p, "data/ledgers/*/id").write_text("0" * 32), "LEDGER"),
    "the id has words behind it": (lambda p: words_behind(one(p, "data/ledgers/*/id")), "PACKAGE_LEDGER_WRONG"),
    "a torn line is added": (lambda p: (one(p, "data/ledgers/*/id").parent / "torn-well.bin").write_text("well"), "PACKAGE_FILE_EXTRA"),
    "a checkpoint is changed": (lambda p: replaced(one(p, "data/checkpoints/*/*.txt"), b"\n", b"x\n"), "CHECKPOINT_OF_ANOTHER"),
    "a checkpoint is none": (lambda p: one(p, "data/checkpoints/*/*.txt").write_text("x"), "CHECKPOINT_UNREADABLE"),
    "a statement says PASSED": (statement_says, "STATEMENT_WRONG"),
    "a statement is of another key": (of_another_key, "STATEMENT_WRONG"),
    "a statement is gone": (lambda p: (p / "data/tests/t2.dsse.json").unlink(), "STATEMENT_MISSING"),
    "a statement is added": (lambda p: (p / "data/tests/t9.dsse.json").write_bytes((p / "data/tests/t1.dsse.json").read_bytes()), "STATEMENT_UNKNOWN"),
    "a statement is none": (lambda p: (p / "data/tests/t1.dsse.json").write_text("[" * 100_000), "STATEMENT_WRONG"),
    "a statement has two payloads": (two_payloads, "STATEMENT_WRONG"),
    "a receipt is none": (lambda p: receipt(p, b"[" * 60_000), "ANCHOR_WRONG"),
    "a row says PASS": (lambda p: rows_changed(p, lambda rs: [r.replace(b",FAIL,", b",PASS,") for r in rs]), "NOT_AS_RECORDED"),
    "a row is gone": (lambda p: rows_changed(p, lambda rs: [r for r in rs if b",FAIL," not in r]), "NOT_AS_RECORDED"),
    "a row is there twice": (lambda p: rows_changed(p, lambda rs: [*rs, rs[-1]]), "NOT_AS_RECORDED"),
    "a row is of a ledger that is nowhere": (lambda p: rows_changed(p, lambda rs: [*rs, of_nowhere(rs)]), "NOT_AS_RECORDED"),
    "the row of a missed test is gone": (lambda p: rows_changed(p, lambda rs: without(rs, b",MISSED,")), "NOT_AS_RECORDED"),
    "the rows of notes are gone": (lambda p: rows_changed(p, lambda rs: without(rs, b",NOTED,")), "NOT_AS_RECORDED"),
    "the population is gone": (lambda p: (p / "data/population.csv").unlink(), "NOT_AS_RECORDED"),
    "the period is another": (lambda p: told_otherwise(p, "Ccdr-Period-From", "2020-01-01T00:00:00Z"), "NOT_AS_RECORDED"),
    "the count is another": (lambda p: told_otherwise(p, "Ccdr-Records", "x=1/1"), "PACKAGE_INFO_WRONG"),
    "the ledger is another": (lambda p: told_otherwise(p, "Ccdr-Ledger", "0" * 32), "PACKAGE_LEDGER_MISSING"),
    "the host is another": (lambda p: told_otherwise(p, "Ccdr-Host", "db9"), "NOT_AS_RECORDED"),
    "the account is another": (lambda p: told_otherwise(p, "Ccdr-By", "eve"), "NOT_AS_RECORDED"),
    "the command is another": (lambda p: told_otherwise(p, "Ccdr-Command", "ccdr ledger export --well"), "NOT_AS_RECORDED"),
    "the version is another": (lambda p: told_otherwise(p, "Bag-Software-Agent", "ccdr 9.9.9"), "NOT_AS_RECORDED"),
    "the format is another": (lambda p: told_otherwise(p, "Bagging-Date", "2020-01-01"), "NOT_AS_RECORDED"),
    "a label is added": (lambda p: told_otherwise(p, "Ccdr-Approved-By", "the auditor"), "NOT_AS_RECORDED"),
    "it is made later": (lambda p: told_otherwise(p, "Ccdr-Made", "2027-01-01T00:00:00Z"), "PACKAGE_INFO_WRONG"),
    "it is made earlier": (lambda p: told_otherwise(p, "Ccdr-Made", "2020-01-01T00:00:00Z"), "RECORD_AFTER_PACKAGE"),
    "no texts are told": (lambda p: without_texts(p), "NOT_AS_RECORDED"),
    "a checkpoint is gone": (lambda p: one(p, "data/checkpoints/*/*.txt").unlink(), "CHECKPOINT_MISSING"),
    "the keys are gone": (lambda p: shutil.rmtree(p / "data/keys"), "KEY_FILE_WRONG"),
    "a key has words behind it": (lambda p: words_behind(one(p, "data/keys/*.vkey")), "KEY_FILE_WRONG"),
    "a PEM has words before it": (lambda p: words_behind(one(p, "data/keys/*.pem")), "KEY_FILE_WRONG"),
    "a key is exchanged": (lambda p: one(p, "data/keys/*.vkey").write_text(str(SigningKey.new("m").verifier)), "KEY_FILE_WRONG"),
    "a plan's text is added": (lambda p: text_added(p), "PLAN_TEXT_WRONG"),
}  # fmt: skip


def linked(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def named(package: Path, path: str) -> None:
    with (package / "manifest-sha256.txt").open("a") as manifest:
        manifest.write(f"{'0' * 64}  {path}\n")


def without_texts(package: Path) -> None:
    shutil.rmtree(package / "data/plans")
    told_otherwise(package, "Ccdr-Plan-Texts", "none")


def words_behind(path: Path) -> None:
    with path.open("a") as key:
        key.write("the auditor says that all is well\n")


def text_added(package: Path) -> None:
    path = package / "data/plans/p" / ("0" * 64) / "plans/p.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("plan: p\n")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exporting:
    exporting = made(tmp_path_factory.mktemp("exported"))
    missed = {"verb": "test", "due": rfc3339(exporting.world.clock.now()), "count": 3, "reason": "the host was off"}
    append_sparse(exporting.world.ledger, "missed", plan="p", asset="recordings", run=None, body=missed)
    exporting.anchor.write_bytes(make(exporting.services).checkpoint.contents)
    assert exporting.export().code == 0
    assert exporting.by_pin() == (0, "verified", []), "the healthy twin"
    return exporting


@pytest.mark.parametrize("damage", WITHOUT_SEALING)
def test_a_bag_that_is_not_as_its_manifests_say_is_a_finding(exported: Exporting, damage: str) -> None:
    do, code = WITHOUT_SEALING[damage]
    package = exported.damaged(damage.replace(" ", "-"))
    do(package)
    found = exported.by_pin(package)
    assert found[0] == 1 and code in found[2], found


@pytest.mark.parametrize("damage", SEALED)
def test_what_is_changed_with_its_digests_is_a_finding(exported: Exporting, damage: str) -> None:
    do, code = SEALED[damage]
    package = exported.damaged(damage.replace(" ", "-"))
    do(package)
    sealed(package)
    found = exported.by_pin(package)
    assert found[0] == 1 and code in found[2], found


def test_a_healthy_one_that_is_sealed_anew_is_verified(exported: Exporting) -> None:
    package = exported.damaged("sealed")
    sealed(package)
    assert exported.by_pin(package) == (0, "verified", [])


def test_a_proof_that_was_put_into_a_damaged_package_takes_no_finding_away(exported: Exporting) -> None:
    """A proof of one record holds by itself: it must not be all that is looked at."""
    package, site = exported.damaged("with-a-proof"), exported.world.site
    given = exported.root / "proof"
    assert site.run("ledger", "proof", "t1", str(given), "--records", newest(exported)).code == 0
    exported.anchor.write_bytes(one(package, f"data/checkpoints/*/{int(newest(exported)):012}.txt").read_bytes())
    assert exported.by_pin(given)[0] == 0
    (package / "proof.tlog-proof").write_bytes((given / "proof.tlog-proof").read_bytes())
    replaced(one(package, "data/ledgers/*/0*.jsonl"), b'"FAIL"', b'"PASS"')
    found = exported.by_pin(package)
    assert found[0] == 1 and {"PACKAGE_FILE_EXTRA", "CHAIN_BROKEN"} <= set(found[2]), found


def newest(exported: Exporting) -> str:
    return str(max(int(path.stem) for path in exported.package.glob("data/checkpoints/*/*.txt")))
