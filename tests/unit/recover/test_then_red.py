"""Two stores that come back apart: which check is red from then on is said, and what a person types."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import to_builtins
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site
from tests.support.wording import lines_with

from ccdr.jobs.recover.result import then_red

NOW = datetime(2026, 11, 24, 3, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=37)
CRM = "engine: postgres, connection: {host: /x, user: u, database: d}"


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(tmp_path_factory.mktemp("red"))
    check = "{kind: reconcile, name: every call, with: rec, query: select 1}"
    made.write("restore_tests/calls.yaml", f"restore_test: calls\nchecks:\n  - {check}\n")
    made.plan(
        "rec: {engine: files, paths: [/var/spool/rec]}\n"
        f"crm: {{{CRM}, restore_test: {{schedule: '0 3 * * *', checks: [calls]}}}}\n"
        f"whole: {{{CRM}, method: physical, log_shipping: {{}}}}\n"
    )
    return made


def test_the_check_and_what_acknowledges_it_are_named(site: Site, wording: SnapshotAssertion) -> None:
    (one,) = then_red(site.loaded(), {"rec": NOW, "crm": LATER}, {})
    text = one.text
    assert "crm comes back 37.0 s newer than rec" in text and "“every call” is FAIL" in text
    assert lines_with(text, "TEST_FAILED") == wording
    (one,) = then_red(site.loaded(), {"rec": LATER, "crm": NOW}, {})
    assert "rec comes back 37.0 s newer than crm" in one.text and "--asset crm" in one.text
    assert to_builtins(one) == {
        "asset": "crm",
        "check": "every call",
        "newer": "rec",
        "older": "crm",
        "ahead_s": 37.0,
        "acknowledge": "ccdr ack TEST_FAILED p --asset crm --until 14d --why '…'",
    }


def test_stores_of_one_moment_and_of_none_are_not_spoken_of(site: Site) -> None:
    assert [*then_red(site.loaded(), {"rec": NOW, "crm": NOW}, {})] == []
    assert [*then_red(site.loaded(), {"crm": LATER}, {})] == []


def test_a_spare_goes_on_at_the_moment_of_the_other(site: Site) -> None:
    points = {"rec": NOW, "crm": NOW, "whole": LATER}
    assert [*then_red(site.loaded(), points, {})] == []
    (one,) = then_red(site.loaded(), points, {"crm": "whole"})
    assert "crm comes back 37.0 s newer" in one.text
