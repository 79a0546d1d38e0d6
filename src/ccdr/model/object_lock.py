"""For how long what is in use is locked. Pure."""

from __future__ import annotations

from datetime import timedelta


def slack(keep: timedelta) -> timedelta:
    """How much longer than the plan asks a lock may be put, so that not every object is asked for each day."""
    return max(timedelta(days=1), keep / 10)
