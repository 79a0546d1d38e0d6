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
    from ccdr.evidence.checkpoints.verifying import Checked
    from ccdr.evidence.ledger.verification import Verification

CONSISTENT, VERIFIED = "internally consistent", "verified"


@dataclass(frozen=True)
class Verified:
    """A ledger that was verified, with all the problems that were found of it; runs that are `at_work` have not
    crashed. `checked` is what its checkpoints and anchors say of it; `held`: it is held to a pinned key and an
    independent anchor, and proves nothing without."""

    verification: Verification
    problems: Sequence[object]
    at_work: frozenset[str] = frozenset()
    checked: Checked | None = None
    held: bool = False

    @property
    def findings(self) -> Sequence[object]:
        return (*self.problems, *(self.checked.findings if self.checked else ()))

    @property
    def says(self) -> str | None:
        """The one word for it; None where there is a finding, or something could not be judged."""
        if self.findings or self.verification.newer:
            return None
        return VERIFIED if self.checked and self.checked.proven else CONSISTENT

    @property
    def crashes(self) -> list[str]:
        crashed = [c for c in self.verification.crashes if c.run not in self.at_work]
        return [f"{c.kind} of {c.plan}/{c.asset}, run {c.run}, {rfc3339(c.time)}: no end" for c in crashed]

    @property
    def exit_code(self) -> Exit:
        if self.findings:
            return Exit.FINDING
        proves = self.says == VERIFIED or (self.says == CONSISTENT and not self.held)
        return Exit.OK if proves else Exit.NOT_CARRIED_OUT

    def as_json(self) -> dict[str, Any]:
        verification = self.verification
        return {
            "ok": not self.findings,
            "says": self.says,
            "records": verification.records,
            "head": verification.head,
            "problems": [str(one) for one in self.findings],
            **(self.checked.as_json() if self.checked else {}),
            "summary": None,
            "notes": list(verification.notes),
            "crashes": self.crashes,
            "torn_bytes": verification.torn_bytes,
            "newer": verification.newer,
        }

    def tell(self) -> None:
        verification = self.verification
        what = f"{so_many(verification.records, 'record')}, head {verification.head[:16]}…"
        verdict = WORDS[self.exit_code]
        click.echo(f"{word(verdict)}  {what}{f': {self.says}' if self.says else ''}")
        if later := verification.newer:
            click.echo(f"  {so_many(later, 'record')} of a later ccdr: what they tell, this one does not know")
        open_ = self.checked.unproven if self.checked else ()
        of_ledger = ("crashed", self.crashes), ("note", verification.notes)
        for label, lines in (("problem", self.findings), ("not judged", open_), *of_ledger):
            for line in lines:
                click.echo(f"  {label}: {line}")
        if self.checked is not None and not self.findings:
            for line in self.checked.shows():
                click.echo(f"  boundary: {line}")


WORDS = {Exit.FINDING: "FAIL", Exit.NOT_CARRIED_OUT: "INCONCLUSIVE", Exit.OK: "PASS"}
