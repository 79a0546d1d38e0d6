"""A server that is not there yet: made ready of what was captured, in a place without a network, for this host to
start.

The place is a container with the engine's sandbox image. The new server's home, a directory of this host that stands
beside its final place until all is proven, is mounted into it as the image's data directory; the server in it listens
on a Unix socket of the container alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ccdr.model.values import Manifest
from ccdr.ports.place import Place
from ccdr.ports.restored import Restored, SandboxNeeds

if TYPE_CHECKING:  # contracts name each other
    from ccdr.ports.log import Reached, RecoveryTarget


@dataclass(frozen=True)
class Site:
    """Where a new server is to be on this host, as its plan says. `home` is its final place; `owner` the user that it
    runs as, by name or (where this host has no such user) by number; `settings` go before those that were captured."""

    home: Path
    owner: str | None = None
    address: str = "127.0.0.1"
    port: int | None = None
    sockets: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StartLines:
    """Literal commands for a person, as root, each a line of its own: by Debian's own tools, and by Docker."""

    debian: tuple[str, ...]
    docker: tuple[str, ...]


class ServerMaker(Protocol):
    """How one engine makes a new server. One object for one recovery; `box` is the container, in which the home is
    `needs().data_dir`. In this order: `start`, `load`; or `reopen`, on a home in which `load` had ended; then checks by
    `restored`; then `settle`. All raise CommandFailed when a program fails, BackupBad where the backup is to blame,
    TestBroken where the image or this host is.
    """

    def needs(self, manifest: Manifest) -> SandboxNeeds: ...

    def will(self, manifest: Manifest) -> list[str]:
        """What is made, as sentences that go on after "it"."""

    def start(self, box: Place, manifest: Manifest) -> str:
        """Have an empty server answer (where the load needs one), with durable settings; its version."""

    def load(
        self, box: Place, restored: Path, manifest: Manifest, log: Path | None, target: RecoveryTarget | None
    ) -> Reached | None:
        """Load the fetched files, and the log (a directory of segments) up to the target, where there is one."""

    def reopen(self, box: Place, manifest: Manifest) -> None:
        """The home holds what was loaded: have its server answer again, and load nothing."""

    @property
    def restored(self) -> Restored:
        """What checks ask."""

    def settle(self, box: Place, manifest: Manifest, home: Path) -> None:
        """End the server cleanly, and write its own configuration into `home` (host path): where it will listen, what
        the captured one had set that it needs. Nothing of the container's is left in it."""

    def owner(self, box: Place) -> tuple[int, int]:
        """Whose the home is to be: uid and gid on this host."""

    def start_lines(self, manifest: Manifest) -> StartLines: ...
