"""The version of a plan that is in force: recorded when somebody acts by it, kept word for word, read back.

Whatever carries something out records first which version it goes by, if that is another than the newest in the ledger.
Who only reads records nothing, and judges by the version that is recorded: a file that nobody acted by promises
nothing.

STATE/plans/PLAN/DIGEST/ has the version's files as they were, for ever: they are small, and they are what the ledger's
digests stand for; that they are not there any more is told (`not_kept`). STATE/plans/PLAN/newest.json says where in the
ledger the newest version stands, and from which directory it was; where it is lost, or does not hold, or another
version was recorded since, the ledger has the say.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path

from msgspec import structs

from ccdr.engines.base import AssetObjectives
from ccdr.evidence.history.asset_history import Histories
from ccdr.evidence.records import Record
from ccdr.evidence.records.plans import PlanVersion, Predecessor, version_of
from ccdr.host.files import write_durably
from ccdr.host.state_files import StateFile, state_or_none, write_state
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError
from ccdr.plans import LoadedPlan, load_plan
from ccdr.plans.facts import PlanFacts
from ccdr.plans.versions import (
    FileState,
    Judged,
    PlanRevision,
    changed,
    digest_of,
    files_of,
)

MOST_VERSIONS = 10  # of a plan, the newest ones, whose files are looked at by whoever wants an answer at once
_TRIES = 500  # of a fiftieth of a second: another process records it meanwhile


class NewestVersion(StateFile, frozen=True):
    """newest.json: the number of the record of it, and the directory in which its file lay."""

    seq: int = 0
    plans: str = ""


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


def newest(plan: str, services: Services) -> PlanRevision | None:
    """The newest version that the ledger has, whoever asks. CcdrError where it cannot be read."""
    history = services.histories().get((plan, None))
    return version_of(history.version) if history and history.version else None


def as_recorded(plans: Iterable[LoadedPlan], histories: Histories, services: Services) -> list[Judged]:
    """For who only reads: each as the newest version in the ledger had it."""
    judged = []
    for loaded in plans:
        history = histories.get((loaded.plan.plan, None))
        record = history.version if history else None
        judged.append(judged_by(loaded, version_of(record) if record else None, services))
    return judged


def judged_by(loaded: LoadedPlan, version: PlanRevision | None, services: Services) -> Judged:
    """The plan as that version had it; `loaded` is its file as it is now."""
    plan = loaded.plan.plan
    if version is None or version.gone:
        return Judged(plan, loaded, None, FileState.UNRECORDED)
    if version.digest == digest_of(files_of(loaded)):
        return Judged(plan, loaded, version, FileState.SAME)
    kept = kept_version(version, services, base=loaded.path.parent.absolute())
    why = None if kept else f"its files as of then are not in {kept_in(services, plan, version.digest)} any more"
    return Judged(plan, kept or _promised(loaded, version), version, FileState.DIFFERS, loaded.facts, why)


def _promised(loaded: LoadedPlan, version: PlanRevision) -> LoadedPlan:
    """The file as it is now, with what the version's facts still say of its assets: objectives and schedules. That the
    version's files are gone makes no promise smaller."""
    assets = {}
    for name, engine in loaded.plan.assets.items():
        if (facts := version.facts.assets.get(name)) is not None:
            changed: dict[str, object] = {"objectives": AssetObjectives.model_construct(rpo=facts.rpo, rto=facts.rto)}
            if engine.backup is not None and facts.backup is not None:
                changed["backup"] = engine.backup.model_copy(update={"schedule": facts.backup})
            if engine.restore_test is not None and facts.test is not None:
                changed["restore_test"] = engine.restore_test.model_copy(update={"schedule": facts.test.schedule})
            assets[name] = engine.model_copy(update=changed)
        else:
            assets[name] = engine
    return replace(loaded, plan=loaded.plan.model_copy(update={"assets": assets, "timezone": version.facts.timezone}))


def without_file(version: PlanRevision, services: Services) -> Judged:
    """A plan that no file names any more, as its version had it."""
    kept = kept_version(version, services, base=Path("/") if services.in_package else None)
    where = kept_in(services, version.plan, version.digest).relative_to(services.state.root)
    why = None if kept else f"its files are not in {where} any more"
    return Judged(version.plan, kept, version, FileState.GONE, None, why)


def lost(
    stated: Collection[str], directory: Path, services: Services, histories: Histories | None = None
) -> list[PlanRevision]:
    """Of the plans that the ledger has a version of, those that have no file any more in this directory, and that no
    record says so of; not those that somebody has acted by from another one, as long as they lie there. CcdrError where
    the ledger cannot be read."""
    known = services.histories() if histories is None else histories
    names = unstated(stated, directory, services, known)
    records = [of.version for (plan, _), of in known.items() if plan in names]
    versions = sorted((version_of(record) for record in records if record), key=lambda v: v.plan)
    return [v for v in versions if not v.gone]


def unstated(stated: Collection[str], directory: Path, services: Services, histories: Histories) -> set[str]:
    """Of the plans that the ledger knows, those that have no file any more in this directory; not those that somebody
    has acted by from another one, as long as they lie there."""
    here = str(directory.absolute())

    def elsewhere(plan: str) -> bool:
        noted = _noted(services, plan).plans  # empty: nobody knows any more from where it was
        return noted not in ("", here) and (Path(noted) / f"{plan}.yaml").is_file()

    known = {plan for plan, _ in histories if plan is not None and "@" not in plan and plan not in stated}
    return {plan for plan in known if not elsewhere(plan)}


def not_kept(
    plan: str, services: Services, histories: Histories, most: int | None = MOST_VERSIONS
) -> list[PlanRevision]:
    """Of a plan's newest versions (None: of all) those whose files are not there any more as they were, newest first:
    they are what their digests stand for. CcdrError where the ledger cannot be read."""
    history = histories.get((plan, None))
    versions = versions_before(history.version if history else None, services)
    return [version for version in islice(versions, most) if not _kept(version, services)]


def versions_before(record: Record | None, services: Services) -> Iterator[PlanRevision]:
    """That version of a plan, and those that it followed in this host's ledger, newest first. CcdrError where that
    cannot be read."""
    while isinstance(record, PlanVersion):
        yield version_of(record)
        before = record.predecessor
        ours = before is not None and record.origin is None and before.seq < record.seq
        record = services.ledger.numbered(before.seq) if before is not None and ours else None


def _kept(version: PlanRevision, services: Services) -> bool:
    directory = kept_in(services, version.plan, version.digest)
    try:
        return all(
            sha256((directory / name).read_bytes()).hexdigest() == digest for name, digest in version.files.items()
        )
    except OSError:
        return False


def withdraw(stated: Collection[str], directory: Path, services: Services) -> None:
    """`ccdr run` sees the directory: record of plans that have no file there any more that they are gone. What was due
    until then stays so. CcdrError where that cannot be read or written."""
    for version in lost(stated, directory, services):
        if _noted(services, version.plan).plans != str(directory.absolute()):
            continue  # it may lie elsewhere: it stays what is judged, until somebody acts by it
        with services.state.turn(f"plan.{version.plan}") as mine:
            if mine and newest(version.plan, services) == version:
                services.ledger.write(
                    plan_version(version.plan, {}, structs.replace(version.facts, assets={}), version)
                )
                _note(services, version.plan).unlink(missing_ok=True)


def kept_version(version: PlanRevision, services: Services, base: Path | None = None) -> LoadedPlan | None:
    """A version's files, as they were kept; None where they are not there, are not what the ledger says, or are no
    plan to this ccdr. Relative paths lie in `base`."""
    directory = kept_in(services, version.plan, version.digest)
    path = directory / "plans" / f"{version.plan}.yaml"
    with contextlib.suppress(CcdrError, OSError):
        loaded = load_plan(path, directory / "restore_tests", base or path.parent)
        if digest_of(files_of(loaded)) == version.digest:
            return loaded
    return None


def _stands(loaded: LoadedPlan, services: Services) -> bool:
    """Is this version the newest in the ledger, and are its files kept? The note only says where to look first: that
    none came after it the records say."""
    plan, noted = loaded.plan.plan, _noted(services, loaded.plan.plan)
    try:
        version_record = services.ledger.numbered(noted.seq)
    except CcdrError:
        return False
    if not isinstance(version_record, PlanVersion) or version_record.plan != plan:
        return False
    known = version_of(version_record)
    if changed(loaded, known) or noted.plans != str(loaded.path.parent.absolute()):
        return False
    with contextlib.suppress(CcdrError):  # of a ledger that is damaged somewhere the note is all there is
        last = newest(plan, services)
        if last is None or last.order != known.order:
            return False
    return all((kept_in(services, plan, known.digest) / name).exists() for name in loaded.texts)


def plan_version(plan: str, files: Mapping[str, str], facts: PlanFacts, before: PlanRevision | None) -> PlanVersion:
    """For the ledger."""
    return PlanVersion(
        plan=plan,
        digest=digest_of(files),
        predecessor=Predecessor(digest=before.digest, seq=before.number) if before else None,
        files=dict(files),
        facts=facts,
    )


def _record(loaded: LoadedPlan, services: Services) -> None:
    plan, before = loaded.plan.plan, None
    with contextlib.suppress(CcdrError):  # a ledger that is damaged somewhere can still be written to
        before = newest(plan, services)
    with contextlib.suppress(CcdrError, OSError):  # a full disk is told of by what is written next
        keep(loaded, kept_in(services, plan, digest_of(files_of(loaded))))
    _note(services, plan).unlink(missing_ok=True)
    if before is None or before.ledger is not None or changed(loaded, before):  # each ledger has its own
        seq = services.ledger.write(plan_version(plan, files_of(loaded), loaded.facts, before)).seq
    else:
        seq = before.number  # only the note was lost, or the plan lies elsewhere now
    _write_note(services, plan, seq, loaded.path.parent)


def keep(loaded: LoadedPlan, directory: Path) -> None:
    """Write the version's files there, if they are not. CcdrError or OSError where that cannot be done."""
    for name, text in loaded.texts.items():
        path = directory / name
        if not path.exists() or path.read_bytes() != text:
            write_durably(path, text.decode("utf-8"))  # what was parsed is UTF-8


def kept_in(services: Services, plan: str, digest: str) -> Path:
    """Where a version's files are kept."""
    return services.state.root / "plans" / plan / digest


def kept_texts(services: Services, plan: str, digest: str) -> dict[str, bytes] | None:
    """A version's files as they were kept, by their names; None where they are not there, or not what the digest is
    of."""
    directory = kept_in(services, plan, digest)
    with contextlib.suppress(OSError):
        paths = [*directory.glob("plans/*.yaml"), *directory.glob("restore_tests/*.yaml")]
        texts = {str(path.relative_to(directory)): path.read_bytes() for path in paths}
        if digest_of({name: sha256(text).hexdigest() for name, text in texts.items()}) == digest:
            return texts
    return None


def _noted(services: Services, plan: str) -> NewestVersion:
    return state_or_none(_note(services, plan), NewestVersion) or NewestVersion()


def _write_note(services: Services, plan: str, seq: int, directory: Path) -> None:
    """It only saves time: a full disk is told of by what is written next."""
    with contextlib.suppress(CcdrError):
        write_state(_note(services, plan), NewestVersion(seq=seq, plans=str(directory.absolute())))


def _note(services: Services, plan: str) -> Path:
    return services.state.root / "plans" / plan / "newest.json"
