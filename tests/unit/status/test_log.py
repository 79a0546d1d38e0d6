"""A shipped log that failed, or whose source went back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from syrupy.assertion import SnapshotAssertion
from tests.support.clocks import Clock
from tests.support.harness import Site
from tests.support.logs import ships
from tests.support.sparse import append_sparse
from tests.support.standing import IDS, LOGGED, NOW, ago, based

from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.log_standing import LogStanding
from ccdr.model.trouble import Trouble
from ccdr.model.values import rfc3339
from ccdr.telling.status import exit_code, status


def test_a_log_that_failed_stays_red_though_its_base_has_passed_since(site: Site) -> None:
    """Without its point, too: what is exposed is counted from the base. A base that is newer leads on anew."""
    site.plan(LOGGED)
    services = site.services(Clock())
    loaded = site.loaded()

    def tested(verdict: str, own: str | None, recovery: dict[str, Any] | None) -> AssetStatus:
        body = {"verdict": verdict, "reason": "log is missing", "findings": [], "recovery": recovery, "rto": None}
        body["snapshot"] = {"id": IDS[1], "verdict": own, "selected": "at" if recovery else "latest"}
        append_sparse(services.ledger, "restore_test.end", plan="p", asset="crm", run="t", body=body)
        (found,) = status([loaded], services)
        return found

    def by_log(verdict: str) -> dict[str, Any]:
        return {"target": "latest", "verdict": verdict, "until": rfc3339(ago(minutes=2))}

    based(site, services, 1, ago(hours=3))
    shipped = LogStanding(since="000000010000000000000001", point=ago(minutes=2), usable=ago(minutes=1), position="0/3")
    ships(services, "p", "crm", shipped)
    found = tested("PASS", "PASS", None)
    assert found.rpo.achieved_s == 120 and not found.wrong
    assert tested("PASS", "PASS", by_log("PASS")).rpo.achieved_s == 120
    found = tested("FAIL", None, by_log("FAIL"))
    assert found.rpo.achieved_s == 3 * 3600 and Trouble.LOG_FAILED in {p.trouble for p in found.wrong}
    found = tested("PASS", "PASS", None)
    (problem,) = found.wrong
    assert problem.trouble is Trouble.LOG_FAILED and "log is missing" in problem.text and not found.proven
    assert found.rpo.achieved_s == 3 * 3600 and exit_code([found]) == 1
    based(site, services, 2, ago(minutes=1, seconds=30))
    (newer,) = status([loaded], services)
    assert newer.rpo.achieved_s == 90 and newer.wrong == (problem,), "the log goes on from there"
    found = tested("PASS", "PASS", by_log("PASS"))
    assert not found.wrong


def test_the_log_of_a_source_that_went_back_asks_for_a_base_and_then_for_what_ships_it(
    site: Site, wording: SnapshotAssertion
) -> None:
    """Until log is stored behind a base from since then; what was stored before leads nowhere."""
    site.plan(LOGGED)
    services, loaded = site.services(Clock()), site.loaded()
    back = LogStanding(anew=ago(hours=1), gap="the source went back: a new base backup is needed")

    def told(
        standing: LogStanding, number: int | None = None, **taken: float
    ) -> tuple[list[Trouble], str, float | None]:
        if number is not None:
            based(site, services, number, ago(**taken))
        ships(services, "p", "crm", standing)
        (found,) = status([loaded], services)
        wrong = [p for p in found.wrong if p.trouble in (Trouble.LOG_GAP, Trouble.LOG_LATE)]
        return [p.trouble for p in wrong], " ".join(p.text for p in wrong), found.rpo.achieved_s

    kinds, said, exposed = told(back, 1, hours=3)
    assert kinds == [Trouble.LOG_GAP] and "went back" in said and exposed == 3 * 3600
    stored = replace(back, since="000000010000000000000001", point=ago(minutes=1), usable=NOW, position="0/3")
    assert told(stored) == (kinds, said, exposed), "of a history that no base leads on to"
    assert told(stored, 2, minutes=61)[0] == kinds, "nor does one from before it was found out"
    kinds, said, exposed = told(back, 3, minutes=30)
    assert kinds == [Trouble.LOG_LATE] and said == wording
    assert exposed == 30 * 60 and "a new base backup is needed" not in said
    assert told(stored) == ([], "", 60.0)
    kinds, said, _ = told(replace(back, trouble="the source is away", troubled=NOW))
    assert kinds == [Trouble.LOG_LATE] and "the source is away" in said
    assert told(back, 4, minutes=1) == ([], "", 60.0), "it takes a moment"
