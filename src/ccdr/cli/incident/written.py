"""`ccdr incident draft` and `register`: what is written for others, and sent by nobody but them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.incident.statements import incident_argument
from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.cli.verbs import complete_plans, verb
from ccdr.model.errors import CcdrError, Exit, UsageProblem
from ccdr.model.values import so_many

if TYPE_CHECKING:
    from ccdr.evidence.incidents import Incident
    from ccdr.jobs.incidents import Known
    from ccdr.jobs.incidents.facts import Facts
    from ccdr.jobs.services import Services

OUT = click.Path(dir_okay=False, path_type=Path)


@verb(short_help="Draft a notification from recorded facts.")
@incident_argument
@click.option("--to", type=click.Choice(["authority", "customers"]), help="The authority; controllers, or persons.")
@click.option("--for", "clock", metavar="CLOCK", help="What this clock asks for, in place of --to.")
@click.option("--tenant", metavar="T", help="To this one of several controllers: their data alone.")
@click.option("--lang", type=click.Choice(["en", "ro"]), default="en", show_default=True, help="In which language.")
@click.option("--out", type=OUT, metavar="FILE", help="Write it there (mode 0600), where nothing is yet.")
def draft(name: str, to: str | None, clock: str | None, tenant: str | None, lang: str, out: Path | None) -> Exit:
    """Draft a notification of the incident ID from recorded facts alone, each with its record. What ccdr cannot know is
    a blank that says so. Nothing is sent: a person completes it, decides, and files it.

    For the authority it has what GDPR 33(3)(a) to (d) asks for. For customers: of a processor the controllers (33(2)),
    else the persons (34(2)). A processor of several controllers (`tenant:` of the plan's assets) drafts one for each:
    --tenant says which, and it names that one's data alone. What NIS2 23(4) asks for has a draft of its own: --for
    with its clock.

    \b
    Examples:
      ccdr incident draft inc-20261124-3f9a2c --to authority
      ccdr incident draft inc-20261124-3f9a2c --to customers --lang ro --out informare.md
      ccdr incident draft inc-20261124-3f9a2c --to customers --tenant acme
      ccdr incident draft inc-20261124-3f9a2c --for nis2-23-warning
    """
    from ccdr.jobs.incidents import find
    from ccdr.jobs.incidents.facts import facts_of
    from ccdr.telling.incidents.english import ENGLISH
    from ccdr.telling.incidents.romanian import ROMANIAN

    services = settings().services()
    known = find(services, name)
    of = _asked(known.incident, to, clock)
    _require_tenant(known.incident, of, tenant)
    language = {"en": ENGLISH, "ro": ROMANIAN}[lang]
    to_whom, text = _drafted(known, facts_of(known, services, tenant), of, lang, services, tenant)
    if out is not None:
        _write(out, [text.encode()])
    if settings().json:
        document = {"incident": name, "to": to_whom, "tenant": tenant, "lang": lang, "out": out and str(out)}
        print_json({**document, "text": text})
    elif out is None:
        click.echo(text, nl=False)
    else:
        blanks = text.count(language.blank.partition(":")[0])
        click.echo(f"{out} is a draft with {so_many(blanks, 'blank')} to be filled in; nothing was sent")
    return Exit.OK


def _require_tenant(incident: Incident, of: str, tenant: str | None) -> None:
    """UsageProblem where it is to one of several controllers, and nobody says which; or is not, and somebody does."""
    several = incident.controllers if of == "customers" else []
    if several and tenant is None:
        raise UsageProblem(
            f"{incident.name} concerns the data of {', '.join(several)}: each is told of their own data alone",
            hint="--tenant T says to whom this one is; make one for each",
        )
    if tenant is not None and tenant not in several:
        there = f"it concerns {', '.join(several)}" if several else "this draft is to one receiver: leave --tenant out"
        raise UsageProblem(f"there is no notice to a controller {tenant[:63]!a} of several", hint=there)


def _asked(incident: Incident, to: str | None, clock: str | None) -> str:
    """To whom, or one of the clocks that have a draft of their own. UsageProblem where ccdr has none for it."""
    from ccdr.evidence.incidents import OWN_DRAFTS

    if (to is None) == (clock is None):
        raise UsageProblem("a draft needs one of --to and --for", hint="--to authority, --to customers, or --for CLOCK")
    if to is not None:
        return to
    duty = next((one for one in incident.duties if one.clock == clock), None)
    if duty is None:
        there = ", ".join(one.clock for one in incident.duties) or "none"
        also = f"`ccdr incident note {incident.name} --clock CLOCK` lets one more count"
        raise UsageProblem(f"{incident.name} has no clock {str(clock)[:40]!a}", hint=f"it has {there}; {also}")
    if duty.clock in OWN_DRAFTS:
        return duty.clock
    if duty.clock not in ("gdpr-33", "gdpr-33-2", "gdpr-34"):
        facts = f"`ccdr incident draft {incident.name}` (--to {duty.facts_to})"
        hint = f"take facts from {facts} into the form that it asks for"
        raise UsageProblem(f"ccdr has no draft for {duty.law} ({duty.clock})", hint=hint)
    return duty.to


def _drafted(known: Known, facts: Facts, of: str, lang: str, services: Services, tenant: str | None) -> tuple[str, str]:
    """To whom it is, and its text."""
    from ccdr.evidence.incidents import OWN_DRAFTS
    from ccdr.telling.incidents.draft import draft, receiver_of
    from ccdr.telling.incidents.english import ENGLISH
    from ccdr.telling.incidents.nis2 import NIS2_ENGLISH, NIS2_ROMANIAN, nis2_draft
    from ccdr.telling.incidents.romanian import ROMANIAN
    from ccdr.telling.status import clocks_of

    language, forms = {"en": (ENGLISH, NIS2_ENGLISH), "ro": (ROMANIAN, NIS2_ROMANIAN)}[lang]
    now = clocks_of(services).of(known.entry)
    if of in OWN_DRAFTS:
        return "authority", nis2_draft(known.incident, facts, of, now, language, forms)
    return receiver_of(known.incident, of), draft(known.incident, facts, of, now, language, tenant)


@verb(short_help="Export the register of GDPR 33(5).")
@click.argument("names", metavar="[PLAN]...", nargs=-1, shell_complete=complete_plans)
@click.option("--from", "first", metavar="D", help="From this date, time, or so long before --to (default: all).")
@click.option("--to", "last", metavar="D", help="To this date, or time (default: now).")
@click.option("--format", "form", type=click.Choice(["csv", "json"]), help="csv, unless --json says otherwise.")
@click.option("--out", type=OUT, metavar="FILE", help="Write it there (mode 0600), where nothing is yet.")
def register(names: tuple[str, ...], first: str | None, last: str | None, form: str | None, out: Path | None) -> Exit:
    """Export the register that GDPR 33(5) asks for: facts, effects and remedial action of every incident that was open
    in the period, closed ones too, with how many they are and a digest of all of it.

    It holds what people wrote for an incident: give it only to whom it is for.

    \b
    Examples:
      ccdr incident register > register.csv
      ccdr incident register --from 2026-01-01 --to 2026-12-31 --format json --out register.json
    """
    from ccdr.telling.incidents.register import register as made
    from ccdr.telling.report.period import LONG_AGO, Period, period_of

    services = settings().services()
    now = services.clock.now()
    period = (
        period_of(first, last, now) if first is not None else Period(LONG_AGO, period_of("1s", last, now).end, True)
    )
    command = shlex.join(["ccdr", *sys.argv[1:]])
    found = made(services, period, command, names or None)
    as_json = form == "json" or (form is None and settings().json)
    if settings().json and form == "csv" and out is None:
        raise UsageProblem("--json and --format csv contradict each other", hint="leave one out, or use --out FILE")
    if out is not None:
        import orjson

        _write(out, [orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2), b"\n"] if as_json else found.csv())
        summary = {"incidents": len(found.rows), "csv_sha256": found.sha256, "out": str(out)}
        if settings().json:
            print_json(summary)
        else:
            click.echo(f"{out} has {so_many(len(found.rows), 'incident')}, SHA-256 of heading and rows {found.sha256}")
    elif as_json:
        print_json(found.as_json())
    else:
        for piece in found.csv():
            click.echo(piece, nl=False)
    return Exit.OK


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    """UsageProblem where something is there, or the directory is not; CcdrError where the disk refuses."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise UsageProblem(f"{path} is there already", hint="name a file that does not exist yet") from None
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = "name a file in a directory that is there"
        raise UsageProblem(f"{path} cannot be written: {error.strerror}", hint=hint) from None
    except OSError as error:
        raise CcdrError(
            f"{path} cannot be written: {error.strerror}", hint="free space, or name another place"
        ) from None
