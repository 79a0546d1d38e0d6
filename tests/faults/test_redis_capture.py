"""An RDB that cannot be had whole, or is not what a plan asks for, is a failed backup; the older one stands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Quiet, Ran, Site, containers, eventually
from tests.support.redis_source import PASSWORD, SERVERS, RedisSource, image_of, queues, redis_server, small
from tests.support.stored import assert_clean, with_repository
from tests.support.watching import watching

from ccdr.engines.redis import capture, server
from ccdr.engines.redis.capture import Description
from ccdr.engines.redis.server import PrivateServer
from ccdr.jobs.backup import backup
from ccdr.model.values import utc
from ccdr.plans.job import Job
from ccdr.setup.doctor.machine import source as source_look


@pytest.fixture
def plain() -> Iterator[RedisSource]:
    with redis_server("redis") as source:
        source.fill("SET counter 41\nRPUSH queue:sales a b c")
        yield source


def failed(done: Ran, site: Site, *words: str) -> None:
    assert (done.code, done.json["result"], done.json["snapshot"]) == (1, "FAILED", None), done
    for word in words:
        assert word in done.json["reason"], done.json["reason"]
    assert_clean(site)


def passes(site: Site) -> dict[str, Any]:
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert_clean(site)
    return done.json  # type: ignore[no-any-return]


def doctor(site: Site) -> list[dict[str, Any]]:
    """What it says of the source."""
    looks = source_look(Job(site.loaded(), "queues"), site.services())
    return [{"what": look.what, "state": look.state.value, "found": look.answer, "do": look.do} for look in looks]


KEEPS = ("--save", "3600 1")  # an RDB of its own


@pytest.mark.parametrize("keeps", [False, True])
def test_a_server_that_is_to_keep_no_file_is_made_to_write_none(site: Site, keeps: bool) -> None:
    """It would load that at its next start, and bring back what was removed since. Its twin keeps one anyway."""
    with redis_server("redis", "--repl-diskless-sync", "no", *(KEEPS if keeps else ())) as source:
        source.cli("SET", "counter", "41")
        queues(with_repository(site), source)
        if keeps:
            site.backed_up()
        else:
            assert "repl-diskless-sync" in site.run("doctor", "p").stdout
            failed(site.run("backup", "p"), site, "repl-diskless-sync no")
        assert ("rdb_saves:0" in source.cli("INFO", "persistence")) is not keeps


# --- the transfer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_source_killed_during_the_transfer_is_a_failed_backup(site: Site, diskless: str) -> None:
    """In the second case while it still writes the RDB to its own disk."""
    slowly = ("--rdb-key-save-delay", "2000", "--rdbcompression", "no", "--repl-diskless-sync", diskless, *KEEPS)
    with redis_server("redis", *slowly) as source:
        queues(with_repository(site), source)
        source.cli("SET", "counter", "41")
        site.backed_up()
        source.cli("EVAL", "for i = 1, 3000 do redis.call('SET', i, string.rep(i, 5000)) end", "0")
        process = site.start("backup", "p", "--json")
        saving = "rdb_bgsave_in_progress:1"
        assert eventually(lambda: saving in source.cli("INFO", "persistence")), process.poll()
        if diskless == "yes":
            assert eventually(lambda: any(p.stat().st_size > 2**20 for p in site.state.rglob("dump.rdb")))
        source.kill()
        out, err = process.communicate(timeout=60)
        assert process.returncode == 1, (out, err)
        assert site.records("backup.end")[-1]["result"] == "FAILED"
        assert_clean(site)
    done = site.run("test", "p")
    assert (done.json["verdict"], done.json["snapshot"]["verdict"]) == ("FAIL", "PASS"), done


def test_rdb_that_comes_slowly_is_waited_for(site: Site) -> None:
    """Nothing arrives for longer than `no_progress`: the server writes its file first. Its count of keys grows."""
    delayed = ("--rdb-key-save-delay", "1000", "--repl-diskless-sync", "no", *KEEPS)
    with redis_server("redis", *delayed) as source:
        source.cli("EVAL", "for i = 1, 12000 do redis.call('SET', i, i) end", "0")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ccdr.engines.redis.client.LOOK_EVERY", 0.5)
            queues(site, source, "limits: {no_progress: 6s}")
            done = backup(Job(site.loaded(), "queues"), site.services(), Quiet())
        assert done.snapshot is not None and done.phases["capture"] > 12, (done.reason, done.phases)


# --- empty sources ----------------------------------------------------------------------------------------------------


def test_flushed_server_is_a_failed_backup(site: Site, plain: RedisSource) -> None:
    queues(site, plain).backed_up()
    plain.cli("FLUSHALL")
    failed(site.run("backup", "p"), site, "no key", "empty")
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["snapshot"]["verdict"]) == (1, "FAIL", "PASS")
    plain.fill("SET counter 41")
    site.backed_up()
    passes(site)


def test_server_that_may_be_empty_is_backed_up_and_its_emptiness_told(site: Site, plain: RedisSource) -> None:
    checks = 'restore_test: queues\nchecks:\n  - {kind: identical}\n  - {kind: keys, match: "counter", at_least: 1}\n'
    queues(site, plain, "may_be_empty: true", checks).backed_up()
    passes(site)
    plain.cli("FLUSHALL")
    done = site.backed_up()
    assert any("no key" in note for note in done.json["notes"])
    done = site.run("test", "p")
    assert done.json["verdict"] == "FAIL", "what must never be missing is for a check to say"
    assert {c["name"]: c["status"] for c in done.json["checks"]}["keys"] == "PASS"


@pytest.mark.parametrize("policy", ["allkeys-lru", "noeviction"])
def test_a_backlog_that_a_backup_leaves_is_told_where_maxmemory_has_no_room(
    site: Site, plain: RedisSource, policy: str
) -> None:
    """It is a replica to the server, and there is no other way: what that evicts, or keeps clients from, is told."""
    queues(site, plain)
    plain.cli("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", policy)
    assert "replication backlog" not in {look["what"] for look in doctor(site)}
    assert not any("backlog" in note for note in site.backed_up().json["notes"])
    used = int(re.findall(r"used_memory:(\d+)", plain.cli("INFO", "memory"))[0])
    plain.cli("CONFIG", "SET", "maxmemory", str(used + 2**19))
    (look,) = [look for look in doctor(site) if look["what"] == "replication backlog"]
    assert look["state"] == "WARN" and "repl-backlog-size" in look["do"]
    (note,) = [note for note in site.backed_up().json["notes"] if "backlog" in note]
    assert ("evicts keys (allkeys-lru)" in note) is (policy == "allkeys-lru")


# --- rights -----------------------------------------------------------------------------------------------------------


def test_wrong_password_is_a_failed_backup_and_found_by_doctor(site: Site) -> None:
    with redis_server("redis", guarded=True) as source:
        source.fill("SET counter 41")
        queues(site, source)
        site.write("plans/queues.pw", "not the password\n", mode=0o600)
        failed(site.run("backup", "p"), site, "WRONGPASS")
        (look,) = doctor(site)
        assert look["state"] == "FAIL" and "WRONGPASS" in look["found"]
        (site.root / "plans" / "queues.pw").unlink()
        done = site.run("backup", "p")
        assert done.code == 2, done
        site.write("plans/queues.pw", PASSWORD + "\n", mode=0o600)
        site.backed_up()


@pytest.mark.parametrize("server", SERVERS)
def test_user_with_the_rights_that_doctor_names_can_back_up_and_no_more(site: Site, server: str) -> None:
    with redis_server(server) as source:
        small(source)
        source.cli("ACL", "SETUSER", "ccdr_backup", "on", f">{PASSWORD}", "-@all", "+info", "+acl|dryrun")
        site.write("plans/queues.pw", PASSWORD + "\n", mode=0o600)
        reach = f"host: {source.socket}, user: ccdr_backup, password_file: queues.pw"
        queues(site, source, connection=reach)
        failed(site.run("backup", "p"), site, "NOPERM")
        looks = {look["what"]: look for look in doctor(site)}
        assert looks["rights to read"]["state"] == "FAIL" and "psync" in looks["rights to read"]["found"]
        found = re.search(r"ACL SETUSER .*", looks["rights to read"]["do"])
        assert found
        rights = [word for word in found[0].split(" ")[3:] if not word.startswith(">")]
        source.cli("ACL", "SETUSER", "ccdr_backup", *rights)
        looks = {look["what"]: look for look in doctor(site)}
        assert (looks["rights to read"]["state"], looks["rights to write"]["state"]) == ("OK", "OK"), looks
        site.backed_up()
        checks = {c["name"] for c in passes(site)["checks"]}
        assert {"users", "functions", "contents"} <= checks
        # Less than that: no users, said so, and not compared.
        source.cli("ACL", "SETUSER", "ccdr_backup", "-acl|list", "-config|get", "-module|list")
        done = site.backed_up()
        assert any("+acl|list" in note for note in done.json["notes"]), done
        assert "users" not in {c["name"] for c in passes(site)["checks"]}


def test_users_of_a_guarded_server_come_back_and_do_not_lock_the_test_out(site: Site) -> None:
    with redis_server("redis", guarded=True) as source:
        small(source)
        source.cli("ACL", "SETUSER", "ccdr.looks2", "on", "nopass", "+@all")
        queues(site, source).backed_up()
        (users,) = [c for c in passes(site)["checks"] if c["name"] == "users"]
        assert users["actual"] == "3 of them"


def test_password_is_seen_by_nobody(site: Site) -> None:
    with redis_server("redis", guarded=True) as source:
        small(source)
        digest = re.search(r"#([0-9a-f]{64})", source.cli("ACL", "LIST"))
        assert digest
        queues(site, source)
        said = []
        with watching(site) as seen:
            for verb in ("backup", "test", "doctor", "status", "snapshots"):
                said.append(str(site.run(verb, "p", "-v")))
            for _ in range(8):  # the client is at work for a moment only
                if any("--rdb" in line for line in set(seen.lines)):
                    break
                said.append(str(site.run("backup", "p", "-v")))
    kept = [p.read_text(errors="replace") for d in ("ledger", "catalogue") for p in (site.state / d).rglob("*.json*")]
    watched = "\n".join(line for line in seen.lines if "docker\0exec\0-i\0ccdr-test-" not in line)
    assert "--rdb" in watched and len(seen.containers) >= 2, "it was really looked at"
    for secret in (PASSWORD, digest[1]):
        assert secret not in watched, "arguments"
        assert secret not in "".join(seen.containers.values()), "a container's configuration"
        assert secret not in "".join(said), "output"
        assert secret not in "".join(kept), "ledger or catalogue"
    assert not list(site.state.rglob("redis-password"))


# --- clusters, replicas, TLS ------------------------------------------------------------------------------------------


def test_node_of_a_cluster_is_refused_unless_the_plan_knows(site: Site) -> None:
    with redis_server("redis", "--cluster-enabled", "yes", "--port", "6379") as source:
        source.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        assert eventually(lambda: "cluster_state:ok" in source.cli("CLUSTER", "INFO"))
        source.fill("SET counter 41")
        queues(site, source)
        failed(site.run("backup", "p"), site, "cluster", "slots")
        assert "FAIL" in {look["state"] for look in doctor(site)}
        queues(site, source, "cluster_node: true")
        done = site.backed_up()
        assert any("slots" in note for note in done.json["notes"])
        passes(site)


def test_replica_is_as_old_as_its_primary_s_last_word_and_refused_when_cut_off(site: Site) -> None:
    with ExitStack() as stack:
        primary = stack.enter_context(redis_server("redis", "--port", "6379"))
        small(primary)
        network = f"container:{primary.container}"
        replica = stack.enter_context(
            redis_server("redis", "--replicaof", "127.0.0.1", "6379", "--repl-timeout", "3", network=network)
        )
        assert eventually(lambda: "master_link_status:up" in replica.cli("INFO", "replication"))
        queues(site, replica)
        done = site.backed_up()
        assert any("replica" in note for note in done.json["notes"])
        began = utc(site.records("backup.start")[-1]["time"])
        consistent = utc(done.json["snapshot"]["consistent_point"])
        assert (consistent - began).total_seconds() < 60
        passes(site)
        primary.kill()
        assert eventually(lambda: "master_link_status:down" in replica.cli("INFO", "replication"))
        failed(site.run("backup", "p"), site, "cut off")


def openssl(directory: Path, *args: str) -> None:
    subprocess.run(["openssl", *args], cwd=directory, check=True, capture_output=True)


@pytest.mark.parametrize("clients", ["no", "yes"])
def test_tls_is_verified(site: Site, tmp_path: Path, clients: str) -> None:
    """The server's certificate by the plan's CA; ours by the server's, where it asks for one."""
    keys = tmp_path / "keys"
    keys.mkdir()
    new = ("req", "-newkey", "rsa:2048", "-nodes")
    for ca in ("ca", "other"):
        openssl(keys, *new, "-x509", "-days", "2", "-subj", f"/CN={ca}", "-keyout", f"{ca}.key", "-out", f"{ca}.crt")
    for name in ("server", "client"):
        openssl(keys, *new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        sign = (
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
        )
        openssl(keys, *sign, "-out", f"{name}.crt")
    for path in keys.iterdir():
        path.chmod(0o644)
    port = str(20000 + os.getpid() % 20000 + (clients == "yes"))
    tls = ("--tls-port", port, "--tls-cert-file", "/keys/server.crt", "--tls-key-file", "/keys/server.key")
    more = ("--tls-ca-cert-file", "/keys/ca.crt", "--tls-auth-clients", clients)
    with redis_server("redis", *tls, *more, network="host", mounts=(f"{keys}:/keys:ro",)) as source:
        source.fill("SET counter 41")
        reach = f"host: 127.0.0.1, port: {port}, tls: verify, ca_file: {keys}/ca.crt"
        own = f", cert_file: {keys}/client.crt, key_file: {keys}/client.key"
        queues(site, source, connection=reach + own if clients == "yes" else reach).backed_up()
        spoken = site.records("backup.end")[-1]["tls"]
        assert (spoken["version"], spoken["verified"]) == ("TLSv1.3", True), spoken
        passes(site)
        queues(site, source, connection=reach.replace("/ca.crt", "/other.crt") + own)
        failed(site.run("backup", "p"), site, "the TLS certificate is not accepted")
        assert doctor(site)[0]["state"] == "FAIL"
        if clients == "yes":
            queues(site, source, connection=reach)
            assert site.run("backup", "p").code == 1
    queues(site, source, connection=f"host: db.example.test, port: {port}")
    done = site.run("backup", "p")
    assert done.code == 2 and "ca_file" in done.stderr, done


# --- where the client runs --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's own programs and their libraries, to be run on this host."""
    root = tmp_path_factory.mktemp("programs")
    made = subprocess.run(["docker", "create", image_of("redis")], capture_output=True, text=True, check=True)
    container = made.stdout.strip()
    try:
        exported = subprocess.run(["docker", "export", container], capture_output=True, check=True).stdout
    finally:
        subprocess.run(["docker", "rm", container], capture_output=True, check=True)
    wanted = ["--wildcards", "*/bin/redis-*", "*.so*"]
    subprocess.run(["tar", "-x", "-C", str(root), *wanted], input=exported, check=False, capture_output=True)
    (root / "bin").mkdir()
    libraries = ":".join(sorted({str(p.parent) for p in root.rglob("lib*.so*")}))
    (loader,) = {p.resolve() for p in root.rglob("ld-linux-*.so*")}
    for program in ("redis-cli", "redis-server", "redis-check-rdb"):
        (real,) = [p for p in root.rglob(program) if p.parent.name == "bin" and p.parent != root / "bin"]
        script = root / "bin" / program
        script.write_text(
            f'#!/bin/sh\nexec {loader} --argv0 {program} --library-path {libraries} {real.resolve()} "$@"\n'
        )
        script.chmod(0o755)
    return root / "bin"


def on_host(site: Site, programs: Path) -> dict[str, str]:
    return {"PATH": f"{programs}:{os.environ['PATH']}", "DOCKER_HOST": "unix:///nowhere/docker.sock"}


def test_the_host_s_own_programs_serve_without_docker(site: Site, programs: Path) -> None:
    with redis_server("redis", guarded=True) as source:
        small(source)
        queues(site, source)
        done = site.backed_up(env=on_host(site, programs))
        assert not any("described" in note for note in done.json["notes"]), done
        assert not servers_of_ours()
    passes(site)


def test_without_the_server_s_program_the_restore_test_describes(site: Site, programs: Path, tmp_path: Path) -> None:
    """A host with nothing but the client's package."""
    fewer = shutil.copytree(programs, tmp_path / "bin", symlinks=True)
    (fewer / "redis-server").unlink()
    with redis_server("redis") as source:
        small(source)
        queues(site, source)
        done = site.backed_up(env=on_host(site, fewer))
        assert any("redis-server" in note for note in done.json["notes"]), done
    passes(site)


def servers_of_ours() -> list[str]:
    """Command lines of servers that ccdr has started on this host, and in none of its containers: other tests run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                contained = "docker" in (entry / "cgroup").read_text()
            except OSError:
                continue
            if re.search(r"redis-server.*/tmp/tmp\.\w+/", line) and not contained:
                found.append(line)
    return found


def test_killed_ccdr_leaves_no_server_on_the_host(site: Site, programs: Path) -> None:
    with redis_server("redis") as source:
        source.cli("EVAL", "for i = 1, 2000000 do redis.call('SET', i, i) end", "0")
        queues(site, source)
        process = site.start("backup", "p", env=on_host(site, programs))
        assert eventually(lambda: bool(servers_of_ours()), 60), process.poll()
        process.kill()
        process.communicate(timeout=30)
        assert eventually(lambda: not servers_of_ours(), 30)
    assert not containers() & {f"ccdr-{r['run']}-client" for r in site.records("backup.start")}


@pytest.mark.parametrize("at", ["its load", "its answers", "never"])
def test_a_server_of_our_own_that_is_killed_loses_no_backup(
    site: Site, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """It is the first to go where memory runs short; what it was to describe was sent whole. One that gives up by
    itself has met something in the file."""
    loaded, described, configured = PrivateServer.loaded, capture.describe, server.configuration

    def kill(one: PrivateServer) -> None:
        wait = 'until [ -s "$1"/pid ]; do sleep 0.01; done; kill -9 "$(cat "$1"/pid)"'
        one.place.run(["sh", "-c", wait, "sh", one.run])

    def load(one: PrivateServer) -> None:
        kill(one)
        loaded(one)

    def describe(one: PrivateServer, since: int) -> Description:
        kill(one)
        return described(one, since)

    if at == "its load":
        monkeypatch.setattr(PrivateServer, "loaded", load)
    elif at == "its answers":
        monkeypatch.setattr(capture, "describe", describe)
    else:
        few = {"databases": 2}  # fewer than the file has
        monkeypatch.setattr(server, "configuration", lambda *args, **more: configured(*args, **{**more, **few}))
    with redis_server("redis") as source:
        small(source)
        queues(site, source)
        done = backup(Job(site.loaded(), "queues"), site.services(), Quiet())
    if at == "never":
        assert (done.result, done.snapshot) == ("FAILED", None) and "databases" in done.words, done.reason
        return
    assert done.result == "STORED", done.reason
    assert any("it was killed" in note and "described by the restore test" in note for note in done.notes), done.notes
    monkeypatch.undo()
    passes(site)


def test_image_for_the_other_server_is_opened_only_to_ask(site: Site) -> None:
    """With no client on this host the first image at hand asks; then the one that fits is opened."""
    with redis_server("valkey") as source:
        small(source)
        queues(site, source).backed_up()
        assert site.services().catalogue.snapshots("p", "queues")[0].method == "rdb"
        passes(site)
        queues(site, source, f"image: {image_of('redis')}")
        failed(site.run("backup", "p"), site, "redis 8")
