"""What was restored, and what a sandbox for it needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from ccdr.model.erasure import Replayed, Wanted
from ccdr.model.values import CheckResult, Manifest
from ccdr.ports.place import Place

if TYPE_CHECKING:  # contracts name each other
    from ccdr.ports.check import CheckContext


@dataclass(frozen=True)
class SandboxNeeds:
    """What a sandbox for one snapshot must offer.

    `bytes` is the room that the loaded data takes, `memory` what the server needs beside it, `user` whom
    the image runs the server as (None: the one who runs ccdr), `major` the version that the image must have. A server
    that holds its data in its own memory fills `held` bytes of `memory`, wherever the plan wants data to be.
    `in_place` are names in the captured directory that the server can run on as they are fetched: then, where they
    can be given to its user, no room is taken for a copy.
    """

    bytes: int
    memory: int
    user: str | None
    major: str | None
    data_dir: str | None = None
    held: int = 0
    in_place: tuple[str, ...] = ()


class Restored(Protocol):
    """What a check may ask of what was restored: in a sandbox (every `Engine`), or on a real server.

    `has_server` tells whether a server is needed to bring the data back at all.
    """

    has_server: ClassVar[bool]

    def query(self, box: Place, manifest: Manifest, sql: str) -> list[list[str | None]]:
        """Rows as text, read-only. CommandFailed for an SQL error, its stderr the server's message."""

    def newest(self, box: Place, manifest: Manifest, query: str) -> float | None:
        """The one timestamp that a query gives, as seconds since the epoch; None for NULL or no row."""

    def identical(self, context: CheckContext) -> Iterator[CheckResult]: ...

    def integrity(self, context: CheckContext) -> Iterator[CheckResult]: ...

    def erase(self, context: CheckContext, wanted: Sequence[Wanted], *, in_part: bool = False) -> Replayed:
        """Look for all that these entries name, and what refers to it; erase it, in one transaction where the store has
        them; look again. `in_part`: only some of what was captured is there. TestBroken where it cannot be told."""
