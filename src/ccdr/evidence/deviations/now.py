"""What is wrong now and no record tells of yet: a backup that does not come leaves none. By the judgement. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from ccdr.evidence.deviations.spans import Kept
from ccdr.evidence.deviations.standing import Owners, deviation
from ccdr.evidence.deviations.values import Deviation
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.fold import Histories
from ccdr.evidence.history.kinds import BACKUP_START, CONTROL_START, TEST_START
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import rfc3339
from ccdr.plans.deviation_rules import due_within, severity_of
from ccdr.plans.versions import PLAN_VERSION

_LATE = {
    Trouble.BACKUP_LATE: BACKUP_START,
    Trouble.TEST_LATE: TEST_START,
    Trouble.CONTROL_LATE: CONTROL_START,
}  # in the order in which `ccdr run` will tell of them


def unrecorded(
    assets: Iterable[AssetStatus], histories: Histories, owners: Owners, now: datetime
) -> Iterator[Deviation]:
    """Of these assets, as they were judged. Each is known by what its record will know it by, once there is one."""
    for one in assets:
        own = histories.get((one.plan, one.asset), AssetHistory()).deviations
        of_plan = histories.get((one.plan, None), AssetHistory())
        facts = (of_plan.newest.get(PLAN_VERSION) or {}).get("facts") or {}
        for code, base, problem in _standing(one.wrong, own):
            rules: dict[str, Any] = facts.get("deviations") or {}
            severity, since = severity_of(code, rules.get("severity") or {}), rfc3339(problem.since or now)
            span = {
                "code": code, "asset": one.asset, "base": base, "seq": None, "ledger": None, "since": since,
                "opened": since, "last": rfc3339(now), "times": 1, "severity": severity,
                "within": due_within(severity, rules.get("due") or {}), "retest": None, "unchecked": None,
            }  # fmt: skip
            yield deviation(span, one.plan, one.asset, None, of_plan.deviations.said, owners.get(one.plan))


def _standing(wrong: Iterable[Problem], own: Kept) -> Iterator[tuple[str, list[Any], Problem]]:
    by_trouble = {problem.trouble: problem for problem in wrong}
    asset = None if not own.point else own.point[2]
    breach = by_trouble.get(Trouble.BREACH_RPO)
    if breach is not None and asset is not None and not _has(own, Trouble.BREACH_RPO):
        yield Trouble.BREACH_RPO.name, asset, breach
    late = (
        (by_trouble[one], own.begun[start]) for one, start in _LATE.items() if one in by_trouble and start in own.begun
    )
    first = next(late, None)
    if first is not None and not _has(own, Trouble.MISSED):
        yield Trouble.MISSED.name, first[1][2], first[0]


def _has(own: Kept, trouble: Trouble) -> bool:
    return any(span["code"] == trouble.name for span in own.spans)
