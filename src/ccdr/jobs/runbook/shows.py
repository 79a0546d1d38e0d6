"""What a person is shown below a step's instructions, as it is when it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ccdr.host.state import State
from ccdr.jobs.plan_in_repository.needed import BACKUPS, secrets_of
from ccdr.jobs.recover.planned import Decision
from ccdr.jobs.recover.repointed import kept_edited, lines_of, repointed
from ccdr.jobs.restore.left_server import CHANGED, LeftServer
from ccdr.jobs.runbook.events import Event
from ccdr.jobs.runbook.recoveries import of_this_run, told_in
from ccdr.model.errors import CcdrError
from ccdr.plans import LoadedPlan
from ccdr.plans.runbook import AnyStep, Manual
from ccdr.ports.new_server import StartLines

BY_DEBIAN, BY_DOCKER = "by Debian's tools:", "or by Docker: take one of the two"


def as_asked(step: AnyStep, loaded: LoadedPlan, state: State, events: Sequence[Event]) -> AnyStep:
    """The step with what it shows now among its instructions."""
    if not isinstance(step, Manual) or not step.shows:
        return step
    lines = tuple(shown(step, loaded, state, events))
    return step.model_copy(update={"instructions": (*step.instructions, *lines)})


def shown(step: Manual, loaded: LoadedPlan, state: State, events: Sequence[Event]) -> Iterator[str]:
    for what in step.shows:
        match what:
            case "start_lines":
                yield from _to_start(loaded, state, events)
            case "plan_changes":
                yield from _changes(loaded, state, events)
            case "missing_secrets":
                yield from _missing(loaded)


def _to_start(loaded: LoadedPlan, state: State, events: Sequence[Event]) -> Iterator[str]:
    """Each new server that a recovery of this run has left, and that nobody has started."""
    begun = events[0].time if events else None
    nothing = True
    for told in of_this_run(loaded.plan.plan, state, begun, told_in(events)):
        for planned in Decision.read(told).assets:
            new = planned.where.new_server
            if new is None or new.start is not None:
                continue
            try:
                left = LeftServer.read(new.directory)
            except CcdrError as error:
                nothing = False
                yield f"{planned.asset}: {error}"
                continue
            past = told.assets.get(planned.asset)
            if past is None or not left.as_written(past.left_sha256):
                nothing = False
                yield f"{planned.asset}: {CHANGED}"
            elif left.untouched and planned.spare_of is None:
                nothing = False
                yield f"{planned.asset}, which nobody has started yet, {BY_DEBIAN}"
                yield from _literal(left.lines)
            elif left.untouched:
                yield f"{planned.asset}: leave it, {planned.spare_of} has the same data (else its lines: {left.file})"
    if nothing:
        yield "no new server of this run is left to be started on this host"


def _literal(lines: StartLines) -> Iterator[str]:
    yield from (f"    {line}" for line in lines.debian)
    if lines.docker:
        yield f"  {BY_DOCKER}"
        yield from (f"    {line}" for line in lines.docker)
    for heading, after in lines.afterwards():
        yield f"  {heading}:"
        yield from (f"    {line}" for line in after)


def _changes(loaded: LoadedPlan, state: State, events: Sequence[Event]) -> Iterator[str]:
    """Of the plan, now that all of it stands elsewhere."""
    begun = events[0].time if events else None
    for told in of_this_run(loaded.plan.plan, state, begun, told_in(events)):
        decision = Decision.read(told)
        spares = {one.asset: one.spare_of for one in decision.assets if one.spare_of is not None}
        places = {one.asset: one.where for one in decision.assets if one.asset in loaded.plan.assets}
        kept = kept_edited(loaded, told.directory)
        yield from lines_of(repointed(loaded, places, spares=spares), loaded, kept)


def _missing(loaded: LoadedPlan) -> Iterator[str]:
    """The next backup comes from there."""
    missing = [one for one in secrets_of(loaded.plan) if one.use == BACKUPS and one.expected and not one.there]
    if missing:
        yield "The backup at the end needs these files, which this host lacks; put them there, with mode 0600:"
        yield from (f"  {one.expected} ({one.asset})" for one in missing)
