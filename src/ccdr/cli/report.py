"""`ccdr report`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.approving import FILE, FOLDER
from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.cli.verbs import as_one, verb
from ccdr.model.errors import CcdrError, Exit, UsageProblem
from ccdr.model.values import human_bytes, rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan
    from ccdr.telling.report.build import Report
    from ccdr.telling.report.period import Period


@dataclass(frozen=True)
class _Period:
    """When it begins, by one option or the other, and when it ends."""

    first: str | None
    since: str | None
    last: str | None

    def asked(self, services: Services) -> Period:
        from ccdr.telling.report import period_of
        from ccdr.telling.report.taken_in import only_taken_in, told_until

        begins, option = (self.since, "--since") if self.first is None else (self.first, "--from")
        until = told_until(only_taken_in(services)) if self.last is None else None
        last = self.last if until is None else rfc3339(until)  # what stands now, only their hosts know
        return period_of(begins, last, services.clock.now(), first_record(services), begins=option)


@verb(short_help="What the evidence shows, for owners and auditors.")
@click.argument("names", metavar="[PLAN]...", nargs=-1)
@click.option(
    "--from",
    "first",
    metavar="D",
    help="Begin of the period: a date, an RFC 3339 time (UTC), or 7d before its end. [90d]",
)
@click.option("--since", metavar="D", help="The same as --from.")
@click.option("--to", "last", metavar="D", help="End of the period; a date is the whole day. [now]")
@click.option("--format", "form", type=click.Choice(["html", "json", "csv"]), help="What to write.  [default: html]")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it there, whole or not at all.")
@click.option("--whole", is_flag=True, help="Verify the whole ledger, including what the daily verification verified.")
@click.option("--words", is_flag=True, help="Include the reasons that people wrote when they acknowledged a trouble.")
@click.option("--signers", type=FILE, metavar="FILE", help="Who may sign a period (/etc/ccdr/allowed_signers).")
@click.option(
    "--package",
    type=FOLDER,
    metavar="DIR",
    help="Of a package, from its records; and by --signers, whose its statements are.",
)
@as_one("of", _Period)
def report(
    names: tuple[str, ...],
    of: _Period,
    form: str | None,
    out: Path | None,
    whole: bool,
    words: bool,
    signers: Path | None,
    package: Path | None,
) -> Exit:
    """Tell what the evidence of a period shows, for owners and auditors: can the contact centre be brought back?

    From the ledger, which is verified on the way, and the catalogue alone. What lies months before the period is not
    read again where the daily verification found it to hold: the report says up to which record, and --whole verifies
    all of it. A plan is judged by the version that was recorded when somebody last acted by it, at each time by the one
    that was in force; where its file differs, or is gone, the report says so. Who has acknowledged what stands in it;
    what they wrote for that is kept apart, to be taken back, and is in a report only with --words. The page needs
    nothing but itself; JSON has all of it, CSV each run of the period.

    With --package it is of a package that `ccdr ledger export` wrote, made anew from its records: with --out it writes
    the report. It tells of the statements in it, each with the name that its record claims: by whom they are, says the
    file of who may sign that you bring with --signers. Without it they are not verified, and the exit is 3.

    Exits with 1 where something is not as the plans want at the period's end, where an objective was breached
    in it, or where the ledger does not verify. ccdr writes the report anyway.

    \b
    Examples:
      ccdr report --out report.html
      ccdr report outbound --from 2026-07-01 --to 2026-09-30 --out q3.html
      ccdr report --since 7d --out week.html
      ccdr report --format csv --out population.csv
      ccdr report --json | jq .answer
      ccdr report --package /mnt/evidence --signers allowed_signers --out report.html
    """
    if package is not None:
        from ccdr.cli.report_package import report_package

        if names or of != _Period(None, None, None):
            raise UsageProblem("--package tells of what is in it: plans and periods are of this host's report")
        return report_package(package, signers, form or "html", out)
    import atexit
    import gc

    from ccdr.plans import plan_names
    from ccdr.plans.model import SIGNERS
    from ccdr.telling.controls import Asked
    from ccdr.telling.report import WRITERS, make_report

    # Hundreds of thousands of records, none in a cycle: the collector would walk all that is kept, again and again.
    gc.disable()
    atexit.register(gc.freeze)  # nor walk it and take it apart at the end, when it goes all at once
    options = settings()
    if options.json and out is None and form not in (None, "json"):
        raise UsageProblem(
            "--json and another --format contradict each other", hint="leave one of them out, or use --out"
        )
    if of.first is not None and of.since is not None:
        raise UsageProblem("--from and --since both say when the period begins", hint="leave one of them out")
    chosen = form or ("json" if options.json else "html")
    services = options.services()
    period = of.asked(services)
    there = plan_names(options.plans) if options.plans.is_dir() else []
    loaded = plans_of(names, there, services)
    command = shlex.join(["ccdr", *sys.argv[1:]])
    made = make_report(
        loaded,
        services,
        period,
        named=names,
        there=there,
        command=command,
        whole=whole,
        words=words,
        asked=Asked.beside(options.plans),
        signers=signers or SIGNERS,
    )
    pieces = WRITERS[chosen](made)
    if out is not None:
        return _written(made, out, pieces, in_json=options.json)
    for piece in pieces:
        click.echo(piece, nl=False)
    return made.exit_code


def plans_of(names: Sequence[str], there: Sequence[str], services: Services) -> list[LoadedPlan]:
    """A wrong --plans must not look like a centre without troubles; what the ledger knows the plans of needs none."""
    from ccdr.telling.report.taken_in import only_taken_in, require_in_force

    options = settings()
    loaded = [options.load(name) for name in names or there if name in there]
    require_in_force(loaded, only_taken_in(services))
    if not names and not loaded and not any(plan is not None for plan, _ in services.histories()):
        raise UsageProblem(f"there is no plan in {options.plans}", hint="name the directory with --plans")
    return loaded


def _written(made: Report, out: Path, pieces: Iterable[bytes], *, in_json: bool) -> Exit:
    """Into a file; on standard error (with --json on standard output, too) what it comes to."""
    size = written_to(out, pieces)
    if in_json:
        answer = {"word": made.answer.word, "level": made.answer.level.name, "sentence": made.answer.sentence}
        print_json({"answer": answer, "findings": len(made.findings), "rows": made.population.rows, "out": str(out)})
    click.echo(f"{made.answer.word}: {made.answer.sentence}", err=True)
    click.echo(f"ccdr: {out} has {so_many(made.population.rows, 'run')} of the period, {human_bytes(size)}", err=True)
    return made.exit_code


def written_to(path: Path, pieces: Iterable[bytes]) -> int:
    """Whole or not at all, and on disk when this returns: how many bytes. CcdrError where the disk refuses."""
    try:
        target = path.resolve()  # a link stays one
        if target.exists() and not target.is_file():
            return _pour(target, pieces)  # a pipe, /dev/stdout: there is nothing to replace
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            size = _pour(temporary, pieces)
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise UsageProblem(
            f"{path} cannot be written: {error.strerror}", hint="name a file in a directory that is there"
        ) from None
    except OSError as error:
        raise CcdrError(
            f"{path} cannot be written: {error.strerror}", hint="free space, or name another place with --out"
        ) from None
    return size


def _pour(path: Path, pieces: Iterable[bytes]) -> int:
    size = 0
    with path.open("wb") as file:
        for piece in pieces:
            size += file.write(piece)
        file.flush()
        with suppress(OSError):  # a pipe has no disk
            os.fsync(file.fileno())
    return size


def first_record(services: Services) -> datetime | None:
    """When the evidence begins, of this ledger or of one beside it; None where there is none, or it cannot be read: the
    report says why."""
    with suppress(CcdrError):
        ledgers = [services.ledger, *(chain.reader for chain in services.population().chains)]
        firsts = (next(ledger.as_read(), None) for ledger in ledgers)
        return min((record.time for record in firsts if record), default=None)
    return None
