"""Who may read a plan's secrets, and who could change them or the plan."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ccdr.host.processes import Host
from ccdr.host.secrets import SHORTEST, password
from ccdr.host.strength import weak
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import Probe, so_many
from ccdr.plans import LoadedPlan
from ccdr.plans.lint import open_secret, secret_files


def secrets(loaded: LoadedPlan, host: Host, *, sources: bool) -> Iterator[Probe]:
    """`sources`: those of the sources too, which a host that only tests does not have."""
    what = "secrets"
    named = {path: where for where, path in secret_files(loaded.plan) if sources or where[0] != "assets"}
    bad = False
    for path in named:
        if fault := open_secret(path):
            refusal, _, do = fault.partition(": ")
            yield Probe.fail(what, f"the plan {refusal}", do)
        elif foreign := _foreign(path):
            yield Probe.warn(what, f"{path} belongs to {foreign}, who may replace it", f"chown {os.geteuid()} {path}")
        else:
            continue
        bad = True
    for path in (*named, loaded.path):
        for place, mode in _changeable(path):
            bad = True
            problem = f"other users can replace {path}: {place} has mode {mode:04o}"
            yield Probe.fail(what, problem, f"chmod go-w {place}")
    if not bad:
        count = so_many(len(named), "file") if named else "no files"
        yield Probe.ok(what, f"{count}, readable by their owner alone; nobody else can replace them or the plan")
    yield _password(loaded, host)


def _password(loaded: LoadedPlan, host: Host) -> Probe:
    what, better = "repository password", "make a longer one: head -c 32 /dev/urandom | base64, by `restic key passwd`"
    try:
        secret = password(loaded.plan.repository, host, what="repository", shortest=SHORTEST)
    except UsageProblem as error:
        return Probe.fail(what, str(error), error.hint or better)
    except CcdrError as error:
        return Probe.unknown(what, str(error), error.hint or better)
    length = len(secret or "")
    if weak(secret or "", of_repository=True):
        return Probe.warn(what, f"{length} characters: so short that somebody can guess it", better)
    return Probe.ok(what, f"{length} characters")


def _foreign(path: Path) -> str | None:
    owner = path.stat().st_uid
    return None if owner in (os.geteuid(), 0) else f"user {owner}"


def _changeable(path: Path) -> Iterator[tuple[Path, int]]:
    """The file itself and every directory above it, those that others may write to. What a directory with the
    sticky bit holds (/tmp) only its owner can replace; a group that has its owner's number is that user's own."""
    whole = Path(os.path.realpath(path))
    for place in (whole, *whole.parents):
        try:
            status = place.stat()
        except OSError:
            continue
        shared = 0o022 if status.st_gid not in (0, status.st_uid) else 0o002
        sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        if status.st_mode & shared and not sticky:
            yield place, stat.S_IMODE(status.st_mode)
