"""What every check shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pydantic import Field

from ccdr.engines.base import EngineConfig
from ccdr.interfaces import Bench, Engine
from ccdr.model import CheckResult
from ccdr.schema import Strict


class CheckConfig(Strict):
    """A check is one frozen class: its fields are its YAML, `run` says what was expected and what was found."""

    name: str | None = Field(None, min_length=1, max_length=200, description="what people read; recorded")

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines this check can run on; empty: all."""
        return ()

    def applies_to(self, engine: EngineConfig) -> bool:
        return not self.engines or engine.engine_name in self.engines

    @property
    def label(self) -> str:
        """The check's name in reports."""
        return self.name or self.default_name

    @property
    def default_name(self) -> str:
        raise NotImplementedError


class Check(Protocol):
    """What the restore test runs. A check yields results; it raises only what `guarded` understands."""

    kind: str

    @property
    def label(self) -> str: ...

    def run(self, engine: Engine, bench: Bench) -> Iterator[CheckResult]: ...
