"""A server that is not there yet: made ready of what was captured, in a place without a network, for this host to
start.

The place is a container with the engine's sandbox image. The new server's home, a directory of this host that stands
beside its final place until all is proven, is mounted into it at HOME; the server in it listens on a Unix socket of the
container alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ccdr.model.values import Manifest
from ccdr.ports.place import Place, Source
from ccdr.ports.restored import Restored, SandboxNeeds

if TYPE_CHECKING:  # contracts name each other
    from ccdr.ports.engine import Engine
    from ccdr.ports.log import Reached, RecoveryTarget

HOME = "/ccdr/home"  # of the new server, in the container


@dataclass(frozen=True)
class Site:
    """Where a new server is to be on this host, as its plan says. `home` is its final place; `owner` the user that it
    runs as, by name or (where this host has no such user) by number; `settings` go before those that were captured.
    `mark` is a word of this recovery's own, by which the server is told from others once it is opened. `accounts` are
    those by which the plan captures there."""

    home: Path
    owner: str | None = None
    address: str = "127.0.0.1"
    port: int | None = None
    sockets: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    mark: str = ""
    accounts: tuple[str, ...] = ()

    @property
    def socket_directory(self) -> Path:
        return self.sockets or self.home / "run"

    @property
    def listens_beyond(self) -> bool:
        """Is it reached from other hosts?"""
        return self.address not in ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class StartLines:
    """Literal commands for a person, as root, each a line of its own: by Debian's own tools, and by Docker;
    `then`: once it is started, whichever way, before anybody comes. `look`: a client that looks at what is there, by
    the server's own socket. `inside` is what goes before either on a host that has no client of its own, where Docker
    has started it."""

    debian: tuple[str, ...]
    docker: tuple[str, ...]
    then: tuple[str, ...] = ()
    look: tuple[str, ...] = ()
    inside: str | None = None

    def afterwards(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """What is typed once it is started, each part with its heading."""
        way = f" (by Docker: with `{self.inside}` before it)" if self.inside else ""
        if self.then:
            yield f"then, once it is started{way}", self.then
        if self.look:
            yield f"then look at it{'' if self.then else way}", self.look


@dataclass(frozen=True)
class Owner:
    """Whose files they are on this host; `name` where it has such a user."""

    uid: int
    gid: int
    name: str | None = None


class ServerMaker(Protocol):
    """How one engine makes a new server. One object for one recovery; `box` is the container, in which the home is
    HOME. In this order: `start`, `load`; or `reopen`, on a home in which `load` had ended; then checks by `restored`;
    then `settle`. All raise CommandFailed when a program fails, BackupBad where the backup is to blame, TestBroken
    where the image or this host is.
    """

    @property
    def user(self) -> str:
        """Whom this engine runs as on most hosts."""

    @property
    def port(self) -> int:
        """Where it will listen."""

    @property
    def socket(self) -> Path:
        """What it will make on this host, besides."""

    def by_socket_alone(self, manifest: Manifest) -> bool:
        """Will it listen on its socket, and on no port?"""

    def needs(self, manifest: Manifest) -> SandboxNeeds:
        """As for a restore test; `data_dir` is HOME. With `in_place` the captured files are fetched straight into the
        home, under the names that they have there; `load` then proves that they are as captured. Else they are fetched
        elsewhere, and were proven when `load` is called."""

    def will(self, manifest: Manifest) -> list[str]:
        """What is made, as sentences that go on after "it"."""

    def notes(self, manifest: Manifest, host: Place) -> list[str]:
        """What a person should know before it is made: what this host lacks to run it, what does not come back.
        UsageProblem where it cannot be made."""

    def start(self, box: Place, manifest: Manifest) -> str:
        """Have an empty server answer (where the load needs one), with durable settings; its version."""

    def load(
        self, box: Place, restored: Path, manifest: Manifest, log: Path | None, target: RecoveryTarget | None
    ) -> Reached | None:
        """Load the fetched files, and the log (a directory of segments) up to the target, where there is one."""

    def lasting(self, box: Place, manifest: Manifest) -> bool:
        """Will all that was loaded be there again after the server was killed, and not ended?"""

    def reopen(self, box: Place, manifest: Manifest) -> None:
        """The home holds what was loaded: have its server answer again, and load nothing."""

    @property
    def restored(self) -> Restored:
        """What checks ask."""

    def erased(self, box: Place, manifest: Manifest) -> None:
        """People were erased from it: whatever lies beside its data, and was written before that, is written anew."""

    def settle(self, box: Place, manifest: Manifest, home: Path, owner: Owner) -> list[str]:
        """End the server cleanly, and write its own configuration into `home` (host path): where it will listen, what
        the captured one had set that it needs. Nothing of the container's is left in it. What a person should know of
        it, as sentences."""

    def captured_in(self, home: Path, manifest: Manifest) -> Mapping[str, Path]:
        """Where the captured files still lie in `home` (host path), under the names that they were captured by; none
        where a server is made of them and they go."""

    def captured_at(self, manifest: Manifest | None) -> Mapping[str, object]:
        """By which keys of the plan's asset the opened server is captured by whoever runs ccdr on this host; None for
        one that is left out. `manifest` is None where nobody knows what was captured."""

    def told_by(self, manifest: Manifest) -> Sequence[str]:
        """Files below the home that change once the server has been started."""

    def start_lines(self, manifest: Manifest, image: str, owner: Owner) -> StartLines: ...

    def client(self, manifest: Manifest) -> Engine:
        """The engine by which the lab opens a client of the server, once it is opened."""

    def asked(self, source: Source, manifest: Manifest) -> Restored:
        """The opened server, for checks that only ask. `source` is a client of it, of which `is_it` was asked."""

    def is_it(self, source: Source) -> bool:
        """Is what answers there the server that was made, by its `mark`? CommandFailed where nothing answers."""
