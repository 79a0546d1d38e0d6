"""The global options of a command, and what they name."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ccdr.jobs.services import Services
    from ccdr.model.errors import PlanInvalid
    from ccdr.plans import LoadedPlan
    from ccdr.plans.access import Role
    from ccdr.plans.job import Job

F = TypeVar("F", bound=Callable[..., Any])


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

    def recorded(self) -> Services:
        """The same of a state that holds anything. CcdrError where it does not: that nothing is known must not read as
        all well."""
        from ccdr.model.errors import CcdrError

        services = self.services()
        if not services.state.has_contents:
            raise CcdrError(
                f"{services.state.root} holds nothing: nothing is known here",
                hint="name the right --state; who may not read it takes a package: --package DIR",
            )
        return services

    def load(self, name: str) -> LoadedPlan:
        from ccdr.plans import load_named

        return load_named(name, self.plans, self.restore_tests)

    def load_all(self, names: Sequence[str], *, needed: bool = True) -> tuple[list[LoadedPlan], list[PlanInvalid]]:
        """The named plans; with no name all that are right, and what is wrong with the others: a mistake in one must
        not stop the rest. UsageProblem where there is no plan at all, unless none is `needed`: a wrong --plans must not
        look green."""
        from ccdr.model.errors import FileProblem, PlanInvalid, PlanNewer, UsageProblem
        from ccdr.plans import plan_names
        from ccdr.plans.loader import NO_PLAN

        if names:
            return [self.load(name) for name in names], []
        loaded, wrong = [], []
        for name in plan_names(self.plans):
            try:
                loaded.append(self.load(name))
            except PlanInvalid as error:
                wrong.append(error)
            except PlanNewer as error:  # one that only a newer ccdr understands must not stop the others either
                wrong.append(PlanInvalid([FileProblem(str(self.plans / f"{name}.yaml"), 1, "", str(error))]))
        if not loaded and wrong:
            raise wrong[0] if len(wrong) == 1 else PlanInvalid([p for error in wrong for p in error.problems])
        if not loaded and needed:
            raise UsageProblem(f"there is no plan in {self.plans}", hint=NO_PLAN)
        return loaded, wrong

    def load_told(self, names: Sequence[str]) -> tuple[list[LoadedPlan], list[PlanInvalid]]:
        """As `load_all`; what is wrong with the others is told at once."""
        loaded, wrong = self.load_all(names)
        for error in wrong:
            click.echo(f"ccdr: {error}", err=True)
        return loaded, wrong

    def every(self) -> list[LoadedPlan]:
        """All plans there are. PlanInvalid where one of them is wrong."""
        loaded, wrong = self.load_all(())
        if wrong:
            raise wrong[0]
        return loaded

    def jobs(self, name: str, named: Sequence[str] = (), role: Role | None = None) -> list[Job]:
        """The plan's assets in its order, or those that were named, with the role's own credential where there is one
        here; UsageProblem where there is none such."""
        from ccdr.model.errors import UsageProblem
        from ccdr.plans.job import Job
        from ccdr.plans.roles import as_role

        loaded = self.load(name) if role is None else as_role(self.load(name), role)
        assets = list(loaded.plan.assets)
        for asset in named:
            if asset not in assets:
                raise UsageProblem(f"plan {name} has no asset {asset!r}", hint=f"it has {', '.join(assets)}")
        return [Job(loaded, a) for a in assets if not named or a in named]


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
