"""Damage to a copy of one good repository."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.harness import Site


def ids(site: Site) -> list[str]:
    """Snapshots that count, oldest first, as the catalogue has them."""
    return [s.id for s in site.services().catalogue.snapshots("p", "recordings")]


def flip(path: Path) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def key(site: Site) -> Path:
    return next((site.repo / "keys").iterdir())
