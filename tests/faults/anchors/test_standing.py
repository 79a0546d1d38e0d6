"""What status, reports and messages say of anchors: which are configured, when each last held, what is overdue."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.clocks import Clock

from ccdr.evidence.judgement.anchors import AnchorsStanding
from ccdr.jobs.services import Services
from ccdr.model.trouble import Trouble
from ccdr.run.signing import ToSign
from ccdr.telling.anchoring import standing

from .conftest import Anchored

DAY = timedelta(days=1)


def later(anchored: Anchored, by: timedelta) -> Services:
    clock = Clock()
    clock.at = datetime.now(UTC) + by
    return anchored.site.services(clock)


def seen(anchored: Anchored, by: timedelta = timedelta(0)) -> AnchorsStanding:
    services = later(anchored, by)
    return standing(anchored.site.root / "plans", services, services.lineage())


def codes(found: AnchorsStanding) -> list[str]:
    return [problem.about for problem in found.problems() if problem.trouble is Trouble.ANCHOR_OVERDUE]


def status(anchored: Anchored) -> dict[str, Any]:
    return dict(anchored.site.run("status").json["lineage"]["anchors"])


def test_one_that_holds_is_told_with_its_boundary(anchored: Anchored) -> None:
    size = anchored.checkpoint().json["records"]
    told = status(anchored)
    (one,) = told["configured"]
    assert (one["name"], one["kind"], one["records"], one["overdue"]) == ("tsa", "rfc3161", size, False)
    assert told["boundary"]["record"] == size and told["boundary"]["anchor"] == "tsa" and told["signed"]
    assert told["troubles"] == []
    lines = seen(anchored).lines()
    assert lines[0].startswith("anchor tsa (rfc3161): last at ") and f"before record {size} shows to" in lines[-1]


def test_without_any_it_is_said(anchored: Anchored) -> None:
    anchored.configured()
    assert "no anchor is configured" in seen(anchored).lines()[0] and not status(anchored)["configured"]


@pytest.mark.parametrize(("by", "overdue"), [(2 * DAY, False), (2 * DAY + timedelta(hours=2), True)])
def test_one_that_holds_nothing_new_for_too_long_is_overdue(anchored: Anchored, by: timedelta, overdue: bool) -> None:
    assert anchored.checkpoint().code == 0
    anchored.works()
    assert codes(seen(anchored, by)) == (["tsa"] if overdue else [])


def test_one_is_not_overdue_while_it_holds_all_there_is(anchored: Anchored) -> None:
    assert anchored.checkpoint().code == 0
    assert codes(seen(anchored, 30 * DAY)) == []


def test_one_that_never_held_counts_from_when_it_was_configured(anchored: Anchored) -> None:
    anchored.tsa.status = 500
    assert anchored.checkpoint().code == 3
    assert anchored.checkpoint().code == 3
    found = seen(anchored)
    assert codes(found) == [] and found.anchors[0].tries == 2 and found.anchors[0].at is None
    assert codes(seen(anchored, 3 * DAY)) == ["tsa"]
    anchored.tsa.status = 200
    assert anchored.checkpoint().code == 0
    found = seen(anchored)
    assert codes(found) == [] and found.anchors[0].tries == 0


def test_anchors_without_a_key_are_a_trouble_at_once(anchored: Anchored) -> None:
    assert anchored.checkpoint().code == 0
    lineage = anchored.site.services().lineage()
    from ccdr.evidence.judgement.anchors import standing as judged

    now = datetime.now(UTC)
    without = judged([], replace(lineage.anchoring, key=None), now, {})
    assert codes(without) == []
    asked = seen(anchored).anchors
    assert codes(replace(without, anchors=asked)) == ["key"]


def test_a_file_that_is_wrong_is_a_trouble_with_its_line_and_status_still_answers(anchored: Anchored) -> None:
    assert anchored.checkpoint().code == 0
    anchored.configured("name: tsa, kind: rfc3161, url: 'ftp://x', ca_file: y")
    told = status(anchored)
    assert told["mistake"].startswith("anchors.yaml is wrong") and "line 2" in told["mistake"]
    assert [one["code"] for one in told["troubles"]] == ["ANCHOR_OVERDUE"]
    assert told["configured"][0]["name"] == "tsa", "what was recorded stands in its place"
    done = anchored.checkpoint()
    assert done.code == 2 and "anchors.yaml:2" in done.stderr


def test_what_is_overdue_can_be_acknowledged_and_changes_the_exit_of_status_not_of_run(
    anchored: Anchored, monkeypatch: pytest.MonkeyPatch
) -> None:
    anchored.site.run("run")
    before = anchored.site.run("status").code, anchored.site.run("run").code
    anchored.site.write("anchors.yaml", "anchors: 1\n")
    assert "ANCHOR_OVERDUE" in json.dumps(status(anchored)["troubles"])
    assert anchored.site.run("run").code == before[1]
    acked = anchored.site.run("ack", "ANCHOR_OVERDUE", "--why", "being mended", "--until", "1d")
    assert acked.code == 0, acked
    (problem,) = status(anchored)["troubles"]
    assert problem["acknowledged"] is True


def test_removing_an_anchor_shows_in_the_report(anchored: Anchored, wording: SnapshotAssertion) -> None:
    assert anchored.checkpoint().code == 0
    report = json.loads(_report(anchored))
    assert report["ledger"]["anchors"]["loosened"] == []
    anchored.configured(anchored.by_tsa(every="48h"))
    anchored.works()
    assert anchored.checkpoint().code == 0
    anchored.configured()
    assert anchored.checkpoint().code == 0
    report = json.loads(_report(anchored))
    texts = [one["text"] for one in report["ledger"]["anchors"]["loosened"]]
    assert texts == wording
    assert report["ledger"]["anchors"]["boundary"]["anchor"] == "tsa", "what it held, it holds"
    page = _report(anchored, "html")
    assert "not configured any more" in page and "<dt>Anchors</dt>" in page
    anchored.site.ledger_holds()


def _report(anchored: Anchored, form: str = "json") -> str:
    out = anchored.site.root / f"report.{form}"
    out.unlink(missing_ok=True)
    done = anchored.site.run("report", "--format", form, "--out", str(out))
    assert out.exists(), done
    return out.read_text()


def test_the_next_run_comes_in_time(anchored: Anchored) -> None:
    """What sleeps until the next backup is woken for a checkpoint, and sooner for an anchor that was not made."""
    plans = anchored.site.root / "plans"
    services = anchored.site.services()
    assert ToSign.found(plans, services).next
    ToSign.found(plans, services).carry_out()
    anchored.works()
    after = ToSign.found(plans, services).next
    assert after is not None and timedelta(minutes=50) < after - datetime.now(UTC) <= timedelta(hours=1)
    anchored.tsa.status = 500
    anchored.configured(anchored.by_tsa(every="1s"))
    anchored.fails()
    again = ToSign.found(plans, services).next
    assert again is not None and again - datetime.now(UTC) <= timedelta(minutes=5)


def test_the_state_alone_does_not_hide_an_anchor(anchored: Anchored) -> None:
    """chain.json says what the ledger said: whoever edits it is found out."""
    from ccdr.evidence.lineage.comparison import keep

    assert anchored.checkpoint().code == 0
    services = anchored.site.services()
    keep(services.state, services.ledger)
    kept = Path(anchored.site.state / "chain.json")
    body = json.loads(kept.read_text())
    assert services.lineage().changed is None and body["lineage"]["anchoring"]["last"]["tsa"]["size"]
    body["lineage"]["anchoring"]["last"]["tsa"]["size"] += 1
    kept.write_text(json.dumps(body))
    assert services.lineage().changed
