"""`identical`: what was restored equals what was captured, contents and objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from ccdr.checks.base import CheckConfig
from ccdr.model.values import CheckResult
from ccdr.ports.check import CheckContext
from ccdr.ports.restored import Restored


class Identical(CheckConfig):
    rank: ClassVar[int] = 0  # before any check that may touch what was restored

    kind: Literal["identical"]

    def run(self, engine: Restored, context: CheckContext) -> Iterator[CheckResult]:
        return engine.identical(context)
