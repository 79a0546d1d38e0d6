"""Ledgers that were taken in, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.model.errors import Exit
from ccdr.model.values import so_many

if TYPE_CHECKING:
    from ccdr.jobs.attest.taking_in import Taken


def taken(ledgers: Sequence[Taken]) -> Exit:
    if settings().json:
        print_json({"ledgers": [one.as_json() for one in ledgers]})
        return Exit.OK
    for one in ledgers:
        missing = f"; {so_many(one.missing, 'record')} from after it was stored are lost" if one.missing else ""
        source = f" from {one.source}" if one.source else ""
        until = f", up to {one.until[:19]}Z" if one.until else ""
        click.echo(
            f"{one.ledger}: {so_many(one.records, 'record')}{until}{source}, {one.new} new, in {one.directory}{missing}"
        )
    return Exit.OK
