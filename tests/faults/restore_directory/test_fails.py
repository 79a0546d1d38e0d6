"""Restoring files for real: all of it or nothing under the final name."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.harness import Quiet, Ran, Site
from tests.support.restored_files import beside, end, go, mounted
from tests.support.stored import LONG_AGO, assert_clean, restic_of, settled_file

from ccdr.jobs.restore import Request, restoring
from ccdr.model.errors import UsageProblem
from ccdr.plans.job import Job


def nothing(site: Site, code: int, done: Ran, before: set[str]) -> None:
    """Failed with this exit code, and nothing of it is left anywhere."""
    assert done.code == code and done.json["result"] == "FAILED", done
    assert beside(site) == before and done.json["left_behind"] == []
    assert end(site)["result"] == "FAILED"
    assert_clean(site)


def test_damaged_data(twin: Site) -> None:
    pack = max((p for p in (twin.repo / "data").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    pack.chmod(0o600)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    before = beside(twin)
    nothing(twin, 1, done := go(twin, twin.root / "back"), before)
    assert "restore an older snapshot" in done.json["hint"], done
    restic_of(twin.root, "forget", twin.records("backup.end")[0]["snapshot"]["id"])
    nothing(twin, 1, done := go(twin, twin.root / "back"), before)
    assert "`ccdr backup p --asset recordings`" in done.json["hint"] and "older" in done.json["hint"]
    assert "restore an older" not in done.json["hint"]


def test_lost_pack(twin: Site) -> None:
    for pack in [p for p in (twin.repo / "data").rglob("*") if p.is_file() and p.stat().st_size > 100_000]:
        pack.unlink()
    before = beside(twin)
    nothing(twin, 1, go(twin, twin.root / "back"), before)


def test_repository_is_gone(twin: Site) -> None:
    twin.repo.rename(twin.root / "elsewhere")
    done = go(twin, twin.root / "back")
    assert done.code == 3 and "no repository" in done.json["error"] and not (twin.root / "back").exists(), done
    assert end(twin)["result"] == "FAILED"


def test_restic_that_says_all_is_well_and_leaves_a_file_out(twin: Site) -> None:
    script = (
        f'#!/bin/sh\n{shutil.which("restic")} "$@"\ncode=$?\n'
        f'case " $* " in *" restore "*) find {twin.root}/.back* -name call1.wav -delete;; esac\nexit $code\n'
    )
    twin.write("bin/restic", script, mode=0o755)
    twin.env["PATH"] = f"{twin.root / 'bin'}:{os.environ['PATH']}"
    before = beside(twin)
    nothing(twin, 1, go(twin, twin.root / "back"), before)


def test_restic_that_changes_a_byte_keeps_its_name_from_it(twin: Site) -> None:
    """Whole by its sizes; by its digests it is not what was captured: it stays where it is made ready."""
    script = (
        f'#!/bin/sh\n{shutil.which("restic")} "$@"\ncode=$?\n'
        f'case " $* " in *" restore "*) for f in $(find {twin.root}/.back* -name call1.wav); do '
        f'printf X | dd of="$f" conv=notrunc bs=1 2>/dev/null; touch -d @{LONG_AGO} "$f"; done;; esac\nexit $code\n'
    )
    twin.write("bin/restic", script, mode=0o755)
    twin.env["PATH"] = f"{twin.root / 'bin'}:{os.environ['PATH']}"
    done = go(twin, twin.root / "back")
    assert done.code == 1 and not (twin.root / "back").exists(), done
    (kept,) = twin.root.glob(".back.ccdr-restore-*")
    assert str(kept) in done.json["left_behind"][0] and kept.stat().st_mode & 0o777 == 0o700
    done = go(twin, twin.root / "back", "--despite-failed-checks")
    assert (done.code, done.json["result"]) == (1, "RESTORED") and (twin.root / "back").is_dir(), done
    assert str(kept) in done.json["notes"][0], "what the first one left is told"


def test_disk_that_fills_up_meanwhile(twin: Site, disk: Path) -> None:
    request, services = Request(to=str(disk / "back")), twin.services()
    with restoring(Job(twin.loaded(), "recordings"), request, services, Quiet()) as one:
        with (disk / "filler").open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 2**16)
        one.carry_out(Quiet())
    assert one.result.result == "FAILED" and int(one.result.exit_code) == 3, one.result
    assert "no space left" in str(one.result.reason).lower() and one.result.hint
    assert {p.name for p in disk.iterdir()} == {"filler"} and one.result.left_behind == []
    assert_clean(twin)


def test_disk_that_is_too_small_from_the_start(twin: Site, tmp_path: Path) -> None:
    small = tmp_path / "small"
    mounted(small, "1m")
    try:
        done = go(twin, small / "back")
        assert done.code == 2 and "free, the restore needs" in done.json["error"], done
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_somebody_else_takes_the_name_meanwhile(twin: Site) -> None:
    request = Request(to=str(twin.root / "back"))
    with restoring(Job(twin.loaded(), "recordings"), request, twin.services(), Quiet()) as one:
        settled_file(twin.root / "back" / "theirs", b"theirs")
        one.carry_out(Quiet())
    assert one.result.result == "FAILED" and {p.name for p in (twin.root / "back").iterdir()} == {"theirs"}
    (kept,) = twin.root.glob(".back.ccdr-restore-*")
    assert str(kept) in one.result.left_behind[0], "it is whole: it is not thrown away"


def test_a_defect_of_our_own_still_ends_and_cleans_up(twin: Site) -> None:
    request = Request(to=str(twin.root / "back"))

    class Broken(Quiet):
        def step(self, text: str) -> None:
            if text.startswith("checking"):
                raise RuntimeError("a defect")

    with restoring(Job(twin.loaded(), "recordings"), request, twin.services(), Quiet()) as one:
        one.carry_out(Broken())
    assert one.result.result == "FAILED" and "own" in str(one.result.reason)
    assert not list(twin.root.glob(".back*")) and not (twin.root / "back").exists()
    assert end(twin)["result"] == "FAILED"


def test_refusing_in_between_is_recorded(twin: Site) -> None:
    request = Request(to=str(twin.root / "back"))
    with pytest.raises(UsageProblem):
        with restoring(Job(twin.loaded(), "recordings"), request, twin.services(), Quiet()):
            raise UsageProblem("I have changed my mind")
    assert end(twin)["reason"] == "I have changed my mind" and not (twin.root / "back").exists()
