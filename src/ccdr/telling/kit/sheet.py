"""What the page says of one plan. Names, places and fingerprints; no value of a secret, and no record."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ccdr.host.fingerprints import Fingerprint, fingerprint
from ccdr.model.schema import format_duration
from ccdr.plans import LoadedPlan, Plan, Repository
from ccdr.plans.lint import secret_files
from ccdr.plans.runbook_made import DR, RECOVERED, left_to_start
from ccdr.plans.trust import Command, commands_of
from ccdr.plans.versions import digest_of, files_of


@dataclass(frozen=True)
class Kept:
    """A secret, or what leads to one: what it is, in people's words, and where it lies here. `fingerprint` is None
    where a command gives it."""

    what: str
    where: str
    fingerprint: Fingerprint | None
    needed: bool  # to recover

    def as_json(self) -> dict[str, object]:
        mark = self.fingerprint
        return {
            "what": self.what,
            "where": self.where,
            "fingerprint": mark and mark.digits,
            "why_none": mark and mark.why,
            "needed": self.needed,
        }


@dataclass(frozen=True)
class OneAsset:
    name: str
    engine: str
    method: str
    rpo: str
    rto: str


@dataclass(frozen=True)
class Sheet:
    """One plan. `commands` are the three that bring it back: from nothing, to one moment, and whether all is well."""

    plan: str
    service: str
    owner: str
    url: str
    site: str | None
    mtd: str | None
    version: str
    kept: tuple[Kept, ...]
    assets: tuple[OneAsset, ...]
    commands: tuple[tuple[str, str], ...]
    copies: tuple[tuple[str, str], ...] = ()  # where else the same lies: its site or name, its address

    def as_json(self) -> dict[str, object]:
        return {
            "plan": self.plan,
            "service": self.service,
            "owner": self.owner,
            "url": self.url,
            "site": self.site,
            "version": self.version,
            "kept": [one.as_json() for one in self.kept],
            "copies": [{"site": site, "url": url} for site, url in self.copies],
            "assets": [vars(one) for one in self.assets],
            "commands": [command for _, command in self.commands],
        }


def sheets(plans: Iterable[LoadedPlan]) -> list[Sheet]:
    return [_sheet(loaded) for loaded in plans]


def to_keep(repository: Repository) -> list[Kept]:
    """What must be kept elsewhere, or the repository cannot be opened from there."""
    kept = []
    if repository.password_file is not None:
        path = repository.password_file
        kept.append(Kept("the repository's password", str(path), fingerprint(path), needed=True))
    elif repository.password_command is not None:
        shown = Command.of("", repository.password_command).shown
        kept.append(Kept("the repository's password, which a command gives", shown, None, needed=True))
    if repository.env_file is not None:
        path = repository.env_file
        kept.append(Kept("the store's credentials", str(path), fingerprint(path), needed=True))
    return kept


def _sheet(loaded: LoadedPlan) -> Sheet:
    plan, objectives = loaded.plan, loaded.plan.objectives
    return Sheet(
        plan=plan.plan,
        service=plan.service,
        owner=plan.owner,
        url=plan.repository.url,
        site=plan.repository.site,
        mtd=format_duration(objectives.mtd) if objectives.mtd is not None else None,
        version=digest_of(files_of(loaded))[:12],
        kept=(*to_keep(plan.repository), *_others(plan)),
        assets=tuple(_assets(plan)),
        commands=tuple(_commands(plan)),
        copies=tuple((copy.site or name, copy.url) for name, copy in plan.copies.items()),
    )


def _others(plan: Plan) -> Iterator[Kept]:
    """Credentials of sources, targets and addresses: not needed to recover, but for what comes after it."""
    for where, path in secret_files(plan):
        parts = tuple(map(str, where))
        if parts[0] != "repository":
            yield Kept(_in_words(parts), str(path), fingerprint(path), needed=_needed(parts))
    for command in commands_of(plan):
        parts = tuple(command.where.split("."))
        if parts[-1] == "password_command" and parts[0] != "repository":
            yield Kept(f"{_in_words(parts)}, which a command gives", command.shown, None, needed=False)


def _needed(where: tuple[str, ...]) -> bool:
    return where[0] in ("targets", "copies") or where[:2] == ("access", "restore")


def _in_words(where: tuple[str, ...]) -> str:
    if where[0] == "assets":
        return f"{where[1]}: the source's {'password' if 'password' in where[-1] else where[-1].replace('_', ' ')}"
    if where[0] == "targets":
        return f"{where[1]}: the target's {'password' if 'password' in where[-1] else where[-1].replace('_', ' ')}"
    if where[0] == "copies":
        return f"the copy {where[1]}: its {'password' if 'password' in where[-1] else 'credentials'}"
    if where[0] == "access":
        return f"the store's credential for {where[1]}"
    if where[0] == "notify":
        return "addresses of who is told"
    return where[-1].replace("_", " ") + f" ({where[0]})"


def _assets(plan: Plan) -> Iterator[OneAsset]:
    for name, engine in plan.assets.items():
        of = plan.objectives_of(name)
        rpo, rto = format_duration(of.rpo), format_duration(of.rto)
        yield OneAsset(name, engine.engine_name, str(getattr(engine, "method", "")), rpo, rto)


def _commands(plan: Plan) -> Iterator[tuple[str, str]]:
    repository = plan.repository
    words = ["ccdr", "bootstrap", repository.url, "--password-file", _kept_as(repository.password_file, plan, "key")]
    if repository.env_file is not None:
        words += ["--env-file", _kept_as(repository.env_file, plan, "env")]
    yield "The plans, from the repository alone", shlex.join([*words, "--into", DR])
    there = ["--plans", f"{DR}/plans"]
    under = ["--under", RECOVERED] if plan.untargeted else []
    yield "Everything, to one moment", shlex.join(["ccdr", "recover", plan.plan, *under, *there])
    if any(left_to_start(plan, name) for name in plan.assets):
        first, opened = "Start the new servers, by the lines that it has printed. Is it all there?", ["--opened"]
    else:
        first, opened = "Is it all there?", []
    yield first, shlex.join(["ccdr", "recover", "check", plan.plan, *opened, *there])


def _kept_as(path: Path | None, plan: Plan, suffix: str) -> str:
    """The name of the copy that is kept elsewhere, in the directory where the command is typed."""
    return path.name if path is not None else f"{plan.plan}.{suffix}"
