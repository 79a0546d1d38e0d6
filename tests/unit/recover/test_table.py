"""The table that somebody frightened reads: one screen wide, plain in a pipe, and the worst is not left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site
from tests.support.manifests import counted
from tests.support.wording import lines_with

from ccdr.cli.recover_table import tell_outlook
from ccdr.jobs.recover.states import ANSWERS, SILENT, UNASKED, AssetStep, ChosenState, Predicted, RecoveryOutlook, Room
from ccdr.model.values import Snapshot
from ccdr.plans.job import Job
from ccdr.plans.targets import Target
from ccdr.ports.log import RecoveryTarget

MOMENT = datetime(2026, 11, 24, 3, 12, tzinfo=UTC)
LONG = "/srv/recovered/of-the-outbound-dialler/in-the-second-hall"


def before(seconds: float) -> datetime:
    return MOMENT - timedelta(seconds=seconds)


def snapshot(asset: str, lost: float) -> Snapshot:
    return counted("1f3e9a2b" + "0" * 56, "p", asset, "r", "x", "x", before(lost), before(lost), 2**30, "/x", "0" * 64)


@pytest.fixture
def outlook(tmp_path: Path) -> RecoveryOutlook:
    site = Site(tmp_path)
    site.plan(
        "crm: {engine: postgres, method: physical, log_shipping: {}, connection: {host: /x, user: u, database: d}}\n"
        "recordings: {engine: files, paths: [/var/spool/recordings], depends_on: [crm]}\n"
        "queue: {engine: redis, connection: {host: 127.0.0.1}}\n",
        extra="timezone: Europe/Bucharest\n",
    )
    loaded = site.loaded()

    def step(asset: str, state: ChosenState, where: dict[str, object], **more: object) -> AssetStep:
        took = Predicted(95.0, 80.0, 140.0, 6) if asset == "crm" else Predicted(600.0, 60.0, 3000.0, 1, far=True)
        after = loaded.plan.assets[asset].depends_on
        return AssetStep(
            Job(loaded, asset),
            state,
            Target.model_validate(where),
            after,
            2**30,
            2**29,
            took,
            **more,  # type: ignore[arg-type]
        )

    crm = ChosenState(
        snapshot("crm", 7200), MOMENT, RecoveryTarget(time=MOMENT, branch=2), "PASS", before(86400), 0.0, (), "snapshot"
    )
    recordings = ChosenState(
        snapshot("recordings", 2700), before(2700), None, None, None, 2700.0,
        ("snapshot 77aa00bb of 2026-11-24T03:00:00Z: it failed its restore test of 2026-11-24T03:05:00Z",),
    )  # fmt: skip
    queue = ChosenState(snapshot("queue", -60), before(-60), None, "FAIL", before(90000), -60.0, (), "snapshot")
    steps = (
        step("crm", crm, {"new_server": {"directory": f"{LONG}/crm"}}, checks=("identical", "every call has a customer"), source=SILENT),
        step("recordings", recordings, {"directory": f"{LONG}/recordings"}, checks=("every captured file is as it was",), source=SILENT),
        step("queue", queue, {"new_server": {"directory": "/srv/q"}}, source=ANSWERS, healthy=60.0),
    )  # fmt: skip
    return RecoveryOutlook(
        plan="p", moment=MOMENT, steps=steps, skew_s=2760.0, predicted=Predicted(2440.0, 200.0, 3200.0, 1, far=True),
        notes=("plans that could not be read, so that their sources are not known: other.yaml",),
        apart=("recordings", "queue"), rooms=(Room(Path("/srv"), 3 * 2**30, 40 * 2**30),), memory=2**30,
        memory_free=20 * 2**30, workers=2, healthy=("queue still answers: going back to its state loses 1m 00s of it",),
    )  # fmt: skip


def test_it_fits_and_tells_all_that_may_frighten(outlook: RecoveryOutlook, capsys: pytest.CaptureFixture[str]) -> None:
    tell_outlook(outlook)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 100, said
    assert "\x1b" not in said
    together = " ".join(said.split())
    for text in (
        "recover p to 2026-11-24T03:12:00Z (2026-11-24 05:12:00 in Europe/Bucharest)",
        "never tested",
        "FAILED",
        "45m 00s",
        "too late",
        "a guess",
        "all of it about 40m 40s (3m 20s to 53m 20s), 2 side by side",
        "That is longer than the RTO of 30m 00s",
        "timeline 2",
        "the states lie up to 46m 00s apart: recordings is the oldest, queue the newest",
        "it failed its restore test",
        "crm, recordings: do not answer",
        "queue still answers",
        "20.0 GiB are free",
    ):
        assert text in together, (text, said)


def test_a_source_that_was_not_asked_is_not_called_dead(
    outlook: RecoveryOutlook, capsys: pytest.CaptureFixture[str]
) -> None:
    crm, *rest = outlook.steps
    tell_outlook(replace(outlook, steps=(replace(crm, source=UNASKED), *rest)))
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("sources") and f"crm: {UNASKED}" in line for line in lines)
    assert not any("crm" in line and "not answer" in line for line in lines)


def test_what_was_never_measured_is_said_and_within_the_rto_there_is_no_alarm(
    outlook: RecoveryOutlook, capsys: pytest.CaptureFixture[str], wording: SnapshotAssertion
) -> None:
    tell_outlook(replace(outlook, predicted=None))
    assert " ".join(capsys.readouterr().out.split()) == wording
    tell_outlook(replace(outlook, predicted=Predicted(60.0, 50.0, 70.0, 3)))
    said = capsys.readouterr().out
    assert "longer than the RTO" not in said and lines_with(said, "all of it", "1m 10s") == wording


def test_on_standard_error_it_is_the_same(outlook: RecoveryOutlook, capsys: pytest.CaptureFixture[str]) -> None:
    tell_outlook(outlook)
    there = capsys.readouterr()
    tell_outlook(outlook, err=True)
    beside = capsys.readouterr()
    assert (beside.err, beside.out) == (there.out, "")
