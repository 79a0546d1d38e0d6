"""Physical security: where the copies lie."""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.evidence.controls.known import Known, PlanKnown
from ccdr.evidence.controls.parts.shared import CONTRADICTED, EXPIRED, NOTHING, SHOWN, elsewhere, first_of
from ccdr.evidence.controls.values import Observed, behind, by_problem
from ccdr.evidence.history.kinds import COPIED
from ccdr.model.trouble import Trouble
from ccdr.model.values import at_copy, so_many, to_the_second

_BAD = (Trouble.COPY_FAILED, Trouble.COPY_VANISHED, Trouble.COPY_DAMAGED, Trouble.COPY_TEST_FAILED)
_OLD = (Trouble.COPY_LATE, Trouble.COPY_UPKEEP)


def copies(known: Known) -> Iterator[Observed]:
    """Each plan's further copies: filled, whole, and restored from."""
    for plan in known.plans:
        for name in plan.loaded.plan.copies:
            yield _copy(known, plan, name)
        if not plan.loaded.plan.copies:
            step = "docs/how-to/second-copy.md   tells how to have a second one"
            yield Observed(NOTHING, "its backups lie in one repository alone", plan.name, step=step)


def _copy(known: Known, plan: PlanKnown, name: str) -> Observed:
    history = known.history(at_copy(plan.name, name))
    last, told = history.newest.get(COPIED), history.last_copy
    own = [p for p in plan.care if p.about.partition(" ")[0] == name]
    if wrong := first_of(own, _BAD):
        return by_problem(CONTRADICTED, wrong, plan.name, None, last, told)
    if late := first_of(own, _OLD):
        return by_problem(EXPIRED, late, plan.name, None, last, told)
    if untested := first_of(own, (Trouble.COPY_UNTESTED,)):
        place = at_copy(plan.name, name)
        ever = any(known.history(place, asset).last_test for asset in plan.loaded.plan.assets)
        return by_problem(EXPIRED if ever else NOTHING, untested, plan.name, None, last, told)
    if told is None:
        text = f"nothing was copied to {name} yet"
        return Observed(NOTHING, text, plan.name, None, behind(last), f"ccdr copy {plan.name}")
    if (moved := elsewhere(known, plan.name, name, told, f"ccdr copy {plan.name}")) is not None:
        return moved
    site = plan.loaded.plan.copies[name].site
    where = f"{name} ({site})" if site else name
    count = sum((told.get("there") or {}).values())
    held = so_many(count, "snapshot")
    if not count:
        text = f"{where} holds no snapshot that is known, as of {to_the_second(told['time'])}"
        return Observed(NOTHING, text, plan.name, None, behind(told), f"ccdr copy {plan.name}")
    tests = [known.history(at_copy(plan.name, name), asset).last_test for asset in plan.loaded.plan.assets]
    if all(one is None or elsewhere(known, plan.name, name, one) for one in tests):
        text = f"{where} holds {held}, and nothing was restored from there, as far as is known here"
        return Observed(NOTHING, text, plan.name, None, behind(told), f"ccdr test {plan.name} --from {name}")
    return Observed(SHOWN, f"{where} holds {held}, filled {to_the_second(told['time'])}", plan.name, None, behind(told))
