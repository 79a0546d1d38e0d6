"""The sandbox: what it lacks or suffers is INCONCLUSIVE, never FAIL and never PASS; and it is as closed as it says."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from docker import from_env
from docker.api.client import APIClient
from tests.conftest import _image
from tests.support.harness import Quiet, Ran, Site, Source, containers, eventually, small_database
from tests.support.sites import copy_of

from ccdr.engines import Postgres
from ccdr.host.state import State
from ccdr.jobs.restore_test import RestoreTest, restore_test
from ccdr.model.errors import CommandFailed, Exit, TestBroken
from ccdr.model.values import Manifest, Verdict, utc
from ccdr.plans.job import Job
from ccdr.ports.place import Place
from ccdr.ports.restored import SandboxNeeds
from ccdr.sandbox import lab
from ccdr.sandbox.box import Box

HEAD = "restore_test: crm\nchecks:\n"
IDENTICAL = HEAD + "  - {kind: identical}\n"
SLOW = HEAD + '  - {kind: sql, name: slow, expect: "", query: "select pg_sleep(120)"}\n'


def docker(*args: str) -> str:
    return subprocess.run(["docker", *args], capture_output=True, text=True, check=True).stdout.strip()


def own_containers(site: Site) -> list[str]:
    return docker("ps", "-aq", "--filter", f"label=ccdr.state={State(site.state).id}").split()


def own_volumes(site: Site) -> list[str]:
    return docker("volume", "ls", "-q", "--filter", f"label=ccdr.state={State(site.state).id}").split()


@pytest.fixture(scope="module")
def stored(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with small_database(source, "sandboxed") as name:
        site = Site(tmp_path_factory.mktemp(name))
        site.crm(source, name)
        site.backed_up()
        yield site


@pytest.fixture
def site(stored: Site, tmp_path: Path) -> Iterator[Site]:
    made = copy_of(stored, tmp_path / "site")
    yield made
    made.ledger_holds()
    assert not own_containers(made) and not own_volumes(made)
    assert not list((made.state / "scratch").glob("run-*"))


@pytest.fixture
def ask(site: Site, source: Source) -> Callable[..., Ran]:
    """`ccdr test` with more YAML of the asset."""

    def run(extra: str = "", checks: str = IDENTICAL, env: dict[str, str] | None = None) -> Ran:
        site.crm(source, "sandboxed", extra=extra, checks=checks)
        return site.run("test", "p", env=env)

    return run


def another(site: Site) -> Site:
    """A place beside this one, with a repository of its own."""
    root = site.root / "own"
    root.mkdir()
    return Site(root)


def inconclusive(done: Ran, *said: str) -> None:
    assert (done.json["verdict"], done.code) == ("INCONCLUSIVE", 3), done
    for text in said:
        assert text in done.json["reason"], done.json["reason"]
    assert done.json["checks"] == [] or all(c["status"] == "PASS" for c in done.json["checks"])
    assert done.json["rto"]["verdict"] == "NOT_MEASURED" and done.json["disposal"]["left_behind"] == []


# --- what the image lacks -----------------------------------------------------------------------------------


def test_missing_image_is_inconclusive_and_never_replaced(ask: Callable[..., Ran]) -> None:
    inconclusive(ask("image: localhost:1/no-such-image:17"), "localhost:1/no-such-image:17")


def test_image_without_the_server_is_inconclusive(ask: Callable[..., Ran]) -> None:
    inconclusive(ask("image: ccdr-sandbox/files:1"), "ccdr-sandbox/files:1")


@pytest.fixture(scope="module")
def other_images(source: Source) -> Iterator[Callable[[str, str], str]]:
    """Images made from the source's own, with one change."""
    made: list[str] = []

    def make(name: str, script: str) -> str:
        base = docker("inspect", "-f", "{{.Config.Image}}", source.container)
        docker("run", "--name", f"ccdr-test-{name}", "--user", "root", "--entrypoint", "sh", base, "-c", script)
        docker("commit", f"ccdr-test-{name}", f"ccdr-test/{name}:1")
        docker("rm", f"ccdr-test-{name}")
        made.append(f"ccdr-test/{name}:1")
        return made[-1]

    yield make
    for image in made:
        docker("rmi", "-f", image)


def test_other_major_version_is_inconclusive(ask: Callable[..., Ran], other_images: Callable[[str, str], str]) -> None:
    script = 'p=$(command -v postgres); rm "$p"; printf "#!/bin/sh\\necho postgres \\(PostgreSQL\\) 16.4\\n" > "$p"; chmod 755 "$p"'
    image = other_images("major", script)
    inconclusive(ask(f"image: {image}"), "PostgreSQL 16.4", "the backup is of 17")


def test_missing_extension_is_inconclusive_and_named(site: Site, source: Source) -> None:
    """A real extension of the source's host, which no image has."""
    where = docker(
        "exec", source.container, "sh", "-c", "dirname $(ls /usr/share/postgresql/*/extension/plpgsql.control)"
    )
    script = (
        f"printf 'default_version = 1\\nrelocatable = true\\n' > {where}/dialler_magic.control;"
        f"echo 'create function magic() returns int language sql as $$ select 1 $$;' > {where}/dialler_magic--1.sql"
    )
    docker("exec", "-u", "root", source.container, "sh", "-c", script)
    source.psql("create database magic template template0")
    try:
        source.psql("create extension dialler_magic; create table t as select 1 a", "magic")
        own = another(site)
        own.crm(source, "magic", checks=IDENTICAL)
        own.backed_up()
        inconclusive(own.run("test", "p"), "dialler_magic")
        assert not own_containers(own)
    finally:
        source.psql("drop database magic with (force)")


def test_missing_locale_is_inconclusive_and_named(site: Site, source: Source) -> None:
    """A locale that somebody once made on the source's host."""
    docker(
        "exec", "-u", "root", source.container, "sh", "-c", "cp -r /usr/lib/locale/C.utf8 /usr/lib/locale/xx_YY.utf8"
    )
    source.psql("create database localed template template0 locale 'xx_YY.utf8'")
    try:
        source.psql("create table t as select 1 a", "localed")
        own = another(site)
        own.crm(source, "localed", checks=IDENTICAL)
        own.backed_up()
        inconclusive(own.run("test", "p"), "xx_YY.utf8")
    finally:
        source.psql("drop database localed with (force)")


FILES = {
    "tsearch_data/ours.stop": "create text search dictionary ours (template = simple, stopwords = ours)",
    "tsearch_data/ours.syn": "create text search dictionary ours (template = synonym, synonyms = ours)",
    "timezonesets/Ours": "alter database filed set timezone_abbreviations = 'Ours'",
}


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_of_the_server_s_is_inconclusive_and_the_image_named(
    site: Site, source: Source, file: str
) -> None:
    """A word list, or abbreviations of time zones, that somebody once put on the source's host."""
    path = f"$(dirname $(ls -d /usr/share/postgresql/*/tsearch_data))/{file}"
    docker("exec", "-u", "root", source.container, "sh", "-c", f"echo 'XYZ 3600' > {path}")
    source.psql("create database filed template template0")
    try:
        source.psql("create table t as select 1 a", "filed")
        source.psql(FILES[file], "filed")
        own = another(site)
        own.crm(source, "filed", checks=IDENTICAL)
        own.backed_up()
        inconclusive(done := own.run("test", "p"), "image ccdr-sandbox/postgres:17 lacks")
        assert source.psql("show server_version") in done.json["hint"], "which image has it"
    finally:
        source.psql("drop database filed with (force)")


def in_process(site: Site, source: Source, checks: str = IDENTICAL) -> RestoreTest:
    site.crm(source, "sandboxed", checks=checks)
    return restore_test(Job(site.loaded(), "crm"), "latest", site.services(), Quiet())


def test_role_that_the_captured_globals_lack_fails(site: Site, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the backup cannot be restored by anybody, whatever the image: FAIL."""
    load = Postgres.load

    def without_role(self: Postgres, box: Place, restored: Path, manifest: Manifest) -> None:
        roles = restored / "roles.sql"
        roles.write_text("".join(line for line in roles.read_text().splitlines(True) if "sandboxed_reader" not in line))
        load(self, box, restored, manifest)

    monkeypatch.setattr(Postgres, "load", without_role)
    done = in_process(site, source)
    assert (done.verdict, int(done.exit_code)) == (Verdict.FAIL, 1)
    assert "at sandboxed_reader" in str(done.reason)


def test_definitions_that_were_damaged_in_the_captured_dump_fail(
    site: Site, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They load, and are dumped again as they were loaded: only the file's own digest tells."""
    load = Postgres.load

    def damaged(self: Postgres, box: Place, restored: Path, manifest: Manifest) -> None:
        toc = restored / "dump" / "toc.dat"
        before = toc.read_bytes()
        assert before.count(b"coalesce(new.note, '-')") == 1
        toc.write_bytes(before.replace(b"coalesce(new.note, '-')", b"coalesce(new.note, '+')"))
        load(self, box, restored, manifest)

    monkeypatch.setattr(Postgres, "load", damaged)
    done = in_process(site, source)
    assert (done.verdict, int(done.exit_code)) == (Verdict.FAIL, 1)
    assert [(c.name, c.actual) for c in done.checks if c.status is Verdict.FAIL] == [
        ("table of contents and roles", "differs: dump/toc.dat")
    ]


# --- what happens to it -------------------------------------------------------------------------------------


def test_docker_down_is_inconclusive(ask: Callable[..., Ran]) -> None:
    inconclusive(ask(env={"DOCKER_HOST": "unix:///nonexistent"}), "Docker does not answer at unix:///nonexistent")


def killed(site: Site, until: str) -> dict[str, Any]:
    """Run a test, and have the sandbox killed by somebody else once `until` is under way."""
    process = site.start("test", "p", "--json")
    assert process.stderr and process.stdout
    for line in process.stderr:
        if until in line:
            break
    assert eventually(lambda: bool(docker("ps", "-q", "--filter", f"label=ccdr.state={State(site.state).id}")))
    docker("kill", *own_containers(site))
    out, _ = process.communicate(timeout=60)
    found: dict[str, Any] = json.loads(out)
    assert process.returncode == 3 and found["verdict"] == "INCONCLUSIVE" and "sandbox is gone" in found["reason"], (
        found
    )
    return found


def test_killed_sandbox_mid_load_is_inconclusive(site: Site, source: Source) -> None:
    site.crm(source, "sandboxed", extra='prepare_sql: ["select pg_sleep(60)"]')
    killed(site, "ccdr: loading crm")


def test_killed_sandbox_mid_check_is_inconclusive(site: Site, source: Source) -> None:
    site.crm(source, "sandboxed", checks=SLOW)
    found = killed(site, "ccdr: checking crm: slow")
    assert found["rto"]["answering_s"] > 0  # so far it came


def test_out_of_memory_in_the_sandbox_is_inconclusive(ask: Callable[..., Ran]) -> None:
    hungry = (
        HEAD + "  - {kind: sql, name: hungry, expect: 900000000, query: \"select length(repeat('x', 900000000))\"}\n"
    )
    inconclusive(ask("memory: 128MiB\nstorage: disk", hungry), "ran out of memory (128 MiB)")


def with_needs(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    needs = Postgres.sandbox

    def changed(self: Postgres, manifest: Manifest) -> SandboxNeeds:
        return replace(needs(self, manifest), **changes)

    monkeypatch.setattr(Postgres, "sandbox", changed)


def test_full_data_memory_is_inconclusive(site: Site, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    with_needs(monkeypatch, bytes=30 * 2**20)
    done = in_process(site, source)
    assert done.verdict is Verdict.INCONCLUSIVE and "disk space ran out" in str(done.reason), done


def test_full_scratch_is_inconclusive_before_anything_is_fetched(
    site: Site, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(lab.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 2**20))
    done = in_process(site, source)
    assert done.verdict is Verdict.INCONCLUSIVE and "1.0 MiB free, the test needs" in str(done.reason)
    assert done.phases["fetch"] == done.phases["provision"] == 0.0


def test_too_little_memory_is_inconclusive(site: Site, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "memory_available", lambda: 100 * 2**20)
    done = in_process(site, source)
    assert done.verdict is Verdict.INCONCLUSIVE and "100.0 MiB of memory free" in str(done.reason)


def test_data_goes_to_disk_where_memory_is_scarce(site: Site, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "memory_available", lambda: 2 * 2**30)
    done = in_process(site, source)
    assert done.verdict is Verdict.PASS and done.sandbox.storage == "disk", done


# --- how closed it is ---------------------------------------------------------------------------------------

INSIDE = {
    "no network but loopback": 'test "$(ls /sys/class/net)" = lo',
    "read-only root": "! touch /x 2> /dev/null && ! touch /etc/x 2> /dev/null && ! touch /usr/x 2> /dev/null",
    "no capabilities": "grep -q '^CapEff:.0000000000000000$' /proc/self/status && grep -q '^CapBnd:.0000000000000000$' /proc/self/status",
    "no new privileges": "grep -q '^NoNewPrivs:.1$' /proc/self/status",
    "not root": 'test "$(id -u)" != 0',
    "no core dumps": 'test "$(ulimit -c)" = 0',
    "shared memory": 'test "$(df -k --output=size /dev/shm | tail -1)" -ge 262144',
    "files are read-only": "! touch x 2> /dev/null && ! rm roles.sql 2> /dev/null && test -s roles.sql",
    "no docker socket": "! test -e /var/run/docker.sock",
    "no secrets of the plan": "! env | grep -qi 'restic\\|password\\|AWS_' && ! grep -rqs 'correct horse' /ccdr /tmp /etc",
}


def test_inside_the_sandbox_nothing_can_be_reached(ask: Callable[..., Ran]) -> None:
    checks = HEAD + "".join(
        f"  - {{kind: command, name: {json.dumps(name)}, argv: [sh, -c, {json.dumps(script)}]}}\n"
        for name, script in INSIDE.items()
    )
    done = ask(
        "settings: durable\nstorage: disk\nmemory: 1GiB", checks + "  - {kind: sql, query: show fsync, expect: 'on'}\n"
    )
    assert not [c for c in done.json["checks"] if c["status"] != "PASS"], done
    assert (done.json["verdict"], done.code) == ("PASS", 0)
    assert done.json["rto"]["basis"] == "durable" and done.json["sandbox"]["storage"] == "disk"
    seen = done.json["sandbox"]
    assert seen["differs"] == [] and any(mount.startswith("volume /") for mount in seen["mounts"]), seen
    assert done.json["proof"] == "checked", "none of these compares with what was captured"


def test_a_daemon_that_does_not_do_as_it_is_asked_is_inconclusive_and_a_finding(
    site: Site, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin of the daemon may change what it is asked for, and then nothing is loaded into what it has made."""
    create = APIClient.create_container_from_config

    def otherwise(self: APIClient, config: dict[str, Any], *args: Any) -> Any:
        host = {**config["HostConfig"], "ReadonlyRootfs": False, "CapDrop": ["NET_RAW"]}
        return create(self, {**config, "HostConfig": host}, *args)

    monkeypatch.setattr(APIClient, "create_container_from_config", otherwise)
    done = in_process(site, source)
    assert done.verdict is Verdict.INCONCLUSIVE and done.exit_code is Exit.FINDING
    assert "root is writable instead of read-only" in str(done.reason) and done.reason in map(str, done.findings)
    (record,) = site.records("restore_test.end")[-1:]
    assert [d["fact"] for d in record["sandbox"]["differs"]] == ["root", "capabilities"]
    assert record["sandbox"]["root"] == "writable", "what is seen is recorded, not what was asked for"
    assert record["proof"] == "readable" and record["phases"]["load"] == 0.0 and record["checks"] == []
    assert record["disposal"]["sandbox_gone"] is True


def test_a_kept_sandbox_is_as_closed_as_docker_can_tell(site: Site, source: Source) -> None:
    site.crm(source, "sandboxed", checks=IDENTICAL, extra="memory: 1GiB")
    try:
        done = site.run("test", "p", "--keep")
        assert (done.json["verdict"], done.code) == ("PASS", 0), done
        (name,) = {f"ccdr-{done.json['run']}"} & containers()
        kept = json.loads(docker("inspect", name))[0]
        host, labels = kept["HostConfig"], kept["Config"]["Labels"]
        assert host["NetworkMode"] == "none" and host["ReadonlyRootfs"] and not host["Privileged"]
        assert host["CapDrop"] == ["ALL"] and not host["CapAdd"] and "no-new-privileges" in host["SecurityOpt"]
        assert 0 < host["Memory"] == host["MemorySwap"] and 0 < host["PidsLimit"] <= 4096
        assert host["LogConfig"]["Type"] == "none" and host["ShmSize"] >= 2**28
        assert [(u["Name"], u["Soft"], u["Hard"]) for u in host["Ulimits"]] == [("core", 0, 0)]
        assert host["AutoRemove"] and kept["Config"]["User"] == "postgres"
        assert (
            not host["PortBindings"] and not host["Devices"] and host["PidMode"] == "" and host["IpcMode"] == "private"
        )
        assert labels["ccdr.run"] == done.json["run"]
        until, now = utc(labels["ccdr.expires"]), datetime.now(UTC)
        assert now < until <= now + timedelta(hours=24, minutes=1)
        writable = {m["Destination"] for m in kept["Mounts"] if m["RW"]}
        assert writable == {"/ccdr/out"}  # the rest is tmpfs
        seen = done.json["sandbox"]
        assert seen["differs"] == [] and kept["Image"] == seen["image_digest"] and seen["registry_digest"] is None
        assert (seen["network"], seen["networks"], seen["root"], seen["user"]) == ("none", [], "read-only", "postgres")
        assert (seen["capabilities"], seen["no_new_privileges"], seen["privileged"]) == ("none", True, False)
        assert (seen["memory_limit"], seen["pids_limit"]) == (host["Memory"], host["PidsLimit"])
        assert [m for m in seen["mounts"] if not m.startswith("tmpfs ")] == [
            "bind /ccdr/in read-only",
            "bind /ccdr/out writable",
        ]
        assert utc(done.json["disposal"]["kept_until"]) > now + timedelta(hours=3)
        assert (
            docker(
                "exec",
                name,
                "psql",
                "-h",
                "/ccdr/run",
                "-U",
                "postgres",
                "-d",
                "sandboxed",
                "-Atc",
                "select count(*) from call",
            )
            == "3000"
        )
    finally:
        for container in own_containers(site):
            docker("rm", "-f", container)
        assert site.run("sandbox", "reap").code == 0


# --- what a command is told -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asleep() -> Iterator[str]:
    container = docker("run", "-d", "--rm", "--network", "none", "--entrypoint", "sleep", _image(), "1800")
    yield container
    docker("rm", "-f", container)


@pytest.fixture(params=[False, True], ids=["by docker", "by a shell"])
def box(request: pytest.FixtureRequest, asleep: str) -> Iterator[Box]:
    with contextlib.closing(from_env()) as client:
        made = Box(client.api, asleep, _image(), {}, {}, no_progress=3.0, keeps_shells=bool(request.param))
        with contextlib.closing(made):
            yield made


LIST = "a name of a file\n" * 300_000  # more than whatever lies between holds
SPEAKS_FIRST = "head -c 5000000 /dev/zero; wc -c >&2"


@pytest.mark.parametrize("said", ["one line\n", LIST])
def test_a_long_list_is_read_by_a_command_that_speaks_first(box: Box, said: str) -> None:
    done = box.run(["sh", "-c", SPEAKS_FIRST], stdin=said)
    assert (len(done.stdout), done.stderr.reveal().strip()) == (5_000_000, str(len(said)))


@pytest.mark.parametrize("said", ["one line\n", LIST])
def test_a_command_that_reads_nothing_is_seen_to_hang(box: Box, said: str) -> None:
    with pytest.raises(CommandFailed) as raised:
        box.run(["sleep", "60"], stdin=said)
    assert raised.value.stalled
    assert box.run(["echo", "on"]).stdout == "on\n", "the next one waits for nothing"


@pytest.mark.parametrize("code", [0, 1, 126, 127, 137, 255])
def test_a_command_ends_as_it_ended(box: Box, code: int) -> None:
    said = box.run(["sh", "-c", f"printf out; printf err >&2; exit {code}"], ok=range(256))
    assert (said.code, said.stdout, said.stderr.reveal()) == (code, "out", "err")


def test_a_program_that_is_not_there_is_the_images_fault(box: Box) -> None:
    with pytest.raises(TestBroken, match=r"cannot run pg_nothing: no such program$"):
        box.run(["pg_nothing"])
    assert box.run(["echo", "on"]).stdout == "on\n"


def test_commands_of_several_threads_do_not_hear_each_other(box: Box) -> None:
    with ThreadPoolExecutor(8) as pool:
        said = [pool.submit(box.run, ["sh", "-c", f"cat; echo {n} >&2"], stdin=f"{n}\n") for n in range(40)]
    assert [(one.result().stdout, one.result().stderr.reveal()) for one in said] == [(f"{n}\n",) * 2 for n in range(40)]


BY_A_SHELL = pytest.mark.parametrize("box", [True], ids=["by a shell"], indirect=True)


@BY_A_SHELL
@pytest.mark.parametrize("signal", ["KILL", "TERM", "SEGV"])
def test_a_shell_that_is_killed_says_nothing_of_its_command(box: Box, signal: str) -> None:
    """Nobody knows how that ended: no failure of what came back, and no success."""
    with pytest.raises(TestBroken, match=r"its shell ended, with \d+, during: sh$"):
        box.run(["sh", "-c", f"kill -{signal} $PPID; sleep 1; echo never"], ok=range(256))
    assert box.run(["echo", "on"]).stdout == "on\n"


@BY_A_SHELL
@pytest.mark.parametrize("stdin", ["", "a line\n"])
def test_a_shell_that_can_begin_nothing_is_the_sandboxs_fault(box: Box, stdin: str) -> None:
    """There is no room for another process: what a restored server does, and no word on the backup."""
    box.run(["true"])
    docker("update", "--pids-limit", "1", box.id)
    try:
        with pytest.raises(TestBroken, match=r"its shell ended, with \d+, during: head$"):
            box.run(["head"], stdin=stdin, ok=range(256))
    finally:
        docker("update", "--pids-limit", "-1", box.id)


def test_what_a_command_leaves_behind_does_not_speak_into_the_next_ones_answer(box: Box) -> None:
    done = box.run(["sh", "-c", "(sleep 1; echo late) & echo mine"], alone=True)
    assert done.stdout.startswith("mine\n")
    assert box.run(["sh", "-c", "sleep 2; echo 42"]).stdout == "42\n"


@BY_A_SHELL
def test_a_shell_in_which_somebody_speaks_on_is_used_no_more(box: Box) -> None:
    box.run(["sh", "-c", "(sleep 0.5; echo late) & exit 0"])
    time.sleep(1)
    assert box.run(["echo", "42"]).stdout == "42\n"


@BY_A_SHELL
def test_a_sandbox_that_stands_still_says_nothing_of_its_command(box: Box) -> None:
    box.run(["true"])
    docker("pause", box.id)
    try:
        with pytest.raises(TestBroken, match="it stands still, during: head"):
            box.run(["head"])
    finally:
        docker("unpause", box.id)


@BY_A_SHELL
def test_a_shell_whose_connection_is_lost_is_no_success(box: Box) -> None:
    """Docker tells how the shell ended: well, whatever the command did."""
    box.run(["true"])
    (shell,) = box._idle
    lost = threading.Timer(0.5, shell.frames.sock.shutdown, [socket.SHUT_RD])
    lost.start()
    with pytest.raises(TestBroken, match=r"its shell ended, with|does not tell how"):
        box.run(["sh", "-c", "sleep 2; exit 5"], ok=range(256))
    lost.join()


@BY_A_SHELL
def test_a_shell_that_was_killed_while_it_waited_fails_nothing(box: Box) -> None:
    box.run(["true"])
    docker("exec", box.id, "pkill", "-9", "-x", "sh")
    assert box.run(["echo", "on"]).stdout == "on\n"


@BY_A_SHELL
def test_a_shell_that_is_killed_just_as_it_is_asked_fails_nothing(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker tells of it some time after: nothing of the command was begun."""
    box.run(["true"])
    (shell,) = box._idle
    docker("exec", box.id, "pkill", "-9", "-x", "sh")
    monkeypatch.setattr(box, "_waiting", iter([shell, None]).__next__)
    assert box.run(["echo", "on"]).stdout == "on\n"


@BY_A_SHELL
def test_a_command_left_in_its_midst_does_not_answer_the_next(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("ccdr.sandbox.box.tick", interrupted)
        box.run(["sh", "-c", "sleep 1; echo late"])
    assert box.run(["sh", "-c", "sleep 2; echo mine"]).stdout == "mine\n"


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_program_that_is_held_open_hears_what_it_is_told_and_no_more(box: Box, before: int) -> None:
    """In the place of a shell that waits, where there is one: what is said to the program, the shell does not read."""
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: box.run(["sleep", "0.2"]), range(before)))
    with box.session(["sh", "-c", 'while read -r a; do echo "$TOLD $a"; done'], env={"TOLD": "it's"}) as one:
        with box.session(["cat"]) as other:
            assert other.ask("echo no\nend\n", "end", timeout=5) == "echo no\n"
            assert box.run(["echo", "beside"]).stdout == "beside\n"
        assert one.ask("a\n", "it's a", timeout=5) == "" and one.ended() is None
    assert box.run(["echo", "on"]).stdout == "on\n"


def test_a_program_that_cannot_be_held_open_says_why(box: Box) -> None:
    box.run(["true"])
    with box.session(["pg_nothing"]) as session, pytest.raises(CommandFailed) as raised:
        session.ask("select 1;\n", "end", timeout=5)
    assert raised.value.stderr.answer == "no such program"


@BY_A_SHELL
def test_no_shell_waits_once_its_sandbox_is_closed(box: Box) -> None:
    shell = box.run(["sh", "-c", "echo $PPID"]).stdout.strip()

    def waits() -> bool:
        return shell in docker("exec", box.id, "ps", "-A", "-o", "pid=").split()

    assert waits()
    box.close()
    assert eventually(lambda: not waits())
