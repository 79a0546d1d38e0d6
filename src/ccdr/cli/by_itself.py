"""That nothing calls `ccdr run` for a plan yet, and the line that has cron do it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from ccdr.cli.settings import Settings
from ccdr.host.state import State


def not_by_itself(plan: str, state: State, options: Settings) -> Iterator[str]:
    """Nothing where one has come."""
    from ccdr.jobs.by_itself import NOT_YET, cron_line, has_come

    if has_come(plan, state):
        return
    program = Path(shutil.which(sys.argv[0]) or sys.argv[0]).absolute()
    directories = options.plans.absolute(), options.restore_tests.absolute(), state.root.absolute()
    yield f"{plan}: {NOT_YET}. Where neither cron nor a timer calls it, have cron do it (apt-get install cron):"
    yield f"    {cron_line(plan, *directories, program)}"
