"""What names somebody is kept apart from the ledger, and goes without it: words of incidents, older registers."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.erased import added
from tests.support.harness import Site
from tests.support.stored import restic_of, settled_file

WORDS = "Ana called about her recording"


def test_words_that_are_removed_are_gone_and_the_ledger_holds(tmp_path: Path) -> None:
    site = Site(tmp_path, bare=True)
    site.plan("crm: {engine: files, paths: [/spool]}")
    opened = site.run("incident", "open", "p", "--kind", "availability", "--why", WORDS)
    name = opened.json["incident"]
    assert WORDS in str(site.run("incident", "show", name).json["words"])
    (record,) = site.records("incident.opened")
    (site.state / "payloads" / f"{record['why_sha256']}.json").unlink()
    (said,) = site.run("incident", "show", name).json["words"]
    assert said["text"] is None
    assert site.run("ledger", "verify").code == 0
    assert not any(WORDS in path.read_text("utf-8", "replace") for path in site.state.rglob("*") if path.is_file())


def test_a_withdrawn_entry_is_in_older_registers_until_somebody_removes_these(tmp_path: Path) -> None:
    site = Site(tmp_path)
    settled_file(site.root / "tree/017.wav", b"a" * 100)
    site.recordings(site.root / "tree")
    site.backed_up()
    added(site, "asset: recordings\nfiles: [017.wav]\n", "asset: recordings\nfiles: [018.wav]\n")
    assert site.run("erasure", "withdraw", "p", "e-000002", "--why", "another caller's").code == 0
    there = json.loads(restic_of(site.root, "snapshots", "--json", "--tag", "kind=erasures"))
    *older, newest = [one["id"] for one in sorted(there, key=lambda one: one["time"])]
    held = [restic_of(site.root, "dump", one, "/") for one in (*older, newest)]
    assert "018.wav" in held[-2] and "018.wav" not in held[-1]
    restic_of(site.root, "forget", *older, "--prune")
    assert [one["entry"] for one in site.run("erasure", "list", "p").json["entries"]] == ["e-000001"]
    assert site.run("erasure", "prove", "p").json["proofs"][0]["result"] == "ERASED"
    assert site.run("status", "p").code == 0
    restic_of(site.root, "forget", newest)
    assert site.run("erasure", "list", "p").code == 3, "the newest one is the register"
