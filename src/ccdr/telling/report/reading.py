"""The records of a report, from the index where there is one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ccdr.evidence.ledger.verification import Verification
from ccdr.evidence.population import ALONE, Population, read_population
from ccdr.evidence.reading import Take, read_verified
from ccdr.jobs.daily_verification import newest
from ccdr.jobs.services import Services
from ccdr.telling.report import index
from ccdr.telling.report.evidence import Evidence
from ccdr.telling.report.period import Period


@dataclass(frozen=True)
class Before:
    """The records up to number `upto` were not verified for this report: that was done `at` the time of the daily
    verification whose record has the number `seq`, and its record itself was."""

    upto: int
    at: datetime
    seq: int


def read(
    services: Services, beside: Population, period: Period, wanted: frozenset[str] | None, *, whole: bool
) -> tuple[Evidence, Verification, Before | None, Population]:
    """The ledger, verified and folded: from what the index kept of it on, if that can be used, and all holds. The last
    are those beside it that were believed."""
    if not whole and not beside and (indexed := _from_the_index(services, period, wanted)):
        return *indexed, ALONE
    evidence, ledger = Evidence(period, wanted, clock=services.clock.now), services.ledger.directory

    def anew() -> Take:
        nonlocal evidence
        evidence = Evidence(period, wanted, clock=services.clock.now)
        return evidence.take

    seen, believed = read_population(ledger, beside, anew) if beside else (read_verified(ledger, anew), ALONE)
    return evidence, seen, None, believed


def _from_the_index(
    services: Services, period: Period, wanted: frozenset[str] | None
) -> tuple[Evidence, Verification, Before] | None:
    verified = newest(services.lineage())
    if verified is None or not verified.ok:
        return None
    stored = index.kept_before(services.state, services.ledger, period.start, verified.index)
    if stored is None:
        return None
    (kept, contents), evidence = stored, Evidence(period, wanted, clock=services.clock.now)
    unused = [kept]  # a fold goes on from it: who begins again reads it again

    def anew() -> Take:
        nonlocal evidence
        evidence = (unused.pop() if unused else index.read(contents)).evidence(period, wanted, services.clock.now)
        return evidence.take

    verification = read_verified(services.ledger.directory, anew, kept.verified)
    before = Before(kept.verified.mark.seq, verified.at, verified.seq)
    return (evidence, verification, before) if verification.ok else None
