"""What the ways to capture a PostgreSQL server differ in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ccdr.engines.servers import methods
from ccdr.model.values import FileDigest, Manifest

if TYPE_CHECKING:
    from ccdr.engines.postgres.engine import Postgres


@dataclass(frozen=True)
class Method(methods.Method):
    asset: Postgres
    size_sql: ClassVar[str]  # SQL for one number: the bytes that the source holds of what is captured
    as_files: ClassVar[str]  # as `Engine.as_files`

    def listed(self, restored: Path, manifest: Manifest) -> Mapping[str, FileDigest]:
        return manifest.files

    def restored_env(self, manifest: Manifest) -> Mapping[str, str]:
        """libpq's variables for the restored database, in the sandbox."""
        raise NotImplementedError
