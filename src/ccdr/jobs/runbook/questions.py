"""Steps that ask: a URL, or a database. As health checks they ask again until it is green."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import cast
from urllib.parse import urlsplit

from ccdr.checks.sql import Sql as SqlCheck
from ccdr.jobs.runbook.work import StepResult, Work, nap
from ccdr.model.errors import CcdrError, CommandFailed, Exit, UsageProblem
from ccdr.model.schema import format_duration
from ccdr.model.values import Verdict
from ccdr.plans import LoadedPlan
from ccdr.plans.runbook import AnyStep, Http, Sql
from ccdr.plans.targets import Target
from ccdr.ports.check import CheckContext
from ccdr.ports.engine import Engine
from ccdr.ports.place import Source
from ccdr.ports.restored import Restored

BETWEEN = 1.0  # seconds between two tries of a health check


def _until_green(ask: Callable[[], str | None], within: float) -> str | None:
    """Ask again and again; None once it is green, else why not."""
    deadline = time.monotonic() + within
    while (why := ask()) is not None and time.monotonic() + BETWEEN < deadline:
        nap(BETWEEN)
    return why


def http(name: str, step: AnyStep, work: Work) -> StepResult:
    assert isinstance(step, Http)
    if step.look:
        why = _http_once(step)
        return StepResult(True, facts={"answer": why or f"answers {step.status}"})
    why = _until_green(lambda: _http_once(step), step.within)
    if why is None:
        return StepResult(True, facts={"answer": f"answers {step.status}"})
    host = urlsplit(step.url).hostname
    return StepResult(False, f"{host} {why}", "mend it, then retry the step", Exit.FINDING)


def _http_once(step: Http) -> str | None:
    """None where it answers as it should; else why not, in words of ours. No redirect is followed: it is an answer."""
    parts = urlsplit(step.url)
    assert parts.hostname
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection: HTTPConnection = HTTPConnection(parts.hostname, parts.port, timeout=step.timeout)
    if parts.scheme == "https":
        try:
            context = ssl.create_default_context(cafile=str(step.ca_file) if step.ca_file else None)
        except FileNotFoundError:
            return "cannot be asked: its ca_file is not there"
        except ssl.SSLError:  # of these too the number is no system's
            return "cannot be asked: its ca_file holds no certificate"
        except OSError as error:
            return f"cannot be asked: its ca_file cannot be read: {os.strerror(error.errno or 0)}"
        connection = HTTPSConnection(parts.hostname, parts.port, timeout=step.timeout, context=context)
    try:
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"User-Agent": "ccdr", "Connection": "close"})
            status = connection.getresponse().status
    except ssl.SSLCertVerificationError:
        return "shows a certificate that is not verified"
    except ssl.SSLError:
        return "does not answer by TLS"
    except socket.gaierror:
        return "has a name that this host does not know"
    except TimeoutError:
        return f"did not answer within {format_duration(step.timeout)}"
    except OSError as error:
        return f"does not answer: {os.strerror(error.errno)}" if error.errno else "does not answer"
    except (HTTPException, ValueError):
        return "answers what is no HTTP"
    return None if status == step.status else f"answers {status}, expected {step.status}"


def sql(name: str, step: AnyStep, work: Work) -> StepResult:
    assert isinstance(step, Sql)
    engine, shown = asked_of(step, work.loaded)
    asking = SqlCheck(kind="sql", query=step.query, expect=step.expect)

    def once() -> str | None:
        try:
            with _asked(engine, shown, name, work) as answering:
                (result,) = asking.run(cast(Restored, answering), cast(CheckContext, _NOWHERE))
        except CommandFailed as error:
            return f"does not answer: {error}"
        except CcdrError as error:
            return f"cannot be asked: {error}"
        return None if result.status is Verdict.PASS else f"gives {result.actual}, expected {result.expected}"

    if step.look:
        return StepResult(True, facts={"answer": once() or "answers as expected"})
    why = _until_green(once, step.within)
    if why is None:
        return StepResult(True, facts={"answer": "answers as expected"})
    return StepResult(False, f"{shown} {why}", "mend it, then retry the step", Exit.FINDING)


def asked_of(step: Sql, loaded: LoadedPlan) -> tuple[Engine, str]:
    """The engine by whose connection it is asked, and how it is called."""
    plan = loaded.plan
    if step.asset is not None:
        return cast(Engine, plan.assets[step.asset]), f"the source of {step.asset}"
    if step.target is not None:
        engine, target = plan.assets[step.target], plan.targets[step.target]
        return _at_target(cast(Engine, engine), target), f"the target of {step.target}"
    assert step.server is not None and step.server.server is not None
    scheme = step.server.server.partition("://")[0].lower()
    wanted = "postgres" if scheme.startswith("postgres") else "mariadb"
    by = next((asset for asset in plan.assets.values() if asset.engine_name == wanted), None)
    if by is None:
        raise UsageProblem(f"the plan has no asset of the engine {wanted}, by whose client a {scheme}: URL is asked")
    return _at_target(cast(Engine, by), step.server), "the server"


def _at_target(engine: Engine, target: Target) -> Engine:
    if target.server is not None:
        return engine.onto(target.server, target.password_file, target.ca_file).client
    new = target.new_server
    connection = getattr(engine, "connection", None)
    if new is None or connection is None:
        raise UsageProblem("its target is a directory, which answers no SQL")
    there = {"host": new.address, "port": new.port or connection.port}
    return cast(Engine, engine.model_copy(update={"connection": connection.model_copy(update=there)}))  # type: ignore[attr-defined]


@dataclass(frozen=True)
class _Answering:
    """A server that runs, asked as a restored one is."""

    engine: Engine
    source: Source

    def query(self, box: object, manifest: object, sql: str) -> list[list[str | None]]:
        return self.engine.ask(self.source, sql)


class _Nowhere:
    sandbox = manifest = None


_NOWHERE = _Nowhere()


@contextlib.contextmanager
def _asked(engine: Engine, shown: str, name: str, work: Work) -> Iterator[_Answering]:
    with client_of(engine, shown, f"sql-{name}", work) as source:
        yield _Answering(engine, source)


@contextlib.contextmanager
def client_of(engine: Engine, shown: str, label: str, work: Work) -> Iterator[Source]:
    """Where a client of the engine's server runs, for a short question."""
    into = work.run.directory(f"{label}-{time.monotonic_ns()}")
    credentials = into / "credentials"
    credentials.mkdir(mode=0o700)
    work.services.write_credentials_of(engine, credentials, what=shown)
    lab, run = work.services.lab, work.run.id
    opened = lab.source(
        engine, run, into, credentials, PATIENCE, work.progress, any_client=True, gentle=False, part=label
    )
    with opened as (source, _):
        yield source


PATIENCE = 20.0  # seconds that a server may say nothing for
