"""What makers of a new server share: where it listens, which settings a target may have, what it must not do by itself,
and how a person starts it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ccdr.model.errors import CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import Manifest
from ccdr.ports.new_server import HOME, Owner, Site
from ccdr.ports.place import Place
from ccdr.ports.restored import Restored

# What a restored server would do to others, or to its own data, by itself: who keeps it from that, and how it is
# switched on again.


@dataclass(frozen=True)
class Silenced:
    """`what` stands still, by a setting or for want of one; `on` is the line that switches it on."""

    what: str
    on: str


def told(silenced: Iterable[Silenced]) -> list[str]:
    """As notes."""
    return [f"silenced: {one.what}. To switch it on: `{one.on}`" for one in silenced]


# How a person starts a new server, word for word: by a unit of Debian's package, and by Docker.

DROP_IN = "systemd.conf"  # below the home
_NO_HOME = ("/home/", "/root/", "/run/user/")  # where units of Debian's may not look
STOPPING = 300  # seconds that a server gets to end


@dataclass(frozen=True)
class Unit:
    """Debian's `template` (`mariadb@`), of `package`, which brings `service` of its own; `user` runs it."""

    package: str
    service: str
    template: str
    user: str

    def drop_in(self, site: Site, owner: Owner, lines: Sequence[str]) -> str:
        """What makes an instance of it run the new server; `lines` are its own."""
        home = f"{site.home}/"
        out = ["[Unit]", f"RequiresMountsFor={site.home}", "[Service]", *lines]
        if owner.name is not None and owner.name != self.user:
            out += [f"User={owner.name}", f"Group={owner.gid}"]
        if home.startswith(_NO_HOME):
            out.append("ProtectHome=false")
        sockets = site.socket_directory
        if site.sockets is not None and sockets.parts[:2] == ("/", "run") and len(sockets.parts) > 2:
            out += [f"RuntimeDirectory={sockets.relative_to('/run')}", "RuntimeDirectoryMode=0755"]
            out.append("RuntimeDirectoryPreserve=yes")  # others may have sockets there too
        return "".join(f"{line}\n" for line in out)

    def lines(self, site: Site, owner: Owner) -> tuple[str, ...]:
        name, home = f"{self.template}{instance(site)}", shlex.quote(str(site.home))
        lines = []
        if owner.name is None:  # the package makes the user, and starts a server of its own
            lines += [f"apt-get install --yes {self.package}", f"systemctl disable --now {self.service}"]
            lines += [f"chown -R {self.user}:{self.user} {home}"]
        lines += _sockets(site, f"-o {owner.name or self.user}")
        drop_in = f"/etc/systemd/system/{name}.service.d/ccdr.conf"
        lines += [f"install -D -m 644 {home}/{DROP_IN} {drop_in}", "systemctl daemon-reload"]
        return (*lines, f"systemctl enable --now {name}")


def instance(site: Site) -> str:
    """What a unit, or a container, is called: systemd reads a dash as a slash."""
    return re.sub(r"[^A-Za-z0-9_.]", "_", site.home.name).lstrip("._") or "server"


def docker_lines(site: Site, image: str, owner: Owner, server: str, *arguments: str) -> tuple[str, ...]:
    """The same paths inside as outside; the host's network, so that it listens where its configuration says. Its name
    says what runs in it: another engine's server may stand in a directory of the same name."""
    mounted = [site.home] if site.sockets is None else [site.home, site.sockets]
    volumes = [word for path in mounted for word in ("--volume", f"{path}:{path}")]
    argv = ["docker", "run", "--detach", "--name", container(site, server), "--restart", "unless-stopped"]
    argv += ["--stop-timeout", str(STOPPING), "--network", "host", "--user", f"{owner.uid}:{owner.gid}", *volumes]
    return (
        *_sockets(site, f"-o {owner.uid} -g {owner.gid}"),
        shlex.join([*argv, "--entrypoint", server, image, *arguments]),
    )


def container(site: Site, server: str) -> str:
    """What Docker calls it; `server` is the program."""
    return f"{server.removesuffix('-server').removesuffix('d')}-{instance(site)}"


def inside(name: str) -> str:
    """What goes before a command that is to run in a container as root."""
    return f"docker exec -i -u root {name}"


def _sockets(site: Site, owned: str) -> list[str]:
    """One that is there may be a live server's, and keeps its owner and mode."""
    if site.sockets is None:
        return []
    path = shlex.quote(str(site.sockets))
    return [f"[ -d {path} ] || install -d -m 755 {owned} {path}"]


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
