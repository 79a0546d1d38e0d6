"""Where each asset is brought: the plan's target, a file's before it, a place below one directory for what has none; a
server that runs is looked at, and nothing is changed there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ccdr.host.state import Run
from ccdr.jobs.recover.request import RecoverRequest
from ccdr.jobs.restore.directory import staging_for
from ccdr.jobs.restore.examination import Sources
from ccdr.jobs.services import Services
from ccdr.model.errors import CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import Manifest
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.targets import NewServer, Target
from ccdr.ports.engine import Engine
from ccdr.ports.place import Progress


def jobs_of(loaded: LoadedPlan, request: RecoverRequest) -> list[Job]:
    """The assets that are asked for, in the plan's order. UsageProblem for one that the plan does not have, and where
    none is left."""
    known = list(loaded.plan.assets)
    for option, names in (("--assets", request.assets), ("--except", request.excluded), ("--to", request.targets)):
        if unknown := [name for name in names if name not in known]:
            what = "asset" if len(unknown) == 1 else "assets"
            raise UsageProblem(
                f"plan {loaded.plan.plan} has no {what} {', '.join(unknown)}, which {option} names",
                hint=f"it has {', '.join(known)}",
            )
    if unknown := [name for name in request.timelines if name not in known]:
        raise UsageProblem(f"plan {loaded.plan.plan} has no asset {unknown[0]}, which --timeline names")
    wanted = [name for name in known if name not in request.excluded and (not request.assets or name in request.assets)]
    if not wanted:
        raise UsageProblem("no asset is left to recover", hint="--assets and --except name the same ones")
    return [Job(loaded, name) for name in wanted]


def places_of(jobs: Sequence[Job], request: RecoverRequest) -> tuple[dict[str, Target], list[str]]:
    """By asset, and what is wrong with them, a sentence each: none named, of a kind that it cannot be brought to, or
    one place for two."""
    places: dict[str, Target] = {}
    problems: list[str] = []
    lacking: list[Job] = []
    for job in jobs:
        target = request.targets.get(job.asset) or job.loaded.plan.targets.get(job.asset) or _below(job, request.under)
        if target is None:
            lacking.append(job)
        elif wrong := _unfit(job, target):
            problems.append(f"{job.asset}: {wrong}")
        else:
            places[job.asset] = target
    problems += _lacking(lacking)
    return places, problems + list(_shared(places, {job.asset: job.engine for job in jobs}))


def _below(job: Job, under: Path | None) -> Target | None:
    if under is None:
        return None
    directory = _absolute(under) / job.asset
    if job.engine.has_server:
        return Target(new_server=NewServer.model_validate({"directory": directory}))
    return Target(directory=directory)


def _lacking(jobs: Sequence[Job]) -> Iterator[str]:
    """What has no place, and the least to write that gives it one."""
    if not jobs:
        return
    lines = [f"  {job.asset}: {_shortest(job)}" for job in jobs]
    which = ", ".join(job.asset for job in jobs)
    yield (
        f"nothing says where {which} {'is' if len(jobs) == 1 else 'are'} to be brought. In the plan, or in a file for "
        "--to:\n" + "\n".join(["targets:", *lines]) + "\nor `--under DIR` for a new server, or a directory, of each"
    )


def _shortest(job: Job) -> str:
    place = f"/srv/recovered/{job.asset}"
    return f"{{new_server: {{directory: {place}}}}}" if job.engine.has_server else f"{{directory: {place}}}"


def _unfit(job: Job, target: Target) -> str | None:
    """Why it cannot be brought to a place of this kind."""
    name = job.engine.engine_name
    if not job.engine.has_server and target.directory is None:
        return f"{name} is brought into a directory, and its target is a {target.kind}: {_shortest(job)}"
    if target.server is not None:
        try:
            job.engine.onto(target.server, target.password_file, target.ca_file)
        except UsageProblem as error:
            return str(error)
    return None


def path_of(target: Target) -> Path | None:
    """The directory of this host that it is, or that the new server's home is."""
    return target.new_server.directory if target.new_server is not None else target.directory


def _shared(places: Mapping[str, Target], engines: Mapping[str, Engine]) -> Iterator[str]:
    """Two assets that would be brought to one place, or one into the other's."""
    paths = {asset: Path(os.path.realpath(path)) for asset, target in places.items() if (path := path_of(target))}
    known = list(paths)
    for number, one in enumerate(known):
        for other in known[number + 1 :]:
            if paths[one] == paths[other]:
                yield f"{one} and {other} would both be brought to {paths[one]}"
            elif paths[one] in paths[other].parents:
                yield f"the target of {other} lies in that of {one}: {paths[other]}"
            elif paths[other] in paths[one].parents:
                yield f"the target of {one} lies in that of {other}: {paths[one]}"
    yield from _ports_shared(places)
    by_server: dict[str, str] = {}
    for asset, target in places.items():
        if target.server is None:
            continue
        shown = engines[asset].onto(target.server, target.password_file, target.ca_file).shown
        if (before := by_server.get(shown)) is not None:
            yield f"{before} and {asset} would both be brought to {shown}"
        by_server[shown] = asset


def _ports_shared(places: Mapping[str, Target]) -> Iterator[str]:
    taken: dict[tuple[str, int], str] = {}
    for asset, target in places.items():
        new = target.new_server
        if new is None or new.port is None:
            continue
        if (before := taken.get((new.address, new.port))) is not None:
            yield f"the new servers of {before} and {asset} would both listen at {new.address}:{new.port}"
        taken[new.address, new.port] = asset


def refused_places(
    places: Mapping[str, Target],
    jobs: Sequence[Job],
    manifests: Mapping[str, Manifest],
    request: RecoverRequest,
    services: Services,
) -> tuple[list[str], list[str]]:
    """Directories that will not do (a source, not empty, no right to write …), a sentence each; and notes. Nothing is
    changed; a sentence that is true of several is told once."""
    problems: dict[str, None] = {}
    notes: list[str] = []
    for job in jobs:
        path = path_of(places[job.asset]) if job.asset in places else None
        if path is None or job.asset not in manifests:
            continue
        manifest = manifests[job.asset]
        guarded = Sources(job, services, request.others).guarded(manifest)
        try:
            if ".." in path.parts:
                raise UsageProblem(f"{path} goes up again", hint="write the path without ..")
            makes = request.under and _absolute(request.under)
            notes += staging_for(path, guarded, size=0, entries=_entries(manifest), run="outlook", makes=makes)[1]
        except UsageProblem as error:
            problems[f"{error}{f' ({error.hint})' if error.hint else ''}"] = None
    return list(problems), notes


def _absolute(under: Path) -> Path:
    return under.expanduser().absolute()


def _entries(manifest: Manifest) -> int:
    contents = manifest.contents
    return sum(int(str(contents.get(kind, 0))) for kind in ("files", "directories", "links")) + len(manifest.files)


# Servers that run, onto which assets are brought: each is looked at, and nothing is changed there.


def look_at_servers(
    places: Mapping[str, Target],
    jobs: Sequence[Job],
    manifests: Mapping[str, Manifest],
    request: RecoverRequest,
    services: Services,
    run: Run,
    progress: Progress,
) -> dict[str, tuple[str, ...]]:
    """By asset what a person should know of its server. UsageProblem, all at once, where one will not do (it is, or
    could be, a source; it is not empty …); TestBroken where one does not answer."""
    notes: dict[str, tuple[str, ...]] = {}
    refused: list[str] = []
    silent: list[str] = []
    for job in jobs:
        where = places[job.asset]
        if where.server is None:
            continue
        progress.step(f"looking at the server for {job.asset}")
        target = job.engine.onto(where.server, where.password_file, where.ca_file)
        directory = run.directory(f"server-{job.asset}")
        services.write_credentials_of(target.client, directory, what=f"{job.asset}: target")
        manifest = manifests[job.asset]
        sources = Sources(job, services, request.others).known(manifest)
        try:
            with services.lab.source(
                target.client, run.id, run.scratch, directory, job.limits.no_progress, progress, any_client=True
            ) as (source, _):
                survey = target.examine(
                    source, manifest, run.id, sources, onto_source_server=request.onto_source_server
                )
            notes[job.asset] = tuple(survey.notes)
        except UsageProblem as error:
            refused.append(f"{job.asset}: {error}{f' ({error.hint})' if error.hint else ''}")
        except CommandFailed as error:
            said = "refused user or password" if target.client.refused(error.stderr) else "does not answer"
            silent.append(f"{job.asset}: {target.shown} {said}")
    if refused:
        raise UsageProblem("\n".join(refused))
    if silent:
        raise TestBroken("\n".join(silent), hint="see that it is up and who may log in; or name a `new_server:`")
    return notes
