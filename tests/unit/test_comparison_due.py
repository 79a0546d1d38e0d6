"""When a repository is next asked what it attests of the ledger, and what is told of the last time: records alone say.
The state directory's note of the last try keeps no more than the next hour free of another one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.records import record_in
from tests.support.runs import SetClock
from tests.support.sparse import append_sparse

from ccdr.evidence.lineage.comparison import answer_for_spoilt, read
from ccdr.evidence.lineage.own_records import AGREES, DIFFERS, installation
from ccdr.jobs.attest import comparison
from ccdr.jobs.attest import comparison as claims
from ccdr.jobs.services import Services
from ccdr.model.errors import RepositoryUnavailable
from ccdr.model.values import Attestation, FileDigest, Manifest, rfc3339
from ccdr.plans import LoadedPlan
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.manifest import manifest_text, snapshot_of

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FOREVER = "9999-01-01T00:00:00Z"


class Host:
    """One plan with a snapshot, of a repository that answers what it is told to."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site = Site(root, bare=True)
        self.site.write("restore_tests/c.yaml", "restore_test: c\nchecks:\n  - {kind: identical}\n")
        self.site.plan("a: {engine: files, paths: [/srv/a]}")
        self.clock, self.asked = SetClock(START), 0
        self.answers = True
        monkeypatch.setattr(comparison, "listed_and_vanished", self.listed_and_vanished)
        self.attests(self.begun(), "o")

    def begun(self) -> Attestation:
        """A backup has begun; what its snapshot will attest of that."""
        services = self.services
        append_sparse(services.ledger, "backup.start", plan="p", asset="a", run="o", body={})
        return claims.attestation(services, services.ledger.head())

    def attests(self, said: Attestation, run: str) -> None:
        """The snapshot does, by its tags and its manifest."""
        manifest = Manifest(
            "p", "a", run, "files", "scan", "h", START, 0.0, {}, {"source": "a"}, {"f": FileDigest(1, "a" * 64)},
            attested=said,
        )  # fmt: skip
        text = manifest_text(manifest)
        self.services.catalogue.add(snapshot_of(manifest, text, sha256(b"1").hexdigest(), "/r", START), text)
        self.tags = [*said.as_tags(), f"run={run}"]

    @property
    def services(self) -> Services:
        return self.site.services(self.clock)

    def listed_and_vanished(
        self, loaded: LoadedPlan, services: Services
    ) -> tuple[list[RepoSnapshot], dict[str, list[str]]]:
        self.asked += 1
        if not self.answers:
            raise RepositoryUnavailable("it does not answer")
        tags = ["ccdr-3", "kind=backup", "plan=p", "asset=a", *self.tags]
        return [RepoSnapshot(sha256(b"1").hexdigest(), START, START, ("/",), tuple(tags))], {}

    def run(self, times: int = 1, every: timedelta = timedelta(minutes=5)) -> int:
        """How often the repository was asked by so many runs."""
        before = self.asked
        for _ in range(times):
            comparison.compare_due([self.site.loaded()], self.services)
            self.clock.on(seconds=every.total_seconds())
        return self.asked - before

    def noted(self, said: object) -> None:
        (self.site.state / "compared.json").write_text(json.dumps(said))

    @property
    def shown(self) -> str:
        """What `status` says, to people."""
        return self.site.plainly("status", "-v").stdout

    def goes_wrong(self) -> None:
        """From now on a snapshot attests a ledger that this one is not."""
        self.tags = ["ledger=" + "0" * 32, "ledger_seq=oops"]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_a_repository_is_asked_once_a_day_and_its_answer_recorded(host: Host) -> None:
    assert host.run(12 * 24 * 3) == 3
    assert [r["whole"] for r in host.site.records("ledger.compared")] == [True] * 3


def test_after_a_finding_it_is_asked_each_hour(host: Host) -> None:
    good = host.tags
    host.goes_wrong()
    assert host.run(12 * 5) == 5
    found = read(host.services.state, host.services.ledger).compared["p"]
    assert found.result == DIFFERS and found.problems
    host.tags = good
    assert host.run(13) >= 1 and read(host.services.state, host.services.ledger).compared["p"].result == AGREES
    assert host.run(12) == 0, "once it agrees, a day is long enough"


def test_one_that_does_not_answer_is_asked_each_hour_and_not_by_each_run(host: Host) -> None:
    host.answers = False
    assert host.run(12 * 5) == 5 and host.site.records("ledger.compared") == []
    host.answers = True
    assert host.run(13) >= 1 and len(host.site.records("ledger.compared")) == 1


@pytest.mark.parametrize("wrong", [False, True], ids=["well", "a finding stands"])
@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(minutes=4), HOUR, DAY, 400 * DAY])
def test_what_a_file_says_of_the_last_comparison_puts_the_next_off_by_an_hour_at_most(
    host: Host, ahead: timedelta, wrong: bool
) -> None:
    """It says so in this version's way, and in the one before's."""
    if wrong:
        host.goes_wrong()
    host.run()
    host.clock.on(days=2)
    at = rfc3339(host.clock.at + ahead)
    for said in (at, {"looked": at, "whole": at, "tried": at, "seen": [7, True]}, FOREVER, 7, None, [at]):
        host.noted({"p": said})
        assert host.run(3, every=timedelta(minutes=40)) >= 1, said
        host.clock.on(days=2)


def test_a_comparison_that_no_record_tells_of_is_not_shown(host: Host) -> None:
    at = rfc3339(host.clock.at)
    host.noted({"p": {"looked": at, "whole": at, "tried": at, "seen": [7, True]}})
    assert "all agreed" not in host.shown
    host.noted({})
    host.run()
    (record,) = host.site.records("ledger.compared")
    said = f"all agreed on {record['time'][:16].replace('T', ' ')} UTC"
    assert said in host.shown
    host.noted({"p": {"looked": FOREVER, "seen": [7, True]}})
    assert said in host.shown


def test_a_look_at_the_newest_alone_puts_off_no_look_at_all_of_them(host: Host) -> None:
    host.run()
    for _ in range(30):
        host.clock.on(hours=1)
        listed, _ = host.listed_and_vanished(host.site.loaded(), host.services)
        comparison.compared(host.services, "p", listed, recent=True)
    assert [r["whole"] for r in host.site.records("ledger.compared")] == [True, False]
    assert host.run() == 1, "the last of all of them is of yesterday"
    assert [r["whole"] for r in host.site.records("ledger.compared")] == [True, False, True]


def test_a_line_that_somebody_answers_for_contradicts_no_snapshot_and_any_other_does(host: Host) -> None:
    """The snapshot attests the line as it was before it was changed."""
    services = host.services
    append_sparse(services.ledger, "backup.start", plan="p", asset="a", run="r", body={})
    record_in(services.ledger, "sandbox.reap", plan=None, asset=None, run=None, body={"removed": []})
    start, head = services.ledger.head().seq - 1, services.ledger.head()
    own, mine = read(services.state, services.ledger).ledger, installation(services.state, services.ledger.host)
    prev = services.ledger.hash_of(start)
    said = Attestation(str(own), head.seq, head.hash, start, mine, prev)
    host.attests(said, "r")
    listed, _ = host.listed_and_vanished(host.site.loaded(), services)
    assert claims.compare(services, "p", listed).problems == ()
    (segment,) = services.ledger.directory.glob("*.jsonl")
    *lines, last = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines) + b"[" + last[1:])
    record_in(services.ledger, "sandbox.reap", plan=None, asset=None, run=None, body={"removed": []})
    (told,) = claims.compare(services, "p", listed).problems
    assert "it was rewritten" in told
    assert answer_for_spoilt(services.state, services.ledger, "the disk is bad") == [head.seq]
    assert claims.compare(services, "p", listed).problems == ()
    host.attests(replace(said, start=start - 1), "r")
    planted, _ = host.listed_and_vanished(host.site.loaded(), services)
    (told,) = claims.compare(services, "p", planted).problems
    assert "no record knows its run" in told


def crashed(host: Host) -> Attestation:
    """A backup has stored its snapshot and is killed: its start is the newest record, which the snapshot attests."""
    ledger = host.services.ledger
    append_sparse(ledger, "backup.start", plan="p", asset="a", run="q", body={})
    append_sparse(ledger, "backup.start", plan="p", asset="a", run="r", body={})
    said = claims.attestation(host.services, ledger.head())
    assert said is not None and said.start == said.seq
    host.attests(said, "r")
    return said


def garbled(host: Host, change: bytes = b"") -> None:
    """By a bad sector, and somebody answers for it; `change`: and the record before is another's, chained anew."""
    ledger = host.services.ledger
    (segment,) = ledger.directory.glob("*.jsonl")
    *lines, before, last = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines) + before.replace(b'"run":"q"', change or b'"run":"q"') + b"[" + last[1:])
    answer_for_spoilt(host.services.state, ledger, "the disk is bad")


def problems_of(host: Host, *more: RepoSnapshot) -> tuple[str, ...]:
    listed, _ = host.listed_and_vanished(host.site.loaded(), host.services)
    return claims.compare(host.services, "p", [*listed, *more]).problems


def test_a_start_that_somebody_answers_for_is_known_to_its_one_run(host: Host) -> None:
    said = crashed(host)
    assert problems_of(host) == ()
    garbled(host)
    assert problems_of(host) == ()
    for tags in (["run=x", *said.as_tags()], ["run=r", *replace(said, head="0" * 64).as_tags()]):
        tagged = ("ccdr-3", "kind=backup", "plan=p", "asset=a", *tags)
        (told,) = problems_of(host, RepoSnapshot("b" * 64, START, START, ("/",), tagged))
        assert "no record knows its run" in told, "one line was one run's start"


@pytest.mark.parametrize("how", ["a record before it is changed", "the snapshot tells another one before it"])
def test_what_a_snapshot_attests_of_a_lost_line_binds_all_before_it(host: Host, how: str) -> None:
    said = crashed(host)
    if "tells another" in how:
        host.attests(replace(said, prev="0" * 64), "r")
    garbled(host, b'"run":"y"' if "changed" in how else b"")
    assert any("it was rewritten" in one for one in problems_of(host))
