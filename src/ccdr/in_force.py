"""The version of a plan that is in force: recorded when somebody acts by it, kept word for word, read back.

Whatever carries something out records first which version it goes by, if that is another than the newest in the ledger.
Who only reads records nothing, and judges by the version that is recorded: a file that nobody acted by promises
nothing.

STATE/plans/PLAN/DIGEST/ has the version's files as they were, for ever: they are small, and they are what the ledger's
digests stand for. STATE/plans/PLAN/newest.json says where in the ledger the newest version stands; where it is lost, or
does not hold, the ledger is asked.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.catalogue import OURS
from ccdr.errors import CcdrError
from ccdr.plans import LoadedPlan, load_plan
from ccdr.plans.versions import PLAN_VERSION, Version, body_of, changed, digest_of, files_of, version_of
from ccdr.services import Services
from ccdr.state import write_durably

PLAN = "plan"  # the kind of a snapshot that holds a version's files
PLAN_STORED = "plan.stored"
_TRIES = 500  # of a fiftieth of a second: another process records it meanwhile


def record(loaded: LoadedPlan, services: Services) -> None:
    """Somebody acts by this plan: have its version in the ledger. CcdrError where that cannot be written."""
    if _stands(loaded, services):
        return
    with services.state.turn(f"plan.{loaded.plan.plan}", tries=_TRIES) as mine:
        if mine and not _stands(loaded, services):
            _record(loaded, services)


def record_all(plans: Iterable[LoadedPlan], services: Services) -> None:
    """As `record`, of several; what cannot be written is told by whatever is carried out next."""
    for loaded in plans:
        with contextlib.suppress(CcdrError):
            record(loaded, services)


def newest(plan: str, services: Services) -> Version | None:
    """The newest version that the ledger has, whoever asks. CcdrError where it cannot be read."""
    history = services.histories().get((plan, None))
    found = history and history.newest.get(PLAN_VERSION)
    return version_of(found) if found else None


@dataclass(frozen=True)
class Judged:
    """What a plan is judged by: the version that was in force, or its file where none is known. `version` is None
    where nobody has acted by it yet; `why`: its kept files could not be read."""

    loaded: LoadedPlan
    version: Version | None
    differs: bool
    why: str | None = None


def judged_by(loaded: LoadedPlan, version: Version | None, services: Services) -> Judged:
    """The plan as that version had it, for who only reads; `loaded` is its file as it is now."""
    if version is None or version.digest == digest_of(files_of(loaded)):
        return Judged(loaded, version, differs=False)
    kept = kept_version(version, services, base=loaded.path.parent.absolute())
    if kept is None:
        why = f"its files as of then are not in {_directory(services, version.plan, version.digest)}, or were changed"
        return Judged(loaded, version, differs=True, why=why)
    return Judged(kept, version, differs=True)


def kept_version(version: Version, services: Services, base: Path | None = None) -> LoadedPlan | None:
    """A version's files, as they were kept; None where they are not there, are not what the ledger says, or are no
    plan to this ccdr. Relative paths lie in `base`."""
    directory = _directory(services, version.plan, version.digest)
    path = directory / "plans" / f"{version.plan}.yaml"
    with contextlib.suppress(CcdrError, OSError):
        found = load_plan(path, directory / "restore_tests", base or path.parent)
        if digest_of(files_of(found)) == version.digest:
            return found
    return None


def store(plans: Sequence[LoadedPlan], services: Services) -> list[str]:
    """Have the repository hold the files of each plan's version, once: a lost host's plans can be had again. A sentence
    for each that could not be stored; the next backup tries again."""
    notes = []
    for loaded in plans:
        try:
            _store(loaded, services)
        except (CcdrError, OSError) as error:
            notes.append(f"the plan {loaded.plan.plan} could not be stored in its repository: {error}")
    return notes


def _store(loaded: LoadedPlan, services: Services) -> None:
    plan, digest = loaded.plan.plan, digest_of(files_of(loaded))
    directory = _directory(services, plan, digest)
    marker = directory.with_suffix(".stored")
    if marker.exists() or not loaded.texts:
        return
    _keep(loaded, directory)
    limits = loaded.plan.limits_of(next(iter(loaded.plan.assets)))
    repo = services.repository(loaded, limits, gentle=True)
    with services.state.reading(repo.location):
        stored = repo.backup([directory.absolute()], tags=[OURS, f"kind={PLAN}", f"plan={plan}", f"version={digest}"])
    body = {"digest": digest, "snapshot": stored.id}
    services.ledger.append(PLAN_STORED, plan=plan, asset=None, run=None, body=body)
    write_durably(marker, f"{stored.id}\n")


def _stands(loaded: LoadedPlan, services: Services) -> bool:
    """Is this version the newest in the ledger, as far as is noted, and are its files kept?"""
    plan = loaded.plan.plan
    try:
        found = services.ledger.numbered(int(json.loads(_note(services, plan).read_text("utf-8"))["seq"]))
    except (OSError, ValueError, TypeError, KeyError, CcdrError):
        return False
    known = version_of(found) if found and (found["kind"], found["plan"]) == (PLAN_VERSION, plan) else None
    return known is not None and not changed(loaded, known) and _directory(services, plan, known.digest).is_dir()


def _record(loaded: LoadedPlan, services: Services) -> None:
    plan, before = loaded.plan.plan, None
    with contextlib.suppress(CcdrError):  # a ledger that is damaged somewhere can still be written to
        before = newest(plan, services)
    with contextlib.suppress(CcdrError, OSError):  # a full disk is told of by what is written next
        _keep(loaded, _directory(services, plan, digest_of(files_of(loaded))))
    note = _note(services, plan)
    note.unlink(missing_ok=True)
    if before is None or changed(loaded, before):
        body = body_of(loaded, before)
        seq = services.ledger.append(PLAN_VERSION, plan=plan, asset=None, run=None, body=body).seq
    else:
        seq = before.seq  # only the note was lost
    with contextlib.suppress(CcdrError):
        write_durably(note, json.dumps({"seq": seq}) + "\n")


def _keep(loaded: LoadedPlan, directory: Path) -> None:
    for name, text in loaded.texts.items():
        path = directory / name
        if not path.exists() or path.read_bytes() != text:
            write_durably(path, text.decode("utf-8"))  # what was parsed is UTF-8


def _directory(services: Services, plan: str, digest: str) -> Path:
    return services.state.root / "plans" / plan / digest


def _note(services: Services, plan: str) -> Path:
    return services.state.root / "plans" / plan / "newest.json"
