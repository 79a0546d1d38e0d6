"""The runbook on paper."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ccdr.plans import LoadedPlan
from ccdr.plans.runbook_made import Runbook


def page(loaded: LoadedPlan, runbook: Runbook, expected: Mapping[str, float], now: datetime) -> str:
    return ""
