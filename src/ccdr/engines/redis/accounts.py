"""Who may do what on the server: its ACL, without what it holds of passwords."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ccdr.engines.redis.client import ASKING, Client
from ccdr.ports.accounts import Account, Accounts, Reach

HIDDEN = "users: the client's user may not ask for the ACL (+acl|users +acl|getuser), or the server has none"
_OPEN = "nopass"  # no password is asked for


def accounts_of(client: Client) -> Accounts:
    """CommandFailed where the server does not answer."""
    names = client.allowed("ACL", "USERS", what=ASKING)
    if not isinstance(names, list):
        return _by_list(client)
    found, unread = [], []
    for name in sorted(map(str, names)):
        told = client.allowed("ACL", "GETUSER", name, what=ASKING)
        if told is None:
            unread.append(HIDDEN)
            break
        found.append(_account(name, _pairs(told)))
    return _by_list(client) if unread else Accounts(tuple(found))


def _pairs(told: Any) -> dict[str, Any]:
    """A map, which older servers tell as a list of names and values."""
    return told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=False))


def _account(name: str, told: dict[str, Any]) -> Account:
    flags = [str(flag) for flag in told.get("flags") or ()]
    commands = str(told.get("commands") or "").split()
    reach = [Reach(f"keys {told.get('keys') or '(none)'}"), Reach(f"channels {told.get('channels') or '(none)'}")]
    count = len(told.get("passwords") or ())  # hashes: counted, and nothing else
    known = _OPEN if _OPEN in flags else f"{count} password{'' if count == 1 else 's'}"
    rights = (known, *(flag for flag in flags if flag not in (_OPEN, "on", "off")), *commands)
    return Account(name, "on" in flags, rights, (), None, tuple(reach))


def _by_list(client: Client) -> Accounts:
    """Who may back up may list the ACL as it is written: `user NAME on #HASH ~* +@all`."""
    lines = client.allowed("ACL", "LIST", what=ASKING)
    if not isinstance(lines, list):
        return Accounts((), (HIDDEN,))
    return Accounts(tuple(map(_written, map(str, lines))))


def _written(line: str) -> Account:
    _, name, *words = line.split(" ")
    kept = tuple(_without_secrets(words))
    keys = tuple(Reach(f"keys {word}") for word in kept if word.startswith(("~", "%")))
    channels = tuple(Reach(f"channels {word}") for word in kept if word.startswith("&"))
    rights = tuple(w for w in kept if w not in ("on", "off") and not w.startswith(("~", "%", "&")))
    return Account(name, "on" in kept, rights, (), None, (*keys, *channels))


def _without_secrets(words: Iterable[str]) -> list[str]:
    return [word for word in words if word and not word.startswith(("#", "!", ">", "<"))]
