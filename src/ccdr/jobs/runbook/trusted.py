"""Commands of a plan that came from a repository: none runs before a person here has seen it."""

from __future__ import annotations

from ccdr.plans import LoadedPlan
from ccdr.plans.runbook_made import Runbook


def require_confirmed(loaded: LoadedPlan, runbook: Runbook) -> None:
    """Raises where one of the runbook's commands was not confirmed on this host."""
