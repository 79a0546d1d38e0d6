"""What verbs share: global options, errors and exit codes, output for people, pipes and programs."""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
import threading
import traceback
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
import orjson

from ccdr.cli.streams import open_streams, written
from ccdr.host import interrupts
from ccdr.model.answers import NO_WORDS, FreeText, visible, words_of
from ccdr.model.errors import CcdrError, Exit, Locked, told, worst
from ccdr.model.values import CheckResult, Verdict, human_bytes

if TYPE_CHECKING:
    from ccdr.host.state import State
    from ccdr.jobs.services import Services
    from ccdr.model.errors import PlanInvalid
    from ccdr.plans import LoadedPlan
    from ccdr.plans.job import Job
    from ccdr.ports.place import Outcome, Progress

F = TypeVar("F", bound=Callable[..., Any])

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


@dataclass
class Settings:
    """The global options, wherever on the line they stood."""

    plans: Path = field(default_factory=lambda: Path(os.environ.get("CCDR_PLANS") or "plans"))
    tests: Path | None = field(
        default_factory=lambda: Path(os.environ["CCDR_RESTORE_TESTS"]) if os.environ.get("CCDR_RESTORE_TESTS") else None
    )
    state: Path | None = field(
        default_factory=lambda: Path(os.environ["CCDR_STATE"]) if os.environ.get("CCDR_STATE") else None
    )
    json: bool = False
    verbose: bool = False

    @property
    def restore_tests(self) -> Path:
        """Where none was named: beside the plans."""
        return self.tests or self.plans.parent / "restore_tests"

    def services(self) -> Services:
        from ccdr.host.state import default_state
        from ccdr.wiring import services

        return services(self.state or default_state())

    def load(self, name: str) -> LoadedPlan:
        from ccdr.plans import load_named

        return load_named(name, self.plans, self.restore_tests)

    def load_all(self, names: Sequence[str]) -> tuple[list[LoadedPlan], list[PlanInvalid]]:
        """The named plans; with no name all that are right, and what is wrong with the others: a mistake in one must
        not stop the rest. UsageProblem where there is no plan at all: a wrong --plans must not look green."""
        from ccdr.model.errors import PlanInvalid, UsageProblem
        from ccdr.plans import plan_names

        if names:
            return [self.load(name) for name in names], []
        loaded, wrong = [], []
        for name in plan_names(self.plans):
            try:
                loaded.append(self.load(name))
            except PlanInvalid as error:
                wrong.append(error)
        if not loaded and wrong:
            raise wrong[0] if len(wrong) == 1 else PlanInvalid([p for error in wrong for p in error.problems])
        if not loaded:
            raise UsageProblem(
                f"there is no plan in {self.plans}", hint="name the directory with --plans; `ccdr init` writes a plan"
            )
        return loaded, wrong

    def every(self) -> list[LoadedPlan]:
        """All plans there are. PlanInvalid where one of them is wrong."""
        loaded, wrong = self.load_all(())
        if wrong:
            raise wrong[0]
        return loaded

    def jobs(self, name: str, asset: str | None) -> list[Job]:
        """The plan's assets in its order, or the one that was named; UsageProblem where there is none such."""
        from ccdr.model.errors import UsageProblem
        from ccdr.plans.job import Job

        loaded = self.load(name)
        assets = list(loaded.plan.assets)
        if asset is not None and asset not in assets:
            raise UsageProblem(f"plan {name} has no asset {asset!r}", hint=f"it has {', '.join(assets)}")
        return [Job(loaded, a) for a in assets if asset in (None, a)]


def settings() -> Settings:
    """The settings of the command that is running."""
    return click.get_current_context().ensure_object(Settings)


def _take(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None and value is not False:
            setattr(ctx.ensure_object(Settings), name, value)

    return callback


def global_options(function: F) -> F:
    """--plans, --restore-tests, --state, --json and -v, accepted before or after the verb."""
    directory = click.Path(file_okay=False, path_type=Path)
    options = (
        ("--plans", {"type": directory, "help": "Directory of plans (CCDR_PLANS, ./plans)."}),
        (
            "--restore-tests",
            {"type": directory, "help": "Directory of restore tests (CCDR_RESTORE_TESTS, beside the plans)."},
        ),
        ("--state", {"type": directory, "help": "Ledger, locks, scratch, cache (CCDR_STATE, /var/lib/ccdr for root)."}),
        ("--json", {"is_flag": True, "help": "One JSON document on standard output, all else on standard error."}),
        ("--verbose", {"is_flag": True, "help": "Say more."}),
    )
    for flag, options_of in reversed(options):
        name = {"--restore-tests": "tests"}.get(flag, flag.removeprefix("--"))
        names = ["-v", flag] if flag == "--verbose" else [flag]
        function = click.option(*names, name, expose_value=False, callback=_take(name), **options_of)(function)  # type: ignore[arg-type]
    return function


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
            tell_error(CcdrError("interrupted; nothing was begun"), in_json=in_json)
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
            tell_error(CcdrError("interrupted; what was begun is recorded and cleaned up"), in_json=options.json)
            ctx.exit(Exit.NOT_CARRIED_OUT)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if options.verbose and sys.stderr.isatty():
                traceback.print_exc()
            why = told(error)
            tell_error(CcdrError(why.reason, hint=why.hint, words=why.words), in_json=options.json)
            ctx.exit(Exit.NOT_CARRIED_OUT)


def _help_of(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"`{context.command_path if context else 'ccdr'} --help` tells what it takes"


def tell_error(error: CcdrError, *, in_json: bool) -> None:
    """What went wrong and what to do next, on standard error; as JSON on standard output where asked."""
    click.echo(f"{click.style('ccdr:', fg='red')} {error}", err=True)
    show_words(words_of(error))
    if error.hint:
        click.echo(f"  → {error.hint}", err=True)
    if in_json:
        print_json({"error": str(error), "hint": error.hint, "exit": int(error.exit_code)})


def show_words(words: FreeText, run: str | None = None) -> None:
    """What programs said, for a person at a terminal: they may quote a customer's row, and cron would mail it. With
    `run`, where it is kept for a while."""
    if words and sys.stderr.isatty():
        for line in words.shown.strip().splitlines():
            click.echo(click.style(f"  | {line}", dim=True), err=True)
    if run is not None and click.get_current_context(silent=True) and (kept := _state().words_path(run)).exists():
        click.echo(f"  what programs said of it, for your eyes and for a week: {kept}", err=True)


def _state() -> State:
    from ccdr.host.state import State, default_state

    return State(settings().state or default_state())


def print_json(document: object) -> None:
    try:
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    except TypeError:  # lone surrogates: a file name that is not UTF-8
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))


COLOURS = {
    "OK": "green", "COMPLETE": "green", "PASS": "green", "MET": "green", "STORED": "green", "tested": "green",
    "FAIL": "red", "BREACHED": "red", "FAILED": "red", "untested": "red",
}  # fmt: skip


def word(text: str) -> str:
    """A verdict, in its colour; never by colour alone."""
    return click.style(text, fg=COLOURS.get(text, "yellow"), bold=True)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, room: int | None = None) -> None:
    """Aligned columns. Where they do not fit into `room` (by default a terminal's width; a pipe has no end), the
    widest are broken, between words."""
    if room is None and sys.stdout.isatty():
        room = shutil.get_terminal_size().columns
    lines = [[" ".join(click.style(w, dim=True) for w in h.split()) for h in headings], *[list(r) for r in rows]]
    widths = _fitting(lines, room)
    for line in lines:
        broken = [_broken(cell, width) for cell, width in zip(line, widths, strict=True)]
        for parts in zip_longest(*broken, fillvalue=""):
            cells = [part + " " * (width - len(click.unstyle(part))) for part, width in zip(parts, widths, strict=True)]
            click.echo("  ".join(cells).rstrip())


def _fitting(lines: Sequence[Sequence[str]], room: int | None) -> list[int]:
    """Each column's width: as its longest cell, unless all of them need more than the room; never less than its
    longest word."""
    columns = [[click.unstyle(cell) for cell in column] for column in zip(*lines, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    least = [max((len(word) for cell in column for word in cell.split()), default=0) for column in columns]
    while room is not None and sum(widths) + 2 * (len(widths) - 1) > room:
        wide = [i for i, width in enumerate(widths) if width > least[i]]
        if not wide:
            break
        widths[max(wide, key=lambda i: widths[i])] -= 1
    return widths


def _broken(cell: str, width: int) -> list[str]:
    """A cell as lines of at most this width; what is coloured is a single word."""
    if len(click.unstyle(cell)) <= width:
        return [cell]
    lines: list[str] = []
    for piece in cell.split():
        if lines and len(click.unstyle(f"{lines[-1]} {piece}")) <= width:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return lines


def tell_checks(checks: Sequence[CheckResult], *, detailed: Container[Verdict]) -> None:
    """What was looked at, and the details of checks that ended in one of the verdicts `detailed`."""
    click.echo()
    table(
        ("", "check", "expected", "found"),
        [(word(c.status), f"{c.kind}: {c.name}", c.expected, c.actual) for c in checks],
    )
    for check in checks:
        if (
            check.detail and check.status in detailed and sys.stderr.isatty()
        ):  # it may quote a row: never for cron's mail
            click.echo(f"\n  {check.name}:", err=True)
            for line in visible(check.detail).splitlines():
                click.echo(f"    {line}", err=True)


class PlainProgress:
    """A line per step, for pipes and cron."""

    def step(self, text: str) -> None:
        click.echo(f"ccdr: {text}", err=True)

    def amount(self, done: int, total: int | None) -> None:
        return None


class LiveProgress:
    """One line: what is done now, how much of it, for how long."""

    def __init__(self, bar: Any) -> None:
        self._bar, self._lock = bar, threading.Lock()
        self._task = bar.add_task("starting", total=None, amount="")

    def step(self, text: str) -> None:
        from rich.markup import escape

        with self._lock:
            self._bar.remove_task(self._task)
            self._task = self._bar.add_task(escape(text), total=None, amount="")

    def amount(self, done: int, total: int | None) -> None:
        said = human_bytes(done) + (f" of {human_bytes(total)}" if total else "")
        with self._lock:
            self._bar.update(self._task, amount=said)


class _Silence:
    def step(self, text: str) -> None: ...

    def amount(self, done: int, total: int | None) -> None: ...


# For cron, which mails whatever is said.
SILENT: AbstractContextManager[Progress] = nullcontext(_Silence())


@contextmanager
def progress() -> Iterator[Progress]:
    """Progress on standard error: live on a terminal, plain lines elsewhere."""
    if not sys.stderr.isatty():
        yield PlainProgress()
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}  [dim]{task.fields[amount]}", markup=True)
    columns = (SpinnerColumn(), text, TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield LiveProgress(bar)


R = TypeVar("R", bound="Outcome")


@dataclass
class Told:
    """What a verb has done of one asset after the other: told to people at once, to programs as one document at the
    end. `locked` is what stands for an asset that another run holds."""

    locked: Mapping[str, str]
    documents: list[dict[str, object]] = field(default_factory=list)
    codes: list[Exit] = field(default_factory=list)

    def did(self, done: R, tell: Callable[[R], None]) -> None:
        self.codes.append(done.exit_code)
        self.documents.append(done.as_json())
        if not settings().json:
            tell(done)
        show_words(getattr(done, "words", NO_WORDS), getattr(done, "run", None))

    def passed_over(self, jobs: Iterable[Job], error: CcdrError) -> None:
        self.codes.append(error.exit_code)
        self.documents += [{"plan": j.plan, "asset": j.asset, **self.locked, "reason": str(error)} for j in jobs]
        click.echo(f"ccdr: {error}", err=True)

    def could_not_begin(self, job: Job, error: CcdrError) -> None:
        document: dict[str, object] = {"plan": job.plan, "asset": job.asset, "error": str(error), "hint": error.hint}
        self.codes.append(error.exit_code)
        self.documents.append(document)
        tell_error(error, in_json=False)

    def end(self, many: str, more: Mapping[str, object] | None = None) -> Exit:
        """The document where asked, with a list under `many` where there are several; `more` is beside it."""
        if settings().json:
            alone = len(self.documents) == 1 and not more
            print_json(self.documents[0] if alone else {many: self.documents, **(more or {})})
        return worst(self.codes)


def each_asset(
    jobs: Iterable[Job],
    do: Callable[[Job, Progress], R],
    tell: Callable[[R], None],
    *,
    many: str,
    locked: Mapping[str, str],
) -> Exit:
    """Do it for one asset after the other. An asset that another run holds is passed over."""
    told = Told(locked)
    for job in jobs:
        try:
            with progress() as watched:
                done = do(job, watched)
        except Locked as error:
            told.passed_over([job], error)
        else:
            told.did(done, tell)
    return told.end(many)


def plan_argument(function: F) -> F:
    """PLAN, completed from the directory of plans."""
    return click.argument("plan", shell_complete=_complete_plans)(function)


def asset_option(function: F) -> F:
    return click.option("--asset", metavar="A", help="Only this asset of the plan.")(function)


def timeline_option(function: F) -> F:
    told = "By which of PostgreSQL's timelines, with --at: by default the one that was written then, or the newest."
    return click.option("--timeline", type=click.IntRange(1), metavar="N", help=told)(function)


def dry_run_option(function: F) -> F:
    return click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")(function)


def _complete_plans(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    directory = ctx.find_root().ensure_object(Settings).plans
    return sorted(p.stem for p in directory.glob("*.yaml") if p.stem.startswith(incomplete))


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
