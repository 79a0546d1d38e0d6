"""What the client's user may do at the source, be sent the RDB and ask what goes beside it, and nothing more; and who
else may do what on the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ccdr.engines.redis.client import ASKING, Client, as_map
from ccdr.model.errors import CommandFailed
from ccdr.model.values import Probe
from ccdr.ports.accounts import Account, Accounts, Reach

# `--rdb` says SYNC, newer clients PSYNC; the rest asks.
NEEDED = (("psync", "?", "-1"), ("sync",), ("replconf", "capa", "eof"), ("info",), ("time",))
BESIDE = (("acl", "list"), ("module", "list"), ("config", "get", "save"))
# Each of these changes or gives away something that a backup need not.
TOO_MUCH = (("set", "ccdr", "x"), ("flushall",), ("config", "set", "save", ""), ("shutdown",), ("acl", "setuser", "x"))


def setuser(user: str | None) -> str:
    """What gives a user the rights for a backup and no more, as one types it on the server."""
    return (
        f"ACL SETUSER {user or 'ccdr_backup'} on >PASSWORD resetkeys resetchannels -@all +psync +sync +replconf +info "
        "+time +acl|list +acl|whoami +acl|dryrun +module|list +config|get"
    )


def looked_at(client: Client, user: str | None, keys: int, *, may_be_empty: bool) -> Iterator[Probe]:
    """By ACL DRYRUN, which carries nothing out. `keys` is how many the server holds."""
    what = "rights to read"
    name = user or "default"
    give = f"on the server: {setuser(user)}"
    if not keys and not may_be_empty:
        problem = "the server holds no key, and an empty dump is no backup"
        yield Probe.fail(what, problem, "is it the right server? where it may be empty, say `may_be_empty: true`")
        return
    try:
        client.ask("ACL", "DRYRUN", name, "info", what="asking for the user's rights")
    except CommandFailed as error:
        if "NOPERM" not in error.stderr:
            raise
        yield Probe.unknown(what, f"{name} may not ask what it may do (+acl|dryrun): a backup will tell", give)
        return
    lacks = [" ".join(c[:2]) for c in NEEDED if not _may(client, name, *c)]
    beside = [" ".join(c[:2]) for c in BESIDE if not _may(client, name, *c)]
    much = [c[0] for c in TOO_MUCH if _may(client, name, *c)]
    if lacks:
        yield Probe.fail(what, f"{name} may not {', '.join(lacks)}", give)
    elif beside:
        problem = (
            f"{name} may have the data, and not {', '.join(beside)}: users, modules or settings will not be in backups"
        )
        yield Probe.warn(what, problem, give)
    else:
        yield Probe.ok(what, f"{name} may have all {keys} keys, users and settings")
    if much:
        yield Probe.warn("rights to write", f"{name} may {', '.join(much)}, and a backup only reads", give)
    else:
        yield Probe.ok("rights to write", f"{name} may change nothing")


def _may(client: Client, user: str, *command: str) -> bool:
    """A command that the server does not know, or has been told to forget, may nobody use."""
    try:
        return bool(client.ask("ACL", "DRYRUN", user, *command, what="asking for the user's rights") == "OK")
    except CommandFailed as error:
        if error.stalled or "not found" not in error.stderr:
            raise
        return False


# Who may do what on the server: its ACL, without what it holds of passwords.

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
        found.append(_account(name, as_map(told)))
    return _by_list(client) if unread else Accounts(tuple(found))


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
