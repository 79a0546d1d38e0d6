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

from ccdr.engines.base import LogShipping
from ccdr.engines.postgres.position import lsn
from ccdr.engines.postgres.segments import SEGMENT_BYTES
from ccdr.host.state import Run
from ccdr.jobs.shipping.filling import WentBack
from ccdr.jobs.shipping.shelf import INDEX, Shelf
from ccdr.jobs.shipping.ship import _Shipping
from ccdr.model.errors import CcdrError, RepositoryUnavailable
from ccdr.model.values import utc
from ccdr.plans.job import Job
from ccdr.ports.log import LogMark
from ccdr.storage.restic import Restic


@pytest.fixture
def waiting(job: Job, site: Site) -> _Shipping:
    """Segments 1 and 2 are received, a part of 3; the repository is away."""
    services = site.services()
    spool = services.state.directory("shipping", "p", "crm", "spool")
    for n, name in ((1, segment(1)), (2, segment(2)), (3, f"{segment(3)}.partial")):
        walfile(spool / name, n, 20000)
    run = cast("Run", SimpleNamespace(id="r", scratch=site.root))
    made = _Shipping(job, services, run, Quiet())
    made._repo, made._answering = cast("Restic", Store()), "7312"
    return made


def spooled(shipping: _Shipping) -> list[str]:
    return sorted(path.name for path in shipping._spool.iterdir())


def store_of(shipping: _Shipping) -> Store:
    return cast("Store", shipping._repo)


def test_log_leaves_the_spool_when_it_is_stored_and_not_before(waiting: _Shipping) -> None:
    waiting._settings = LogShipping().model_copy(update={"spool_limit": 64 * 2**20})
    before = spooled(waiting)
    for _ in range(3):
        assert not waiting._keep(MARK, once=False)
        assert spooled(waiting) == before and waiting._standing.point is None
        assert "does not answer" in str(waiting._standing.trouble)
    store_of(waiting).away = False
    assert waiting._keep(MARK, once=False)
    assert store_of(waiting).stored == [[segment(1), segment(2), f"{segment(3)}.open", INDEX]]
    assert waiting._standing.point == MARK.at and waiting._standing.trouble is None
    assert waiting._standing.server == "7312"
    assert spooled(waiting) == [segment(2), f"{segment(3)}.partial"], "a receiver goes on from the last whole one"


def test_what_came_after_the_newest_snapshot_waits_too(waiting: _Shipping) -> None:
    """The repository goes away between two intervals."""
    waiting._settings = LogShipping().model_copy(update={"spool_limit": 64 * 2**20})
    store_of(waiting).away = False
    assert waiting._keep(MARK, once=False)
    walfile(waiting._spool / segment(3), 3, SEGMENT_BYTES)
    (waiting._spool / f"{segment(3)}.partial").unlink()
    walfile(waiting._spool / f"{segment(4)}.partial", 4, 20000)
    before, further = spooled(waiting), LogMark(lsn((4 << 24) + 9000), NOW + timedelta(minutes=1), 0.0)
    store_of(waiting).away = True
    assert not waiting._keep(further, once=False)
    assert spooled(waiting) == before and waiting._standing.point == MARK.at
    store_of(waiting).away = False
    assert waiting._keep(None, once=False), "how far it reaches is for the next mark to say"
    assert store_of(waiting).stored[-1] == [segment(3), f"{segment(4)}.open", INDEX]
    assert waiting._standing.point == MARK.at
    assert waiting._keep(further, once=False) and waiting._standing.point == further.at


@pytest.mark.parametrize(("limit", "refused"), [(48 * 2**20, False), (48 * 2**20 - 1, True)])
def test_no_more_waits_here_than_the_plan_allows(waiting: _Shipping, limit: int, refused: bool) -> None:
    waiting._settings = LogShipping().model_copy(update={"spool_limit": limit})
    before = spooled(waiting)
    with pytest.raises(CcdrError, match=r"`spool_limit`.*does not answer") if refused else nullcontext():
        waiting._keep(MARK, once=False)
    assert spooled(waiting) == before
    store_of(waiting).away = False
    assert waiting._keep(MARK, once=False), "what is stored waits no more"


@pytest.mark.parametrize("receiving", [True, False])
def test_what_waits_is_watched_while_something_receives(waiting: _Shipping, receiving: bool) -> None:
    """Whatever is waited for meanwhile."""
    waiting._settings = LogShipping().model_copy(update={"spool_limit": 48 * 2**20})
    with waiting._guarded(once=not receiving):
        waiting._wait(0.6)
        walfile(waiting._spool / f"{segment(4)}.partial", 4, 20000)
        with pytest.raises(CcdrError, match="`spool_limit`") if receiving else nullcontext():
            waiting._wait(0.6)
    waiting._wait(0.6)


def test_a_segment_that_is_larger_than_the_limit_can_be_shipped(waiting: _Shipping) -> None:
    """It waits no more once it is stored, though it stays: a receiver goes on from it."""
    waiting._settings = LogShipping().model_copy(update={"spool_limit": 20 * 2**20})
    store_of(waiting).away = False
    assert waiting._keep(MARK, once=False) and waiting._waits() > 20 * 2**20
    with waiting._guarded(once=False):
        waiting._wait(0.6)
        walfile(waiting._spool / f"{segment(4)}.partial", 4, 20000)
        with pytest.raises(CcdrError, match="`spool_limit`"):
            waiting._wait(0.6)


def test_a_spool_goes_on_while_the_repository_is_away_from_the_start(waiting: _Shipping) -> None:
    """But only where it is known whose log it is, and what was received last."""
    with pytest.raises(RepositoryUnavailable):
        waiting._start(once=False)
    waiting._server = "7312"  # as it was written down
    waiting._start(once=False)
    assert "does not answer" in str(waiting._standing.trouble) and not waiting._begun
    with pytest.raises(RepositoryUnavailable):
        waiting._start(once=True)
    for path in waiting._spool.iterdir():
        path.unlink()
    with pytest.raises(RepositoryUnavailable):
        waiting._start(once=False)


@pytest.mark.parametrize("anew", [True, False])
def test_what_a_spool_holds_of_a_history_that_was_left_is_never_stored_for_the_new_one(
    waiting: _Shipping, monkeypatch: pytest.MonkeyPatch, anew: bool
) -> None:
    """Whoever began anew may be ended between its two steps. What was received since then is of the new history."""
    before = spooled(waiting)

    def started() -> _Shipping:
        made = _Shipping(waiting._job, waiting._services, waiting._run, Quiet())
        made._repo, made._answering = cast("Restic", Store(away=False)), "7312"
        made._start(once=False)
        return made

    if anew:
        waiting._answering = "7312"
        with monkeypatch.context() as killed:
            killed.setattr(waiting._batch, "begins_anew", lambda: None)
            waiting._begin_anew(WentBack(segment(2), "it stands there"))
        assert spooled(waiting) == before
        walfile(waiting._spool / segment(1), 1, 20000)  # written to just now, as a page that is flushed late
    going_on = started()
    assert spooled(going_on) == ([] if anew else before)
    if not anew:
        return
    walfile(going_on._spool / f"{segment(3)}.partial", 3, 20000)
    going_on = started()
    assert spooled(going_on) == [f"{segment(3)}.partial"], "not stored yet, and received since"
    assert going_on._keep(MARK, once=False)
    assert store_of(going_on).stored == [[f"{segment(3)}.open", INDEX]]
    index = json.loads((going_on._batch.directory / INDEX).read_text())
    assert utc(index["anew"]) == going_on._standing.anew and going_on._standing.point == MARK.at


def test_whose_log_is_stored_is_asked_when_the_repository_is_back(
    waiting: _Shipping, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = replace(batch(0, 0), server="7312")
    monkeypatch.setattr("ccdr.jobs.shipping.ship.shelf_of", lambda *_: Shelf((stored,)))
    store_of(waiting).away = False
    waiting._answering = "8000"
    for _ in range(2):
        with pytest.raises(CcdrError, match="another server answers: 8000"):
            waiting._keep(MARK, once=False)
    assert store_of(waiting).stored == []
    waiting._answering = "7312"
    assert waiting._keep(MARK, once=False) and store_of(waiting).stored
