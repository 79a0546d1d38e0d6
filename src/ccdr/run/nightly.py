"""Once a day, for a Unix group: a package of a plan's evidence, where the plan says so (`package:`)."""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from ccdr.evidence.package.bag import is_package
from ccdr.host.files import remove_tree
from ccdr.host.state_files import StateFile, state_or_none, write_state
from ccdr.jobs.package import Choice, Order, sources, told_of, write
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError
from ccdr.model.instant import Instant
from ccdr.model.schedule import SET_BACK
from ccdr.plans import LoadedPlan
from ccdr.plans.model import NightlyPackage
from ccdr.ports.place import Unwatched
from ccdr.telling.package import closed, told_by_records

EVERY, SOON = timedelta(days=1), timedelta(hours=1)  # after one that was written; after one that could not be
FOLDER, FILE = 0o750, 0o640


class NightlyTry(StateFile, frozen=True):
    """STATE/schedule/PLAN..package.json: the last one, and as what."""

    at: Instant
    of: str
    well: bool


def write_nightly(plans: Sequence[LoadedPlan], services: Services) -> Iterator[str]:
    """Write those that are due. Yields sentences on what could not be, each once an hour."""
    for loaded in plans:
        plan, wanted = loaded.plan.plan, loaded.plan.package
        if wanted is None or loaded.plan.recovery_only:
            continue
        with services.state.turn(f"package.{plan}") as mine:
            kept, now = services.state.root / "schedule" / f"{plan}..package.json", services.clock.now()
            of, last = f"{wanted.directory} {wanted.group}", state_or_none(kept, NightlyTry)
            if not mine or (last is not None and last.of == of and _fresh(last, now)):
                continue
            try:
                yield from _written(loaded, wanted, services)
                well = True
            except (CcdrError, OSError) as error:
                well = False
                why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
                yield f"{plan}: the package for the group {wanted.group} was not written: {why}"
            write_state(kept, NightlyTry(at=now, of=of, well=well))


def _fresh(last: NightlyTry, now: datetime) -> bool:
    return now - (EVERY if last.well else SOON) < last.at <= now + SET_BACK


def _written(loaded: LoadedPlan, wanted: NightlyPackage, services: Services) -> Iterator[str]:
    """In a directory beside it, which takes its place; sentences on what its checkpoint lacks."""
    target = wanted.directory
    try:
        group = grp.getgrnam(wanted.group).gr_gid
    except KeyError:
        raise CcdrError(f"there is no group {wanted.group} here") from None
    if target.is_symlink() or (target.exists() and not is_package(target)):
        raise CcdrError(f"{target} is there, and is no package: it is not replaced")
    new, old = (target.with_name(f".{target.name}.{end}") for end in ("new", "old"))
    for left in (new, old):
        remove_tree(left)
    choice, found = Choice(None, frozenset({loaded.plan.plan})), sources(services)
    told, mark, lacks = closed(services, told_of(services, choice, found, texts=True), loaded.path.parent)
    yield from (f"{loaded.plan.plan}: {target}: {error}" for error in lacks)
    write(services, Order(choice, None, told), told_by_records, sources(services, mark), new, Unwatched())
    for folder, _, files in os.walk(new):
        for path, mode in ((Path(folder), FOLDER), *((Path(folder, name), FILE) for name in files)):
            os.chown(path, -1, group)
            path.chmod(mode)
    if target.exists():
        target.rename(old)
    new.rename(target)
    remove_tree(old)
