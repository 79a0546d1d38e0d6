"""What is read back of a log archive from a repository's list: tags as they were written, marks, and what is not ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.batches import NOW, WAL, batch, segment
from tests.support.harness import Site

from ccdr.engines.postgres.segments import lsn
from ccdr.jobs.shipping.log_archive import (
    Extent,
    Gap,
    LogArchive,
    StoredBatch,
    archive_of,
    archives_of,
    arranged,
    let_go,
    log_of,
    log_repository,
    same_head,
    tags_of,
    take_back,
    void_of,
)
from ccdr.model.errors import RepositoryMissing, UsageProblem
from ccdr.model.forks import Fork
from ccdr.plans.job import Job
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.removals import CLOCK_TOLERANCE
from ccdr.storage.restic import Restic

MINUTE = timedelta(minutes=1)


class Repository:
    """The list of a log's repository."""

    def __init__(self) -> None:
        self.there: list[RepoSnapshot] = []
        self.missing = False

    def snapshots(self, wanted: Sequence[str]) -> list[RepoSnapshot]:
        if self.missing:
            raise RepositoryMissing("there is none")
        return [s for s in self.there if {*wanted} <= {*s.tags}]

    def backup(self, paths: Sequence[Path], *, tags: Sequence[str] = ()) -> None:
        self.there.append(RepoSnapshot(f"mark{len(self.there)}", NOW, NOW, tuple(map(str, paths)), tuple(tags)))

    def put(self, id_: str, said: Sequence[str], at: datetime = NOW) -> RepoSnapshot:
        stored = RepoSnapshot(id_, at, at + MINUTE, ("/spool", "/other"), tuple(said))
        self.there.append(stored)
        return stored


@pytest.fixture
def repo() -> Any:
    return Repository()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return shipping(tmp_path, "log_shipping: {interval: 60s}\n  ")


def shipping(tmp_path: Path, shipped: str, engine: str = "engine: postgres\n  method: physical\n  ") -> Job:
    site = Site(tmp_path)
    database = "connection: {host: /nowhere, user: postgres, database: postgres}"
    site.plan(f"crm:\n  {engine}{shipped}{database if 'postgres' in engine else 'paths: [/srv]'}")
    return Job(site.loaded(), "crm")


def said(job: Job, *whole: int, run: str = "r1", name: int | None = None, **more: Any) -> list[str]:
    names = [segment(n) for n in whole]
    heads, name_ = more.pop("heads", None), segment(whole[0] if name is None else name)
    open_ = more.pop("open_", segment((whole or (0,))[-1] + 1))
    extent = Extent(more.pop("point", NOW), more.pop("position", "0/3000000"), **more)
    return tags_of(job, run, name_, names, open_, extent, heads)


def archive(job: Job, repo: Repository) -> LogArchive:
    return archive_of(job, cast("Restic", repo))


def test_several_logs_are_read_from_one_list_as_each_from_its_own(job: Job, repo: Any) -> None:
    """The mark of one takes nothing from the other."""
    other, lists = Job(job.loaded, "dialler"), repo.snapshots
    for of in (job, other):
        repo.put(f"{of.asset}-1", said(of, 1, 2))
        repo.put(f"{of.asset}-2", said(of, 1, 2, 3, run="r2"))
    take_back(job, "r2", repo, "crm-2", Path("/any"))
    each = {of.asset: archive(of, repo) for of in (job, other)}
    assert [b.id for b in each["crm"].batches] == ["crm-1"] and [b.id for b in each["dialler"].batches] == ["dialler-2"]
    asked: list[Sequence[str]] = []
    repo.snapshots = lambda wanted: asked.append(wanted) or lists(wanted)
    assert archives_of("p", ["crm", "dialler", "none"], repo) == {**each, "none": LogArchive()} and len(asked) == 1
    repo.snapshots, repo.missing = lists, True
    assert archives_of("p", ["crm"], repo) == {"crm": LogArchive()}


def test_what_is_tagged_is_read_back(job: Job, repo: Repository) -> None:
    heads = {segment(n): f"h{n}" for n in range(1, 6)}
    anew = NOW - timedelta(days=1)
    stored = repo.put("x", said(job, 1, 2, 3, server="s1", heads=heads, skew=-0.25, anew=anew))
    (found,) = archive(job, repo).batches
    assert found == StoredBatch(
        id="x",
        root="/spool",
        name=segment(1),
        first=segment(1),
        last=segment(3),
        open=segment(4),
        point=NOW,
        position="0/3000000",
        usable_at=stored.finished,
        run="r1",
        server="s1",
        begun=stored.time,
        skew=-0.25,
        heads={segment(n): f"h{n}" for n in (1, 3, 4)},  # by which others are held against it
        anew=anew,
    )
    assert found.taken == stored.time and found.begins == segment(1)


def test_what_was_not_known_is_not_tagged(job: Job, repo: Repository) -> None:
    repo.put("x", said(job, name=5, open_=None))
    (found,) = archive(job, repo).batches
    assert (found.first, found.last, found.open, found.server, found.skew, found.anew) == (None,) * 6
    assert found.heads == {} and found.begins == segment(5)
    assert sorted(s.partition("=")[0] for s in repo.there[0].tags) == sorted(
        ["ccdr-3", "kind", "plan", "asset", "run", "batch", "point", "position"]
    )
    assert "heads" not in json.dumps(said(job, 1, heads={}))
    assert said(job, 1, heads={segment(9): "x"}) == said(job, 1), "of others nothing is told"
    assert f"head={segment(2)}:a:b" in said(job, 1, heads={segment(2): "a:b"})
    repo.put("y", said(job, 8, skew=0.0, heads={segment(8): "12.34"}))
    found = archive(job, repo).batches[-1]
    assert found.skew == 0.0 and found.heads == {segment(8): "12.34"}


def test_one_that_was_dated_back_while_it_was_stored_counts_from_its_later_date(job: Job, repo: Repository) -> None:
    repo.put("x", said(job, 1))
    repo.there[0] = replace(repo.there[0], time=NOW, finished=NOW - MINUTE)
    assert archive(job, repo).batches[0].usable_at == NOW


@pytest.mark.parametrize("without", ["point", "batch", "position", "run"])
def test_what_has_no_tags_of_ours_is_not_read(job: Job, repo: Repository, without: str) -> None:
    """And hides no other."""
    repo.put("x", [t for t in said(job, 1) if not t.startswith(f"{without}=")])
    repo.put("y", said(job, 2))
    assert [b.id for b in archive(job, repo).batches] == ["y"]


@pytest.mark.parametrize("bad", ["point=yesterday", "skew=much", "anew=often"])
def test_tags_that_are_damaged_hide_no_other(job: Job, repo: Repository, bad: str) -> None:
    what = bad.partition("=")[0]
    repo.put("x", [*(t for t in said(job, 1) if not t.startswith(f"{what}=")), bad])
    repo.put("y", said(job, 2))
    repo.there.append(replace(repo.there[1], id="z", paths=()))
    assert [b.id for b in archive(job, repo).batches] == ["y"]


def test_another_assets_log_and_other_kinds_are_not_read(job: Job, repo: Repository) -> None:
    for tag, other in (("kind=log", "kind=backup"), ("plan=p", "plan=q"), ("asset=crm", "asset=calls")):
        repo.put("x", [other if t == tag else t for t in said(job, 1)])
    assert archive(job, repo) == LogArchive() and archive(job, repo).newest is None
    repo.missing = True
    assert archive(job, repo) == LogArchive(), "nothing was ever stored"


def test_a_mark_takes_back_its_own_runs_snapshot_and_no_other(job: Job, repo: Repository, tmp_path: Path) -> None:
    repo.put("a", said(job, 1, run="r1"))
    repo.put("b", said(job, 2, run="r2"))
    take_back(job, "r1", cast("Restic", repo), "a", tmp_path)
    take_back(job, "planted", cast("Restic", repo), "b", tmp_path)
    assert [b.id for b in archive(job, repo).batches] == ["b"]
    assert void_of(job, cast("Restic", repo)) == [], "there is no newer one that holds what it claims"


@pytest.mark.parametrize(("more", "gone"), [(("c", (1, 2)), True), (("c", (1,)), True), (("c", ()), False)])
def test_what_was_taken_back_goes_once_another_holds_it(
    job: Job, repo: Repository, tmp_path: Path, more: tuple[str, tuple[int, ...]], gone: bool
) -> None:
    id_, whole = more
    repo.put("a", said(job, 1, run="r1"))
    take_back(job, "r1", cast("Restic", repo), "a", tmp_path)
    repo.put(id_, said(job, *whole, name=1, run="r2", open_=segment(max(whole, default=0) + 1)), NOW + MINUTE)
    repo.put("unmarked", said(job, 7, run="r3"))
    repo.there.append(RepoSnapshot("stray", NOW, NOW, (), ("ccdr-3", "kind=log", "plan=p", "asset=crm", "run=r3")))
    assert void_of(job, cast("Restic", repo)) == (["a", repo.there[1].id] if gone else [])


def test_a_mark_may_be_marked_and_is_no_batch(job: Job, repo: Repository, tmp_path: Path) -> None:
    repo.put("c", said(job, 1, run="r2"))
    take_back(job, "r1", cast("Restic", repo), "gone", tmp_path)
    take_back(job, "r1", cast("Restic", repo), repo.there[1].id, tmp_path)
    assert void_of(job, cast("Restic", repo)) == []


def test_an_asset_that_ships_no_log_is_told_so(tmp_path: Path, job: Job) -> None:
    settings, log = log_of(job)
    assert settings.interval == 60 and log is not None
    for number, other in enumerate((("", "engine: postgres\n  method: physical\n  "), ("", "engine: files\n  "))):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(UsageProblem, match="p/crm ships no log"):
            log_of(shipping(tmp_path / str(number), *other))


def test_a_log_lies_below_the_plans_repository(tmp_path: Path, job: Job) -> None:
    services = Site(tmp_path).services()
    repo = services.repository(job.loaded, job.limits)
    assert log_repository(job, services).location == f"{repo.location.rstrip('/')}/log"


# --- what batches say of one another --------------------------------------------------------------------------------


def test_one_leads_to_the_next_of_the_same_history_that_begins_the_same() -> None:
    one, other = batch(1, 2), batch(3, 4)
    assert one.leads_to(other, WAL)
    assert not one.leads_to(batch(4, 5), WAL) and not batch(3, 2).leads_to(other, WAL), "nothing of it is whole"
    assert not one.leads_to(replace(other, anew=NOW), WAL) and not replace(one, anew=NOW).leads_to(other, WAL)
    assert replace(one, anew=NOW).leads_to(replace(other, anew=NOW), WAL)
    head = {segment(3): "7.x"}
    known, another = replace(one, heads=head), replace(other, heads={segment(3): "8.x"})
    assert known.leads_to(other, WAL) and one.leads_to(another, WAL), "of some nothing is known"
    assert not known.leads_to(another, WAL)
    assert known.leads_to(replace(other, heads={segment(3): "7.x.y"}), WAL)
    assert replace(one, heads={segment(3): "7.x.y"}).leads_to(replace(other, heads=head), WAL)


def test_a_head_that_has_grown_is_the_same_one() -> None:
    assert same_head("a", "a") and same_head("a", "a.b") and same_head("a.b", "a")
    assert not same_head("a", "ab") and not same_head("ab", "a") and not same_head("a.b", "a.c")


def test_a_date_is_ahead_after_what_clocks_may_differ_by() -> None:
    found = replace(batch(1, 2), point=NOW, usable_at=NOW - MINUTE)
    for one in (found, replace(found, point=NOW - MINUTE, usable_at=NOW)):
        assert not one.dated_ahead(NOW - CLOCK_TOLERANCE)
        assert one.dated_ahead(NOW - CLOCK_TOLERANCE - timedelta(seconds=1))


def test_a_gap_is_named_by_what_lies_around_it() -> None:
    archive = LogArchive((batch(1, 2), batch(3, 2), batch(7, 8), batch(9, 9)))
    assert archive.gaps(WAL) == [Gap(segment(3), segment(7))]
    assert [b.begins for b in archive.contiguous(WAL)] == [segment(7), segment(9)]


def test_the_end_goes_on_as_far_back_as_nothing_is_missing() -> None:
    """And no further, though what lies before the gap has none itself."""
    archive = LogArchive((batch(1, 1), batch(2, 2), batch(5, 5), batch(6, 6)))
    assert [b.begins for b in archive.contiguous(WAL)] == [segment(5), segment(6)]
    assert [b.begins for b in let_go(archive, segment(6), WAL)] == [segment(n) for n in (1, 2, 5)]


def test_a_base_is_led_on_by_the_history_in_which_it_was_taken() -> None:
    first, second, third = (
        replace(batch(1, 5, at), anew=anew, id=str(at))
        for at, anew in ((0, None), (10, NOW + 5 * MINUTE), (20, NOW + 15 * MINUTE))
    )
    archive = LogArchive((first, second, third))

    def ids(minutes: float | None, anew: datetime | None = None) -> list[str]:
        since = None if minutes is None else NOW + minutes * MINUTE
        return [b.id for b in archive.from_segment(segment(2), WAL, since, anew) if b.begins == segment(1)][:1]

    assert ids(-1) == ["0"] and ids(0) == ["0"], "stored up to then"
    assert ids(2) == [] and archive.torn_from(NOW + 2 * MINUTE) == NOW + 5 * MINUTE, "of either history"
    assert ids(5) == ["10"] and ids(10) == ["10"] and ids(12) == []
    assert ids(15) == ["20"] and ids(99) == ["20"] and ids(None) == ["20"]
    later = NOW + 50 * MINUTE
    assert archive.torn_from(later, later) == later and ids(50, later) == [], "nothing is stored since"
    assert archive.torn_from(NOW + 30 * MINUTE, later) == later and archive.torn_from(NOW + 16 * MINUTE, later) is None
    assert LogArchive().torn_from(NOW) is None and archive.torn_from(NOW - timedelta(days=99)) is None


def test_a_point_that_came_later_than_what_follows_claims_no_more_than_what_was_before(job: Job) -> None:
    """Neither is the skew believed that the same clock told; what the snapshot bears is kept."""
    one, two, three = batch(1, 2, 0), replace(batch(3, 4, 90), skew=0.5), batch(5, 6, 20)
    found = arranged([three, one, two])
    assert [b.point for b in found.batches] == [one.point, one.point, three.point]
    doubted = found.batches[1]
    assert (doubted.claimed, doubted.skew, doubted.id) == (two.point, None, two.id)
    assert found.batches[0] == one and found.batches[2] == three and found.newest == three
    four = replace(batch(7, 8, 10), id="last")
    found = arranged([three, one, two, four])
    assert [b.point for b in found.batches] == [one.point, one.point, one.point, four.point]


def test_of_snapshots_of_one_batch_the_fullest_counts_and_the_others_are_spare() -> None:
    less, more, whole = (
        batch(1, 0, 0),
        replace(batch(1, 2, 1), id="more"),
        replace(batch(1, 2, 2), open=None, id="whole"),
    )
    found = arranged([more, less, whole])
    assert found.batches == (more,) and [b.id for b in found.spare] == [less.id, "whole"]
    closed, longer = replace(batch(1, 2, 0), open=None, id="closed"), replace(batch(1, 9, 0), open=None, id="longer")
    assert arranged([longer, closed]).batches == (longer,)
    again = replace(longer, usable_at=longer.usable_at + MINUTE, id="again")
    assert arranged([again, longer]).batches == (again,), "the newer of two that hold the same"


def test_the_skew_is_that_which_was_read_nearest() -> None:
    found = LogArchive((replace(batch(1, 2, 0), skew=1.0), replace(batch(3, 4, 60), skew=2.0)))
    nobody: tuple[datetime, float | None] = (NOW, None)
    assert found.skew_at(NOW + 29 * MINUTE, nobody) == 1.0 and found.skew_at(NOW + 31 * MINUTE, nobody) == 2.0
    assert (
        found.skew_at(None, nobody) == 2.0
        and LogArchive().skew_at(NOW, nobody) is LogArchive().skew_at(None, nobody) is None
    )
    assert LogArchive().skew_at(NOW, (NOW, 9.0)) == 9.0


def test_where_its_branches_began_is_tagged_and_read_back(job: Job, repo: Repository) -> None:
    forks = (Fork(2, 1, "0/4001000", NOW), Fork(3, 2, "0/9000000"))
    repo.put("x", said(job, 1, forks=forks))
    (found,) = archive(job, repo).batches
    assert found.forks == forks


def test_a_batch_begins_and_ends_with_what_it_holds() -> None:
    whole = batch(2, 4)
    assert (whole.begins, whole.ends) == (segment(2), segment(5))
    assert replace(whole, open=None).ends == segment(4)
    nothing = replace(whole, name=segment(9), first=None, last=None)
    assert (nothing.begins, nothing.ends) == (segment(9), segment(5))
    assert replace(nothing, open=None).ends == segment(9)
    assert replace(whole, name=segment(9)).begins == segment(2), "by what is whole of it, whatever it was called"


def test_a_branch_that_began_in_a_segment_that_was_open_goes_on_from_there() -> None:
    """Of the one before it as much is stored as leads there, though that segment never became whole."""
    fork = Fork(2, 1, lsn(5 << 24))
    one, other = batch(1, 3), replace(batch(5, 6, 5, timeline=2), forks=(fork,))
    assert one.ends == segment(4) and one.leads_to(other, WAL, (fork,))
    assert not replace(one, open=None).leads_to(other, WAL, (fork,)), "nothing of segment 4 is there"
    assert not one.leads_to(batch(5, 6, 5), WAL), "nor does it lead on in its own branch"


def test_each_history_has_branches_of_its_own_which_any_snapshot_may_tell() -> None:
    first, since = Fork(2, 1, lsn(4 << 24)), Fork(2, 1, lsn(9 << 24))
    one, told = batch(1, 2), replace(batch(3, 4), forks=(first,), id="spare")
    new = replace(batch(9, 9, 50), anew=NOW + 40 * MINUTE, forks=(since,))
    found = LogArchive((one, new), (told,))
    assert found.forks(None) == (first,) and found.forks(new.anew) == (since,)
    assert LogArchive((one, new)).forks(None) == ()


def test_where_nothing_is_stored_nothing_is_missing() -> None:
    assert LogArchive().gaps(WAL) == [] and LogArchive().contiguous(WAL) == () and LogArchive().newest is None


def test_on_the_way_to_a_branch_lies_all_of_what_was_found_out_to_be_another_history_since() -> None:
    """So that whoever goes there sees that it breaks off; of what was before nothing is on it."""
    first, second, third = (
        replace(batch(1, 5, at), anew=anew, id=str(at))
        for at, anew in ((0, None), (10, NOW + 5 * MINUTE), (20, NOW + 15 * MINUTE))
    )
    archive = LogArchive((first, second, third))
    for since, wanted in ((-1, ["0", "10", "20"]), (5, ["10", "20"]), (15, ["20"])):
        found = archive.from_segment(segment(2), WAL, NOW + since * MINUTE, None, 1)
        assert [b.id for b in found] == wanted, since


def test_whatever_history_a_batch_is_of_one_that_another_of_it_holds_all_of_is_spare() -> None:
    anew = NOW + 15 * MINUTE
    held, within = replace(batch(2, 5, 20), anew=anew), replace(batch(3, 3, 18), anew=anew)
    assert arranged([batch(1, 9, 0), held, within]).spare == (within,)
    assert arranged([batch(1, 9, 0), replace(held, anew=None)]).batches == (batch(1, 9, 0),)


def test_each_that_claims_too_much_is_believed_as_far_as_the_one_right_before_it() -> None:
    one, two, three, four = batch(1, 2, 0), batch(3, 4, 10), batch(5, 6, 90), batch(7, 8, 20)
    assert [b.point for b in arranged([one, two, three, four]).batches] == [one.point, two.point, two.point, four.point]


def test_of_two_that_end_in_the_same_segment_the_one_in_which_it_is_whole_holds_more() -> None:
    closed, open_ = replace(batch(1, 3, 0), open=None), replace(batch(1, 2, 5), position=batch(1, 3).position)
    for stored in ([closed, open_], [open_, closed]):
        found = arranged(stored)
        assert (found.batches, [b.id for b in found.spare]) == ((closed,), [open_.id])
