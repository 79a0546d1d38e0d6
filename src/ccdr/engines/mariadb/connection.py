"""How a MariaDB server is reached, by plans and by its programs."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field

from ccdr.engines.mariadb.client import Login
from ccdr.engines.servers.connection import SYSTEM_CAS, ServerConnection
from ccdr.model.schema import Text

OPTION_FILE = "client.cnf"
SOCKETS = ("mysqld.sock", "mariadbd.sock", "mariadb.sock", "mysql.sock")  # what they are called in their directory


class Connection(ServerConnection):
    """How to reach the source. `host` may be a Unix socket, or the directory it lies in."""

    host: Text = Field("/run/mysqld", description="name, address, or Unix socket (the file, or its directory)")
    port: int = Field(3306, ge=1, le=65535, description="where `host` is no Unix socket: its TCP port")

    @property
    def socket_name(self) -> str:
        """What the server's socket is called in its directory."""
        named = self.socket is not None and (self.socket.suffix == ".sock" or self.socket.name in SOCKETS)
        return self.socket.name if self.socket is not None and named else SOCKETS[0]

    def login(self, credentials: Path) -> Login:
        """The first arguments of every program; the password itself stays in a file. No other option file is read:
        what one of them says may change a dump."""
        secret = self.password_file is not None or self.password_command is not None
        first = f"--defaults-file={credentials / OPTION_FILE}" if secret else "--no-defaults"
        if self.socket is not None:
            where = ["--protocol=socket", f"--socket={_socket_file(self.socket)}"]
        else:
            where = ["--protocol=tcp", f"--host={self.host}", f"--port={self.port}"]
        if self.verified_tls:
            tls = [f"--ssl-ca={self.ca_file or SYSTEM_CAS}", "--ssl-verify-server-cert"]
        else:
            tls = ["--skip-ssl-verify-server-cert"]
        return Login((first, *where, f"--user={self.user}", *tls))


def option_file(password: str) -> str:
    """A client's option file that holds nothing but the password."""
    escaped = password.replace("\\", "\\\\").replace("\t", "\\t")
    return f'[client]\npassword="{escaped}"\n'


def _socket_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    return next((path / name for name in SOCKETS if (path / name).exists()), path / SOCKETS[0])


def major_of(version: str) -> str:
    """`11.8.9-MariaDB-…` is 11.8: each such series is a major version."""
    match = re.match(r"(\d+\.\d+)", version)
    return match[1] if match else version
