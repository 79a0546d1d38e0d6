"""A package of a period, or of some plans: some lines, and hashes that stand for the others."""

from __future__ import annotations

import json
from datetime import timedelta

from tests.support.packages import Exporting
from tests.support.recorded import backup, test
from tests.support.records import pause, record_in
from tests.support.sparse import append_sparse

from ccdr.cli.ledger.package import OF_WHAT_IS_SHOWN
from ccdr.evidence.records.statements import STATEMENT
from ccdr.jobs.checkpoints.creation import make
from ccdr.model.values import rfc3339


def lived_on(exporting: Exporting) -> tuple[str, str]:
    """Ten days with a backup and a test each, a checkpoint a day; the period is the middle of them."""
    clock, days = exporting.world.clock, []
    for n in range(10):
        clock.on(days=1)
        days.append(f"{clock.now():%Y-%m-%d}")
        backup(exporting.world.ledger, f"d{n}", "recordings")
        test(exporting.world.ledger, f"e{n}", f"recordings-d{n}", "PASS", "recordings")
        make(exporting.services)
    exporting.anchor.write_bytes(make(exporting.services).checkpoint.contents)
    clock.on(days=1)
    return days[3], days[6]


def shown(exporting: Exporting) -> list[dict[str, object]]:
    (lines,) = exporting.package.glob("data/ledgers/*/000000000001.jsonl")
    return [json.loads(line) for line in lines.read_bytes().splitlines()]


def test_a_period_is_verified_by_pin_and_anchor_and_shows_no_other_runs(exporting: Exporting) -> None:
    begin, end = lived_on(exporting)
    done = exporting.export("--from", begin, "--to", end)
    assert done.code == 0, done
    assert done.json["shown"] < done.json["records"]
    runs = {str(record["run"]) for record in shown(exporting) if record["run"]}
    stood = {"d2", "e2", "b3", "t2"}  # as it began: the newest backup, test that passed, test that failed
    assert runs == stood | {f"{letter}{n}" for letter in "de" for n in (3, 4, 5, 6)}
    assert exporting.verify() == (3, "internally consistent", [])
    assert exporting.by_pin() == (0, OF_WHAT_IS_SHOWN, [])
    assert done.json["statements"] == 6


def test_an_anchor_of_any_checkpoint_in_the_period_fits(exporting: Exporting) -> None:
    begin, end = lived_on(exporting)
    exporting.export("--from", begin, "--to", end)
    notes = sorted(exporting.package.glob("data/checkpoints/*/*.txt"))
    assert len(notes) > 4
    for note in notes:
        exporting.anchor.write_bytes(note.read_bytes())
        reaches = int(note.stem) >= int(str(shown(exporting)[-1]["seq"]))
        assert exporting.by_pin() == ((0, OF_WHAT_IS_SHOWN, []) if reaches else (3, "internally consistent", []))


def test_a_pause_that_reaches_back_before_the_record_before_it_is_found_in_a_part_too(exporting: Exporting) -> None:
    begin, end = lived_on(exporting)
    exporting.world.clock.on(days=-5)
    before = exporting.world.clock.now() - timedelta(days=1)
    for after in (None, before):
        body = pause(rfc3339(before + timedelta(days=2)))
        body["about"]["after"] = after and rfc3339(after)
        record_in(exporting.world.ledger, STATEMENT, plan="p", asset=None, run=None, body=body)
    exporting.export("--from", begin, "--to", end)
    assert exporting.verify()[2] == ["PAUSE_REACHES_BACK"]


def test_a_plan_shows_its_records_alone(exporting: Exporting) -> None:
    lived_on(exporting)
    append_sparse(exporting.world.ledger, "backup.start", plan="another", asset="other", run="x1", body={})
    done = exporting.export("--plan", "p")
    assert done.code == 0, done
    assert {record["plan"] for record in shown(exporting)} == {"p", None}
    assert exporting.by_pin()[0] == 0
    assert exporting.export("--plan", "nothing", to=exporting.root / "none").code == 2


def test_a_run_belongs_to_the_period_that_it_began_in(exporting: Exporting) -> None:
    """Its end is shown with it, and two periods, one after the other, show each run once."""
    clock, ledger = exporting.world.clock, exporting.world.ledger
    clock.at = clock.at.replace(hour=23, minute=59)
    before = f"{clock.now():%Y-%m-%d}"
    append_sparse(ledger, "restore_test.start", plan="p", asset="recordings", run="late", body={"selection": "latest"})
    clock.on(hours=1)
    after = f"{clock.now():%Y-%m-%d}"
    body = {"verdict": "FAIL", "snapshot": None, "checks": []}
    append_sparse(ledger, "restore_test.end", plan="p", asset="recordings", run="late", body=body)
    clock.on(days=1)
    make(exporting.services)
    exporting.export("--from", before, "--to", before)
    assert [one["kind"] for one in shown(exporting) if one["run"] == "late"] == [
        "restore_test.start",
        "restore_test.end",
    ]
    assert exporting.verify() == (3, "internally consistent", [])
    other = exporting.root / "other"
    exporting.export("--from", after, "--to", after, to=other)
    assert b'"late"' not in next(other.glob("data/ledgers/*/000000000001.jsonl")).read_bytes()
    assert exporting.verify(of=other) == (3, "internally consistent", [])


def test_a_period_is_told_by_what_was_there_as_it_began(exporting: Exporting) -> None:
    """As the host's own report of it: nothing looks lost that was stored, or well that had failed."""
    clock, days = exporting.world.clock, []
    for n in range(8):
        clock.on(days=1)
        days.append(f"{clock.now():%Y-%m-%d}")
        of = {"plan": "p", "asset": "recordings", "run": f"d{n}"}
        append_sparse(exporting.world.ledger, "backup.start", **of, body={})
        snapshot = {"id": f"{n}" * 64, "consistent_point": rfc3339(clock.now())}
        append_sparse(exporting.world.ledger, "backup.end", **of, body={"result": "STORED", "snapshot": snapshot})
    period = ("--from", days[3], "--to", days[5])
    exporting.export(*period)
    (told,) = json.loads((exporting.package / "data/report.json").read_bytes())["assets"]
    (known,) = exporting.world.site.run("report", *period).json["assets"]
    for key in ("exposure_completed", "exposure_tested", "rto", "state", "coverage"):
        assert told[key] == known[key], key
    assert known["state"] == "cannot be restored" and known["exposure_completed"]["since"] is None


def test_dry_run_writes_nothing(exporting: Exporting) -> None:
    done = exporting.export("--dry-run")
    assert done.code == 0 and not exporting.package.exists() and done.json["ledgers"]
