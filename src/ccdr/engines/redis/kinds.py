"""Redis and Valkey: one protocol, one file format until their ways parted, and programs of different names."""

from __future__ import annotations

import re
from dataclasses import dataclass

OLDEST = 7  # the first major version with functions, exact expiry times and a client that tells errors by its exit code


@dataclass(frozen=True)
class Product:
    """One of the two: its programs, the user its image runs the server as, its official image, majors best first."""

    name: str
    title: str
    official: str
    supported: tuple[str, ...]

    @property
    def cli(self) -> str:
        return f"{self.name}-cli"

    @property
    def server(self) -> str:
        return f"{self.name}-server"

    @property
    def check(self) -> str:
        return f"{self.name}-check-rdb"

    @property
    def user(self) -> str:
        return self.name

    def images(self, major: str) -> tuple[str, ...]:
        """The official image, then the one that `make images` builds."""
        return (f"{self.official}:{major}", f"ccdr-sandbox/{self.name}:{major}")


REDIS = Product("redis", "Redis", "redis", ("8", "7"))
VALKEY = Product("valkey", "Valkey", "valkey/valkey", ("8", "9", "7"))
KINDS = {kind.name: kind for kind in (REDIS, VALKEY)}


@dataclass(frozen=True)
class Release:
    """Which server, and its version. Files of the one are not for the other, so `major` names both."""

    kind: Product
    version: str

    @classmethod
    def of(cls, info: dict[str, str]) -> Release:
        """From what INFO says: Valkey calls itself redis_version 7.2.4, for old clients' sake."""
        if "valkey_version" in info:
            return cls(VALKEY, info["valkey_version"])
        return cls(REDIS, info["redis_version"])

    @property
    def number(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def major(self) -> str:
        """`redis 8`, `valkey 8`: what image, client and snapshot must have in common."""
        return f"{self.kind.name} {self.number}"

    def __str__(self) -> str:
        return f"{self.kind.title} {self.version}"


def images(major: str | None) -> tuple[str, ...]:
    """Images that serve, best first; for either server where `major` is None."""
    if major is None:
        return tuple(name for kind in KINDS.values() for m in kind.supported for name in kind.images(m))
    name, _, number = major.partition(" ")
    return KINDS[name].images(number)


def release_in(output: str) -> Release | None:
    """From `redis-cli 8.0.2`, `valkey-cli 8.1.1`, `Redis server v=8.0.2 sha=…`; None where it is neither."""
    match = re.search(r"\b(redis|valkey)(?:-cli| server)\s+(?:v=)?(\d+\.\d[\d.]*)", output, re.IGNORECASE)
    return Release(KINDS[match[1].lower()], match[2]) if match else None
