"""Who is root on this host, or may become it: they read whatever ccdr reads, and may change what it goes by."""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccdr.jobs.access.files import Lacks
from ccdr.jobs.access.public_keys import key_in

SUDOERS = (Path("/etc/sudoers"), Path("/etc/sudoers.d"))
DOAS, SSHD = Path("/etc/doas.conf"), Path("/etc/ssh/sshd_config")
# By Debian's and Red Hat's defaults for sudo; by a container, a machine or a disk of which one is root.
GROUPS = frozenset(("admin", "disk", "docker", "incus-admin", "libvirt", "lxd", "sudo", "wheel"))
_CLOSED = ("nologin", "false")
_NO_RULE = re.compile(r"Defaults|(Runas|Host|Cmnd|Cmd)_Alias\b|[@#]include|#(?!\d)")
_ALIAS = re.compile(r"User_Alias\s+(.*)")
_RULE = re.compile(r"((?:[^\s,]+\s*,\s*)*[^\s,]+)\s+(.*)")  # who, a list; where, as whom and what
_KEYS_ELSEWHERE = re.compile(r"^\s*(AuthorizedKeysFile|AuthorizedKeysCommand|TrustedUserCAKeys)\s", re.M | re.I)


@dataclass(frozen=True)
class Rule:
    """A line of sudoers, of one of those that it is for: a user, `%group` or `#number`."""

    name: str
    text: str


def of_this_host(lacks: Lacks) -> Iterator[dict[str, Any]]:
    """Its accounts, whoever sudo lets do something, and the keys by which somebody enters as root."""
    users, found = pwd.getpwall(), list(rules(SUDOERS, lacks))
    by_sudo = {one.name.removeprefix("%") for one in found if one.name.startswith("%")}
    yield from accounts(users, grp.getgrall(), GROUPS | by_sudo)
    yield from ({"name": one.name, "uid": None, "logs_in": None, "by": [f"sudo: {one.text}"]} for one in found)
    for root in (user for user in users if user.pw_uid == 0):
        yield from keys_of(root, lacks)
    if DOAS.exists():
        lacks("rules of doas on this host", f"look at {DOAS}")
    _keys_elsewhere(lacks)


def accounts(
    users: Iterable[pwd.struct_passwd], groups: Iterable[grp.struct_group], powerful: Collection[str] = GROUPS
) -> Iterator[dict[str, Any]]:
    """Those with root's number, and the members of the groups that are `powerful`."""
    those = [group for group in groups if group.gr_name in powerful]
    for user in users:
        by = ["uid 0"] if user.pw_uid == 0 else []
        by += [g.gr_name for g in those if g.gr_gid == user.pw_gid or user.pw_name in g.gr_mem]
        if by:
            logs_in = not user.pw_shell.endswith(_CLOSED)
            yield {"name": user.pw_name, "uid": user.pw_uid, "logs_in": logs_in, "by": by}


def rules(places: Iterable[Path], lacks: Lacks) -> Iterator[Rule]:
    """Who sudo lets do something: each of a list, and whoever an alias stands for."""
    lines = [line for path in _files(places, lacks) for line in _lines(path, lacks)]
    aliases = dict(_aliases(lines))
    for line in lines:
        if _NO_RULE.match(line) or _ALIAS.match(line) or (found := _RULE.fullmatch(line)) is None:
            continue
        for name in _expanded(_listed(found[1]), aliases):
            yield Rule(name, " ".join(found[2].split()))


def _lines(path: Path, lacks: Lacks) -> list[str]:
    try:
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        lacks(*_unread(path, error))
        return []
    return [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def _aliases(lines: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """`User_Alias A = x, y : B = z`."""
    for line in lines:
        if (found := _ALIAS.fullmatch(line)) is not None:
            for one in found[1].split(" : "):
                name, _, members = one.partition("=")
                yield name.strip(), _listed(members)


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _expanded(names: Sequence[str], aliases: Mapping[str, Sequence[str]], seen: Collection[str] = ()) -> Iterator[str]:
    for name in names:
        if name in aliases and name not in seen:
            yield from _expanded(aliases[name], aliases, (*seen, name))
        else:
            yield name


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


def keys_of(user: pwd.struct_passwd, lacks: Lacks) -> Iterator[dict[str, Any]]:
    """The keys by which somebody enters as this user, over ssh."""
    path = Path(user.pw_dir) / ".ssh/authorized_keys"
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        lacks("keys of ssh to this host", f"{path}: {error.strerror}")
        return
    for line in lines:
        if (told := _key(line)) is not None:
            yield {"name": user.pw_name, "uid": user.pw_uid, "logs_in": True, "by": [told]}


def _key(line: str) -> str | None:
    """`[options] keytype base64 comment`."""
    words = line.split()
    if line.lstrip().startswith("#") or (found := key_in(words)) is None:
        return None
    at, printed = found
    comment = " ".join(words[at + 2 :])
    return f"ssh: {printed}{f' ({comment})' if comment else ''}"


def _keys_elsewhere(lacks: Lacks) -> None:
    try:
        named = _KEYS_ELSEWHERE.findall(SSHD.read_text("utf-8", "replace"))
    except FileNotFoundError:
        return
    except OSError as error:
        lacks("keys of ssh to this host", f"{SSHD}: {error.strerror}")
        return
    if named:
        lacks("keys of ssh to this host", f"{SSHD} names others: {', '.join(dict.fromkeys(named))}")
