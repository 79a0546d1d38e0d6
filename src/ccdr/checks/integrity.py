"""`integrity`: the engine's own check of what it now holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from ccdr.checks.base import CheckConfig
from ccdr.model.values import CheckResult
from ccdr.ports.check import CheckContext
from ccdr.ports.restored import Restored


class Integrity(CheckConfig):
    engines: ClassVar[tuple[str, ...]] = ("mariadb", "postgres", "redis", "sqlite")

    kind: Literal["integrity"]

    def run(self, engine: Restored, context: CheckContext) -> Iterator[CheckResult]:
        return engine.integrity(context)
