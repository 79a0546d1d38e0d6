"""Rows that a log brought back are newer than any backup of their files: what that explains is no damage, and what it
does not explain is."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.primary import Primary
from tests.support.shipping import CHECKS, ship_once
from tests.support.stored import settled_file

pytestmark = pytest.mark.long

RECONCILE = """\
  - kind: reconcile
    with: recordings
    query: select note || '.wav', extract(epoch from at) from call where note like 'r%'
    columns: [path, time]
    match: ["*.wav"]
    apart: 1s
"""
UNTIMED = RECONCILE.replace(", extract(epoch from at)", "").replace("[path, time]", "[path]")


def rows(site: Site, checks: str) -> tuple[int, str, dict[str, str]]:
    site.write("restore_tests/crm.yaml", CHECKS + checks)
    done = site.run("test", "p", "--asset", "crm", "--at", "latest")
    (found,) = [c for c in done.json["checks"] if c["name"].endswith(": rows")]
    return done.code, done.json["verdict"], found


def test_rows_newer_than_their_files_fail_only_where_they_say_that_they_are_older(
    site: Site, source: Primary, tmp_path: Path
) -> None:
    settled_file(tmp_path / "tree/r1.wav", b"1", 1_700_000_000)
    site.write("restore_tests/crm.yaml", CHECKS + UNTIMED)
    site.plan(
        f"crm:\n  engine: postgres\n  method: physical\n"
        f"  connection: {{host: {source.sockets}, user: postgres, database: postgres}}\n"
        f"  log_shipping: {{interval: 2s}}\n"
        f'  backup: {{schedule: "0 1 * * *"}}\n  restore_test: {{schedule: "0 3 * * *", checks: [crm]}}\n'
        f"recordings: {{engine: files, paths: [{tmp_path}/tree], settle: 0s}}"
    )
    assert any("say no time" in str(problem) for problem in site.loaded().lint)
    source.psql("insert into call values (1001, 'r1')")
    site.backed_up()
    time.sleep(2)  # what makes a row newer than its file
    source.psql("insert into call values (1002, 'r2')")
    ship_once(site)

    code, verdict, found = rows(site, UNTIMED)
    assert (code, verdict, found["status"]) == (3, "INCONCLUSIVE", "INCONCLUSIVE"), found
    assert "missing 1" in found["actual"] and "`ccdr recover p --at 20" in found["actual"]
    code, verdict, found = rows(site, RECONCILE)
    assert (code, verdict, found["status"]) == (0, "PASS", "PASS"), found
    assert "in flight 1" in found["actual"] and not any("say no time" in str(p) for p in site.loaded().lint)

    source.psql("insert into call values (1003, 'r0', now() - interval '1 hour')")
    ship_once(site)
    code, verdict, found = rows(site, RECONCILE)
    assert (code, verdict, found["status"]) == (1, "FAIL", "FAIL"), found
