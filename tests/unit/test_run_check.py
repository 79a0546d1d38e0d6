"""What a check comes to: a result whatever happens under it, and none that blames the backup for the test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, cast

import pytest

from ccdr.checks.base import CheckConfig, run_check
from ccdr.host.processes import Host
from ccdr.model.errors import TestBroken
from ccdr.model.values import CheckResult, Verdict, verdict_of
from ccdr.ports.check import CheckContext
from ccdr.ports.restored import Restored

HERE = cast("Any", None)  # what these checks look at is not what is restored


class Found(CheckConfig):
    """Finds what it is told to."""

    name: str | None = "rows of every call"
    results: ClassVar[tuple[bool, ...]] = ()

    def run(self, engine: Restored, context: CheckContext) -> Iterator[CheckResult]:
        for passed in self.results:
            yield self.result(passed, "one", "one" if passed else "none")


class Good(Found):
    results = (True,)


class Program(CheckConfig):
    """Runs a program that may end as it pleases, and watches it for less than a second."""

    name: str | None = "all of it can be read"
    script: ClassVar[str] = ""

    def run(self, engine: Restored, context: CheckContext) -> Iterator[CheckResult]:
        Host(no_progress=0.2).run(["sh", "-c", self.script])
        yield self.result(True, "the end", "the end")


class Hangs(Program):
    script = "sleep 60"


class Fails(Program):
    script = "exit 1"


class Fills(Program):
    script = "echo 'write failed: No space left on device' >&2; exit 1"


class Ends(Program):
    script = "true"


def test_a_check_that_found_nothing_to_look_at_has_failed_and_is_still_there() -> None:
    """Whoever reads the record counts its checks; and beside one that passed, an absent one would not be missed."""
    (result,) = run_check(Found(), HERE, HERE)
    assert (result.name, result.status) == ("rows of every call", Verdict.FAIL)
    assert verdict_of([*run_check(Good(), HERE, HERE), result]) is Verdict.FAIL


def test_a_check_that_found_something_has_just_that() -> None:
    assert [r.status for r in run_check(Good(), HERE, HERE)] == [Verdict.PASS]
    assert [r.status for r in run_check(Ends(), HERE, HERE)] == [Verdict.PASS]


@pytest.mark.parametrize("check", [Hangs(), Fills()], ids=["moves no more", "has no room"])
def test_what_stops_a_check_from_outside_says_nothing_of_the_backup(check: CheckConfig) -> None:
    """A machine that is too slow or too full would FAIL a good backup."""
    with pytest.raises(TestBroken, match="all of it can be read"):
        run_check(check, HERE, HERE)


def test_a_program_that_fails_under_a_check_fails_it() -> None:
    (result,) = run_check(Fails(), HERE, HERE)
    assert (result.name, result.status) == ("all of it can be read", Verdict.FAIL)
