"""An empty directory that is filled at once or not at all: written beside, and given its name when it is whole."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ccdr.host.files import remove_tree, sync_directory, write_durably
from ccdr.model.errors import CcdrError, UsageProblem

_STAGED = ".ccdr-bootstrap-"  # in the name of what is written beside


def as_target(into: Path) -> Path:
    """Where it really lies; UsageProblem where it may not be written into: only what is absent or empty may."""
    try:
        target = into.resolve()
        if not target.exists():
            if not target.parent.is_dir():
                raise UsageProblem(f"{target.parent} does not exist", hint="create it, or name another --into DIR")
            return target
        if not target.is_dir():
            raise UsageProblem(f"{into} is not a directory", hint="name one with --into that is absent or empty")
        if next(target.iterdir(), None) is not None:
            raise UsageProblem(
                f"{into} is not empty, and nothing that exists is written over",
                hint="name a directory with --into that is absent or empty",
            )
    except (OSError, RuntimeError, ValueError) as error:  # a link that leads to itself, a NUL in the name
        why = getattr(error, "strerror", None) or "it has no name that a directory may have"
        raise UsageProblem(f"{into} cannot be looked at: {why}", hint="name another --into DIR") from None
    return target


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A directory beside the target, private, and gone when this ends, unless `finish` has given it the target's name.
    What earlier ones that were killed have left is removed first. CcdrError where it cannot be made."""
    _remove_left(target)
    staging = target.with_name(f".{target.name}{_STAGED}{os.getpid()}")
    try:
        staging.mkdir(mode=0o700)
    except OSError as error:
        raise CcdrError(
            f"{target.parent} cannot be written to: {error.strerror}", hint="name another --into DIR, as a user who may"
        ) from None
    try:
        yield staging
    finally:
        if staging.exists():
            remove_tree(staging)


def finish(staging: Path, target: Path) -> None:
    """All of it is on disk, and has the target's name: only if that is still absent or empty."""
    try:
        staging.rename(target)  # an empty directory is replaced, another one is not
        sync_directory(target.parent)
    except OSError as error:
        if error.errno == errno.EBUSY:  # the empty directory is a file system of its own
            hint = f"it is a mount point: name a directory below it, as --into {target / 'ccdr'}"
            raise CcdrError(f"{target} cannot be replaced", hint=hint) from None
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise UsageProblem(f"{target} is not empty any more; nothing was written over") from None
        raise CcdrError(f"{target} cannot be written: {error.strerror}", hint="name another --into DIR") from None


def write(staging: Path, name: str, contents: bytes) -> None:
    """CcdrError where the disk refuses."""
    try:
        write_durably(staging / name, contents)
    except CcdrError as error:
        raise CcdrError(
            f"the plans cannot be written beside {staging.parent}: {error}",
            hint="free space there, or name another --into DIR; nothing was left behind",
        ) from None


def _remove_left(target: Path) -> None:
    with contextlib.suppress(OSError):
        for left in target.parent.glob(f".{target.name}{_STAGED}*"):
            pid = left.name.rpartition("-")[2]
            if pid.isdecimal() and not Path("/proc", pid).exists() and left.is_dir() and not left.is_symlink():
                remove_tree(left)
