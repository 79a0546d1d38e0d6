"""Has `ccdr run` come for a plan without a person who typed it? On a host that was made in a hurry nobody may have told
cron or a timer: then all is green today, and nothing is backed up tomorrow.

STATE/by-itself.json holds the plans, each with the first time; where it is lost, the next run writes it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection
from pathlib import Path

from ccdr.host.files import write_durably
from ccdr.host.state import State
from ccdr.host.who import CRON, SYSTEMD, TERMINAL, Who
from ccdr.jobs.services import Services
from ccdr.model.values import rfc3339

NOT_YET = "no `ccdr run` has come by itself here yet, and what is due waits for one"


def by_itself(who: Who) -> bool:
    """Certainly so by cron, or as a service; a container's loop is nobody's login, and has no terminal."""
    return who.started_by in (CRON, SYSTEMD) or (who.started_by != TERMINAL and who.login_uid is None)


def came(plans: Collection[str], who: Who, services: Services) -> None:
    """A run was asked for these. CcdrError, OSError where the state cannot be written."""
    known = _known(services.state)
    if by_itself(who) and (new := [plan for plan in plans if plan not in known]):
        body = {**known, **dict.fromkeys(new, rfc3339(services.clock.now()))}
        write_durably(_path(services.state), json.dumps(body, sort_keys=True) + "\n")


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


def _known(state: State) -> dict[str, str]:
    try:
        body = json.loads(_path(state).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(plan): str(at) for plan, at in body.items()} if isinstance(body, dict) else {}
