"""Restoring files for real: what is interrupted or killed leaves nothing under the final name."""

from __future__ import annotations

import os
import shutil
import signal
import threading

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site, eventually
from tests.support.restored_files import beside, end, go, listing
from tests.support.stored import LIMITS, assert_clean

SLOW = LIMITS.replace("no_progress: 4s", "no_progress: 60s, download: 40KiB")


def stopped(site: Site, sign: int) -> int:
    """Send `sign` while the snapshot is being fetched."""
    site.recordings(site.root / "tree", SLOW)
    process = site.start(
        "restore", "p", "--asset", "recordings", "--to", str(site.root / "back"), "--yes-i-mean", "back"
    )
    assert process.stderr and process.stdout
    draining = threading.Thread(target=process.stdout.read, daemon=True)
    draining.start()
    for line in process.stderr:
        if "fetching" in line:
            break
    assert eventually(lambda: any(p.is_file() for p in site.root.glob(".back*/**/*")), 30)
    process.send_signal(sign)
    process.wait(60)
    return process.returncode


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_restore_leaves_nothing(twin: Site, sign: int) -> None:
    before = beside(twin)
    assert stopped(twin, sign) == 3
    assert beside(twin) == before
    record = end(twin)
    assert (record["result"], record["reason"], record["left_behind"]) == ("FAILED", "interrupted", [])
    assert_clean(twin)


def syncing(site: Site, which: str, then: str) -> None:
    """`sync` of the working copy, or of the target under its final name, is followed by `then`."""
    wanted = "*ccdr-restore*" if which == "working copy" else "*/back"
    script = f'#!/bin/sh\n{shutil.which("sync")} "$@" || exit\ncase "$2" in {wanted}) {then};; esac\n'
    site.write("bin/sync", script, mode=0o755)
    site.env["PATH"] = f"{site.root / 'bin'}:{os.environ['PATH']}"


@pytest.mark.parametrize("sign", ["INT", "TERM"])
def test_interrupted_after_its_final_name_it_is_restored(twin: Site, sign: str, wording: SnapshotAssertion) -> None:
    before = beside(twin)
    syncing(twin, "target", f"[ -e {twin.root}/once ] || {{ touch {twin.root}/once; kill -{sign} $PPID; sleep 20; }}")
    done = go(twin, twin.root / "back")
    assert done.code == 3 and "under its final name" in done.stderr, done
    record = end(twin)
    assert (record["result"], record["reason"], record["left_behind"]) == ("RESTORED", None, [])
    assert record["notes"] == wording and record["findings"] == []
    assert listing(twin.root / "back" / str(twin.root / "tree").lstrip("/")) == listing(twin.root / "tree")
    assert beside(twin) - before == {"back", "bin", "once"}
    assert_clean(twin)


def test_interrupted_before_its_final_name_it_is_not(twin: Site) -> None:
    syncing(twin, "working copy", "kill -TERM $PPID; sleep 20")
    assert go(twin, twin.root / "back").code == 3
    record = end(twin)
    (kept,) = twin.root.glob(".back.ccdr-restore-*")
    assert (record["result"], record["reason"]) == ("FAILED", "interrupted") and not (twin.root / "back").exists()
    assert str(kept) in str(record["left_behind"]), "it is whole: it is not thrown away"


def test_a_disk_that_cannot_be_synced_at_last_is_told_of_what_stands_there(twin: Site) -> None:
    syncing(twin, "target", "echo Input/output error >&2; exit 1")
    done = go(twin, twin.root / "back")
    assert (done.code, done.json["result"]) == (1, "RESTORED") and (twin.root / "back").is_dir(), done
    (finding,) = done.json["findings"]
    assert "may not be on disk yet" in finding and "sync -f" in finding and "input/output error" in finding
    assert done.json["left_behind"] == []


def test_killed_restore_leaves_nothing_under_the_final_name(twin: Site) -> None:
    assert stopped(twin, signal.SIGKILL) == -signal.SIGKILL
    assert not (twin.root / "back").exists()
    found = twin.run("ledger", "verify")
    assert found.code == 0 and len(found.json["crashes"]) == 1, found
    twin.recordings(twin.root / "tree", LIMITS)
    done = go(twin, twin.root / "back")
    assert done.code == 0 and ".back.ccdr-restore-" in done.json["notes"][0], done
    assert listing(twin.root / "back" / str(twin.root / "tree").lstrip("/")) == listing(twin.root / "tree")
