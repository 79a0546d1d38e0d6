"""What bears a date in the future."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.support.listed import HOUR, NOW, ROOT, Repository, an_id, sentences, synchronised
from tests.support.manifests import SAID

from ccdr.model.values import Manifest
from ccdr.storage.catalogue import Catalogue
from ccdr.storage.manifest import snapshot_of
from ccdr.storage.removals import CLOCK_TOLERANCE, dated_in_future
from ccdr.storage.synchronised import FUTURE


def test_what_bears_a_future_date_is_told_by_its_later_one(catalogue: Catalogue, repo: Repository) -> None:
    late = NOW + CLOCK_TOLERANCE
    assert timedelta(minutes=5) == CLOCK_TOLERANCE
    repo.backup(1, late)  # just on time, whichever clock is right
    repo.backup(2, late + timedelta(seconds=1))
    repo.backup(3, NOW, consistent_point=late + HOUR)
    repo.put(4, "kind=backup", "asset=crm", "run=r4", at=late + HOUR, paths=())
    said = [s for s in sentences(synchronised(catalogue, repo)) if FUTURE in s]
    assert said == [
        f"snapshot {number} {FUTURE}, 2026-11-24T{date}Z; it is not used"
        for number, date in (("00000002", "12:05:01"), ("00000003", "13:05:00"), ("00000004", "13:05:00"))
    ]


def test_either_date_may_lie_in_the_future() -> None:
    made = Manifest("p", "crm", "r", "files", "scan", "h", NOW, 0.0, {}, {"source": "db"}, {}, attested=SAID)
    snapshot = snapshot_of(made, "", an_id(1), ROOT, NOW)
    for changed in ({"usable_at": NOW + 3 * HOUR}, {"consistent_point": NOW + 3 * HOUR}):
        one = replace(snapshot, **changed)
        assert dated_in_future(one, NOW) and not dated_in_future(one, NOW + 3 * HOUR - CLOCK_TOLERANCE)
        assert dated_in_future(one, NOW + 3 * HOUR - CLOCK_TOLERANCE - timedelta(seconds=1))
