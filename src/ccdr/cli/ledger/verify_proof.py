"""`ccdr ledger verify` of one record's proof."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ccdr.cli.ledger.verified import CONSISTENT, VERIFIED, WORDS
from ccdr.cli.output import print_json, word
from ccdr.cli.settings import settings
from ccdr.model.errors import Exit, UsageProblem

if TYPE_CHECKING:
    from ccdr.evidence.checkpoints.found import Checked
    from ccdr.jobs.checkpoints.held_to import Brought

_SHOWN = ("kind", "time", "host", "plan", "asset", "run", "verdict", "result", "reason")


def proof_at(where: Path) -> Path | None:
    """The proof's file, where there is one: the file itself, or the one in a directory that `ccdr ledger proof`
    wrote. One that lies with the lines of a ledger does not stand for them."""
    from ccdr.evidence.checkpoints.proof import PROOF, RECORD, is_proof

    path = where / PROOF if where.is_dir() else where
    if not path.is_file() or (where.is_dir() and any(one.name != RECORD for one in where.glob("*.jsonl"))):
        return None
    with path.open("rb") as file:
        return path if where.is_dir() or is_proof(file.read(64)) else None


def verify_proof(path: Path, brought: Brought) -> Exit:
    from ccdr.evidence.checkpoints.proof import LARGEST, RECORD, check_proof, read_proof

    beside = path.with_name(RECORD)
    try:
        with path.open("rb") as file:
            proof = read_proof(file.read(LARGEST + 1))
        line = beside.read_bytes() if beside.is_file() else None
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as why:
        raise UsageProblem(f"{path} {why}", hint="`ccdr ledger proof RUN DIR` writes one") from None
    checked, record = check_proof(proof, line, brought.pins, brought.anchors)
    says = None if checked.findings else VERIFIED if checked.proven else CONSISTENT
    code = Exit.FINDING if checked.findings else Exit.OK if says == VERIFIED else Exit.NOT_CARRIED_OUT
    if settings().json:
        body = {"ok": not checked.findings, "says": says, "record": dict(record), "records": checked.records}
        print_json({**body, "problems": [str(one) for one in checked.findings], **checked.as_json()})
        return code
    click.echo(f"{word(WORDS[code])}  record {proof.index + 1} of {checked.records}{f': {says}' if says else ''}")
    _tell(checked, record)
    return code


def _tell(checked: Checked, record: Mapping[str, Any]) -> None:
    for label, lines in (("problem", checked.findings), ("not judged", checked.unproven)):
        for line in lines:
            click.echo(f"  {label}: {line}")
    for key in _SHOWN:
        if record.get(key) is not None:
            click.echo(f"  {key}: {record[key]}")
    if not checked.findings:
        for line in checked.shows():
            click.echo(f"  boundary: {line}")
