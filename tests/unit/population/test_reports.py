"""What a report says of the ledgers that it was read from."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from msgspec import to_builtins
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site
from tests.support.population import (
    DAY,
    END,
    FAILED,
    HOUR,
    Pair,
    brought_back,
    look,
    lost,
    past,
    services_of,
    stored,
    wrote,
)
from tests.support.records import record_in
from tests.support.schema import report_document
from tests.support.wording import lines_with

from ccdr.evidence.ledger.verification import verify
from ccdr.host.state import State
from ccdr.model.values import Attestation
from ccdr.telling.report import Period, make_report
from ccdr.telling.report.page import html
from ccdr.telling.report.population_csv import csv_text


def test_a_report_says_which_ledgers_it_was_read_from(pair: Pair, wording: SnapshotAssertion) -> None:
    pair.both()
    name = pair.ours("backs up")
    pair.collected()
    report = look(pair.site).report
    document = report_document(report)
    (told,) = document["ledger"]["beside"]
    assert (told["ledger"], told["host"], told["lost_here"]) == (name, "db2", False) and len(told["head"]) == 64
    closing = b"".join(csv_text(report)).decode().splitlines()[-1]
    assert f"read with ledger {name[:8]} of db2" in closing and told["head"] in closing
    page = b"".join(html(report)).decode()
    assert told["head"] in page and lines_with(page.replace(name[:8], "LEDGER"), "restore test by db2") == wording
    (plan,) = document["plans"]
    assert {one["what"]: one["host"] for one in plan["elsewhere"]} == {"test": "db2", "prune": "db2", "check": "db2"}


@pytest.mark.parametrize("how", ["well", "not asked", "unattested", "longer", "rewritten", "changed"])
def test_a_report_says_of_each_ledger_what_shows_that_it_holds(pair: Pair, how: str) -> None:
    """What was verified, which snapshots attest it, and when a repository was last compared with it."""
    pair.both()
    name = pair.ours("tests")
    services, there = services_of(pair.site), verify(pair.site.root / "other" / "ledger")
    newest = services.catalogue.snapshots("p", "crm")[-1]
    if how != "unattested":
        text = json.loads((services.catalogue.directory / "p" / "crm" / f"{newest.id}.json").read_text())["manifest"]
        said = Attestation(name, there.records, there.head, 1, "0" * 12, "0" * 64)
        services.catalogue.add(replace(newest, attested=said), text)
        if how == "longer":
            services.catalogue.add(replace(newest, attested=replace(said, seq=there.records + 3)), text)
    pair.collected(END - HOUR / 2)
    if how == "rewritten":
        services.catalogue.add(replace(newest, attested=replace(said, head="0" * 64)), text)
    if how == "changed":
        (segment,) = (pair.site.state / "ledgers" / name).glob("*.jsonl")
        segment.chmod(0o600)
        segment.write_bytes(segment.read_bytes().replace(b'"host":"h"', b'"host":"x"', 1))
    if how != "not asked":
        body = {"snapshots": int(how == "well"), "elsewhere": 1, "newest": 0, "whole": True, "problems": []}
        record_in(
            services.ledger,
            "ledger.compared",
            plan="p",
            asset=None,
            run=None,
            body={"result": "AGREES", "reason": None, **body},
        )
    report = make_report([pair.site.loaded()], services, Period(END - 5 * DAY, END, until_now=True), command="x")
    (facts,) = report.ledger.beside
    page = b"".join(html(report)).decode()
    assert facts.believed is (how != "changed")
    assert f"all of its {there.records} records hold" in page or how == "changed"
    assert facts.snapshots == (0 if how == "unattested" else 1) and facts.agrees is (how != "rewritten")
    known = f"1 snapshot known here attests it, up to record {there.records + (3 if how == 'longer' else 0)}"
    assert (known in page) is (how != "unattested")
    assert ("what is here of it is not what they say" in page) is (how == "rewritten")
    assert (f"after record {there.records} is not here" in page) is (how == "longer")
    assert ("it does not verify" in page) is (how == "changed")
    attested = "1 snapshot attests it, up to" if how == "well" else "0 snapshots attest it, up to"
    assert (f"agrees: {attested}" in page) is (how != "not asked")
    asked = how not in ("not asked", "unattested")
    assert ("the repository of p: agrees" in page) is asked
    assert ("no repository was compared" in page) is not asked
    (shown,) = report_document(report)["ledger"]["beside"]
    assert (shown["believed"], shown["attested"]["agrees"]) == (facts.believed, facts.agrees)


def test_the_first_record_of_all_is_where_a_period_begins_to_be_known(site: Site) -> None:
    name = lost(site)
    assert "the first record is of 2026-11-24" in look(site).report.over_the_period
    brought_back(site, name)
    assert "the first record is of 2026-11-22 00:00" in look(site).report.over_the_period


def test_no_place_between_two_of_our_records_is_shown_to_people(site: Site) -> None:
    """A run that failed, its checks and phases, and a plan's version, all of a ledger that was brought back."""
    old, new, facts = past(site), past(site), to_builtins(site.loaded().facts)
    old.asked(-60, "backup", "test", "prune", "check")
    for hours, version in ((-45, "1" * 64), (-44, "2" * 64)):
        old.wrote(hours, "plan.version", asset=None, digest=version, predecessor=None, files={}, facts=facts)
    old.stored(-43, "third", begun=True)
    old.tested(-42, "third", "FAIL", begun=True, checks=FAILED)
    new.wrote(-0.6, "not_begun", asset=None, verb="check", due="2026-11-24T11:00:00Z", reason="no key")
    state = State(site.state)
    name = wrote(state, "h", old)
    state.ledger.rename(site.root / "aside")
    wrote(state, "h", new)
    stored(site, old)
    brought_back(site, name)
    report = look(site).report
    page = b"".join(html(report)).decode()
    assert f"<small>record 7@{name[:8]}</small>" in page and f"Checks of record 7@{name[:8]}" in page
    assert re.search(r"<small>record \d+ of ledger [0-9a-f]{8}</small>", page)
    assert not re.search(r"\de-\d", re.sub(r"[0-9a-f-]{12,}", "", page))
    assert not re.search(r"record\w* \d+\.\d", page)


def test_a_report_begins_by_itself_with_the_first_record_of_all(site: Site) -> None:
    from ccdr.cli.report import first_record

    name = lost(site)
    assert first_record(services_of(site)) == END - timedelta(minutes=36)
    brought_back(site, name)
    assert first_record(services_of(site)) == END - 60 * HOUR
