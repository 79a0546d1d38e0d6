"""`plans/<name>.yaml` → Plan, with every problem of a file at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from cronsim import CronSim
from pydantic import TypeAdapter, ValidationError

from ccdr.checks import AnyCheck
from ccdr.engines import AnyEngine, EngineConfig
from ccdr.model.errors import FileProblem, PlanInvalid, UsageProblem
from ccdr.model.order import circle_of
from ccdr.model.schema import format_duration, parse_duration
from ccdr.plans.facts import PlanFacts, facts_of
from ccdr.plans.incident_clocks import lengths_of
from ccdr.plans.lint import lint
from ccdr.plans.model import NO_PASSWORD, Plan, for_recovery
from ccdr.plans.problems import as_problems, checked, did_you_mean
from ccdr.plans.restore_tests import LoadedRestoreTest, load_restore_tests, wrong_stem
from ccdr.plans.runbook_links import runbook_problems
from ccdr.plans.shape import editor_schema, is_name, listed
from ccdr.plans.trust import as_taken, read_mark, refuse_newer
from ccdr.plans.yamlfile import Document, Where, YamlProblem, mapping_at, parse, read_bytes, value_at

NO_PLAN = "name the directory that holds your plans with --plans DIR; `ccdr init URL|PATH` writes a first plan"
USUAL = Path("/etc/ccdr/plans")  # where packages and docs/how-to/install.md put them


@dataclass(frozen=True)
class LoadedPlan:
    """A plan that is right, with the checks that its assets refer to.

    `sha256` is of the file's bytes and `restore_tests` maps the files it refers to to theirs: together they say
    which version of the plan something was done by. `checks` has every asset, with none where it names none. `texts`
    are the bytes of all these files, by `plans/NAME.yaml` and `restore_tests/NAME.yaml`; `tests_from` is the directory
    of restore tests, where they were asked for.
    """

    plan: Plan
    path: Path
    sha256: str
    checks: Mapping[str, tuple[AnyCheck, ...]]
    restore_tests: Mapping[str, str]
    _document: Document = field(repr=False, compare=False)
    texts: Mapping[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    tests_from: Path | None = field(default=None, repr=False, compare=False)

    def line(self, where: Where) -> int:
        """The line of its file where that stands, or what it would stand in."""
        return self._document.line(where)

    @cached_property
    def facts(self) -> PlanFacts:
        """What it promises, as records may hold it."""
        return facts_of(self.plan, self.checks, lengths_of(self.plan.incidents, self.path.parent))

    @cached_property
    def lint(self) -> tuple[FileProblem, ...]:
        """What is well-formed and still will not do. Looked for on demand: `run` has no time for it."""
        return tuple(as_problems(self.path, lint(self.plan, self.checks, self._document.line)))


def load_plan(path: Path, restore_tests: Path | None, base: Path | None = None) -> LoadedPlan:
    """Read a plan, and from the directory `restore_tests` the checks it names (None: leave them out). What it names by
    relative paths lies in `base`, by default where it lies itself.

    PlanInvalid with every problem of the plan and of those files; UsageProblem where it cannot be read.
    """
    raw = read_bytes(path)
    document, findings = parse(raw)
    if document is None:
        raise PlanInvalid(as_problems(path, findings))
    base = base or path.parent.absolute()
    plan, more = checked(Plan, document, base, AnyEngine, for_recovery)
    findings += [*more, *_across(document, path)]
    assets = plan.assets if plan else _sound_assets(document, base)
    named = dict(_named_checks(document)) if restore_tests else {}
    tests, unreadable, others = load_restore_tests(named.values(), restore_tests or Path())
    findings += _wrong_references(named, tests, unreadable, assets, document)
    problems = as_problems(path, findings) + others
    if problems or plan is None:
        raise PlanInvalid(problems, hint=_for_recovery(document.data))
    checks = {name: _checks_of(asset, tests) for name, asset in plan.assets.items()}
    hashes = {name: test.sha256 for name, test in tests.items()}
    texts = {f"plans/{plan.plan}.yaml": raw, **{f"restore_tests/{name}.yaml": test.raw for name, test in tests.items()}}
    return LoadedPlan(plan, path, hashlib.sha256(raw).hexdigest(), checks, hashes, document, texts, restore_tests)


def _for_recovery(data: Any) -> str | None:
    """What somebody needs who has little more than a repository's address: a plan of which most is missing."""
    if isinstance(data, dict) and "repository" in data and not data.keys() & {"service", "owner", "objectives"}:
        return "for a recovery, `ccdr bootstrap URL --password-file F --into DIR` writes the plan from its repository"
    return None


def _checks_of(asset: EngineConfig, tests: Mapping[str, LoadedRestoreTest]) -> tuple[AnyCheck, ...]:
    names = asset.restore_test.checks if asset.restore_test else ()
    return tuple(check for name in names if name in tests for check in tests[name].value.checks)


def _across(document: Document, path: Path) -> Iterator[YamlProblem]:
    """What no single field shows. From the data, so that it is told together with the fields' own problems."""
    data = document.data
    yield from wrong_stem(data, "plan", path, document.line(("plan",)))
    if not isinstance(data, dict):
        return
    yield from _groups(document, mapping_at(data, "assets"))
    yield from _depended_on(document, mapping_at(data, "assets"))
    yield from _targets(document, mapping_at(data, "assets"))
    yield from runbook_problems(document)
    repository = data.get("repository")
    if isinstance(repository, dict) and not repository.keys() & {"password_file", "password_command"}:
        yield YamlProblem(document.line(("repository",)), ("repository",), NO_PASSWORD)
    mtd = _duration(data, "objectives", "mtd")
    rtos: list[Where] = [("objectives", "rto")]
    rtos += [("assets", name, "objectives", "rto") for name in mapping_at(data, "assets")]
    for where in rtos:
        if mtd is not None and (rto := _duration(data, *where)) is not None and rto > mtd:
            message = f"is longer than the mtd of {format_duration(mtd)}, expected at most that"
            yield YamlProblem(document.line(where), where, message)


def _groups(document: Document, assets: Mapping[str, Any]) -> Iterator[YamlProblem]:
    """What is captured together is due together."""
    first: dict[str, tuple[str, str | None]] = {}
    for name in assets:
        group, cron = value_at(assets, name, "group"), value_at(assets, name, "backup", "schedule")
        schedule = " ".join(cron.split()) if isinstance(cron, str) else None
        if not isinstance(group, str) or (cron is not None and schedule is None):
            continue  # told as what it is
        other, expected = first.setdefault(group, (name, schedule))
        if schedule != expected:
            below: Where = ("group",) if schedule is None else ("backup", "schedule")
            where: Where = ("assets", name, *below)
            wanted = f'expected "{expected}"' if expected else "expected none"
            message = f"differs from that of {other}, which is of the same group {group}, {wanted}"
            if schedule is None:
                message = f"is that of {other} too, which has a backup schedule, {wanted} here as well"
            yield YamlProblem(document.line(where), where, message)


def _depended_on(document: Document, assets: Mapping[str, Any]) -> Iterator[YamlProblem]:
    """Assets that wait for each other would never be brought back."""
    needs: dict[str, list[str]] = {}
    for name in assets:
        stated = value_at(assets, name, "depends_on")
        needs[name] = [other for other in (stated if isinstance(stated, list) else []) if isinstance(other, str)]
        for index, other in enumerate(stated if isinstance(stated, list) else []):
            where: Where = ("assets", name, "depends_on", index)
            if isinstance(other, str) and is_name(other) and other not in assets:
                meant = did_you_mean(other, [asset for asset in assets if asset != name])
                expected = f"did you mean {meant}?" if meant else f"expected one of {', '.join(assets)}"
                yield YamlProblem(
                    document.line(where), where, f"names {other}, which this plan does not have, {expected}"
                )
    if circle := circle_of(needs):
        at: Where = ("assets", circle[0], "depends_on")
        told = " on ".join(circle)
        yield YamlProblem(document.line(at), at, f"goes in a circle ({told}), expected an order in which one is first")


def _targets(document: Document, assets: Mapping[str, Any]) -> Iterator[YamlProblem]:
    for name in mapping_at(document.data, "targets"):
        if is_name(name) and name not in assets:
            where: Where = ("targets", name)
            meant = did_you_mean(name, list(assets))
            expected = f"did you mean {meant}?" if meant else f"expected one of {', '.join(assets)}"
            yield YamlProblem(document.line(where), where, f"is no asset of this plan, {expected}")


def _duration(data: Any, *where: str | int) -> float | None:
    try:
        return parse_duration(value_at(data, *where))
    except ValueError:
        return None


def _sound_assets(document: Document, base: Path) -> dict[str, EngineConfig]:
    """Of a plan that is wrong, the assets that are right."""
    adapter: TypeAdapter[EngineConfig] = TypeAdapter(AnyEngine)
    sound: dict[str, EngineConfig] = {}
    for name, value in mapping_at(document.data, "assets").items():
        with suppress(ValidationError):
            sound[name] = adapter.validate_json(json.dumps(value), strict=True, context={"base": base})
    return sound


def _named_checks(document: Document) -> Iterator[tuple[Where, str]]:
    """Where the plan refers to which restore-test file; what is no name at all is a problem of its own."""
    for asset, value in mapping_at(document.data, "assets").items():
        names = value_at(value, "restore_test", "checks")
        for index, name in enumerate(names if isinstance(names, list) else ()):
            if isinstance(name, str) and is_name(name):
                yield ("assets", asset, "restore_test", "checks", index), name


def _wrong_references(
    named: Mapping[Where, str],
    tests: Mapping[str, LoadedRestoreTest],
    unreadable: Mapping[str, str],
    assets: Mapping[str, EngineConfig],
    document: Document,
) -> Iterator[YamlProblem]:
    names = list(mapping_at(document.data, "assets"))
    for where, name in named.items():
        if name in unreadable:
            yield YamlProblem(document.line(where), where, unreadable[name])
        engine = assets.get(str(where[1]))
        for check in tests[name].value.checks if engine and name in tests else ():
            if engine and not check.applies_to(engine):
                needs = "asks by SQL" if check.needs_sql else f"is for {listed(check.engines)}"
                needs = "compares every row" if check.needs_export and engine.speaks_sql else needs
                message = f"has the check {check.kind}, which {needs} and is not for {engine.engine_name}"
                yield YamlProblem(document.line(where), where, message)
            if fault := _misfit(check, str(where[1]), assets, names):
                yield YamlProblem(
                    document.line(where), where, f"has the check {check.kind} with {check.beside}, {fault}"
                )


def _misfit(check: AnyCheck, own: str, assets: Mapping[str, EngineConfig], names: Sequence[str]) -> str | None:
    """Why it cannot compare with the asset that it names. `assets` has those that are right, `names` are of all."""
    other, others = check.beside, [name for name in names if name != own]
    if other is None or other == own or other not in names:
        if other is None:
            return None
        why = "which is the asset itself" if other == own else "which this plan does not have"
        meant = did_you_mean(other, others)
        expected = f"expected one of {', '.join(others)}" if others else "expected another asset of the plan"
        return f"{why}, did you mean {meant}?" if meant else f"{why}, {expected}"
    return check.misfit(assets[other]) if other in assets else None


def plan_names(directory: Path) -> list[str]:
    """The plans of a directory; UsageProblem where there is no such directory."""
    try:
        files = sorted(directory.iterdir())
    except OSError as error:
        raise UsageProblem(
            f"{directory}: cannot list the plans there: {error.strerror}",
            hint=f"they are in {USUAL}: `cd {USUAL.parent}`, or add --plans {USUAL}"
            if USUAL.is_dir() and directory.absolute() != USUAL
            else NO_PLAN,
        ) from None
    return [file.stem for file in files if file.suffix == ".yaml" and not file.name.startswith(".")]


def load_named(name: str, plans: Path, restore_tests: Path | None) -> LoadedPlan:
    """The plan of this name; UsageProblem, with the names there are, where there is none. PlanNewer where it came from
    a repository, and a newer ccdr had stored it there in words that this one does not know."""
    names = plan_names(plans)
    if name in names:
        try:
            return as_taken(load_plan(plans / f"{name}.yaml", restore_tests))
        except PlanInvalid as error:
            mark = read_mark(plans)
            if mark is not None and name in mark.plans:
                refuse_newer(mark.plans[name], error)
            raise
    if meant := did_you_mean(name, names):
        hint = f"did you mean {meant}? there are {listed(names, 'and')}"
    elif names:
        hint = f"there are {listed(names, 'and')}"
    else:
        hint = NO_PLAN
    if (plans / f"{name}.yml").is_file():
        hint = f"rename {plans / name}.yml to {name}.yaml"
    raise UsageProblem(f"there is no plan {name!a} in {plans}", hint=hint)


def plan_schema() -> dict[str, Any]:
    """JSON Schema of a plan, for editors."""
    return editor_schema(Plan)


def next_due(plan: Plan, asset: str, now: datetime) -> dict[str, datetime | None]:
    """When the asset's `backup` and `restore_test` next come due after `now`, in the plan's zone."""
    config = plan.assets[asset]
    settings = {"backup": config.backup, "restore_test": config.restore_test}
    start = now.astimezone(plan.zone)
    return {
        what: next(CronSim(setting.schedule, start), None) if setting else None for what, setting in settings.items()
    }
