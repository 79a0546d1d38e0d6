"""A server of our own on one RDB file: nobody else reaches it, it writes nothing, and nothing expires in it.

It is a replica of a master that cannot be there (port 0). A master drops what has expired, when it loads and ever
after; a replica leaves that to its master, so it holds exactly what the file holds, whenever it is asked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ccdr.engines.redis.client import Product, fields, read_answer
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.ports.place import Place

ADMIN = "ccdr.looks"  # our own user, whatever users a backup brings
DATABASES = 16  # what a server has that was told nothing else
# Waits until the server has loaded its file. A server that ended is a zombie where its parent has not looked yet.
_WAIT = """\
n=0
until [ "$("$@" PING 2>&1)" = PONG ]; do
  n=$((n + 1))
  if pid=$(cat "$run/pid" 2>/dev/null) && [ -n "$pid" ]; then
    grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$pid/status" 2>/dev/null || break
  elif [ $n -gt 200 ]; then
    break
  fi
  sleep 0.05
done
[ "$("$@" PING 2>&1)" = PONG ] && exit
cat "$run/out" >&2
tail -n 5 "$run/log" >&2
exit 1
"""
_CONF = 'umask 077; mkdir -p "$1"; rm -f "$1"/pid "$1"/s; : >"$1"/out; : >"$1"/log; cat >"$1"/conf'
_USERS = 'umask 077; cat >"$1"/users'
_START = 'run=$1; shift; "$1" "$run"/conf </dev/null >"$run"/out 2>&1 & shift\n' + _WAIT
_LOADED = "run=$1; shift\n" + _WAIT
# Has it ended without a word of its own, or for want of memory? What it says where it gives up stands in its log.
_KILLED = """\
pid=$(cat "$1"/pid) && [ -n "$pid" ] || exit 1
grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$pid/status" 2>/dev/null && exit 1
grep -qi 'out of memory' "$1"/log && exit
! grep -qiE "fatal|exiting|terminating|can't load|can't handle|bug report" "$1"/log
"""
_HOLD = 'exec nice -n 10 "$2" "$1"/conf </dev/null >"$1"/out 2>&1'


@dataclass(frozen=True)
class PrivateServer:
    """`run` is the directory, in `place`, that holds its configuration, its socket and its log."""

    place: Place
    kind: Product
    run: str

    @property
    def cli(self) -> list[str]:
        """The client's program and options. Our user has no password, and the client wants one all the same."""
        return [self.kind.cli, "-s", f"{self.run}/s", "--user", ADMIN, "-a", "none", "--no-auth-warning", "-e"]

    def raw(self, *command: str, database: int = 0, what: str | None = None, stdin: str | None = None) -> str:
        """With `-x` before the command, `stdin` is its last argument."""
        argv = [*self.cli, "-n", str(database), *command]
        return self.place.run(argv, what=what or command[0], stdin=stdin).stdout

    def ask(self, *command: str, database: int = 0, what: str | None = None) -> Any:
        return read_answer(self.raw("--json", *command, database=database, what=what), command[0], what)

    def info(self, *sections: str) -> dict[str, str]:
        return fields(self.raw("INFO", *sections))

    def configure(self, conf: str, users: str | None = None) -> None:
        self.place.run(["sh", "-c", _CONF, "sh", self.run], stdin=conf, what="configuring a server")
        if users is not None:
            self.place.run(["sh", "-c", _USERS, "sh", self.run], stdin=users, what="configuring a server")

    def start(self) -> None:
        """In the background, where it ends with its container; as `loaded`."""
        argv = ["sh", "-c", _START, "sh", self.run, self.kind.server, *self.cli]
        self.place.run(argv, what=self.kind.server)

    def loaded(self) -> None:
        """Wait until the file is loaded; CommandFailed, with the end of its log, where the server ended instead."""
        self.place.run(["sh", "-c", _LOADED, "sh", self.run, *self.cli], what=self.kind.server)

    def killed(self) -> bool:
        """Has somebody ended it, as the kernel does first of all where memory runs short?"""
        return self.place.run(["sh", "-c", _KILLED, "sh", self.run], ok=(0, 1)).code == 0

    def stop(self) -> None:
        """It ends without a word; one that has ended already is as good."""
        with contextlib.suppress(CommandFailed):
            self.raw("SHUTDOWN", "NOSAVE")


@contextlib.contextmanager
def standing(
    place: Place, kind: Product, directory: str, file: str, *, databases: int, extra: Sequence[str] = ()
) -> Iterator[PrivateServer]:
    """A server on `file` in `directory` (both as named in `place`), while the context lasts; loaded. TestBroken where
    it was killed meanwhile: that says nothing of the file."""
    run = place.run(["mktemp", "-d"], what="mktemp").stdout.strip()
    server = PrivateServer(place, kind, run)
    try:
        server.configure(configuration(run, directory, file, databases=databases, extra=extra))
        with place.session(["sh", "-c", _HOLD, "sh", run, kind.server]):
            try:
                server.loaded()
                yield server
            except CommandFailed as error:
                if error.stalled or not server.killed():
                    raise
                raise TestBroken("it was killed: does memory run short?", hint="see the kernel's log") from None
            finally:
                server.stop()
    finally:
        place.run(["rm", "-rf", run], what="rm")


def configuration(
    run: str, directory: str, file: str, *, databases: int, users: bool = False, extra: Sequence[str] = ()
) -> str:
    """Of a server that only looks. With `users` they stand in a file, and ours must be among them."""
    lines = [
        "port 0",
        f"unixsocket {quoted(f'{run}/s')}",
        "unixsocketperm 700",
        f"dir {quoted(directory)}",
        f"dbfilename {quoted(file)}",
        f"pidfile {quoted(f'{run}/pid')}",
        f"logfile {quoted(f'{run}/log')}",
        'save ""',
        "appendonly no",
        "replicaof 127.0.0.1 0",
        f"databases {databases}",
        "maxmemory 0",
        "enable-debug-command local",
        "enable-protected-configs local",
        "oom-score-adj absolute",  # if memory gets short, then it is this server that goes, never the source
        "oom-score-adj-values 1000 1000 1000",
        f"aclfile {quoted(f'{run}/users')}" if users else f"user {admin()}",
        *extra,
    ]
    return "".join(f"{line}\n" for line in lines)


def admin() -> str:
    """The rules of our own user, as an ACL file and a configuration write them."""
    return f"{ADMIN} on nopass ~* &* +@all"


def quoted(text: str) -> str:
    """As a configuration file wants a text that may hold blanks."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
