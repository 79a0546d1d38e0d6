"""A plan as it is seen from one of its copies: the same assets and checks, with that copy's repository in place of the
plan's own."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

from ccdr.model.errors import UsageProblem
from ccdr.model.values import PRIMARY
from ccdr.plans.facts import PlanFacts
from ccdr.plans.loader import LoadedPlan
from ccdr.plans.model import Plan, Repository
from ccdr.plans.shape import listed


@dataclass(frozen=True)
class PlanAtCopy(LoadedPlan):
    """`of` is the plan as its file has it: what it promises does not depend on where it is seen from."""

    of: LoadedPlan | None = None

    @cached_property
    def facts(self) -> PlanFacts:
        assert self.of is not None
        return self.of.facts


def seen_from(loaded: LoadedPlan, name: str) -> LoadedPlan:
    """The plan as it is seen from its copy `name` (KeyError where it has none such): `repository`, `retention` and
    `upkeep` are that copy's."""
    plan, copy = loaded.plan, loaded.plan.copies[name]
    changed = {
        "repository": copy,
        "retention": copy.retention or plan.retention,
        "upkeep": copy.upkeep or plan.upkeep,
        "ledger_repository": None,
    }
    given = {field.name: getattr(loaded, field.name) for field in fields(LoadedPlan)}
    return PlanAtCopy(**{**given, "plan": plan.model_copy(update=changed)}, of=loaded)


def as_in_file(loaded: LoadedPlan) -> LoadedPlan:
    """The inverse of `seen_from`."""
    return loaded.of if isinstance(loaded, PlanAtCopy) and loaded.of is not None else loaded


def kept_locked(loaded: LoadedPlan) -> dict[str, Repository]:
    """The plan's repositories whose Object Lock is pushed forward, by what records call them."""
    plan = as_in_file(loaded).plan
    return {name: one for name, one in {PRIMARY: plan.repository, **plan.copies}.items() if one.lock is not None}


def copy_named(plan: Plan, where: str) -> str | None:
    """Which copy `--from` means, by its name or its site; None: the plan's own repository. UsageProblem where it is
    none, or more than one."""
    own = {PRIMARY, plan.repository.site} - {None}
    if where in plan.copies:
        return where
    there = [name for name, copy in plan.copies.items() if copy.site == where]
    if where in own and not there:
        return None
    if len(there) == 1 and where not in own:
        return there[0]
    known = [PRIMARY, *(f"{name} ({copy.site})" if copy.site else name for name, copy in plan.copies.items())]
    which = "lie at more than one repository there" if there else "lie at no such place"
    raise UsageProblem(
        f"the backups of {plan.plan} {which}: {where!a}",
        hint=f"name it as the plan's `copies:` do; there is {listed(known, 'and')}",
    )
