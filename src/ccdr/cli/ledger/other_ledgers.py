"""`ccdr ledger collect` and `recover`: other hosts' ledgers taken in, a lost one brought back; and how people and
programs are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.cli.trouble import tell_error
from ccdr.cli.verbs import verb
from ccdr.model.errors import CcdrError, Exit, UsageProblem, worst
from ccdr.model.values import so_many

if TYPE_CHECKING:
    from ccdr.jobs.attest.other_ledgers import FromBucket, Taken

# Ledgers that were taken in, for people and for programs.


def taken(ledgers: Sequence[Taken], failed: Sequence[CcdrError] = ()) -> Exit:
    if settings().json:
        document: dict[str, object] = {"ledgers": [one.as_json() for one in ledgers]}
        if failed:
            document["failed"] = [{"error": str(error), "hint": error.hint} for error in failed]
        print_json(document)
        return Exit.OK
    for one in ledgers:
        click.echo(_line(one))
    return Exit.OK


def brought(ledgers: Sequence[Taken], buckets: Sequence[FromBucket]) -> Exit:
    """Of directories, and of evidence buckets."""
    wrong = any(one.findings or one.refused for one in buckets)
    if settings().json:
        of_each = [*(one.as_json() for one in ledgers), *(one.as_json() for one in buckets)]
        print_json({"ledgers": of_each})
        return Exit.FINDING if wrong else Exit.OK
    for of_directory in ledgers:
        click.echo(_line(of_directory))
    for one in buckets:
        there = so_many(one.checkpoints, "checkpoint")
        if one.own:
            click.echo(f"{one.ledger}: this host's own, which is not taken in; it was held to {there} in {one.url}")
        elif one.taken is not None:
            click.echo(f"{_line(one.taken)}; {there}")
        else:
            click.echo(f"{one.ledger}: nothing was taken in; {there} in {one.url}")
        if one.plans is not None:
            command = f"ccdr --plans {one.plans}/plans --restore-tests {one.plans}/restore_tests report"
            click.echo(f"  its plans, as they are in force: `{command}` judges by them")
        for problem in (*([one.refused] if one.refused else []), *one.findings):
            click.echo(f"  problem: {problem}")
    return Exit.FINDING if wrong else Exit.OK


def _line(one: Taken) -> str:
    missing = f"; {so_many(one.missing, 'record')} from after it was stored are lost" if one.missing else ""
    source = f" from {one.source}" if one.source else ""
    until = f", up to {one.until[:19]}Z" if one.until else ""
    return f"{one.ledger}: {so_many(one.records, 'record')}{until}{source}, {one.new} new, in {one.directory}{missing}"


# `ccdr ledger collect`: other hosts' ledgers, taken in.


@verb(short_help="Take in the ledgers of other hosts.")
@click.argument("sources", metavar="DIR|BUCKET...", nargs=-1, required=True)
@click.option(
    "--env-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="NAME=value lines: the credential that may read BUCKET (AWS_ACCESS_KEY_ID=…).",
)
def collect(sources: tuple[str, ...], env_file: Path | None) -> Exit:
    """Take in the ledgers of other hosts: copies of their state directories, of `ledger/` in them, or packages of all
    of it (`ccdr ledger export`); or all that an evidence bucket holds (s3:https://HOST/BUCKET), to which hosts put
    their ledgers and checkpoints.

    Each is verified, compared with what the snapshots known here attest of it, and kept read-only in STATE/ledgers/ID.
    From then on every command reads it with this host's as one population. One that does not verify, is shorter than
    what is here of it, or another chain under the same id, is refused: exit 1.

    Of each object in a bucket the oldest version counts. Another one over it (FORK), a delete marker (REMOVED), and
    lines that lack (SEGMENT_MISSING) are findings: exit 1. Its checkpoints lie in STATE/checkpoints/ID: `ccdr ledger
    verify --ledger ID --pin KEY` takes them as anchors. Only what is new there is fetched. Where the host puts its
    plans there, too, they come to STATE/collected/ID, and it says by which options a report judges by them.

    \b
    Examples:
      ccdr ledger collect /mnt/db1/var/lib/ccdr /mnt/db2/var/lib/ccdr
      ccdr ledger collect s3:https://s3.example/evidence --env-file auditor.env
    """
    from ccdr.host.secrets import env_file as read_env
    from ccdr.jobs.attest.other_ledgers import collect as take_in
    from ccdr.jobs.attest.other_ledgers import collect_bucket
    from ccdr.storage.evidence_bucket import EvidenceBucket

    services = settings().services()
    buckets = [one for one in sources if one.startswith("s3:")]
    directories = [Path(one) for one in sources if one not in buckets]
    for directory in directories:
        if not directory.is_dir():
            raise UsageProblem(f"there is no directory {directory}")
    if env_file is not None and not buckets:
        raise UsageProblem("--env-file is of a bucket, and none is named", hint="name one: s3:https://HOST/BUCKET")
    env = read_env(env_file) if env_file is not None else {}
    stores = [EvidenceBucket.of(url, env) for url in buckets]
    of_directories = [take_in(directory, services) for directory in directories]
    if not stores:
        return taken(of_directories)
    return brought(of_directories, [one for store in stores for one in collect_bucket(store, services)])


@verb(short_help="Bring a lost ledger back from repositories.")
@click.argument("names", metavar="[PLAN]...", nargs=-1)
@click.option(
    "--ledger",
    "said",
    metavar="ID",
    help="This one, by the beginning of its id, is of the host that this one stands in for, and is lost.",
)
def recover(names: tuple[str, ...], said: str | None) -> Exit:
    """Bring a lost ledger back from the repositories of PLAN... (of all), where it is stored daily.

    It is put beside the new one, read-only, linked to it by a record, and read with it; reports tell of it for a year.
    What it holds is compared with what the snapshots attest of it first. Records from after it was last stored are
    lost: how many is said, as far as snapshots tell. One that was collected before (`ccdr ledger collect`) is linked
    without asking.

    A new host, or a state directory at another path, knows of no ledger before it. Where repositories hold some of
    others, this names them, and brings back the one that you say was lost (--ledger). That is recorded.

    \b
    Examples:
      ccdr ledger recover
      ccdr ledger recover outbound
      ccdr ledger recover outbound --ledger b465c9bf    after the host that had it is lost
    """
    from ccdr.jobs.attest.recovering import recover as bring_back

    options = settings()
    plans, _ = options.load_told(names)
    services = options.services()
    recovered, failed = bring_back(plans, services, said)
    code = worst([error.exit_code for error in failed])
    if options.json:
        taken(recovered, failed)
    for one in () if options.json else recovered:
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
    if not options.json:
        click.echo(
            "  → `ccdr ledger verify --repository` compares both with the snapshots; `ccdr status` judges by both"
        )
    for why in failed:
        tell_error(why, in_json=False)
    return code
