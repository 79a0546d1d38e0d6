"""`ccdr ledger export`: a package for others to verify."""

from __future__ import annotations

import json
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json
from ccdr.cli.progress import progress
from ccdr.cli.settings import settings
from ccdr.cli.trouble import tell_error
from ccdr.cli.verbs import as_one, verb
from ccdr.model.errors import CcdrError, Exit, LedgerBroken, UsageProblem
from ccdr.model.values import rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.evidence.ledger.ledger import Ledger
    from ccdr.jobs.package import PackageContents, Source, Tenancy, Told
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan
    from ccdr.telling.report import Period, Report
    from ccdr.telling.report.chains import ChainFacts
    from ccdr.telling.report.runs import RecordedRun


@dataclass(frozen=True)
class _Wanted:
    """Of which period, plans and tenant; None, or none: all."""

    first: str | None
    last: str | None
    named: tuple[str, ...]
    tenant: str | None
    with_plans: bool
    dry_run: bool
    sqlite: bool

    @property
    def whole(self) -> bool:
        return not (self.first or self.last or self.named or self.tenant)


@verb(short_help="Write a package of the evidence, for others to verify.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--from", "first", metavar="D", help="Begin of the period: a date, or an RFC 3339 time (UTC).")
@click.option("--to", "last", metavar="D", help="End of the period; a date is the whole day. [now]")
@click.option("--plan", "named", metavar="PLAN", multiple=True, help="Records of this plan alone; may be repeated.")
@click.option("--tenant", metavar="T", help="Of plans that are this client's alone; nothing of any other.")
@click.option("--with-plans", is_flag=True, help="Include the texts of plans, which may name what is in the data.")
@click.option("--dry-run", is_flag=True, help="Say what it would hold, and write nothing.")
@click.option("--sqlite", is_flag=True, help="Not a package: all records as tables, in a SQLite database of that name.")
@as_one("wanted", _Wanted)
def export(directory: Path, wanted: _Wanted) -> Exit:
    """Write a package of the evidence (BagIt, RFC 8493) to DIR, which must be empty or not there: records, signed
    checkpoints, the report of the period, restore tests as in-toto statements. `ccdr ledger verify DIR` verifies it
    anywhere; docs/how-to/verify-a-package.md does so without ccdr.

    Without --from, --to, --plan and --tenant it holds the whole ledger, and each that lies beside it. Else it holds the
    records of that period and of these plans; of all others it holds only hashes. LIMITS.txt in it says what it cannot
    show. A checkpoint is signed first, where the ledger has a key.

    Exits with 1 where the ledger does not verify. ccdr writes the package anyway.

    With --sqlite it writes all records, of each ledger that is here, as tables for a person's own questions: one for
    each kind of record, `.schema` says what each column means. It proves nothing: a package does.

    \b
    Examples:
      ccdr ledger export /mnt/auditor/package
      ccdr ledger export q3 --from 2026-07-01 --to 2026-09-30 --with-plans
      ccdr ledger export for-acme --tenant acme --from 2026-01-01
      ccdr ledger export records.db --sqlite && sqlite3 records.db .schema
    """
    from ccdr.jobs.package import Choice, Order, require_room, sources, tenancy, write

    options = settings()
    services = options.services()
    if wanted.sqlite:
        return _tables(directory, wanted, sources(services, beyond=True))
    require_room(directory)
    if wanted.named and wanted.tenant:
        raise UsageProblem("--plan and --tenant both say which plans", hint="leave one of them out")
    loaded, wrong_plans = _loaded(options.plans)
    of = tenancy(wanted.tenant, loaded, wrong_plans, sources(services, beyond=True)) if wanted.tenant else None
    for name in of.mixed if of is not None else ():
        click.echo(f"ccdr: the plan {name} is left out: it holds the data of other clients, too", err=True)
    plans = of.plans if of is not None else frozenset(wanted.named) or None
    report, period = _report(wanted, loaded, services, plans, of)
    wrong = bool(report.ledger.verification.problems) if report is not None else None
    signed = None if wanted.dry_run else _checkpoint(services)
    found = sources(services)
    told = _told(report, period, services, of)
    choice = Choice(None if wanted.first is None and wanted.last is None else told.period, plans, of is not None)
    order = Order(choice, of, wanted.with_plans, shlex.join(["ccdr", *sys.argv[1:]]))
    if wanted.dry_run:
        return _dry(directory, told, found, of)
    with progress() as watched:
        written = write(services, order, told, found, directory, watched)
    if wrong is None:
        wrong = _broken(found)
    _tell(directory, found, written, told)
    return Exit.FINDING if wrong or signed is False else Exit.OK


def _tables(path: Path, wanted: _Wanted, found: list[Source]) -> Exit:
    from ccdr.evidence.ledger.ledger import lines
    from ccdr.evidence.tables import write

    if not wanted.whole or wanted.with_plans or wanted.dry_run:
        raise UsageProblem("--sqlite is of all records", hint="leave the other options out; SQL chooses among them")
    with progress() as watched:
        watched.step(f"reading {so_many(len(found), 'ledger')}")
        written = write(path, {one.ledger: lines(one.directory, one.extent) for one in found})
    wrong = _broken(found)
    if settings().json:
        of = [{"ledger": name, "records": count} for name, count in written.records.items()]
        print_json({"file": str(path), "ledger": found[0].ledger, "ledgers": of, "unread": written.unread})
    else:
        click.echo(f"{so_many(sum(written.records.values()), 'record')} in {path}")
        if written.unread:
            click.echo(f"  note: {so_many(written.unread, 'of them is', 'of them are')} not read by this ccdr")
    return Exit.FINDING if wrong else Exit.OK


def _loaded(plans: Path) -> tuple[list[LoadedPlan], list[str]]:
    """And the names of those whose files are wrong: they must not keep the evidence of the others back."""
    from ccdr.model.errors import PlanInvalid, PlanNewer
    from ccdr.plans import plan_names

    options, loaded, wrong = settings(), list["LoadedPlan"](), list[str]()
    for name in plan_names(plans) if plans.is_dir() else ():
        try:
            loaded.append(options.load(name))
        except (PlanInvalid, PlanNewer) as error:
            click.echo(f"ccdr: {error}", err=True)
            wrong.append(name)
    return loaded, wrong


def _report(
    wanted: _Wanted,
    loaded: list[LoadedPlan],
    services: Services,
    plans: frozenset[str] | None,
    tenancy: Tenancy | None,
) -> tuple[Report | None, Period]:
    """None where nobody knows a plan: the ledger is given away without, too, where all of it is."""
    from ccdr.plans import plan_names
    from ccdr.plans.versions import PLAN_VERSION
    from ccdr.telling.controls import Asked
    from ccdr.telling.report import make_report, period_of

    options = settings()
    begins = _first_record(services)
    first = wanted.first or (rfc3339(begins) if begins is not None else None)
    period = period_of(first, wanted.last, services.clock.now(), begins)
    asked = [one for one in loaded if plans is None or one.plan.plan in plans]
    ledgers = (services.ledger, *(chain.reader for chain in services.population().chains))
    known = bool(asked) or any(next(one.newest(PLAN_VERSION), None) for one in ledgers)  # no fold: that takes long
    if not known and wanted.whole:
        click.echo("ccdr: there is no plan here: no report, population and controls.json are in the package", err=True)
        return None, period
    there = plan_names(options.plans) if options.plans.is_dir() else []
    there = [name for name in there if plans is None or name in plans]
    made = make_report(
        asked,
        services,
        period,
        named=sorted(plans or ()),
        there=there,
        command=shlex.join(["ccdr", *sys.argv[1:]]),
        asked=Asked.beside(options.plans),
        signers=None,  # whose statements are is for whoever gets it to say, by a file of their own
        reader=tenancy,
    )
    if tenancy is not None:
        made = replace(made, ledger=replace(made.ledger, beside=_beside(made, tenancy)))
        made = _without_others(made, services, tenancy)
    return made, period


def _without_others(made: Report, services: Services, tenancy: Tenancy) -> Report:
    """How a plan's secrets are kept may name other plans that have the same password: such a record stands as a hash,
    and has no row."""
    from ccdr.evidence.history.kinds import EXAMINED
    from ccdr.telling.report.population_csv import digest_of

    readers: dict[str | None, Ledger] = {one.ledger: one.reader for one in services.population().chains}
    readers[None] = services.ledger

    def own(run: RecordedRun) -> bool:
        if run.verb != EXAMINED:
            return True
        record = readers[run.ledger].numbered(run.number)
        return record is not None and tenancy.told_in(json.dumps(record, ensure_ascii=False)) is None

    runs = tuple(filter(own, made.runs))
    return made if len(runs) == len(made.runs) else replace(made, runs=runs, population=digest_of(runs))


def _beside(made: Report, tenancy: Tenancy) -> tuple[ChainFacts, ...]:
    """Other hosts' ledgers that tell of this client, without the plans of others."""
    theirs = {run.ledger for run in made.runs}

    def own(one: ChainFacts) -> ChainFacts:
        compared = {plan: found for plan, found in one.compared.items() if plan in tenancy.plans}
        return replace(one, chain=replace(one.chain, apart=()), compared=compared)

    return tuple(own(one) for one in made.ledger.beside if one.chain.ledger in theirs)


def _first_record(services: Services) -> datetime | None:
    """The earliest of ours, and of those beside it."""
    from ccdr.cli.report import first_record

    return first_record(services)


def _checkpoint(services: Services) -> bool | None:
    """So that the package ends with one: was it signed? None where no key signs here."""
    from ccdr.jobs.checkpoints.creation import current, make

    try:
        if current(services) is None:
            return None
        make(services)
    except LedgerBroken as error:
        tell_error(error, in_json=False)
        return False
    except CcdrError as error:
        tell_error(error, in_json=False)
        return None
    return True


def _told(report: Report | None, period: Period, services: Services, tenancy: Tenancy | None) -> Told:
    import orjson

    from ccdr.jobs.package import Told
    from ccdr.telling.report import WRITERS

    if report is None:
        return Told({}, {}, None, (period.start, period.end), services.clock.now())
    rows: dict[str | None, set[int]] = defaultdict(set)
    for run in report.runs:
        rows[run.ledger].add(run.number)
        if run.end_number is not None:
            rows[run.ledger].add(run.end_number)
    rows[None].update(number for number in _sign_offs(report, services))
    documents = {
        "population.csv": lambda: WRITERS["csv"](report),
        "report.json": lambda: WRITERS["json"](report),
        "report.html": lambda: WRITERS["html"](report),
    }
    if report.controls is not None:
        controls = orjson.dumps(report.controls.as_json(), option=orjson.OPT_INDENT_2) + b"\n"
        documents["controls.json"] = lambda: iter((controls,))
    return Told(
        documents,
        {ledger: frozenset(numbers) for ledger, numbers in rows.items()},
        (report.population.rows, report.population.sha256),
        (report.period.start, report.period.end),
        report.made_at,
    )


def _sign_offs(report: Report, services: Services) -> Iterator[int]:
    """Their records in our ledger: they come after the period that they are of."""
    from ccdr.evidence.records.statements import kind_of
    from ccdr.evidence.statements import SIGNED_OFF

    for one in report.sign_offs:
        record = services.ledger.numbered(one.record)
        if record is not None and kind_of(record) == SIGNED_OFF and record["nonce"] == one.nonce:
            yield one.record


def _broken(found: list[Source]) -> bool:
    from ccdr.evidence.ledger.verification import verify

    return bool(verify(found[0].directory).problems)


def _dry(directory: Path, told: Told, found: list[Source], of: Tenancy | None) -> Exit:
    begins, ends = (rfc3339(one) for one in told.period)
    rows = None if told.population is None else told.population[0]
    plans = None if of is None else sorted(of.plans)
    if settings().json:
        body = {"directory": str(directory), "ledger": found[0].ledger, "from": begins, "to": ends, "rows": rows}
        print_json({**body, "ledgers": [one.ledger for one in found], "plans": plans})
        return Exit.OK
    click.echo(f"{directory} would hold the records of {begins} to {ends}, {so_many(rows or 0, 'row')} of runs")
    for one in found:
        click.echo(f"  ledger {one.ledger[:8]}…{'' if one.ours else ', of another host or from before'}")
    for plan in plans or ():
        click.echo(f"  plan {plan}")
    return Exit.OK


def _tell(directory: Path, found: list[Source], written: PackageContents, told: Told) -> None:
    shown, total = written.lines[found[0].ledger]
    if settings().json:
        counted = [{"ledger": name, "records": of, "shown": some} for name, (some, of) in written.lines.items()]
        body = {"directory": str(directory), "ledger": found[0].ledger, "records": total, "shown": shown}
        body |= {"ledgers": counted, "rows": None if told.population is None else told.population[0]}
        body |= {"checkpoints": written.checkpoints, "statements": written.statements, "sign_offs": written.sign_offs}
        print_json({**body, "plan_texts": written.plan_texts, "missing_texts": written.missing_texts})
        return
    part = "" if shown == total else f" of {total}, the others as hashes"
    what = f"{so_many(shown, 'record')}{part}, {so_many(written.checkpoints, 'checkpoint')}"
    click.echo(f"{what}, {so_many(written.statements, 'restore test')} in {directory}")
    for one in written.missing_texts:
        click.echo(f"  note: the text of the plan {one} is not kept here any more")
    if not written.checkpoints:
        click.echo("  note: no key signs this ledger: `ccdr ledger key create` makes one")
