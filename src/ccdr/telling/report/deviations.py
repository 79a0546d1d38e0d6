"""Deviations of a period: all that lasted in some of it, as they stood at its end."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ccdr.evidence.deviations.standing import within
from ccdr.evidence.deviations.values import Deviation
from ccdr.evidence.history.asset_history import Histories
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.jobs.services import Services
from ccdr.plans import LoadedPlan
from ccdr.telling.deviations import Told, every, told
from ccdr.telling.report.period import Period
from ccdr.telling.report.reading import read
from ccdr.telling.status import status


def deviations_in(
    plans: Sequence[LoadedPlan],
    judged: Iterable[AssetStatus],
    histories: Histories,
    services: Services,
    period: Period,
    *,
    words: bool,
    verify: bool,
    wanted: Collection[str] = (),
) -> tuple[Told, ...]:
    """`judged` are the assets as they stood at its end, `wanted` the plans that were asked for; none: all."""
    names = [None, *wanted] if wanted else None
    there = every(plans, judged, histories, services, period.end, names, verify=verify)
    return tuple(told(within(there, period.start, period.end), services.state, period.end, words=words))


def of_period(plans: Sequence[LoadedPlan], services: Services, period: Period) -> list[Deviation]:
    """The same of all plans: the period's records are read. CcdrError where the ledger cannot be."""
    evidence, _, _, _ = read(services, services.population(), period, None, whole=False)
    judged = status(plans, services, evidence.histories) if period.until_now else []
    there = every(plans, judged, evidence.histories, services, period.end)
    return within(there, period.start, period.end)
