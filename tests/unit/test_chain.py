"""An increment is as good as all that it builds upon: whatever is lost, disproved, proven again, or let go."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.manifests import SAID, a_snapshot

from ccdr.engines.postgres.engine import Incremental
from ccdr.engines.postgres.physical import parents
from ccdr.model import parents as chain
from ccdr.model.errors import CommandFailed
from ccdr.model.retention import AssetSnapshots, Policy, decide
from ccdr.model.values import Manifest, Needed, Snapshot
from ccdr.ports.capture import Base
from ccdr.storage.manifest import manifest_text, parse_manifest

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def a_chain(length: int, first: int = 0, newest: datetime = NOW) -> list[Snapshot]:
    """A full base and its increments, a day apart, oldest first."""
    found: list[Snapshot] = []
    for n in range(length):
        needed = tuple(Needed(s.id, s.manifest_sha256) for s in found)
        one = a_snapshot(first + n, newest - DAY * (length - 1 - n))
        found.append(replace(one, upon=needed, manifest_sha256=f"{first + n:064x}"))
    return found


def test_what_is_there_lacks_nothing() -> None:
    made = a_chain(4)
    assert [chain.lacks(s, made) for s in made] == [None] * 4


@pytest.mark.parametrize("lost", range(3))
def test_whatever_is_lost_is_named_by_all_that_follow(lost: int) -> None:
    made = a_chain(4)
    left = [s for s in made if s is not made[lost]]
    assert [s for s in left if chain.lacks(s, left)] == made[lost + 1 :]
    assert all(f" {made[lost].short}, which is not there" in (chain.lacks(s, left) or "") for s in made[lost + 1 :])


def test_another_one_under_the_same_id_is_no_base() -> None:
    full, increment = a_chain(2)
    swapped = replace(full, manifest_sha256="f" * 64)
    assert "another one" in (chain.lacks(increment, [swapped, increment]) or "")


verdicts = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["PASS", "FAIL"])), max_size=12)


@given(verdicts)
def test_one_is_disproved_by_the_newest_that_tells(tests: list[tuple[int, str]]) -> None:
    """Told again, slowly: its own newest verdict, or any later FAIL of what it builds upon."""
    made = a_chain(4)
    proven: dict[str, str] = {}
    for number, verdict in tests:
        proven.pop(made[number].id, None)
        proven[made[number].id] = verdict
    newest = {number: (at, verdict) for at, (number, verdict) in enumerate(tests)}
    for number, s in enumerate(made):
        at, own = newest.get(number, (-1, "untested"))
        below = any(verdict == "FAIL" and when > at for n, (when, verdict) in newest.items() if n < number)
        assert chain.disproved(s.id, (n.id for n in s.upon), proven) == (own == "FAIL" or below)


def test_what_is_disproved_or_lacks_a_base_cannot_be_counted_on() -> None:
    made = a_chain(3)
    bad = made[1]
    assert chain.usable(made, made, lambda s: s == bad) == [made[0], made[2]], (
        "who passed since is asked by `disproved`"
    )
    assert chain.usable(made[1:], made[1:], lambda s: False) == []
    assert chain.usable(made[:1], made, lambda s: False) == made[:1]


def test_of_all_that_build_upon_one_the_newest_is_named() -> None:
    made = a_chain(4)
    needed = chain.needed_by([made[3], *made[:3]])
    assert needed == {s.id: made[3] for s in made[:3]}


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(1, 9), st.integers(0, 20))
def test_retention_lets_go_of_nothing_that_a_kept_increment_needs(lengths: list[int], last: int, within: int) -> None:
    made: list[Snapshot] = []
    for n, length in enumerate(lengths):
        newest = NOW - DAY * sum(lengths[n + 1 :])
        made += a_chain(length, first=len(made), newest=newest)
    standing = AssetSnapshots(tuple(made), proven=frozenset(s.id for s in made))
    decisions = decide(standing, Policy(keep_last=last, keep_within=within * 86400.0 or None), NOW, UTC)
    kept = {d.snapshot.id for d in decisions if d.keep}
    assert all({n.id for n in d.snapshot.upon} <= kept for d in decisions if d.keep)
    needed = chain.needed_by(d.snapshot for d in decisions if d.keep)
    for d in decisions:
        told = any("depends on it" in why for why in d.why)
        assert told == (d.snapshot.id in needed)
        assert d.keep or d.why == ("no rule keeps it",)


def test_what_is_kept_for_an_increment_alone_is_held_and_not_for_ever() -> None:
    full, increment = a_chain(2, newest=NOW)
    full = replace(full, consistent_point=NOW - DAY * 100)
    decisions = decide(AssetSnapshots((full, increment)), Policy(keep_within=5 * 86400.0), NOW, UTC)
    held = decisions[0]
    assert held.keep and held.overdue and held.held_since == NOW - DAY * 95
    assert held.why == (f"snapshot {increment.short} depends on it",)


def test_what_an_increment_needs_says_so_beside_its_own_reasons() -> None:
    full, increment = a_chain(2)
    why = f"snapshot {increment.short} depends on it"
    kept, _ = decide(AssetSnapshots((full, increment)), Policy(keep_last=2), NOW, UTC)
    assert kept.why == ("keep_last", why) and kept.held_since is None
    held, _ = decide(AssetSnapshots((increment,), {"disproved": (full,)}), Policy(keep_last=1), NOW, UTC)
    assert held.keep and held.why == ("disproved", why)


def test_a_manifest_says_what_it_builds_upon() -> None:
    needed = (Needed("a" * 64, "b" * 64), Needed("c" * 64, "d" * 64))
    made = Manifest("p", "crm", "r", "postgres", "physical", "h", NOW, 0.0, {}, {}, upon=needed, attested=SAID)
    assert parse_manifest(manifest_text(made)) == made
    alone = replace(made, upon=())
    assert parse_manifest(manifest_text(alone)) == alone


# --- whether a base can be an increment --------------------------------------------------------------------

CLUSTER: dict[str, Any] = {
    "version": "17.4",
    "summarizes_wal": True,
    "system_identifier": "7",
    "timeline": 1,
    "data_checksums": True,
    "block_size": 8192,
    "databases": {"crm": {"bytes": 1000}, "other": {"bytes": None}},
}
WEEKLY = Incremental.model_validate({"full_every": "7d", "longest": 3})


def based_on(length: int, age: timedelta = DAY, **changed: object) -> Base:
    snapshots = a_chain(length, newest=NOW - age)
    contents = {**CLUSTER, "bytes": 500, "backup_manifest_sha256": "e" * 64, **changed}
    manifest = Manifest("p", "crm", "r", "postgres", "physical", "h", NOW, 0.0, {}, contents, attested=SAID)
    return Base(tuple((s, manifest) for s in snapshots), Path("/held"))


def chosen(base: Base, **changed: object) -> parents.ParentChoice:
    return parents.choose(base, {**CLUSTER, **changed}, WEEKLY, NOW)


def test_an_increment_names_its_whole_chain() -> None:
    base = based_on(3)
    choice = chosen(base)
    assert choice.base is base and [n.id for n in choice.parents] == [s.id for s, _ in base.chain]
    sizes = choice.sizes(10, CLUSTER)
    assert sizes["whole_bytes"] == 1010 and sizes["bytes"] == 10 + base.chain[-1][0].bytes
    assert sizes["chain"] == ["e" * 64] * 3


@pytest.mark.parametrize(
    ("base", "changed", "why"),
    [
        (based_on(1, system_identifier="8"), {}, "another server"),
        (based_on(1), {"timeline": 2}, "timeline"),
        (based_on(1, data_checksums=False), {}, "checksums"),
        (based_on(1), {"version": "16.9"}, "17 and later"),
        (Base(why="the previous one vanished"), {}, "vanished"),
    ],
)
def test_a_full_base_says_why_it_is_one(base: Base, changed: dict[str, object], why: str) -> None:
    choice = chosen(base, **changed)
    assert choice.parents == () and why in choice.notes[0] and choice.sizes(10, CLUSTER) == {}


@pytest.mark.parametrize(
    "base", [Base(), based_on(1, age=timedelta(days=7)), based_on(1, age=timedelta(days=6.9)), based_on(4)]
)
def test_a_full_base_that_was_due_says_nothing(base: Base) -> None:
    """The first one, one whose time has come, and one after as many increments as the plan allows."""
    assert chosen(base) == parents.ParentChoice()


def test_a_source_without_summaries_is_a_finding_whatever_was_due() -> None:
    assert chosen(based_on(1), summarizes_wal=False).findings == (parents.OFF,)
    assert chosen(Base(), summarizes_wal=False).findings == (parents.OFF,)
    assert parents.choose(Base(), {**CLUSTER, "summarizes_wal": False}, None, NOW) == parents.ParentChoice()


@pytest.mark.parametrize(
    ("said", "full"),
    [
        (
            "ERROR:  WAL summaries are required on timeline 1 from 0/2000028 to 0/3000028, but the summaries for that",
            True,
        ),
        ("ERROR:  system identifier in backup manifest is 1, but database system identifier is 2", True),
        ("ERROR:  incremental backups cannot be taken unless WAL summarization is enabled", True),
        ("ERROR:  manifest requires WAL from final timeline 1 ending at 0/5, but this backup starts at 0/4", True),
        ("error: could not connect to server", False),
        ("error: could not write to file: No space left on device", False),
        ("WARNING:  checksum verification failed\nerror: checksum error occurred", False),
    ],
)
def test_only_what_an_increment_alone_cannot_do_leads_to_a_full_base(said: str, full: bool) -> None:
    assert bool(parents.impossible(CommandFailed(["pg_basebackup"], 1, said))) is full
    assert parents.impossible(CommandFailed(["pg_basebackup"], 1, said, stalled=True)) is None
