"""What a machine carries out of a runbook: a command, a question by HTTP or SQL, a look at the sources."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import urlsplit

from ccdr.checks.sql import Sql as SqlCheck
from ccdr.host.interrupts import tick
from ccdr.host.processes import Host
from ccdr.host.state import Run
from ccdr.jobs.recover import journal as recovery
from ccdr.jobs.runbook.sources import look_at
from ccdr.jobs.services import Services
from ccdr.model.answers import FreeText
from ccdr.model.errors import CcdrError, CommandFailed, Exit, UsageProblem
from ccdr.model.schema import format_duration
from ccdr.model.values import Verdict
from ccdr.plans import LoadedPlan
from ccdr.plans.runbook import AnyStep, Check, Command, Http, Recover, Sql
from ccdr.plans.runbook_made import CCDR
from ccdr.plans.targets import Target
from ccdr.ports.check import CheckContext
from ccdr.ports.engine import Engine
from ccdr.ports.place import Progress, Source
from ccdr.ports.restored import Restored

LINES_KEPT = 200  # of what a command says: for a person's eyes
BETWEEN = 1.0  # seconds between two tries of a health check
STILL_ENDING = 60.0  # seconds that a ccdr gets to end whose master was killed
NOT_INSTALLED = 127
Monotonic = Callable[[], float]


@dataclass(frozen=True)
class StepResult:
    """What came of a step. `reason` and `facts` are ours, and may be recorded; `words` are a program's."""

    ok: bool
    reason: str | None = None
    hint: str | None = None
    code: Exit = Exit.OK
    facts: Mapping[str, str] = field(default_factory=dict)
    left_behind: tuple[str, ...] = ()
    words: FreeText = field(default_factory=FreeText)


@dataclass(frozen=True)
class Work:
    """What a runner is handed. `since`: when an earlier attempt was first begun, which may have got somewhere."""

    loaded: LoadedPlan
    services: Services
    run: Run
    directories: Mapping[str, Path]  # by the option that names them: --plans, --restore-tests, --state
    progress: Progress
    since: datetime | None = None


class Runner(Protocol):
    """Carries out a step of one kind. CcdrError where it could not be carried out, or found something."""

    def __call__(self, name: str, step: AnyStep, work: Work) -> StepResult: ...


def failed(error: CcdrError) -> StepResult:
    code = error.exit_code if error.exit_code in (Exit.FINDING, Exit.LEFT_BEHIND) else Exit.NOT_CARRIED_OUT
    return StepResult(False, str(error), error.hint, code, words=error.words or FreeText())


# --- commands ---------------------------------------------------------------------------------------------


def own_argv(argv: tuple[str, ...], directories: Mapping[str, Path]) -> list[str]:
    """A command as it is run: `ccdr` is this very program, with the directories that it works with itself."""
    if argv[0] != CCDR:
        return list(argv)
    options = [word for option, path in directories.items() for word in (option, str(path.absolute()))]
    return [sys.executable, "-m", "ccdr", *options, *argv[1:]]


def command(name: str, step: AnyStep, work: Work) -> StepResult:
    assert isinstance(step, Command)
    watches_itself = step.argv[0] == CCDR and "timeout" not in step.model_fields_set
    return run_command(step.argv, work, timeout=LONGEST if watches_itself else step.timeout)


def run_command(
    argv: tuple[str, ...], work: Work, *, timeout: float, meanwhile: Callable[[], None] = lambda: None
) -> StepResult:
    """Only its exit code counts. What it says is a program's words."""
    deadline, still_there = time.monotonic() + timeout, time.monotonic() + STILL_ENDING
    said: deque[str] = deque(maxlen=LINES_KEPT)
    called = f"`{argv[0]}`" if argv[0] != CCDR else f"`{' '.join(argv[:2])}`"

    def in_time() -> None:
        meanwhile()
        if time.monotonic() > deadline:
            raise CommandFailed(argv, -1, f"it took longer than {format_duration(timeout)}", stalled=True, what=called)

    host = work.services.host.with_(no_progress=timeout, meanwhile=in_time)
    try:
        code = _run(host, own_argv(argv, work.directories), called, said)
        while argv[0] == CCDR and code == Exit.LOCKED and work.since is not None and time.monotonic() < still_there:
            _nap(BETWEEN)  # what an earlier attempt had begun is still ending
            code = _run(host, own_argv(argv, work.directories), called, said)
    except CommandFailed as error:
        missing = error.code == NOT_INSTALLED and not error.stalled
        return StepResult(
            False,
            str(error),
            "install it on this host, or carry it out by hand and skip the step" if missing else None,
            Exit.NOT_CARRIED_OUT if missing else Exit.FINDING,
            words=FreeText("\n".join(said)),
        )
    words = FreeText("\n".join(said))
    if code == 0:
        return StepResult(True, words=words)
    if argv[0] == CCDR and code == Exit.LEFT_BEHIND:
        return StepResult(True, f"{called} left something behind", left_behind=(f"what {called} names",), words=words)
    if argv[:2] == (CCDR, "pause") and argv[-1] == "--end" and code == Exit.USAGE:
        return StepResult(True, "it was over already", words=words)  # by itself, or before ccdr was stopped
    own = argv[0] == CCDR and code in (Exit.USAGE, Exit.NOT_CARRIED_OUT, Exit.LOCKED)
    return StepResult(
        False, f"{called} exited with {code}", code=Exit.NOT_CARRIED_OUT if own else Exit.FINDING, words=words
    )


def _run(host: Host, argv: list[str], called: str, said: deque[str]) -> int:
    return host.run(argv, what=called, on_line=said.append, ok=range(256)).code


def _nap(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        tick()
        time.sleep(0.1)


def recover(name: str, step: AnyStep, work: Work) -> StepResult:
    """`ccdr recover` keeps a journal of its own: what it had begun for this step is gone on with, never begun again."""
    assert isinstance(step, Recover)
    plan = work.loaded.plan.plan
    told = recovery.newest(work.services.state, plan) if work.since is not None else None
    if told is not None and work.since is not None and told.began >= work.since:
        if not told.unfinished:
            return StepResult(True, "it was brought back before ccdr was stopped")
        words: tuple[str, ...] = ("recover", "--resume", plan)
    else:
        words = (*recover_words(step, plan), "--yes-i-mean", plan)
    return run_command((CCDR, *words), work, timeout=LONGEST, meanwhile=_HowFar(work, name))


@dataclass
class _HowFar:
    """What a recovery has reached, told as it does, by its journal."""

    work: Work
    name: str
    looked: float = field(default_factory=time.monotonic)
    told: dict[str, str | None] = field(default_factory=dict)

    def __call__(self) -> None:
        if time.monotonic() - self.looked < LOOK_EVERY:
            return
        self.looked = time.monotonic()
        with contextlib.suppress(CcdrError, OSError, ValueError, KeyError):
            of = recovery.newest(self.work.services.state, self.work.loaded.plan.plan)
            for asset, at in (of.assets if of is not None and of.unfinished else {}).items():
                if at.stage != self.told.get(asset):
                    self.told[asset] = at.stage
                    self.work.progress.step(f"{self.name}: {asset} {at.stage}")


LOOK_EVERY = 2.0  # seconds
LONGEST = 7 * 86400.0  # it watches its own progress


def recover_words(step: Recover, plan: str) -> tuple[str, ...]:
    """What a person would type behind `ccdr`."""
    words = ["recover", plan]
    words += ["--at", step.at] if step.at != "latest" else []
    words += ["--to", str(step.to)] if step.to else []
    words += ["--under", str(step.under)] if step.under else []
    words += ["--assets", ",".join(step.assets)] if step.assets else []
    words += ["--except", ",".join(step.leave_out)] if step.leave_out else []
    words += ["--nearest"] if step.nearest else []
    return tuple(words)


def check(name: str, step: AnyStep, work: Work) -> StepResult:
    assert isinstance(step, Check)
    if step.of == "sources":
        return StepResult(True, facts=look_at(step.assets or tuple(work.loaded.plan.assets), work))
    return run_command((CCDR, *check_words(work.loaded.plan.plan)), work, timeout=LONGEST)


def check_words(plan: str) -> tuple[str, ...]:
    return ("recover", "check", plan)


# --- questions --------------------------------------------------------------------------------------------


def _until_green(ask: Callable[[], str | None], within: float, monotonic: Monotonic = time.monotonic) -> str | None:
    """Ask again and again; None once it is green, else why not."""
    deadline = monotonic() + within
    while (why := ask()) is not None and monotonic() + BETWEEN < deadline:
        _nap(BETWEEN)
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
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=str(step.ca_file) if step.ca_file else None)
            connection: HTTPConnection = HTTPSConnection(
                parts.hostname, parts.port, timeout=step.timeout, context=context
            )
        else:
            connection = HTTPConnection(parts.hostname, parts.port, timeout=step.timeout)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"User-Agent": "ccdr", "Connection": "close"})
            status = connection.getresponse().status
    except ssl.SSLCertVerificationError:
        return "shows a certificate that is not verified"
    except FileNotFoundError:
        return "cannot be asked: its ca_file is not there"
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
    lab = work.services.lab
    with lab.source(engine, work.run.id, into, credentials, PATIENCE, work.progress, any_client=True, gentle=False) as (
        source,
        _,
    ):
        yield source


PATIENCE = 20.0  # seconds that a server may say nothing for

RUNNERS: Mapping[str, Runner] = {
    "recover": recover,
    "check": check,
    "command": command,
    "http": http,
    "sql": sql,
}
