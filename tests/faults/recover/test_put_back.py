"""What a person has put back where it was, by the lines that the recovery printed, is looked at there."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tests.faults.recover.conftest import CDR, TWO
from tests.support.harness import SQLITE_SMALL, Site, ask_sqlite
from tests.support.stored import settled_file


def verdicts(done: Any) -> dict[str, set[str]]:
    return {step["asset"]: {check["status"] for check in step["checks"]} for step in done.json["steps"]}


def test_it_is_checked_where_it_was_and_nowhere_else(tmp_path: Path) -> None:
    site, tree, cdr = Site(tmp_path), tmp_path / "tree", tmp_path / "cdr.db"
    for number in range(5):
        settled_file(tree / f"{number}.wav", bytes([number]) * 3000, 1_700_000_000 + number)
    ask_sqlite(cdr, SQLITE_SMALL)
    identical = "restore_test: recordings\nchecks:\n  - {kind: identical}\n  - {kind: decodable}\n"
    site.write("restore_tests/recordings.yaml", identical)
    site.write("restore_tests/cdr.yaml", CDR)
    site.plan(TWO.format(root=tmp_path))
    site.backed_up()
    site.write("restore_tests/recordings.yaml", identical.replace("\n  - {kind: decodable}", ""))
    done = site.run("recover", "p", "--under", str(tmp_path / "back"), "--yes-i-mean", "p")
    assert done.code == 0, done
    site.write("restore_tests/recordings.yaml", identical)
    for path in (tree, cdr):
        path.rename(tmp_path / f"old-{path.name}")
    gone = site.run("recover", "check", "p")
    assert {step["target"]["name"] for step in gone.json["steps"]} == {
        f"{tmp_path}/back/{n}" for n in ("recordings", "cdr")
    }
    lost = tmp_path / "cdr.db-wal"
    lost.write_bytes(b"the log of a database that is gone")
    for line in {one["or_put_back"] for one in done.json["in_the_plan"]}:
        subprocess.run(["sh", "-c", line], check=True)
    kept = Path(f"{lost}.lost")
    assert not lost.exists() and kept.read_bytes() == b"the log of a database that is gone"

    back = site.run("recover", "check", "p")
    assert (back.code, verdicts(back)) == (0, {"recordings": {"PASS", "SKIPPED"}, "cdr": {"PASS"}}), back
    assert {step["target"]["name"] for step in back.json["steps"]} == {str(tree), str(cdr)}

    (root := tmp_path / "root.yaml").write_text("targets: {recordings: {directory: /}}\n")
    refused = site.run("recover", "check", "p", "--to", str(root))
    assert refused.code == 3 and "no asset stands in /" in str(refused.json), refused

    (tree / "3.wav").unlink()
    Path(f"{cdr}-wal").write_bytes(b"")
    spoilt = site.run("recover", "check", "p")
    assert spoilt.code == 1 and verdicts(spoilt)["cdr"] == {"SKIPPED"}, spoilt
    assert "FAIL" in verdicts(spoilt)["recordings"]
    tree.rename(tmp_path / "elsewhere")
    lost = site.run("recover", "check", "p")
    assert lost.code == 3 and "nothing of it is in" in str([step["reason"] for step in lost.json["steps"]]), lost
