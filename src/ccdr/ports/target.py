"""What is known of a real server that is to be restored onto."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ccdr.model.values import Manifest

if TYPE_CHECKING:  # contracts name each other
    from ccdr.ports.engine import Engine


@dataclass(frozen=True)
class KnownSource:
    """A source that a plan names: a restore must never touch it. `manifests` are of the asset's snapshots."""

    asset: str
    engine: Engine
    manifests: tuple[Manifest, ...]


@dataclass(frozen=True)
class TargetOutlook:
    """What a look at a target told: what will be done there, and what a person should know of it. `number` is the
    server's own, where it has one and tells it."""

    version: str
    number: str | None = None
    will: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
