"""What every check shares."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import ClassVar

from pydantic import Field

from ccdr.engines.base import EngineConfig
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.model.schema import Strict
from ccdr.model.values import CheckResult, Verdict
from ccdr.ports.check import CheckContext, Counterpart
from ccdr.ports.engine import Engine
from ccdr.ports.restored import Restored

_OBJECT = re.compile(r"""(?:[\w$]+|"[^"]+"|`[^`]+`)(?:\.(?:[\w$]+|"[^"]+"|`[^`]+`))*""")


def known_by(text: str) -> str:
    """A short digest: what a plan asks with may quote somebody, and a record must tell one query from another."""
    return sha256(text.encode()).hexdigest()[:8]


def object_or_digest(text: str) -> str:
    """An object's name as it is; any more than that (a condition, say) may quote somebody."""
    return text if _OBJECT.fullmatch(text) else f"query {known_by(text)}"


def bounds(least: int | None, most: int | None, at_least: str, at_most: str) -> list[str]:
    """Those that a check states, each after its word."""
    return [f"{word} {bound}" for word, bound in ((at_least, least), (at_most, most)) if bound is not None]


class CheckConfig(Strict):
    """A check is one frozen class: its fields are its YAML, `run` says what was expected and what was found.

    `engines` names the engines it can run on (empty: all), `needs_sql` keeps it to those that answer SQL,
    `needs_export` to those that write rows in bulk; `needs_sandbox` asks for a sandbox where the engine itself would
    do without. `floors` and `ceilings` are what its strength is measured by. `rank` orders checks: those that must see
    the data untouched come first.
    """

    engines: ClassVar[tuple[str, ...]] = ()
    needs_sql: ClassVar[bool] = False
    needs_export: ClassVar[bool] = False
    needs_sandbox: ClassVar[bool] = False
    rank: ClassVar[int] = 1
    # Which fields say how much is asked: of `floors` more is stronger, of `ceilings` less; None, or a word, is no
    # bound. `asides` change neither what is looked at nor how strictly. All others say what is looked at.
    floors: ClassVar[tuple[str, ...]] = ()
    ceilings: ClassVar[tuple[str, ...]] = ()
    asides: ClassVar[tuple[str, ...]] = ("name",)

    name: str | None = Field(None, min_length=1, max_length=200, description="what people read; recorded")

    def applies_to(self, engine: EngineConfig) -> bool:
        answers = (engine.speaks_sql or not self.needs_sql) and (engine.exports or not self.needs_export)
        return answers and (not self.engines or engine.engine_name in self.engines)

    @property
    def kind_name(self) -> str:
        return str(getattr(self, "kind", "?"))

    @property
    def label(self) -> str:
        """The check's name in reports."""
        return self.name or self.default_name()

    def default_name(self) -> str:
        return self.kind_name

    @property
    def beside(self) -> str | None:
        """The other asset of the plan that this check compares with; None for one that looks at its own alone."""
        return None

    def misfit(self, other: EngineConfig) -> str | None:
        """Why it cannot compare with that asset: what is wrong, what is expected. None where it can."""
        return None

    @property
    def needs_sandbox_beside(self) -> bool:
        """Must programs run where the other asset's files can be seen?"""
        return False

    def run(self, engine: Restored, context: CheckContext) -> Iterator[CheckResult]:
        """What was found. May raise CommandFailed: then the check has failed."""
        raise NotImplementedError

    def compare(self, engine: Engine, context: CheckContext, counterpart: Counterpart) -> Iterator[CheckResult]:
        """As `run`, of a check that says what is to be restored beside."""
        raise NotImplementedError

    def result(
        self, passed: bool, expected: str, actual: str, detail: str | None = None, *, varies: bool = False
    ) -> CheckResult:
        status = Verdict.PASS if passed else Verdict.FAIL
        return CheckResult(self.kind_name, self.label, status, expected, actual, detail, varies)


def run_check(check: CheckConfig, engine: Restored, context: CheckContext) -> list[CheckResult]:
    """A check's results; a program that fails under it is a failed check, never an absent one.

    Raises TestBroken where the sandbox broke or nothing moved any more: that says nothing about the backup.
    """
    return looked_at(check, lambda: check.run(engine, context))


def looked_at(check: CheckConfig, results_of: Callable[[], Iterator[CheckResult]]) -> list[CheckResult]:
    """As `run_check`, of whatever look."""
    try:
        results = list(results_of())
    except CommandFailed as error:
        if error.stalled:
            raise TestBroken(
                f"the check {check.label!r} was stopped: {error}", hint="give `limits: no_progress` more time"
            ) from None
        if "No space left on device" in error.stderr:
            raise TestBroken(f"the check {check.label!r} ran out of disk space: {error}") from None
        return [check.result(False, "an answer", str(error), error.stderr.reveal() or None)]
    return results or [check.result(False, "an answer", "the check found nothing to look at")]
