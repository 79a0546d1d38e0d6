"""`population.csv` of an honest package fits its lines, whatever they tell."""

from __future__ import annotations

from contextlib import suppress

import pytest
from tests.support.packages import Exporting
from tests.support.records import body_of, record_in, record_kind

from ccdr.evidence.records import KINDS
from ccdr.evidence.records.statements import SIGN_PERIOD, TABLE
from ccdr.jobs.checkpoints.creation import make

# What such a record tells must be there: another ledger, a key; an asset of the plan that came back.
LEFT_OUT = ("ledger.", "recover.", SIGN_PERIOD.kind)  # one is of a population: test_whole.py


@pytest.mark.parametrize("full", [True, False])
def test_the_rows_of_every_kind_fit_their_records(exporting: Exporting, *, full: bool) -> None:
    written = 0
    for number, kind in enumerate(kind for kind in [*KINDS, *TABLE] if not kind.startswith(LEFT_OUT)):
        exporting.world.clock.on(minutes=1)
        body = body_of(kind, full=full)
        abouts = (("p", "recordings", f"k{number}"), ("p", None, f"k{number}"), (None, None, None))
        for plan, asset, run in abouts:
            with suppress(ValueError):  # of none such
                record_in(exporting.services.ledger, record_kind(kind), plan=plan, asset=asset, run=run, body=body)
                written += 1
    assert written > len(KINDS) / 2
    make(exporting.services)
    exporting.export()
    assert exporting.verify() == (3, "internally consistent", [])
    part = exporting.root / "part"
    exporting.export("--plan", "p", to=part)
    assert exporting.verify(of=part) == (3, "internally consistent", [])
