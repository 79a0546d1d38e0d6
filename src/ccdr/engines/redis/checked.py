"""What `redis-check-rdb` says of a file: it reads all of it, in little memory, and checks structure and checksum."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccdr.engines.redis.kinds import Product
from ccdr.model.answers import FreeText
from ccdr.model.errors import CommandFailed
from ccdr.ports.place import Place

_AUX = re.compile(r"^\[offset \d+\] AUX FIELD ([\w-]+) = '([^']*)'", re.MULTILINE)
_COUNT = re.compile(r"^\[info\] (\d+) (keys read|expires|already expired)$", re.MULTILINE)
# Of an error only where and what: the lines after it may name a key.
_ERROR = re.compile(r"--- RDB ERROR DETECTED ---\s+\[offset (\d+)\] ([^\n]*)")
SOUND = "RDB looks OK!"
TOO_NEW = re.compile(r"Can't handle RDB format version (\d+)")  # as the server says it, too


@dataclass(frozen=True)
class Checked:
    """`keys` are all in the file, `expiring` those with a time to live, `expired` of these what was over by the time of
    the look. `aux` are the file's own remarks: `ctime` (its writer's clock, seconds), `used-mem` (bytes) …"""

    keys: int
    expiring: int
    expired: int
    aux: Mapping[str, str]

    @property
    def ctime(self) -> int:
        """When writing it began, by the source's clock: whole seconds since the epoch; 0 where it does not say."""
        return int(self.aux.get("ctime", 0))

    @property
    def memory(self) -> int:
        """What the source held in memory, bytes; 0 where it does not say."""
        return int(self.aux.get("used-mem", 0))


class UnsoundFile(Exception):
    """The file is damaged. The message names no key; `words` are the program's own."""

    def __init__(self, message: str, words: FreeText) -> None:
        super().__init__(message)
        self.words = words


def check(place: Place, kind: Product, rdb: Path) -> Checked:
    """Raises UnsoundFile where the file is damaged, CommandFailed where it could not be read."""
    out = place.run([kind.check, place.path(rdb)], ok=(0, 1), what=kind.check)
    words = FreeText(out.stdout) + out.stderr
    text = words.reveal()
    if error := _ERROR.search(text):
        raise UnsoundFile(f"{kind.check} finds it damaged at byte {error[1]}", words)
    if out.code != 0:  # it says nothing where it may not read the file
        raise CommandFailed([kind.check], out.code, words, what=kind.check)
    counts = {name: int(count) for count, name in _COUNT.findall(text)}
    if SOUND not in text or "keys read" not in counts:
        raise UnsoundFile(f"{kind.check} does not find it sound", words)
    return Checked(
        keys=counts["keys read"],
        expiring=counts.get("expires", 0),
        expired=counts.get("already expired", 0),
        aux=dict(_AUX.findall(text)),
    )
