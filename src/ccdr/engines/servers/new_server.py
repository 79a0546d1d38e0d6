"""What makers of a new server share, whichever engine they are of: where it listens, which settings a target may not
state, what is written into its home."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ccdr.model.errors import CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import Manifest
from ccdr.ports.new_server import HOME, Site
from ccdr.ports.place import Place
from ccdr.ports.restored import Restored

LONGEST_SOCKET = 107  # bytes of its path, as the kernel has it
_WRITE = f'cat > "{HOME}/$1" && chmod 644 "{HOME}/$1"'


class _Listening(Protocol):
    @property
    def port(self) -> int: ...


class _Asset(Restored, Protocol):
    @property
    def connection(self) -> _Listening: ...


E = TypeVar("E", bound=_Asset)


@dataclass
class NewServerMaker(Generic[E]):
    """What of a `ServerMaker` is the same for most. `asset` is the plan's."""

    asset: E
    site: Site

    @property
    def port(self) -> int:
        return self.site.port or self.asset.connection.port

    @property
    def restored(self) -> Restored:
        return self.asset

    def by_socket_alone(self, manifest: Manifest) -> bool:
        return False

    def lasting(self, box: Place, manifest: Manifest) -> bool:
        return True

    def captured_in(self, home: Path, manifest: Manifest) -> Mapping[str, Path]:
        return {}


def require_short(socket: Path) -> None:
    if len(str(socket).encode()) > LONGEST_SOCKET:
        raise UsageProblem(
            f"the new server's socket {socket} has a path of more than {LONGEST_SOCKET} bytes, which no system takes",
            hint="name a directory with a shorter path with `sockets:`",
        )


def refuse_settings(
    stated: Mapping[str, str], product: str, option: re.Pattern[str], ours: Mapping[str, str | None]
) -> None:
    """UsageProblem where the target states a setting that is not for it to state. `ours` has these: with the target's
    own word for it, or a sentence that says why; None where ccdr sets it."""
    for name, value in stated.items():
        if not option.fullmatch(name) or "\n" in value:
            raise UsageProblem(f"{name!r} is no setting of {product}", hint="mend `settings:` of the target")
        if name in ours:
            why = ours[name]
            hint = f"the target's `{why}:` says it" if why and " " not in why else why or "leave it out: ccdr sets it"
            raise UsageProblem(f"a new server's `settings:` cannot set {name}", hint=hint)


def not_taken(error: CommandFailed, stated: Iterable[str]) -> TestBroken:
    """Its program does not take its configuration; which setting, where that is one that the target states."""
    named = next((name for name in stated if name in error.stderr), None)
    told = f" ({named})" if named else ""
    return TestBroken(
        f"the new server does not take its settings{told}: {error}", hint="mend `settings:` of the target"
    )


def write(box: Place, name: str, text: str, what: str) -> None:
    """A file of its home that everybody may read."""
    box.run(["sh", "-c", _WRITE, "write", name], stdin=text, what=what)
