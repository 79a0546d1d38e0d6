"""What is told to somebody who has asked for an approval: the command that will take it."""

from __future__ import annotations

import pytest

from ccdr.cli.approval import OPERATIONS, _carried_out
from ccdr.evidence.statements import Operation
from ccdr.jobs.erasure.entries import NOBODY


@pytest.mark.parametrize(
    ("operation", "about", "command"),
    [
        ("prune", "", "ccdr upkeep p --prune"),
        ("recover", "", "ccdr recover p"),
        ("key-remove", "5f2c", "ccdr repository key remove p 5f2c"),
        ("register", "5f2c", "ccdr erasure add p --selector FILE"),
        ("register", "e-000017", "ccdr erasure withdraw p e-000017 --why WHY"),
        ("register", f"{NOBODY}e-000017", "ccdr erasure review p --nobody e-000017 --why WHY"),
    ],
)
def test_it_is_the_command_that_takes_it(operation: str, about: str, command: str) -> None:
    assert _carried_out(operation, "p", about) == command


def test_whatever_may_be_asked_for_is_taken_by_a_command() -> None:
    assert set(OPERATIONS) == {one.value for one in Operation}
