"""Commands of a plan that came from a repository: none runs before a person here has seen it."""

from __future__ import annotations

from ccdr.plans.runbook import Command as CommandStep
from ccdr.plans.runbook_made import Runbook
from ccdr.plans.trust import Command


def commands_of(runbook: Runbook) -> list[Command]:
    """Those that its steps would run on this host; of one that ccdr made from the plan there are none but ccdr's."""
    if runbook.made:
        return []
    steps = ((name, step) for name, step in runbook.steps.items() if isinstance(step, CommandStep))
    return [Command.of(f"runbook.{name}.argv", step.argv) for name, step in steps]
