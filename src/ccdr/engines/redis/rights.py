"""What the client's user may do at the source: be sent the RDB and ask what goes beside it, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.engines.redis.client import Client
from ccdr.model.errors import CommandFailed
from ccdr.model.values import Probe

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
