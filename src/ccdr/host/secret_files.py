"""Files that hold a secret, written so that nobody else could have read them at any moment."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from ccdr.host.files import sync_directory
from ccdr.model.errors import CcdrError, UsageProblem

RANDOM_BYTES = 32  # 256 bits: no stretching is needed, nobody guesses it


def new_secret() -> str:
    """One that nobody can guess, as a line of text."""
    return secrets.token_urlsafe(RANDOM_BYTES)


def write_secret(path: Path, text: str, like: os.stat_result | None = None) -> None:
    """Write it where nothing is yet: whole or not at all, mode 0600, on disk when this returns. `like`: with that
    file's owner, and its owner's and group's rights. CcdrError where that cannot be; UsageProblem where something is
    there."""
    temporary = path.with_name(f".{path.name}.tmp")  # of one name: what a killed process left goes, too
    try:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if like is not None:
                _take_over(handle, like)
            os.write(handle, f"{text}\n".encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        os.link(temporary, path)  # FileExistsError where something is there
        temporary.unlink()
        sync_directory(path.parent)
    except FileExistsError:
        raise UsageProblem(f"{path} is there already", hint="name a file that is not there yet") from None
    except OSError as error:
        raise CcdrError(
            f"{path} cannot be written: {error.strerror}",
            hint="see who may write to that directory, and whether it is full",
        ) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _take_over(handle: int, like: os.stat_result) -> None:
    own = os.fstat(handle)
    if (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
        os.fchown(handle, like.st_uid, like.st_gid)
    os.fchmod(handle, like.st_mode & 0o770)
