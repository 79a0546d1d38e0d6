"""What is wrong with the ledger, as lines for people: below what commands say that rests on it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ccdr.cli.output import word
from ccdr.model.trouble import Problem, Trouble, next_step


def tell_ledger_problems(problems: Sequence[Problem]) -> None:
    from ccdr.evidence.acknowledged import UNDECIDED

    for problem in problems:
        answered = (Trouble.LEDGER_LOST, Trouble.LEDGER_SPOILT)  # somebody may answer for these, once and for all
        to_type = f" [{problem.trouble.name}]" if problem.trouble in answered else ""
        click.echo(
            f"ledger: {word('INCONCLUSIVE' if problem.trouble in UNDECIDED else 'FAIL')}: {problem.text}{to_type}"
        )
        click.echo(f"  → {next_step(problem.trouble, 'PLAN', None)}")
