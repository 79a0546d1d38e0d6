"""What restic answers, by a program that answers as it does where a real repository cannot be made to."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccdr.errors import Exit, RepositoryClosed, RepositoryMissing
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
    with pytest.raises(
        RepositoryClosed, match=r"does not open with the plan's password: no key opens with that password"
    ):
        answering(tmp_path, closed=99).probe()
    assert asked(tmp_path) == 2


def test_one_that_opens_is_asked_once(tmp_path: Path) -> None:
    answering(tmp_path, closed=0).probe()
    assert asked(tmp_path) == 1


@pytest.mark.parametrize("known", [True, False])
def test_one_that_is_not_there_is_told_by_what_the_plan_had(tmp_path: Path, known: bool) -> None:
    """A plan whose backups were stored there is not told that its first backup makes it."""
    program = tmp_path / "restic"
    program.write_text(
        "#!/bin/sh\necho 'Fatal: repository does not exist: stat /mnt/config: no such file or directory' >&2\n"
        "echo 'Is there a repository at the following location?' >&2\necho /mnt >&2\nexit 10\n"
    )
    program.chmod(0o755)
    repo = Restic("/mnt", {}, tmp_path / "cache", Host(dirs=(str(tmp_path),)), plan="outbound", known=lambda: known)
    with pytest.raises(RepositoryMissing, match=r"no such file or directory$") as raised:
        repo.probe()
    hint = str(raised.value.hint)
    assert "is the disk mounted" in hint and ("`ccdr backup outbound` makes it" in hint) is not known
    assert raised.value.exit_code is Exit.NOT_CARRIED_OUT, "what is not there proves nothing about the backups"
