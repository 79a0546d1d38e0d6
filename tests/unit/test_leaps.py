"""What looks like an attack, by what restic counted; and what only looks unusual, and is a busy day."""

from __future__ import annotations

import pytest

from ccdr.model.leaps import Growth, Sign, signs

MiB = 2**20


def usual(processed: int, added: int, packed: int, files: int = 5, new: int = 0, changed: int = 2) -> Growth:
    return Growth(processed, added, packed, files, new, changed)


# A database's dump: text, of which each backup stores a little anew; the first one all of it.
DUMPS = [usual(100 * MiB, 100 * MiB, 22 * MiB, new=5, changed=0), *[usual(100 * MiB, 3 * MiB, 600_000)] * 4]
# Recordings: they do not compress, and what was recorded stays as it is.
TREE = [usual(900 * MiB, 900 * MiB, 890 * MiB, 1000, 1000, 0), *[usual(920 * MiB, 20 * MiB, 19 * MiB, 1020, 20, 0)] * 4]


ATTACKS = {
    "a dump whose columns were encrypted": (DUMPS, usual(140 * MiB, 138 * MiB, 80 * MiB), [Sign.INCOMPRESSIBLE]),
    "half of its tables encrypted": (DUMPS, usual(120 * MiB, 70 * MiB, 45 * MiB), [Sign.INCOMPRESSIBLE]),
    "recordings encrypted in place": (
        TREE,
        usual(921 * MiB, 900 * MiB, 899 * MiB, 1020, 0, 1000),
        [Sign.FILES_REPLACED],
    ),
    "recordings encrypted, and renamed": (
        TREE,
        usual(921 * MiB, 900 * MiB, 899 * MiB, 1020, 1000, 0),
        [Sign.FILES_REPLACED],
    ),
    "a dump of nothing": (DUMPS, usual(1 * MiB, 10_000, 3_000), [Sign.SHRUNK]),
    "a tree with a note in it": (TREE, usual(2_000, 2_000, 1_900, 1, 1, 0), [Sign.SHRUNK]),
}
BUSY = {
    "a day like others": (DUMPS, usual(101 * MiB, 4 * MiB, MiB)),
    "a bulk load that triples it": (DUMPS, usual(300 * MiB, 201 * MiB, 45 * MiB)),
    "a bulk load of recordings into it": (DUMPS, usual(400 * MiB, 300 * MiB, 297 * MiB)),
    "a reindex, or every row written anew": (DUMPS, usual(100 * MiB, 100 * MiB, 22 * MiB)),
    "a migration that adds a column": (DUMPS, usual(120 * MiB, 120 * MiB, 30 * MiB)),
    "an archive day: nine of ten recordings are moved away": (TREE, usual(92 * MiB, 20 * MiB, 19 * MiB, 102, 20, 0)),
    "a campaign: twice as many recordings": (TREE, usual(1800 * MiB, 880 * MiB, 870 * MiB, 2000, 980, 0)),
    "the tree was moved to another disk: other times, the same contents": (TREE, usual(920 * MiB, MiB, MiB // 2, 1020, 0, 1000)),
    "nothing at all": (TREE, usual(920 * MiB, 0, 0, 1020, 0, 0)),
}  # fmt: skip


@pytest.mark.parametrize("what", ATTACKS)
def test_what_looks_like_an_attack_is_told(what: str) -> None:
    before, now, expected = ATTACKS[what]
    assert signs(now, before) == expected


@pytest.mark.parametrize("what", BUSY)
def test_a_busy_day_is_no_attack(what: str) -> None:
    before, now = BUSY[what]
    assert signs(now, before) == []


STEPWISE = {
    "a dump, by halves": (DUMPS, [usual(110 * MiB, 48 * MiB, 36 * MiB), usual(115 * MiB, 48 * MiB, 36 * MiB)], [Sign.INCOMPRESSIBLE]),
    "a dump, by fifths, with days between": (
        DUMPS,
        [usual(100 * MiB, 20 * MiB, 15 * MiB), DUMPS[-1], *[usual(100 * MiB, 20 * MiB, 15 * MiB)] * 2],
        [Sign.INCOMPRESSIBLE],
    ),
    "recordings, by thirds": (
        TREE,
        [usual(921 * MiB, 300 * MiB, 299 * MiB, 1020, 0, 340), usual(921 * MiB, 300 * MiB, 299 * MiB, 1020, 0, 340)],
        [Sign.FILES_REPLACED],
    ),
    "emptied in two steps": (TREE, [usual(180 * MiB, 0, 0, 200, 0, 0), usual(20 * MiB, 0, 0, 20, 0, 0)], [Sign.SHRUNK]),
}  # fmt: skip
ORDINARY = {
    "photographs loaded, the next day old rows deleted": (
        DUMPS,
        [usual(200 * MiB, 100 * MiB, 99 * MiB), usual(130 * MiB, 2 * MiB, 400_000)],
    ),
    "an archive day, then a campaign": (
        TREE,
        [usual(92 * MiB, 20 * MiB, 19 * MiB, 102, 20, 0), usual(900 * MiB, 800 * MiB, 790 * MiB, 1000, 898, 0)],
    ),
    "a reindex, then every row written anew": (DUMPS, [usual(100 * MiB, 100 * MiB, 22 * MiB)] * 2),
    "a fifth of the pictures in it replaced each day": (
        [DUMPS[0], *[usual(100 * MiB, 20 * MiB, 18 * MiB)] * 4],
        [usual(100 * MiB, 20 * MiB, 18 * MiB)] * 4,
    ),
    "a tenth of the recordings goes each day, and comes": (
        [TREE[0], *[usual(900 * MiB, 90 * MiB, 89 * MiB, 1000, 100, 0)] * 4],
        [usual(900 * MiB, 90 * MiB, 89 * MiB, 1000, 100, 0)] * 5,
    ),
}  # fmt: skip


def told_of(before: list[Growth], days: list[Growth]) -> list[list[Sign]]:
    """Day by day, what is told; what was told of is nothing to go by."""
    told, known = [], list(before)
    for day in days:
        told.append(signs(day, known))
        known += [day] if not told[-1] else []
    return told


@pytest.mark.parametrize("what", STEPWISE)
def test_an_attack_that_goes_by_small_steps_is_told_at_the_one_by_which_half_is_gone(what: str) -> None:
    before, days, expected = STEPWISE[what]
    *earlier, last = told_of(before, days)
    assert last == expected and not any(earlier), earlier


@pytest.mark.parametrize("what", ORDINARY)
def test_some_busy_days_after_one_another_are_no_attack(what: str) -> None:
    before, days = ORDINARY[what]
    assert not any(told_of(before, days))


def test_of_an_asset_that_is_hardly_known_nothing_is_said() -> None:
    before, now, _ = ATTACKS["a dump whose columns were encrypted"]
    assert signs(now, before[:2]) == [] and signs(now, before[:3]) != []


def test_a_tree_that_is_replaced_each_day_is_not_told_of_it_each_day() -> None:
    daily = [usual(90 * MiB, 90 * MiB, 89 * MiB, 100, 100, 0)] * 5
    assert signs(daily[0], daily) == []


def test_queues_that_drain_at_night_are_no_attack() -> None:
    queues = [usual(50 * MiB, 50 * MiB, 30 * MiB, 2, 0, 2)] * 5
    empty = usual(10_000, 10_000, 6_000, 2, 0, 2)
    assert signs(empty, queues, drains=True) == [] and signs(empty, queues) == [Sign.SHRUNK]
    assert signs(empty, [*queues, empty]) == [], "it was as small before"


def test_what_was_stored_apart_counts_with_it() -> None:
    whole = usual(10, 7, 5, 1, 1, 0).beside(usual(90, 6, 4, 9, 2, 3))
    assert whole == Growth(100, 7, 5, 10, 3, 3)
