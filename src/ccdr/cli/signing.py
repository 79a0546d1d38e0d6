"""What a person's command has found is signed at once, where it is a FAIL or a breach."""

from __future__ import annotations

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
    from ccdr.model.errors import CcdrError
    from ccdr.run.signing import sign_at_once

    try:
        services = settings().services()
    except CcdrError:  # it has been told by the verb itself
        return
    sign_at_once(services)
