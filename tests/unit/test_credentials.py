"""What programs say of secrets that they were given: never where our own copy was."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccdr.credentials import without_copies
from ccdr.schema import WithPassword

COPIES = Path("/state/scratch/run-1/credentials")
REFUSED = 'FATAL:  password authentication failed for user "ccdr"'
SAID = f'{REFUSED}\npassword retrieved from file "{COPIES}/pgpass"\n'


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (WithPassword(password_file=Path("/etc/crm.pw")), f"{REFUSED}\npassword retrieved from file /etc/crm.pw"),
        (WithPassword(password_command=("pass", "crm")), REFUSED),
        (None, REFUSED),
    ],
)
def test_a_refused_password_is_told_by_the_file_that_the_plan_names(source: WithPassword | None, told: str) -> None:
    assert without_copies(SAID, source, COPIES) == told
    assert without_copies(f"cannot read {COPIES}/option-file\nrefused", source, COPIES) == "refused"
