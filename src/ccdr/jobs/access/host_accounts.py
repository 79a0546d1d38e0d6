"""Who is root on this host, or may become it: they read whatever ccdr reads, and may change what it goes by."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Lacks = Callable[[str, str], None]
SUDOERS = (Path("/etc/sudoers"), Path("/etc/sudoers.d"))
# By Debian's and Red Hat's defaults for sudo; by a container, a machine or a disk of which one is root.
GROUPS = ("admin", "disk", "docker", "incus-admin", "libvirt", "lxd", "sudo", "wheel")
_CLOSED = ("nologin", "false")
_NO_RULE = ("Defaults", "User_Alias", "Runas_Alias", "Host_Alias", "Cmnd_Alias", "Cmd_Alias", "@include", "#include")


def of_this_host(lacks: Lacks) -> Iterator[dict[str, Any]]:
    """Its accounts, and the rules of sudo as they stand there: an alias is not resolved."""
    yield from accounts(pwd.getpwall(), grp.getgrall())
    yield from rules(SUDOERS, lacks)


def accounts(users: Iterable[pwd.struct_passwd], groups: Iterable[grp.struct_group]) -> Iterator[dict[str, Any]]:
    """Those with root's number, and the members of groups by which one becomes root."""
    powerful = [group for group in groups if group.gr_name in GROUPS]
    for user in users:
        by = ["uid 0"] if user.pw_uid == 0 else []
        by += [g.gr_name for g in powerful if g.gr_gid == user.pw_gid or user.pw_name in g.gr_mem]
        if by:
            logs_in = not user.pw_shell.endswith(_CLOSED)
            yield {"name": user.pw_name, "uid": user.pw_uid, "logs_in": logs_in, "by": by}


def rules(places: Iterable[Path], lacks: Lacks) -> Iterator[dict[str, Any]]:
    """The lines of sudoers that let somebody do something."""
    for path in _files(places, lacks):
        try:
            text = path.read_text("utf-8", "replace")
        except OSError as error:
            lacks(*_unread(path, error))
            continue
        for line in text.replace("\\\n", " ").splitlines():
            words = line.split()
            if words and not words[0].startswith(_NO_RULE) and (words[0][0] != "#" or words[0][1:].isdecimal()):
                yield {"name": words[0], "uid": None, "logs_in": None, "by": [f"sudo: {' '.join(words[1:])}"]}


def _files(places: Iterable[Path], lacks: Lacks) -> Iterator[Path]:
    """As sudo takes them: of a directory, what has no dot and does not end in `~`."""
    for place in places:
        try:
            if place.is_dir():
                yield from (p for p in sorted(place.iterdir()) if "." not in p.name and not p.name.endswith("~"))
            elif place.exists():
                yield place
        except OSError as error:
            lacks(*_unread(place, error))


def _unread(path: Path, error: OSError) -> tuple[str, str]:
    return "rules of sudo on this host", f"{path}: {error.strerror}; as root `sudo -l -U NAME` tells those of one"
