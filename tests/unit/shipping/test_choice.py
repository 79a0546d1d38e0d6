"""What a recovery takes: the base and the log that lead to its target, or why none does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.support.batches import NOW, WAL, base, batch, chosen, segment

from ccdr.jobs.shipping.choice import Choice, choose, holding, stored_again
from ccdr.jobs.shipping.log_archive import Gap, LogArchive, arranged
from ccdr.jobs.shipping.recovery import Recovery, the_base
from ccdr.model.errors import BackupBad, TestBroken, UsageProblem
from ccdr.model.values import Manifest, Snapshot
from ccdr.ports.log import Reached, RecoveryTarget
from ccdr.ports.place import Place

NO_TABLESPACES = SimpleNamespace(engine=SimpleNamespace(outside=lambda *_: {}))  # that the log would create


def _never(outside: Mapping[str, str]) -> Place:
    raise AssertionError("the log makes no files outside of the base")


def test_a_recovery_begins_with_the_newest_base_before_its_target() -> None:
    archive = arranged([batch(1, 3, 10), batch(4, 6, 20), batch(7, 9, 30)])
    bases = base(0, 1), base(15, 5)
    assert chosen(archive, RecoveryTarget(), *bases) == ("base15", ["4-6-20", "7-9-30"])
    at = NOW + timedelta(minutes=12)
    assert chosen(archive, RecoveryTarget(time=at), *bases) == ("base0", ["1-3-10", "4-6-20"])
    assert chosen(archive, RecoveryTarget(time=NOW + timedelta(minutes=16)), *bases) == ("base15", ["4-6-20"])
    assert chosen(archive, RecoveryTarget(name="before-migration"), *bases)[0] == "base15"


def test_a_base_that_the_log_has_not_come_to_yet_is_no_failure() -> None:
    """Right after it was taken; but where this host knows of more log than there is, that has gone."""
    archive, (snapshot, manifest) = arranged([batch(1, 3, 10)]), base(15, 5)
    with pytest.raises(TestBroken, match="none yet that leads on from it"):
        choose([snapshot], [manifest], archive, WAL, RecoveryTarget())
    for known in (None, NOW, NOW + timedelta(minutes=10)):
        with pytest.raises(TestBroken):
            choose([snapshot], [manifest], archive, WAL, RecoveryTarget(), None, known)
    gone = choose([snapshot], [manifest], archive, WAL, RecoveryTarget(), None, NOW + timedelta(minutes=11))
    assert gone.batches == archive.batches, "and is found to be missing by who fetches it"
    reached = arranged([batch(1, 3, 10), replace(batch(4, 4, 11), open=segment(5))])
    assert chosen(reached, RecoveryTarget(), (snapshot, manifest))[0] == "base15"


def test_a_time_behind_what_is_proven_may_still_be_in_what_was_stored() -> None:
    last = replace(batch(1, 3, 10), begun=NOW + timedelta(minutes=10, seconds=9))
    snapshot, manifest = base(0, 1)
    for seconds, beyond in ((0, False), (1, True), (9, True)):
        at = NOW + timedelta(minutes=10, seconds=seconds)
        found = choose([snapshot], [manifest], arranged([last]), WAL, RecoveryTarget(time=at))
        assert (found.target.beyond, len(found.batches)) == (beyond, 1)
    with pytest.raises(UsageProblem, match="the log is stored up to"):
        choose(
            [snapshot], [manifest], arranged([last]), WAL, RecoveryTarget(time=NOW + timedelta(minutes=10, seconds=10))
        )


def test_a_named_point_is_gone_to_from_the_newest_base_that_it_lies_behind() -> None:
    archive = arranged([batch(1, 3, 10), batch(4, 6, 20), batch(7, 9, 30)])
    bases = [base(0, 1), base(15, 5), base(29, 8)]

    def held(among: Sequence[tuple[Snapshot, Manifest]]) -> Choice:
        return choose([s for s, _ in among], [m for _, m in among], archive, WAL, RecoveryTarget(name="p"))

    def found(*behind: str) -> str:
        return holding("p", bases, held, lambda choice, _: choice.base.id in behind).base.id

    assert [found("base0", "base15", "base29"), found("base0", "base15"), found("base0")] == [
        "base29",
        "base15",
        "base0",
    ]
    with pytest.raises(UsageProblem, match="no log that is stored has a point named 'p'"):
        found()
    bases.append(base(40, 12))  # of which no log is stored yet
    assert found("base29") == "base29"
    with pytest.raises(UsageProblem, match=r"no log that is stored .*none yet that leads on"):
        found()
    archive = arranged([batch(1, 2, 10), batch(4, 6, 20), batch(7, 9, 30)])
    with pytest.raises(UsageProblem, match=r"no log that is stored has .*log is missing between"):
        found()  # a gap far behind makes no failure of a name that nobody gave
    archive = arranged([batch(7, 9, 30)])
    bases[:] = [base(15, 5)]
    with pytest.raises(BackupBad):
        found("base15")


def test_to_the_end_means_what_was_stored_as_the_end() -> None:
    archive = arranged([batch(1, 3, 10)])
    snapshot, manifest = base(0, 1)
    for target in (
        RecoveryTarget(),
        RecoveryTarget(time=NOW + timedelta(minutes=9)),
        RecoveryTarget(name="before-migration"),
    ):
        found = choose([snapshot], [manifest], archive, WAL, target)
        assert found.target == replace(target, position=batch(1, 3).position, skew=0.0, branch=1), (
            "log that ends before it is cut off"
        )


def test_what_was_stored_again_since_it_was_chosen_is_fetched_in_its_stead() -> None:
    """Only where it holds no less: an older snapshot in a newer one's place is log that is missing."""
    first, open_, more = batch(1, 2), batch(3, 3, 1), batch(3, 5, 2)
    chosen = choose([base(0, 1)[0]], [base(0, 1)[1]], arranged([first, open_]), WAL, RecoveryTarget())
    assert [b.id for b in chosen.batches] == [first.id, open_.id]
    assert stored_again(chosen, arranged([first, open_, more])) is None, "it is all there, so it is bad"
    newer = stored_again(chosen, arranged([first, more, batch(6, 6, 3)]))
    assert newer is not None and newer.batches == (first, more)
    assert newer.target.position == more.position and newer.base == chosen.base
    less = choose([base(0, 1)[0]], [base(0, 1)[1]], arranged([first, more]), WAL, RecoveryTarget())
    assert stored_again(less, arranged([first, open_])) is None
    assert stored_again(chosen, arranged([open_])) is None and stored_again(chosen, LogArchive()) is None


@pytest.mark.parametrize(
    ("said", "reached"), [(None, 0), (-60, 0), (1, 1), (2, 2), (3, 0), (3600, 0)], ids=lambda n: f"{n}s"
)
def test_what_claims_to_be_later_than_it_was_stored_makes_nothing_newer(said: int | None, reached: int) -> None:
    """Seconds after the last point; storing began two after it."""
    snapshot, manifest = base(0, 1)
    last = replace(batch(1, 3, 10), begun=NOW + timedelta(minutes=10, seconds=2))
    choice = choose([snapshot], [manifest], LogArchive((last,)), WAL, RecoveryTarget())
    claimed = None if said is None else last.point + timedelta(seconds=said)
    engine = SimpleNamespace(recover=lambda *_: Reached("0/1", claimed, None))
    one = Recovery(NO_TABLESPACES, None, WAL, choice, segment(1), ahead=False)  # type: ignore[arg-type]
    one.carry_out(engine, None, Path(), Path(), manifest, _never)  # type: ignore[arg-type]
    assert one.moment == last.point + timedelta(seconds=reached)
    assert [found.consistent for found in one.points()] == [one.moment]


def test_how_far_it_reached_is_nobody_s_to_say_where_its_snapshot_is_dated_ahead() -> None:
    snapshot, manifest = base(0, 1)
    choice = choose([snapshot], [manifest], arranged([batch(1, 3, 10)]), WAL, RecoveryTarget())
    engine = SimpleNamespace(recover=lambda *_: Reached("0/1", None, None))
    for ahead, points in ((False, 1), (True, 0)):
        one = Recovery(NO_TABLESPACES, None, WAL, choice, segment(1), ahead=ahead)  # type: ignore[arg-type]
        one.carry_out(engine, None, Path(), Path(), manifest, _never)  # type: ignore[arg-type]
        assert len(one.points()) == points


def test_a_point_with_a_name_alone_is_of_no_known_time() -> None:
    snapshot, manifest = base(0, 1)
    choice = choose([snapshot], [manifest], arranged([batch(1, 3, 10)]), WAL, RecoveryTarget(name="before-migration"))
    one = Recovery(NO_TABLESPACES, None, WAL, choice, segment(1), ahead=False)  # type: ignore[arg-type]
    engine = SimpleNamespace(recover=lambda *_: Reached("0/1", None, None))
    one.carry_out(engine, None, Path(), Path(), manifest, _never)  # type: ignore[arg-type]
    assert one.moment is None and one.points() == []


def test_whatever_the_target_the_log_must_reach_as_far_as_it_was_stored_as_reaching() -> None:
    archive = arranged([batch(1, 3, 10), batch(4, 6, 20), batch(7, 9, 30)])
    snapshot, manifest = base(0, 1)

    def position(target: RecoveryTarget) -> str | None:
        return choose([snapshot], [manifest], archive, WAL, target).target.position

    assert position(RecoveryTarget(time=NOW + timedelta(minutes=12))) == batch(4, 6).position
    assert position(RecoveryTarget(time=NOW + timedelta(minutes=20))) == batch(4, 6).position
    assert position(RecoveryTarget(time=NOW + timedelta(minutes=21))) == batch(7, 9).position
    assert position(RecoveryTarget(name="before-migration")) == position(RecoveryTarget()) == batch(7, 9).position


def test_what_cannot_be_reached_is_said_before_anything_is_done() -> None:
    archive = arranged([batch(1, 3, 10)])
    with pytest.raises(UsageProblem, match="stored up to 2026-11-24T12:10:00Z"):
        chosen(archive, RecoveryTarget(time=NOW + timedelta(minutes=11)), base(0, 1))
    with pytest.raises(UsageProblem, match="the oldest is of 2026-11-24T12:05:00Z"):
        chosen(archive, RecoveryTarget(time=NOW + timedelta(minutes=4)), base(5, 1))
    with pytest.raises(UsageProblem, match="there is none"):
        chosen(archive, RecoveryTarget())


def test_log_that_was_never_stored_proves_nothing_and_what_was_and_is_gone_is_a_failure() -> None:
    """A first test may come before the first of the log is stored; what is told then is what to do."""
    (snapshot, manifest) = base(0, 1)
    with pytest.raises(TestBroken, match="nothing is shipped yet") as first:
        choose([snapshot], [manifest], LogArchive(), WAL, RecoveryTarget())
    assert "ccdr ship PLAN --once" in str(first.value.hint)
    with pytest.raises(BackupBad, match="no log is there, and it was stored up to 2026-11-24T12:00:00Z"):
        choose([snapshot], [manifest], LogArchive(), WAL, RecoveryTarget(), None, NOW)


def test_a_gap_is_a_failure_that_names_where_it_is() -> None:
    archive = arranged([batch(1, 3, 10), batch(6, 9, 20)])
    assert archive.gaps(WAL) == [Gap(segment(3), segment(6))]
    with pytest.raises(BackupBad, match=f"missing between {segment(3)} and {segment(6)}"):
        chosen(archive, RecoveryTarget(), base(0, 1))
    assert chosen(archive, RecoveryTarget(), base(0, 1), base(15, 7))[0] == "base15"  # which lies behind it
    before = RecoveryTarget(time=NOW + timedelta(minutes=9))
    assert chosen(archive, before, base(0, 1)) == ("base0", ["1-3-10"])
    with pytest.raises(BackupBad, match="begins later"):
        chosen(arranged([batch(4, 6, 10)]), RecoveryTarget(), base(0, 1))


def test_no_recovery_begins_with_a_snapshot_that_is_no_good_base() -> None:
    good, bad = (SimpleNamespace(short=name) for name in ("aaaa", "bbbb"))
    assert the_base(good, [good]) == [good]  # type: ignore[arg-type, list-item]
    with pytest.raises(UsageProblem, match="no recovery begins with the snapshot bbbb"):
        the_base(bad, [good])  # type: ignore[arg-type, list-item]
