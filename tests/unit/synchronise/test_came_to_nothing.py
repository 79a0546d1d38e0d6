"""Which snapshots a run that failed takes back."""

from __future__ import annotations

from tests.support.listed import NOW, Repository, an_id, known, synchronised

from ccdr.storage.catalogue import Catalogue
from ccdr.storage.synchronised import ENDED, FailureMark


def test_a_failed_run_takes_back_its_own_snapshot_and_no_other(catalogue: Catalogue, repo: Repository) -> None:
    for number in (1, 2, 3):
        repo.backup(number)
    synchronised(catalogue, repo)
    mark = repo.failed(10, "r1", f"void={an_id(1)}")
    repo.failed(11, "planted", f"void={an_id(2)}")
    repo.failed(12, "r3")
    told = synchronised(catalogue, repo)
    assert known(catalogue) == [an_id(2), an_id(3)], "also one that was learned of before"
    assert told.void == {an_id(1)} and told.vanished == () and told.findings == ()
    assert told.failed[0] == FailureMark("crm", "r1", mark.time, an_id(1))
    assert len(told.failed) == 3
    assert synchronised(catalogue, repo).void == told.void and known(catalogue) == [an_id(2), an_id(3)]


def test_a_run_that_came_to_nothing_takes_back_all_its_backups(catalogue: Catalogue, repo: Repository) -> None:
    repo.backup(1)
    repo.backup(2)
    repo.put(3, "kind=stream", "asset=crm", "run=r1")
    repo.failed(10, "r1", ENDED)
    told = synchronised(catalogue, repo)
    assert known(catalogue) == [an_id(2)] and told.void == {an_id(1)} and told.failed[0].ended


def test_what_was_seen_stored_well_is_taken_back_by_nobody(catalogue: Catalogue, repo: Repository) -> None:
    repo.backup(1)
    synchronised(catalogue, repo)
    repo.failed(10, "r1", f"void={an_id(1)}")
    synchronised(catalogue, repo, stored_here=[an_id(1)])
    assert known(catalogue) == [an_id(1)]
    synchronised(catalogue, repo)
    assert known(catalogue) == []
    synchronised(catalogue, repo, stored_here=[an_id(1)])
    assert known(catalogue) == [an_id(1)], "it is learned again"


def test_a_mark_does_not_explain_what_is_gone_from_the_repository(catalogue: Catalogue, repo: Repository) -> None:
    repo.backup(1)
    synchronised(catalogue, repo)
    repo.lose(1)
    repo.failed(10, "r1", f"void={an_id(1)}")
    told = synchronised(catalogue, repo)
    assert [s.id for s in told.vanished] == [an_id(1)]


def test_a_mark_that_names_no_run_or_asset_is_read_all_the_same(catalogue: Catalogue, repo: Repository) -> None:
    repo.put(1, "kind=failed")
    (attempt,) = synchronised(catalogue, repo).failed
    assert (attempt.asset, attempt.run, attempt.void, attempt.ended) == ("", "", None, False)
    assert attempt == FailureMark("", "", NOW, None)


def test_a_backup_whose_stream_is_gone_is_gone(catalogue: Catalogue, repo: Repository) -> None:
    repo.put(1, "kind=stream", "asset=crm", "run=r2")
    repo.backup(2, NOW, "crm", f"stream={an_id(1)}")
    repo.backup(3, NOW, "crm", f"stream={an_id(9)}")
    repo.backup(4)
    synchronised(catalogue, repo)
    assert known(catalogue) == [an_id(2), an_id(4)]
    repo.lose(1)
    assert [s.id for s in synchronised(catalogue, repo).vanished] == [an_id(2)]
