"""A plan as one of its roles sees it: its repository is opened by that role's credential."""

from __future__ import annotations

from dataclasses import replace

from ccdr.plans.access import Role
from ccdr.plans.loader import LoadedPlan


def as_role(loaded: LoadedPlan, role: Role) -> LoadedPlan:
    """With the role's own credential, where the plan names one and it lies on this host; else as it is. A copy has its
    own."""
    own = loaded.plan.access.of(role)
    if own is None or loaded.plan.seen_from is not None or not own.here:
        return loaded
    repository = loaded.plan.repository.model_copy(update={"env_file": own.env_file})
    return replace(loaded, plan=loaded.plan.model_copy(update={"repository": repository}))
