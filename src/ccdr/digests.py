"""Hashes files with the system's own `sha256sum` and `wc`: bulk bytes never pass through Python."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.answers import FreeText
from ccdr.errors import CommandFailed
from ccdr.interrupts import threads
from ccdr.model import FileDigest
from ccdr.proc import Host
from ccdr.shares import WORKERS, dealt

ARGUMENTS = 96 * 1024  # bytes of names in one command line, below every system's limit


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
                    raise CommandFailed(["sha256sum"], 1, FreeText(f"{root / name}: {error.strerror}")) from None
        shares = [share for names in dealt(sizes, WORKERS) for share in _batches(names)]
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
    out = host.run(["sha256sum", "--zero", "--", *names], what="sha256sum", ok=(0, 1))
    said = out.stdout
    found = {}
    for entry in said.split("\0")[:-1]:
        digest, _, name = entry.partition(" ")
        found[name[1:]] = digest  # one more character, the mode, stands before the name
    root = host.cwd or Path()
    unread = [name for name in names if name not in found and not (vanishing and not (root / name).exists())]
    if unread:
        raise CommandFailed(["sha256sum"], out.code, out.stderr or "it did not answer for every file")
    return found


def _newlines(host: Host, names: list[str]) -> dict[str, int]:
    said = host.run(["wc", "-l", "--total=never", "--", *names], what="wc").stdout.splitlines()
    if len(said) != len(names):
        raise CommandFailed(["wc"], 0, "it did not answer for every file")
    return {name: int(line.split(maxsplit=1)[0]) for name, line in zip(names, said, strict=True)}
