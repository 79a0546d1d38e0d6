"""What vanished from a repository, and when: by all ledgers and by the plan's rules as they were."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from tests.support.chronicle import digest
from tests.support.harness import Site
from tests.support.population import DAY, END, HOUR, PLAN, past, services_of, stored, wrote
from tests.support.sparse import sparse_record

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.host.state import State
from ccdr.jobs.services import Services, pruning_of
from ccdr.model.values import rfc3339
from ccdr.storage.removals import Pruning
from ccdr.telling.report import Period, make_report


def a_month(site: Site, *, missed: dict[float, list[str]]) -> Services:
    """Twenty daily backups, and what comparisons missed of them, by when."""
    path = site.root / "plans" / "p.yaml"
    path.write_text(path.read_text().replace("rpo: 1h", "rpo: 25h").replace("15 * * * *", "0 12 * * *"))
    own = past(site)
    own.asked(-24 * 21, "backup")
    for day in range(20, 0, -1):
        own.stored(-24 * day, f"d{day}", begun=True)
    for hours, gone in missed.items():
        own.wrote(hours, "ledger.compared", asset=None, result="AGREES", reason=None, snapshots=20, elsewhere=0,
                  newest=1, problems=[], whole=True, vanished={"crm": [digest(one) for one in gone]})  # fmt: skip
    wrote(State(site.state), "h", own)
    stored(site, own)
    return services_of(site)


def test_what_vanished_counts_up_to_when_it_was_missed(site: Site, tmp_path: Path) -> None:
    """Weeks ago it was there, and whoever had needed it would have had it."""
    (tmp_path / "twin").mkdir()
    twin = Site(tmp_path / "twin", bare=True)
    twin.write("restore_tests/t.yaml", "restore_test: t\nchecks:\n  - {kind: identical}\n")
    twin.plan(PLAN)
    older = [f"d{day}" for day in range(20, 8, -1)]
    newer = [f"d{day}" for day in (3, 2, 1)]
    told = {
        name: (at, a_month(at, missed=missed))
        for name, at, missed in [("twin", twin, {-0.2: []}), ("missed", site, {-60.0: older, -0.2: [*older, *newer]})]
    }

    def worst(name: str, end: datetime = END) -> float:
        at, services = told[name]
        report = make_report([at.loaded()], services, Period(END - 19 * DAY, end, until_now=end == END), command="x")
        (asset,) = report.assets
        return asset.completed.worst_s

    before = END - timedelta(hours=1)
    assert worst("twin") == worst("twin", before) == worst("missed", before) == DAY.total_seconds()
    assert worst("missed") == 4 * DAY.total_seconds(), "since it was missed, the newest is four days old"
    history = told["missed"][1].histories()["p", "crm"]
    first = {one: history.vanished[digest(one)] for one in ("d20", "d2")}
    assert first == {"d20": END - 60 * HOUR, "d2": END - 0.2 * HOUR}, "missed again is not missed later"


def test_the_rules_since_a_snapshot_was_taken_are_known_by_the_plans_versions(site: Site) -> None:
    """As they were asked for work: nobody, by another host, here."""
    own = past(site)
    history = own.histories.get(("p", None), AssetHistory())
    assert pruning_of(history) is Pruning.UNKNOWN
    for verbs, whose in ((["backup"], Pruning.ELSEWHERE), (["backup", "prune"], Pruning.OURS)):
        own.asked(-5, *verbs)
        assert pruning_of(own.histories["p", None]) is whose
    of = AssetHistory()
    for day, rules in ((9, {"keep_last": 2.0}), (8, {"keep_last": 2.0}), (5, None), (3, {"keep_within": 60.0})):
        facts = {"retention": rules, "timezone": "UTC", "repository": {"location": "here"}, "copies": {}}
        of.take(sparse_record({"kind": "plan.version", "plan": "p", "time": rfc3339(END - day * DAY), "facts": facts}))
    assert list(of.retentions_past()) == [
        ({"keep_last": 2.0}, "UTC", END - 5 * DAY),
        ({"keep_within": 60.0}, "UTC", None),
    ]
