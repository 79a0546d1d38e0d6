"""What every verb is: its options, its help, its exit code."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click

from ccdr.cli.output import print_json
from ccdr.cli.settings import F, Settings, global_options
from ccdr.cli.streams import open_streams, written
from ccdr.cli.trouble import tell_error
from ccdr.host import interrupts
from ccdr.model.errors import CcdrError, Exit, failure_of, worst

if TYPE_CHECKING:
    from ccdr.jobs.services import Services

EXIT_STATUS = """\b
Exit status:
  0  done, and everything is as the plan wants
  1  a finding: a backup or restore test failed, an objective is breached or was not
     measured, the ledger does not verify
  2  a plan, a file or the command line is wrong; nothing was done
  3  could not be carried out (Docker, network, disk); proves nothing either way
  4  carried out, but something was left behind that should not be
  5  another run holds the lock
Where several apply: 2, 5, 1, 3, 4, in this order.
"""


class Verbs(Mapping[str, click.Command]):
    """Commands by name. A verb's module is imported once it is asked for: a command pays for its own alone."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._names:
            raise KeyError(name)
        word = name.replace("-", "_")
        return cast("click.Command", getattr(import_module(f"ccdr.cli.{word}"), word))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class VerbGroup(click.Group):
    """Turns our errors into sentences and exit codes, in one place."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        open_streams()
        interrupts.listen()
        kwargs["standalone_mode"] = False  # what click would say itself is a document too, where that was asked for
        in_json = "--json" in (args[0] if args and args[0] is not None else sys.argv[1:])
        try:
            code = super().main(*args, **kwargs)
        except click.ClickException as error:
            error.show()
            if in_json:
                print_json({"error": error.format_message(), "hint": _help_of(error), "exit": error.exit_code})
            code = error.exit_code
        except click.Abort:
            tell_error(CcdrError("interrupted; nothing was started"), in_json=in_json)
            code = Exit.NOT_CARRIED_OUT
        code = code if isinstance(code, int) else Exit.OK
        if unwritten := written():
            tell_error(unwritten, in_json=False)
            code = worst([Exit(code), unwritten.exit_code])
        raise SystemExit(code)

    def invoke(self, ctx: click.Context) -> Any:
        options = ctx.ensure_object(Settings)
        try:
            return super().invoke(ctx)
        except CcdrError as error:
            tell_error(error, in_json=options.json)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            tell_error(CcdrError("interrupted; what was started is recorded and cleaned up"), in_json=options.json)
            ctx.exit(Exit.NOT_CARRIED_OUT)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if options.verbose and sys.stderr.isatty():
                traceback.print_exc()
            why = failure_of(error)
            tell_error(CcdrError(why.reason, hint=why.hint, words=why.words), in_json=options.json)
            ctx.exit(Exit.NOT_CARRIED_OUT)


def _help_of(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"`{context.command_path if context else 'ccdr'} --help` shows its options"


def tell_paused(services: Services, plan: str) -> None:
    """A person's command goes on while the plan is paused, and says so."""
    from ccdr.evidence.pauses import told
    from ccdr.jobs.pausing import pause_of

    with suppress(CcdrError):  # a ledger that cannot be read is told of by the work
        if there := pause_of(services, plan):
            click.echo(f"ccdr: {plan} is {told(there.pause, services.clock.now())}; this command goes on", err=True)


def plan_argument(function: F) -> F:
    """PLAN, completed from the directory of plans."""
    return click.argument("plan", shell_complete=complete_plans)(function)


def one_only(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> str | None:
    """Given twice, the last one would silently win."""
    if len(given) > 1:
        raise click.BadParameter("it may be given only once", ctx, param)
    return given[0] if given else None


def as_one(name: str, kind: type) -> Callable[[Callable[..., Exit]], Callable[..., Exit]]:
    """Options that are the fields of this frozen dataclass come to the function as one of it, under this name."""

    def gathering(function: Callable[..., Exit]) -> Callable[..., Exit]:
        @functools.wraps(function)
        def gathered(**given: Any) -> Exit:
            own = {field.name: given.pop(field.name) for field in fields(kind)}
            return function(**given, **{name: kind(**own)})

        return gathered

    return gathering


def asset_option(function: F) -> F:
    text = "Only this asset of the plan."
    return click.option("--asset", metavar="A", multiple=True, callback=one_only, help=text)(function)


def assets_option(function: F) -> F:
    text = "Only this asset of the plan; may be given several times."
    return click.option("--asset", "assets", metavar="A", multiple=True, help=text)(function)


def from_option(function: F) -> F:
    text = "Fetch from this copy (see `copies:` of the plan), by its name or its site."
    return click.option("--from", "site", metavar="SITE", help=text)(function)


def timeline_option(function: F) -> F:
    text = "Which PostgreSQL timeline to follow, with --at: by default the one written at that time, or the newest."
    return click.option("--timeline", type=click.IntRange(1), metavar="N", help=text)(function)


def despite_erasures_option(function: F) -> F:
    text = "Hand it over though erased people may be in it: why. It stays red until `ccdr erasure review`."
    return click.option("--despite-erasures", metavar="WHY", help=text)(function)


def target_login_options(function: F) -> F:
    """How the server at TARGET lets us in."""
    file = click.Path(dir_okay=False, path_type=Path)
    password = click.option("--password-file", type=file, help="File whose first line is the password at TARGET.")
    ca = click.option("--ca-file", type=file, help="CA that signed TARGET's certificate (default: the system's).")
    return password(ca(function))


def dry_run_option(function: F) -> F:
    return click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")(function)


def complete_plans(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    directory = ctx.find_root().ensure_object(Settings).plans
    return sorted(p.stem for p in directory.glob("*.yaml") if p.stem.startswith(incomplete))


def complete_known(names: Callable[[Any], Iterable[str]]) -> Callable[..., list[str]]:
    """Completes what this host's histories know by name; nothing where they cannot be read."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        try:
            histories = ctx.find_root().ensure_object(Settings).services().histories()
        except CcdrError:
            return []
        return sorted(name for name in names(histories) if name.startswith(incomplete))

    return complete


def verb(*args: Any, **kwargs: Any) -> Callable[[F], click.Command]:
    """A command with the global options and the exit status in its help."""

    def decorate(function: F) -> click.Command:
        kwargs.setdefault("epilog", EXIT_STATUS)

        @functools.wraps(function)
        def run(*a: Any, **k: Any) -> Any:
            code = function(*a, **k)
            click.get_current_context().exit(int(code or Exit.OK))

        made: click.Command = click.command(*args, **kwargs)(global_options(run))
        return made

    return decorate
