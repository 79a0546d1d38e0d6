"""Log waits in its spool until it is stored: how much, and what becomes of it."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from tests.support.batches import MARK, NOW, Store, batch, segment, walfile
from tests.support.harness import Quiet, Site

from ccdr.engines.postgres.segments import SEGMENT_BYTES, lsn
from ccdr.host.state import Run
from ccdr.jobs.shipping.batch import WentBack
from ccdr.jobs.shipping.log_archive import INDEX, LogArchive
from ccdr.jobs.shipping.ship import Shipping
from ccdr.jobs.shipping.shipment import Shipment
from ccdr.model.errors import CcdrError, RepositoryUnavailable
from ccdr.model.values import utc
from ccdr.plans.job import Job
from ccdr.ports.log import LogMark
from ccdr.storage.restic import Restic


@pytest.fixture
def waiting(job: Job, site: Site) -> Shipping:
    """Segments 1 and 2 are received, a part of 3; the repository is away."""
    services = site.services()
    spool = services.state.directory("shipping", "p", "crm", "spool")
    for n, name in ((1, segment(1)), (2, segment(2)), (3, f"{segment(3)}.partial")):
        walfile(spool / name, n, 20000)
    run = cast("Run", SimpleNamespace(id="r", scratch=site.root))
    made = Shipping(Shipment.of(job, services, run, Quiet()), cast("Restic", Store()))
    made.continuity.answering = "7312"
    return made


def spooled(shipping: Shipping) -> list[str]:
    return sorted(path.name for path in shipping.shipment.spool.directory.iterdir())


def store_of(shipping: Shipping) -> Store:
    return cast("Store", shipping.storing.repo)


def test_log_leaves_the_spool_when_it_is_stored_and_not_before(waiting: Shipping) -> None:
    waiting.shipment.spool.limit = 64 * 2**20
    before = spooled(waiting)
    for _ in range(3):
        assert not waiting.keep(MARK, once=False)
        assert spooled(waiting) == before and waiting.shipment.standing.point is None
        assert "does not answer" in str(waiting.shipment.standing.trouble)
    store_of(waiting).away = False
    assert waiting.keep(MARK, once=False)
    assert store_of(waiting).stored == [[segment(1), segment(2), f"{segment(3)}.open", INDEX]]
    assert waiting.shipment.standing.point == MARK.at and waiting.shipment.standing.trouble is None
    assert waiting.shipment.standing.server == "7312"
    assert spooled(waiting) == [segment(2), f"{segment(3)}.partial"], "a receiver goes on from the last whole one"


def test_what_came_after_the_newest_snapshot_waits_too(waiting: Shipping) -> None:
    """The repository goes away between two intervals."""
    waiting.shipment.spool.limit = 64 * 2**20
    store_of(waiting).away = False
    assert waiting.keep(MARK, once=False)
    walfile(waiting.shipment.spool.directory / segment(3), 3, SEGMENT_BYTES)
    (waiting.shipment.spool.directory / f"{segment(3)}.partial").unlink()
    walfile(waiting.shipment.spool.directory / f"{segment(4)}.partial", 4, 20000)
    before, further = spooled(waiting), LogMark(lsn((4 << 24) + 9000), NOW + timedelta(minutes=1), 0.0)
    store_of(waiting).away = True
    assert not waiting.keep(further, once=False)
    assert spooled(waiting) == before and waiting.shipment.standing.point == MARK.at
    store_of(waiting).away = False
    assert waiting.keep(None, once=False), "how far it reaches is for the next mark to say"
    assert store_of(waiting).stored[-1] == [segment(3), f"{segment(4)}.open", INDEX]
    assert waiting.shipment.standing.point == MARK.at
    assert waiting.keep(further, once=False) and waiting.shipment.standing.point == further.at


@pytest.mark.parametrize(("limit", "refused"), [(48 * 2**20, False), (48 * 2**20 - 1, True)])
def test_no_more_waits_here_than_the_plan_allows(waiting: Shipping, limit: int, refused: bool) -> None:
    waiting.shipment.spool.limit = limit
    before = spooled(waiting)
    with pytest.raises(CcdrError, match=r"`spool_limit`.*does not answer") if refused else nullcontext():
        waiting.keep(MARK, once=False)
    assert spooled(waiting) == before
    store_of(waiting).away = False
    assert waiting.keep(MARK, once=False), "what is stored waits no more"


@pytest.mark.parametrize("receiving", [True, False])
def test_what_waits_is_watched_while_something_receives(waiting: Shipping, receiving: bool) -> None:
    """Whatever is waited for meanwhile."""
    waiting.shipment.spool.limit = 48 * 2**20
    with waiting.shipment.spool.guarded(once=not receiving):
        waiting.shipment.spool.wait(0.6)
        walfile(waiting.shipment.spool.directory / f"{segment(4)}.partial", 4, 20000)
        with pytest.raises(CcdrError, match="`spool_limit`") if receiving else nullcontext():
            waiting.shipment.spool.wait(0.6)
    waiting.shipment.spool.wait(0.6)


def test_a_segment_that_is_larger_than_the_limit_can_be_shipped(waiting: Shipping) -> None:
    """It waits no more once it is stored, though it stays: a receiver goes on from it."""
    waiting.shipment.spool.limit = 20 * 2**20
    store_of(waiting).away = False
    assert waiting.keep(MARK, once=False) and waiting.shipment.spool.bytes > 20 * 2**20
    with waiting.shipment.spool.guarded(once=False):
        waiting.shipment.spool.wait(0.6)
        walfile(waiting.shipment.spool.directory / f"{segment(4)}.partial", 4, 20000)
        with pytest.raises(CcdrError, match="`spool_limit`"):
            waiting.shipment.spool.wait(0.6)


def test_a_spool_goes_on_while_the_repository_is_away_from_the_start(waiting: Shipping) -> None:
    """But only where it is known whose log it is, and what was received last."""
    with pytest.raises(RepositoryUnavailable):
        waiting.start(once=False)
    waiting.continuity.server = "7312"  # as it was written down
    waiting.start(once=False)
    assert "does not answer" in str(waiting.shipment.standing.trouble) and not waiting.continuity.begun
    with pytest.raises(RepositoryUnavailable):
        waiting.start(once=True)
    for path in waiting.shipment.spool.directory.iterdir():
        path.unlink()
    with pytest.raises(RepositoryUnavailable):
        waiting.start(once=False)


@pytest.mark.parametrize("anew", [True, False])
def test_what_a_spool_holds_of_a_history_that_was_left_is_never_stored_for_the_new_one(
    waiting: Shipping, monkeypatch: pytest.MonkeyPatch, anew: bool
) -> None:
    """Whoever began anew may be ended between its two steps. What was received since then is of the new history."""
    before = spooled(waiting)

    def started() -> Shipping:
        left = waiting.shipment
        shipment = Shipment.of(left.job, left.services, left.run, Quiet())
        made = Shipping(shipment, cast("Restic", Store(away=False)))
        made.continuity.answering = "7312"
        made.start(once=False)
        return made

    if anew:
        waiting.continuity.answering = "7312"
        with monkeypatch.context() as killed:
            killed.setattr(waiting.shipment.batch, "begins_anew", lambda: None)
            waiting.history.begin_anew(WentBack(segment(2), "it stands there"))
        assert spooled(waiting) == before
        # Written to just now, as a page that is flushed late.
        walfile(waiting.shipment.spool.directory / segment(1), 1, 20000)
    going_on = started()
    assert spooled(going_on) == ([] if anew else before)
    if not anew:
        return
    walfile(going_on.shipment.spool.directory / f"{segment(3)}.partial", 3, 20000)
    going_on = started()
    assert spooled(going_on) == [f"{segment(3)}.partial"], "not stored yet, and received since"
    assert going_on.keep(MARK, once=False)
    assert store_of(going_on).stored == [[f"{segment(3)}.open", INDEX]]
    index = json.loads((going_on.shipment.batch.directory / INDEX).read_text())
    assert utc(index["anew"]) == going_on.shipment.standing.anew and going_on.shipment.standing.point == MARK.at


def test_whose_log_is_stored_is_asked_when_the_repository_is_back(
    waiting: Shipping, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = replace(batch(0, 0), server="7312")
    monkeypatch.setattr("ccdr.jobs.shipping.continuity.archive_of", lambda *_: LogArchive((stored,)))
    store_of(waiting).away = False
    waiting.continuity.answering = "8000"
    for _ in range(2):
        with pytest.raises(CcdrError, match="another server answers: 8000"):
            waiting.keep(MARK, once=False)
    assert store_of(waiting).stored == []
    waiting.continuity.answering = "7312"
    assert waiting.keep(MARK, once=False) and store_of(waiting).stored
