"""A machine that has only taken in what hosts tell: an auditor's. Nobody there knows what stands now, and a plan's file
there is a copy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ccdr.evidence.history.asset_history import TOGETHER
from ccdr.evidence.population import Chain
from ccdr.evidence.records import PlanVersion
from ccdr.evidence.records.plans import newest_of_each
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import utc
from ccdr.plans.versions import digest_of, files_of

if TYPE_CHECKING:
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan


def only_taken_in(services: Services) -> Sequence[Chain]:
    """The ledgers that lie here, all of other hosts, where this one's own tells of no plan; none where it does."""
    chains = services.population().chains
    if not chains or any(chain.ours for chain in chains):
        return ()
    with suppress(CcdrError):
        if any(record.plan is not None for record in services.ledger.as_read()):
            return ()
    return chains


def told_until(chains: Iterable[Chain]) -> datetime | None:
    """Up to when all of them tell, but for those that end days before the others; None where there are none."""
    ends = sorted(utc(chain.until) for chain in chains)
    if not ends:
        return None
    return next(end for end in ends if ends[-1] - end < TOGETHER) + timedelta.resolution


def require_in_force(plans: Iterable[LoadedPlan], chains: Iterable[Chain]) -> None:
    """UsageProblem where the file of a plan is not what one of these ledgers has in force: whoever gave it may have
    made its promises smaller."""
    in_force = [newest_of_each(chain.reader.newest(PlanVersion)) for chain in chains]
    for loaded in plans:
        versions = [version for newest in in_force if (version := newest.get(loaded.plan.plan)) is not None]
        if versions and digest_of(files_of(loaded)) not in {version.digest for version in versions}:
            version = max(versions, key=lambda one: one.at)
            raise UsageProblem(
                f"{loaded.path} and its restore tests are not the version of {version.plan} that its host had in force "
                f"({version.digest[:12]}, {version.record}): nothing is judged by them",
                hint="ask for the files as they are in force, or have the host put them into its evidence bucket: "
                "docs/how-to/evidence-bucket.md",
            )
