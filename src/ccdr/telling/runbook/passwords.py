"""Which files of passwords must be there beside what opens the repository. Their places, and nothing of what is in
them."""

from __future__ import annotations

from pathlib import Path

from ccdr.plans.lint import secret_files
from ccdr.plans.model import Plan


def for_recovery(plan: Plan) -> str:
    """To bring it back onto servers that run; empty where none is needed."""
    return _files(plan, "targets")


def for_backups(plan: Plan) -> str:
    """A sentence; empty where sources have none. On a new host the plan, and so its files, stand elsewhere."""
    if not (files := _files(plan, "assets")):
        return ""
    return (
        "For `ccdr recover check --opened` and for backups these must be there, from your copies: "
        f"{files}; on a new host where `ccdr bootstrap` has named them."
    )


def _files(plan: Plan, of: str) -> str:
    """Each directory once: paper is short."""
    names: dict[Path, list[str]] = {}
    for path in dict.fromkeys(path for where, path in secret_files(plan) if where[0] == of):
        names.setdefault(path.parent, []).append(path.name)
    return "; ".join(f"in {directory}: {', '.join(there)}" for directory, there in names.items())
