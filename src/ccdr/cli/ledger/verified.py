"""What a verification found, for people, for programs and as an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ccdr.cli.output import word
from ccdr.model.errors import Exit
from ccdr.model.values import rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.evidence.ledger.verification import Verification

CONSISTENT = "internally consistent"


@dataclass(frozen=True)
class Verified:
    """A ledger that was verified, with all the problems that were found of it; runs that are `at_work` have not
    crashed."""

    verification: Verification
    problems: Sequence[object]
    at_work: frozenset[str] = frozenset()

    @property
    def crashes(self) -> list[str]:
        crashed = [c for c in self.verification.crashes if c.run not in self.at_work]
        return [f"{c.kind} of {c.plan}/{c.asset}, run {c.run}, {rfc3339(c.time)}: no end" for c in crashed]

    @property
    def exit_code(self) -> Exit:
        if self.problems:
            return Exit.FINDING
        return Exit.NOT_CARRIED_OUT if self.verification.newer else Exit.OK

    def as_json(self) -> dict[str, Any]:
        verification = self.verification
        return {
            "ok": not self.problems,
            "says": None if self.problems or verification.newer else CONSISTENT,
            "records": verification.records,
            "head": verification.head,
            "problems": list(self.problems),
            "summary": None,
            "notes": list(verification.notes),
            "crashes": self.crashes,
            "torn_bytes": verification.torn_bytes,
            "newer": verification.newer,
        }

    def tell(self) -> None:
        verification = self.verification
        what = f"{so_many(verification.records, 'record')}, head {verification.head[:16]}…"
        verdict = "FAIL" if self.problems else "INCONCLUSIVE" if verification.newer else "PASS"
        click.echo(f"{word(verdict)}  {what}{f': {CONSISTENT}' if verdict == 'PASS' else ''}")
        if later := verification.newer:
            click.echo(f"  {so_many(later, 'record')} of a later ccdr: what they tell, this one does not know")
        for label, lines in (("problem", self.problems), ("crashed", self.crashes), ("note", verification.notes)):
            for line in lines:
                click.echo(f"  {label}: {line}")
