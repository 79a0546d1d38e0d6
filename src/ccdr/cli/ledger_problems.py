"""What is wrong with the ledger, as lines for people: below what commands say that rests on it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ccdr.cli.output import word
from ccdr.model.errors import Exit
from ccdr.model.trouble import Problem, Trouble, next_step
from ccdr.model.values import rfc3339


def tell_ledger_problems(problems: Sequence[Problem]) -> None:
    for problem in problems:
        answered = (Trouble.LEDGER_LOST, Trouble.LEDGER_SPOILT)  # somebody may answer for these, once and for all
        to_type = f" [{problem.trouble.name}]" if problem.trouble in answered else ""
        verdict = "INCONCLUSIVE" if problem.trouble.row.exit is Exit.NOT_CARRIED_OUT else "FAIL"
        click.echo(f"ledger: {word(verdict)}: {problem.text}{to_type}")
        click.echo(f"  → {next_step(problem.trouble, 'PLAN', None)}")


def tell_anchors(problems: Sequence[Problem]) -> None:
    """What is overdue."""
    for problem in problems:
        _tell("ledger", problem)


def tell_left(problems: Sequence[Problem]) -> None:
    """Of plans that have no file any more."""
    for problem in problems:
        _tell("plan without a file", problem)


def tell_attestations(problems: Sequence[Problem]) -> None:
    """What is stale, acknowledged or not; and what will be soon, of which nobody need take note."""
    for problem in problems:
        _tell("attested", problem, by_code=problem.trouble in (Trouble.ATTESTATION_STALE, Trouble.STATEMENT_REFUSED))


def _tell(about: str, problem: Problem, *, by_code: bool = True) -> None:
    """With its code, which `ccdr ack` takes, or until when somebody has taken note of it."""
    code = f" [{problem.trouble.name}]" if by_code else ""
    if problem.acknowledged is not None:
        code = f" ({problem.trouble.name}, acknowledged until {rfc3339(problem.acknowledged)})"
    click.echo(f"{about}: {problem.text}{code}\n  → {problem.step}")
