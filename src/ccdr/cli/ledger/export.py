"""`ccdr ledger export`: a package for others to verify."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json
from ccdr.cli.progress import progress
from ccdr.cli.settings import settings
from ccdr.cli.trouble import tell_error
from ccdr.cli.verbs import as_one, verb
from ccdr.model.errors import Exit, LedgerBroken, UsageProblem
from ccdr.model.values import rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.jobs.package import Choice, PackageContents, Source
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan


@dataclass(frozen=True)
class _Wanted:
    """Of which period, plans and tenant; None, or none: all."""

    first: str | None
    last: str | None
    named: tuple[str, ...]
    tenant: str | None
    without_plans: bool
    dry_run: bool
    sqlite: bool


@verb(short_help="Write a package of the evidence, for others to verify.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--from", "first", metavar="D", help="Begin of the period: a date, or an RFC 3339 time (UTC).")
@click.option("--to", "last", metavar="D", help="End of the period; a date is the whole day. [now]")
@click.option("--plan", "named", metavar="PLAN", multiple=True, help="Records of this plan alone; may be repeated.")
@click.option("--tenant", metavar="T", help="Of plans that are this client's alone; nothing of any other.")
@click.option("--without-plans", is_flag=True, help="Leave the texts of plans out: they may name what is in the data.")
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
      ccdr ledger export q3 --from 2026-07-01 --to 2026-09-30
      ccdr ledger export for-acme --tenant acme --from 2026-01-01
      ccdr ledger export records.db --sqlite && sqlite3 records.db .schema
    """
    from ccdr.jobs.package import Choice, Order, require_room, sources, tenancy, told_of, write
    from ccdr.telling.package import closed, told_by_records

    options = settings()
    services = options.services()
    if wanted.sqlite:
        return _tables(directory, wanted, sources(services))
    require_room(directory)
    if wanted.named and wanted.tenant:
        raise UsageProblem("--plan and --tenant both say which plans", hint="leave one of them out")
    loaded, wrong_plans = _loaded(options.plans)
    of = tenancy(wanted.tenant, loaded, wrong_plans, sources(services)) if wanted.tenant else None
    for name in of.mixed if of is not None else ():
        click.echo(f"ccdr: the plan {name} is left out: it holds the data of other clients, too", err=True)
    plans = of.plans if of is not None else frozenset(wanted.named) or None
    choice, found = Choice(_period(wanted, services), plans, wanted.tenant), sources(services)
    if wanted.dry_run:
        return _dry(directory, choice, found)
    told = told_of(services, choice, found, texts=not wanted.without_plans)
    told, mark, lacks = closed(services, told, options.plans)
    for error in lacks:  # the package is written all the same: who verifies it sees what lacks
        tell_error(error, in_json=False)
    with progress() as watched:
        found = sources(services, mark)
        written = write(services, Order(choice, of, told), told_by_records, found, directory, watched)
    _tell(directory, found, written)
    holds = not any(isinstance(error, LedgerBroken) for error in lacks)
    return Exit.FINDING if not holds or written.missing_texts or _broken(found) else Exit.OK


def _tables(path: Path, wanted: _Wanted, found: list[Source]) -> Exit:
    from ccdr.evidence.ledger.verification import verify
    from ccdr.evidence.tables import written

    if any((wanted.first, wanted.last, wanted.named, wanted.tenant, wanted.without_plans, wanted.dry_run)):
        raise UsageProblem("--sqlite is of all records", hint="leave the other options out; SQL chooses among them")
    with progress() as watched, written(path) as tables:
        watched.step(f"reading {so_many(len(found), 'ledger')}")
        walks = [verify(o.directory, extent=o.extent, each=partial(tables.take, o.ledger)) for o in found]
    if settings().json:
        of = [{"ledger": name, "records": count} for name, count in tables.records.items()]
        print_json({"file": str(path), "ledger": found[0].ledger, "ledgers": of, "unread": tables.unread})
    else:
        click.echo(f"{so_many(sum(tables.records.values()), 'record')} in {path}")
        if tables.unread:
            click.echo(f"  note: {so_many(tables.unread, 'of them is', 'of them are')} not read by this ccdr")
    return Exit.OK if all(walk.ok for walk in walks) else Exit.FINDING


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


def _period(wanted: _Wanted, services: Services) -> tuple[datetime, datetime] | None:
    """None: all that there is."""
    from ccdr.cli.report import first_record
    from ccdr.telling.report import period_of

    if wanted.first is None and wanted.last is None:
        return None
    begins = first_record(services)
    first = wanted.first or (rfc3339(begins) if begins is not None else None)
    period = period_of(first, wanted.last, services.clock.now(), begins)
    return period.start, period.end


def _broken(found: list[Source]) -> bool:
    from ccdr.evidence.ledger.verification import verify

    return bool(verify(found[0].directory).problems)


def _dry(directory: Path, choice: Choice, found: list[Source]) -> Exit:
    begins, ends = map(rfc3339, choice.period) if choice.period is not None else (None, None)
    plans = None if choice.plans is None else sorted(choice.plans)
    if settings().json:
        body = {"directory": str(directory), "ledger": found[0].ledger, "from": begins, "to": ends}
        print_json({**body, "ledgers": [one.ledger for one in found], "plans": plans})
        return Exit.OK
    click.echo(f"{directory} would hold {'all records' if begins is None else f'the records of {begins} to {ends}'}")
    for one in found:
        click.echo(f"  ledger {one.ledger[:8]}…{'' if one.ours else ', of another host or from before'}")
    for plan in plans or ():
        click.echo(f"  plan {plan}")
    return Exit.OK


def _tell(directory: Path, found: list[Source], written: PackageContents) -> None:
    shown, total = written.lines[found[0].ledger]
    if settings().json:
        counted = [{"ledger": name, "records": of, "shown": some} for name, (some, of) in written.lines.items()]
        body = {"directory": str(directory), "ledger": found[0].ledger, "records": total, "shown": shown}
        body |= {"ledgers": counted, "checkpoints": written.checkpoints, "statements": written.statements}
        body |= {"sign_offs": written.sign_offs}
        print_json({**body, "plan_texts": written.plan_texts, "missing_texts": written.missing_texts})
        return
    part = "" if shown == total else f" of {total}, the others as hashes"
    what = f"{so_many(shown, 'record')}{part}, {so_many(written.checkpoints, 'checkpoint')}"
    click.echo(f"{what}, {so_many(written.statements, 'restore test')} in {directory}")
    for one in written.missing_texts:
        click.echo(f"  note: the text of the plan {one} is not kept here any more")
    if not written.checkpoints:
        click.echo("  note: no key signs this ledger: `ccdr ledger key create` makes one")
