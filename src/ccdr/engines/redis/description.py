"""What an RDB file holds, as a server of our own tells that has loaded it: told when it is captured, and again of
what was restored.

Contents by DEBUG DIGEST: every key, type and value of every database, and which of them expire, in whatever order.
It does not tell *when* they expire, nor of streams more than their entries: `walk.lua` does. Neither sees a key's idle
time, nor when a pending entry was delivered last.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccdr.engines.redis.server import PrivateServer

TYPES = ("string", "list", "set", "zset", "hash", "stream")
NEVER = -1
_KEYS = re.compile(r"keys=(\d+)")
_WALK = Path(__file__).with_name("walk.lua")
# All in one call, since each costs a tenth of a second. The script is called for one slice after the other, so that the
# server is never busy for long. $1 is the script, $2 the databases, $3 `since`; the rest is the client.
_LOOK = """\
lua=$1 databases=$2 since=$3; shift 3
sha=$("$@" SCRIPT LOAD "$lua") || exit
for database in $databases; do
  cursor=0
  while :; do
    said=$("$@" -n "$database" EVALSHA "$sha" 0 "$cursor" "$since") || exit
    cursor=$(printf '%s\\n' "$said" | head -n 1)
    printf '%s\\n' "$said" | tail -n +2 | sed "s/^/group $database /"
    [ "$cursor" != 0 ] || break
  done
done
time=$("$@" TIME) && echo time $time || exit
contents=$("$@" DEBUG DIGEST) && echo contents "$contents" || exit
functions=$("$@" --json FUNCTION LIST WITHCODE) && printf 'functions %s\\n' "$functions"
"""


@dataclass(frozen=True)
class KeyGroup:
    """Things of one kind in one database. `span` is when the span of time begins in which they expire (milliseconds
    since the epoch), None for what never does; `digest` tells of what DEBUG DIGEST does not."""

    database: int
    kind: str
    span: int | None
    count: int
    digest: str


@dataclass(frozen=True)
class Description:
    """`keys` are all keys of each database, with those that have expired; `groups` hold only what had not at `at`
    (milliseconds since the epoch, by the clock of whoever looked). `functions` are libraries and their
    code's SHA-256."""

    server: str
    at: int
    keys: Mapping[int, int]
    contents: str
    groups: tuple[KeyGroup, ...]
    functions: Mapping[str, str] = field(default_factory=dict)

    def types(self) -> dict[int, dict[str, int]]:
        """Keys that had not expired, by database and type."""
        types: dict[int, Counter[str]] = {database: Counter() for database in self.keys}
        for group in self.groups:
            if is_key(group.kind):
                types[group.database][group.kind] += group.count
        return {database: dict(sorted(counted.items())) for database, counted in sorted(types.items())}

    @property
    def live(self) -> int:
        return sum(sum(counted.values()) for counted in self.types().values())

    def as_json(self) -> dict[str, object]:
        return {
            "server": self.server,
            "at": self.at,
            "keys": {str(database): count for database, count in self.keys.items()},
            "types": {str(database): counted for database, counted in self.types().items()},
            "contents_sha1": self.contents,
            "groups": [[g.database, g.kind, g.span, g.count, g.digest] for g in self.groups],
            "functions": dict(self.functions),
        }

    @classmethod
    def parse(cls, held: Mapping[str, Any]) -> Description:
        return cls(
            server=held["server"],
            at=held["at"],
            keys={int(database): count for database, count in held["keys"].items()},
            contents=held["contents_sha1"],
            groups=tuple(KeyGroup(*group) for group in held["groups"]),
            functions=held["functions"],
        )


def is_key(kind: str) -> bool:
    """Is this group one of keys, and not of what is within one?"""
    return kind in TYPES or kind.startswith("module:")


def describe(server: PrivateServer, since: int) -> Description:
    """All of what a server holds. `since` (milliseconds since the epoch) is where spans of time are counted from, and
    must be the same for two descriptions that are to be compared."""
    info = server.info()
    databases = {int(name.removeprefix("db")): facts for name, facts in info.items() if re.fullmatch(r"db\d+", name)}
    names = " ".join(map(str, sorted(databases)))
    argv = ["sh", "-c", _LOOK, "sh", _WALK.read_text("utf-8"), names, str(since), *server.cli]
    parts: dict[str, list[str]] = {}
    for line in server.place.run(argv, what="describing the contents").stdout.split("\n"):
        part, _, rest = line.partition(" ")
        parts.setdefault(part, []).append(rest)
    seconds, micros = parts["time"][0].split()
    return Description(
        server=info.get("valkey_version") or info["redis_version"],
        at=int(seconds) * 1000 + int(micros) // 1000,
        keys={database: int(_KEYS.findall(facts)[0]) for database, facts in sorted(databases.items())},
        contents=parts["contents"][0],
        groups=tuple(_merged(parts.get("group", []))),
        functions=_functions(json.loads(parts["functions"][0])),
    )


def _merged(lines: Iterable[str]) -> Iterator[KeyGroup]:
    """Each slice of the walk told its own counts and digests."""
    merged: dict[tuple[int, str, int], tuple[int, int]] = {}
    for line in lines:
        database, kind, count, span, digest = line.split(" ")
        key = (int(database), kind, NEVER if span == "-" else int(span))
        had, mixed = merged.get(key, (0, 0))
        merged[key] = had + int(count), mixed ^ int(digest, 16)
    for (number, kind, start), (total, mixed) in sorted(merged.items()):
        yield KeyGroup(number, kind, None if start == NEVER else start, total, f"{mixed:040x}")


def _functions(listed: Iterable[Any]) -> dict[str, str]:
    """Each library's name, engine and code."""
    digests = {}
    for library in listed:
        fields = library if isinstance(library, dict) else dict(zip(library[::2], library[1::2], strict=True))
        code = json.dumps([fields["engine"], fields["library_code"]])
        digests[str(fields["library_name"])] = hashlib.sha256(code.encode()).hexdigest()
    return dict(sorted(digests.items()))
