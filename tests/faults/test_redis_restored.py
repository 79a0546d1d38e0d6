"""What is lost or changed between an RDB's capture and the check of its restore is a FAIL; the undamaged twin passes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Quiet, Site
from tests.support.redis_source import SERVERS, queues, redis_damage, redis_server, small
from tests.support.sites import copy_of
from tests.support.stored import assert_clean

from ccdr.engines.redis import Redis
from ccdr.engines.redis.capture import restored_server
from ccdr.jobs.restore_test import RestoreTest, restore_test
from ccdr.model.values import CheckResult, Manifest, Verdict
from ccdr.plans.job import Job
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Place

EXPIRY = "expiry times and consumer groups"
# What is done to the restored server, and which part of `identical` must name it.
DAMAGES = {
    "key deleted": ("DEL counter", "keys"),
    "key deleted in another database": ("SELECT 3", "DEL setting", "keys"),
    "key moved to another database": ("MOVE counter 3", "keys"),
    "key renamed": ("RENAME counter counted", "contents"),
    "key more": ("SET intruder 1", "keys"),
    "all deleted": ("FLUSHALL", "keys"),
    "number changed": ("SET counter 42", "contents"),
    "one bit of a text": ("SETBIT seen 999 1", "contents"),
    "type changed": ("DEL counter", "RPUSH counter 41", "keys"),
    "queue in another order": ("LPOP queue:sales", "RPUSH queue:sales call:1", "contents"),
    "queue shorter": ("LPOP queue:sales", "contents"),
    "member of a set lost": ("SREM agents:free 8", "contents"),
    "member of a large set lost": ("SREM many m500", "contents"),
    "score changed": ("ZADD callbacks 1795000601 call:2", "contents"),
    "field lost": ("HDEL agent:7 note", "contents"),
    "field of a large hash changed": ("HSET large f500 501", "contents"),
    "entry of a stream lost": ("XDEL events 1795000001000-0", "contents"),
    "stream's next id set back": ("XSETID events 1795000009000-0", EXPIRY),
    "consumer group lost": ("XGROUP DESTROY events wallboard", EXPIRY),
    "consumer group set back": ("XGROUP SETID events wallboard 0", EXPIRY),
    "consumer lost": ("XGROUP DELCONSUMER events wallboard screen2", EXPIRY),
    "pending entry acknowledged": ("XACK events wallboard 1795000000000-0", EXPIRY),
    "pending entry claimed": ("XCLAIM events wallboard screen2 0 1795000000000-0", EXPIRY),
    "time to live removed": ("PERSIST session:7", "contents"),
    "time to live given": ("EXPIRE counter 5000", "contents"),
    "time to live longer": ("EXPIRE lock:1 9000", EXPIRY),
    "function lost": ("FUNCTION DELETE dialler", "functions"),
    "function changed": (
        "FUNCTION LOAD REPLACE \"#!lua name=dialler\\nredis.register_function('next_call', function() return 2 end)\"",
        "functions",
    ),
    "user lost": ("ACL DELUSER dialler", "users"),
    "user's rights": ("ACL SETUSER dialler +@all", "users"),
    "user's password": ('ACL SETUSER dialler ">another"', "users"),
    "user became disabled": ("ACL SETUSER dialler off", "users"),
}
OF_REDIS = {
    "field's time to live removed": ("HPERSIST agent:8 FIELDS 1 token", "contents"),
    "field's time to live changed": ("HPEXPIREAT agent:8 1999999990000 FIELDS 1 token", EXPIRY),
    "element of a vector set": ("VADD near VALUES 3 0.1 0.2 0.4 one", "contents"),
    "element of a vector set lost": ("VADD near VALUES 3 0.1 0.2 0.4 two", "contents"),
}
ON_BOTH = ("key deleted", "number changed", "time to live longer", "consumer group lost", "function lost", "user lost")
# What nobody who uses the server sees.
HARMLESS = (
    "SREM many m500",
    "SADD many m500",
    "HDEL large f500",
    "HSET large f500 500",
    "CONFIG SET maxmemory-policy allkeys-lfu",
    "CONFIG SET hash-max-listpack-entries 1",
    "HSET agent:7 state ready",
    "DEBUG RELOAD",
)


@pytest.fixture(scope="module", params=SERVERS)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with one of everything, backed up once."""
    with redis_server(request.param) as source:
        small(source)
        site = queues(Site(tmp_path_factory.mktemp(request.param)), source)
        site.backed_up()
        yield site


@pytest.fixture
def copied(stored: Site, tmp_path: Path) -> Site:
    return copy_of(stored, tmp_path / "site")


def server_of(site: Site) -> str:
    (snapshot,) = site.services().catalogue.snapshots("p", "queues")
    return str(site.services().catalogue.manifest(snapshot).contents["server"])


def each_damaged(site: Site, damages: dict[str, tuple[str, ...]]) -> dict[str, list[CheckResult]]:
    """In one sandbox: for each damage, load anew, do it, compare."""
    found: dict[str, list[CheckResult]] = {}
    real = Redis.identical

    def identical(self: Redis, context: CheckContext) -> Iterator[CheckResult]:
        for name, commands in damages.items():
            restored_server(context.sandbox, context.manifest).stop()
            self.load(context.sandbox, context.restored, context.manifest)
            redis_damage(*commands)(context.sandbox, context.restored, context.manifest)
            found[name] = list(real(self, context))
        yield from found[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Redis, "identical", identical)
        done = restore_test(Job(site.loaded(), "queues"), "latest", site.services(), Quiet())
    assert done.checks, done.reason
    return found


APART = {"functions", "users"}  # they are no keys: what is done to keys leaves them as they are, and they the keys


def test_each_damage_is_found_and_named(copied: Site) -> None:
    """One that is no key's is done together with one that is, which must not make it look so."""
    few = {name: DAMAGES[name] for name in ON_BOTH}
    damages = DAMAGES | OF_REDIS if server_of(copied) == "redis" else few
    apart = [name for name, (*_, part) in damages.items() if part in APART]
    of_keys = [name for name in damages if name not in apart]
    together = dict(zip_longest(of_keys, apart))
    commands = {
        name: (*damages[name][:-1], *(damages[other][:-1] if other else ())) for name, other in together.items()
    }
    found = each_damaged(copied, commands)
    assert found.keys() == set(of_keys) and set(together.values()) >= set(apart)
    for name, results in found.items():
        failed = {r.name for r in results if r.status is Verdict.FAIL}
        assert damages[name][-1] in failed, (name, results)
        other = together[name]
        assert failed & APART == ({damages[other][-1]} if other else set()), (name, other, results)
        assert "files" not in failed, (name, "the file was not touched")


def test_undamaged_twin_passes(copied: Site) -> None:
    found = each_damaged(copied, {"harmless": HARMLESS, "nothing": ()})
    for name, results in found.items():
        assert {r.status for r in results} == {Verdict.PASS}, (name, results)
        assert [r.name for r in results] == ["files", "keys", "contents", EXPIRY, "functions", "users"]
    assert_clean(copied)


# --- the fetched file -----------------------------------------------------------------------------------------------


def with_file(site: Site, change: Callable[[Path], None]) -> RestoreTest:
    """A restore test in which the fetched file was changed, whatever restic may have said, before it is loaded."""
    loaded = site.loaded()
    real = Redis.load

    def load(self: Redis, box: Place, restored: Path, manifest: Manifest) -> None:
        change(restored / "dump.rdb")
        real(self, box, restored, manifest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Redis, "load", load)
        return restore_test(Job(loaded, "queues"), "latest", site.services(), Quiet())


def flip(path: Path, at: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1000]),
        lambda path: path.write_bytes(b""),
        flip,
        lambda path: flip(path, 0.999),
        lambda path: path.unlink(),
    ],
    ids=["truncated", "emptied", "flipped bit", "flipped bit of the checksum", "missing"],
)
def test_damaged_file_fails(copied: Site, change: Callable[[Path], None]) -> None:
    done = with_file(copied, change)
    assert (done.verdict, int(done.exit_code)) == (Verdict.FAIL, 1), done.reason
    assert "tefan" not in str(copied.records()) and "call:1" not in str(copied.records())
    assert_clean(copied)


def test_untouched_file_passes(copied: Site) -> None:
    assert with_file(copied, lambda path: None).verdict is Verdict.PASS


def test_file_of_another_server_fails(copied: Site, stored: Site, tmp_path: Path) -> None:
    """A sound one, which loads."""
    with redis_server(server_of(stored)) as other:
        other.fill("SET counter 41\nSET another 1")
        foreign = queues(Site(tmp_path), other)
        foreign.backed_up()
        (snapshot,) = foreign.services().catalogue.snapshots("p", "queues")
        job, services = Job(foreign.loaded(), "queues"), foreign.services()
        services.repository(job.loaded, job.limits).restore(snapshot.id, "/", tmp_path / "out")
    (rdb,) = (tmp_path / "out").rglob("dump.rdb")
    done = with_file(copied, lambda path: shutil.copyfile(rdb, path))  # type: ignore[arg-type,return-value]
    assert done.verdict is Verdict.FAIL
    failed = {c.name for c in done.checks if c.status is Verdict.FAIL}
    assert {"files", "keys", "contents", "functions"} <= failed


def test_unreadable_file_is_inconclusive_not_an_empty_server(copied: Site) -> None:
    done = with_file(copied, lambda path: path.chmod(0))
    assert (done.verdict, int(done.exit_code)) == (Verdict.INCONCLUSIVE, 3), done.reason
    assert "cannot be read" in str(done.reason)


# --- the image ------------------------------------------------------------------------------------------------------


def module_rdb(path: Path) -> None:
    """A key of a module's type: REDIS0011, one MODULE_2 value (type 7) of the type TestType0, then EOF."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    number = 0
    for letter in "TestType0":
        number = number << 6 | letters.index(letter)
    path.write_bytes(b"REDIS0011\xfe\x00\x07\x01k\x81" + (number << 10).to_bytes(8, "big") + b"\x00\xff" + bytes(8))


def test_module_that_the_image_lacks_is_inconclusive_and_named(copied: Site) -> None:
    done = with_file(copied, module_rdb)
    assert (done.verdict, int(done.exit_code)) == (Verdict.INCONCLUSIVE, 3), done.reason
    assert "module TestType0" in str(done.reason) and "modules:" in str(done.hint)


def test_rdb_of_a_newer_server_is_inconclusive(copied: Site) -> None:
    done = with_file(copied, lambda path: path.write_bytes(b"REDIS0099" + path.read_bytes()[9:]) and None)
    assert (done.verdict, int(done.exit_code)) == (Verdict.INCONCLUSIVE, 3), done.reason
    assert "too old" in str(done.reason) and "99" in str(done.reason)


def test_image_of_the_other_server_is_inconclusive(copied: Site) -> None:
    plan = copied.root / "plans" / "p.yaml"
    other = {"redis": "valkey", "valkey": "redis"}[server_of(copied)]
    plan.write_text(plan.read_text() + f"    image: ccdr-sandbox/{other}:8\n")
    done = copied.run("test", "p")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    assert server_of(copied) in done.json["reason"].lower()  # its user, or its program, is not in that image


# --- what expires ---------------------------------------------------------------------------------------------------


SOON = 8.0  # seconds: past what a backup takes here


@pytest.mark.parametrize("server", SERVERS)
def test_keys_that_expire_between_capture_and_test_pass_and_hide_no_loss(site: Site, server: str) -> None:
    """However long the capture takes: the source keeps what has expired, as a busy one does."""
    with redis_server(server, "--enable-debug-command", "yes") as source:
        at = int((time.time() + SOON) * 1000)
        source.fill(f"""
            DEBUG SET-ACTIVE-EXPIRE 0
            SET here 1
            SET soon 1 PXAT {at}
            HSET soon:too a b
            PEXPIREAT soon:too {at}
            SET later 1 EX 36000
        """)
        if server == "redis":
            source.fill(f"""
                HSET fields gone 1 stays 1 too 1
                HPEXPIREAT fields {at} FIELDS 1 gone
                HEXPIRE fields 36000 FIELDS 1 too
            """)
        queues(site, source).backed_up()
    time.sleep(max(0.0, at / 1000 + 0.1 - time.time()))
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    (keys,) = [c for c in done.json["checks"] if c["name"] == "keys"]
    assert "2 expired" in keys["actual"], keys
    damages = {"lost": ("DEL soon",), "kept for good": ("DEL soon", "SET soon 1"), "lasting": ("DEL here",), "none": ()}
    results = each_damaged(site, damages)
    failed = {name for name, found in results.items() if any(r.status is Verdict.FAIL for r in found)}
    assert failed == {"lost", "kept for good", "lasting"}


def test_server_of_expired_keys_alone_is_as_good_as_empty(site: Site) -> None:
    """A primary keeps what has expired until it comes across it, and sends it along."""
    with redis_server("redis", "--enable-debug-command", "yes") as source:
        source.fill("DEBUG SET-ACTIVE-EXPIRE 0\nSET soon 1 PX 1")
        time.sleep(0.05)
        queues(site, source)
        done = site.run("backup", "p")
        assert (done.code, done.json["result"]) == (1, "FAILED"), done
        assert "not expired" in done.json["reason"]
        source.fill("SET later 1 EX 36000")
        site.backed_up()


# --- not described where it was taken -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undescribed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with redis_server("redis") as source:
        small(source)
        site = queues(Site(tmp_path_factory.mktemp("large")), source, extra="describe_up_to: 1B")
        done = site.backed_up()
        assert any("describe_up_to" in note for note in done.json["notes"])
        yield site


def test_what_was_too_large_to_describe_is_compared_with_a_second_load(undescribed: Site) -> None:
    (snapshot,) = undescribed.services().catalogue.snapshots("p", "queues")
    held: Any = undescribed.services().catalogue.manifest(snapshot).contents
    assert held["described"] is None and held["keys"] == 19
    names = ("number changed", "key deleted", "time to live longer", "consumer group lost")
    found = each_damaged(undescribed, {"nothing": (), **{n: DAMAGES[n][:-1] for n in names}})
    assert {r.status for r in found.pop("nothing")} == {Verdict.PASS}
    for name, results in found.items():
        assert DAMAGES[name][-1] in {r.name for r in results if r.status is Verdict.FAIL}, (name, results)
    assert_clean(undescribed)


def test_durable_settings_write_the_append_only_file(undescribed: Site, tmp_path: Path) -> None:
    site = copy_of(undescribed, tmp_path / "site")
    plan = site.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text() + "    settings: durable\n")
    asked: list[str] = []
    real = Redis.identical

    def identical(self: Redis, context: CheckContext) -> Iterator[CheckResult]:
        asked.append(restored_server(context.sandbox, context.manifest).info("persistence")["aof_enabled"])
        yield from real(self, context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Redis, "identical", identical)
        done = restore_test(Job(site.loaded(), "queues"), "latest", site.services(), Quiet())
    assert (done.verdict, done.basis, asked) == (Verdict.PASS, "durable", ["1"]), (done.reason, done.checks)
