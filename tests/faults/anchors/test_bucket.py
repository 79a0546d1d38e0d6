"""An evidence bucket at a real S3 server: a host puts, an auditor takes in and verifies; and whatever somebody does there
with the host's credential shows."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs
from tests.support.clocks import Clock
from tests.support.evidence_server import CUSTOMERS, LOCKED, UNLOCKED, EvidenceServer
from tests.support.faulty_proxy import FaultyProxy, Mode, faulty_proxy
from tests.support.harness import Ran, Site
from tests.support.records import record_in
from tests.support.stored import copy_of, settled_file, with_repository
from tests.support.verified import World

from ccdr.evidence.checkpoints.checkpoint import Checkpoint, origin_of
from ccdr.evidence.records import of_mapping
from ccdr.evidence.records.plans import version_of
from ccdr.jobs.checkpoints import creation as signing_keys
from ccdr.jobs.checkpoints.creation import make
from ccdr.jobs.checkpoints.publishing import Publishing, stretches
from ccdr.jobs.in_force import plan_version
from ccdr.model.errors import CcdrError
from ccdr.storage.evidence_bucket import EvidenceBucket, checkpoint_key, plan_key, segment_key
from ccdr.storage.s3 import Refused

if TYPE_CHECKING:
    from tests.faults.anchors.conftest import Anchored

_VERIFIED = {
    "result": "HOLDS", "reason": None, "records": 1, "head": "0" * 64, "summary": "NONE", "problems": [], "index": {},
}  # fmt: skip


class Host:
    """A host whose ledger a key signs, and that puts it into a folder of its own in the bucket."""

    def __init__(self, site: Site, server: EvidenceServer, bucket: str = LOCKED) -> None:
        self.world, self.server, self.bucket = World(site, Clock(datetime.now(UTC))), server, bucket
        self.pin = str(signing_keys.create(self.world.services).key)
        self.folder = secrets.token_hex(4)
        self.ledger = str(self.world.services.lineage().ledger)
        self.origin = origin_of(self.ledger)

    @property
    def store(self) -> EvidenceBucket:
        return self.server.by("host", self.folder, self.bucket)

    def work(self) -> None:
        record_in(self.world.ledger, "ledger.verified", plan=None, asset=None, run=None, body=_VERIFIED)

    def publish(self) -> Checkpoint:
        made = make(self.world.services).checkpoint
        Publishing(self.store, self.world.services).publish(made)
        return made

    @property
    def put(self) -> Path:
        """How far the bucket has it."""
        (kept,) = (self.world.site.state / "checkpoints" / self.ledger / "put").iterdir()
        return kept

    @property
    def url(self) -> str:
        return self.server.url(self.folder, self.bucket)


class Auditor:
    """A bare machine, without plans: a credential for the evidence bucket, and the host's public key."""

    def __init__(self, root: Path, host: Host | Working, who: str = "auditor") -> None:
        root.mkdir(exist_ok=True)
        self.site, self.host = Site(root, bare=True), host
        self.env = self.site.write("auditor.env", host.server.env_file(who), mode=0o600)

    def collect(self) -> Ran:
        return self.site.run("ledger", "collect", self.host.url, "--env-file", str(self.env))

    def found(self) -> tuple[int, set[str]]:
        done = self.collect()
        return done.code, {one["code"] for of in done.json["ledgers"] for one in of["findings"]}

    def verify(self, *more: str) -> Ran:
        return self.site.run("ledger", "verify", "--ledger", self.host.ledger[:8], "--pin", self.host.pin, *more)

    def verdict(self) -> tuple[int, str | None, set[str]]:
        done = self.verify()
        return done.code, done.json["says"], {one["code"] for one in done.json["findings"]}

    def lines(self) -> bytes:
        there = self.site.state / "ledgers" / self.host.ledger
        return b"".join(path.read_bytes() for path in sorted(there.glob("*.jsonl")))


def lived(root: Path) -> Site:
    """With a day of records."""
    root.mkdir()
    site = Site(root)
    site.recordings(root / "spool")
    World(site, Clock(datetime.now(UTC))).lived()
    return site


@pytest.fixture
def host(tmp_path: Path, evidence: EvidenceServer) -> Host:
    return Host(lived(tmp_path / "host"), evidence)


@pytest.fixture
def auditor(tmp_path: Path, host: Host) -> Auditor:
    return Auditor(tmp_path / "auditor", host)


def own_lines(host: Host) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((host.world.site.state / "ledger").glob("*.jsonl")))


def test_an_auditor_with_bucket_and_key_alone_verifies_the_ledger(host: Host, auditor: Auditor) -> None:
    first = host.publish()
    done = auditor.collect()
    assert done.code == 0, done
    (one,) = done.json["ledgers"]
    assert (one["ledger"], one["records"], one["checkpoints"], one["findings"]) == (host.ledger, first.size, 1, [])
    assert auditor.lines() == own_lines(host), "exact bytes"
    checked = auditor.verify()
    assert (checked.code, checked.json["says"]) == (0, "verified"), checked
    assert checked.json["boundary"]["record"] == first.size and "object_lock" in checked.json["boundary"]["anchor"]
    assert auditor.site.run("ledger", "verify").code == 0
    auditor.site.ledger_holds()


def test_the_second_time_only_what_is_new_is_fetched(
    host: Host, auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.publish()
    assert auditor.collect().code == 0
    host.work()
    host.work()
    second = host.publish()
    fetched: list[str] = []
    really, contents = EvidenceBucket.lines, EvidenceBucket.contents
    monkeypatch.setattr(EvidenceBucket, "lines", lambda s, one: (fetched.append(one.key), really(s, one))[1])
    monkeypatch.setattr(EvidenceBucket, "contents", lambda s, one: (fetched.append(one.key), contents(s, one))[1])
    done = in_process(auditor)
    assert fetched == [checkpoint_key(host.origin, second.size), segment_key(host.origin, second.size - 1, second.size)]
    assert done[0]["new"] == 2 and auditor.lines() == own_lines(host)
    fetched.clear()
    assert in_process(auditor)[0]["new"] == 0 and fetched == []
    assert auditor.verdict() == (0, "verified", set())


def in_process(auditor: Auditor) -> list[dict[str, Any]]:
    from ccdr.jobs.attest.other_ledgers import collect_bucket

    store = auditor.host.server.by("auditor", auditor.host.folder, auditor.host.bucket)
    found = collect_bucket(store, auditor.site.services())
    assert not any(one.findings for one in found), found
    return [one.as_json() for one in found]


def test_what_was_put_twice_after_a_crash_is_no_fork(host: Host, auditor: Auditor) -> None:
    """The segment arrived and the checkpoint did not; and a whole put was repeated."""
    made = host.publish()
    host.put.unlink()
    host.publish()
    host.work()
    host.put.unlink()
    assert host.publish().size == made.size + 1
    assert auditor.found() == (0, set())
    assert auditor.verdict() == (0, "verified", set()) and auditor.lines() == own_lines(host)


def test_another_version_over_a_checkpoint_is_a_fork_and_the_oldest_counts(host: Host, auditor: Auditor) -> None:
    """By who has the host's credential: the host, or a thief on it."""
    made = host.publish()
    assert auditor.found() == (0, set())
    host.store.put(checkpoint_key(host.origin, made.size), made.contents.replace(b"\n\n", b"0\n\n", 1))
    assert auditor.found() == (1, {"FORK"})
    code, says, found = auditor.verdict()
    assert (code, says) == (1, None) and found == {"FORK"}
    assert auditor.verify().json["boundary"]["record"] == made.size, "the oldest one still says what it said"


def test_other_lines_over_a_segment_are_a_fork_and_the_oldest_count(host: Host, auditor: Auditor) -> None:
    made = host.publish()
    changed = own_lines(host).replace(b'"FAIL"', b'"PASS"')
    host.store.put(segment_key(host.origin, 1, made.size), changed)
    assert auditor.found() == (1, {"FORK"}) and auditor.lines() == own_lines(host)


def test_a_delete_marker_is_told_and_hides_nothing(host: Host, auditor: Auditor) -> None:
    made = host.publish()
    client = host.server.admin()
    client.delete_object(Bucket=LOCKED, Key=f"{host.folder}/{checkpoint_key(host.origin, made.size)}")
    client.delete_object(Bucket=LOCKED, Key=f"{host.folder}/{segment_key(host.origin, 1, made.size)}")
    assert auditor.found() == (1, {"REMOVED"}) and auditor.lines() == own_lines(host)
    assert auditor.verdict() == (1, None, {"REMOVED"})


def test_a_missing_segment_is_told_and_nothing_behind_it_is_taken(host: Host, auditor: Auditor) -> None:
    first = host.publish()
    host.work()
    host.put.write_text(json.dumps({"until": first.size + 1, "plans": []}))
    host.work()
    host.publish()
    assert auditor.found() == (1, {"SEGMENT_MISSING", "RECORDS_CUT_OFF"})
    assert len(auditor.lines().splitlines()) == first.size
    code, says, found = auditor.verdict()
    assert (code, says) == (1, None) and {"SEGMENT_MISSING", "RECORDS_CUT_OFF"} <= found
    host.put.write_text(json.dumps({"until": first.size, "plans": []}))  # and once it is there, all is well
    host.work()
    host.publish()
    assert auditor.found() == (0, set()) and auditor.verdict() == (0, "verified", set())


def test_lines_that_end_before_a_checkpoint_are_found(host: Host, auditor: Auditor) -> None:
    host.publish()
    host.work()
    made = make(host.world.services).checkpoint
    host.store.put(checkpoint_key(host.origin, made.size), made.contents)
    code, found = auditor.found()
    assert code == 1 and "SEGMENT_MISSING" in found
    assert auditor.verdict()[0] == 1


def test_two_hosts_of_one_origin_are_a_fork(host: Host, auditor: Auditor, tmp_path: Path) -> None:
    """A machine was copied with its state, and both go on."""
    host.publish()
    assert auditor.found() == (0, set())
    shutil.copytree(host.world.site.root, tmp_path / "twin")
    other = World(Site(tmp_path / "twin"), host.world.clock)
    host.work()
    host.publish()
    record_in(other.ledger, "ledger.verified", plan=None, asset=None, run=None, body={**_VERIFIED, "records": 2})
    record_in(other.ledger, "ledger.verified", plan=None, asset=None, run=None, body={**_VERIFIED, "records": 3})
    Publishing(host.store, other.services).publish(make(other.services).checkpoint)
    code, found = auditor.found()
    assert code == 1 and "FORK" in found
    assert auditor.lines() == own_lines(host), "whichever was there first counts"
    assert auditor.found()[0] == 1, "and it stays found"
    assert auditor.verdict()[:2] == (1, None)


@pytest.mark.parametrize("again", [False, True])
def test_a_rewrite_on_the_host_shows_with_the_next_segment(host: Host, auditor: Auditor, again: bool) -> None:
    """Whether it puts what came since, which does not follow on, or all of it `again`."""
    host.publish()
    assert auditor.found() == (0, set())
    lines = [json.loads(line) for line in own_lines(host).splitlines()]
    lines[1]["actor"], prev, made = "mallory", "0" * 64, b""
    for record in lines:
        line = json.dumps({**record, "prev": prev}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        prev, made = sha256(line).hexdigest(), made + line
    (segment,) = (host.world.site.state / "ledger").glob("*.jsonl")
    segment.write_bytes(made)
    (host.world.site.state / "chain.json").unlink(missing_ok=True)
    there = host.world.site.state / "checkpoints" / host.ledger
    for path in there.iterdir():
        if path.is_file():
            path.unlink()
    if again:
        shutil.rmtree(there / "put")
    host.work()
    host.publish()
    code, found = auditor.found()
    assert code == 1 and "FORK" in found and auditor.verdict()[0] == 1


def test_what_the_bucket_does_not_lock_is_no_independent_anchor(tmp_path: Path, evidence: EvidenceServer) -> None:
    """The healthy twin is the first one."""
    host = Host(lived(tmp_path / "host"), evidence, UNLOCKED)
    host.publish()
    auditor = Auditor(tmp_path / "auditor", host)
    assert auditor.found() == (0, set())
    assert auditor.verdict() == (3, "internally consistent", set())


def test_a_hosts_own_ledger_is_not_taken_in_and_is_held_to_the_bucket(host: Host, tmp_path: Path) -> None:
    host.publish()
    env = host.world.site.write("auditor.env", host.server.env_file("auditor"), mode=0o600)
    done = host.world.site.run("ledger", "collect", host.url, "--env-file", str(env))
    (one,) = done.json["ledgers"]
    assert done.code == 0 and one["own"] and one["checkpoints"] == 1 and one["findings"] == []
    assert not (host.world.site.state / "ledgers").exists()


def test_a_new_host_takes_in_the_ledger_that_it_lost(host: Host, tmp_path: Path) -> None:
    made = host.publish()
    new = Auditor(tmp_path / "new", host)
    new.site.recordings(tmp_path / "spool")
    assert new.found() == (0, set())
    done = new.site.run("ledger", "verify")
    assert done.code == 0 and done.json["others"][host.ledger]["records"] == made.size
    assert done.json["ledger"] != host.ledger


@pytest.mark.parametrize(("puts", "reads"), [("host", "auditor"), ("by-policy-evidence", "by-policy-auditor")])
def test_the_auditor_cannot_read_customers_data_nor_write_and_the_host_cannot_read(
    host: Host, puts: str, reads: str
) -> None:
    """By coarse actions, and by the policies that ccdr prints."""
    host.folder = f"policies/{host.folder}"
    host.publish()
    by_auditor, by_host = host.server.by(reads, host.folder), host.server.by(puts, "policies")
    customers = host.server.by(reads, "r", CUSTOMERS)
    (version,) = EvidenceBucket(host.server.store.bucket(CUSTOMERS), "r/").versions("config")
    assert by_host.put("canaries/x", b"x").version and by_auditor.versions("checkpoints/"), "each may do its work"
    assert by_auditor.contents(by_auditor.versions("checkpoints/")[0])[1] is not None, "and the auditor sees the lock"
    (canary, *_) = host.server.by(reads, "policies").versions("canaries/x")
    for refused in (
        lambda: customers.contents(version),
        lambda: customers.versions(""),
        lambda: by_auditor.put("checkpoints/x", b"x"),
        lambda: by_host.versions(""),
        lambda: by_host.contents(canary),
    ):
        with pytest.raises(Refused) as said:
            refused()
        assert said.value.code == "AccessDenied"


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Recordings that were backed up, and came back."""
    site = with_repository(Site(tmp_path_factory.mktemp("tested")))
    settled_file(site.root / "tree" / "a.wav", b"sound" * 1000)
    site.recordings(site.root / "tree")
    site.backed_up()
    assert site.run("test", "p").code == 0
    return site


def test_an_auditor_without_plans_gets_report_and_export(
    tested: Site, evidence: EvidenceServer, tmp_path: Path
) -> None:
    """By the versions of plans that the records hold."""
    site = copy_of(tested, tmp_path / "host")
    host = Host(site, evidence)
    host.publish()
    auditor = Auditor(tmp_path / "auditor", host)
    assert auditor.collect().code == 0
    shutil.rmtree(auditor.site.root / "plans")
    shutil.rmtree(auditor.site.root / "restore_tests")
    done = auditor.site.run("report", "--since", "7d")
    assert done.code == 3 and done.json["answer"]["word"] == "Not proven", done
    assert "no plan lies here" in done.json["answer"]["sentence"].lower()
    assert [one["asset"] for one in done.json["assets"]] == ["recordings"]
    assert len(done.json["tests"]) == 1
    page = tmp_path / "report.html"
    assert auditor.site.run("report", "--since", "7d", "--format", "html", "--out", str(page)).code == 3
    assert "recordings" in page.read_text()
    exported = auditor.site.run("ledger", "export", str(tmp_path / "export"))
    assert exported.code == 0, exported
    shutil.copytree(tested.root / "plans", auditor.site.root / "plans")  # by copies of the plans it is judged
    shutil.copytree(tested.root / "restore_tests", auditor.site.root / "restore_tests")
    judged = auditor.site.run("report", "--since", "7d")
    assert judged.json["assets"][0]["in_plans"] and judged.json["assets"][0]["objectives"], judged


def test_an_auditor_with_the_bucket_alone_gets_a_report_that_judges(
    tested: Site, evidence: EvidenceServer, tmp_path: Path
) -> None:
    """Where the host puts its plans there, too: as they are in force."""
    site = copy_of(tested, tmp_path / "host")
    host = Host(site, evidence)
    publishing = Publishing(host.store, host.world.services, with_plans=True)
    publishing.publish(make(host.world.services).checkpoint)
    plan = site.root / "plans/p.yaml"
    plan.write_text(plan.read_text().replace("ops@example.test", "others@example.test"))
    assert site.run("test", "p").code == 0
    publishing.publish(make(host.world.services).checkpoint)
    put = len(host.server.by("auditor", host.folder).versions("plans/"))
    host.work()
    publishing.publish(make(host.world.services).checkpoint)
    assert len(host.server.by("auditor", host.folder).versions("plans/")) == put == 4, "each version once"
    auditor = Auditor(tmp_path / "auditor", host)
    done = auditor.collect()
    (one,) = done.json["ledgers"]
    there = Path(one["plans"])
    assert done.code == 0 and there.is_relative_to(auditor.site.state), done
    for name in ("plans/p.yaml", "restore_tests/recordings.yaml"):
        assert (there / name).read_bytes() == (site.root / name).read_bytes()
    argv = auditor.site.argv("ledger", "collect", host.url, "--env-file", str(auditor.env))
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert f"--plans {there}/plans --restore-tests {there}/restore_tests report" in told
    shutil.rmtree(auditor.site.root / "plans")
    auditor.site.root.joinpath("restore_tests").rename(tmp_path / "gone")
    shutil.copytree(there, auditor.site.root, dirs_exist_ok=True)
    judged = auditor.site.run("report", "--since", "7d")
    assert judged.json["answer"]["word"].startswith("Yes"), "as its host says" if judged.json else judged
    assert judged.json["answer"]["word"] == site.run("report", "--since", "7d").json["answer"]["word"]
    mine = auditor.site.root / "plans/p.yaml"
    mine.write_text(mine.read_text().replace("rpo: 1h", "rpo: 90d"))
    doctored = auditor.site.run("report", "--since", "7d")
    assert doctored.code == 2 and "had in force" in doctored.json["error"], doctored
    assert judged.json["assets"][0]["in_plans"] and judged.json["assets"][0]["objectives"], judged


def test_a_plan_that_is_not_what_its_record_tells_of_is_told_and_not_taken(
    tested: Site, evidence: EvidenceServer, tmp_path: Path
) -> None:
    """Put first, or over it: by who has the host's credential."""
    site = copy_of(tested, tmp_path / "host")
    host = Host(site, evidence)
    version = site.records("plan.version")[-1]["digest"]
    host.store.put(plan_key(host.origin, version, "plans/p.yaml"), b"plan: p\nobjectives: {rpo: 900d}\n")
    host.store.put(plan_key(host.origin, "0" * 64, "plans/q.yaml"), b"plan: q\n")
    Publishing(host.store, host.world.services, with_plans=True).publish(make(host.world.services).checkpoint)
    auditor = Auditor(tmp_path / "auditor", host)
    done = auditor.collect()
    (one,) = done.json["ledgers"]
    assert done.code == 1 and {found["code"] for found in one["findings"]} >= {"PLAN_UNLIKE"}, done
    assert one["plans"] is None and not list(auditor.site.state.glob("collected/**/*.yaml"))
    assert auditor.verdict()[0] == 1, "and it stays told"


def test_a_plan_that_was_not_kept_once_is_put_later_and_one_that_is_gone_is_taken_away(
    tested: Site, evidence: EvidenceServer, tmp_path: Path
) -> None:
    site = copy_of(tested, tmp_path / "host")
    host = Host(site, evidence)
    publishing = Publishing(host.store, host.world.services, with_plans=True)
    kept = site.state / "plans/p"
    kept.rename(kept.with_name("away"))
    publishing.publish(make(host.world.services).checkpoint)
    auditor = Auditor(tmp_path / "auditor", host)
    assert auditor.collect().json["ledgers"][0]["plans"] is None
    kept.with_name("away").rename(kept)
    host.work()
    publishing.publish(make(host.world.services).checkpoint)
    there = Path(auditor.collect().json["ledgers"][0]["plans"])
    assert {path.name for path in there.rglob("*.yaml")} == {"p.yaml", "recordings.yaml"}
    version = version_of(of_mapping(site.records("plan.version")[-1]))
    assert version is not None
    host.world.ledger.write(plan_version("p", {}, structs.replace(version.facts, assets={}), version))
    publishing.publish(make(host.world.services).checkpoint)
    done = auditor.collect()
    assert (done.code, done.json["ledgers"][0]["plans"]) == (0, None) and not list(there.rglob("*.yaml"))


def test_a_ledger_of_many_pieces_comes_whole_and_goes_on_where_it_was_given_up(
    tmp_path: Path, evidence: EvidenceServer
) -> None:
    """A first put may take longer than a run has time for."""
    (tmp_path / "host").mkdir()
    site = Site(tmp_path / "host")
    site.recordings(tmp_path / "spool")
    World(site, Clock(datetime.now(UTC)), small=True).lived()
    host = Host(site, evidence)
    assert len(list((site.state / "ledger").glob("*.jsonl"))) > 3
    made, asked = make(host.world.services).checkpoint, iter([True, True, False])
    publishing = Publishing(host.store, host.world.services, at_once=900)
    with pytest.raises(CcdrError, match="by now"):
        publishing.publish(made, lambda: next(asked))
    auditor = Auditor(tmp_path / "auditor", host)
    assert auditor.found() == (0, set()) and own_lines(host).startswith(auditor.lines())
    done = publishing.publish(made)
    assert done.objects == len(list(stretches(site.state / "ledger", 0, made.size, 900))) - 2
    assert auditor.found() == (0, set()) and auditor.lines() == own_lines(host)
    assert auditor.verdict() == (0, "verified", set())
    assert publishing.publish(made).objects == 0, "repeated, nothing but the checkpoint"
    assert auditor.found() == (0, set())


def test_what_was_set_aside_of_a_changed_line_comes_along(host: Host, auditor: Auditor) -> None:
    """Its record alone would be a finding for whoever has no more."""
    segment = sorted((host.world.site.state / "ledger").glob("*.jsonl"))[-1]
    with segment.open("ab") as file:
        file.write(b'{"seq":')
    host.work()
    host.publish()
    (torn,) = (host.world.site.state / "ledger").glob("torn-*.bin")
    assert auditor.found() == (0, set())
    assert (auditor.site.state / "ledgers" / host.ledger / torn.name).read_bytes() == torn.read_bytes()


class Working:
    """A host that anchors by anchors.yaml: into a bucket, through a proxy that can fail, and by an authority."""

    def __init__(self, anchored: Anchored, server: EvidenceServer, proxy: FaultyProxy) -> None:
        self.site, self.anchored, self.server, self.proxy = anchored.site, anchored, server, proxy
        self.pin, self.folder, self.bucket = anchored.pin, secrets.token_hex(4), LOCKED
        self.ledger = str(self.site.services().lineage().ledger)
        self.url = server.url(self.folder)
        self.site.write("evidence.env", server.env_file("host"), mode=0o600)
        url = self.url.replace(server.store.endpoint, proxy.endpoint)
        bucket = f"name: bucket, kind: object_lock, url: '{url}', env_file: evidence.env, every: 1m"
        anchored.configured(bucket, anchored.by_tsa(every="1m"))

    def anchors(self, done: Ran) -> dict[str, bool]:
        return {one["name"]: one["why"] is None for one in done.json["anchors"]}


@pytest.fixture
def working(anchored: Anchored, evidence: EvidenceServer) -> Iterator[Working]:
    with faulty_proxy(evidence.store.endpoint) as proxy:
        yield Working(anchored, evidence, proxy)


def test_a_checkpoint_is_anchored_in_the_bucket_and_tokens_come_with_the_next_lines(
    working: Working, tmp_path: Path
) -> None:
    done = working.anchored.checkpoint()
    assert done.code == 0 and working.anchors(done) == {"bucket": True, "tsa": True}, done
    (receipt,) = working.anchored.receipts.glob("*.bucket.json")
    where = json.loads(receipt.read_text())["where"]
    assert where["bucket"] == LOCKED and where["version"] and where["key"].endswith(f"{done.json['records']:012}")
    working.anchored.works()
    done = working.anchored.checkpoint()
    assert done.code == 0, done
    auditor = Auditor(tmp_path / "auditor", working)
    assert auditor.found() == (0, set()) and auditor.verdict() == (0, "verified", set())
    by_tsa = auditor.verify("--tsa", str(working.anchored.tsa.authority.ca))
    assert by_tsa.code == 0 and by_tsa.json["boundary"]["record"] == done.json["records"]
    assert len(list((auditor.site.state / "checkpoints" / working.ledger / "anchors").iterdir())) == 1
    working.site.ledger_holds()


@pytest.mark.parametrize("fault", ["5xx", "reset"])
def test_a_bucket_that_fails_fails_no_run_and_the_next_one_goes_on(
    working: Working, tmp_path: Path, fault: Mode
) -> None:
    healthy = working.anchored.checkpoint()
    assert healthy.code == 0, healthy
    (working.site.root / "spool").mkdir()
    before = working.site.run("run").code
    working.proxy.set(fault)
    working.anchored.fails()  # it is signed at once
    done = working.site.run("run")
    assert done.code == before, done
    failed = working.anchored.checkpoint()
    assert failed.code == 3 and working.anchors(failed) == {"bucket": False, "tsa": True}, failed
    working.proxy.set("pass")
    working.anchored.works()
    assert working.anchored.checkpoint().code == 0
    assert Auditor(tmp_path / "auditor", working).found() == (0, set())


def test_a_bucket_that_stalls_is_given_up_and_the_others_are_made(working: Working) -> None:
    from ccdr.jobs.checkpoints.creation import make
    from ccdr.plans.anchors import anchors_beside
    from ccdr.telling.anchoring import anchor_newest

    services = working.site.services()
    make(services)
    working.proxy.set("stall")
    anchors = tuple(anchors_beside(working.site.root / "plans"))
    outcomes = anchor_newest(anchors, services, services.lineage(), every=True, seconds=2.0)
    assert {one.name: one.why is None for one in outcomes} == {"bucket": False, "tsa": True}, outcomes


def test_a_credential_that_may_not_put_is_told_and_no_secret_is(working: Working) -> None:
    working.site.write("evidence.env", working.server.env_file("auditor"), mode=0o600)
    done = working.anchored.checkpoint()
    (why,) = (one["why"] for one in done.json["anchors"] if one["name"] == "bucket")
    assert done.code == 3 and "AccessDenied" in why
    assert "secret-of-auditor" not in str(done)


def test_a_bucket_that_is_not_there_and_one_without_evidence(auditor: Auditor) -> None:
    done = auditor.collect()
    assert done.code == 2 and "no evidence" in done.stderr
    run = auditor.site.run
    assert run("ledger", "collect", "s3:http://127.0.0.1:1/evidence", "--env-file", str(auditor.env)).code == 3
    assert run("ledger", "collect", str(auditor.site.root), "--env-file", str(auditor.env)).code == 2
