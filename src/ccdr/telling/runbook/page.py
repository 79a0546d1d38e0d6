"""The runbook on paper: one HTML file, black and white, A4, that needs nothing but itself. Its first page is for
whoever is called in the night; it holds where the repository and its key lie, and no value of any secret."""

from __future__ import annotations

import math
import shlex
import socket
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from ccdr import __version__
from ccdr.engines import AnyEngine
from ccdr.jobs.recover.doubles import Moved, with_ports
from ccdr.jobs.recover.result import lines_of, repointed
from ccdr.jobs.restore.new_server import LEFT
from ccdr.jobs.restore.opening import owner_of
from ccdr.jobs.runbook.people import BY_DEBIAN, BY_DOCKER, choices
from ccdr.jobs.runbook.states import Standing
from ccdr.model.errors import CcdrError
from ccdr.model.order import in_order
from ccdr.model.schema import format_duration
from ccdr.model.values import Manifest
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.model import Plan
from ccdr.plans.one_server import instead_of, opened_last
from ccdr.plans.runbook import AnyStep, Command, Confirm, Decision, Http, Manual, Recover
from ccdr.plans.runbook_made import DR, RECOVERED, Runbook, address_of, left_to_start, place_of, where_to
from ccdr.plans.targets import NewServer, Target
from ccdr.ports.new_server import Owner
from ccdr.telling.pages import environment
from ccdr.telling.runbook import by_hand, does
from ccdr.telling.runbook.by_hand import typed
from ccdr.telling.runbook.passwords import for_backups, for_recovery

_WHOSE = 4242424242  # stands for a number until the line is printed
_SHOWN = {
    "start_lines": "The lines are in 6, or as `ccdr recover` has printed them at its end; 6 says where they are kept.",
    "plan_changes": "What changes in it is in 6, or as `ccdr recover` has said at its end.",
}


def page(
    loaded: LoadedPlan,
    runbook: Runbook,
    expected: Mapping[str, float],
    measured: Mapping[str, float],
    manifests: Mapping[str, Manifest],
    now: datetime,
) -> str:
    """`measured` has the seconds of each asset's last restore test, `manifests` that of its newest snapshot, as far as
    this host knows them."""
    room = files("ccdr.telling.runbook")
    template = environment().from_string(room.joinpath("page.html").read_text("utf-8"))
    plan, standing = loaded.plan, Standing(runbook, ())
    starts = list(_starts(loaded, manifests))
    below = [name for name in plan.assets if name not in plan.targets and left_to_start(plan, name)]
    spares = _places(loaded)[1]
    prints = [n for n in (*(str(one["name"]) for one in starts if not one["ways"]), *below) if n not in spares]
    opened = " --opened" if any(left_to_start(plan, name) for name in plan.assets) else ""
    key, env = f"/root/{plan.plan}.key", f"/root/{plan.plan}.env" if plan.repository.env_file else None
    return template.render(
        style=room.joinpath("page.css").read_text("utf-8"),
        plan=plan,
        runbook=runbook,
        version=__version__,
        host=socket.gethostname(),
        printed=f"{now:%Y-%m-%d %H:%M} UTC",
        rto=format_duration(plan.objectives.rto),
        mtd=plan.objectives.mtd and format_duration(plan.objectives.mtd),
        looks=list(_looks(plan)),
        measured=measured,
        directory=loaded.path.parent.parent.absolute(),
        key=key,
        env=env,
        bare=list(_bare(plan, key, env)),
        assets=list(_assets(loaded, measured)),
        twice=[*_twice(plan), *filter(None, [_may_differ(loaded)])],
        pointed=_pointed(loaded, manifests),
        ships=any(asset.shipping for asset in plan.assets.values()),
        together=_together(runbook, expected, measured),
        health=[line for step in runbook.steps.values() for line in _health(step)],
        phones=list(_phones(runbook)),
        lies=_lies(plan),
        for_recovery=for_recovery(plan),
        for_backups=for_backups(plan),
        env_lies=plan.repository.env_file,
        starts=starts,
        prints=prints,
        typed=typed,
        kept=[_kept(place_of(plan, name)) for name in prints],
        opened=opened,
        steps=[_step(name, plan, standing, expected) for name in standing.order],
        opening=list(by_hand.opening(plan, key, env)),
        by_hand=[
            {"name": name, "engine": _engine(asset), "parts": list(by_hand.parts(plan, name, asset))}
            for name, asset in plan.assets.items()
        ],
    )


def _minutes(seconds: float | None) -> str:
    return "?" if seconds is None else str(max(1, math.ceil(seconds / 60)))


def _together(runbook: Runbook, expected: Mapping[str, float], measured: Mapping[str, float]) -> str:
    """As a recovery is foretold; else one asset after the other, which is longer."""
    foretold = [
        expected[name] for name, step in runbook.steps.items() if isinstance(step, Recover) and name in expected
    ]
    if len(foretold) == 1:
        return f"all together about {_minutes(foretold[0])} min"
    return f"all together at most {_minutes(sum(measured.values()))} min" if measured else ""


def _engine(asset: AnyEngine) -> str:
    method = getattr(asset, "method", None)
    return asset.engine_name + (f", {method}" if method else "")


def _looks(plan: Plan) -> Iterator[str]:
    """What is typed to see whether each source answers. `ccdr runbook run` looks at all of them by itself."""
    for name, asset in plan.assets.items():
        yield typed(_look(asset), name)


def _look(asset: AnyEngine) -> str:
    c = getattr(asset, "connection", None)
    host, port = getattr(c, "host", ""), getattr(c, "port", None)
    match asset.engine_name:
        case "postgres":
            return f"pg_isready -h {shlex.quote(host)} -p {port}"
        case "mariadb":
            where = f"--socket={shlex.quote(host)}" if host.startswith("/") else f"-h {shlex.quote(host)} -P {port}"
            return f"mariadb-admin {where} ping"
        case "redis":
            return f"redis-cli {f'-s {shlex.quote(host)}' if host.startswith('/') else f'-h {host} -p {port}'} ping"
    return "ls -ld " + " ".join(shlex.quote(str(path)) for path in asset.source_paths)


def _bare(plan: Plan, key: str, env: str | None) -> Iterator[str]:
    """From nothing but this page, a host with ccdr, and the key: all back and checked."""
    credentials = f" --env-file {env}" if env else ""
    yield f"chmod 600 {key}{f' {env}' if env else ''}"
    yield f"ccdr bootstrap {shlex.quote(plan.repository.location)} \\"  # a line that is too long would break anywhere
    yield f"  --password-file {key}{credentials} --into {DR}"
    yield f"cd {DR}"
    under = "" if plan.assets.keys() <= plan.targets.keys() else f" --under {RECOVERED}"
    yield typed(f"ccdr recover {plan.plan}{under} --dry-run", "changes nothing")
    yield typed(f"ccdr recover {plan.plan}{under}", "asks for the plan's name")
    yield typed("ccdr recover --resume", "only where it was stopped")
    if any(left_to_start(plan, name) for name in plan.assets):
        yield "# start each new server now, by the lines that it has printed"
        yield f"ccdr recover check {plan.plan} --opened"
    else:
        yield f"ccdr recover check {plan.plan}"
    if any(isinstance(step, Command) for step in plan.runbook.values()) or any(
        target.new_server and target.new_server.start for target in plan.targets.values()
    ):
        yield typed(f"ccdr plan trust {plan.plan}", "only where it refuses the plan's commands")


def _ports(loaded: LoadedPlan) -> tuple[dict[str, Target], list[Moved]]:
    """Where each is brought, new servers each at a port of its own, as a recovery gives them where all are free."""
    plan, jobs = loaded.plan, [Job(loaded, name) for name in loaded.plan.assets]
    return with_ports({name: place_of(plan, name) for name in plan.assets}, jobs, opened_last(plan), lambda *_: False)


def _places(loaded: LoadedPlan) -> tuple[dict[str, Target], dict[str, str]]:
    """Where each is brought; and of which others they are spares."""
    plan = loaded.plan
    spares = {name: found[0] for name in plan.assets if (found := instead_of(plan, name)) is not None}
    return _ports(loaded)[0], spares


def _may_differ(loaded: LoadedPlan) -> str | None:
    """Which host it will be, and what listens there then, no page knows."""
    if not (moved := _ports(loaded)[1]):
        return None
    ports = ", ".join(f"{one.port} for {one.asset}" for one in moved)
    return (
        f"Two new servers cannot listen at one port: {ports} may be another one, where that is taken on the host. Then "
        "`ccdr recover` says so before it begins, and what it prints counts, not 6."
    )


def _pointed(loaded: LoadedPlan, manifests: Mapping[str, Manifest]) -> list[str]:
    """What of the plan is otherwise then."""
    places, spares = _places(loaded)
    return list(lines_of(repointed(loaded, places, manifests, spares), loaded))


def _assets(loaded: LoadedPlan, measured: Mapping[str, float]) -> Iterator[Mapping[str, object]]:
    plan, (places, spares) = loaded.plan, _places(loaded)
    needs = {name: list(asset.depends_on) for name, asset in plan.assets.items()}
    for name in in_order(needs, {name: asset.priority for name, asset in plan.assets.items()}):
        made = "" if name in plan.targets else " (the plan names no target)"
        spare = f"a spare of {spares[name]}: " if name in spares else ""
        yield {
            "name": name,
            "engine": _engine(plan.assets[name]),
            "after": needs[name],
            "minutes": _minutes(measured.get(name)),
            "old": address_of(plan.assets[name]),
            "where": f"{spare}{where_to(places[name])}{made}",
        }


def _twice(plan: Plan) -> Iterator[str]:
    """Which of two that protect one server to recover from."""
    for name in plan.assets:
        if (found := instead_of(plan, name)) is not None:
            first, why = found
            yield (
                f"{name} and {first} protect the same server. Start {first}: {why}. {name} is a spare: start it only "
                f"where {first} will not do. `ccdr recover --dry-run` says so by what there is."
            )


def _health(step: AnyStep) -> Iterator[str]:
    if isinstance(step, Http) and step.is_health:
        yield typed(f"curl -o /dev/null -w '%{{http_code}}\\n' {shlex.quote(step.url)}", f"must print {step.status}")


def _phones(runbook: Runbook) -> list[tuple[str, list[str]]]:
    """Each once, with the steps for which they are phoned."""
    phones: dict[str, list[str]] = {}
    for name, step in runbook.steps.items():
        if step.phone:
            phones.setdefault(step.phone, []).append(name)
    return list(phones.items())


def _lies(plan: Plan) -> str:
    repository = plan.repository
    if repository.password_file is not None:
        return f"usual host: {repository.password_file}"
    return f"by the command: {shlex.join(repository.password_command or ())}"


def _starts(loaded: LoadedPlan, manifests: Mapping[str, Manifest]) -> Iterator[Mapping[str, object]]:
    """Of servers that a person starts, where the lines can be known before they are there; spares last."""
    places, spares = _places(loaded)
    for name in sorted(loaded.plan.targets, key=lambda one: one in spares):
        new, said = places[name].new_server, f"{name}, a spare of {spares[name]}" if name in spares else name
        if new is None:
            continue
        if new.start:
            yield {"name": name, "said": said, "ways": [("As the plan says:", [shlex.join(new.start)])]}
            continue
        ways = _literal(Job(loaded, name), new, manifests[name]) if name in manifests else None
        yield {"name": name, "said": said, "ways": ways or []}


def _kept(place: Target) -> str:
    """What shows the lines that start a new server, once it is made."""
    assert place.new_server is not None
    lines = """.start | "Debian:", .debian[], "or Docker:", .docker[],
  "then (by Docker with \\(.inside) before each):", .then[], .look[]"""
    return f"jq -r '{lines}' \\\n  {shlex.quote(str(place.new_server.directory / LEFT))}"


def _literal(job: Job, new: NewServer, manifest: Manifest) -> list[tuple[str, Sequence[str]]] | None:
    """By what was captured; None where this host cannot tell them."""
    try:
        asset = job.engine
        maker = asset.new_server(job.site(new))
        needs = maker.needs(manifest)
        image = asset.image or next(iter(asset.image_candidates(needs.major)), "")
        # Nobody's number is known before it was made: a bare host tells it by its files.
        owner = owner_of(new.owner, maker.user) if new.owner else Owner(_WHOSE, _WHOSE)
        lines = maker.start_lines(manifest, image, owner or Owner(_WHOSE, _WHOSE))
    except (CcdrError, ValueError):  # what was captured may lack it
        return None
    docker = [(BY_DOCKER, [_by_its_files(line, new.directory) for line in lines.docker])] if image else []
    after = [(f"{heading}:", commands) for heading, commands in lines.afterwards()]
    return [(BY_DEBIAN, lines.debian), *docker, *after]


def _by_its_files(line: str, home: Path) -> str:
    def of(what: str) -> str:
        return f'"$(stat -c {what} {shlex.quote(str(home))})"'

    line = line.replace(f"{_WHOSE}:{_WHOSE}", of("%u:%g"))
    return line.replace(f"-o {_WHOSE} -g {_WHOSE}", f"-o {of('%u')} -g {of('%g')}")


def _shown(what: str, plan: Plan) -> str:
    return for_backups(plan) if what == "missing_secrets" else _SHOWN[what]


def _step(name: str, plan: Plan, standing: Standing, expected: Mapping[str, float]) -> Mapping[str, object]:
    runbook = standing.runbook
    step = runbook.steps[name]
    told = list(does(step, runbook.plan))
    seconds = expected.get(name)
    return {
        "name": name,
        "title": runbook.title(name),
        "phase": step.phase,
        "minutes": None if seconds is None else _minutes(seconds),
        "after": list(dict.fromkeys(standing.needs[name])),
        "instructions": [*step.instructions, *filter(None, (_shown(what, plan) for what in step.shows))]
        if isinstance(step, Manual)
        else (),
        "typed": [line.removeprefix("runs").strip() for line in told if line.startswith("runs")],
        "asks": [line for line in told if not line.startswith("runs")],
        "phone": step.phone,
        "answer": bool(choices(step)) or isinstance(step, Manual | Confirm | Decision),
    }
