"""What the ways to capture a MariaDB server have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ccdr.engines.mariadb import server
from ccdr.engines.mariadb.client import Login
from ccdr.engines.servers import methods
from ccdr.model.values import Manifest

if TYPE_CHECKING:
    from ccdr.engines.mariadb.engine import MariaDB


@dataclass(frozen=True)
class Method(methods.Method):
    asset: MariaDB

    def restored(self, manifest: Manifest) -> Login:
        """How the restored server is reached, in the sandbox."""
        return server.LOGIN
