"""What the catalogue learns from what a repository lists: who stored what, what came to nothing, vanished, or was let
go. The list is in memory: restic's own is read in `test_repository_answers`, and by every test with a repository."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pytest

from ccdr.model.errors import BackupBad, Exit, WrittenByNewer
from ccdr.model.values import Attestation, GroupRun, Manifest, Needed, Snapshot
from ccdr.storage.catalogue import (
    CAPTURED,
    CLOCK_TOLERANCE,
    ENDED,
    FUTURE,
    MANIFEST,
    VANISHED,
    Attempt,
    Catalogue,
    Pruning,
    Removal,
    Synchronised,
    Told,
    dated_in_future,
    manifest_text,
    of_source,
    parse_manifest,
    removals,
    removals_text,
    snapshot_of,
    stream_of,
    text_digest,
)
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.restic import Restic

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROOT = f"/var/lib/ccdr/scratch/capture/p/crm/{CAPTURED}"


def an_id(number: int) -> str:
    return f"{number:08x}" + "0" * 56


class Repository:
    """What a repository lists, and the files in it that ccdr reads."""

    def __init__(self) -> None:
        self.there: list[RepoSnapshot] = []
        self.files: dict[tuple[str, PurePosixPath], str] = {}
        self.reads: list[str] = []

    def snapshots(self, tags: Sequence[str]) -> list[RepoSnapshot]:
        return [s for s in self.there if {*tags} <= {*s.tags}]

    def read(self, snapshot: str, path: PurePosixPath) -> str:
        self.reads.append(snapshot)
        try:
            return self.files[snapshot, path]
        except KeyError:
            raise BackupBad(f"{path} is not in it") from None

    def put(self, number: int, *tags: str, at: datetime = NOW, paths: Sequence[str] = (ROOT,)) -> RepoSnapshot:
        """One more that is listed: it took five minutes."""
        stored = RepoSnapshot(an_id(number), at, at + timedelta(minutes=5), tuple(paths), ("ccdr", "plan=p", *tags))
        self.there.append(stored)
        return stored

    def backup(self, number: int, at: datetime = NOW, of: str = "crm", *tags: str, **changed: Any) -> RepoSnapshot:
        made = Manifest("p", of, f"r{number}", "postgres", "dump", "h", at, 0.0, {}, {"source": "db"}, {})
        stored = self.put(number, "kind=backup", f"asset={of}", f"run=r{number}", *tags, at=at)
        self.files[stored.id, PurePosixPath(ROOT) / MANIFEST] = manifest_text(replace(made, **changed))
        return stored

    def failed(self, number: int, run: str, *tags: str) -> RepoSnapshot:
        return self.put(number, "kind=failed", "asset=crm", f"run={run}", *tags)

    def pruned(self, number: int, *lines: str) -> RepoSnapshot:
        mark = self.put(number, "kind=pruned", paths=("/mark", "/other"))
        self.files[mark.id, PurePosixPath("/mark")] = "".join(f"{line}\n" for line in lines)
        return mark

    def lose(self, *numbers: int) -> None:
        self.there = [s for s in self.there if s.id not in {an_id(n) for n in numbers}]


@pytest.fixture
def repo() -> Repository:
    return Repository()


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path / "catalogue")


def synchronised(
    catalogue: Catalogue,
    repo: Repository,
    assets: Collection[str] | None = ("crm",),
    *,
    now: datetime = NOW,
    **given: Any,
) -> Synchronised:
    return catalogue.synchronise(cast("Restic", repo), "p", assets, now, **given)


def known(catalogue: Catalogue, asset: str = "crm") -> list[str]:
    return [s.id for s in catalogue.snapshots("p", asset)]


def sentences(told: Synchronised) -> list[str]:
    return [sentence for _, sentence in told.findings]


# --- what another host stored ---------------------------------------------------------------------------------------


def test_what_another_host_stored_is_learned_whole_and_read_once(catalogue: Catalogue, repo: Repository) -> None:
    group, upon = GroupRun("calls", "g1", ("crm",)), (Needed(an_id(1), "x"),)
    first = repo.backup(1, NOW - HOUR)
    text = repo.files[first.id, PurePosixPath(ROOT) / MANIFEST]
    upon = (Needed(first.id, text_digest(text)),)
    repo.backup(2, NOW - HOUR / 2, group=group, upon=upon)
    told = synchronised(catalogue, repo)
    assert told.listed == tuple(repo.there) and told == Synchronised(listed=told.listed)
    one, two = catalogue.snapshots("p", "crm")
    assert one.usable_at == first.finished, "not before it was stored"
    assert (two.source, two.group, two.upon, two.run, two.note) == ("db", group, upon, "r2", None)
    assert catalogue.manifest(one) == parse_manifest(text)
    assert sorted(repo.reads) == [an_id(1), an_id(2)]
    assert synchronised(catalogue, repo) == told and len(repo.reads) == 2


def test_one_that_restic_dates_later_is_usable_from_then(catalogue: Catalogue, repo: Repository) -> None:
    stored = repo.backup(1, NOW - HOUR)
    repo.there[0] = replace(stored, time=NOW, finished=NOW - HOUR)  # a clock was set back in between
    synchronised(catalogue, repo)
    assert catalogue.snapshots("p", "crm")[0].usable_at == NOW


def test_each_asset_learns_of_its_own_backups_and_of_nothing_else(catalogue: Catalogue, repo: Repository) -> None:
    repo.backup(1)
    repo.backup(2, NOW, "calls")
    repo.put(3, "kind=log", "asset=crm", "run=r3")
    repo.failed(4, "r4")
    told = synchronised(catalogue, repo)
    assert known(catalogue) == [an_id(1)] and known(catalogue, "calls") == [] and told.findings == ()
    assert repo.reads == [an_id(1)]


def test_all_assets_are_those_that_there_is_or_was_anything_of(catalogue: Catalogue, repo: Repository) -> None:
    """In the order of their names, whatever the repository lists first."""
    repo.backup(1, NOW, "old")
    synchronised(catalogue, repo, None)
    repo.lose(1)
    repo.put(2, "kind=backup", "asset=zebra", "run=r2", paths=())
    repo.put(3, "kind=backup", "asset=crm", "run=r3", paths=())
    repo.put(4, "kind=log", "asset=shipped", "run=r4")
    repo.put(5, "kind=backup", "run=r5", paths=())
    (catalogue.directory / "p" / "a file").write_text("")
    told = synchronised(catalogue, repo, None)
    assert [asset for asset, _ in told.findings] == ["crm", "old", "zebra"]
    assert catalogue.assets("p") == ["old"] and catalogue.assets("q") == []
    assert [asset for asset, _ in synchronised(catalogue, repo, ["zebra"]).findings] == ["zebra"]


def test_what_has_no_manifest_of_its_own_asset_does_not_count(catalogue: Catalogue, repo: Repository) -> None:
    """And hides no other."""
    repo.put(1, "kind=backup", "asset=crm", "run=r1", paths=("/somewhere/else",))
    repo.backup(2)
    repo.files[an_id(2), PurePosixPath(ROOT) / MANIFEST] = "{}"
    repo.put(3, "kind=backup", "asset=crm", "run=r3")
    for number, other in ((4, {"asset": "calls"}), (5, {"plan": "q"})):
        repo.backup(number, NOW, "crm", **other)
    repo.there[3] = replace(repo.there[3], paths=("/first", ROOT))
    repo.backup(6)
    repo.there[5] = replace(repo.there[5], paths=("/first", ROOT))
    told = synchronised(catalogue, repo)
    assert known(catalogue) == [an_id(6)]
    assert [asset for asset, _ in told.findings] == ["crm"] * 5
    said = sentences(told)
    assert all(f"snapshot 0000000{n} does not count: " in line for n, line in zip(range(1, 6), said, strict=True))
    assert "holds no captured directory" in said[0] and "its manifest is of p/calls" in said[3]
    assert "its manifest is of q/crm" in said[4]


# --- what came to nothing -------------------------------------------------------------------------------------------


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
    assert told.failed[0] == Attempt("crm", "r1", mark.time, an_id(1))
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
    assert attempt == Attempt("", "", NOW, None)


def test_a_backup_whose_stream_is_gone_is_gone(catalogue: Catalogue, repo: Repository) -> None:
    repo.put(1, "kind=stream", "asset=crm", "run=r2")
    repo.backup(2, NOW, "crm", f"stream={an_id(1)}")
    repo.backup(3, NOW, "crm", f"stream={an_id(9)}")
    repo.backup(4)
    synchronised(catalogue, repo)
    assert known(catalogue) == [an_id(2), an_id(4)]
    repo.lose(1)
    assert [s.id for s in synchronised(catalogue, repo).vanished] == [an_id(2)]


# --- what is gone ---------------------------------------------------------------------------------------------------


@pytest.fixture
def five(catalogue: Catalogue, repo: Repository) -> list[Snapshot]:
    """Five that are known, an hour apart, oldest first."""
    for number in range(1, 6):
        repo.backup(number, NOW - HOUR * (6 - number))
    assert synchronised(catalogue, repo).findings == ()
    return catalogue.snapshots("p", "crm")


def test_what_nobody_let_go_has_vanished_and_is_told_again(
    catalogue: Catalogue, repo: Repository, five: list[Snapshot]
) -> None:
    repo.lose(2, 4)
    for _ in range(2):
        told = synchronised(catalogue, repo)
        assert told.vanished == (five[1], five[3]) and told.pruned == ()
        assert sentences(told) == [
            f"snapshot 0000000{n} of 2026-11-24T{6 + n:02}:00:00Z vanished, and no prune removed it: {VANISHED}"
            for n in (2, 4)
        ]
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
    told = Told(whose, ever=rules(*five) if ever else rules())
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

    def missed(told: Told) -> list[str]:
        if learning:
            return [s.id for s in synchronised(catalogue, repo, expired=rules(), ledger=told).vanished]
        found = catalogue.vanished(cast("Restic", repo), "p", repo.there, catalogue.known("p"), NOW, rules(), told)
        return found["crm"]

    def stored(asset: str, others: Collection[str]) -> list[Snapshot]:
        asked.append(set(others))
        return [s for s in five if s.id not in others]

    assert missed(Told()) == []
    assert missed(Told(stored=stored)) == [five[1].id] and asked[-1] >= {s.id for s in five} - {five[1].id}
    assert missed(Told(stored=stored, ever=rules(five[1]))) == [], "its time was up"
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
    assert "builds upon 00000001, which is not there" in sentences(told)[1]


# --- what bears a future date ---------------------------------------------------------------------------------------


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


# --- the parts ------------------------------------------------------------------------------------------------------


def test_a_prunes_mark_says_what_it_was_about_to_remove(repo: Repository) -> None:
    written = [Removal("crm", an_id(1), NOW), Removal("calls", an_id(2), NOW + HOUR)]
    repo.backup(1)
    mark = repo.pruned(10, "crm", "crm id yesterday", "a b c d")
    repo.put(11, "kind=pruned", paths=())
    repo.pruned(12, *removals_text(written).splitlines())
    assert removals_text([]) == "" and removals(cast("Restic", repo), repo.there) == written
    assert mark.id in repo.reads and an_id(1) not in repo.reads


def test_an_entry_that_was_changed_is_a_bad_backup(catalogue: Catalogue, repo: Repository) -> None:
    repo.backup(1)
    synchronised(catalogue, repo)
    (snapshot,) = catalogue.snapshots("p", "crm")
    path = catalogue.directory / "p" / "crm" / f"{snapshot.id}.json"
    path.write_text(path.read_text().replace(r"\"dump\"", r"\"dumb\""))
    with pytest.raises(BackupBad, match="manifest of 00000001 was changed"):
        catalogue.manifest(snapshot)


def test_one_that_is_removed_counts_no_longer(catalogue: Catalogue, five: list[Snapshot]) -> None:
    for _ in range(2):  # another process may have been quicker
        catalogue.remove(five[2])
    left = [*five[:2], *five[3:]]
    assert catalogue.snapshots("p", "crm") == left
    for snapshot in left:
        assert catalogue.snapshots("p", "crm", besides=[snapshot.id]) == [s for s in left if s != snapshot]


def test_an_entry_with_a_long_source_is_read_and_one_cut_short_is_not(catalogue: Catalogue) -> None:
    made = Manifest("p", "crm", "r1", "files", "scan", "h", NOW, 0.0, {}, {"source": "/srv " * 5000}, {})
    text = manifest_text(made)
    snapshot = snapshot_of(made, text, an_id(1), ROOT, NOW, "restic said something")
    short = snapshot_of(replace(made, contents={"source": "db"}), text, an_id(2), ROOT, NOW)
    assert snapshot.note == "restic said something"
    catalogue.add(snapshot, text)
    catalogue.add(short, text)
    assert catalogue.snapshots("p", "crm") == [snapshot, short]
    for one in (snapshot, short):
        path = catalogue.directory / "p" / "crm" / f"{one.id}.json"
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        assert one not in catalogue.snapshots("p", "crm"), "though all of its first part is there"
        path.write_bytes(b" " + whole)
        assert one not in catalogue.snapshots("p", "crm"), "no entry of ours"
        path.write_bytes(whole)


def test_a_manifest_is_the_same_text_in_whatever_order_it_was_made() -> None:
    made = Manifest("p", "crm", "r", "files", "scan", "h", NOW, 0.0, {"a": "1", "b": "2"}, {}, {})
    assert manifest_text(made) == manifest_text(replace(made, tools={"b": "2", "a": "1"}))


def test_one_of_a_later_format_is_refused_by_its_number() -> None:
    """It is no damage: a newer ccdr can read it."""
    with pytest.raises(WrittenByNewer, match="format 3, and was written by a newer ccdr") as told:
        parse_manifest('{"format": 3}')
    assert told.value.exit_code is Exit.NOT_CARRIED_OUT and "upgrade ccdr on this host" in (told.value.hint or "")


def test_a_key_that_is_not_known_is_no_damage() -> None:
    made = Manifest("p", "crm", "r", "files", "scan", "h", NOW, 0.0, {}, {}, {})
    text = manifest_text(made)
    assert parse_manifest(text.replace("{", '{"tenant":"acme",', 1)) == made
    before = text.replace('"format":2', '"format":1')
    assert parse_manifest(before) == replace(made, format=1), "from before it attested anything"


def test_what_a_manifest_attests_is_read_back_and_half_of_it_is_damage() -> None:
    said = Attestation("a" * 32, 17, "b" * 64, 16, "c" * 12)
    made = Manifest("p", "crm", "r", "files", "scan", "h", NOW, 0.0, {}, {}, {}, attested=said)
    text = manifest_text(made)
    assert parse_manifest(text) == made and '"ledger_seq":17' in text
    assert Attestation.of(dict(tag.split("=") for tag in said.as_tags())) == said
    for wrong in ('"ledger_seq":-1', '"ledger_seq":true', '"ledger_seq":null'):
        with pytest.raises(BackupBad):
            parse_manifest(text.replace('"ledger_seq":17', wrong))


def test_a_snapshot_is_of_the_source_that_the_plan_names() -> None:
    made = Manifest("p", "crm", "r", "files", "scan", "h", NOW, 0.0, {}, {"source": "db"}, {})
    snapshot = snapshot_of(made, "", an_id(1), ROOT, NOW)
    assert of_source(snapshot, "db") and not of_source(snapshot, "db2")
    assert stream_of(made) is None
    assert stream_of(replace(made, contents={"stream": {"snapshot": an_id(3)}})) == an_id(3)


def test_what_a_run_here_is_at_work_on_is_learned_once_it_has_said_so(catalogue: Catalogue, repo: Repository) -> None:
    """It may come to nothing yet. What others store is."""
    repo.backup(1, NOW - HOUR)
    repo.backup(2, NOW - HOUR / 2)
    repo.put(3, "kind=backup", "asset=crm", at=NOW)  # which names no run
    asked: list[str] = []

    def at_work(run: str) -> bool:
        asked.append(run)
        return run == "r2"

    told = synchronised(catalogue, repo, at_work=at_work)
    assert known(catalogue) == [an_id(1)] and sorted(asked) == ["", "r1", "r2"]
    assert [s.id for s in told.unread] == [an_id(3)] and an_id(2) not in repo.reads
    synchronised(catalogue, repo)
    assert known(catalogue) == [an_id(1), an_id(2)]
    asked.clear()
    synchronised(catalogue, repo, at_work=at_work)
    assert asked == [""], "of what is known nobody is asked"


def test_all_assets_are_those_of_backups_and_come_in_order(catalogue: Catalogue, repo: Repository) -> None:
    """A prune's mark, or the log's, names none."""
    for number, asset in enumerate(("queues", "crm", "switchboard", "archive", "dialler")):
        repo.backup(number, NOW - HOUR, asset)
    repo.put(9, "kind=log", "asset=other")
    assert catalogue._all_assets("p", cast("Any", repo.there)) == sorted(
        ["queues", "crm", "switchboard", "archive", "dialler"]
    )
    synchronised(catalogue, repo, None)
    assert catalogue.assets("p") == ["archive", "crm", "dialler", "queues", "switchboard"]
    (catalogue.directory / "p" / "lost+found.txt").touch()
    assert "lost+found.txt" not in catalogue.assets("p")


def test_an_entry_says_nothing_of_what_there_is_none_of(catalogue: Catalogue, repo: Repository) -> None:
    """So that an older ccdr reads it."""
    first = repo.backup(1, NOW - HOUR)
    text = repo.files[first.id, PurePosixPath(ROOT) / MANIFEST]
    repo.backup(2, group=GroupRun("calls", "g1", ("crm",)), upon=(Needed(first.id, text_digest(text)),))
    synchronised(catalogue, repo)
    bare, full = (
        json.loads((catalogue.directory / "p" / "crm" / f"{an_id(n)}.json").read_text())["snapshot"] for n in (1, 2)
    )
    assert full.keys() - bare.keys() == {"group", "upon"}


def test_either_date_may_lie_in_the_future() -> None:
    made = Manifest("p", "crm", "r", "files", "scan", "h", NOW, 0.0, {}, {"source": "db"}, {})
    snapshot = snapshot_of(made, "", an_id(1), ROOT, NOW)
    for changed in ({"usable_at": NOW + 3 * HOUR}, {"consistent_point": NOW + 3 * HOUR}):
        one = replace(snapshot, **changed)
        assert dated_in_future(one, NOW) and not dated_in_future(one, NOW + 3 * HOUR - CLOCK_TOLERANCE)
        assert dated_in_future(one, NOW + 3 * HOUR - CLOCK_TOLERANCE - timedelta(seconds=1))
