"""Writes new files, all or none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ccdr.host.files import sync_directory
from ccdr.model.errors import CcdrError, UsageProblem


@dataclass(frozen=True)
class NewFile:
    """A file to be. One with `keep` stays as it is where it exists already; `mode` is narrowed by the umask."""

    path: Path
    text: str
    mode: int = 0o644
    keep: bool = False


@dataclass
class _Undo:
    made: list[Path] = field(default_factory=list)
    directories: list[Path] = field(default_factory=list)
    replaced: dict[Path, bytes] = field(default_factory=dict)

    def __call__(self) -> None:
        for path in self.made:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        for path, was in self.replaced.items():
            with contextlib.suppress(OSError):
                path.write_bytes(was)
        for directory in reversed(self.directories):
            with contextlib.suppress(OSError):
                directory.rmdir()


def write_all(files: list[NewFile], *, force: bool) -> list[Path]:
    """Write every file and return those written, in this order; without `force` a file that exists is a UsageProblem.

    CcdrError where one cannot be written: then everything is as it was.
    """
    wanted = [file for file in files if not (file.keep and file.path.exists())]
    if not force and (there := [str(f.path) for f in wanted if f.path.exists() or f.path.is_symlink()]):
        raise UsageProblem(f"{', '.join(there)} exists already", hint="take another --name, or replace it with --force")
    undo = _Undo()
    try:
        staged = [(file, _staged(file, undo)) for file in wanted]
        for file, temporary in staged:
            if file.path.exists():
                undo.replaced[file.path] = file.path.read_bytes()
            else:
                undo.made.append(file.path)
            temporary.replace(file.path)
        for directory in {file.path.parent for file in wanted}:
            sync_directory(directory)
    except OSError as error:
        undo()
        where = error.filename or "a file"
        hint = "free space, or name directories you may write with --plans and --restore-tests"
        raise CcdrError(f"{where} cannot be written: {error.strerror}; nothing was", hint=hint) from None
    except BaseException:
        undo()
        raise
    return [file.path for file in wanted]


def _staged(file: NewFile, undo: _Undo) -> Path:
    """The file's text beside it, on disk, under another name."""
    for directory in _missing(file.path.parent):
        directory.mkdir(mode=0o700 if file.mode == 0o600 else 0o755)
        undo.directories.append(directory)
    temporary = file.path.with_name(f".{file.path.name}.{os.getpid()}.tmp")
    undo.made.append(temporary)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, file.mode)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(file.text)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:  # a full disk does not say which file it was
        error.filename = str(file.path)
        raise
    return temporary


def _missing(directory: Path) -> Iterator[Path]:
    """The directories to make, the uppermost first."""
    yield from reversed([p for p in (directory, *directory.parents) if not p.exists()])
