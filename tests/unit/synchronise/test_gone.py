"""What is gone from a repository: it vanished, or somebody let it go by the plan's rules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any, cast

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.listed import HOUR, NOW, ROOT, Repository, an_id, known, sentences, synchronised
from tests.support.wording import lines_with

from ccdr.model.values import Needed, Snapshot
from ccdr.storage.catalogue import Catalogue
from ccdr.storage.manifest import MANIFEST, text_digest
from ccdr.storage.removals import LedgerOfRemovals, Pruning
from ccdr.storage.restic import Restic
from ccdr.storage.synchronised import VANISHED


def test_what_nobody_let_go_has_vanished_and_is_told_again(
    catalogue: Catalogue, repo: Repository, five: list[Snapshot], wording: SnapshotAssertion
) -> None:
    repo.lose(2, 4)
    for _ in range(2):
        told = synchronised(catalogue, repo)
        assert told.vanished == (five[1], five[3]) and told.pruned == ()
        assert sentences(told) == [wording, wording]
        assert lines_with(sentences(told), VANISHED) == sentences(told)
    assert known(catalogue) == [s.id for s in five]


def line(snapshot: Snapshot, asset: str = "crm") -> str:
    return f"{asset} {snapshot.id} 2026-11-24T11:00:00Z"


def rules(*let_go: Snapshot) -> Any:
    return lambda snapshots: {s.id for s in snapshots} & {s.id for s in let_go}


def test_what_a_prune_names_and_the_rules_let_go_has_not_vanished(
    catalogue: Catalogue, repo: Repository, five: list[Snapshot]
) -> None:
    """Among others that have."""
    repo.lose(1, 2, 3)
    repo.pruned(10, line(five[0]), line(five[2]))
    told = synchronised(catalogue, repo, expired=rules(*five[:3]))
    assert told.pruned == (five[0], five[2]) and told.vanished == (five[1],) and len(told.findings) == 1
    assert known(catalogue) == [s.id for s in (five[1], *five[3:])]
    again = synchronised(catalogue, repo, expired=rules(*five[:3]))
    assert again.pruned == () and again.vanished == (five[1],)


@pytest.mark.parametrize(
    "excuse", ["no mark", "another asset's", "kept by the rules", "no rules", "a mark that cannot be read"]
)
def test_half_an_excuse_is_none(catalogue: Catalogue, repo: Repository, five: list[Snapshot], excuse: str) -> None:
    repo.lose(1)
    if excuse == "another asset's":
        repo.pruned(10, line(five[0], "calls"))
    elif excuse == "a mark that cannot be read":
        repo.put(10, "kind=pruned", paths=("/gone",))
        repo.put(11, "kind=pruned", paths=())
    elif excuse != "no mark":
        repo.pruned(10, line(five[0]))
    expired = None if excuse == "no rules" else rules(*five[1:]) if excuse == "kept by the rules" else rules(*five)
    told = synchronised(catalogue, repo, expired=expired)
    assert told.vanished == (five[0],) and told.pruned == ()


def test_the_newest_is_never_let_go(catalogue: Catalogue, repo: Repository, five: list[Snapshot]) -> None:
    """Nor is one whose newer ones are gone with it, or are from the future, which no rule counts."""
    repo.backup(6, NOW + HOUR)
    synchronised(catalogue, repo)
    *_, future = catalogue.snapshots("p", "crm")
    repo.lose(4, 5)
    repo.pruned(10, *map(line, five))
    asked: list[list[Snapshot]] = []

    def expired(snapshots: Sequence[Snapshot]) -> list[str]:
        asked.append(list(snapshots))
        return [s.id for s in five]

    told = synchronised(catalogue, repo, expired=expired)
    assert told.vanished == (five[3], five[4]) and told.pruned == () and asked == [five]
    assert future.id in known(catalogue)
    repo.backup(7, five[4].consistent_point)  # no newer one, only as new
    assert synchronised(catalogue, repo, expired=expired).vanished == (five[4],), "the other one is let go"


@pytest.mark.parametrize(
    ("whose", "mark", "by_now", "ever", "explained"),
    [
        # Another host prunes, and this one learns late: of what the mark names, or what any rules since let go.
        (Pruning.ELSEWHERE, "names it", False, False, True),
        (Pruning.ELSEWHERE, "names others", True, True, True),
        (Pruning.ELSEWHERE, "names others", False, True, True),
        (Pruning.ELSEWHERE, "names others", False, False, False),
        (Pruning.ELSEWHERE, "none", True, True, False),  # nobody prunes
        # Nobody has said who does.
        (Pruning.UNKNOWN, "names others", True, True, True),
        (Pruning.UNKNOWN, "names it", False, True, False),
        (Pruning.UNKNOWN, "none", True, True, False),
        # This one does: only what a prune says, and the rules.
        (Pruning.OURS, "names it", True, True, True),
        (Pruning.OURS, "names others", True, True, False),
        (Pruning.OURS, "names it", False, True, False),
    ],
)
@pytest.mark.parametrize("learning", [True, False], ids=["synchronised", "looked"])
def test_what_another_host_prunes_is_let_go_as_far_as_nobody_can_be_sure(
    catalogue: Catalogue, repo: Repository, five: list[Snapshot], whose: Pruning, mark: str, by_now: bool, ever: bool,
    explained: bool, learning: bool,
) -> None:  # fmt: skip
    """And the newest has vanished all the same."""
    repo.lose(1, 5)
    repo.backup(6, five[3].consistent_point, "calls")  # newer, and of something else
    if mark != "none":
        repo.pruned(10, *(line(s) for s in five if mark == "names it" or s not in (five[0], five[4])))
    told = LedgerOfRemovals(whose, ever=rules(*five) if ever else rules())
    expired = rules(*five) if by_now else rules()
    gone = [five[4].id] if explained else [five[0].id, five[4].id]
    if learning:
        found = synchronised(catalogue, repo, expired=expired, ledger=told)
        assert [s.id for s in found.vanished] == gone and found.pruned == ((five[0],) if explained else ())
    else:
        known_before, there = catalogue.known("p"), cast("Restic", repo)
        found_gone = catalogue.vanished(there, "p", repo.there, known_before, NOW, expired, told)
        assert found_gone == {"crm": sorted(gone)}
    assert (five[0].id in known(catalogue)) is not explained, "what is explained is let go of, before the mark forgets"


def test_what_is_newer_need_not_be_learned_to_have_pushed_something_out(
    catalogue: Catalogue, repo: Repository, five: list[Snapshot]
) -> None:
    """A host that learns seldom looks every day."""
    for number in range(6, 11):
        repo.backup(number, NOW - timedelta(minutes=20 - number))
    repo.lose(1, 2, 3, 4, 5)
    repo.pruned(20, *map(line, five))

    def last_five(snapshots: Sequence[Snapshot]) -> set[str]:
        return {s.id for s in sorted(snapshots, key=lambda s: s.consistent_point)[:-5]}

    def looked() -> dict[str, list[str]]:
        return catalogue.vanished(cast("Restic", repo), "p", repo.there, frozenset(s.id for s in five), NOW, last_five)

    before = list(repo.there)
    repo.there = [s for s in before if s.id not in {an_id(n) for n in range(6, 11)}]
    assert looked() == {"crm": [s.id for s in five]}, "without newer ones they have vanished"
    repo.there = before
    assert looked() == {"crm": []} and known(catalogue) == []


@pytest.mark.parametrize("learning", [True, False], ids=["synchronised", "looked"])
def test_what_the_ledger_alone_knows_is_missed_too(
    catalogue: Catalogue, repo: Repository, five: list[Snapshot], learning: bool
) -> None:
    """Somebody removed its entry with it; what retention let go once is not asked for again."""
    repo.lose(2)
    catalogue.remove(five[1])
    asked: list[set[str]] = []

    def missed(told: LedgerOfRemovals) -> list[str]:
        if learning:
            return [s.id for s in synchronised(catalogue, repo, expired=rules(), ledger=told).vanished]
        found = catalogue.vanished(cast("Restic", repo), "p", repo.there, catalogue.known("p"), NOW, rules(), told)
        return found["crm"]

    def stored(asset: str, others: Collection[str]) -> list[Snapshot]:
        asked.append(set(others))
        return [s for s in five if s.id not in others]

    assert missed(LedgerOfRemovals()) == []
    assert missed(LedgerOfRemovals(stored=stored)) == [five[1].id] and asked[-1] >= {s.id for s in five} - {five[1].id}
    assert missed(LedgerOfRemovals(stored=stored, ever=rules(five[1]))) == [], "its time was up"
    assert known(catalogue) == [s.id for s in five if s != five[1]]


def test_rules_are_asked_only_where_something_is_gone(
    catalogue: Catalogue, repo: Repository, five: list[Snapshot]
) -> None:
    repo.pruned(10, *map(line, five))
    told = synchronised(catalogue, repo, expired=lambda _: pytest.fail("nothing is gone"))
    assert told.vanished == told.pruned == told.findings == ()


def test_an_increment_without_what_it_builds_upon_is_told(catalogue: Catalogue, repo: Repository) -> None:
    full = repo.backup(1, NOW - HOUR)
    text = repo.files[full.id, PurePosixPath(ROOT) / MANIFEST]
    repo.backup(2, upon=(Needed(full.id, text_digest(text)),))
    assert synchronised(catalogue, repo).findings == ()
    repo.lose(1)
    told = synchronised(catalogue, repo)
    assert len(told.findings) == 2 and "vanished" in sentences(told)[0]
    assert "depends on 00000001, which is not there" in sentences(told)[1]
