"""The dialler: a real MariaDB server with what diallers live on, InnoDB beside MyISAM and MEMORY."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ccdr.demo.servers import SOCKETS, Home
from ccdr.engines.mariadb.client import Login
from ccdr.sandbox.box import Box
from ccdr.sandbox.docker import Image

DATA, SOCKET = "/var/lib/mysql", "mysqld.sock"
_LOGIN = Login(("--no-defaults", f"--socket={SOCKETS}/{SOCKET}", "--user=root"))
_START = f"""set -e
mariadb-install-db --no-defaults --datadir={DATA}/data --auth-root-authentication-method=normal --skip-test-db \\
  --skip-name-resolve > /tmp/server.log 2>&1
setsid mariadbd --no-defaults --datadir={DATA}/data --socket={SOCKETS}/{SOCKET} --skip-networking --server-id=7 \\
  --log-bin --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --innodb-log-file-size=64M \\
  --performance-schema=OFF < /dev/null > /tmp/server.log 2>&1 &
server=$!
until echo 'SELECT 1' | {shlex.join(_LOGIN.client("--batch"))} > /dev/null 2>&1; do
  kill -0 $server 2> /dev/null || {{ tail -n 5 /tmp/server.log >&2; exit 1; }}
  sleep 0.05
done
"""


@dataclass
class Dialler:
    """`socket` is where a plan reaches its server."""

    home: Home
    image: Image
    _box: Box = field(init=False)

    @property
    def socket(self) -> Path:
        return self.home.sockets("dialler", SOCKET) / SOCKET

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """The server answers, with campaigns, leads, the hopper, agents at their seats, and what was dialled so far."""
        sockets = self.socket.parent
        opened = self.home.container("dialler", self.image, "mysql", sockets, data_dir=DATA, data_bytes=2**30)
        with opened as self._box:
            self._box.run(["bash", "-c", _START], what="the dialler's start")
            self._run("dialler.sql")
            yield

    def carry_on(self) -> None:
        """The hopper is emptied and filled, calls are logged, agents come and go."""
        self._run("dialler_changes.sql", "dialler")

    def _run(self, script: str, database: str | None = None) -> None:
        text = (Path(__file__).parent / script).read_text("utf-8")
        self._box.run(_LOGIN.client("--batch", database=database), stdin=text, what=script)
