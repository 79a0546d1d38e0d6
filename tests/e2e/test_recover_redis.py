"""docs/how-to/recover.md, step 4 by hand: an RDB is brought back to a real server, its commands word for word."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.harness import Site, eventually
from tests.support.pages import commands
from tests.support.redis_source import SERVERS, image_of, queues, redis_server, small

from ccdr.telling.runbook.by_hand import USERS_IN_CONFIGURATION

pytestmark = pytest.mark.long

# Stands in for systemd: the server runs in the background as its own user, as the package's unit has it.
SYSTEMCTL = """\
#!/bin/sh
case $1 in
start) setpriv --reuid redis --regid redis --clear-groups redis-server /etc/redis/redis.conf >/dev/null
       until redis-cli PING 2>/dev/null | grep -q PONG; do sleep 0.1; done ;;
restart) systemctl stop redis-server; systemctl start redis-server ;;
stop) redis-cli SHUTDOWN NOSAVE >/dev/null 2>&1; while pidof redis-server >/dev/null; do sleep 0.1; done ;;
esac
"""
CONF = 'bind 127.0.0.1\ndaemonize yes\ndir /var/lib/redis\nappendonly yes\nappendfsync always\nsave ""\n'


@contextmanager
def production(server: str, captured: Path) -> Iterator[str]:
    """A machine with a server that keeps an append-only file; `redis` in names is made the server's."""
    container = f"ccdr-test-production-{captured.parent.parent.name[-8:]}-{server}"
    argv = ["docker", "run", "-d", "--rm", "--name", container, "--network", "none", "-v", f"{captured}:/capture:ro"]
    subprocess.run([*argv, "--entrypoint", "sleep", image_of(server), "600"], check=True, capture_output=True)
    try:
        files = {"/usr/local/bin/systemctl": SYSTEMCTL, "/etc/redis/redis.conf": CONF}
        for path, text in files.items():
            shell(container, server, f"mkdir -p $(dirname {path}); cat >{path}; chmod 755 {path}", stdin=text)
        shell(container, server, "chown -R redis /etc/redis; install -d -o redis -g redis /var/lib/redis")
        shell(container, server, "systemctl start redis-server; redis-cli SET spoilt 1")
        yield container
    finally:
        subprocess.run(["docker", "rm", "-f", container], capture_output=True, check=False)


def shell(container: str, server: str, line: str, stdin: str = "") -> str:
    line, stdin = line.replace("redis", server), stdin.replace("redis", server)
    argv = ["docker", "exec", "-i", "-w", "/capture", container, "sh", "-c", line]
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return done.stdout


@pytest.mark.parametrize("server", SERVERS)
def test_an_rdb_is_brought_back_by_hand(site: Site, server: str, tmp_path: Path) -> None:
    with redis_server(server) as source:
        small(source)
        queues(site, source).backed_up()
        expected = source.cli("INFO", "keyspace")
    target = tmp_path / "restored"
    assert site.run("restore", "p", "--asset", "queues", "--to", str(target), "--yes-i-mean", "restored").code == 0
    (captured,) = {p.parent for p in target.rglob("dump.rdb")}
    lines = commands("how-to/recover.md", "By hand", "Redis or Valkey")
    assert lines[0].startswith("systemctl stop") and lines[-1].startswith("systemctl restart")
    *lines, in_configuration, restart = lines
    assert in_configuration == USERS_IN_CONFIGURATION, "as the printed page has it"
    with production(server, captured) as container:
        # The trap that the page names.
        shell(container, server, "systemctl stop redis; install -o redis -g redis dump.rdb /var/lib/redis/dump.rdb")
        shell(container, server, "systemctl start redis")
        assert "call:1" not in shell(container, server, "redis-cli KEYS '*'")
        said = {line: shell(container, server, line) for line in lines if "aof_rewrite_in_progress" not in line}
        for database in ("db0:keys=", "db3:keys="):
            count = expected.split(database)[1].split(",")[0]
            assert f"{database}{count}" in said["redis-cli INFO keyspace"]
        assert '"keys":' in said["grep -o '\"keys\":[0-9][0-9]*' ccdr-manifest.json"]
        (wait,) = [line for line in lines if "aof_rewrite_in_progress" in line]
        assert eventually(lambda: "in_progress:0" in shell(container, server, wait))
        shell(container, server, "systemctl stop redis; systemctl start redis")
        assert shell(container, server, "redis-cli GET counter").strip() == "41", "by its append-only file now"
        assert shell(container, server, "redis-cli EXISTS spoilt").strip() == "0"
        before = {line.split()[1] for line in shell(container, server, "redis-cli ACL LIST").splitlines()}
        shell(container, server, in_configuration)
        shell(container, server, restart)
        users = {line.split()[1] for line in shell(container, server, "redis-cli ACL LIST").splitlines()}
        assert before == {"default"} and users == set(
            re.findall(r"(?m)^user (\S+)", (captured / "acl.list").read_text())
        )
        assert len(users) > 1 and shell(container, server, "redis-cli GET counter").strip() == "41"
