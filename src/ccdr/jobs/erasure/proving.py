"""Which entries of a register are to be proven, on which snapshot, and whether that came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ccdr.jobs.erasure.register import Entry, Register
from ccdr.jobs.erasure.replaying import FAILED, PROVEN, Outcome
from ccdr.jobs.erasure.shown import newest_from_before
from ccdr.jobs.services import Services
from ccdr.model.erasure import UNSHOWN, EntryFound, EntryState
from ccdr.model.errors import UsageProblem
from ccdr.model.values import LATEST


@dataclass(frozen=True)
class Proving:
    """Of one asset. `only`: the entries that were asked for; None: all of it."""

    asset: str
    snapshot: str
    only: frozenset[str] | None = None

    def shown(self, found: Outcome | None) -> list[EntryFound]:
        return [one for one in found.each if self.only is None or one.id in self.only] if found is not None else []

    def proven(self, found: Outcome | None) -> bool:
        """Of all of it, as the record says. Of single entries: whoever was found now shows that the probe finds them,
        of others a canary does."""
        if found is None or found.result == FAILED:
            return False
        if self.only is None:
            return found.result == PROVEN
        each = self.shown(found)
        if any(one.state in (*UNSHOWN, EntryState.LATE) for one in each):
            return False
        return bool(each) and all(one.found_before or found.canaries for one in each)


def proving(
    register: Register | None,
    assets: Sequence[str],
    wanted: str | None,
    snapshot: str | None,
    services: Services,
    plan: str,
) -> list[Proving]:
    """Of each of the assets that somebody was erased of; or of the entry `wanted` and those of the same person, and
    then on the newest snapshot from before they were erased, where `snapshot` says nothing else. UsageProblem where
    there is no such entry in these assets."""
    if wanted is None:
        with_entries = [one for one in assets if register is not None and register.of(one)]
        return [Proving(one, snapshot or LATEST) for one in with_entries]
    entry = register.standing_one(wanted) if register is not None else None
    if register is None or entry is None or entry.asset not in assets:
        raise UsageProblem(
            f"the register of {plan} has no entry {wanted!a} of these assets that stands",
            hint=f"`ccdr erasure list {plan}`",
        )
    theirs = register.of_person(entry)
    return [
        _of([one for one in theirs if one.asset == asset], snapshot, services, plan)
        for asset in assets
        if any(one.asset == asset for one in theirs)
    ]


def _of(entries: Sequence[Entry], snapshot: str | None, services: Services, plan: str) -> Proving:
    asset, erased_at = entries[0].asset, min(one.erased_at for one in entries)
    there = snapshot or newest_from_before(services, plan, asset, erased_at) or LATEST
    return Proving(asset, there, frozenset(one.id for one in entries))
