"""What is wrong now and no record tells of yet: a backup that does not come leaves none. By the judgement. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from ccdr.evidence.deviations.spans import Kept
from ccdr.evidence.deviations.standing import deviation
from ccdr.evidence.deviations.values import Deviation
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import BACKUP_START, CONTROL_START, TEST_START
from ccdr.evidence.history.places import Histories
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.model.trouble import Trouble
from ccdr.model.values import ObjectiveVerdict, rfc3339, utc
from ccdr.plans.deviation_rules import due_within, severity_of
from ccdr.plans.versions import PLAN_VERSION

_LATE = {
    Trouble.BACKUP_LATE: BACKUP_START,
    Trouble.TEST_LATE: TEST_START,
    Trouble.CONTROL_LATE: CONTROL_START,
}  # in the order in which `ccdr run` will tell of them


def unrecorded(assets: Iterable[AssetStatus], histories: Histories, now: datetime) -> Iterator[Deviation]:
    """Of these assets, as they were judged. Each is known by what its record will know it by, once there is one."""
    for one in assets:
        own = histories.get((one.plan, one.asset), AssetHistory()).deviations
        of_plan = histories.get((one.plan, None), AssetHistory())
        facts = (of_plan.newest.get(PLAN_VERSION) or {}).get("facts") or {}
        for code, base, began in _standing(one, own):
            rules: dict[str, Any] = facts.get("deviations") or {}
            severity, since = severity_of(code, rules.get("severity") or {}), rfc3339(min(began or now, now))
            span = {
                "code": code, "asset": one.asset, "base": base, "seq": None, "ledger": None, "since": since,
                "opened": since, "last": rfc3339(now), "times": 1, "severity": severity,
                "within": due_within(severity, rules.get("due") or {}), "retest": None, "unchecked": None,
            }  # fmt: skip
            yield deviation(span, one.plan, one.asset, None, of_plan.deviations)


def _standing(one: AssetStatus, own: Kept) -> Iterator[tuple[str, list[Any], datetime | None]]:
    """Code, base, and since when."""
    breached = one.rpo.verdict is ObjectiveVerdict.BREACHED
    if breached and own.point and not _has(own, Trouble.BREACH_RPO):
        began = utc(own.point[0]) + timedelta(seconds=one.rpo.objective_s)
        yield Trouble.BREACH_RPO.name, own.point[2], began
    since = {problem.trouble: problem.since for problem in one.wrong}
    late = next((trouble for trouble, start in _LATE.items() if trouble in since and start in own.begun), None)
    if late is not None and not _has(own, Trouble.MISSED):
        yield Trouble.MISSED.name, own.begun[_LATE[late]][2], since[late]


def _has(own: Kept, trouble: Trouble) -> bool:
    return any(span["code"] == trouble.name for span in own.spans)
