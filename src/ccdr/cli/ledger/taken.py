"""Ledgers that were taken in, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.model.errors import CcdrError, Exit
from ccdr.model.values import so_many

if TYPE_CHECKING:
    from ccdr.jobs.attest.from_bucket import FromBucket
    from ccdr.jobs.attest.taking_in import Taken


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
