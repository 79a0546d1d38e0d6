"""Servers that run, onto which assets are brought: each is looked at, and nothing is changed there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ccdr.host.state import Run
from ccdr.jobs.recover.request import RecoverRequest
from ccdr.jobs.restore.sources import Sources
from ccdr.jobs.services import Services
from ccdr.model.errors import CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import Manifest
from ccdr.plans.job import Job
from ccdr.plans.targets import Target
from ccdr.ports.place import Progress


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
