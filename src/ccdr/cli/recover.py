"""`ccdr recover`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ccdr.cli.approving import GoingOn, going_on_options, may_recover
from ccdr.cli.by_itself import not_by_itself
from ccdr.cli.output import print_json
from ccdr.cli.recover_asks import ask_for_name, ask_of_suspects, looked_ahead
from ccdr.cli.recover_check import CHECK, check, known_assets
from ccdr.cli.recover_told import tell_left, tell_result
from ccdr.cli.recover_view import watched
from ccdr.cli.settings import Settings, settings
from ccdr.cli.trusting import agree
from ccdr.cli.verbs import as_one, complete_plans, despite_erasures_option, dry_run_option, verb
from ccdr.model.errors import Exit, UsageProblem

if TYPE_CHECKING:
    from ccdr.jobs.recover import Known, Recovering
    from ccdr.jobs.recover.request import RecoverRequest
    from ccdr.jobs.recover.states import RecoveryOutlook
    from ccdr.plans import LoadedPlan
    from ccdr.plans.trust import Command


class _WithCheck(click.Group):
    """`ccdr recover PLAN`, a command of its own, and `ccdr recover check PLAN` beside it."""

    allow_extra_args, allow_interspersed_args = False, True  # as of any command
    parse_args = click.Command.parse_args
    invoke = click.Command.invoke
    collect_usage_pieces = click.Command.collect_usage_pieces

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args[:1] == [CHECK]:
            return self.commands[CHECK].make_context(f"{info_name} {CHECK}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@dataclass(frozen=True)
class _Asked:
    """To which moment, of which assets, where to."""

    at: str | None
    nearest: bool
    targets_file: Path | None
    under: Path | None
    assets: str | None
    excluded: str | None
    timelines: tuple[str, ...]
    site: str | None
    onto_source_server: bool

    @property
    def any(self) -> bool:
        return any(
            (
                self.at,
                self.nearest,
                self.targets_file,
                self.under,
                self.assets,
                self.excluded,
                self.timelines,
                self.site,
            )
        )

    def request(self, loaded: LoadedPlan, options: Settings, known: Known) -> RecoverRequest:
        from ccdr.jobs.recover.request import RecoverRequest, moment_of, timelines_of
        from ccdr.plans.targets import load_targets

        if self.assets and self.excluded:
            raise UsageProblem("--assets and --except say the same thing twice", hint="give one of them")
        targets = load_targets(self.targets_file)
        known_assets(loaded, targets, f"{self.targets_file}")
        now = options.services().clock.now()
        return RecoverRequest(
            at=moment_of(self.at, loaded.plan.zone, now) if self.at is not None else None,
            nearest=self.nearest,
            targets=targets,
            assets=_names(loaded, self.assets, "--assets"),
            excluded=_names(loaded, self.excluded, "--except"),
            under=self.under.expanduser().absolute() if self.under is not None else None,
            timelines=timelines_of(self.timelines),
            onto_source_server=self.onto_source_server,
            others=known.others,
            unknown=known.unknown,
        )


def _names(loaded: LoadedPlan, text: str | None, option: str) -> tuple[str, ...]:
    """`A,B`, in the plan's order."""
    given = [name.strip() for name in (text or "").split(",") if name.strip()]
    known_assets(loaded, given, option)
    return tuple(name for name in loaded.plan.assets if name in given)


@verb(short_help="Bring all of PLAN back to one moment.", cls=_WithCheck, no_args_is_help=False)
@click.argument("plan", required=False, shell_complete=complete_plans)
@click.option("--at", metavar="TIME|latest", help="The moment; by default the latest state of each asset.")
@click.option("--nearest", is_flag=True, help="Take a state after the moment where there is none by then.")
@click.option(
    "--to",
    "targets_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with `targets:`, before those of the plan.",
)
@click.option(
    "--under",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="What has no target goes into a directory of its name below this one.",
)
@click.option("--assets", metavar="A,B", help="Only these assets.")
@click.option("--except", "excluded", metavar="A,B", help="All assets but these.")
@click.option(
    "--timeline", "timelines", metavar="ASSET=N", multiple=True, help="Which timeline of its log an asset follows."
)
@click.option("--from", "site", metavar="SITE", help="Fetch from this copy (see `copies:` of the plan).")
@click.option("--onto-source-server", is_flag=True, help="Allow another database on a server that is backed up.")
@click.option("--resume", is_flag=True, help="Go on with the recovery that was stopped, killed or failed.")
@despite_erasures_option
@click.option("--yes-i-mean", metavar="PLAN", help="The plan's name, instead of typing it.")
@going_on_options
@dry_run_option
@as_one("asked", _Asked)
@as_one("going_on", GoingOn)
def recover(
    plan: str | None,
    asked: _Asked,
    resume: bool,
    despite_erasures: str | None,
    yes_i_mean: str | None,
    going_on: GoingOn,
    dry_run: bool,
) -> Exit:
    """Bring all assets of PLAN back to one moment, each onto its target, in order.

    For each asset it takes the state that is nearest to the moment and not after it. Before anything is done it shows
    what it will do, what is lost, and how long it should take; then it asks for the plan's name, once. Sources are
    never touched, and nothing that exists is written over. An asset has its final name only when it is whole and its
    checks have passed, those that compare it with another asset among them.

    It keeps a journal: if it is killed, or the disk is full, or a target is gone, `ccdr recover --resume` goes on, and
    repeats nothing that is done. What failed stops only what depends on it.

    Where the plan says `approval: {recover: true}`, it takes a request that somebody else has signed (`ccdr approval
    request PLAN recover`), or --break-glass.

    `ccdr recover check PLAN` checks what was brought back again, where it stands.

    \b
    Examples:
      ccdr recover outbound --dry-run                      what would be done, and how long it takes
      ccdr recover outbound                                the latest state of everything
      ccdr recover outbound --at "2026-11-24 14:05:00"     to that moment
      ccdr recover outbound --to targets.yaml --except archive
      ccdr recover outbound --under /srv/recovered --yes-i-mean outbound
      ccdr recover --resume                                go on with what was stopped
      ccdr recover check outbound                          the checks once more
    """
    if resume:
        if asked.any or going_on.any:
            raise UsageProblem("--resume goes on with what was decided", hint="leave the other options out")
        return _resume(plan, despite_erasures, dry_run=dry_run)
    if plan is None:
        raise click.UsageError("Missing argument 'PLAN'.")
    return _recover(plan, asked, despite_erasures, yes_i_mean, going_on, dry_run=dry_run)


def _known(options: Settings, broken_glass: str | None = None) -> Known:
    from ccdr.evidence.acknowledged import why_of
    from ccdr.jobs.recover import Known

    others, wrong = options.load_all(())
    why = None if broken_glass is None else why_of(broken_glass)
    return Known(tuple(others), tuple(sorted({problem.file for error in wrong for problem in error.problems})), why)


def _recover(
    plan: str, asked: _Asked, glass: str | None, yes_i_mean: str | None, going_on: GoingOn, *, dry_run: bool
) -> Exit:
    from ccdr.cli.recover_table import tell_outlook
    from ccdr.jobs.copies import from_site
    from ccdr.jobs.recover import Decision, reading_on, recovering
    from ccdr.plans.access import Role
    from ccdr.plans.roles import as_role
    from ccdr.plans.trust import confirm

    options = settings()
    loaded, known = options.load(plan), _known(options, glass)
    request = asked.request(loaded, options, known)
    loaded, services = from_site(as_role(loaded, Role.RESTORE), options.services(), asked.site)
    with contextlib.ExitStack() as stack:
        undisturbed = stack.enter_context(reading_on(loaded, services))
        outlook, request = looked_ahead(loaded, request, services)
        decision = Decision.of(
            outlook, onto_source_server=request.onto_source_server, site=asked.site, under=request.under
        )
        confirm(loaded, _typed(request))  # so that --resume, which has no --to, knows them
        agree(loaded, decision.starts)
        told = outlook.asked if undisturbed else None
        with watched(loaded.plan.objectives) as view:
            one = stack.enter_context(recovering(loaded, decision, services, view, known, told))
        outlook = _with_notes(outlook, one.result.notes)
        if not (dry_run and options.json):
            tell_outlook(outlook, err=options.json)
        if dry_run:
            if options.json:
                print_json({"would_recover": outlook.as_json()})
            else:
                click.echo("nothing was done")
            return Exit.OK
        agree(loaded, _on_the_way(loaded, request))
        ask_of_suspects(outlook, request, loaded, services)
        ask_for_name(one.name, yes_i_mean)
        may_recover(loaded, services, going_on)
        return _carry_out(one, loaded)


def _with_notes(outlook: RecoveryOutlook, notes: Iterable[str]) -> RecoveryOutlook:
    """And what looking at each target has found; each once."""
    there = {*outlook.notes, *(f"{step.asset}: {note}" for step in outlook.steps for note in step.notes)}
    more = [note for note in dict.fromkeys(notes) if note not in there]
    return replace(outlook, notes=(*outlook.notes, *more))


def _on_the_way(loaded: LoadedPlan, request: RecoverRequest) -> list[Command]:
    """Commands of the plan's own targets that this recovery may come to; those of --to are who typed it's."""
    from ccdr.plans.trust import commands_of

    wanted = set(request.assets or loaded.plan.assets) - set(request.excluded) - set(request.targets)
    named = [(command, command.where.split(".")) for command in commands_of(loaded.plan)]
    return [command for command, where in named if where[0] == "targets" and where[1] in wanted]


def _typed(request: RecoverRequest) -> list[Command]:
    """Commands of the file that --to names: who typed that has seen them."""
    from ccdr.plans.trust import commands_of

    return [one for asset, target in request.targets.items() for one in commands_of(target, "targets", asset)]


def _resume(plan: str | None, glass: str | None, *, dry_run: bool) -> Exit:
    from ccdr.jobs.copies import from_site
    from ccdr.jobs.recover import Decision, newest, resuming
    from ccdr.plans.access import Role
    from ccdr.plans.roles import as_role

    options = settings()
    services = options.services()
    told = newest(services.state, plan)
    if told is None:
        raise UsageProblem(
            f"no recovery{f' of {plan}' if plan else ''} was begun on this host", hint="`ccdr recover PLAN` begins one"
        )
    loaded, known = options.load(told.plan), _known(options, glass)
    decision = Decision.read(told)
    loaded, services = from_site(as_role(loaded, Role.RESTORE), services, decision.site)
    agree(loaded, decision.starts)
    with contextlib.ExitStack() as stack:
        with watched(loaded.plan.objectives) as view:
            one = stack.enter_context(resuming(loaded, told, services, view, known))
        tell_left(one)
        if dry_run:
            click.echo("nothing was done")
            return Exit.OK
        return _carry_out(one, loaded)


def _carry_out(one: Recovering, loaded: LoadedPlan) -> Exit:
    try:
        with watched(loaded.plan.objectives) as view:
            one.carry_out(view)
    except KeyboardInterrupt:
        click.echo(f"ccdr: stopped; `ccdr recover --resume {one.name}` goes on", err=True)
        raise
    if settings().json:
        print_json(one.result.as_json())
    else:
        tell_result(one.result)
        if one.result.state == "done":
            for line in not_by_itself(one.name, settings().services().state, settings()):
                click.echo(line)
    return one.result.exit_code


recover.add_command(check)  # type: ignore[attr-defined]

__all__ = ["check", "recover"]
