"""What a machine carries out of a runbook: a command, a recovery, checks, a look at the sources, a question that is
asked until it is green.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import urlsplit

from ccdr.checks.sql import Sql as SqlCheck
from ccdr.host.interrupts import each_to_its_end, tick
from ccdr.host.processes import Host
from ccdr.host.state import Run
from ccdr.jobs.recover import journal as recovery
from ccdr.jobs.runbook.people import RECOVERY, all_of, of_this_run
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

if TYPE_CHECKING:
    from ccdr.engines import AnyEngine

# What a machine's step is handed, and what comes of it.


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
    """What a runner is handed. `since`: when an earlier attempt was first begun, which may have got somewhere. `begun`
    is when the run was, `recoveries` are those that its steps have told of. `unseen`: how the last attempt ended,
    nobody was told. `approval` is a request that somebody else has signed: for the recovery that a step begins."""

    loaded: LoadedPlan
    services: Services
    run: Run
    directories: Mapping[str, Path]  # by the option that names them: --plans, --restore-tests, --state
    progress: Progress
    since: datetime | None = None
    unseen: bool = False
    begun: datetime | None = None
    recoveries: tuple[str, ...] = ()
    approval: Path | None = None


class Runner(Protocol):
    """Carries out a step of one kind. CcdrError where it could not be carried out, or found something."""

    def __call__(self, name: str, step: AnyStep, work: Work) -> StepResult: ...


def failed(error: CcdrError) -> StepResult:
    code = error.exit_code if error.exit_code in (Exit.FINDING, Exit.LEFT_BEHIND) else Exit.NOT_CARRIED_OUT
    return StepResult(False, str(error), error.hint, code, words=error.words or FreeText())


def nap(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        tick()
        time.sleep(0.1)


# Steps that ask: a URL, or a database. As health checks they ask again until it is green.

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


# Is it dead? By several looks from this host: its process, its port or files, and a question that it must answer.

AT_ONCE = 4
KNOCK = 5.0  # seconds
# By engine, what its server's process is called.
PROCESSES = {
    "postgres": ("postgres", "postmaster"),
    "mariadb": ("mariadbd", "mysqld"),
    "redis": ("redis-server", "valkey-server"),
}


def look_at(assets: Sequence[str], work: Work) -> dict[str, str]:
    """What each look at each source has told, in words of ours."""

    def one(name: str) -> str:
        return "; ".join(_looks(name, work.loaded.plan.assets[name], work))

    looks = each_to_its_end([(lambda name=name: one(name)) for name in assets], AT_ONCE)  # type: ignore[misc]
    return dict(zip(assets, looks, strict=True))


def _looks(name: str, asset: AnyEngine, work: Work) -> Iterable[str]:
    connection = getattr(asset, "connection", None)
    if connection is None:
        there = [path.exists() for path in asset.source_paths]
        yield "its files are there" if there and all(there) else "its files are not there"
        return
    names = PROCESSES.get(asset.engine_name, ())
    if asset.on_this_host and names:
        yield _some(names[0]) if _process(names) else f"no process {names[0]} runs here"
    yield _knock(connection.host, getattr(connection, "port", None))
    yield _sources_asked(name, cast(Engine, asset), work)


def _some(process: str) -> str:
    """It may be of a container, or of another one beside it."""
    return f"some {process} runs on this host: whether it is this one, its port or socket tells"


def _process(names: Sequence[str]) -> bool:
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if path.read_text("utf-8", "replace").strip() in names:
                return True
    return False


def _knock(host: str, port: int | None) -> str:
    if host.startswith("/"):
        return "its socket is there" if Path(host).exists() else "its socket is not there"
    if port is None:
        return "its port is not known"
    try:
        with socket.create_connection((host, port), KNOCK):
            return f"port {port} is open"
    except socket.gaierror:
        return "its name is not known here"
    except ConnectionRefusedError:
        return f"port {port} refuses"
    except OSError:
        return f"port {port} does not answer"


def _sources_asked(name: str, engine: Engine, work: Work) -> str:

    try:
        with client_of(engine, f"{name}: connection", f"look-{name}", work):
            return "it ANSWERS a question"
    except CommandFailed as error:
        refused = engine.refused(error.stderr)
        return "it ANSWERS, and says no" if refused else "it answers no question"
    except CcdrError as error:
        if error.exit_code is Exit.FINDING:
            return "it answers no question"
        return "it could not be asked a question from here"


LINES_KEPT = 200  # of what a command says: for a person's eyes
STILL_ENDING = 60.0  # seconds that a ccdr gets to end whose master was killed
NOT_INSTALLED = 127


# --- commands ---------------------------------------------------------------------------------------------


def own_argv(argv: tuple[str, ...], directories: Mapping[str, Path]) -> list[str]:
    """A command as it is run: `ccdr` is this very program, with the directories that it works with itself."""
    if argv[0] != CCDR:
        return list(argv)
    options = [word for option, path in directories.items() for word in (option, str(path.absolute()))]
    return [sys.executable, "-m", "ccdr", *options, *argv[1:]]


def command(name: str, step: AnyStep, work: Work) -> StepResult:
    assert isinstance(step, Command)
    if step.argv[:2] == (CCDR, "ship") and not log_waits(step.argv, work):
        return StepResult(True, "skipped: this host has never received a log, so that none waits here")
    watches_itself = step.argv[0] == CCDR and "timeout" not in step.model_fields_set
    return run_command(step.argv, work, timeout=LONGEST if watches_itself else step.timeout)


def log_waits(argv: tuple[str, ...], work: Work) -> bool:
    """Was a log of the plan ever received here? On a host that was made from the repository alone it was not, and the
    source is gone."""
    plan = work.loaded.plan.plan
    if plan not in argv:  # another plan's: it says itself what it finds
        return True
    return any((work.services.state.root / "shipping" / plan).glob("*/spool"))


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
        code, words = _run(host, own_argv(argv, work.directories), called, said)
        while argv[0] == CCDR and code == Exit.LOCKED and work.since is not None and time.monotonic() < still_there:
            nap(BETWEEN)  # what an earlier attempt had begun is still ending
            code, words = _run(host, own_argv(argv, work.directories), called, said)
    except CommandFailed as error:
        missing = error.code == NOT_INSTALLED and not error.stalled
        return StepResult(
            False,
            str(error),
            "install it on this host, or carry it out by hand and skip the step" if missing else None,
            Exit.NOT_CARRIED_OUT if missing else Exit.FINDING,
            words=FreeText("\n".join(said)) + error.stderr,
        )
    if code == 0:
        return StepResult(True, words=words)
    if argv[:2] == (CCDR, "pause") and argv[-1] == "--end" and code == Exit.USAGE:
        return StepResult(True, "it was over already", words=words)  # by itself, or before ccdr was stopped
    if argv[0] == CCDR:
        return replace(_by_code(code, called), words=words)
    return StepResult(False, f"{called} exited with {code}", code=Exit.FINDING, words=words)


def _by_code(code: int, called: str) -> StepResult:
    """What ccdr itself came to, by an exit code other than 0."""
    if code == Exit.LEFT_BEHIND:
        return StepResult(True, f"{called} left something behind", left_behind=(f"what {called} names",))
    own = code in (Exit.USAGE, Exit.NOT_CARRIED_OUT, Exit.LOCKED)
    return StepResult(False, f"{called} exited with {int(code)}", code=Exit.NOT_CARRIED_OUT if own else Exit.FINDING)


def _run(host: Host, argv: list[str], called: str, said: deque[str]) -> tuple[int, FreeText]:
    done = host.run(argv, what=called, on_line=said.append, ok=range(256))
    return done.code, FreeText("\n".join(said)) + done.stderr


def recover(name: str, step: AnyStep, work: Work) -> StepResult:
    """`ccdr recover` keeps a journal of its own: what it had begun for this step is gone on with, never begun again."""
    assert isinstance(step, Recover)
    plan = work.loaded.plan.plan
    while work.since is not None and work.services.state.held(plan, "", recovery.VERB):
        nap(BETWEEN)  # it outlived whoever had begun it, and goes on
    told = recovery.newest(work.services.state, plan) if work.since is not None else None
    before = {one.run for one in all_of(plan, work.services.state)}
    if told is not None and work.since is not None and told.began >= work.since:
        before.discard(told.run)
        if not told.unfinished:
            return replace(_as_it_ended(told, work), facts={RECOVERY: told.run})
        words: tuple[str, ...] = ("recover", "--resume", plan)
    else:
        approval = ("--approval", str(work.approval.absolute())) if work.approval is not None else ()
        words = (*recover_words(step, plan), "--yes-i-mean", plan, *approval)
    done = run_command((CCDR, *words), work, timeout=LONGEST, meanwhile=_HowFar(work, name))
    begun = [one.run for one in all_of(plan, work.services.state) if one.run not in before]
    if not done.ok and not begun and "--resume" not in words and wants_approval(work.loaded):
        retry = f"`ccdr runbook retry {plan} {name} --approval FILE`"
        done = replace(done, hint=f"the plan wants another person's approval of a recovery: {retry} gives it")
    return replace(done, facts={RECOVERY: ", ".join(begun)} if begun else {})


def _as_it_ended(told: recovery.Told, work: Work) -> StepResult:
    """A recovery that was done before this process came to it: no greener than it was, where nobody has seen how it
    ended. A person who has, and has the step go on, has answered for it."""
    there = "it was brought back before ccdr was stopped"
    if told.code is Exit.OK or not work.unseen:
        return StepResult(True, there)
    ended = _by_code(told.code, "`ccdr recover`")
    return replace(ended, reason=f"{there}, and {ended.reason}", hint=f"`ccdr recover check {told.plan}` looks at it")


def wants_approval(loaded: LoadedPlan) -> bool:
    """Of a recovery."""
    return loaded.plan.approval is not None and loaded.plan.approval.recover


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
        with contextlib.suppress(CcdrError, OSError):
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
    plan = work.loaded.plan.plan
    recoveries = of_this_run(plan, work.services.state, work.begun, work.recoveries)
    if not recoveries:
        return StepResult(
            False,
            "no recovery was begun on this host in this run: there is nothing to check",
            f"`ccdr recover {plan}` begins one; then retry this step",
            Exit.FINDING,
        )
    results = []
    for told in recoveries:
        of = ("--run", told.run) if len(recoveries) > 1 else ()
        results.append(run_command((CCDR, *check_words(step, plan), *of), work, timeout=LONGEST))
    bad = [one for one in results if not one.ok]
    found = next((one for one in bad if one.code is Exit.FINDING), (bad or results)[0])
    left_behind = tuple(dict.fromkeys(text for one in results for text in one.left_behind))
    return replace(found, left_behind=left_behind)


def check_words(step: Check, plan: str) -> tuple[str, ...]:
    return ("recover", "check", plan, *(("--opened",) if step.of == "opened" else ()))


RUNNERS: Mapping[str, Runner] = {
    "recover": recover,
    "check": check,
    "command": command,
    "http": http,
    "sql": sql,
}
