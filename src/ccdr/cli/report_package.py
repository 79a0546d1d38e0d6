"""`ccdr report --package`: the report of a package, made anew from its records, and whose its signed statements are, by
the file of who may sign that one has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, table
from ccdr.cli.settings import settings
from ccdr.evidence.payloads import GONE
from ccdr.evidence.records.statements import FindingRef, MeasurePart, StatementRecord, kind_of
from ccdr.evidence.whose import HOLDS, NOT_ASKED, Whose, whose
from ccdr.model.errors import CcdrError, Exit, UsageProblem
from ccdr.model.values import stamped, to_the_second

if TYPE_CHECKING:
    from ccdr.evidence.checkpoints.verification import Finding
    from ccdr.evidence.package.verifying import PackageChecked
    from ccdr.jobs.services import Services
    from ccdr.telling.package import MadeAnew
    from ccdr.telling.report.build import Report


def report_package(directory: Path, signers: Path | None, form: str, out: Path | None) -> Exit:
    """What the package holds is held to itself first, as `ccdr ledger verify` does without a key: of one that does not
    hold, no report is written."""
    from ccdr.cli.ledger.verify import text_of
    from ccdr.cli.report import written_to
    from ccdr.jobs.statements import seen_by

    checked, anew, found = held_to_itself(directory)
    records = checked.signed if signers is None else list(seen_by(checked.signed, text_of(signers)))
    rows = [_Row(one, whose(one)) for one in records]
    if settings().json:
        problems = [str(one) for one in found]
        print_json({"package": dict(checked.info), "statements": [row.as_json() for row in rows], "problems": problems})
    else:
        for one in found:
            click.echo(f"problem: {one.code}: {one}")
        if rows:
            table(("record", "what", "about", "recorded", "by"), [row.cells for row in rows])
        else:
            click.echo("nobody has signed anything that is shown")
    if out is not None and not found:
        written_to(out, anew.documents[_NAMES[form]]())
        click.echo(f"ccdr: {out}: the report, made of the package's records", err=True)
    if found or any(row.whose.refused for row in rows):
        return Exit.FINDING
    return Exit.OK if signers is not None or not rows else Exit.NOT_CARRIED_OUT


def held_to_itself(directory: Path) -> tuple[PackageChecked, MadeAnew, Sequence[Finding]]:
    """A package as `ccdr ledger verify` sees it without a key, and all that does not fit together. UsageProblem where
    it is none; CcdrError where it cannot be read."""
    from ccdr.cli.ledger.verify import made_anew_of
    from ccdr.evidence.package.bag import is_package
    from ccdr.evidence.package.verifying import verify_package
    from ccdr.host.clock import SystemClock

    if not is_package(directory):
        raise UsageProblem(f"{directory} is no package", hint="name a directory that `ccdr ledger export` wrote")
    try:
        checked = verify_package(directory, now=SystemClock().now())
    except OSError as error:
        raise CcdrError(f"{directory} cannot be read: {error.strerror}", hint="read it as its owner") from None
    anew = made_anew_of(directory, checked)
    of_ledger = checked.ours.checked.findings if checked.ours else ()
    return checked, anew, (*checked.findings, *of_ledger, *anew.findings)


def gone_words(services: Services) -> str:
    """In place of what a person wrote, where it is not there."""
    return "(a package holds no words)" if services.in_package else GONE


def in_package(directory: Path) -> tuple[Mapping[str, str], Services, Report]:
    """What a package says of itself, what its records come to, and those, at the moment that it was made. CcdrError
    where it does not hold."""
    from ccdr.telling.package import services_of

    checked, anew, found = held_to_itself(directory)
    if found or anew.report is None:
        raise CcdrError(f"{directory} does not hold: nothing is told of it", hint=f"`ccdr ledger verify {directory}`")
    info = checked.told or checked.info
    return info, services_of(directory, info), anew.report


_NAMES = {"html": "report.html", "json": "report.json", "csv": "population.csv"}


@dataclass(frozen=True)
class _Row:
    """A statement, of a package."""

    record: StatementRecord
    whose: Whose

    @property
    def cells(self) -> tuple[str, ...]:
        of = self.record
        match of.about:
            case MeasurePart(item=what) | FindingRef(deviation=what):
                pass
            case _:
                what = of.plan or "all plans"
        by = f"{self.whose}: {self.whose.why}" if self.whose.why else str(self.whose)
        return str(of.seq), kind_of(of), what, to_the_second(of.time), by

    def as_json(self) -> dict[str, object]:
        by, held = self.whose, self.whose.state == HOLDS
        return {
            "record": self.record.seq,
            "kind": kind_of(self.record),
            "plan": self.record.plan,
            "time": stamped(self.record.time),
            "claimed": by.name,
            "by": by.name if held else None,
            "signature": by.state or NOT_ASKED,
            "why": by.why or None,
        }
