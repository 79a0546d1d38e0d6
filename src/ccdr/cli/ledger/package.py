"""What the verification of a package found, for people, for programs and as an exit code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from ccdr.cli.ledger.verified import CONSISTENT, VERIFIED, WORDS, crashed, tell_gaps
from ccdr.cli.output import word
from ccdr.evidence.package.verifying import FROM, SCOPE, TENANT, TO
from ccdr.model.errors import Exit
from ccdr.model.values import so_many

if TYPE_CHECKING:
    from ccdr.evidence.checkpoints.verification import Finding
    from ccdr.evidence.package.verifying import PackageChecked
    from ccdr.jobs.statements import Statements
    from ccdr.telling.package import MadeAnew


OF_WHAT_IS_SHOWN = f"{VERIFIED} of what is shown"  # of a part


@dataclass(frozen=True)
class VerifiedPackage:
    """Only a pinned key and an independent anchor make it more than consistent with itself."""

    of: PackageChecked
    statements: Statements
    anew: MadeAnew  # what is told beside the records

    @property
    def findings(self) -> list[Finding]:
        checked = self.of.ours.checked.findings if self.of.ours else ()
        return [*self.of.findings, *checked, *self.statements.refused, *self.anew.findings]

    @property
    def notes(self) -> list[str]:
        return list(self.of.ours.verification.notes) if self.of.ours else []

    @property
    def unproven(self) -> list[str]:
        checked = self.of.ours.checked.unproven if self.of.ours else ()
        return [*self.of.unproven, *checked, *self.statements.unproven, *self.anew.unproven]

    @property
    def says(self) -> str | None:
        """The one word for it; None where there is a finding, or nothing that could be judged."""
        ours = self.of.ours
        if self.findings or ours is None or ours.verification.unknown:
            return None
        proves = VERIFIED if self.of.info.get(SCOPE) == "whole" else OF_WHAT_IS_SHOWN
        return proves if ours.checked.proven and not self.unproven else CONSISTENT

    @property
    def crashes(self) -> list[str]:
        """Runs that have no end among what is shown."""
        return [] if self.of.ours is None else crashed(self.of.ours.verification)

    @property
    def exit_code(self) -> Exit:
        if self.findings:
            return Exit.FINDING
        return Exit.NOT_CARRIED_OUT if self.says in (None, CONSISTENT) else Exit.OK

    def as_json(self) -> dict[str, Any]:
        ours = self.of.ours
        checked = {} if ours is None else ours.checked.as_json()
        return {
            "ok": not self.findings,
            "says": self.says,
            "records": 0 if ours is None else ours.verification.records,
            "head": "" if ours is None else ours.verification.head,
            "problems": [str(one) for one in self.findings],
            "checkpoints": 0,
            "pinned": False,
            "boundary": None,
            "keys": [],
            **checked,
            "statements": self.statements.as_json(),
            "findings": to_builtins(self.findings),
            "not_judged": self.unproven,
            "summary": None,
            "notes": self.notes,
            "crashes": self.crashes,
            "gaps": to_builtins(self.of.gaps),
            "torn_bytes": 0,
            "since": None,
            "unknown": 0 if ours is None else ours.verification.unknown,
            "ledger": None if ours is None else ours.ledger,
            "shown": None if ours is None else ours.shown,
            "package": dict(self.of.info),
            "not_covered": self.of.beyond and to_builtins(self.of.beyond),
            "others": {
                one.ledger: {
                    "records": one.verification.records,
                    "ok": one.verification.ok,
                    "boundary": one.checked.boundary and one.checked.boundary.as_json(),
                }
                for one in self.of.others
            },
        }

    def tell(self) -> None:
        ours, info = self.of.ours, self.of.info
        what = "no package that can be read"
        if ours is not None:
            records = so_many(ours.verification.records, "record")
            part = "" if info.get(SCOPE) == "whole" else f", {ours.shown} of them shown"
            whose = f", for {info[TENANT]}" if TENANT in info else ""
            what = f"a package of {records}{part}{whose}, {info.get(FROM)} to {info.get(TO)}"
        beyond = self.of.beyond
        lacks = f"; {so_many(beyond.records, 'record')} of {beyond.hours} hours not covered" if beyond else ""
        click.echo(f"{word(WORDS[self.exit_code])}  {what}{f': {self.says}' if self.says else ''}{lacks}")
        for one in self.findings:
            click.echo(f"  problem: {one.code}: {one}")
        for sentence in self.unproven:
            click.echo(f"  not judged: {sentence}")
        tell_gaps(self.of.gaps)
        for sentence in self.crashes:
            click.echo(f"  crashed: {sentence}")
        for note in self.notes:
            click.echo(f"  note: {note}")
        for sentence in self.statements.sentences():
            click.echo(f"  statements: {sentence}")
        if ours is not None and not self.findings:
            for sentence in ours.checked.shows():
                click.echo(f"  boundary: {sentence}")
            for other in self.of.others:  # the rest of them are proven by our record of how they were taken in
                if other.checked.boundary is not None:
                    click.echo(f"  boundary of ledger {other.ledger[:8]}…: {other.checked.shows()[0]}")
