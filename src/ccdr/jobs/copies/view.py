"""A plan, and all that is known of it here, as seen from one of its copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ccdr.jobs.services import SeenFrom, Services
from ccdr.plans import LoadedPlan
from ccdr.plans.copies import copy_named
from ccdr.plans.copies import seen_from as plan_at
from ccdr.plans.job import Job


def from_site(loaded: LoadedPlan, services: Services, where: str | None) -> tuple[LoadedPlan, Services]:
    """What `--from WHERE` means: the plan and the services that every use-case is to be called with, so that it asks,
    fetches from, and tells of that copy. `where` is a copy's name, or its site; None, `primary` or the site of the
    plan's own repository: both as they are. UsageProblem where there is no such copy."""
    name = None if where is None else copy_named(loaded.plan, where)
    return (loaded, services) if name is None else (plan_at(loaded, name), at(loaded, services, name))


def jobs_from(jobs: Sequence[Job], services: Services, where: str | None) -> tuple[list[Job], Services]:
    """As `from_site`, of one plan's assets."""
    loaded, there = from_site(jobs[0].loaded, services, where)
    return [Job(loaded, job.asset) for job in jobs], there


def at(loaded: LoadedPlan, services: Services, copy: str) -> Services:
    """What is known here of a copy: which snapshots it holds, and what was done there."""
    there = SeenFrom(loaded.plan.plan, copy, services.catalogue)
    return replace(services, catalogue=services.catalogue_of(copy), there=there)
