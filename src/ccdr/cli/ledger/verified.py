"""What a verification found, for people, for programs and as an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from ccdr.cli.output import print_json, word
from ccdr.cli.settings import settings
from ccdr.model.errors import Exit
from ccdr.model.values import rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.evidence.checkpoints.verification import Checked
    from ccdr.evidence.due_gaps import LedgerGap
    from ccdr.evidence.ledger.verification import Verification
    from ccdr.jobs.daily_verification import VerifiedBefore
    from ccdr.jobs.statements import Statements

MOST_GAPS = 20  # schedules that are spelt out
CONSISTENT, VERIFIED = "internally consistent", "verified"
GOES_ON = "goes on from its last verification"  # less than consistent: what is before that was not read


@dataclass(frozen=True)
class Verified:
    """A ledger that was verified, with all the problems that were found of it; runs that are `at_work` have not
    crashed. `checked` is what its checkpoints and anchors say of it; `held`: it is held to a pinned key and an
    independent anchor, and proves nothing without. `before`: only what is behind that verification was read."""

    verification: Verification
    problems: Sequence[object]
    at_work: frozenset[str] = frozenset()
    checked: Checked | None = None
    held: bool = False
    before: VerifiedBefore | None = None
    statements: Statements | None = None  # None: they were not looked at
    gaps: Sequence[LedgerGap] = ()

    @property
    def findings(self) -> Sequence[object]:
        refused = self.statements.refused if self.statements else ()
        return (*self.problems, *(self.checked.findings if self.checked else ()), *refused)

    @property
    def unproven(self) -> Sequence[str]:
        return (
            *(self.checked.unproven if self.checked else ()),
            *(self.statements.unproven if self.statements else ()),
        )

    @property
    def says(self) -> str | None:
        """The one word for it; None where there is a finding, or something could not be judged."""
        if self.findings or self.verification.unknown:
            return None
        if self.before is not None:
            return GOES_ON
        return VERIFIED if self.checked and self.checked.proven and not self.unproven else CONSISTENT

    @property
    def crashes(self) -> list[str]:
        return crashed(self.verification, self.at_work)

    @property
    def exit_code(self) -> Exit:
        if self.findings:
            return Exit.FINDING
        held = self.held or (self.statements is not None and bool(self.statements.unproven))
        proves = self.says in (VERIFIED, GOES_ON) or (self.says == CONSISTENT and not held)
        return Exit.OK if proves else Exit.NOT_CARRIED_OUT

    def as_json(self) -> dict[str, Any]:
        from ccdr.evidence.ledger.ledger import as_findings

        verification = self.verification
        return {
            "ok": not self.findings,
            "says": self.says,
            "records": verification.records,
            "head": verification.head,
            "problems": [str(one) for one in self.findings],
            **(self.checked.as_json() if self.checked else _UNCHECKED),
            "not_judged": list(self.unproven),
            "statements": self.statements and self.statements.as_json(),
            "findings": as_findings(self.findings),
            "summary": None,
            "notes": [*verification.notes, *(self.checked.notes if self.checked else ())],
            "crashes": self.crashes,
            "gaps": to_builtins(self.gaps),
            "torn_bytes": verification.torn_bytes,
            "unknown": verification.unknown,
            "since": self.before
            and {
                "record": self.before.part.mark.seq + 1,
                "verified": rfc3339(self.before.at),
                "verified_by": self.before.record,
            },
        }

    def answer(self, ledger: str | None) -> Exit:
        """Tell a program, or people, of it."""
        if settings().json:
            print_json({**self.as_json(), "ledger": ledger})
        else:
            self.tell()
        return self.exit_code

    def tell(self) -> None:
        verification = self.verification
        what = f"{so_many(verification.records, 'record')}, head {verification.head[:16]}…"
        verdict = WORDS[self.exit_code]
        click.echo(f"{word(verdict)}  {what}{f': {self.says}' if self.says else ''}")
        if (before := self.before) is not None:
            upto, when = before.part.mark.seq, f"{rfc3339(before.at)[:19]}Z (record {before.record})"
            click.echo(f"  read from record {upto + 1} on; the verification of {when} found all well up to there")
            click.echo("  → `ccdr ledger verify` reads all of it")
        if unknown := verification.unknown:
            what = "of a version or kind that this ccdr does not read"
            click.echo(f"  {so_many(unknown, 'record')} {what}: what they tell, it does not know")
        notes = (*verification.notes, *(self.checked.notes if self.checked else ()))
        of_ledger = ("crashed", self.crashes), ("note", notes)
        for label, lines in (("problem", self.findings), ("not judged", self.unproven), *of_ledger):
            for line in lines:
                click.echo(f"  {label}: {line}")
        tell_gaps(self.gaps)
        for line in self.statements.sentences() if self.statements else ():
            click.echo(f"  statements: {line}")
        if self.checked is not None and not self.findings:
            for line in self.checked.shows():
                click.echo(f"  boundary: {line}")


def crashed(verification: Verification, at_work: frozenset[str] = frozenset()) -> list[str]:
    """Runs without an end: sentences."""
    without = [one for one in verification.crashes if one.run not in at_work]
    return [f"{one.kind} of {one.plan}/{one.asset}, run {one.run}, {rfc3339(one.time)}: no end" for one in without]


def tell_gaps(gaps: Sequence[LedgerGap]) -> None:
    """Due times without a start are told, and are no verification failures."""
    for gap in gaps[:MOST_GAPS]:
        click.echo(f"  gap: {gap}")
    if (more := len(gaps) - MOST_GAPS) > 0:
        click.echo(f"  gap: and {so_many(more, 'more schedule')}; --json has all")


_UNCHECKED: dict[str, object] = {
    "not_judged": [],
    "checkpoints": 0,
    "pinned": False,
    "boundary": None,
    "keys": [],
}
WORDS = {Exit.FINDING: "FAIL", Exit.NOT_CARRIED_OUT: "INCONCLUSIVE", Exit.OK: "PASS"}
