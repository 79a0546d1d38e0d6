"""What a person's command has found is signed at once, where it is a FAIL or a breach."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import ParamSpec

from ccdr.cli.settings import settings
from ccdr.model.errors import Exit

P = ParamSpec("P")


def signed_at_once(function: Callable[P, Exit]) -> Callable[P, Exit]:
    """Below the options of a verb that records verdicts: once it has ended, however it did."""

    @functools.wraps(function)
    def then_signed(*args: P.args, **kwargs: P.kwargs) -> Exit:
        try:
            return function(*args, **kwargs)
        finally:
            if not kwargs.get("dry_run"):
                _sign()

    return then_signed


def _sign() -> None:
    """Of what `run/signing.py` loads, nothing is needed to see that nobody signs here, or that nothing is urgent."""
    from ccdr.jobs.checkpoints.store import due

    with contextlib.suppress(Exception):  # the verb has told what it is, and status tells what is overdue
        services = settings().services()
        lineage = services.lineage()
        if due(services, lineage, urgent_only=True).now:
            from ccdr.jobs.checkpoints.creation import make

            make(services, lineage)
