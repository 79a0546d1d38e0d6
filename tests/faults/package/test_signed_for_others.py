"""A sign-off in a package is held to the rows that are in it; and a package of two hosts verifies."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.packages import Exporting, made
from tests.support.records import record_in

from ccdr.evidence.records.statements import STATEMENT, PeriodPopulation, Statement
from ccdr.jobs.checkpoints.creation import make


@pytest.fixture
def exporting(tmp_path: Path) -> Exporting:
    return made(tmp_path)


def signed_off(exporting: Exporting, rows: int, digest: str, start: datetime, end: datetime) -> None:
    of = PeriodPopulation(
        ledger=str(exporting.services.lineage().ledger), on="h", begins=start, ends=end, plans=(), rows=rows, population_sha256=digest,
        outcomes={}, due=0, due_in_part=False, missed=0, findings=0, acknowledged=0, tests_by_command=0, accounts={}, read_with=(),
        records=1, head="0" * 64, problems=0, ccdr="1",
    )  # fmt: skip
    given = Statement(says="period", about=of, made=end, nonce=digest[:32])
    signature = "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"
    by = {"name": "eva@x", "key": "SHA256:" + "A" * 43, "user_verified": None, "signature": signature}
    body = {**given.body(), "by": by, "signers_sha256": "0" * 64, "who": None}
    record_in(exporting.services.ledger, STATEMENT, plan=None, asset=None, run=None, body=body)
    exporting.anchor.write_bytes(make(exporting.services).checkpoint.contents)


def rows_of(exporting: Exporting, end: datetime) -> tuple[int, str]:
    """As an auditor takes them out of a package: the heading, and the rows that begin before `end`."""
    lines = (exporting.package / "data/population.csv").read_bytes().splitlines(keepends=True)[:-1]
    at = next(csv.reader([lines[0].decode()])).index("started")
    started = [next(csv.reader([line.decode()]))[at] for line in lines[1:]]
    kept = [line for line, time in zip(lines[1:], started, strict=True) if datetime.fromisoformat(time) < end]
    return len(kept), sha256(lines[0] + b"".join(kept)).hexdigest()


def test_a_sign_off_of_other_rows_is_found_until_the_period_is_signed_again(exporting: Exporting) -> None:
    exporting.world.clock.on(minutes=1)
    end = exporting.world.clock.now()
    exporting.export()
    rows, digest = rows_of(exporting, end)
    assert rows
    start = end - timedelta(days=400)
    exporting.world.clock.on(minutes=1)
    for signed, found in (((rows, digest), []), ((rows, "ab" * 32), ["SIGN_OFF_OF_OTHERS"]), ((rows, digest), [])):
        signed_off(exporting, *signed, start, end)
        exporting.world.clock.on(minutes=1)
        again = exporting.root / f"again-{exporting.world.clock.now():%H%M}"
        assert exporting.export(to=again).code == 0
        code, _, codes = exporting.by_pin(of=again)
        assert (code, codes) == (1 if found else 3, found)
