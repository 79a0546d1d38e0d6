"""What a person who watches a recovery wants to know. Implementations must be cheap and thread-safe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ccdr.jobs.recover.planned import Decision


class View(Protocol):
    def begins(self, decision: Decision, done: float) -> None:
        """The work begins; `done` seconds of the recovery lie behind (of an earlier process)."""

    def phase(self, asset: str, name: str) -> None:
        """The asset is in this phase now: `waiting`, `bringing`, `comparing`, `naming`, `opening`, `done`, `failed`."""

    def step(self, asset: str, text: str) -> None: ...

    def amount(self, asset: str, done: int, total: int | None) -> None: ...


@dataclass(frozen=True)
class OfAsset:
    """`Progress` of one asset's work."""

    view: View
    asset: str

    def step(self, text: str) -> None:
        self.view.step(self.asset, text)

    def amount(self, done: int, total: int | None) -> None:
        self.view.amount(self.asset, done, total)
