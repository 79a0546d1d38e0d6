"""What the ways to capture a PostgreSQL server differ in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ccdr.engines.servers import methods
from ccdr.model.values import FileDigest, Manifest


class Method(methods.Method, Protocol):
    @property
    def size_sql(self) -> str:
        """SQL for one number: the bytes that the source holds of what is captured."""

    def listed(self, restored: Path, manifest: Manifest) -> Mapping[str, FileDigest]: ...

    @property
    def as_files(self) -> str: ...

    def restored_env(self, manifest: Manifest) -> Mapping[str, str]:
        """libpq's variables for the restored database, in the sandbox."""
