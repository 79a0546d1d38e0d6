"""What a manifest tells of a captured server and its database, whichever server it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ServerInventory:
    """A typed look at a manifest's `contents`; an engine adds what it alone tells."""

    facts: Mapping[str, Any]

    @property
    def version(self) -> str:
        return str(self.facts["version"])

    @property
    def database(self) -> str:
        return str(self.facts["database"])

    @property
    def database_bytes(self) -> int:
        return int(self.facts["database_bytes"])
