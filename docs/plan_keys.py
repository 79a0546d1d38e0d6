"""docs/reference/keys.md: every key of a plan and of a restore test, from the schemas that editors get."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ccdr.plans import plan_schema, restore_test_schema

Schema = Mapping[str, Any]
HEAD = """\
# Every key

Made by `python docs/generate.py` from the schemas of plans and restore tests (`ccdr plan schema`);
do not edit. [What a plan may say](plan.md) explains the keys that need it.

A key without a default must be there, unless its row says *optional*. A duration is `90s`, `15m`,
`4h` or `35d`; a size is `512MiB` or `4GiB`. A schedule is five-field cron. A file's path is relative
to the plan. Every check may have a `name:` as well, which people read and the ledger records.
"""
TABLE = "| key | takes | default | says |\n|---|---|---|---|\n"
OF_A_PLAN = {"PlanObjectives": "objectives", "Repository": "repository", "LockKept": "lock of a repository",
             "Retention": "retention", "Upkeep": "upkeep", "Notify": "notify", "PlanLimits": "limits",
             "Target": "a target", "NewServer": "new_server", "RunbookState": "runbook_state",
             "Approval": "approval", "Access": "access", "PlanIncidents": "incidents",
             "GroupPackage": "package", "Deviations": "deviations", "DueWithin": "due of deviations",
             "RoleCredential": "credential of a role", "AuditorCredential": "credential of the auditor"}  # fmt: skip
OF_AN_ASSET = {
    "AssetObjectives": "objectives of an asset",
    "BackupSettings": "backup",
    "RestoreTestSettings": "restore_test",
    "ControlSettings": "negative_control",
    "OwnersCanary": "a canary of an asset",
    "Limits": "limits of an asset",
}
OF_AN_ENGINE = {"LogShipping": "log_shipping", "Canary": "canary", "Incremental": "incremental"}


def page() -> str:
    plan, test = plan_schema(), restore_test_schema()
    parts, checks = plan["$defs"], test["$defs"]
    (engines,) = (p["discriminator"]["mapping"] for p in plan["properties"]["assets"]["patternProperties"].values())
    engines = {name: parts[_name(ref)] for name, ref in engines.items()}
    (of_steps,) = (p["discriminator"]["mapping"] for p in plan["properties"]["runbook"]["patternProperties"].values())
    steps = {name: parts[_name(ref)] for name, ref in of_steps.items()}
    first, *others = (set(engine["properties"]) for engine in engines.values())
    shared = first.intersection(*others) - {"engine", "method"}
    called = {**OF_A_PLAN, **OF_AN_ASSET, **OF_AN_ENGINE}
    connections = {name: _connection(name, parts) for name in engines}
    called |= {of: f"connection of {name}" for name, of in connections.items() if of is not None}
    kinds = test["properties"]["checks"]["items"]["discriminator"]["mapping"]
    called |= {"Allowed": "allow of reconcile"}

    def section(heading: str, level: int, part: Schema, keys: Iterator[str] | None = None) -> Iterator[str]:
        wanted = list(part["properties"] if keys is None else keys)
        yield f"\n{'#' * level} {heading}\n\n"
        yield f"{part['description']}\n\n" if part.get("description") and keys is None else ""
        rows = [_row(key, part["properties"][key], key in part.get("required", ()), called) for key in wanted]
        yield TABLE + "".join(rows) if rows else "It has no keys of its own.\n"

    def all_of_it() -> Iterator[str]:
        yield HEAD
        yield from section("A plan", 2, plan)
        for name, heading in OF_A_PLAN.items():
            yield from section(heading, 3, parts[name])
        some = next(iter(engines.values()))
        yield from section("An asset", 2, some, (key for key in some["properties"] if key in shared))
        for name, heading in OF_AN_ASSET.items():
            yield from section(heading, 3, parts[name])
        for name, engine in engines.items():
            own = (key for key in engine["properties"] if key not in shared)
            yield from section(f"engine {name}", 2, engine, own)
            if (connection := connections[name]) is not None:
                yield from section(f"connection of {name}", 3, parts[connection])
        for name, heading in OF_AN_ENGINE.items():
            yield from section(heading, 2, parts[name])
        yield "\n## A step of a runbook\n\nWhat every step may state, whatever its kind.\n\n"
        same = [key for key in steps["manual"]["properties"] if all(key in of["properties"] for of in steps.values())]
        for name, of in {"": steps["manual"], **steps}.items():
            wanted = (key for key in of["properties"] if key != "kind" and (key in same) is not bool(name))
            if name:
                yield f"\n### step {name}\n\n{of['description']}\n\n"
            rows = [_row(key, of["properties"][key], key in of.get("required", ()), called) for key in wanted]
            yield TABLE + "".join(rows)
        yield from section("A restore test", 2, test)
        for kind, ref in kinds.items():
            check = checks[_name(ref)]
            yield from section(f"kind {kind}", 3, check, (key for key in check["properties"] if key != "name"))
        yield from section("allow of reconcile", 3, checks["Allowed"])

    return "".join(all_of_it())


def _connection(engine: str, parts: Mapping[str, Schema]) -> str | None:
    """Several have that name, so that their modules are in it."""
    theirs = re.compile(rf"ccdr__engines__{engine}__\w+__Connection")
    return next((name for name in parts if theirs.fullmatch(name)), None)


def _name(ref: str) -> str:
    return ref.rpartition("/")[2]


def _row(key: str, about: Schema, required: bool, called: Mapping[str, str]) -> str:
    says = about.get("description", "").replace("|", "\\|")
    return f"| `{key}` | {_takes(about, called)} | {'' if required else _default(about)} | {says} |\n"


def _takes(about: Schema, called: Mapping[str, str]) -> str:
    if "const" in about:
        return f"`{about['const']}`"
    if "enum" in about:
        return ", ".join(f"`{value}`" for value in about["enum"])
    for either in ("anyOf", "oneOf"):
        if either in about:
            return " or ".join(_takes(one, called) for one in about[either] if one.get("type") != "null")
    if "$ref" in about:
        words = called[_name(about["$ref"])]
        return f"[{words}](#{words.replace(' ', '-')})"
    if about["type"] == "array":
        items = about.get("items", {})
        return "checks, see below" if "discriminator" in items else f"list of {_takes(items, called)}"
    if about["type"] == "object":
        held = [*about.get("patternProperties", {}).values(), about.get("additionalProperties") or {}][0]
        if "discriminator" not in held:
            return "values, by name"
        of_steps = held["discriminator"]["propertyName"] == "kind"
        return "[steps](#a-step-of-a-runbook), by name" if of_steps else "[assets](#an-asset), by name"
    pattern = about.get("pattern", "")
    if "smhd" in pattern:
        return "duration"
    if "KiB" in pattern:
        return "size"
    plain = {"integer": "whole number", "boolean": "`true` or `false`", "string": "text", "number": "number"}
    return plain[about["type"]]


def _default(about: Schema) -> str:
    value = about.get("default")
    if value is None or isinstance(value, dict):
        return "*optional*"
    if isinstance(value, int | float) and about.get("type") == "string":
        return f"`{_size(value)}`" if "KiB" in about["pattern"] else f"`{_duration(value)}`"
    if isinstance(value, bool | list):
        return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s"


def _size(value: float) -> str:
    for unit, length in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value % length == 0:
            return f"{value / length:.0f}{unit}"
    return f"{value:.0f}B"
