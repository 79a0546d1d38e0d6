"""Which secrets a plan still needs on this host, by name, and what for. A recovery needs the repository's alone: those
of sources that are gone are for the next backups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ccdr.plans.lint import secret_files
from ccdr.plans.model import Plan
from ccdr.plans.trust import commands_of

RECOVERY = "a recovery onto its target"
BACKUPS, TELLING, LEDGER, COPIES = "backups", "telling people", "storing the ledger", "copies elsewhere"
ROLES, OTHERWISE = "the jobs of its role", "what names it"


@dataclass(frozen=True)
class Secret:
    """`where` is the key of the plan, `expected` the file, or None where a command gives it. `there`: it is, or the
    command was confirmed."""

    plan: str
    where: str
    use: str
    asset: str | None
    expected: Path | None
    there: bool

    def as_json(self) -> dict[str, object]:
        return {
            "plan": self.plan,
            "where": self.where,
            "for": self.use,
            "asset": self.asset,
            "expected": str(self.expected) if self.expected else None,
            "there": self.there,
        }


def secrets_of(plan: Plan, *, unconfirmed: frozenset[str] = frozenset()) -> Iterator[Secret]:
    """Every secret that the plan names but its repository's, which was given; `unconfirmed` are the keys whose commands
    nobody has confirmed here."""
    for where, path in secret_files(plan):
        parts = tuple(map(str, where))
        if parts[0] == "repository":
            continue
        yield Secret(plan.plan, ".".join(parts), _use(parts), _asset(parts), path, path.is_file())
    for command in commands_of(plan):
        if command.where.endswith("password_command"):
            parts = tuple(command.where.split("."))
            if parts[0] == "repository":
                continue
            there = command.where not in unconfirmed
            yield Secret(plan.plan, command.where, _use(parts), _asset(parts), None, there)


def _use(where: tuple[str, ...]) -> str:
    uses = {"targets": RECOVERY, "ledger_repository": LEDGER, "assets": BACKUPS, "notify": TELLING, "copies": COPIES}
    uses["access"] = RECOVERY if where[1:2] == ("restore",) else ROLES
    return uses.get(where[0], OTHERWISE)


def _asset(where: tuple[str, ...]) -> str | None:
    return where[1] if where[0] in ("assets", "targets") and len(where) > 1 else None
