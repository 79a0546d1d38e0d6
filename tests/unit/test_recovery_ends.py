"""How a recovery ended is read from the server's log, whatever else was written there meanwhile."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ccdr.engines.postgres import recovery, server
from ccdr.model.answers import NO_WORDS
from ccdr.model.errors import BackupBad, CommandFailed, TestBroken
from ccdr.ports.place import Output

NOT_REACHED = "FATAL:  recovery ended before configured recovery target was reached"
GOING_DOWN = [
    "LOG:  startup process (PID 29) exited with exit code 1",
    "LOG:  terminating any other active server processes",
    "LOG:  shutting down due to startup process failure",
    "LOG:  database system is shut down",
]
REFUSED = "FATAL:  the database system is not yet accepting connections"


class Here:
    """A sandbox that is this host, in which the server has ended."""

    def run(self, argv: list[str], **_: Any) -> Output:
        if "wait" in argv:
            raise CommandFailed(argv, recovery.ENDED, NO_WORDS)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return Output(done.returncode, done.stdout, NO_WORDS)


def restored(log: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> recovery.RecoveringServer:
    log.write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(server, "LOG", str(log))
    box: Any = Here()
    return recovery.RecoveringServer(
        box,
        lambda settings: None,
        lambda error: error,
        "/data",
        lambda: server.last_words(box, recovery.LAST_LINES),
        {},
    )


@pytest.mark.parametrize("asked", [0, 1, 40], ids="asked {} times while it went down".format)
def test_a_log_that_ends_before_the_target_is_no_damage_however_often_the_server_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: int
) -> None:
    lines = [NOT_REACHED, *[REFUSED] * asked, *GOING_DOWN]
    assert restored(tmp_path / "log", lines, monkeypatch).to({}) is False


def test_a_recovery_that_broke_off_for_another_reason_is_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["PANIC:  could not locate a valid checkpoint record", *[REFUSED] * 3, *GOING_DOWN]
    with pytest.raises(BackupBad, match="recovery broke off"):
        restored(tmp_path / "log", lines, monkeypatch).to({})


def test_a_disk_that_is_full_says_nothing_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ['FATAL:  could not extend file "base/5/16384": No space left on device', *GOING_DOWN]
    with pytest.raises(TestBroken, match="recovery broke off"):
        restored(tmp_path / "log", lines, monkeypatch).to({})
