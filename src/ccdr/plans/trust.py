"""What of a plan came from a repository, and may not be carried out before a person has seen it.

Whoever holds a repository's password can store a plan there. So `ccdr bootstrap` leaves a mark beside the plans that
it writes, and a command of such a plan (`password_command`, a target's `start:`, a runbook's `command`) runs only once
it was shown and confirmed here: `confirmed` and `require_confirmed` are for whoever is about to run one. A plan that
has no mark was written by who may run commands here anyway.

What is confirmed is the command itself, by its digest: a plan that was edited since keeps what was confirmed, and what
was written into it is asked for once. The mark also says how the repository was opened: with that it is opened again,
whatever the plan says of keys that may be lost with their host.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard, TypeVar

import msgspec

from ccdr import __version__
from ccdr.host.state_files import StateDamaged, StateFile, read_state, write_state
from ccdr.model.errors import PlanInvalid, PlanNewer, PlanUnconfirmed, UsageProblem
from ccdr.model.schema import FileOfTakenPlan, Strict, UnconfirmedCommand

if TYPE_CHECKING:
    from ccdr.plans.loader import LoadedPlan
    from ccdr.plans.model import Plan
    from ccdr.plans.targets import Target

MARK = ".ccdr-bootstrap.json"  # in the directory of the plans
_COMMANDS = ("start", "command", "argv")  # fields that hold a command, beside those that end in _command
_SECRETS = ("password_file", "env_file")  # fields that name a file of secrets
_CAME_ALONG = ("plans", "restore_tests", "recovered", "other", "versions")  # what bootstrap, and a recovery, write
_M = TypeVar("_M", bound=Strict)


@dataclass(frozen=True)
class Command:
    """A command that a plan names, and where: its words, or one line for a shell."""

    where: str
    words: tuple[str, ...]

    @classmethod
    def of(cls, where: str, command: str | Sequence[str]) -> Command:
        return cls(where, (command,) if isinstance(command, str) else tuple(command))

    @property
    def digest(self) -> str:
        return sha256(json.dumps(self.words).encode()).hexdigest()

    @property
    def shown(self) -> str:
        """For a person, all of it, and nothing that a terminal would obey."""
        text = self.words[0] if len(self.words) == 1 else shlex.join(self.words)
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass(frozen=True)
class Given:
    """How the repository was opened when the plans were taken from it."""

    url: str
    password_file: Path
    env_file: Path | None = None


@dataclass(frozen=True)
class Origin:
    """Where a plan came from. `files` has the SHA-256 of each file as it came, `confirmed` the digests of the commands
    that may run; `ccdr` and `plan_format` are of who stored it; `made`: it was made from what the repository holds."""

    plan: str
    version: str
    files: Mapping[str, str]
    plan_format: int
    ccdr: str | None = None
    made: bool = False
    confirmed: frozenset[str] = frozenset()


class Mark(StateFile, frozen=True, tag_field="format", tag=2):
    """What lies beside plans that came from a repository. `taken`: when, RFC 3339."""

    taken: str
    repository: Given
    plans: dict[str, Origin]


def read_mark(plans: Path) -> Mark | None:
    """The mark of a directory of plans; None where it has none. UsageProblem where it cannot be read: then nobody can
    tell which commands were confirmed."""
    try:
        return read_state(plans / MARK, Mark)
    except StateDamaged as why:
        raise UsageProblem(
            str(why),
            hint="it says that these plans came from a repository, and which of their commands were confirmed: "
            "`ccdr bootstrap` into another directory writes it again",
        ) from None


def origin_of(loaded: LoadedPlan) -> Origin | None:
    """Where the plan came from; None where a person wrote it here."""
    mark = read_mark(loaded.path.parent)
    return mark.plans.get(loaded.plan.plan) if mark is not None else None


def commands_of(plan: Plan | Target, *where: str) -> list[Command]:
    """Every command that the plan (or the target, which is at `where`) names, and that would run on a host, of whatever
    kind; the settings of a new server are among them, for some of those are commands. A command's `where` begins with
    what it is for: `targets.`, `assets.` …"""
    return list(_commands(plan, where))


def _commands(model: Strict, where: tuple[str, ...]) -> Iterator[Command]:
    for name in type(model).model_fields:
        value, here = getattr(model, name), (*where, name)
        if _words(value) and (name.endswith("_command") or name in _COMMANDS):
            yield Command.of(".".join(here), value)
            continue
        if name == "settings" and isinstance(value, dict):  # a server's: some of them are commands
            yield from (Command.of(".".join((*here, key)), f"{key} = {one}") for key, one in value.items())
        for key, one in _parts(value):
            yield from _commands(one, here if key is None else (*here, key))


def _words(value: object) -> TypeGuard[str | tuple[str, ...]]:
    return isinstance(value, str) or (isinstance(value, tuple) and all(isinstance(word, str) for word in value))


def _parts(value: object) -> Iterator[tuple[str | None, Strict]]:
    if isinstance(value, Strict):
        yield None, value
    elif isinstance(value, dict | tuple | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        yield from ((str(key), entry) for key, entry in entries if isinstance(entry, Strict))


def unconfirmed(loaded: LoadedPlan, commands: Iterable[Command] | None = None) -> list[Command]:
    """Those of these commands (None: of all that the plan names) that nobody has confirmed here, in their order."""
    origin = origin_of(loaded)
    if origin is None:
        return []
    asked = commands_of(loaded.plan) if commands is None else commands
    return [command for command in asked if command.digest not in origin.confirmed]


def confirmed(loaded: LoadedPlan, commands: Iterable[Command] | None = None) -> bool:
    """May these commands (None: all that the plan names) run on this host? Always where the plan was written here."""
    return not unconfirmed(loaded, commands)


def require_confirmed(loaded: LoadedPlan, commands: Iterable[Command] | None = None) -> None:
    """PlanUnconfirmed (exit 3, nothing was begun) where one of these commands (None: of all that the plan names) came
    from a repository, and was not shown and confirmed here. Call it before anything is begun, with every command that
    may run on the way: `Command.of("targets.crm.start", words)`. Where a terminal is, `ccdr.cli.trusting.agree` shows
    them and asks first."""
    if waiting := unconfirmed(loaded, commands):
        raise PlanUnconfirmed(loaded.plan.plan, [command.where for command in waiting])


def confirm(loaded: LoadedPlan, commands: Iterable[Command]) -> None:
    """A person has seen these, and lets them run from now on. CcdrError where that cannot be written."""
    plans, name = loaded.path.parent, loaded.plan.plan
    mark = read_mark(plans)
    if mark is None or (origin := mark.plans.get(name)) is None:
        return
    more = origin.confirmed | {command.digest for command in commands}
    if more == origin.confirmed:
        return
    trusted = {**mark.plans, name: replace(origin, confirmed=frozenset(more))}
    write_state(plans / MARK, msgspec.structs.replace(mark, plans=trusted))


def refuse_newer(origin: Origin, wrong: PlanInvalid | None = None) -> None:
    """PlanNewer where a newer ccdr stored the plan, and this one cannot tell what all of it means: by its format, or
    since (`wrong`) there are things in it that this one does not know."""
    from ccdr.plans.versions import PLAN_FORMAT

    if origin.plan_format > PLAN_FORMAT:
        why = f"it is of format {origin.plan_format}, and this one reads formats up to {PLAN_FORMAT}"
        raise PlanNewer(origin.plan, origin.ccdr, __version__, why)
    if wrong is not None and _release(origin.ccdr) > _release(__version__):
        raise PlanNewer(origin.plan, origin.ccdr, __version__, str(wrong.problems[0]))


def _release(version: str | None) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d{1,6}", version or "", re.ASCII)[:3]))


def as_taken(loaded: LoadedPlan) -> LoadedPlan:
    """The plan as it is used here: with its repository as that was opened when it was taken from there, and its
    commands marked until they are confirmed, so that none runs by oversight. One that was written here is as it is.
    PlanNewer where a newer ccdr wrote it in a way that this one would misread."""
    mark = read_mark(loaded.path.parent)
    if mark is None or (origin := mark.plans.get(loaded.plan.plan)) is None:
        return loaded
    refuse_newer(origin)
    plan, given = loaded.plan, mark.repository
    if os.access(given.password_file, os.R_OK):
        opened: dict[str, object] = {"url": given.url, "password_file": given.password_file, "password_command": None}
        opened["env_file"] = given.env_file
        if (copy := _copy_at(plan, given.url)) is not None:  # it was taken from there: what it holds has other ids
            there = plan.copies[copy].model_copy(update=opened)
            plan = plan.model_copy(update={"repository": there, "copies": {**plan.copies, copy: there}})
        else:
            plan = plan.model_copy(update={"repository": plan.repository.model_copy(update=opened)})
    marked = _marked(plan, origin, _Files(loaded.path.parent, given))
    if (copy := plan.seen_from) is not None:  # it stays that very one
        marked = marked.model_copy(update={"repository": marked.copies[copy]})
    return replace(loaded, plan=marked)


@dataclass(frozen=True)
class _Files:
    """Which files of secrets a person named, and which may have come with the plans."""

    plans: Path
    given: Given

    def marked(self, path: Path) -> Path:
        if path in (self.given.password_file, self.given.env_file):
            return path
        return FileOfTakenPlan.of(path, came_along=self._came_along(path))

    def _came_along(self, path: Path) -> bool:
        try:
            plans, there = self.plans.resolve(), path.resolve()
        except (OSError, RuntimeError):
            return True
        if there.is_relative_to(plans):
            return there.suffix == ".yaml"
        above = (p.parent for p in tuple(plans.parents)[:4] if p.name in ("other", "versions"))
        top = next((p for p in above if (p / "plans" / MARK).is_file()), plans.parent)
        return any(there.is_relative_to(top / name) for name in _CAME_ALONG)


def _copy_at(plan: Plan, url: str) -> str | None:
    """The plan's copy that lies there; None where that is its own repository, or nothing that it names."""
    place = url.rstrip("/")
    if plan.repository.url.rstrip("/") == place:
        return None
    return next((name for name, copy in plan.copies.items() if copy.url.rstrip("/") == place), None)


def _marked(model: _M, origin: Origin, files: _Files) -> _M:
    changed: dict[str, object] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, Path) and name in _SECRETS:
            changed[name] = files.marked(value)
        elif (name.endswith("_command") or name in _COMMANDS) and _words(value):
            if isinstance(value, tuple) and Command.of(name, value).digest not in origin.confirmed:
                changed[name] = UnconfirmedCommand.of(value, origin.plan, name)
        elif isinstance(value, Strict):
            changed[name] = _marked(value, origin, files)
        elif isinstance(value, dict):
            changed[name] = {k: _marked(v, origin, files) if isinstance(v, Strict) else v for k, v in value.items()}
        elif isinstance(value, tuple) and any(isinstance(v, Strict) for v in value):
            changed[name] = tuple(_marked(v, origin, files) if isinstance(v, Strict) else v for v in value)
    return model.model_copy(update=changed) if changed else model
