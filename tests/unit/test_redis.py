"""What the Redis engine concludes from what servers and programs say, without any of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ccdr.engines.redis import Redis, client
from ccdr.engines.redis.capture import (
    CaptureTerms,
    Checked,
    Description,
    KeyGroup,
    Taker,
    UnsoundFile,
    check,
    consistent_point,
    memory_free,
    refuse,
)
from ccdr.engines.redis.client import REDIS, VALKEY, Connection, Release, images, release_in
from ccdr.engines.redis.discovery import RedisItem, RedisServer
from ccdr.engines.redis.identity import _expiry, _keys
from ccdr.engines.redis.server import configuration
from ccdr.host.processes import Host
from ccdr.model.answers import NO_WORDS
from ccdr.model.errors import BackupFailed, CommandFailed, UsageProblem
from ccdr.model.values import Verdict
from ccdr.plans import load_plan
from ccdr.ports.place import Output, Source
from ccdr.setup.discover.init import PlanTerms as Drafted
from ccdr.setup.discover.init import _near, draft, everything_named

NOW = datetime(2026, 11, 24, 12, 0, 0, 250_000, UTC)
TERMS = CaptureTerms(may_be_empty=False, cluster_node=False, describe_up_to=2**30)
PRIMARY = {"redis_version": "8.0.2", "role": "master", "rdb_bgsave_in_progress": "0"}


def held(ctime: float = 0) -> Checked:
    return Checked(1, 0, 0, {"ctime": str(int(ctime))} if ctime else {})


# --- which server it is ---------------------------------------------------------------------------------------------


def test_valkey_is_known_though_it_calls_itself_an_old_redis() -> None:
    assert (
        Release.of({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "8.1.1"}).major == "valkey 8"
    )
    assert Release.of({"redis_version": "7.4.1"}).major == "redis 7"


@pytest.mark.parametrize(
    ("said", "major"),
    [
        ("redis-cli 8.0.2\n", "redis 8"),
        ("valkey-cli 8.1.1\n", "valkey 8"),
        ("Redis server v=8.0.2 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "redis 8"),
        ("Valkey server v=8.1.1 sha=00000000:0", "valkey 8"),
        ("redis-cli 7.0.15 (git:abc)", "redis 7"),
        ("psql (PostgreSQL) 17.2", None),
        ("", None),
    ],
)
def test_programs_tell_their_version(said: str, major: str | None) -> None:
    found = release_in(said)
    assert (found.major if found else None) == major


def test_images_are_of_the_source_s_kind_and_version() -> None:
    assert images("redis 8") == ("redis:8", "ccdr-sandbox/redis:8")
    assert images("valkey 8") == ("valkey/valkey:8", "ccdr-sandbox/valkey:8")
    assert {"ccdr-sandbox/redis:8", "ccdr-sandbox/valkey:8"} <= set(images(None))


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"redis_mode": "sentinel"}, "Sentinel"),
        ({"redis_version": "6.2.14"}, "too old"),
        ({"cluster_enabled": "1"}, "cluster"),
        ({"loading": "1"}, "loading"),
        ({"role": "slave", "master_link_status": "down"}, "cut off"),
        ({"role": "slave", "master_link_status": "up", "master_sync_in_progress": "1"}, "cut off"),
    ],
)
def test_servers_whose_rdb_is_not_what_a_plan_asks_for_are_refused(info: dict[str, str], said: str) -> None:
    with pytest.raises(BackupFailed, match=said):
        refuse({**PRIMARY, **info}, TERMS)


@pytest.mark.parametrize("info", [{}, {"role": "slave", "master_link_status": "up", "master_sync_in_progress": "0"}])
def test_other_servers_are_not(info: dict[str, str]) -> None:
    assert refuse({**PRIMARY, **info}, TERMS) == Release(REDIS, "8.0.2")
    assert refuse({**PRIMARY, "cluster_enabled": "1"}, CaptureTerms(False, True, 1)).kind is REDIS


# --- the consistent point -------------------------------------------------------------------------------------------


def test_a_save_begins_after_it_was_asked_for() -> None:
    for late in (0, 0.7, 5, 60):
        assert consistent_point(NOW, 0.0, PRIMARY, held(NOW.timestamp() + late)) == NOW
    assert consistent_point(NOW, 0.0, PRIMARY, held()) == NOW, "an old server does not say when it began"


def test_a_save_that_was_under_way_may_be_handed_out() -> None:
    info = {**PRIMARY, "rdb_bgsave_in_progress": "1", "rdb_current_bgsave_time_sec": "40", "latest_fork_usec": "500000"}
    assert consistent_point(NOW, 0.0, info, held(NOW.timestamp())) == NOW - timedelta(seconds=41.5)


def test_the_file_s_own_remark_is_believed_where_it_is_older() -> None:
    began = NOW.timestamp() - 30
    point = consistent_point(NOW, 0.0, PRIMARY, held(began))
    assert NOW - timedelta(seconds=31.5) < point <= NOW - timedelta(seconds=30)


@pytest.mark.parametrize("skew", [-3600.0, -0.5, 0.5, 3600.0])
def test_the_source_s_clock_is_corrected(skew: float) -> None:
    assert consistent_point(NOW, skew, PRIMARY, held(NOW.timestamp() + skew + 2)) == NOW
    old = consistent_point(NOW, skew, PRIMARY, held(NOW.timestamp() + skew - 60))
    assert NOW - timedelta(seconds=61.5) < old <= NOW - timedelta(seconds=60)


def test_a_replica_is_as_old_as_what_its_primary_sent_last() -> None:
    info = {**PRIMARY, "role": "slave", "master_link_status": "up", "master_last_io_seconds_ago": "9"}
    assert consistent_point(NOW, 0.0, info, held(NOW.timestamp() + 1)) == NOW - timedelta(seconds=10)


# --- redis-check-rdb ------------------------------------------------------------------------------------------------

SOUND = """[offset 0] Checking RDB file dump.rdb
[offset 26] AUX FIELD redis-ver = '8.0.2'
[offset 52] AUX FIELD ctime = '1795560702'
[offset 67] AUX FIELD used-mem = '1441072'
[offset 19366] Checksum OK
[offset 19366] \\o/ RDB looks OK! \\o/
[info] 14 keys read
[info] 2 expires
[info] 1 already expired
[info] 1 subexpires
"""
BAD = """[offset 0] Checking RDB file dump.rdb
--- RDB ERROR DETECTED ---
[offset 41] Unexpected EOF reading RDB file
[additional info] While doing: read-object-value
[additional info] Reading key 'customer:Ștefan'
[info] 7 keys read
"""


class Says:
    """A place in which every program says one thing."""

    def __init__(self, code: int, stdout: str) -> None:
        self._out = Output(code, stdout, NO_WORDS)

    def run(self, argv: Any, **_: Any) -> Output:
        return self._out

    def path(self, host: Path) -> str:
        return str(host)


MEMINFO = "MemTotal:       24684084 kB\nMemFree:        14391900 kB\nHugePages_Total:       0\n"


@pytest.mark.parametrize(
    ("said", "free"),
    [
        (f"{MEMINFO}MemAvailable:   1000 kB\n", 1024000),
        (f"{MEMINFO}MemAvailable:   1000 kB\nmax\n", 1024000),
        (f"{MEMINFO}MemAvailable:   1000 kB\n734003\n", 734003),
        (MEMINFO, None),  # and not nothing: what nobody tells is not known
        ("734003\n", None),
    ],
)
def test_how_much_memory_is_free(said: str, free: int | None) -> None:
    assert memory_free(Says(1, said)) == free  # type: ignore[arg-type]


def checked(code: int, said: str) -> Checked:
    return check(Says(code, said), REDIS, Path("dump.rdb"))  # type: ignore[arg-type]


def test_what_a_sound_file_holds() -> None:
    found = checked(0, SOUND)
    assert (found.keys, found.expiring, found.expired) == (14, 2, 1)
    assert (found.ctime, found.memory) == (1795560702, 1441072)


@pytest.mark.parametrize(
    ("code", "said"),
    [(1, BAD), (0, BAD), (0, SOUND.replace("OK! ", "")), (0, SOUND.replace("14 keys read", "")), (0, "")],
)
def test_whatever_else_it_says_is_no_sound_file(code: int, said: str) -> None:
    with pytest.raises(UnsoundFile) as error:
        checked(code, said)
    assert "tefan" not in str(error.value) and "customer" not in str(error.value)


@pytest.mark.parametrize(
    ("said", "blamed"),
    [
        ("[offset 9] Can't handle RDB format version 13\n", "redis-check-rdb here is older than Redis 8.4.1"),
        ("[offset 41] Unexpected EOF reading RDB file\n", "what the server sent is no sound RDB"),
    ],
)
def test_a_program_too_old_for_a_file_is_not_the_server_s_fault(said: str, blamed: str) -> None:
    place: Any = Says(1, f"--- RDB ERROR DETECTED ---\n{said}")
    taker = Taker(client.Client(place, Connection(), Path(), REDIS), None, TERMS)  # type: ignore[arg-type]
    with pytest.raises(BackupFailed, match=blamed) as error:
        taker._checked(Path("dump.rdb"), Release(REDIS, "8.4.1"))
    assert ("image:" in str(error.value.hint)) == ("older" in blamed)


@pytest.mark.parametrize("said", ["", "[offset 0] Checking RDB file dump.rdb", "Cannot open file: dump.rdb", SOUND])
def test_a_file_that_cannot_be_read_is_not_a_damaged_one(said: str) -> None:
    with pytest.raises(CommandFailed):
        checked(1, said)


# --- what was loaded ------------------------------------------------------------------------------------------------

GROUPS = (
    KeyGroup(0, "string", None, 10, "0" * 40),
    KeyGroup(0, "string", 2000, 3, "a" * 40),
    KeyGroup(0, "string", 9000, 4, "b" * 40),
    KeyGroup(0, "group", None, 1, "c" * 40),
)
TOLD = Description("8.0.2", 1000, {0: 17}, "d" * 40, GROUPS, {})


def later(at: int, *groups: KeyGroup, keys: int = 17) -> Description:
    return Description("8.0.2", at, {0: keys}, "d" * 40, groups, {})


def test_a_description_comes_back_from_a_manifest() -> None:
    held = TOLD.as_json()
    assert Description.parse(held) == TOLD
    assert held["types"] == {"0": {"string": 17}}, "what is within a stream is no key"


@pytest.mark.parametrize(
    ("found", "keys", "expiry"),
    [
        (TOLD, "PASS", "PASS"),
        (later(5000, GROUPS[0], GROUPS[2], GROUPS[3]), "PASS", "PASS"),
        (later(5000, GROUPS[0], KeyGroup(0, "string", 2000, 1, "e" * 40), GROUPS[2], GROUPS[3]), "PASS", "PASS"),
        (later(5000, GROUPS[0], GROUPS[2], GROUPS[3], keys=16), "FAIL", "PASS"),
        (later(1500, GROUPS[0], GROUPS[2], GROUPS[3]), "FAIL", "FAIL"),
        (later(5000, GROUPS[0], KeyGroup(0, "string", 9000, 4, "f" * 40), GROUPS[3]), "PASS", "FAIL"),
        (later(5000, GROUPS[0], KeyGroup(0, "string", 9000, 3, "b" * 40), GROUPS[3]), "FAIL", "FAIL"),
        (later(5000, GROUPS[0], GROUPS[2]), "PASS", "FAIL"),
        (later(5000, KeyGroup(0, "list", None, 10, "0" * 40), GROUPS[2], GROUPS[3]), "FAIL", "FAIL"),
        (later(99_000, GROUPS[0], GROUPS[3]), "PASS", "PASS"),
        (later(5000), "FAIL", "FAIL"),
    ],
)
def test_only_what_can_have_expired_may_be_hidden(found: Description, keys: str, expiry: str) -> None:
    assert _keys(17, TOLD, found).status is Verdict(keys)
    assert _expiry(TOLD, found).status is Verdict(expiry)


def test_a_load_that_holds_less_than_the_file_fails_though_both_servers_agree() -> None:
    assert _keys(18, TOLD, TOLD).status is Verdict.FAIL


# --- plans ----------------------------------------------------------------------------------------------------------


def test_tls_off_loopback_is_verified_by_a_named_ca() -> None:
    """The clients compare no names: with the system's CAs anybody's certificate would do."""
    for host in ("db.example", "10.0.0.7", "::2"):
        with pytest.raises(ValidationError, match="ca_file"):
            Connection(host=host)
        one = Connection(host=host, ca_file=Path("/ca.crt"))
        assert one.verified_tls and {"--tls", "--cacert", "/ca.crt"} <= set(one.options)
        assert "--insecure" not in one.options and one.mounts == (Path("/ca.crt"),)
    for host in ("127.0.0.1", "::1", "localhost", "/run/redis/s"):
        assert "--tls" not in Connection(host=host).options
    with pytest.raises(ValidationError, match="ca_file"):
        Connection(tls="verify")
    with pytest.raises(ValidationError, match="both"):
        Connection(host="db.example", ca_file=Path("/ca.crt"), cert_file=Path("/c"))


def test_a_socket_s_directory_is_what_a_container_sees() -> None:
    one = Connection(host="/run/redis/redis.sock")
    assert one.mounts == (Path("/run/redis"),) and one.options == ["-s", "/run/redis/redis.sock"]


def test_an_rdb_is_restored_into_a_directory() -> None:
    with pytest.raises(UsageProblem) as error:
        Redis(engine="redis").onto("redis://127.0.0.1:6379", None, None)
    assert "directory" in str(error.value) and "recover.md" in str(error.value.hint)


def test_a_server_of_our_own_has_no_port_writes_nothing_and_expires_nothing() -> None:
    conf = configuration("/run", '/with "blanks" \\', "dump.rdb", databases=16).splitlines()
    assert {"port 0", 'save ""', "appendonly no", "replicaof 127.0.0.1 0", "maxmemory 0"} <= set(conf)
    assert 'dir "/with \\"blanks\\" \\\\"' in conf


# --- the first plan -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://127.0.0.1", RedisServer("127.0.0.1", 6379, None)),
        ("redis://me@db1:6380/", RedisServer("db1", 6380, "me")),
        ("valkey://[::1]:7000", RedisServer("::1", 7000, None)),
        ("redis:///run/redis/redis-server.sock", RedisServer("/run/redis/redis-server.sock", 6379, None)),
        ("rediss://me@db1?ca_file=/ca.crt", RedisServer("db1", 6379, "me", None, "verify", Path("/ca.crt"))),
    ],
)
def test_addresses_of_queues(url: str, expected: RedisServer) -> None:
    assert everything_named((url,)) == [expected]


@pytest.mark.parametrize(
    "url",
    ["redis://", "redis:///", "redis://me:hush@db1", "redis://db1?password=hush", "redis://db1/3", "redis://db1?x=1",
     "redis://db1:port"],
)  # fmt: skip
def test_what_is_no_address_of_queues_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageProblem) as error:
        everything_named((url,))
    assert "hush" not in str(error.value) + str(error.value.hint)


def test_a_first_plan_off_loopback_needs_the_ca() -> None:
    with pytest.raises(UsageProblem, match="ca_file"):
        RedisServer("db1", 6379, None).engine(None)
    assert RedisServer("db1", 6379, None, ca_file=Path("/ca.crt")).engine(None).connection.verified_tls


@pytest.mark.parametrize("keys", [{}, {0: 4000, 3: 2}])
def test_a_first_plan_of_queues_is_a_plan(tmp_path: Path, keys: dict[int, int]) -> None:
    address = RedisServer("127.0.0.1", 6379, "ccdr_backup")
    found = RedisItem(address, Release(VALKEY, "8.1.1"), 2**20, keys, 10 if keys else 0, True)
    terms = Drafted("centre", "UTC", "/srv/repo", True, "secrets/centre.key", None, "secrets/q.pw")
    made = draft(terms, [found, found], 1_800_000_000.0)
    assert made.assets == ("valkey", "valkey-2")
    (tmp_path / "restore_tests").mkdir()
    for name, text in made.restore_tests.items():
        (tmp_path / "restore_tests" / f"{name}.yaml").write_text(text, "utf-8")
    plan = tmp_path / "centre.yaml"
    plan.write_text(made.plan, "utf-8")
    loaded = load_plan(plan, tmp_path / "restore_tests")
    assert [c.kind_name for c in loaded.checks["valkey"]] == ["identical", "integrity", *(["keys"] if keys else [])]
    assert loaded.plan.assets["valkey"].may_be_empty is not bool(keys)  # type: ignore[union-attr]
    assert "ACL SETUSER ccdr_backup" in made.plan


@pytest.mark.parametrize(("host", "told"), [("127.0.0.1", 1), ("/run/redis.sock", 1), ("db1", 0)])
def test_a_repository_on_the_machine_of_its_queues_is_told(tmp_path: Path, host: str, told: int) -> None:
    found = RedisItem(RedisServer(host, 6379, None), Release(VALKEY, "8.1.1"), 2**20, {0: 1}, 1, False)
    terms = Drafted("centre", "UTC", str(tmp_path), True, "secrets/centre.key", None, None)
    assert len([*_near(terms, [found])]) == told


def _client_that(does: str, directory: Path) -> Source:
    program = directory / "redis-cli"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    return Source(Host(dirs=(str(directory),), no_progress=5.0), directory)


def test_a_server_that_never_answers_is_not_waited_for_as_long_as_a_transfer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ANSWER", 0.2)
    hung = _client_that("exec sleep 60", tmp_path)
    for asked in (lambda: Redis.model_validate(PLAIN).probe(hung), lambda: [*Redis.model_validate(PLAIN).rights(hung)]):
        with pytest.raises(CommandFailed, match=r"127\.0\.0\.1:6379 has not answered within 0\.2 s") as failed:
            asked()
        assert failed.value.stalled


def test_a_server_that_answers_late_is_heard(tmp_path: Path) -> None:
    late = _client_that("sleep 0.3; echo redis_version:7.2.5; echo used_memory:5", tmp_path)
    assert Redis.model_validate(PLAIN).probe(late).bytes == 5


PLAIN = {"engine": "redis"}
