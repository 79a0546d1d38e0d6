"""What the ways to capture a MariaDB server differ in."""

from __future__ import annotations

from typing import Protocol

from ccdr.engines.mariadb.client import Login
from ccdr.engines.servers import methods
from ccdr.model.values import Manifest


class Method(methods.Method, Protocol):
    def restored(self, manifest: Manifest) -> Login:
        """How the restored server is reached, in the sandbox."""
