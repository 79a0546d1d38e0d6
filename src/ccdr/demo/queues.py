"""The queues: a real Redis server with who waits, who may take a call, and whom to call back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ccdr.demo.servers import SOCKETS, Home
from ccdr.sandbox.box import Box
from ccdr.sandbox.docker import Image

SOCKET = "redis.sock"
_CLI = ("redis-cli", "-s", f"{SOCKETS}/{SOCKET}", "-e")
# What a backup must be allowed, and nothing else: it is sent the data as a replica is, and asks what goes beside it.
_RIGHTS = (
    "resetkeys resetchannels -@all +psync +sync +replconf +info +time +acl|list +acl|whoami +acl|dryrun +module|list"
    " +config|get"
)
_SERVER = (
    *("redis-server", "--port", "0", "--unixsocket", f"{SOCKETS}/{SOCKET}", "--unixsocketperm", "777"),
    *("--save", "", "--dir", "/tmp", "--daemonize", "yes", "--logfile", "/tmp/server.log"),  # noqa: S108
    *("--repl-diskless-sync-delay", "0"),  # else it waits five seconds, for other replicas
)
_ANSWERS = f'n=0; until [ "$({" ".join(_CLI)} PING 2>&1)" = PONG ]; do n=$((n + 1)); [ $n -lt 400 ]; sleep 0.05; done'


@dataclass
class Queues:
    """`socket` is where a plan reaches its server, `password` that of the user `ccdr_backup`."""

    home: Home
    image: Image
    password: str
    _box: Box = field(init=False)

    @property
    def socket(self) -> Path:
        return self.home.sockets("queues", SOCKET) / SOCKET

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """The server answers, with three thousand keys in two databases; one in six expires."""
        with self.home.container("queues", self.image, "redis", self.socket.parent) as self._box:
            self._box.run(_SERVER, what="the queues' start")
            self._box.run(["sh", "-ec", _ANSWERS], what="the queues' start")
            self._run("queues.lua")
            user = f"ACL SETUSER ccdr_backup on >{self.password} {_RIGHTS}\n"  # by standard input: it is a secret
            self._box.run(["sh", "-c", f"{' '.join(_CLI)} | grep -qx OK"], stdin=user, what="the backup's user")
            yield

    def carry_on(self) -> None:
        """Callers come and go, agents take calls."""
        self._run("queues_changes.lua")

    def _run(self, script: str) -> None:
        text = (Path(__file__).parent / script).read_text("utf-8")
        digest = self._box.run([*_CLI, "-x", "SCRIPT", "LOAD"], stdin=text, what=script).stdout.strip()
        self._box.run([*_CLI, "EVALSHA", digest, "0"], what=script)
