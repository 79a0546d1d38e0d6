"""`ccdr demo --recover`: the sample contact centre is lost with the host that backed it up, and comes back.

What is typed then is what somebody on call types: each is a command of its own, and is shown.
"""

from __future__ import annotations

import secrets
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ccdr.demo import plan, show
from ccdr.demo.centre import Centre, Home
from ccdr.demo.needs import find_needs
from ccdr.host.files import remove_tree
from ccdr.host.processes import Host
from ccdr.jobs.plan_in_repository import store
from ccdr.jobs.shipping.ship import ship
from ccdr.model.errors import CcdrError, Exit, worst
from ccdr.plans.job import Job
from ccdr.ports.place import Progress
from ccdr.sandbox.docker import Docker
from ccdr.wiring import services

KEPT, AGAIN, RECOVERED = "kept-elsewhere", "again", "recovered"  # below the demo's directory
PATIENCE = 300.0  # seconds without a word, of a command that is shown


@dataclass
class Typed:
    """A command, what it printed for people, and how it ended; seconds."""

    line: str
    said: str
    code: Exit
    seconds: float


@dataclass
class Lost:
    """What was done: `typed` after all was lost. `back_s` is from the loss to the last asset's checks."""

    work: Path
    typed: list[Typed] = field(default_factory=list)
    back_s: float = 0.0
    seconds: float = 0.0

    @property
    def exit_code(self) -> Exit:
        return worst([typed.code for typed in self.typed])


def lose_and_recover(work: Path, progress: Progress) -> Lost:
    """Carry it out in `work`, afresh. Raises as the rooms it uses do; what a command answers is in the result."""
    began = time.monotonic()
    show.clean(work)
    docker = show.servers_of(work)
    images = find_needs(docker)
    work.mkdir(parents=True)
    (work / show.MARKER).touch()
    own, home = services(work / "state"), Home(docker, work.absolute(), f"demo-{secrets.token_hex(3)}", keep=False)
    lost = Lost(work)
    with show.running(home, images, progress) as (centre, server):
        loaded = plan.write_plan(work, centre, images, server, own)
        jobs = [Job(loaded, asset) for asset in loaded.plan.assets]
        shown = show.Shown(work, loaded)
        progress.step(f"backing {len(jobs)} stores up")
        show.round_of(shown, jobs, own, progress)
        store([loaded], own)  # `ccdr backup` does it too: the plan lies with the backups
        progress.step("2,000 more calls, 40 more recordings; the server's log has them")
        centre.carry_on()
        for job in jobs:
            if job.engine.shipping is not None:
                ship(job, own, progress, once=True)
        progress.step("losing all of it: servers, recordings, and the host that backed them up")
        _keep_elsewhere(work)
        _lose(work, centre, docker)
        gone = time.monotonic()
        _type(lost, work, loaded.plan.repository.url, progress)
        lost.back_s = time.monotonic() - gone
    lost.seconds = time.monotonic() - began
    return lost


def _keep_elsewhere(work: Path) -> None:
    """What somebody has on paper or on a stick: the password, and the store's credentials."""
    (work / KEPT).mkdir(mode=0o700)
    for name in (plan.KEY, "outbound.env"):
        shutil.copy2(work / "plans/secrets" / name, work / KEPT / name)


def _lose(work: Path, centre: Centre, docker: Docker) -> None:
    for leftover in docker.leftovers():
        if leftover.of(docker.state):
            docker.remove(leftover)
    lost = (centre.crm.recordings, centre.switchboard.directory, work / "plans", work / "restore_tests", work / "state")
    if left := [problem for path in lost for problem in remove_tree(path)]:
        raise CcdrError("; ".join(left))


def _type(lost: Lost, work: Path, url: str, progress: Progress) -> None:
    """Each command as a person types it; one that fails is the last."""
    kept, again = work / KEPT, work / AGAIN
    where = ("--plans", str(again / "plans"), "--state", str(again / "state"))
    commands: tuple[tuple[str, ...], ...] = (
        (
            *("bootstrap", url, "--password-file", str(kept / plan.KEY)),
            *("--env-file", str(kept / "outbound.env"), "--into", str(again)),
        ),
        (*where, "recover", plan.PLAN, "--under", str(work / RECOVERED), "--yes-i-mean", plan.PLAN),
        (*where, "recover", "check", plan.PLAN),
    )
    for words in commands:
        progress.step(f"ccdr {next(word for word in words if word in ('bootstrap', 'recover'))}")
        lost.typed.append(_typed(words))
        if lost.typed[-1].code not in (Exit.OK, Exit.FINDING):
            return


def _typed(words: Sequence[str]) -> Typed:
    began = time.monotonic()
    said: list[str] = []
    keep: Callable[[str], None] = said.append
    done = Host(no_progress=PATIENCE).run(
        [sys.executable, "-m", "ccdr", *words], what="ccdr", ok=range(256), on_line=keep
    )
    text = "\n".join(said) if done.code == 0 else "\n".join([*said, done.stderr.shown])
    code = Exit(done.code) if done.code in list(Exit) else Exit.NOT_CARRIED_OUT
    return Typed(f"ccdr {' '.join(words)}", text, code, time.monotonic() - began)
