"""`ccdr controls`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import structs

from ccdr.cli.approving import package_option
from ccdr.cli.output import print_json, table, word
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.model.errors import Exit, UsageProblem, worst
from ccdr.model.values import rfc3339, so_many, to_the_second

if TYPE_CHECKING:
    from ccdr.evidence.controls.frameworks import FrameworkState
    from ccdr.evidence.controls.values import MeasureState, Observed, PartState
    from ccdr.plans.own_file import OwnFile
    from ccdr.telling.controls import Asked, Controls

SHOWN = "shown"
MOST_LISTED, FEW = 10, 5  # places, of what is not shown; of what is
NO_JUDGEMENT = f"{SHOWN} says that records show it, not that any law is kept: that is for people to say"


@verb(short_help="Which evidence there is for the twelve measures.")
@click.argument("names", metavar="[PLAN]...", nargs=-1)
@click.option(
    "--framework", "wanted", metavar="NAME", multiple=True, help="Tell all that this law or standard asks for."
)
@click.option("--map", "named", metavar="FILE", type=click.Path(path_type=Path), help="Map laws and standards by FILE.")
@click.option(
    "--print",
    "printed",
    type=click.Choice(["map", "floors"]),
    help="Print the map, or the floors of versions, that are used, to be copied and edited, and stop.",
)
@click.option("--examine", "look", is_flag=True, help="Look at secrets and repositories now, and record what is seen.")
@package_option
def controls(
    names: tuple[str, ...],
    wanted: tuple[str, ...],
    named: Path | None,
    printed: str | None,
    look: bool,
    package: Path | None,
) -> Exit:
    """Tell which evidence there is for the twelve measures by which a contact centre protects its data.

    Each part of a measure is `contradicted`, `expired`, `shown` by records, `stated` by a person until a day, or
    `nothing`, with who must state it or have it done. The first two come first. A measure tells how many of its parts
    are in which state; a statement never counts as shown. Behind each part stand the records that it rests on, by their
    numbers in the ledger. ccdr shows evidence; whether that is enough is for people to say.

    A map says which measures answer what laws and standards ask for: FILE, or controls.yaml beside the directory of
    plans, or the one that comes with ccdr. So do floors.yaml there, or ccdr's own, say which versions are asked for.

    Exits with 1 where a part is contradicted or expired and nobody has acknowledged it.

    \b
    Examples:
      ccdr controls
      ccdr controls outbound --json
      ccdr controls --examine
      ccdr controls --framework gdpr
      ccdr controls --package /mnt/evidence
      ccdr controls --print map > controls.yaml
      ccdr controls --print floors > floors.yaml
    """
    from ccdr.jobs.in_force import as_recorded
    from ccdr.telling.controls import Asked
    from ccdr.telling.controls import controls as asked

    options = settings()
    used = Asked.beside(options.plans, named) if package is None else Asked.with_map(named)
    if printed is not None:
        click.echo(used.map.raw if printed == "map" else used.floors.raw, nl=False)
        return Exit.OK
    if unknown := [one for one in wanted if one not in used.map.value.frameworks]:
        hint = f"it has {', '.join(used.map.value.frameworks)}"
        raise UsageProblem(f"the map has no framework {', '.join(map(ascii, unknown))}", hint=hint)
    if package is not None:
        if names or look:
            raise UsageProblem("--package tells of what is in it: plans, and what is to be seen now, are this host's")
        return _told(_in_package(package, used), wanted)
    loaded, wrong_plans = options.load_told(names)
    services = options.services()
    if look:
        from ccdr.jobs.examining import examine

        examine(loaded, loaded if not names else options.load_all(())[0], services)
    histories = services.histories()
    judged = [one.loaded for one in as_recorded(loaded, histories, services) if one.loaded]
    return worst([_told(asked(judged, services, histories, used), wanted), *(e.exit_code for e in wrong_plans)])


def _in_package(directory: Path, used: Asked) -> Controls:
    """As its records have them. CcdrError where it does not hold."""
    from ccdr.cli.report_package import in_package
    from ccdr.telling.package import report_of

    info = in_package(directory)[0]
    controls = report_of(directory, info, used).controls
    assert controls is not None  # of what is asked for
    return controls


def _told(found: Controls, wanted: Collection[str]) -> Exit:
    from ccdr.evidence.controls.registry import exit_of_measures

    if settings().json:
        shown = [one for one in found.frameworks if not wanted or one.name in wanted]
        print_json(replace(found, frameworks=shown).as_json())
    else:
        _tell(found)
        _tell_frameworks(found.frameworks, wanted)
        click.echo(f"\n{NO_JUDGEMENT}")
        click.echo(f"laws and standards by {_used(found.map)}\nversions by {_used(found.floors)}")
    return exit_of_measures(found.measures)


def _used(file: OwnFile[Any]) -> str:
    """Which file it was judged by."""
    told = file.as_json()
    return f"{told['file'] or 'the file that comes with ccdr'} (SHA-256 {told['sha256']})"


def _tell(found: Controls) -> None:
    """What is contradicted or expired first, of whichever measure; then each measure with its other parts."""
    for measure, part in found.wrong:
        _tell_part(part, f"{measure.measure.title}, {part.part.title}")
    if found.wrong:
        click.echo()
    table(
        ("measure", "its parts", "newest record behind it"),
        [(m.measure.title, m.tally, _newest(m)) for m in found.measures],
    )
    for measure in found.measures:
        click.echo(f"\n{measure.measure.title}: {measure.tally}")
        for part in measure.parts:
            if not part.is_wrong:
                _tell_part(part, f"  {part.part.title}")


def _newest(measure: MeasureState) -> str:
    newest = max(measure.evidence, key=lambda one: one.time, default=None)
    return "-" if newest is None else f"{to_the_second(newest.time)}, {so_many(len(measure.evidence), 'record')} in all"


def _tell_part(part: PartState, title: str) -> None:
    """What shows it is told in one line for each place, and all of it up to a point: --verbose, and --json, tell the
    rest."""
    click.echo(f"{title}: {word(part.state.value)}")
    if part.owner is not None:
        click.echo(f"    to be stated, or shown, by: {part.owner}")
    whole = settings().verbose
    well = [one for one in part.observed if one.state.value == SHOWN]
    wrong = [one for one in part.observed if one.state.value != SHOWN]
    step = None
    for one in wrong if whole else wrong[:MOST_LISTED]:
        click.echo(f"    {_line(one)}")
        if one.step is not None and one.step != step and one.acknowledged is None:
            click.echo(f"      → {one.step}")
        step = one.step
    if not whole and len(wrong) > MOST_LISTED:
        click.echo(f"    and {len(wrong) - MOST_LISTED} more: --verbose tells all")
    there = list(_by_place(well))
    for one in there if whole else there[:FEW]:
        click.echo(f"    {_line(one)}")
    if not whole and len(there) > FEW:
        click.echo(f"    {SHOWN}: {len(there) - FEW} more like these: --verbose tells all")


def _by_place(well: Sequence[Observed]) -> Iterator[Observed]:
    """All that is well of one place in one line."""
    of: dict[tuple[str | None, str | None], list[Observed]] = {}
    for one in well:
        of.setdefault((one.plan, one.asset), []).append(one)
    for there in of.values():
        text = "; ".join(dict.fromkeys(one.text for one in there))
        yield structs.replace(
            there[0], text=text, records=tuple(dict.fromkeys(r for one in there for r in one.records))
        )


def _line(one: Observed) -> str:
    where = f"{one.where}: " if one.where else ""
    numbers = ", ".join(str(r.seq) if r.ledger is None else f"{r.seq} of {r.ledger[:8]}" for r in one.records)
    named = f" [record{'s' if len(one.records) > 1 else ''} {numbers}]" if one.records else ""
    noted = f" (acknowledged until {rfc3339(one.acknowledged)})" if one.acknowledged else ""
    return f"{one.state.value}: {where}{one.text}{named}{noted}"


def _tell_frameworks(frameworks: Sequence[FrameworkState], wanted: Collection[str]) -> None:
    """How many of the parts that answer it are in which state; of those that are asked for, of each requirement."""
    from ccdr.evidence.controls.values import ControlState

    click.echo()
    rows = [(one.name, one.framework.title, *(str(count) for count in one.counts.values())) for one in frameworks]
    table(("framework", "title", *(state.value for state in ControlState)), rows)
    for one in frameworks:
        if one.name in wanted:
            click.echo(f"\n{one.framework.title}, {one.framework.source}")
            for asked in one.requirements:
                says = f"“{asked.requirement.quote}”" if asked.requirement.quote else asked.requirement.words
                click.echo(f"  {asked.number}: {asked.tally}: {says}")
                click.echo(f"    asked of {', '.join(asked.requirement.measures)}")
