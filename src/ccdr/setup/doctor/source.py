"""Where backups come from: does it answer, let us in, and let us read everything?"""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.jobs.services import Services
from ccdr.model.errors import BackupFailed, CommandFailed, UsageProblem
from ccdr.model.values import Probe
from ccdr.plans.job import Job

PATIENCE = 20.0  # seconds that one question to the source may take


class _Nobody:
    """`Progress` that nobody watches."""

    def step(self, text: str) -> None: ...

    def amount(self, done: int, total: int | None) -> None: ...


def source(job: Job, services: Services) -> Iterator[Probe]:
    what = "source"
    with services.state.run(services.clock) as run:
        credentials, into = run.directory("credentials"), run.directory("into")
        try:
            services.write_credentials(job, credentials)
            with services.lab.source(job.engine, run.id, into, credentials, PATIENCE, _Nobody()) as (place, facts):
                kind = f"{job.engine.engine_name} {facts.version}" if job.engine.has_server else "there"
                yield Probe.ok(what, f"{job.engine.source_name}: {kind}")
                yield from job.engine.rights(place)
        except UsageProblem as error:
            yield Probe.unknown(what, str(error), error.hint or "put the password where the plan says")
        except BackupFailed as error:  # it can be told, and no backup would succeed
            yield Probe.fail(what, str(error), error.hint or "change the plan, or the source")
        except CommandFailed as error:
            failure = str(error)
            if job.engine.refused(error.stderr):
                secret = job.engine.secret()
                failure += (
                    f"; its password is from file {secret.password_file}" if secret and secret.password_file else ""
                )
                yield Probe.fail(what, failure, "check `connection:`, its password, and the server's access rules")
            else:
                yield Probe.unknown(what, failure, "check that the source runs, and that this host can reach it")
    for problem in run.problems:
        yield Probe.fail("scratch", problem, "`ccdr sandbox reap` removes it")
