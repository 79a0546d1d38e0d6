"""The evidence: shown (`ccdr ledger show`), verified, exported, brought back, and other hosts' taken in."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ccdr.cli.output import print_json, table, word
from ccdr.cli.settings import settings
from ccdr.cli.verbs import EXIT_STATUS, verb
from ccdr.model.errors import CcdrError, Exit, UsageProblem, worst
from ccdr.model.values import rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.evidence.ledger.ledger import Ledger
    from ccdr.evidence.ledger.verification import Verification
    from ccdr.jobs.attest import Outcome
    from ccdr.jobs.attest.taking_in import Taken
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan

CONSISTENT = "internally consistent"


@click.group(epilog=EXIT_STATUS)
def ledger() -> None:
    """The evidence: every run's start and end, chained by hash."""


@verb()
@click.option("--plan", help="Only records of this plan.")
@click.option("--asset", help="Only records of this asset.")
@click.option("--kind", help="Only records of this kind, such as restore_test.end.")
@click.option("--ledger", "which", metavar="ID", help="Another ledger that is here, by the beginning of its id.")
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many, the newest ones.")
def show(plan: str | None, asset: str | None, kind: str | None, which: str | None, last: int) -> Exit:
    """Show the newest records.

    \b
    Examples:
      ccdr ledger show
      ccdr ledger show --plan outbound --kind restore_test.end --json
      ccdr ledger show --ledger 3f2a    one that was collected, or brought back
    """
    options = settings()
    wanted = {"plan": plan, "asset": asset, "kind": kind}
    records = _ledger(options.services(), which).records()
    kept = deque((r for r in records if all(v is None or r.get(k) == v for k, v in wanted.items())), maxlen=last)
    if options.json:
        print_json({"records": list(kept)})
        return Exit.OK
    rows = [
        (
            str(r["seq"]),
            str(r["time"])[:19] + "Z",
            str(r["kind"]),
            "/".join(str(r[of]) for of in ("plan", "asset") if r.get(of)),
            word(str(r.get("verdict") or r.get("result") or "")),
            str(r.get("reason") or ""),
        )
        for r in kept
    ]
    table(("seq", "time", "kind", "asset", "result", "reason"), rows)
    return Exit.OK


def _ledger(services: Services, which: str | None) -> Ledger:
    """The live one, or another one that is here."""
    from ccdr.evidence.lineage.beside import reader
    from ccdr.jobs.attest.beside import others

    if which is None or (services.lineage().ledger or "").startswith(which or "-"):
        return services.ledger
    found = [path for name, path in others(services.state) if name.startswith(which)]
    if len(found) != 1:
        here = ", ".join(name for name, _ in others(services.state)) or "none"
        raise UsageProblem(f"{'no' if not found else 'more than one'} ledger here is {which}…", hint=f"there is {here}")
    return reader(found[0])


@verb()
@click.argument("where", metavar="[DIRECTORY | PLAN...]", nargs=-1)
@click.option("--repository", is_flag=True, help="Compare with what the snapshots of PLAN... (of all) attest, too.")
def verify(where: tuple[str, ...], repository: bool) -> Exit:
    """Verify the chain of the live ledger, or of the one in DIRECTORY. Of the live one, the summary that `ccdr status`
    is read from is made anew and compared, too, and so is what is kept of it elsewhere in the state directory; other
    ledgers that are here are verified as well.

    Exits 0 if all holds: then it is internally consistent. Crashed runs are reported, and are not verification
    failures. Exits 3 where a later ccdr wrote some of it, which this one cannot judge. A chain alone cannot
    show that its newest records were cut off, and whoever can rewrite every file can chain it anew: the snapshots in
    the repositories can show it, and with --repository they are asked.

    \b
    Examples:
      ccdr ledger verify
      ccdr ledger verify --repository
      ccdr ledger verify --repository outbound
      ccdr ledger verify /mnt/auditor/export
    """
    if repository or not where:
        return _verify_live(where, repository=repository)
    if len(where) > 1:
        raise UsageProblem("one DIRECTORY can be verified at a time", hint="--repository takes the names of plans")
    directory = Path(where[0])
    if not directory.is_dir():
        raise UsageProblem(f"there is no directory {directory}", hint="--repository takes the names of plans")
    return _verify_directory(directory)


def _verify_directory(directory: Path) -> Exit:
    from ccdr.evidence.ledger.verification import verify as verify_ledger
    from ccdr.evidence.lineage.beside import id_in, misnamed

    found = verify_ledger(directory)
    if found.records == 0 and found.ok:
        raise UsageProblem(f"{directory} holds no ledger: nothing was verified", hint="name the directory of *.jsonl")
    problems = (*found.problems, *(misnamed(directory) if found.ok else ()))
    crashes = _crashes(found, frozenset())
    if settings().json:
        print_json({**_found(found, problems, crashes), "ledger": id_in(directory) if found.ok else None})
    else:
        _tell(found, problems, crashes)
    return _judged(found, problems)


def _verify_live(names: Sequence[str], *, repository: bool) -> Exit:
    from ccdr.evidence.ledger.verification import verify as verify_ledger
    from ccdr.jobs.attest import by_what_is_known, here, troubles
    from ccdr.jobs.attest.beside import others
    from ccdr.jobs.verification import DIFFERS, EQUAL, compare

    options = settings()
    services = options.services()
    plans = [options.load(name) for name in names] if names else []
    if repository and not names:
        plans, wrong = options.load_all(())
        for why in wrong:
            click.echo(f"ccdr: {why}", err=True)
    at_work: frozenset[str] = frozenset()
    with contextlib.suppress(CcdrError):  # who may only read the state cannot tell
        at_work = services.state.runs_at_work()  # first: they may end while it is read
    compared = compare(services)
    outcomes, failed = _asked(plans, services) if repository else ([], [])
    lineage = services.lineage()
    said = here(services, lineage, services.catalogue.newest())
    of_ledger = [p.text for p in (*troubles(lineage), *by_what_is_known(said))]
    of_plans = _plans_not_kept(services) if compared.ledger.ok else []
    beside = {name: verify_ledger(path) for name, path in others(services.state)}
    of_others = [f"ledger {name[:8]}…: {said}" for name, found in beside.items() for said in found.problems]
    seen = [said for outcome in outcomes for said in outcome.as_json()["problems"]]  # type: ignore[attr-defined]
    problems = tuple(dict.fromkeys((*compared.problems, *of_ledger, *of_plans, *of_others)))
    unread = tuple(
        f"ledger {name[:8]}…: it lies here, and no record of ours tells of it: it is not read; "
        f"`ccdr ledger collect` of it takes it in"
        for name in beside
        if name not in lineage.beside
    )
    compared = replace(compared, ledger=replace(compared.ledger, notes=(*compared.ledger.notes, *unread)))
    problems += tuple(said for said in seen if not any(str(said) in one for one in problems))
    crashes = _crashes(compared.ledger, at_work)
    if options.json:
        document: dict[str, Any] = {
            **_found(compared.ledger, problems, crashes),
            "summary": compared.summary,
            "ledger": lineage.ledger,
            "others": {name: {"records": found.records, "ok": found.ok} for name, found in beside.items()},
        }
        if repository:
            document["repositories"] = [outcome.as_json() for outcome in outcomes]
            document["not_asked"] = {plan: str(error) for plan, error in failed}
        print_json(document)
    else:
        _tell(compared.ledger, problems, crashes)
        for outcome in outcomes:
            click.echo(f"  {_agreed(outcome)}")
        if compared.summary == EQUAL:
            click.echo("  the summary that `ccdr status` reads agrees with the records")
        elif compared.summary == DIFFERS:
            click.echo("  → find out who wrote to it, then remove it: ccdr builds it again from the ledger")
    for plan, error in failed:
        click.echo(f"ccdr: {plan}: ccdr could not ask its repository: {error}", err=True)
    return worst([_judged(compared.ledger, problems), *(error.exit_code for _, error in failed)])


def _plans_not_kept(services: Services) -> list[str]:
    """Versions of plans whose files are gone, or were changed: of all there ever were."""
    from ccdr.jobs.in_force import not_kept

    histories = services.histories()
    plans = dict.fromkeys(plan for plan, _ in histories if plan is not None)
    return [
        f"the files of the plan {v.plan} of {rfc3339(v.at)[:19]}Z ({v.record}) are not kept any more as they were"
        for plan in plans
        for v in not_kept(plan, services, histories, most=None)
    ]


def _asked(plans: Sequence[LoadedPlan], services: Services) -> tuple[list[Outcome], list[tuple[str, CcdrError]]]:
    """What the repositories attest. It is recorded, where that can be written: an auditor may only read."""
    from ccdr.jobs.attest import compare, looked, record

    outcomes, failed = [], []
    for loaded in plans:
        try:
            listed, vanished = looked(loaded, services)
            outcome = compare(services, loaded.plan.plan, listed, vanished=vanished)
        except CcdrError as error:
            failed.append((loaded.plan.plan, error))
            continue
        with contextlib.suppress(CcdrError):
            record(services, outcome, by_hand=True)
        outcomes.append(outcome)
    return outcomes, failed


def _agreed(outcome: Outcome) -> str:
    said = f"the repository of {outcome.plan}: {so_many(outcome.snapshots, 'snapshot attests', 'snapshots attest')} it"
    if outcome.snapshots:
        said += f", up to record {outcome.newest}"
    if outcome.unattested:
        said += f"; {so_many(outcome.unattested, 'is', 'are')} from before snapshots did"
    if outcome.elsewhere:
        said += f"; {so_many(outcome.elsewhere, 'is', 'are')} of other ledgers, not known here"
    return said


def _crashes(found: Verification, at_work: frozenset[str]) -> list[str]:
    crashed = [c for c in found.crashes if c.run not in at_work]
    return [f"{c.kind} of {c.plan}/{c.asset}, run {c.run}, {rfc3339(c.time)}: no end" for c in crashed]


def _found(found: Verification, problems: Sequence[object], crashes: Sequence[str]) -> dict[str, Any]:
    return {
        "ok": not problems,
        "says": None if problems or found.newer else CONSISTENT,
        "records": found.records,
        "head": found.head,
        "problems": list(problems),
        "summary": None,
        "notes": list(found.notes),
        "crashes": list(crashes),
        "torn_bytes": found.torn_bytes,
        "newer": found.newer,
    }


def _judged(found: Verification, problems: Sequence[object]) -> Exit:
    if problems:
        return Exit.FINDING
    return Exit.NOT_CARRIED_OUT if found.newer else Exit.OK


def _tell(found: Verification, problems: Sequence[object], crashes: Sequence[str]) -> None:
    what = f"{so_many(found.records, 'record')}, head {found.head[:16]}…"
    verdict = "FAIL" if problems else "INCONCLUSIVE" if found.newer else "PASS"
    click.echo(f"{word(verdict)}  {what}{f': {CONSISTENT}' if verdict == 'PASS' else ''}")
    if found.newer:
        click.echo(f"  {so_many(found.newer, 'record')} of a later ccdr: what they tell, this one does not know")
    for label, lines in (("problem", problems), ("crashed", crashes), ("note", found.notes)):
        for line in lines:
            click.echo(f"  {label}: {line}")


@verb(short_help="Bring a lost ledger back from repositories.")
@click.argument("names", metavar="[PLAN]...", nargs=-1)
def recover(names: tuple[str, ...]) -> Exit:
    """Bring a lost ledger back from the repositories of PLAN... (of all), where it is stored daily.

    It is put beside the new one, read-only, linked to it by a record, and read with it; reports tell of it for a year.
    What it holds is compared with what the snapshots attest of it first. Records from after it was last stored are
    lost: how many is said, as far as snapshots tell. One that was collected before (`ccdr ledger collect`) is linked
    without asking.

    \b
    Examples:
      ccdr ledger recover
      ccdr ledger recover outbound
    """
    from ccdr.jobs.attest.recovering import recover as bring_back

    options = settings()
    plans, wrong = options.load_all(names)
    for error in wrong:
        click.echo(f"ccdr: {error}", err=True)
    services = options.services()
    found = bring_back(plans, services)
    if options.json:
        return _taken(found)
    for one in found:
        where = f"from the repository of {one.source}" if one.source else "from a copy that was collected here"
        until = f", up to {one.until[:16].replace('T', ' ')} UTC" if one.until else ""
        count = one.lost.of_these(one.records) if one.lost else so_many(one.records, "record")
        click.echo(f"recovered the lost ledger {one.ledger[:8]}… {where}: {count}{until}")
        click.echo(f"  it is in {one.directory}, read-only; every command reads it together with the new one")
        if one.record is not None:
            click.echo(f"  record {one.record.seq} of the new ledger links it: reports show the loss for a year")
        if one.missing:
            lost = so_many(one.missing, "record is", "records are")
            click.echo(f"  at least {lost} lost: what was written after it was stored; the backups of then are there")
    click.echo("  → `ccdr ledger verify --repository` compares both with the snapshots; `ccdr status` judges by both")
    return Exit.OK


@verb(short_help="Take in the ledgers of other hosts.")
@click.argument("directories", metavar="DIR...", nargs=-1, required=True)
def collect(directories: tuple[str, ...]) -> Exit:
    """Take in the ledgers of other hosts: copies of their state directories, or of `ledger/` in them.

    Each is verified, compared with what the snapshots known here attest of it, and kept read-only in STATE/ledgers/ID.
    From then on every command reads it with this host's as one population. One that does not verify, is shorter than
    what is here of it, or another chain under the same id, is refused: exit 1.

    \b
    Examples:
      ccdr ledger collect /mnt/db1/var/lib/ccdr /mnt/db2/var/lib/ccdr
    """
    from ccdr.jobs.attest.beside import collect as take_in

    options = settings()
    services = options.services()
    for directory in directories:
        if not Path(directory).is_dir():
            raise UsageProblem(f"there is no directory {directory}")
    return _taken([take_in(Path(directory), services) for directory in directories])


def _taken(found: Sequence[Taken]) -> Exit:
    if settings().json:
        print_json({"ledgers": [one.as_json() for one in found]})
        return Exit.OK
    for one in found:
        missing = f"; {so_many(one.missing, 'record')} from after it was stored are lost" if one.missing else ""
        source = f" from {one.source}" if one.source else ""
        until = f", up to {one.until[:19]}Z" if one.until else ""
        click.echo(
            f"{one.ledger}: {so_many(one.records, 'record')}{until}{source}, {one.new} new, in {one.directory}{missing}"
        )
    return Exit.OK


@verb(short_help="Copy the live ledger, for others to verify.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def export(directory: Path) -> Exit:
    """Copy the live ledger, with its id, into DIR, which must be empty or not there: `ccdr ledger verify DIR` verifies
    it. In DIR/schemas lies the JSON Schema of each kind of record.

    \b
    Examples:
      ccdr ledger export /mnt/auditor/export
    """
    from ccdr.jobs.attest.taking_in import exported

    options = settings()
    services = options.services()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageProblem(f"{directory} is not an empty directory", hint="name one that is not there yet")
    found = exported(services, directory)
    if options.json:
        print_json({"directory": str(directory), "ledger": services.lineage().ledger, "records": found.records})
    else:
        click.echo(f"{so_many(found.records, 'record')} in {directory}")
    return Exit.FINDING if found.problems else Exit.OK


@verb(short_help="Print the JSON Schema of each kind of record.")
@click.argument("kind", required=False)
def schema(kind: str | None) -> Exit:
    """Print the JSON Schema (2020-12) of a KIND of record, as this ccdr writes it; without KIND, the list of them.

    \b
    Examples:
      ccdr ledger schema
      ccdr ledger schema restore_test.end > restore_test.end.json
      ccdr ledger schema --json > all.json
    """
    from ccdr.evidence.records import VERSIONS
    from ccdr.evidence.records.schema import schema_of, schemas

    if kind is not None and kind not in VERSIONS:
        raise UsageProblem(f"there is no kind of record {kind!r}", hint=f"one of: {', '.join(VERSIONS)}")
    if kind is not None:
        print_json(schema_of(kind))
    elif settings().json:
        print_json({"schemas": schemas()})
    else:
        rows = [(name, str(VERSIONS[name]), str(found["description"])) for name, found in schemas().items()]
        table(("kind", "version", "what it tells"), rows)
    return Exit.OK


for _verb, _name in (
    (show, "show"),
    (verify, "verify"),
    (schema, "schema"),
    (export, "export"),
    (recover, "recover"),
    (collect, "collect"),
):
    ledger.add_command(_verb, _name)
