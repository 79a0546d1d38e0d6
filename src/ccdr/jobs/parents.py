"""What the next backup of an asset may build upon, where the plan wants increments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from ccdr.host.state import Run
from ccdr.jobs import attest
from ccdr.jobs.fetch import bases_of, candidates, newest_of
from ccdr.jobs.services import Services
from ccdr.model import parents as chain
from ccdr.model.errors import CcdrError, RepositoryMissing
from ccdr.model.values import Manifest, Snapshot
from ccdr.plans.job import Job
from ccdr.ports.capture import Base
from ccdr.storage.restic import Restic


def base_for(job: Job, services: Services, repo: Restic, kept: Path, run: Run) -> Base:
    """The newest snapshot, if it can be counted on and so can all that it needs; as the repository has them now.

    `kept` is where the state directory holds its `base_file`: it is used only if it is the very file that was captured,
    and is fetched where it is not. Nothing here fails a backup: a full one can always be taken.
    """
    name = job.engine.base_file
    if name is None:
        return Base()
    history = services.history(job)
    try:
        synchronised = newest_of(job, services, repo, history.stored_here)
        attest.learned(services, job.plan, synchronised, [job.asset])
        synchronised.understood([job.asset])
        snapshots = candidates(job, services, synchronised)
        if not snapshots.ours and not synchronised.vanished:
            return Base()
        newest = snapshots.ours[-1] if snapshots.ours else None
        lost = [s for s in synchronised.vanished if newest is None or s.consistent_point > newest.consistent_point]
        if newest is None or lost:
            return Base(why=f"the previous one, {lost[-1].short}, vanished from the repository")
        if lacks := chain.lacks(newest, snapshots.there):
            return Base(why=lacks)
        if newest not in chain.usable(snapshots.good, snapshots.there, history.disproved):
            return Base(why=f"the previous one, {newest.short}, failed its test, or has a wrong date")
        manifest = services.catalogue.manifest(newest)
        if manifest.method != job.engine.method or name not in manifest.files:
            return Base(why=f"the previous one, {newest.short}, is a {manifest.method}")
        base = Base((*bases_of(newest, snapshots.there, services.catalogue), (newest, manifest)))
        return replace(base, held=_held(services, repo, newest, manifest, name, kept, run))
    except RepositoryMissing:
        return Base()
    except (CcdrError, OSError) as error:
        return Base(why=f"ccdr cannot read its parent snapshot: {error}")


def _held(
    services: Services, repo: Restic, snapshot: Snapshot, manifest: Manifest, name: str, kept: Path, run: Run
) -> Path:
    wanted = manifest.files[name].sha256
    if _sha256(services, kept) == wanted:
        return kept
    fetched = run.scratch / "base"
    fetched.write_text(repo.read(snapshot.id, PurePosixPath(snapshot.root) / name), "utf-8", "surrogateescape")
    if _sha256(services, fetched) != wanted:
        raise CcdrError(f"{Path(name).name} of {snapshot.short} is not the one that was captured")
    return fetched


def _sha256(services: Services, path: Path) -> str | None:
    return services.digest(path.parent, [path.name])[path.name].sha256 if path.is_file() else None
