"""What is told of an error that nobody foresaw."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from ccdr.model.errors import for_plan, own_error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_what_the_operating_system_refuses_is_no_error_of_ccdrs_own(number: int, tmp_path: Path) -> None:
    said, hint = own_error(OSError(number, os.strerror(number), str(tmp_path / "x")))
    assert said == f"{tmp_path / 'x'}: {os.strerror(number)}" and "report" not in hint


def test_a_full_disk_names_the_file_that_was_written() -> None:
    """The kernel refuses the writing, not the opening: its answer names no file."""
    try:
        Path("/dev/full").write_text("x")
    except OSError as error:
        assert error.filename is None
        said, hint = own_error(error)
    assert said == "/dev/full: No space left on device" and "make room" in hint


def test_any_other_is_ccdrs_own() -> None:
    for error in (FileExistsError(errno.EEXIST, "File exists", "x"), KeyError("x")):
        try:
            raise error
        except (OSError, KeyError) as raised:
            said, hint = own_error(raised)
        assert "ccdr's own, at test_errors.py:" in said and "report" in hint


def test_a_next_step_names_the_plan(wording: SnapshotAssertion) -> None:
    """An engine does not know whose it is."""
    assert for_plan("run `ccdr backup PLAN`, then `ccdr ship PLAN`", "crm") == wording
    assert for_plan("the PLAN's `ccdr doctor other`", "crm") == "the PLAN's `ccdr doctor other`"
    assert for_plan(None, "crm") is None


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("/s/scratch/run-1/fetched", "var/spool/0722000001-Ionescu.wav"),
        ("/s/scratch/capture/p/crm/ccdr-capture", "0722000001.wav"),
        ("/srv/.back.ccdr-restore-7", "tree/var/spool/0722000001.wav"),
        ("/mnt/back/.ccdr-restore-7", "tree/0722000001.wav"),
    ],
)
def test_a_customers_file_is_not_named_by_what_the_system_refuses(ours: str, theirs: str) -> None:
    said, hint = own_error(PermissionError(errno.EACCES, "Permission denied", f"{ours}/{theirs}"))
    assert said == f"{ours}: Permission denied" and "ls -ld" in hint
