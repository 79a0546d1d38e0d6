"""What restic answers, by a program that answers as it does where a real repository cannot be made to."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccdr.errors import RepositoryClosed
from ccdr.proc import Host
from ccdr.storage.restic import Restic

NO_KEY = "Fatal: wrong password or no key found"


def answering(directory: Path, *, closed: int) -> Restic:
    """A repository that does not open the first times it is asked; each is a line of `asked`."""
    program = directory / "restic"
    program.write_text(
        f'#!/bin/sh\necho asked >> "{directory}/asked"\n'
        f'[ "$(wc -l < "{directory}/asked")" -gt {closed} ] && {{ echo "{{}}"; exit 0; }}\n'
        f'echo "{NO_KEY}" >&2; exit 12\n'
    )
    program.chmod(0o755)
    return Restic("/nowhere", {}, directory / "cache", Host(dirs=(str(directory),)))


def asked(directory: Path) -> int:
    return len((directory / "asked").read_text().splitlines())


def test_a_store_that_listed_no_key_for_once_is_asked_again(tmp_path: Path) -> None:
    """Seen under load, on an S3 server whose connections were reset: the password was the same before and after."""
    answering(tmp_path, closed=1).probe()
    assert asked(tmp_path) == 2


def test_a_wrong_password_is_told_and_not_tried_for_ever(tmp_path: Path) -> None:
    with pytest.raises(RepositoryClosed, match=r"does not open with the plan's password.*no key found"):
        answering(tmp_path, closed=99).probe()
    assert asked(tmp_path) == 2


def test_one_that_opens_is_asked_once(tmp_path: Path) -> None:
    answering(tmp_path, closed=0).probe()
    assert asked(tmp_path) == 1
