"""What people see of long work, where nobody looks at a terminal."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site

from ccdr.cli import restore_test_told
from ccdr.cli.progress import PACE, PlainProgress
from ccdr.cli.settings import Settings
from ccdr.jobs.restore_test import RestoreTest
from ccdr.model.finding import Finding
from ccdr.model.measure import judge
from ccdr.model.values import Verdict


def test_storing_tells_how_much_is_done_each_half_a_minute(
    capsys: pytest.CaptureFixture[str], wording: SnapshotAssertion
) -> None:
    """A line of bytes that moves is how somebody knows that a long backup does not hang; one a second would fill a log."""
    now = [0.0]
    told = PlainProgress(lambda: now[0])
    told.step("storing crm")
    for second in range(int(2 * PACE) + 1):
        now[0] = float(second)
        told.amount(second * 2**20, 100 * 2**20)
    assert capsys.readouterr().err.splitlines() == wording
    told.step("checking")
    told.amount(1, None)
    assert capsys.readouterr().err == "ccdr: checking\n", "what takes no time has one line"


def test_tests_of_several_assets_end_in_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(restore_test_told, "settings", Settings)
    jobs = [SimpleNamespace(asset=name) for name in ("crm", "calls", "odd", "noted", "slow", "held")]
    snapshot: Any = SimpleNamespace(short="1f3e9a2b")
    measured, known = judge(3600, 60.0), frozenset([Finding("known", "known")])
    well = {"snapshot": snapshot, "rpo": measured, "rto": measured}
    done = [
        RestoreTest("p", "crm", "r1", "latest", Verdict.PASS, **well),
        RestoreTest("p", "calls", "r2", "latest", Verdict.FAIL, reason="it is bad"),
        RestoreTest(
            "p",
            "odd",
            "r3",
            "latest",
            Verdict.PASS,
            findings=[Finding(one, one) for one in ("known", "one", "two")],
            noted=known,
            **well,
        ),
        RestoreTest("p", "noted", "r4", "latest", Verdict.PASS, findings=[*known], noted=known, **well),
        RestoreTest("p", "slow", "r5", "latest", Verdict.PASS, **{**well, "rto": judge(30, 60.0)}),
    ]
    restore_test_told.tell_all(done, jobs)  # type: ignore[arg-type]
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["asset", "snapshot", "RPO", "RTO", "why"],
        ["PASS", "crm", "1f3e9a2b", "1m", "00s", "1m", "00s", "-"],
        ["FAIL", "calls", "-", "-", "-", "it", "is", "bad"],
        ["PASS", "odd", "1f3e9a2b", "1m", "00s", "1m", "00s", "one;", "1", "more", "above"],
        ["PASS", "noted", "1f3e9a2b", "1m", "00s", "1m", "00s", "-"],
        ["PASS", "slow", "1f3e9a2b", "1m", "00s", "1m", "00s", "RTO", "BREACHED"],
        ["SKIPPED", "held", "-", "-", "-", "another", "run", "holds", "it"],
    ]
    restore_test_told.tell_all(done[:1], jobs[:1])  # type: ignore[arg-type]
    assert capsys.readouterr().out == "", "of one asset all was said"


def test_the_installer_tells_what_it_takes_and_does_nothing() -> None:
    script = Path(__file__).parents[2] / "deploy" / "install"
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("install [WHEEL]") and "--root DIR" in done.stdout
    assert "set -" not in done.stdout and "#" not in done.stdout
    wrong = subprocess.run([script, "--hlep"], capture_output=True, text=True, check=False)
    assert wrong.returncode != 0 and "--help" in wrong.stderr


def test_several_assets_are_several_and_one_is_one(site: Site) -> None:
    """A command that took the last of them would leave the others without a backup, silently."""
    trees = "".join(f"{name}: {{engine: files, paths: [/srv/{name}]}}\n" for name in "abc")
    site.plan(trees)
    for command, key in (("backup", "would_back_up"), ("test", "would_test")):
        done = site.run(command, "p", "--asset", "a", "--asset", "c", "--dry-run")
        assert (done.code, [one["asset"] for one in done.json[key]]) == (0, ["a", "c"]), done
    assert site.run("backup", "p", "--asset", "a", "--asset", "nowhere", "--dry-run").code == 2
    done = site.run("restore", "p", "--asset", "a", "--asset", "c", "--to", "/srv/x", "--dry-run")
    assert done.code == 2 and "only once" in done.json["error"], done


def test_nobody_is_told_by_a_file_that_is_not_there(site: Site) -> None:
    from ccdr.model.values import Health
    from ccdr.setup.doctor import readiness

    site.plan("a: {engine: files, paths: [/srv]}", extra="notify: {urls_file: notify.urls}\n")

    def look() -> list[tuple[Health, str]]:
        now = site.services().clock.now()
        return [(x.state, x.answer) for x in readiness.upkeep(site.loaded(), {}, now) if x.what == "notification"]

    ((state, found),) = look()
    assert state is Health.FAIL and "notify.urls is not there: nobody gets" in found
    site.write("plans/notify.urls", "json://localhost\n", mode=0o600)
    assert look() == [(Health.OK, "by the addresses in urls_file")]
