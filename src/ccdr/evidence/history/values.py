"""What a history tells of one failed backup, and of another host."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ccdr.model.values import (
    to_the_second,
)


@dataclass(frozen=True)
class FailedBackup:
    """A backup that stored nothing: a sentence, where and when the ledger tells of it, the next step that it gave
    itself, and whether somebody stopped it."""

    text: str
    seq: float
    at: datetime
    hint: str | None = None
    interrupted: bool = False
    run: str | None = None
    why: str = "it crashed"  # in few words

    def __str__(self) -> str:
        return self.text

    def step(self, plan: str, asset: str) -> str:
        """What to do next. It leads on: the same command again would mostly say the same."""
        again = f"`ccdr backup {plan} --asset {asset}`"
        if self.interrupted:
            return f"{again} takes a new one"
        if self.hint and f"`ccdr backup {plan}" in self.hint:  # it says so itself
            return self.hint
        return f"{self.hint or f'`ccdr doctor {plan}` looks for the cause'}; then {again}"


@dataclass(frozen=True)
class Elsewhere:
    """Another host that answers for some work, as far as its ledger, which lies beside ours, is known."""

    until: datetime
    host: str
    ledger: str
    since: str | None = None  # its runs are asked for it, if that is recorded

    def __str__(self) -> str:
        return f"known up to {to_the_second(self.until)}, from ledger {self.ledger[:8]} of {self.host}"
