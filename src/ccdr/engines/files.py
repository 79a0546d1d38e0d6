"""File trees: recordings, configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ccdr.engines.base import EngineConfig
from ccdr.schema import Duration


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError("is not an absolute path, expected one like /var/spool/recordings")
    return path


class Files(EngineConfig):
    engine: Literal["files"]
    method: Literal["scan"] = "scan"
    paths: Annotated[tuple[Annotated[Path, AfterValidator(_absolute)], ...], Field(min_length=1)]
    settle: Duration = Field(60.0, description="files changed within this time are left for the next backup")
