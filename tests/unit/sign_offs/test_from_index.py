"""A report that begins from the index has the sign-offs of one that reads all of the ledger."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.support.records import body_of, record_in
from tests.support.years import Centre
from tests.unit.test_index import both, lived, verified
from tests.unit.test_one_judgement import END

from ccdr.evidence.records.statements import SIGN_PERIOD, STATEMENT
from ccdr.model.values import rfc3339
from ccdr.telling.report import Period, make_report
from ccdr.telling.signing_off import to_sign_off

DAY = timedelta(days=1)


def test_the_sign_offs_of_a_period_are_behind_what_the_index_keeps(tmp_path: Path) -> None:
    """Signed long before the report is made, and just before; of the period, of a part of it, and of one before."""
    plans, services = lived(tmp_path, Centre(1, 1, END, 150, timedelta(hours=12), timedelta(days=5)))
    record_in(services.ledger, "sandbox.reap", plan=None, asset=None, run=None, body=body_of("sandbox.reap"))
    clock = services.clock
    for first, last in ((100, 70), (40, 20), (30, 2)):
        period = Period(END - first * DAY, END - last * DAY, until_now=False)
        given = to_sign_off(make_report(plans, services, period, command="x"), services)
        body = {**body_of(SIGN_PERIOD.kind), **given.body()}
        record_in(services.ledger, STATEMENT, plan=None, asset=None, run=None, body=body)
    verified(services)
    for first, last, fits in (
        (40, 2, [True, True]),
        (30, 2, [None, True]),
        (20, 10, [None]),
        (71, 5, [None, True, None]),
    ):
        quick, whole = both(plans, services, Period(END - first * DAY, END - last * DAY, until_now=False))
        assert [one.fits for one in quick.sign_offs] == fits == [one.fits for one in whole.sign_offs], rfc3339(
            clock.now()
        )
