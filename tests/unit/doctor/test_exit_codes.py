"""The exit code of `ccdr doctor` is that of the worst line."""

from __future__ import annotations

import pytest
from tests.support.findings import FAIL, OK, UNKNOWN, WARN

from ccdr.model.errors import Exit
from ccdr.model.values import Health, Probe
from ccdr.setup.doctor import Diagnosis
from ccdr.setup.doctor.examine import DoctorFinding


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        ([], Exit.OK),
        ([OK, WARN], Exit.OK),
        ([OK, UNKNOWN], Exit.NOT_CARRIED_OUT),
        ([UNKNOWN, FAIL], Exit.FINDING),
    ],
)
def test_exit_code_is_of_the_worst_line(seen: list[Health], code: Exit) -> None:
    assert Diagnosis(tuple(DoctorFinding(None, None, Probe("it", s, "found")) for s in seen)).exit_code is code
