"""What a recovery brought back, checked again where it stands: nothing of it changes, and no data is fetched again."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ccdr.host.state import Run
from ccdr.jobs.recover.journal import Told
from ccdr.jobs.recover.planned import Decision, Planned
from ccdr.jobs.recover.session import OfAsset, View
from ccdr.jobs.recover.standing_assets import Of, Standing, put_back, shown
from ccdr.jobs.recover.turn import Comparing
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, Exit, failure_of, worst
from ccdr.model.values import CheckResult, Verdict
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.targets import Target


@dataclass
class CheckedAgain:
    """One asset. `reason` is why it could not be looked at."""

    planned: Planned
    checks: list[CheckResult] = field(default_factory=list)
    reason: str | None = None
    hint: str | None = None
    left_behind: list[str] = field(default_factory=list)
    put_back: str | None = None  # where it was before all
    borne: list[str] = field(default_factory=list)  # of a spare that nobody has started: what fits not, and fails none

    @property
    def at(self) -> str:
        return self.put_back or self.planned.where.shown

    @property
    def code(self) -> Exit:
        statuses = {check.status for check in self.checks if check.name not in self.borne}
        codes = [Exit.FINDING] if Verdict.FAIL in statuses else []
        if self.reason is not None or Verdict.INCONCLUSIVE in statuses:
            codes.append(Exit.NOT_CARRIED_OUT)
        return worst([*codes, *([Exit.LEFT_BEHIND] if self.left_behind else [])])

    def as_json(self) -> dict[str, object]:
        return {
            "asset": self.planned.asset,
            "target": {"kind": self.planned.where.kind, "name": self.at},
            "snapshot": self.planned.snapshot,
            "checks": [check.as_json() for check in self.checks],
            "reason": self.reason,
            "hint": self.hint,
            "left_behind": self.left_behind,
        }


def check_again(
    loaded: LoadedPlan,
    told: Told,
    services: Services,
    run: Run,
    view: View,
    places: Mapping[str, Target],
    *,
    must_be_opened: bool = False,
) -> list[CheckedAgain]:
    """The checks of each asset of a recovery that its journal has `told` of, and those that compare two of them.
    `places` go before those that were decided: where a person has put it since. With `must_be_opened` a new server that
    nobody has started fails."""
    found: dict[str, CheckedAgain] = {}
    with contextlib.ExitStack() as stack:
        there: dict[str, Standing] = {}
        decided = Decision.read(told).assets
        for planned in sorted(decided, key=lambda one: one.spare_of is not None):  # what stands in for it, before it
            at = replace(planned, where=places.get(planned.asset, planned.where))
            one = found[planned.asset] = CheckedAgain(at)
            view.phase(planned.asset, "checking")
            job = Job(loaded, planned.asset)
            back = planned.asset not in places and put_back(job, planned.where)
            one.put_back = shown(job) if back else None
            try:
                of = Of.told(told, planned.asset, moved=planned.asset in places)
                must = must_be_opened and planned.spare_of is None  # a spare is not to be started
                standing = Standing(at, job, services, run, stack, of=of, must_be_opened=must, back=back)
                first = there.get(planned.spare_of or "")
                if first is not None and standing.has_its_place_taken_by(first):
                    one.checks = standing.look_in(first, OfAsset(view, planned.asset))
                else:
                    one.checks = standing.look(OfAsset(view, planned.asset))
                there[planned.asset] = standing
                one.left_behind = standing.result.left_behind
            except CcdrError as error:
                why = failure_of(error)
                one.reason, one.hint = why.reason, why.hint
        comparing = Comparing(run, services.state)
        for asset, standing in there.items():
            if any(check.beside for check in standing.job.checks):
                view.phase(asset, "comparing")
                results = comparing.compare(standing, there)
                names = {check.name.split(":")[0] for check in results}
                kept = [c for c in found[asset].checks if c.status is not Verdict.SKIPPED or c.name not in names]
                found[asset].checks = [*kept, *results]
                if found[asset].planned.spare_of is not None and standing.answering is None:  # else it is in use
                    found[asset].borne = [c.name for c in results if c.status is Verdict.FAIL]
        comparing.keep()
    return [found[planned.asset] for planned in decided]
