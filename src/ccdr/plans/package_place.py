"""Where the package that a plan has written each night may lie, and for whom. root writes it where a plan says: apart
from all that plans name and ccdr keeps, and where nobody else can put something in its way.
"""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from ccdr.host.nearby import mounts_here, overlap, places
from ccdr.model.errors import CcdrError, FileProblem
from ccdr.model.schema import Strict
from ccdr.plans.loader import LoadedPlan, load_plan, plan_names
from ccdr.plans.model import Plan, Repository
from ccdr.plans.yamlfile import Where, dotted

_OWN = ("package", "directory")


def group_of(name: str) -> int | None:
    """Its number; None where this machine has no such group."""
    with suppress(KeyError):
        return grp.getgrnam(name).gr_gid
    return None


def misplaced(loaded: LoadedPlan, state: Path) -> Iterator[FileProblem]:
    """Why the package of a plan is not written: by all plans beside it, and the state directory of this host."""
    wanted = loaded.plan.package
    if wanted is None:
        return
    directory = wanted.directory
    for where, message in (*_unknown(wanted.group), *_overlapping(loaded, directory, state), *_open(directory)):
        yield FileProblem(str(loaded.path), loaded.line(where), dotted(where), message)


def _unknown(group: str) -> Iterator[tuple[Where, str]]:
    if group_of(group) is None:
        yield ("package", "group"), f"is {group}, which this machine does not have: groupadd {group}"


def _overlapping(loaded: LoadedPlan, directory: Path, state: Path) -> Iterator[tuple[Where, str]]:
    mounts = mounts_here()
    own = places(directory, mounts)
    for what, path in _taken(loaded, state):
        if overlap(own, places(path, mounts)):
            yield _OWN, f"lies in or around {path} ({what}): name one apart from all that plans name and ccdr keeps"
            return


def _taken(loaded: LoadedPlan, state: Path) -> Iterator[tuple[str, Path]]:
    yield "the state directory", state
    yield "the plans", loaded.path.parent
    if loaded.tests_from is not None:
        yield "the restore tests", loaded.tests_from
    for plan in _every(loaded):
        for where, path in paths_in(plan, ()):
            if plan.plan != loaded.plan.plan or where != _OWN:
                yield f"{dotted(where)} of {plan.plan}", path


def _every(loaded: LoadedPlan) -> Iterator[Plan]:
    """Of one that is wrong nobody knows what it names; it is told of by itself."""
    yield loaded.plan
    for name in plan_names(loaded.path.parent):
        path = loaded.path.with_name(f"{name}.yaml")
        if name != loaded.plan.plan and (found := _read(path, path.stat().st_ino, path.stat().st_mtime_ns)) is not None:
            yield found


@lru_cache(maxsize=4096)
def _read(path: Path, *version: int) -> Plan | None:
    """Once, however many plans ask for it, as long as the file is the same."""
    with suppress(CcdrError):
        return load_plan(path, None).plan
    return None


def paths_in(value: object, where: Where) -> Iterator[tuple[Where, Path]]:
    """Every path of this machine that a plan names, whatever for: sources, repositories, secrets, targets."""
    if isinstance(value, Path):
        yield where, value
    elif isinstance(value, dict | tuple):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths_in(entry, (*where, key))
    elif isinstance(value, Strict):
        if isinstance(value, Repository) and value.is_local:
            yield (*where, "url"), Path(value.location)
        for field in type(value).model_fields:
            yield from paths_in(getattr(value, field), (*where, field))


def _open(directory: Path) -> Iterator[tuple[Where, str]]:
    """Whoever can write to a directory that leads there could put another in its place while root writes."""
    for place in dict.fromkeys((*directory.parents, *Path(os.path.realpath(directory)).parents)):
        try:
            found = place.stat()
        except FileNotFoundError:
            continue
        shared = stat.S_IWOTH | (stat.S_IWGRP if found.st_gid not in (0, found.st_uid) else 0)
        sticky = found.st_uid == 0 and found.st_mode & stat.S_ISVTX  # as /tmp: nobody replaces there what is root's
        if found.st_uid not in (0, os.geteuid()) or (found.st_mode & shared and not sticky):
            yield _OWN, f"lies below {place}, which others can change: chown root {place}; chmod go-w {place}"
            return
