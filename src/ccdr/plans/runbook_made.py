"""The runbook of a plan; where it states none, the one that is made from it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ccdr.plans.model import Plan
from ccdr.plans.one_server import instead_of
from ccdr.plans.runbook import AnyStep, BaseStep, Check, Command, Decision, Manual, Recover
from ccdr.plans.targets import Target

S = TypeVar("S", bound=BaseStep)
CCDR = "ccdr"  # a command's first word: this very program, with the plan's own directories
DR = "/srv/dr"  # where a bare host has the plan then
RECOVERED = "/srv/recovered"  # what has no target is brought back below it
PAUSED_FOR = "12h"  # it ends with the step `resume`; by itself where nobody gets there


@dataclass(frozen=True)
class Runbook:
    """Its steps by name, in order. `made`: the plan states none."""

    plan: str
    steps: Mapping[str, AnyStep]
    made: bool

    @property
    def sha256(self) -> str:
        """Of the canonical steps: who goes on wants to know whether they are still the same."""
        return hashlib.sha256(_canonical({name: _of(step) for name, step in self.steps.items()})).hexdigest()

    def digest_of(self, step: str) -> str:
        return hashlib.sha256(_canonical(_of(self.steps[step]))).hexdigest()

    def title(self, step: str) -> str:
        return self.steps[step].title or self.steps[step].default_title(step)


def _of(step: BaseStep) -> object:
    return step.model_dump(mode="json")


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def runbook_of(plan: Plan) -> Runbook:
    """The plan's own, or the one made from it: is it dead, stand still, recover, check, switch, protect, all clear."""
    if plan.runbook:
        return Runbook(plan.plan, plan.runbook, made=False)
    return Runbook(plan.plan, dict(_made(plan)), made=True)


def _made(plan: Plan) -> Iterator[tuple[str, AnyStep]]:
    name = plan.plan
    ships = any(asset.shipping is not None for asset in plan.assets.values())
    yield "look", _step(Check, of="sources", phase="triage", title="does each source still answer?", expected="60s")
    yield (
        "dead",
        _step(
            Decision,
            phase="triage",
            title="is it really dead?",
            question="Is it really dead? One look from one host is not enough: ask somebody who uses it as well.",
            answers={"dead": ("fence",), "alive": ("stand-down",)},
            depends_on=("look",),
            expected="300s",
        ),
    )
    yield (
        "stand-down",
        _step(
            Manual,
            phase="triage",
            title="stand down",
            instructions=("It lives: touch nothing, recover nothing.", "Find out who cannot reach it, and why."),
        ),
    )
    yield (
        "fence",
        _step(
            Manual,
            phase="triage",
            title="keep the old ones from coming back",
            instructions=tuple(_fencing(plan)),
            question="What was done to keep them away?",
            expected="300s",
        ),
    )
    after = ["fence"]
    if ships:
        yield (
            "store-spool",
            _step(
                Command,
                phase="still",
                title="store the log that waits on this host",
                argv=(CCDR, "ship", name, "--once"),
                timeout="2m",  # it would wait for a source that is gone
                repeat=True,
                may_fail=True,  # the source is gone: it stores what waits, and says so
                depends_on=("fence",),
                expected="60s",
            ),
        )
        after = ["store-spool"]
    yield (
        "pause",
        _step(
            Command,
            phase="still",
            title="backups, shipping and upkeep stand still",
            argv=(CCDR, "pause", name, "--for", PAUSED_FOR, "--why", "the runbook is being carried out"),
            repeat=True,
            depends_on=tuple(after),
            expected="10s",
        ),
    )
    under = None if plan.assets.keys() <= plan.targets.keys() else RECOVERED
    yield (
        "recover",
        _step(Recover, phase="recover", title="bring everything back", under=under, depends_on=("pause",)),
    )
    yield "check", _step(Check, phase="check", title="check what was brought back", depends_on=("recover",))
    checked = "check"
    if any(left_to_start(plan, one) for one in plan.assets):
        yield (
            "start",
            _step(
                Manual,
                phase="switch",
                title="start the new servers",
                instructions=("As root, on this host, word for word:",),
                shows=("start_lines",),
                depends_on=("check",),
                expected="300s",
            ),
        )
        checked = "check-opened"
        title = "check what was started"
        yield checked, _step(Check, of="opened", phase="switch", title=title, depends_on=("start",))
    yield (
        "repoint",
        _step(
            Manual,
            phase="switch",
            title="point the applications at the new ones",
            instructions=tuple(_repointing(plan)),
            shows=("plan_changes", "missing_secrets"),
            depends_on=(checked,),
            expected="600s",
        ),
    )
    yield (
        "tell",
        _step(
            Manual,
            phase="switch",
            title="tell the people who wait",
            instructions=(
                f"{plan.service} is back: tell {plan.owner}, and whoever answers the agents' questions.",
                "Say what is lost: `ccdr runbook status` has the moment that each store was brought back to.",
            ),
            depends_on=(checked,),
            expected="300s",
        ),
    )
    yield (
        "resume",
        _step(
            Command,
            phase="protect",
            title="backups, shipping and upkeep go on",
            argv=(CCDR, "pause", name, "--end"),
            repeat=True,
            depends_on=("repoint",),
            expected="10s",
        ),
    )
    yield (
        "protect",
        _step(
            Command,
            phase="protect",
            title="protected again: a new backup of everything",
            argv=(CCDR, "backup", name),
            repeat=True,
            depends_on=("resume",),
        ),
    )
    yield (
        "all-clear",
        _step(
            Manual,
            phase="all-clear",
            title="all clear",
            instructions=(
                f"Does cron, or a timer, call `ccdr run {name}` on this host? That ships the logs, and tests.",
                f"Where neither does, `ccdr status {name}` has the line for cron. Until then: `ccdr test {name}`.",
                f"`ccdr status {name}`: what it still names is to be looked after tomorrow.",
                "The old ones stay fenced: nobody starts them again. Keep what they hold until it was looked at.",
                "Tell everybody that it is over.",
            ),
            depends_on=("protect", "tell"),
            expected="300s",
        ),
    )


def _step(of_kind: type[S], **stated: object) -> S:
    """As a plan would state it."""
    return of_kind.model_validate({"kind": of_kind.__name__.lower(), **stated})


def left_to_start(plan: Plan, asset: str) -> bool:
    """Will a person have to start it?"""
    target = plan.targets.get(asset)
    if target is None:
        return plan.assets[asset].has_server
    return target.new_server is not None and target.new_server.start is None


def _fencing(plan: Plan) -> Iterator[str]:
    """Two servers that both take calls are worse than none."""
    yield "Make sure that none of these can come back by itself: stop its service, or take its network or power away."
    for name, asset in plan.assets.items():
        yield f"{name}: {address_of(asset)}"


def _repointing(plan: Plan) -> Iterator[str]:
    for name, asset in plan.assets.items():
        target = plan.targets.get(name)
        to = where_to(target) if target else "where `ccdr recover` has put it"
        spare = instead_of(plan, name)
        also = f", or rather to that of {spare[0]}, which holds the same" if spare else ""
        yield f"{name}: from {address_of(asset)} to {to}{also}"
    yield "Then the plan, so that what is backed up from now on is what lives:"


def place_of(plan: Plan, asset: str) -> Target:
    """Where a recovery by the made runbook brings it."""
    if (stated := plan.targets.get(asset)) is not None:
        return stated
    directory = Path(RECOVERED) / asset
    if plan.assets[asset].has_server:
        return Target.model_validate({"new_server": {"directory": directory}})
    return Target(directory=directory)


def address_of(asset: object) -> str:
    """Where an asset's source is, as a person looks for it."""
    connection = getattr(asset, "connection", None)
    if connection is not None:
        host, port = connection.host, getattr(connection, "port", None)
        database = getattr(connection, "database", None)
        of = f", database {database}" if isinstance(database, str) else ""
        if str(host).startswith("/") and getattr(asset, "engine_name", None) != "postgres":
            port = None  # of a socket nothing says where the server listens; PostgreSQL calls its by the port
        return f"{host}{f' port {port}' if port else ''}{of}"
    paths = getattr(asset, "source_paths", ())
    return ", ".join(map(str, paths)) or "its source"


def where_to(target: Target) -> str:
    """Where it stands then, as a person looks for it."""
    if target.new_server is not None:
        new = target.new_server
        port = f" port {new.port}" if new.port else ", the port that the old one had"
        return f"{new.address}{port} (its data in {new.directory})"
    return target.shown
