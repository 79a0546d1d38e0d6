"""On a bare host the newest manifests are read first, and what is chosen is what would be, were all of them read."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.batches import NOW as BEGAN
from tests.support.batches import base, batch
from tests.support.harness import Quiet, Site
from tests.support.in_memory import room
from tests.support.listed import ROOT, Repository, an_id
from tests.support.manifests import SAID

from ccdr.jobs import fetch as newest_first
from ccdr.jobs.recover import asking
from ccdr.jobs.recover import choice as gathering
from ccdr.jobs.recover.choice import Choice, Gathered, chosen, gathered
from ccdr.jobs.recover.request import RecoverRequest
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.log_archive import LogArchive
from ccdr.model.values import GroupRun, Manifest, Needed
from ccdr.plans.job import Job
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.manifest import MANIFEST, manifest_text, text_digest
from ccdr.storage.synchronised import Synchronised

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TWO = """
a:
  engine: files
  paths: [{root}/a]
  {group}
  backup: {{schedule: "15 * * * *"}}
  restore_test: {{schedule: "0 3 * * 0", checks: [a]}}
  objectives: {{rpo: 2h, rto: 1h}}
b:
  engine: files
  paths: [{root}/b]
  {group}
  backup: {{schedule: "15 * * * *"}}
  restore_test: {{schedule: "0 3 * * 0", checks: [b]}}
  objectives: {{rpo: 2h, rto: 1h}}
"""


@dataclass(frozen=True)
class Backup:
    """In minutes: how long after the one before it began, how long it took, when of that its data is of."""

    after: int = 30
    took: int = 5
    into: float = 0.0
    usable: bool = True  # of the source that the plan names
    readable: bool = True
    increment: bool = False
    both: bool = True  # of a group's run


BACKUP = st.builds(
    Backup,
    st.integers(1, 200),
    st.integers(0, 600),
    st.floats(0, 1),
    st.integers(0, 3).map(bool),
    st.integers(0, 9).map(bool),
    st.booleans(),
    st.booleans(),
)


class Asked:
    """A plan of two assets, and what is stored of each, the newest last."""

    def __init__(self, root: Path, histories: dict[str, list[Backup]], *, group: bool = False) -> None:
        self.root, self.repo, self.group = root, Repository(), group
        site = Site(root)
        for name in "ab":
            site.write(f"restore_tests/{name}.yaml", f"restore_test: {name}\nchecks:\n  - {{kind: identical}}\n")
        site.plan(TWO.format(root=root, group="group: calls" if group else ""))
        self.loaded = site.loaded()
        self.jobs = [Job(self.loaded, name) for name in "ab"]
        for number, (name, history) in enumerate(sorted(histories.items())):
            self._store(name, history, number * 10_000)

    def _store(self, name: str, history: list[Backup], number: int) -> None:
        source = next(job.engine.source_name for job in self.jobs if job.asset == name)
        begun, before = NOW - MINUTE * (sum(b.after for b in history) + 700), None
        for n, b in enumerate(history, number):
            begun += MINUTE * b.after
            stored, run = begun + MINUTE * b.took, f"{begun:%Y%m%dT%H%M%S}-abcdef"
            if stored > NOW:
                continue
            upon = (before,) if b.increment and before is not None else ()
            group = GroupRun("calls", f"g{n % 10_000}", ("a", "b")) if self.group and b.both else None
            made = Manifest(
                "p", name, run, "files", "files", "h", begun + (stored - begun) * b.into, 0.0, {},
                {"source": source if b.usable else "/elsewhere"}, {}, group=group, upon=upon, attested=SAID,
            )  # fmt: skip
            listed = RepoSnapshot(an_id(n), stored, stored, (ROOT,), _tags(name, run))
            self.repo.there.append(listed)
            if b.readable:
                text = manifest_text(made)
                self.repo.files[listed.id, PurePosixPath(ROOT) / MANIFEST] = text
                before = Needed(listed.id, text_digest(text))

    def gather(self, at: datetime | None, few: int, monkey: pytest.MonkeyPatch) -> Gathered:
        """By a host without any state."""
        clock = cast("Any", type("Still", (), {"now": lambda _: NOW, "monotonic": lambda _: 0.0})())
        (host := self.root / f"host-{few}").mkdir()
        state = Site(host)
        services = state.services(clock)
        self.repo.reads.clear()
        monkey.setattr(newest_first, "FEW", few)
        monkey.setattr(Services, "repository", lambda *_, **__: self.repo)
        return gathered(self.loaded, self.jobs, {}, RecoverRequest(at), services, Quiet())


def _tags(asset: str, run: str) -> tuple[str, ...]:
    return ("ccdr-3", "plan=p", "kind=backup", f"asset={asset}", f"run={run}")


def choices(found: Gathered, at: datetime | None) -> dict[str, Choice | None]:
    return chosen(list(found.states.values()), at)


# Of both assets the newest cannot be read: neither asks for the other's again, round after round.
UNREADABLE = {
    "a": [Backup(144, 149, 0.05, readable=False), Backup(131, 587, 0.07)],
    "b": [
        Backup(100, 102, 0.8),
        Backup(92, 247, 0.5, usable=False),
        Backup(73, 559, 0.4, increment=True),
        Backup(6, 590),
        Backup(163, 215, 0.9, readable=False, increment=True),
        Backup(41, 155, 0.8, usable=False, increment=True),
        Backup(80, 8, 0.5),
        Backup(40, 13, 0.8, usable=False, increment=True),
    ],
}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(UNREADABLE, None, False)
@given(
    st.fixed_dictionaries({name: st.lists(BACKUP, min_size=1, max_size=45) for name in "ab"}),
    st.one_of(st.none(), st.integers(0, 6000)),
    st.booleans(),
)
def test_what_is_chosen_is_what_would_be_were_all_of_them_read(
    histories: dict[str, list[Backup]], ago: int | None, group: bool
) -> None:
    at = None if ago is None else NOW - MINUTE * ago
    with tempfile.TemporaryDirectory(dir=room()) as root, pytest.MonkeyPatch.context() as monkey:
        asked = Asked(Path(root), histories, group=group)
        monkey.setattr(gathering, "NewestFirst", partial(newest_first.NewestFirst, first=1))  # the most to decide
        monkey.setattr(newest_first, "NEWEST", 0)
        lazily, eagerly = asked.gather(at, 0, monkey), asked.gather(at, 10**6, monkey)
        assert choices(lazily, at) == choices(eagerly, at)
        assert lazily.empty == eagerly.empty


def few_of(found: Gathered) -> Synchronised:
    assert found.asked is not None
    return found.asked.synchronised


@pytest.mark.parametrize("days_ago", [None, 20])
def test_of_five_weeks_of_half_hourly_backups_a_handful_is_read_and_the_rest_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days_ago: int | None
) -> None:
    asked = Asked(tmp_path, {name: [Backup()] * 1680 for name in "ab"})
    at = None if days_ago is None else NOW - timedelta(days=days_ago)
    found = asked.gather(at, newest_first.FEW, monkeypatch)
    assert len(asked.repo.reads) <= 20, len(asked.repo.reads)
    for choice in choices(found, at).values():
        assert choice is not None and (at or NOW - MINUTE * 700) - choice.state.point <= MINUTE * 30
    left = len(few_of(found).unlooked) // 2
    notes = [f"{name}: {left} snapshots further from the moment were not looked at" for name in "ab"]
    assert [note.rpartition(": `")[0] for note in found.notes] == notes


@pytest.mark.parametrize(
    ("newest", "why"),
    [
        (Backup(usable=False), "of another source"),
        (Backup(readable=False), "cannot be read"),
    ],
)
def test_where_the_newest_are_passed_over_older_ones_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newest: Backup, why: str
) -> None:
    asked = Asked(tmp_path, {name: [*[Backup()] * 200, *[newest] * 30] for name in "ab"})
    found = asked.gather(None, newest_first.FEW, monkeypatch)
    for choice in choices(found, None).values():
        assert choice is not None and len(choice.passed_over) == 30 and why in choice.passed_over[0]
    assert len(set(asked.repo.reads)) < 200


def test_what_an_increment_builds_upon_is_read_however_old_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = [Backup(), *[Backup(increment=True)] * 40]
    asked = Asked(tmp_path, dict.fromkeys("ab", chain))
    found = asked.gather(None, newest_first.FEW, monkeypatch)
    assert all(choice is not None for choice in choices(found, None).values())
    assert not few_of(found).unlooked, "each builds upon the one before it"


def test_what_was_not_read_is_learned_by_whoever_needs_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(tmp_path, {name: [Backup()] * 60 for name in "ab"})
    clock = cast("Any", type("Still", (), {"now": lambda _: NOW, "monotonic": lambda _: 0.0})())
    (tmp_path / "host").mkdir()
    services = Site(tmp_path / "host").services(clock)
    monkeypatch.setattr(Services, "repository", lambda *_, **__: asked.repo)
    gathered(asked.loaded, asked.jobs, {}, RecoverRequest(), services, Quiet())
    assert len(services.catalogue.snapshots("p", "a")) < 20
    repo = cast("Any", asked.repo)
    told = services.synchronise(asked.loaded, repo, ["a", "b"])
    assert not told.unlooked and not told.vanished and not told.findings
    assert len(services.catalogue.snapshots("p", "a")) == 60


def test_of_a_group_as_many_are_read_as_a_run_of_all_may_lie_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    often, bad = Backup(after=10), Backup(after=10, usable=False)
    asked = Asked(tmp_path, {"a": [often] * 100, "b": [*[often] * 91, *[bad] * 9]}, group=True)
    lazily, eagerly = asked.gather(None, newest_first.FEW, monkeypatch), asked.gather(None, 10**6, monkeypatch)
    assert few_of(lazily).unlooked and choices(lazily, None) == choices(eagerly, None)
    runs = {c.state.snapshot.group for c in choices(lazily, None).values() if c is not None}
    assert len(runs) == 1


SHIPPED = """
crm:
  engine: postgres
  method: physical
  connection: {host: /run, user: x, database: y}
  log_shipping: {}
  backup: {schedule: "0 * * * *"}
"""


@dataclass(frozen=True)
class Shipped:
    """Hourly bases, as `base` makes them, and the log from the first on; the last one ended some minutes ago."""

    site: Site
    repo: Repository
    archive: LogArchive

    @classmethod
    def of(cls, root: Path, *, torn: tuple[int, int] | None = None) -> Shipped:
        """Segment `n` is full at minute 60 n. Those between the `torn` ones are missing."""
        site, repo = Site(root), Repository()
        site.plan(SHIPPED)
        source = Job(site.loaded(), "crm").engine.source_name
        for n in range(HOURS):
            _, manifest = base(60 * n, n)
            at, run = manifest.consistent_point, f"{manifest.consistent_point:%Y%m%dT%H%M%S}-abcdef"
            listed = RepoSnapshot(an_id(n), at, at, (ROOT,), _tags("crm", run))
            made = replace(manifest, run=run, contents={**manifest.contents, "source": source})
            repo.there.append(listed)
            repo.files[listed.id, PurePosixPath(ROOT) / MANIFEST] = manifest_text(made)
        gone = range(*torn) if torn else range(0)
        batches = [batch(n, n, 60 * (n + 1)) for n in range(HOURS + 1) if n not in gone]
        return cls(site, repo, LogArchive(tuple(batches)))

    def gather(self, at: datetime | None, few: int, monkey: pytest.MonkeyPatch) -> Gathered:
        """By a host without any state."""
        now = BEGAN + timedelta(hours=HOURS + 2)
        clock = cast("Any", type("Still", (), {"now": lambda _: now, "monotonic": lambda _: 0.0})())
        (host := self.site.root / f"host-{few}").mkdir()
        self.repo.reads.clear()
        monkey.setattr(newest_first, "FEW", few)
        monkey.setattr(Services, "repository", lambda *_, **__: self.repo)
        monkey.setattr(asking, "log_repository", lambda *_: None)
        monkey.setattr(asking, "archives_of", lambda *_: {"crm": self.archive})
        loaded = self.site.loaded()
        return gathered(loaded, [Job(loaded, "crm")], {}, RecoverRequest(at), Site(host).services(clock), Quiet())


HOURS = 300


@pytest.mark.parametrize(
    ("hours", "torn", "by"),
    [
        (None, None, HOURS - 1),
        (HOURS - 0.5, None, HOURS - 1),
        (150.5, None, 150),
        (150.5, (150, 151), 150),  # log is missing behind the base, before the moment: by the base alone
        (150.5, (140, 151), 150),
        (0.5, None, 0),
    ],
)
def test_by_the_log_the_newest_base_before_the_moment_is_chosen_and_few_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: float | None, torn: tuple[int, int] | None, by: int
) -> None:
    shipped = Shipped.of(tmp_path, torn=torn)
    at = None if hours is None else BEGAN + timedelta(hours=hours)
    lazily = shipped.gather(at, newest_first.FEW, monkeypatch)
    reads = len(set(shipped.repo.reads))
    eagerly = shipped.gather(at, 10**6, monkeypatch)
    assert choices(lazily, at) == choices(eagerly, at)
    choice = choices(lazily, at)["crm"]
    assert choice is not None and choice.state.snapshot.id == an_id(by)
    if torn is None:  # else an older base may lead nearer: all of them are read
        assert reads <= 20 and few_of(lazily).unlooked
