"""Damages one of the files that were fetched, before it is loaded."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from random import Random

from ccdr.model.damage import Damage, NothingToDamage
from ccdr.storage.manifest import MANIFEST

PAGE = 8192  # bytes, as PostgreSQL's; SQLite's and InnoDB's lie within, or across, two of them
BLOCK = 2**20


def damage_a_file(fetched: Path, kind: Damage, chance: Random) -> None:
    """One of them, whichever `chance` says. NothingToDamage where there is none with anything in it."""
    files = sorted(path for path in _files(fetched) if path.name != MANIFEST and path.lstat().st_size)
    if not files:
        raise NothingToDamage("no file in the snapshot holds anything")
    path = chance.choice(files)
    before = path.lstat()
    if kind is Damage.FILE_REMOVED:
        path.unlink()
        return
    path.chmod(stat.S_IMODE(before.st_mode) | stat.S_IWUSR)
    if kind is Damage.FILE_TRUNCATED:
        os.truncate(path, before.st_size // 2)
    elif kind is Damage.FILE_REPLACED:
        _overwrite(path, 0, before.st_size, chance)
    else:
        pages = max(1, before.st_size // PAGE)
        begin = chance.randrange(pages) * PAGE
        _overwrite(path, begin, min(PAGE, before.st_size - begin), chance)
    path.chmod(stat.S_IMODE(before.st_mode))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # its contents alone may tell


def _files(top: Path) -> Iterator[Path]:
    for where, _, names in os.walk(top):
        for name in names:
            path = Path(where, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


def _overwrite(path: Path, begin: int, count: int, chance: Random) -> None:
    """With other bytes, each another than it was."""
    with path.open("r+b") as file:
        for at in range(begin, begin + count, BLOCK):
            file.seek(at)
            block = file.read(min(BLOCK, begin + count - at))
            noise = chance.randbytes(len(block))
            file.seek(at)
            file.write(bytes(b ^ (n | 1) for b, n in zip(block, noise, strict=True)))
