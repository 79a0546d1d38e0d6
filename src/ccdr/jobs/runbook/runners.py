"""What a machine carries out of a runbook: a command, a recovery, checks, a look at the sources; what it asks is in
`questions.py`."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ccdr.host.processes import Host
from ccdr.jobs.recover import journal as recovery
from ccdr.jobs.runbook.questions import BETWEEN, http, sql
from ccdr.jobs.runbook.recoveries import RECOVERY, all_of, of_this_run
from ccdr.jobs.runbook.sources import look_at
from ccdr.jobs.runbook.work import Runner, StepResult, Work, nap
from ccdr.model.answers import FreeText
from ccdr.model.errors import CcdrError, CommandFailed, Exit
from ccdr.model.schema import format_duration
from ccdr.plans import LoadedPlan
from ccdr.plans.runbook import AnyStep, Check, Command, Recover
from ccdr.plans.runbook_made import CCDR

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
