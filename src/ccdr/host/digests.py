"""Hashes files in processes of their own, which are told the names on standard input; counts lines with `wc`.

`sha256sum` takes names as arguments alone, and those are for everybody on the host to read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.host.interrupts import threads
from ccdr.host.processes import Host
from ccdr.host.shares import WORKERS, dealt
from ccdr.model.answers import FreeText
from ccdr.model.errors import CommandFailed
from ccdr.model.values import FileDigest

ARGUMENTS = 96 * 1024  # bytes of names in one command line, below every system's limit
HASHING = "hashing files"
# Bytes that are hashed while another process starts, and so many that another file costs.
WORTH_A_PROCESS, PER_FILE = 16 * 2**20, 16 * 2**10
# The bytes go from the kernel into OpenSSL, a mebibyte at a time; Python looks at none of them.
_HASHER = """\
import hashlib, os, sys
room = memoryview(bytearray(1 << 20))
bad = 0
for name in sys.stdin.buffer.read().split(b"\\0")[:-1]:
    digest = hashlib.sha256()
    try:
        with open(name, "rb", buffering=0) as file:
            try:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            except OSError:  # a pipe in a file's place
                pass
            while count := file.readinto(room):
                digest.update(room[:count])
    except OSError as error:
        os.write(2, name + b": " + error.strerror.encode() + b"\\n")
        bad = 1
        continue
    sys.stdout.buffer.write(digest.hexdigest().encode() + b" " + name + b"\\0")
sys.exit(bad)
"""


@dataclass(frozen=True)
class Digest:
    """`Digester` on this host; in parallel over as many processors as it has, four at most."""

    host: Host

    def __call__(
        self, root: Path, names: Sequence[str], *, lines: bool = False, vanishing: bool = False
    ) -> dict[str, FileDigest]:
        here = self.host.with_(cwd=root)
        sizes: dict[str, int] = {}
        for name in names:
            try:
                sizes[name] = os.stat(f"{root}/{name}").st_size  # noqa: PTH116 - there may be many
            except OSError as error:
                if not (vanishing and isinstance(error, FileNotFoundError)):
                    raise CommandFailed([HASHING], 1, FreeText(f"{root / name}: {error.strerror}")) from None
        at_once = min(WORKERS, 1 + (sum(sizes.values()) + PER_FILE * len(sizes)) // WORTH_A_PROCESS)
        shares = [share for names in dealt(sizes, at_once) for share in _batches(names)]
        with threads(WORKERS) as pool:
            hashing = pool.map(lambda share: _sha256(here, share, vanishing), shares)
            # Begun at once, by whoever has hashed its share.
            counting = pool.map(lambda share: _newlines(here, share), shares if lines else [])
            hashed, counted = list(hashing), list(counting)
        sha256 = {name: value for part in hashed for name, value in part.items()}
        count = {name: value for part in counted for name, value in part.items()}
        return {name: FileDigest(sizes[name], digest, count.get(name)) for name, digest in sha256.items()}


def _batches(names: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    room = ARGUMENTS
    for name in names:
        room -= len(os.fsencode(name)) + 1
        if room < 0 and batch:
            yield batch
            batch, room = [], ARGUMENTS
        batch.append(name)
    if batch:
        yield batch


def _sha256(host: Host, names: list[str], vanishing: bool) -> dict[str, str]:
    """Names are told on standard input: arguments are for everybody on this host to read, and a recording may bear a
    telephone number."""
    asked = "".join(f"{name}\0" for name in names)
    out = host.run([sys.executable, "-I", "-S", "-c", _HASHER], stdin=asked, what=HASHING, ok=(0, 1))
    digests = {}
    for entry in out.stdout.split("\0")[:-1]:
        digest, _, name = entry.partition(" ")
        digests[name] = digest
    root = host.cwd or Path()
    unread = [name for name in names if name not in digests and not (vanishing and not (root / name).exists())]
    if unread:
        raise CommandFailed([HASHING], out.code, out.stderr or "it did not answer for every file")
    return digests


def _newlines(host: Host, names: list[str]) -> dict[str, int]:
    lines = host.run(["wc", "-l", "--total=never", "--", *names], what="wc").stdout.splitlines()
    if len(lines) != len(names):
        raise CommandFailed(["wc"], 0, "it did not answer for every file")
    return {name: int(line.split(maxsplit=1)[0]) for name, line in zip(names, lines, strict=True)}
