"""The seals on a run's happenings, made with the repository's password: every host that may go on has that, and nobody
gets it by being let write where the journal lies."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ccdr.jobs.runbook.events import Event, written
from ccdr.jobs.sealing import Key, is_seal, seal

VERB = "runbook"  # of the lock, and of a seal


@dataclass(frozen=True)
class Seals:
    """Of one plan's runbook. The key raises UsageProblem where the password cannot be had."""

    plan: str
    key: Key

    def sealed(self, run: str, event: Event) -> Event:
        return msgspec.structs.replace(event, seal=seal(self.key, self._place(run), written(bare(event))))

    def good(self, run: str, event: Event) -> bool:
        """Was it written with that password, as the happening of its number of that run?"""
        return is_seal(event.seal, self.key, self._place(run), written(bare(event)))

    def _place(self, run: str) -> bytes:
        return f"{self.plan}\n{run}\n".encode()


def bare(event: Event) -> Event:
    """Without its seal."""
    return msgspec.structs.replace(event, seal="") if event.seal else event
