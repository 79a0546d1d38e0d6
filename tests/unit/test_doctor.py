"""What `ccdr doctor` makes of what it sees: every red line has its green twin. No Docker, no network but loopback."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from tests.support.harness import PASSWORD, ShiftedClock, Site, in_background
from tests.support.older import append_older
from tests.support.stored import settled_file

from ccdr.engines.base import Canary as ShippingCanary
from ccdr.engines.base import LogShipping
from ccdr.engines.mariadb import rights as maria_rights
from ccdr.engines.postgres import rights
from ccdr.engines.postgres.connection import Connection
from ccdr.engines.postgres.physical import rights as physical_rights
from ccdr.evidence.history import AssetHistory
from ccdr.host.clock import SystemClock
from ccdr.host.nearby import mount_of
from ccdr.host.processes import Host
from ccdr.model.errors import Exit, RepositoryUnavailable
from ccdr.model.values import Health, Look
from ccdr.plans.job import Job
from ccdr.plans.repository_url import http_address
from ccdr.setup.doctor import Diagnosis, Finding, machine, readiness, repository
from ccdr.setup.doctor.bucket import _configured, _deletion, _enforced
from ccdr.setup.doctor.secret_files import secrets
from ccdr.storage.endpoint import server_time
from ccdr.storage.s3 import Bucket, Canary, ObjectLock, _open_statements

OK, WARN, FAIL, UNKNOWN = Health.OK, Health.WARN, Health.FAIL, Health.UNKNOWN


def states(looks: Iterable[Look]) -> list[Health]:
    found = list(looks)
    assert all((look.do is None) == (look.state is OK) for look in found), "every line that is not OK says what to do"
    return [look.state for look in found]


@pytest.fixture
def plain(site: Site) -> Site:
    """A plan for a tree, in a repository that is not there yet."""
    site.bare = True
    settled_file(site.root / "tree" / "a.wav", b"sound")
    site.recordings(site.root / "tree")
    return site


# --- exit codes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        ([], Exit.OK),
        ([OK, WARN], Exit.OK),
        ([OK, UNKNOWN], Exit.NOT_CARRIED_OUT),
        ([UNKNOWN, FAIL], Exit.FINDING),
    ],
)
def test_exit_code_is_of_the_worst_line(seen: list[Health], code: Exit) -> None:
    assert Diagnosis(tuple(Finding(None, None, Look("it", s, "found")) for s in seen)).exit_code is code


# --- this host ------------------------------------------------------------------------------------------------


def fake_restic(directory: Path, says: str) -> Host:
    program = directory / "restic"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return Host(dirs=(str(directory),))


@pytest.mark.parametrize(
    ("says", "state"),
    [
        ("restic 0.18.0 compiled with go1.24.4 on linux/amd64", OK),
        ("restic 1.0.0", OK),
        ("restic 0.17.3 compiled with go", WARN),
        ("restic 0.16.4 compiled with go", FAIL),
        ("restic 0.9.6", FAIL),
        ("what?", FAIL),
    ],
)
def test_restic_is_new_enough(tmp_path: Path, says: str, state: Health) -> None:
    assert states(machine.programs(fake_restic(tmp_path, says)))[-1] is state


def test_no_restic_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    *_, last = machine.programs(Host())
    assert last.state is FAIL and "not installed" in last.found


MOUNTS = r"""
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:27 / /var/lib/ccdr/scratch rw - tmpfs tmpfs rw
31 27 253:1 / /mnt/with\040space rw shared:1 master:2 - xfs /dev/mapper/crypt rw
32 27 8:1 / /mnt/over rw - ext4 /dev/sda1 rw
33 32 8:2 / /mnt/over rw - ext3 /dev/sda2 rw
garbage
""".splitlines()


@pytest.mark.parametrize(
    ("path", "kind", "device"),
    [
        ("/home/x", "ext4", "254:0"),
        ("/var/lib/ccdr/scratch/run-1", "tmpfs", "0:27"),
        ("/var/lib/ccdr/scratchy", "ext4", "254:0"),
        ("/mnt/with space/a", "xfs", "253:1"),
        ("/mnt/over/a", "ext3", "8:2"),
    ],
)
def test_mount_of_a_path(path: str, kind: str, device: str) -> None:
    found = mount_of(Path(path), MOUNTS)
    assert found and (found.kind, found.device) == (kind, device)


def test_encrypted_device(tmp_path: Path) -> None:
    """As sysfs shows it: LUKS itself, LVM on LUKS, LVM over one encrypted and one plain disk, a plain disk."""

    def device(name: str, uuid: str | None = None, below: tuple[str, ...] = ()) -> None:
        (tmp_path / name / "slaves").mkdir(parents=True)
        if uuid:
            (tmp_path / name / "dm").mkdir()
            (tmp_path / name / "dm" / "uuid").write_text(uuid)
        for n, other in enumerate(below):
            (tmp_path / name / "slaves" / f"s{n}").mkdir()
            (tmp_path / name / "slaves" / f"s{n}" / "dev").write_text(f"{other}\n")

    device("8:1")
    device("253:0", "CRYPT-LUKS2-abc", ("8:1",))
    device("253:1", "LVM-abc", ("253:0",))
    device("253:2", "LVM-abc", ("253:0", "8:1"))
    found = {name: machine.encrypted(name, tmp_path) for name in ("8:1", "253:0", "253:1", "253:2", "9:9")}
    assert found == {"8:1": False, "253:0": True, "253:1": True, "253:2": False, "9:9": False}


def test_scratch_in_memory_and_not() -> None:
    assert states([machine.scratch(Path("/dev/shm"))]) == [OK]
    assert states([machine.scratch(Path("/usr"))])[0] in (OK, WARN)  # whatever this machine has


def test_state_directory(plain: Site) -> None:
    services, jobs = plain.services(), [Job(plain.loaded(), "recordings")]
    first = list(machine.state(services, jobs))
    assert first[0].state is OK and "not there yet" in first[0].found
    assert not plain.state.exists(), "looking does not make it"
    services.state.directory()
    assert states(machine.state(services, jobs))[0] is OK
    plain.state.chmod(0o755)
    seen = next(machine.state(services, jobs))
    assert seen.state is FAIL and seen.do == f"chmod 700 {plain.state}"


def test_state_directory_below_a_file(plain: Site) -> None:
    (plain.root / "file").write_text("")
    plain.state.parent.joinpath("state").symlink_to(plain.root / "file")
    assert states(machine.state(plain.services(), [])) == [FAIL]


def test_too_little_disk_for_the_largest_asset(plain: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    services, jobs = plain.services(), [Job(plain.loaded(), "recordings")]
    for free, state in ((2**40, OK), (3 * 2**30 // 2, WARN), (2**29, FAIL)):
        usage = type(shutil.disk_usage("/"))(2**41, 0, free)
        monkeypatch.setattr(machine, "scratch_need", lambda *_: 2**30)
        monkeypatch.setattr(machine.shutil, "disk_usage", lambda _, usage=usage: usage)
        assert states(machine.state(services, jobs))[1] is state, free


def test_what_a_killed_run_left_is_named_with_what_removes_it(plain: Site) -> None:
    services = plain.services()
    (look,) = machine.leftovers(services, docker=False)
    assert look.state is OK and "Docker was not asked" in look.found
    services.state.directory("scratch", "run-20261124T120000-abcdef").joinpath("fetched").mkdir()
    services.state.directory("scratch", "capture", "p", "recordings")
    (look,) = machine.leftovers(services, docker=False)
    assert look.state is WARN and look.do == "`ccdr sandbox reap` removes them"
    assert "scratch run-20261124T120000-abcdef" in look.found and "capture of p/recordings" in look.found
    with services.state.lock("p", "recordings", "backup"), services.state.run(SystemClock()):
        (look,) = machine.leftovers(services, docker=False)
    assert "capture" not in look.found, "a backup that is under way has left nothing"
    assert services.state.captures() == [("p", "recordings")], "looking removes nothing"


# --- secrets --------------------------------------------------------------------------------------------------


def looked(site: Site, *, sources: bool = True) -> dict[str, Look]:
    found = list(secrets(site.loaded(), site.services().host, sources=sources))
    states(found)
    return {look.what: look for look in found}


def test_secrets_that_are_well_kept(plain: Site) -> None:
    found = looked(plain)
    assert {w: f.state for w, f in found.items()} == {"secrets": OK, "repository password": OK}
    assert PASSWORD not in str(found)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_secret_that_others_read(plain: Site, mode: int) -> None:
    key = plain.root / "plans" / "key"
    key.chmod(mode)
    found = looked(plain)["secrets"]
    assert (found.state, found.do) == (FAIL, f"chmod 600 {key}")


def test_secret_that_is_not_there(plain: Site) -> None:
    (plain.root / "plans" / "key").unlink()
    found = looked(plain)
    assert found["secrets"].state is FAIL and "does not exist" in found["secrets"].found
    assert found["repository password"].state is FAIL


@pytest.mark.parametrize("what", ["plans", "plans/p.yaml"])
def test_plan_or_secret_that_others_could_replace(plain: Site, what: str) -> None:
    place = plain.root / what
    place.chmod(stat.S_IMODE(place.stat().st_mode) | 0o002)
    found = looked(plain)["secrets"]
    assert found.state is FAIL and f"chmod go-w {place}" == found.do
    place.chmod(0o1777)  # as /tmp: only its owner may replace what is in it
    assert what == "plans/p.yaml" or looked(plain)["secrets"].state is OK


def test_group_that_is_not_the_users_own_may_replace(plain: Site) -> None:
    place = plain.root / "plans"
    os.chown(place, -1, 4711) if os.geteuid() == 0 else pytest.skip("only root gives a directory to a group")
    place.chmod(0o770)
    assert looked(plain)["secrets"].state is FAIL
    place.chmod(0o750)
    assert looked(plain)["secrets"].state is OK


@pytest.mark.parametrize(("text", "state"), [("short", FAIL), ("", FAIL), ("0123456789ab", WARN), ("a" * 40, WARN)])
def test_weak_password(plain: Site, text: str, state: Health) -> None:
    plain.write("plans/key", f"{text}\n", mode=0o600)
    assert looked(plain)["repository password"].state is state


def test_host_that_only_tests_needs_no_source_secrets(site: Site) -> None:
    site.plan("crm: {engine: postgres, connection: {user: u, database: d, password_file: crm.pw}}")
    assert looked(site)["secrets"].state is FAIL
    assert looked(site, sources=False)["secrets"].state is OK


def test_certificate_is_no_secret(site: Site) -> None:
    site.write("plans/ca.pem", "-----BEGIN CERTIFICATE-----", mode=0o644)
    site.plan("crm: {engine: postgres, connection: {user: u, database: d, host: db.test, ca_file: ca.pem}}")
    assert looked(site)["secrets"].state is OK


# --- rights at the source -------------------------------------------------------------------------------------

READER: dict[str, Any] = {
    "superuser": False,
    "role": "ccdr",
    "inherits": True,
    "major": 17,
    "makes": False,
    "tables": 4,
    "unreadable": [],
    "hidden_rows": [],
    "writable": 0,
    "large_objects": 0,
}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, [OK, OK]),
        ({"tables": 0}, [FAIL, OK]),  # pg_dump would be content
        ({"unreadable": ["call"]}, [FAIL, OK]),
        ({"hidden_rows": ["call"]}, [FAIL, OK]),
        ({"large_objects": 2}, [FAIL, OK]),
        ({"superuser": True}, [OK, WARN]),
        ({"writable": 3}, [OK, WARN]),
        ({"makes": True}, [OK, WARN]),
        ({"unreadable": ["a", "b"], "large_objects": 1, "writable": 1}, [FAIL, FAIL, WARN]),
    ],
)
def test_rights(changed: dict[str, Any], expected: list[Health]) -> None:
    assert states(rights.judged({**READER, **changed}, "ccdr")) == expected


def test_many_unreadable_tables_are_one_short_line() -> None:
    (look, _) = rights.judged({**READER, "unreadable": [f"t{n}" for n in range(500)]}, "ccdr")
    assert "t0, t1, t2 and 497 more" in look.found and "GRANT pg_read_all_data" in str(look.do)


WHOLE: dict[str, Any] = {
    "replication": True, "superuser": False, "role": "ccdr", "inherits": True, "reads_roles": True, "reads_settings": True, "creates": False,
    "senders": 10, "wal_level": "replica", "data_checksums": True, "unlogged": 0, "tables": 4, "databases": 3,
    "major": 17, "summarizes_wal": True, "slot_keeps": 2**30, "slots": [],
}  # fmt: skip


class Answers:
    """A server that says these facts to whoever asks."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts

    def run(self, argv: list[str], **_: Any) -> Any:
        return SimpleNamespace(stdout=json.dumps(self.facts))


@pytest.mark.parametrize(("canary", "creates"), [(True, False), (True, True), (False, False)])
def test_a_canary_needs_a_right_of_its_own(canary: bool, creates: bool) -> None:
    source: Any = SimpleNamespace(place=Answers({**WHOLE, "creates": creates}), credentials=Path("/c"))
    connection = Connection(host="/run/postgresql", user="ccdr", database="crm")
    shipping = LogShipping(canary=ShippingCanary() if canary else None)
    found = {look.what: look for look in physical_rights.looks(source, connection, shipping=shipping)}
    assert ("canary" in found) == canary
    if canary:
        assert found["canary"].state is (OK if creates else FAIL)
        assert creates or "GRANT CREATE ON DATABASE crm TO ccdr" in str(found["canary"].do)
    assert (found["rights to write"].found == "ccdr may change nothing") == (not creates)


@pytest.mark.parametrize(
    ("keeps", "kept", "status", "expected", "said"),
    [
        (2**30, 2**20, "reserved", [OK], "1 slot of ccdr's: the source keeps 1.0 MiB of log, of at most 1.0 GiB"),
        (2**30, 600 * 2**20, "extended", [WARN], "keeps 600.0 MiB of log for ccdr_p_crm_1, and gives up at 1.0 GiB"),
        (2**30, 2**30, "lost", [FAIL], "the source gave ccdr_p_crm_1 up"),
        (-1, 2**20, "reserved", [WARN], "is not set"),
        (-1, 3 * 2**30, "extended", [WARN, WARN], "keeps 3.0 GiB of log for ccdr_p_crm_1"),
    ],
)
def test_what_a_slot_keeps_at_the_source_is_looked_at(
    keeps: int, kept: int, status: str, expected: list[Health], said: str
) -> None:
    slot = {"name": "ccdr_p_crm_1", "status": status, "kept": kept}
    source: Any = SimpleNamespace(
        place=Answers({**WHOLE, "slot_keeps": keeps, "slots": [slot]}), credentials=Path("/c")
    )
    connection = Connection(host="/run/postgresql", user="ccdr", database="crm")
    found = list(physical_rights.looks(source, connection, shipping=LogShipping()))
    assert states(slots := [look for look in found if look.what == "replication slots"]) == expected
    assert said in slots[0].found, slots
    assert "replication slots" not in {look.what for look in physical_rights.looks(source, connection)}


@pytest.mark.parametrize(
    ("granted", "state", "writes"),
    [
        ("", FAIL, "may change nothing"),
        ("GRANT CREATE, INSERT, UPDATE ON `ccdr`.* TO `c`@`%`", OK, "may change nothing but the canary"),
        ("GRANT CREATE, INSERT ON `ccdr`.* TO `c`@`%`", FAIL, "may change nothing but the canary"),
    ],
)
def test_a_canary_in_mariadb(granted: str, state: Health, writes: str) -> None:
    base = (
        "GRANT SELECT, RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR, SLAVE MONITOR, SHOW VIEW, TRIGGER, EVENT, EXECUTE"
    )
    held = maria_rights.read_rights([f"{base} ON *.* TO `c`@`%`", *([granted] if granted else [])], "crm")
    found = {look.what: look for look in maria_rights.judged(held, "c", "crm", canary=True)}
    assert found["canary"].state is state and "c " + writes in found["rights to write"].found
    assert "canary" not in {look.what for look in maria_rights.judged(held, "c", "crm")}


def test_empty_tree_is_no_source(plain: Site) -> None:
    engine = plain.loaded().plan.assets["recordings"]
    assert states(engine.rights(None)) == [OK]  # type: ignore[arg-type]
    (plain.root / "tree" / "a.wav").unlink()
    assert states(engine.rights(None)) == [FAIL]  # type: ignore[arg-type]


# --- the bucket, as it was found ------------------------------------------------------------------------------

COMPLIANCE, GOVERNANCE, BARE = ObjectLock("COMPLIANCE", 30), ObjectLock("GOVERNANCE", 30), ObjectLock(None, None)
STORE = Bucket("http://127.0.0.1:1", "b", "key", "secret")


@pytest.mark.parametrize(("lock", "state"), [(COMPLIANCE, OK), (GOVERNANCE, WARN), (BARE, WARN), (None, WARN)])
def test_object_lock_as_configured(lock: ObjectLock | None, state: Health) -> None:
    assert states([_configured(STORE, lock)]) == [state]


@pytest.mark.parametrize(
    ("tried", "state"),
    [
        (Canary(held=True, deletable=True), OK),
        (Canary(held=False, deletable=True), FAIL),
        (Canary(held=True, deletable=False), WARN),  # a missing right looks the same
        (Canary(held=None, deletable=False), WARN),
        (Canary(held=None, deletable=True, said="AccessDenied"), WARN),
    ],
)
def test_object_lock_as_tried(tried: Canary, state: Health) -> None:
    assert states([_enforced(tried)]) == [state]


@pytest.mark.parametrize(
    ("tried", "lock", "state"),
    [
        (Canary(held=None, deletable=False), None, OK),
        (Canary(held=None, deletable=True), None, WARN),
        (Canary(held=True, deletable=True), COMPLIANCE, OK),
        (Canary(held=True, deletable=True), BARE, WARN),
        (Canary(held=False, deletable=True), COMPLIANCE, WARN),
    ],
)
def test_right_to_delete(tried: Canary, lock: ObjectLock | None, state: Health) -> None:
    assert states([_deletion(tried, lock)]) == [state]


@pytest.mark.parametrize(
    ("statement", "open_to"),
    [
        ('{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}', 1),
        ('{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["s3:GetObject", "s3:PutObject"]}', 1),
        ('{"Effect": "Allow", "Principal": {"AWS": ["a", "*"]}, "Action": "s3:*"}', 1),
        ('{"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject"}', 0),
        ('{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::1:user/x"}, "Action": "s3:*"}', 0),
        ('{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Condition": {"IpAddress": {}}}', 0),
    ],
)
def test_open_policies(statement: str, open_to: int) -> None:
    assert len(_open_statements(f'{{"Statement": [{statement}]}}')) == open_to
    assert len(_open_statements(f'{{"Statement": {statement}}}')) == open_to


def test_unreadable_policy_is_not_a_good_one() -> None:
    assert _open_statements("not JSON") and _open_statements("[]")


@pytest.mark.parametrize(
    ("url", "endpoint", "name", "prefix"),
    [
        ("s3:http://127.0.0.1:8333/ccdr-outbound", "http://127.0.0.1:8333", "ccdr-outbound", ""),
        ("s3:https://s3.example.test/b/x/y/", "https://s3.example.test", "b", "x/y/"),
        ("s3:s3.amazonaws.com/b/x", "https://s3.amazonaws.com", "b", "x/"),
        ("s3://s3.amazonaws.com/b", "https://s3.amazonaws.com", "b", ""),
    ],
)
def test_bucket_of_a_repository(url: str, endpoint: str, name: str, prefix: str) -> None:
    found = Bucket.of(url, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_REGION": "eu-north-1"})
    assert found is not None
    bucket, there = found
    assert (bucket.endpoint, bucket.name, there, bucket.region) == (endpoint, name, prefix, "eu-north-1")
    assert "hush" not in repr(bucket)


def test_no_bucket_elsewhere() -> None:
    for url in ("/mnt/backup", "rest:https://h/x", "sftp:u@h:/x"):
        assert Bucket.of(url, {}) is None
    assert http_address("rest:https://user@h:8000/x") == "https://h:8000"
    assert http_address("sftp:u@h:/x") is None


# --- clocks ---------------------------------------------------------------------------------------------------


class Clockwork(BaseHTTPRequestHandler):
    """Answers HEAD by 403, with the date that it is told to have."""

    shift: ClassVar[timedelta | None] = timedelta(0)

    def do_HEAD(self) -> None:
        self.send_response_only(403)
        if self.shift is not None:
            self.send_header("Date", format_datetime(datetime.now(UTC) + self.shift, usegmt=True))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def clockwork(shift: timedelta | None) -> Iterator[str]:
    handler = type("Shifted", (Clockwork,), {"shift": shift})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        in_background(server.serve_forever)
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("seconds", "state"), [(0, OK), (20, OK), (-20, OK), (120, WARN), (-120, WARN), (900, FAIL), (-900, FAIL)]
)
def test_clock_against_the_stores(plain: Site, seconds: int, state: Health) -> None:
    with clockwork(timedelta(seconds=seconds)) as address:
        plain.plan("a: {engine: files, paths: [/x]}", repository=f"{{url: 'rest:{address}/r', password_file: key}}")
        (look,) = repository.clock(plain.loaded(), plain.services())
    assert look.state is state, look
    if state is not OK:
        assert ("behind" if seconds > 0 else "ahead") in look.found


def test_store_that_tells_no_time() -> None:
    with clockwork(None) as address, pytest.raises(RepositoryUnavailable, match="tells no time"):
        server_time(address)
    with pytest.raises(RepositoryUnavailable, match="tells no time"):
        server_time(address)  # nobody is there any more


def test_source_clock_at_the_last_backup() -> None:
    for skew, expected in ((None, []), (0.2, [OK]), (-45, [WARN]), (400, [FAIL])):
        history = AssetHistory(last_good_backup={"clock_skew_s": skew})
        assert states(readiness.source_clock(history)) == expected
    assert states(readiness.source_clock(AssetHistory())) == []


# --- a repository on a path -----------------------------------------------------------------------------------


def test_repository_beside_what_it_protects(plain: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    services = plain.services()
    missing, beside = repository.local_path(plain.loaded(), services)
    assert (missing.state, beside.state) == (WARN, WARN) and "recordings" in beside.found
    plain.repo.mkdir()
    assert states(repository.local_path(plain.loaded(), services)) == [WARN]
    monkeypatch.setattr(repository, "_device", lambda _: -1)
    assert states(repository.local_path(plain.loaded(), services)) == [OK]


def test_where_a_known_repository_is_not_mounted_nothing_is_said_of_what_lies_there(plain: Site) -> None:
    backed_up(plain, 1.0)
    (missing,) = repository.local_path(plain.loaded(), plain.services())
    assert missing.state is FAIL and missing.do is not None and "none makes a new one" in missing.do


# --- what was measured ----------------------------------------------------------------------------------------


def backed_up(site: Site, *seconds: float) -> None:
    for n, took in enumerate(seconds):
        body = {"result": "STORED", "phases": {"capture": took / 2, "store": took / 2}, "snapshot": {"id": f"s{n}"}}
        append_older(site.services().ledger, "backup.end", plan="p", asset="recordings", run=f"b{n}", body=body)


def tested(site: Site, *seconds: float | None, verdict: str = "PASS", basis: str = "throwaway") -> None:
    for n, took in enumerate(seconds):
        body = {"verdict": verdict, "rto": {"achieved_s": took, "basis": basis}, "snapshot": {"id": "a" * 64}}
        append_older(site.services().ledger, "restore_test.end", plan="p", asset="recordings", run=f"t{n}", body=body)


def measured(site: Site) -> tuple[list[Look], list[Look]]:
    job, past = Job(site.loaded(), "recordings"), readiness.read_past(site.services().records())[0]
    history = site.services().history(job)
    found = list(readiness.rpo(job, past)), list(readiness.rto(job, history, past))
    states([*found[0], *found[1]])
    return found


def scheduled(site: Site, backup: str) -> Site:
    plan = site.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("15 * * * *", backup))
    return site


@pytest.mark.parametrize(
    ("schedule", "took", "state"),
    [
        ("*/30 * * * *", (), WARN),  # not measured
        ("0 */2 * * *", (), FAIL),  # the schedule alone
        ("*/30 * * * *", (600.0,), OK),
        ("*/30 * * * *", (1500.0,), WARN),  # one that fails, and it is breached
        ("*/30 * * * *", (2400.0,), FAIL),
        ("*/30 * * * *", (600.0,) * 19 + (9000.0,), OK),  # one of twenty is no rule
        ("*/30 * * * *", (600.0,) * 18 + (9000.0,) * 2, FAIL),
        ("*/30 * * * *", (9000.0,) * 3 + (600.0,) * 50, OK),  # it was slow, and is no longer
    ],
)
def test_rpo_by_schedule_and_measured_duration(
    plain: Site, schedule: str, took: tuple[float, ...], state: Health
) -> None:
    backed_up(scheduled(plain, schedule), *took)
    (look,) = measured(plain)[0]
    assert look.state is state, look


@pytest.mark.parametrize(
    ("took", "state"),
    [
        ((), WARN),
        ((60.0,), OK),
        ((60.0, 1700.0), WARN),  # near
        ((2000.0, 60.0), WARN),  # was over it not long ago
        ((60.0, 2000.0), FAIL),
        ((2000.0,) + (60.0,) * 10, OK),
    ],
)
def test_rto_by_tests(plain: Site, took: tuple[float, ...], state: Health) -> None:
    tested(plain, *took)
    (look,) = measured(plain)[1]
    assert look.state is state, look


def test_rto_of_another_basis_or_of_a_test_that_failed_does_not_count(plain: Site) -> None:
    tested(plain, 10.0, basis="durable")
    tested(plain, None, verdict="FAIL")
    (look,) = measured(plain)[1]
    assert look.state is WARN and "FAIL" in look.found


def test_percentile() -> None:
    assert readiness.percentile([3.0], 0.95) == 3.0
    assert readiness.percentile(map(float, range(1, 101)), 0.95) == 95.0
    assert readiness.percentile([1.0, 2.0], 0.95) == 2.0
    with pytest.raises(ValueError, match="no values"):
        readiness.percentile([], 0.95)


def upkeep(site: Site, clock: ShiftedClock | None = None) -> dict[str, Look]:
    services = site.services(clock)
    found = list(readiness.upkeep(site.loaded(), services.histories(), services.clock.now()))
    states(found)
    return {look.what: look for look in found}


def record(site: Site, kind: str, **body: object) -> None:
    append_older(site.services().ledger, kind, plan="p", asset=None, run="u1", body=body)


CLEAN = {"result": "CLEAN", "reason": None, "part": 1, "parts": 30, "covered": 1, "full_since": None}


def test_upkeep_that_nobody_thought_of(plain: Site) -> None:
    assert {look.state for look in upkeep(plain).values()} == {WARN}


def test_upkeep_as_planned(plain: Site) -> None:
    plain.write("plans/urls", "mailto://x\n", mode=0o600)
    extra = "retention: {keep_within: 35d}\nnotify: {urls_file: urls}\n"
    plan = plain.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("assets:", f"{extra}assets:"))
    record(plain, "check.end", **CLEAN)
    record(plain, "prune.end", result="DONE", reason=None, removed=[], kept={}, held=[])
    assert {look.state for look in upkeep(plain).values()} == {OK}
    later = upkeep(plain, ShiftedClock(timedelta(days=3)))
    assert later["repository check"].state is WARN and "overdue" in later["repository check"].found
    record(plain, "prune.end", result="FAILED", reason="the disk is full", removed=[], kept={}, held=[])
    assert upkeep(plain)["retention"].state is WARN


def test_damage_stands_until_the_same_part_is_found_clean(plain: Site) -> None:
    for part, result, state in ((1, "DAMAGED", FAIL), (2, "CLEAN", FAIL), (1, "CLEAN", OK)):
        record(plain, "check.end", **{**CLEAN, "part": part, "result": result})
        assert upkeep(plain)["repository check"].state is state, (part, result)


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, OK),
        ({"full_since": "2026-01-01T00:00:00Z", "covered": 30}, OK),
        ({"result": "DAMAGED", "reason": "a pack"}, FAIL),
        ({"result": "INCONCLUSIVE", "reason": "no answer"}, WARN),
    ],
)
def test_last_check(plain: Site, changed: dict[str, object], state: Health) -> None:
    record(plain, "check.end", **{**CLEAN, **changed})
    assert upkeep(plain)["repository check"].state is state


# --- what a cloud bills for ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "found"), [("100MiB", [WARN]), ("200MiB", [OK]), (None, [])])
def test_the_months_limit_is_told_before_it_is_reached(plain: Site, limit: str | None, found: list[Health]) -> None:
    stated = f"limits: {{fetch_per_month: {limit}}}\n" if limit else ""
    path = plain.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("assets:", f"{stated}assets:", 1))
    now = datetime(2026, 11, 24, tzinfo=UTC)
    past = readiness.Past(fetched={"p": [(now - timedelta(days=1), 82 * 2**20), (now - timedelta(days=30), 2**40)]})
    assert states(readiness.fetching(plain.loaded(), past, now)) == found
