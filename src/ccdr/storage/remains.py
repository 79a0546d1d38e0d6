"""What is left of a repository that restic does not open, looked at without restic.

restic's exit code does not tell a removed `config` from a disk that is not mounted, nor removed keys from a wrong
password. The store does: where packs still lie and what opens them is gone, or is not what it says, that is damage.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ccdr.host.files import sync_directory
from ccdr.model.errors import CcdrError
from ccdr.model.values import so_many
from ccdr.storage.s3 import Bucket

# restic's names: a pack below the first two digits of its own, or (S3 of old) right below `data`.
_PACK = re.compile(r"data/(?:([0-9a-f]{2})/(?=\1))?[0-9a-f]{64}")
_KEY = re.compile(r"keys/([0-9a-f]{64})")
PUT = ".ccdr-put.tmp"  # of one name, so that what a killed process left goes with the next
_MOST = 2**20  # bytes of what is read here: a config, a key file
_LEAST = 33  # bytes of a config: 16 that it begins with, 16 that seal it, and something between


class Store(Protocol):
    """A place that can be listed. Names are relative to the repository; OSError or CcdrError where nobody answers."""

    def below(self, folder: str) -> Iterator[str]:
        """The names of all files in there, one by one."""

    def contents(self, name: str) -> bytes | None:
        """A small file; None where it is not there."""

    def put(self, name: str, body: bytes) -> None:
        """Write a small file, whole or not at all, where none of that name is."""

    def remove(self, name: str) -> None:
        """A file that is there; where versions are kept, its name goes."""


@dataclass(frozen=True)
class Directory:
    """A link says that something is kept elsewhere: where it leads to nothing, that may be a disk that is not mounted.
    So it does not say that nothing is there, it says that nobody can look."""

    root: Path

    def below(self, folder: str) -> Iterator[str]:
        def failed(error: OSError) -> None:
            raise error

        top, empty = self.root / folder, True
        if not os.path.lexists(top):
            return
        for where, _, names in os.walk(top, onerror=failed):
            for name in names:
                empty = False
                yield str(Path(where, name).relative_to(self.root))
        if empty and top.is_symlink():
            raise FileNotFoundError(f"{top} leads to an empty place")

    def contents(self, name: str) -> bytes | None:
        try:
            handle = os.open(self.root / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                return file.read(_MOST) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
        except FileNotFoundError:
            if os.path.lexists(self.root / name):
                raise
            return None

    def put(self, name: str, body: bytes) -> None:
        path, temporary = self.root / name, self.root / PUT  # restic does not look there
        mode = stat.S_IMODE((self.root / "config").stat().st_mode) & 0o444  # as restic has all of its files
        try:
            temporary.unlink(missing_ok=True)  # which somebody was killed over
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(body)
                file.flush()
                os.fchmod(handle, mode)
                os.fsync(handle)
            temporary.rename(path)
            sync_directory(path.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        (self.root / PUT).unlink(missing_ok=True)
        (self.root / name).unlink()


@dataclass(frozen=True)
class InBucket:
    bucket: Bucket
    prefix: str  # ends in a slash, where there is one

    def below(self, folder: str) -> Iterator[str]:
        return (key.removeprefix(self.prefix) for key in self.bucket.keys(f"{self.prefix}{folder}/"))

    def contents(self, name: str) -> bytes | None:
        return self.bucket.contents(f"{self.prefix}{name}")

    def put(self, name: str, body: bytes) -> None:
        self.bucket.put_once(f"{self.prefix}{name}", body)

    def remove(self, name: str) -> None:
        self.bucket.remove(f"{self.prefix}{name}")


def store_at(location: str, env: Mapping[str, str]) -> Store | None:
    """The place of a repository; None where only restic can look at it."""
    if location.startswith("/"):
        return Directory(Path(location))
    bucket_and_prefix = Bucket.of(location, env)
    return bucket_and_prefix and InBucket(*bucket_and_prefix)


def damage(store: Store, *, undecipherable: bool) -> str | None:
    """What keeps data that is there from being read, in one sentence; None where nothing shows that it is damage.

    `undecipherable`: the password opens a key, and with that the config does not decrypt.
    """
    try:
        if not any(_PACK.fullmatch(name) for name in store.below("data")):
            return None  # an empty place, a wrong prefix, a disk that is not mounted
        return _damage(store) or ("its config does not decrypt with its own key" if undecipherable else None)
    except (OSError, CcdrError):
        return None  # whoever cannot look has shown nothing


def _damage(store: Store) -> str | None:
    config = store.contents("config")
    if config is None:
        return "its data is there, and its config is gone"
    if len(config) < _LEAST:
        return f"its data is there, and its config has been cut to {so_many(len(config), 'byte')}"
    names = [match for name in store.below("keys") if (match := _KEY.fullmatch(name))]
    if not names:
        return "its data is there, and all of its keys are gone"
    bad = sum(hashlib.sha256(store.contents(name[0]) or b"").hexdigest() != name[1] for name in names)
    if bad < len(names):
        return None  # one that is whole opens it: with another password than the one that was tried
    return f"its data is there, and what was stored is in none of its keys any more ({so_many(bad, 'key')})"
