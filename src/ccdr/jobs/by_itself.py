"""Has `ccdr run` come for a plan without a person who typed it? On a host that was made in a hurry nobody may have told
cron or a timer: then all is green today, and nothing is backed up tomorrow.

STATE/by-itself.json holds the plans, each with the first time; where it is lost, the next run writes it. One line typed
by `ssh HOST ccdr run` or `docker exec` has neither a terminal nor a login, as a container's loop: what comes so counts
once it has come EVENLY, which nobody types by chance. STATE/by-itself-maybe.json holds when it last came so."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from ccdr.host.state import State
from ccdr.host.state_files import state_or_none, write_state
from ccdr.host.who import CRON, SYSTEMD, TERMINAL, Who
from ccdr.jobs.services import Services
from ccdr.model.instant import Instant

NOT_YET = "no `ccdr run` has come by itself here yet, and what is due waits for one"
EVENLY = 5  # runs, as far apart as each other: three are typed by somebody who looks every few minutes
LEAST_APART = timedelta(minutes=1)
ALIKE = 0.25  # of a distance: work that is done between makes the next one longer
Known = dict[str, Instant]  # by-itself.json, by plan
Seen = dict[str, list[Instant]]  # by-itself-maybe.json: the last `EVENLY`, by plan


def by_itself(who: Who) -> bool:
    """Certainly so: by cron, or as a service."""
    return who.started_by in (CRON, SYSTEMD)


def maybe_by_itself(who: Who) -> bool:
    """A container's loop is nobody's login, and has no terminal; nor has what somebody types into it from elsewhere."""
    return who.started_by not in (CRON, SYSTEMD, TERMINAL) and who.login_uid is None


def came(plans: Collection[str], who: Who, services: Services) -> None:
    """A run was asked for these. CcdrError, OSError where the state cannot be written."""
    known = _known(services.state)
    new = [plan for plan in plans if plan not in known]
    if not new or not (by_itself(who) or maybe_by_itself(who)):
        return
    now = services.clock.now()
    if not by_itself(who):
        path = services.state.root / "by-itself-maybe.json"
        seen = state_or_none(path, Seen) or {}
        seen |= {plan: [*seen.get(plan, ()), now][-EVENLY:] for plan in new}
        write_state(path, seen)
        new = [plan for plan in new if evenly(seen[plan])]
    if new:
        write_state(_path(services.state), known | dict.fromkeys(new, now))


def evenly(moments: Sequence[datetime]) -> bool:
    """Do these lie as far apart as a loop's runs do?"""
    apart = [later - earlier for earlier, later in pairwise(moments)]
    return len(moments) >= EVENLY and min(apart) >= LEAST_APART and max(apart) <= min(apart) * (1 + ALIKE)


def has_come(plan: str, state: State) -> bool:
    return plan in _known(state)


def cron_line(plan: str, plans: Path, restore_tests: Path, state: Path, program: Path) -> str:
    """What a person types as root so that cron calls `ccdr run` for it, beside whatever is there. Cron takes a % for
    the end of a line."""
    named = [program, "run", plan, "--plans", plans, "--restore-tests", restore_tests, "--state", state]
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    call = f"*/5 * * * * root umask 077; {path} {shlex.join(map(str, named))}".replace("%", "\\%")
    return f"echo {shlex.quote(call)} > /etc/cron.d/ccdr-{plan}"


def _path(state: State) -> Path:
    return state.root / "by-itself.json"


def _known(state: State) -> Known:
    return state_or_none(_path(state), Known) or {}
