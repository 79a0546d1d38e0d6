"""Opens a server for questions, and says in plain words why one does not answer."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ccdr.engines import Postgres
from ccdr.engines.postgres import grants, survey
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, CommandFailed, UsageProblem
from ccdr.ports.place import Place, Progress

ALWAYS_THERE = ("postgres", "template1")  # databases to ask a server through when none is named
NO_PROGRESS = 60.0  # seconds; every question has a shorter limit of its own
_ELSEWHERE = re.compile(r'database "[^"]*" does not exist|permission denied for database|no pg_hba\.conf entry')
# What the server said, and what to do about it. The command line or a file is wrong.
_REFUSED = (
    (
        r"no password supplied",
        "write the password into a file of mode 0600, and name it with --password-file FILE",
    ),
    (
        r"password authentication failed",
        "is it the right user, and its password the first line of --password-file FILE?",
    ),
    (r"Peer authentication failed|Ident authentication failed", "name the user in the URL: postgresql://USER@host/"),
    (r'role "[^"]*" does not exist', "name a user that the server knows: postgresql://USER@host/"),
    (r'database "[^"]*" does not exist', "leave the database out of the URL, and all that there are will be found"),
    (r"permission denied for database", "as a superuser: {connect}"),
    (r"no pg_hba\.conf entry", "let this host and user in by a line in the server's pg_hba.conf"),
    (
        r"certificate|does not support SSL|root\.crt|SSL error",
        "elsewhere than on loopback TLS is verified: name the server as its certificate does, and a CA of your own"
        " with ?sslrootcert=FILE",
    ),
)


@dataclass(frozen=True)
class Asked:
    """A server that answers: where its client runs, and what it holds."""

    place: Place
    env: Mapping[str, str]
    server: survey.ServerFound

    def env_of(self, database: str) -> Mapping[str, str]:
        return survey.gently(self.env, database)


@contextlib.contextmanager
def ask(engine: Postgres, others: tuple[str, ...], services: Services, progress: Progress) -> Iterator[Asked]:
    """Ask the server of this connection, through its database or, where that cannot be had, one of `others`.

    UsageProblem where it refuses us, another CcdrError where it does not answer.
    """
    with services.state.run(services.clock) as run:
        credentials = run.directory("credentials")
        services.write_credentials_of(engine, credentials, what=engine.connection.host)
        into = run.directory("asked")
        for n, one in enumerate((engine, *(_through(engine, name) for name in others))):
            with contextlib.ExitStack() as opened:
                try:
                    place = _opened(opened, one, services, f"{run.id}-{n}", into, credentials, progress)
                    env = one.connection.environment(credentials)
                    server = survey.server(place, survey.gently(env, one.connection.database))
                except CommandFailed as error:
                    if n == len(others) or not error.stderr.search(_ELSEWHERE):
                        raise explained(error, engine) from None
                    continue
                yield Asked(place, env, server)
                return


def _opened(
    opened: contextlib.ExitStack, engine: Postgres, services: Services, run: str, into: Path, credentials: Path,
    progress: Progress,
) -> Place:  # fmt: skip
    source, _ = opened.enter_context(
        services.lab.source(engine, run, into, credentials, NO_PROGRESS, progress, any_client=True)
    )
    return source.place


def _through(engine: Postgres, database: str) -> Postgres:
    return engine.model_copy(update={"connection": engine.connection.model_copy(update={"database": database})})


def explained(error: CommandFailed, engine: Postgres) -> CcdrError:
    """Why the server did not answer, with the next step."""
    c = engine.connection
    message = f"{c.host}, port {c.port}, as {c.user}: {error.stderr.answer or error}"
    for pattern, hint in _REFUSED:
        if error.stderr.search(pattern):
            return UsageProblem(message, hint=hint.format(connect=grants.connect(c.database, c.user)))
    return CcdrError(message, hint="does a PostgreSQL server answer there, and can this host reach it?")
