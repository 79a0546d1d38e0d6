"""Which repositories a password opens: a plan's own, its copies', that of its ledger, and the log below each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ccdr.jobs.services import Services, limits_of
from ccdr.jobs.shipping.stored_batch import LOG
from ccdr.model.errors import RepositoryMissing
from ccdr.model.values import LEDGER_REPOSITORY, PRIMARY
from ccdr.plans import LoadedPlan, Repository
from ccdr.plans.copies import as_in_file
from ccdr.storage.restic import Restic

LEDGER = LEDGER_REPOSITORY
Stated = tuple[LoadedPlan, str, Repository]  # by its plan, and by what records call it


@dataclass(frozen=True)
class Opened:
    """One repository that is there. `repository` is what records call it, `of_log` the log's below it."""

    loaded: LoadedPlan
    repository: str
    settings: Repository
    repo: Restic
    of_log: bool = False

    @property
    def plan(self) -> str:
        return self.loaded.plan.plan

    @property
    def named(self) -> str:
        """For people."""
        return f"{self.repository}, the log's" if self.of_log else self.repository

    def by(self, password_file: Path, services: Services) -> Restic:
        """The same, opened by what another file holds. UsageProblem where that is no password."""
        settings = self.settings.model_copy(update={"password_file": password_file, "password_command": None})
        other = services.opened(settings, limits_of(self.loaded), named=self.repo.named)
        secrets = (*self.repo.host.secrets, *other.host.secrets)
        # What it opens changes with the next step; where it is, and whose, is this one's.
        hint = other.hint and replace(other.hint, kept=None, tenant=self.loaded.plan.tenant_of(None))
        return replace(self.repo, env=other.env, host=self.repo.host.with_(secrets=secrets), hint=hint)


def stated_in(loaded: LoadedPlan) -> dict[str, Repository]:
    """All repositories that a plan's file names, by what records call them."""
    plan = as_in_file(loaded).plan
    ledger = {LEDGER_REPOSITORY: plan.ledger_repository} if plan.ledger_repository is not None else {}
    return {PRIMARY: plan.repository, **plan.copies, **ledger}


def repositories_of(loaded: LoadedPlan, services: Services, name: str | None = None) -> list[Opened]:
    """The plan's own repository, or the copy `name`, and the log's below it where there is one. Raises as
    `Restic.probe`."""
    of = name or PRIMARY
    return list(_with_log(loaded, of, stated_in(loaded)[of], services))


def opened_by(path: Path, plans: Iterable[LoadedPlan], services: Services) -> list[Opened]:
    """All repositories whose password these plans take from this file, each once. Raises as `Restic.probe`: what a
    password opens must be known before another takes its place."""
    found: dict[str, Opened] = {}
    for loaded, name, settings in every_of(plans):
        if _by(settings, path) and settings.location.rstrip("/") not in found:
            found |= {one.repo.location.rstrip("/"): one for one in _with_log(loaded, name, settings, services)}
    return list(found.values())


def every_of(plans: Iterable[LoadedPlan]) -> Iterator[Stated]:
    """All repositories that these plans name."""
    for loaded in plans:
        for name, settings in stated_in(loaded).items():
            yield loaded, name, settings


def elsewhere(path: Path, plans: Iterable[LoadedPlan]) -> Iterator[Stated]:
    """Of these those whose password comes from another file, or from a command."""
    return (one for one in every_of(plans) if not _by(one[2], path))


def _by(settings: Repository, path: Path) -> bool:
    return settings.password_file is not None and settings.password_file.resolve() == path.resolve()


def log_below(repo: Restic) -> Restic:
    """Where the shipped log lies that belongs to this repository, if any is shipped."""
    return replace(repo, location=f"{repo.location.rstrip('/')}/{LOG}")


def _with_log(loaded: LoadedPlan, name: str, settings: Repository, services: Services) -> Iterator[Opened]:
    named = "repository" if name == PRIMARY else name if name == LEDGER_REPOSITORY else f"copies: {name}"
    repo = services.opened(settings, limits_of(loaded), named=named)
    repo = replace(repo, plan=loaded.plan.plan, hint=repo.hint and replace(repo.hint, kept=None))
    own = Opened(loaded, name, settings, repo)
    repo.probe()
    yield own
    log = log_below(repo)
    try:
        log.probe()
    except RepositoryMissing:
        return
    yield replace(own, repo=log, of_log=True)
