"""How a person starts a new server, word for word: by a unit of Debian's package, and by Docker."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from ccdr.ports.new_server import Owner, Site

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
