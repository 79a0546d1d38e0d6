"""Store the files of a plan's version in its repository whenever they change, so that a lost host's plans can be had
again. No version is ever removed there: no prune and no retention knows of them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from ccdr import __version__
from ccdr.evidence.records.plans import PlanStored
from ccdr.host.state_files import StateFile, state_or_none, write_state
from ccdr.jobs import in_force
from ccdr.jobs.plan_in_repository.stored_versions import PLAN, listed
from ccdr.jobs.services import Services, limits_of
from ccdr.model.errors import CcdrError
from ccdr.model.instant import Instant
from ccdr.model.values import Verb
from ccdr.plans import LoadedPlan
from ccdr.plans.access import Role
from ccdr.plans.roles import as_role
from ccdr.plans.trust import confirmed, require_confirmed
from ccdr.plans.versions import PLAN_FORMAT, digest_of, files_of
from ccdr.storage.listing import OURS
from ccdr.storage.restic import Restic

AGAIN = timedelta(hours=1)  # after a try in vain
LOOK = timedelta(days=1)  # how often the repository is asked whether what was stored is still there


class StoredPlan(StateFile, frozen=True):
    """How it stood when it was last looked at; when it is lost, the repository is asked."""

    digest: str | None = None
    repository: str | None = None
    seen: Instant | None = None  # when the repository held it
    tried: Instant | None = None

    def holds(self, digest: str, repository: str) -> bool:
        return (self.digest, self.repository) == (digest, repository)

    def within(self, at: datetime | None, wait: timedelta, now: datetime) -> bool:
        return at is not None and now - wait < at <= now + wait


def store(plans: Sequence[LoadedPlan], services: Services) -> list[str]:
    """Have the repository hold the files of each plan's version. A sentence for each that could not be stored; the next
    backup, or run, tries again."""
    notes = []
    for loaded in plans:
        try:
            _store(loaded, services)
        except (CcdrError, OSError) as error:
            notes.append(f"the plan {loaded.plan.plan} could not be stored in its repository: {error}")
    return notes


def store_pending(plans: Sequence[LoadedPlan], services: Services) -> list[str]:
    """As `store`, of those that were changed since they were stored, on the host that takes their backups: a plan need
    not wait for the next one. Not where nothing was ever stored, nor where that was tried in vain just now."""
    now, pending = services.clock.now(), []
    histories = services.histories()
    for loaded in plans:
        note, of = _noted(loaded, services), histories.get((loaded.plan.plan, None))
        if note.holds(_digest(loaded), _where(loaded)) or note.within(note.tried, AGAIN, now):
            continue
        if loaded.plan.recovery_only or not confirmed(loaded):
            continue
        if (of is None or of.answers_for(Verb.BACKUP)) and services.knows(loaded.plan.plan):
            pending.append(loaded)
    return store(pending, services)


def _store(loaded: LoadedPlan, services: Services) -> None:
    digest, where, note, now = _digest(loaded), _where(loaded), _noted(loaded, services), services.clock.now()
    if not loaded.texts or loaded.plan.recovery_only:  # one that was made from the repository is no news to it
        return
    require_confirmed(loaded)  # what this host has stored, it knows: nothing goes there unseen
    held = note.holds(digest, where)
    if held and note.within(note.seen, LOOK, now):
        return
    _write_note(loaded, services, StoredPlan(note.digest, note.repository, note.seen, now))
    repo = services.repository(as_role(loaded, Role.BACKUP), limits_of(loaded), gentle=True)
    with services.state.reading(repo.location):
        if not (held and _there(repo, loaded.plan.plan, digest, now)):
            snapshot = _stored(loaded, services, repo, digest)
            stored = PlanStored(plan=loaded.plan.plan, digest=digest, snapshot=snapshot, repository=where)
            services.ledger.write(stored)
    _write_note(loaded, services, StoredPlan(digest, where, now, None))


def _stored(loaded: LoadedPlan, services: Services, repo: Restic, digest: str) -> str:
    """Each host stores its own; one that another host stored is the same."""
    directory = in_force.kept_in(services, loaded.plan.plan, digest)
    in_force.keep(loaded, directory)
    ledger = services.ledger
    tags = [OURS, f"kind={PLAN}", f"plan={loaded.plan.plan}", f"version={digest}", f"plan_format={PLAN_FORMAT}"]
    told = {"writer": ledger.actor, "host": ledger.host, "ccdr": __version__}
    tags += [f"{key}={value.replace(',', ' ')}" for key, value in told.items()]  # restic takes a comma for two tags
    return repo.backup([directory.absolute()], tags=tags).id


def _there(repo: Restic, plan: str, digest: str, now: datetime) -> bool:
    """Is this still the newest version there?"""
    versions, _ = listed(repo.snapshots([OURS, f"kind={PLAN}", f"plan={plan}"]), now)
    return bool(versions) and versions[-1].digest == digest


def _digest(loaded: LoadedPlan) -> str:
    return digest_of(files_of(loaded))


def _where(loaded: LoadedPlan) -> str:
    repository = loaded.facts.repository
    return repository.location if repository else ""


def _note(loaded: LoadedPlan, services: Services) -> Path:
    return services.state.root / "plans" / loaded.plan.plan / "stored.json"


def _noted(loaded: LoadedPlan, services: Services) -> StoredPlan:
    return state_or_none(_note(loaded, services), StoredPlan) or StoredPlan()


def _write_note(loaded: LoadedPlan, services: Services, note: StoredPlan) -> None:
    with contextlib.suppress(CcdrError):  # it only saves time
        write_state(_note(loaded, services), note)
