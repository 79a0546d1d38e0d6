"""Files written durably, and trees removed however deep they are."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.model.errors import CcdrError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator


def free(handle: int, tries: int, how: int) -> bool:
    for left in reversed(range(tries)):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, how | fcntl.LOCK_NB)
            return True
        if left:
            time.sleep(0.02)
    return False


def sync_directory(path: Path) -> None:
    """What was made, renamed or removed there is on disk when this returns."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """An empty file beside it, its owner's alone: what it holds at the end of the block is there as `path`, whole or
    not at all, and on disk. CcdrError where the disk refuses."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        for directory in reversed([p for p in path.parents if not p.exists()]):  # `parents=True` would open them to all
            directory.mkdir(mode=0o700, exist_ok=True)
            sync_directory(directory.parent)
        os.close(os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o600)
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise CcdrError(
            f"{path} cannot be written: {error.strerror}", hint="free space, or name another --state DIR"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_durably(path: Path, contents: str | bytes | Iterable[bytes]) -> None:
    """Whole or not at all, and on disk when this returns; CcdrError where the disk refuses. What comes in pieces is
    never held as a whole."""
    if isinstance(contents, str):
        contents = contents.encode("utf-8", "surrogateescape")
    with replaced(path) as temporary, temporary.open("wb") as file:
        file.writelines([contents] if isinstance(contents, bytes) else contents)


def remove_tree(path: Path) -> list[str]:
    """Remove a directory and prove that it is gone; returns what is left, as sentences. A restored tree may
    hold directories without write permission: they are opened first."""

    def again(function: object, name: str, error: BaseException) -> None:
        with contextlib.suppress(OSError):
            Path(name).parent.chmod(0o700)
            Path(name).chmod(0o700)
        with contextlib.suppress(OSError):
            shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink(missing_ok=True)

    if path.exists():
        try:
            _rmtree(path, again)
        except RecursionError:  # a thousand directories in each other
            with contextlib.suppress(OSError):
                _remove_deep(path)
    return [f"{path} is still there"] if path.exists() else []


def _remove_deep(path: Path) -> None:
    open_: list[Path] = [path]
    while open_:
        open_[-1].chmod(0o700)
        below = []
        for entry in open_[-1].iterdir():
            if entry.is_dir() and not entry.is_symlink():
                below.append(entry)
            else:
                entry.unlink()
        if not below:
            open_.pop().rmdir()
        open_ += below


def _rmtree(path: Path, again: object) -> None:
    import sys

    # The handler's name changed in Python 3.12; its first two arguments did not.
    if sys.version_info >= (3, 12):
        shutil.rmtree(path, onexc=again)  # type: ignore[arg-type]
    else:
        shutil.rmtree(path, onerror=again)  # type: ignore[arg-type]


def extent(tree: Path, leave: Collection[str] = ()) -> tuple[int, int]:
    """How many regular files it holds, and how many bytes; but for those of the names `leave` at its top."""
    files = size = 0
    for root, _, names in os.walk(tree):
        for name in names:
            if root == str(tree) and name in leave:
                continue
            status = os.lstat(f"{root}/{name}")  # text: of many files, paths take most of the time
            if stat.S_ISREG(status.st_mode):
                files, size = files + 1, size + status.st_size
    return files, size
