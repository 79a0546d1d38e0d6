"""Records that an older ccdr wrote hold programs' own words: the chain holds, and no reader shows them any more."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.older import append_older

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.ledger.verification import verify
from ccdr.evidence.older import WITHHELD, withholds
from ccdr.host.clock import SystemClock

CANARIES = ("Ionescu", "0722000001", "4111111111111111", "hunter2")
ROW = "pg_restore exited with 1: Failing row contains (1, Ionescu, 0722000001)."


def bodies() -> list[dict[str, object]]:
    """As version 1 wrote them."""
    test = {"plan": "p", "asset": "crm", "run": "r1"}
    return [
        {"kind": "backup.end", **test, "result": "FAILED", "reason": ROW, "hint": "ask hunter2", "notes": [ROW],
         "findings": [], "left_behind": [], "phases": {}},
        {"kind": "restore_test.end", **test, "verdict": "FAIL", "reason": f"the backup does not load: {ROW}",
         "snapshot": None, "phases": {}, "findings": [ROW], "disposal": {"left_behind": [ROW]},
         "checks": [
             {"kind": "sql", "name": "select phone from customer where name = 'Ionescu'", "status": "PASS",
              "expected": "0722000001", "actual": "0722000001"},
             {"kind": "rows", "name": "call has at least 1 rows", "status": "PASS", "expected": "≥ 1", "actual": "52311"},
             {"kind": "identical", "name": "contents", "status": "FAIL", "expected": "every table can be read",
              "actual": "table t: Ionescu"},
         ]},
        {"kind": "log.shipped", **test, "trouble": "4111111111111111 is wrong", "points": []},
        {"kind": "backup.end", **test, "result": "FAILED", "reason": "interrupted", "phases": {}},
    ]  # fmt: skip


@pytest.fixture
def old(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    (tmp_path / "tree").mkdir()
    site.plan(f"crm:\n  engine: files\n  paths: [{tmp_path / 'tree'}]")
    directory = site.state / "ledger"
    directory.mkdir(mode=0o700, parents=True)
    prev, lines = "0" * 64, []
    for number, body in enumerate(bodies(), 1):
        envelope = {"seq": number, "prev": prev, "time": f"2026-11-2{number}T02:30:00Z", "host": "db1", "actor": "root"}
        line = json.dumps({**envelope, **body}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        prev = sha256(line).hexdigest()
        lines.append(line)
    (directory / "000000000001.jsonl").write_bytes(b"".join(lines))
    return site


def test_the_chain_is_over_the_bytes_that_were_written(old: Site) -> None:
    ledger = Ledger(old.state / "ledger", SystemClock())
    append_older(ledger, "check.start", plan="p", asset=None, run="r", body={})
    assert verify(ledger.directory).ok
    records = list(ledger.records())
    assert [withholds(record) for record in records] == [True, True, True, False, False]
    assert records[3]["reason"] == "interrupted" and records[0]["reason"] == WITHHELD
    assert records[1]["checks"][1]["actual"] == "52311", "a count is shown as before"
    assert records[-1]["version"] == 2 and "version" not in records[0]


@pytest.mark.parametrize(
    "words",
    [("ledger", "show"), ("ledger", "show", "--json"), ("status", "p"), ("status", "p", "--json"), ("status", "p", "-v"),
     ("report", "--from", "2026-11-01"), ("report", "--from", "2026-11-01", "--format", "json"),
     ("report", "--from", "2026-11-01", "--format", "csv"), ("snapshots", "p"), ("doctor", "p"), ("doctor", "p", "--json")],
    ids=" ".join,
)  # fmt: skip
def test_no_reader_shows_what_they_quote(old: Site, words: tuple[str, ...]) -> None:
    out, err = old.start(*words).communicate()
    for canary in CANARIES:
        assert canary not in out + err, out + err


def test_doctor_counts_them_and_finds_nothing_wrong_with_that(old: Site) -> None:
    done = old.run("doctor", "p", "--json")
    (look,) = [one for one in done.json["checks"] if one["what"] == "older records"]
    assert look["state"] == "OK" and look["found"].startswith("3 records of an older ccdr"), look
