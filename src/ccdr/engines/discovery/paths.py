"""A path of this host as somebody names it."""

from __future__ import annotations

from pathlib import Path

from ccdr.model.errors import UsageProblem

_EXAMPLE = "name a directory of this host, or the URL of a server"


def path_of(text: str) -> Path:
    """What it leads to, which a plan names. UsageProblem where that is nothing to back up."""
    if not text.isprintable() or not text:
        raise UsageProblem("a path with control characters cannot stand in a plan", hint="name a directory above it")
    try:
        path = Path(text).expanduser().absolute()
        real = path.resolve(strict=True)  # a plan names what a link points to
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or "no such user"
        raise UsageProblem(f"{text}: {why}", hint=_EXAMPLE) from None
    if real == Path("/"):
        raise UsageProblem("/ is not something to back up as one tree", hint="name the directories that matter")
    if not str(real).isprintable():
        raise UsageProblem("a path with control characters cannot stand in a plan", hint="name a directory above it")
    if not (real.is_dir() or real.is_file()):
        raise UsageProblem(f"{real} is neither a directory nor a file", hint="name a directory")
    return real
