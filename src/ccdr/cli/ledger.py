"""`ccdr ledger show`, `ccdr ledger verify` and `ccdr ledger schema`."""

from __future__ import annotations

import contextlib
from collections import deque
from pathlib import Path

import click

from ccdr.cli.shell import EXIT_STATUS, print_json, settings, table, verb, word
from ccdr.errors import CcdrError, Exit, UsageProblem
from ccdr.model import rfc3339, so_many


@click.group(epilog=EXIT_STATUS)
def ledger() -> None:
    """The evidence: every run's start and end, chained by hash."""


@verb()
@click.option("--plan", help="Only records of this plan.")
@click.option("--asset", help="Only records of this asset.")
@click.option("--kind", help="Only records of this kind, such as restore_test.end.")
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many, the newest ones.")
def show(plan: str | None, asset: str | None, kind: str | None, last: int) -> Exit:
    """Show the newest records.

    \b
    Examples:
      ccdr ledger show
      ccdr ledger show --plan outbound --kind restore_test.end --json
    """
    options = settings()
    wanted = {"plan": plan, "asset": asset, "kind": kind}
    records = options.services().ledger.records()
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


@verb()
@click.argument("directory", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
def verify(directory: Path | None) -> Exit:
    """Verify the chain of the live ledger, or of the one in DIRECTORY. Of the live one, the summary that `ccdr status`
    is read from is made anew and compared, too.

    Exits 0 if all holds. Crashed runs are reported, and are not verification failures. Exits 3 where a later
    ccdr wrote some of it, which this one cannot judge. A chain cannot show that its newest records were cut
    off, and whoever can rewrite every file can chain it anew.

    \b
    Examples:
      ccdr ledger verify
      ccdr ledger verify /mnt/auditor/export
    """
    from ccdr.ledger import verify as verify_ledger
    from ccdr.verification import DIFFERS, EQUAL, NONE, Comparison, compare

    options = settings()
    at_work: frozenset[str] = frozenset()
    if directory is None:
        with contextlib.suppress(CcdrError):  # who may only read the state cannot tell
            at_work = options.services().state.runs_at_work()  # first: they may end while it is read
    compared = Comparison(verify_ledger(directory), NONE, ()) if directory else compare(options.services())
    found = compared.ledger
    if directory is not None and found.records == 0 and found.ok:
        raise UsageProblem(f"{directory} holds no ledger: nothing was verified", hint="name the directory of *.jsonl")
    crashed = [c for c in found.crashes if c.run not in at_work]
    crashes = [f"{c.kind} of {c.plan}/{c.asset}, run {c.run}, {rfc3339(c.time)}: no end" for c in crashed]
    if options.json:
        print_json(
            {
                "ok": not compared.problems,
                "records": found.records,
                "head": found.head,
                "problems": list(compared.problems),
                "summary": None if directory else compared.summary,
                "notes": list(found.notes),
                "crashes": crashes,
                "torn_bytes": found.torn_bytes,
                "newer": found.newer,
            }
        )
    else:
        what = f"{so_many(found.records, 'record')}, head {found.head[:16]}…"
        verdict = "FAIL" if compared.problems else "INCONCLUSIVE" if found.newer else "PASS"
        click.echo(f"{word(verdict)}  {what}")
        if found.newer:
            click.echo(f"  {so_many(found.newer, 'record')} of a later ccdr: what they tell, this one does not know")
        for label, lines in (("problem", compared.problems), ("crashed", crashes), ("note", found.notes)):
            for line in lines:
                click.echo(f"  {label}: {line}")
        if compared.summary == EQUAL:
            click.echo("  what `ccdr status` is read from is what the records say")
        elif compared.summary == DIFFERS:
            click.echo("  → find out who wrote to it, then remove it: it is made anew from the ledger")
    if compared.problems:
        return Exit.FINDING
    return Exit.NOT_CARRIED_OUT if found.newer else Exit.OK


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
    from ccdr.records import VERSIONS
    from ccdr.records.schema import schema_of, schemas

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


ledger.add_command(show, "show")
ledger.add_command(verify, "verify")
ledger.add_command(schema, "schema")
