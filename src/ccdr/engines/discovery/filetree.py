"""What a directory holds, for whoever writes the first plan: how many files, how large, which of them are audio."""

from __future__ import annotations

import os
import stat
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ENOUGH = 500_000  # entries; a larger tree is not looked through to its end
PATIENCE = 20.0  # seconds; nor is one on a slow file system
# What libsndfile opens by itself; telephony's headerless codecs (.gsm, .ulaw, .g729 …) need to be told what they are.
DECODABLE = ("wav", "mp3", "ogg", "opus", "flac", "aiff", "au")
DATABASES = ("db", "db3", "sqlite", "sqlite3", "s3db")
HEADERLESS = ("gsm", "ulaw", "alaw", "g722", "g729", "sln", "sln16", "pcm", "raw", "vox")


@dataclass
class TreeFound:
    """What was seen at and below a path. Times are seconds since the epoch, None where there is no such file.

    `audio` counts the files that have sound by their suffix, `silent` those of them without a byte in them;
    `unreadable` is what this user may not read, `databases` the SQLite files. `whole` is false where the look was
    broken off.
    """

    path: Path
    files: int = 0
    bytes: int = 0
    audio: Counter[str] = field(default_factory=Counter)
    silent: int = 0
    unreadable: int = 0
    databases: list[Path] = field(default_factory=list)
    oldest: float | None = None
    newest: float | None = None
    whole: bool = True

    @property
    def decodable(self) -> tuple[str, ...]:
        """Suffixes of audio that a restore test can decode, the most frequent first."""
        return tuple(suffix for suffix, _ in self.audio.most_common() if suffix in DECODABLE)


def survey_tree(path: Path, *, enough: int = ENOUGH, patience: float = PATIENCE) -> TreeFound:
    """Look through a directory, or at a file; what cannot be read is counted, never an error."""
    tree = TreeFound(path)
    deadline = time.monotonic() + patience
    for seen, (name, status) in enumerate(_regular(path, tree)):
        if seen >= enough or (seen % 1000 == 999 and time.monotonic() > deadline):
            tree.whole = False
            break
        tree.files += 1
        tree.bytes += status.st_size
        tree.oldest = min(tree.oldest or status.st_mtime, status.st_mtime)
        tree.newest = max(tree.newest or status.st_mtime, status.st_mtime)
        suffix = name.rsplit(".", 1)[-1].lower() if "." in name else ""
        if suffix in DECODABLE or suffix in HEADERLESS:
            tree.audio[suffix] += 1
            tree.silent += status.st_size == 0
        elif suffix in DATABASES and _begins_as_sqlite(name):
            tree.databases.append(Path(name))
        if not os.access(name, os.R_OK):
            tree.unreadable += 1
    return tree


def sqlite_files(directory: Path) -> list[Path]:
    """The SQLite databases that stand in a directory itself; OSError where it may not be listed."""
    named = (path for path in directory.iterdir() if path.suffix.removeprefix(".").lower() in DATABASES)
    return sorted(p for p in named if p.is_file() and not p.is_symlink() and _begins_as_sqlite(str(p)))


def _begins_as_sqlite(name: str) -> bool:
    try:
        with open(name, "rb") as file:  # noqa: PTH123 - names, not paths
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False


def has_audio(path: Path) -> bool:
    """Is there a file below `path` whose name is audio's? A short look, broken off at the first one."""
    tree = TreeFound(path)
    for seen, (name, _) in enumerate(_regular(path, tree)):
        if name.rsplit(".", 1)[-1].lower() in (*DECODABLE, *HEADERLESS):
            return True
        if seen > ENOUGH // 20:
            break
    return False


def _regular(path: Path, tree: TreeFound) -> Iterator[tuple[str, os.stat_result]]:
    """Every regular file at and below a path, not through links; directory by directory, so that memory is bounded."""
    waiting = [str(path)]
    while waiting:
        name = waiting.pop()
        try:
            status = os.lstat(name)
            if stat.S_ISREG(status.st_mode):
                yield name, status
            if not stat.S_ISDIR(status.st_mode):
                continue
            with os.scandir(name) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        yield entry.path, entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        except OSError:
            tree.unreadable += 1
