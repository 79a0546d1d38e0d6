"""Five stores are lost in one moment, with the host that ran ccdr; address and key bring them back, and protected again."""

from __future__ import annotations

import contextlib
import json
import pwd
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.conftest import _image
from tests.support.harness import Site, eventually
from tests.support.mariadb_source import MAJOR
from tests.support.mariadb_source import image_of as mariadb_image
from tests.support.primary import Primary
from tests.support.redis_source import image_of as redis_image
from tests.support.whole_centre import WholeCentre, wait_for, whole_centre

# Each new server in a container of its own, its socket where the lost one had it: whoever used that finds it again.
TARGETS = """\
targets:
  crm:
    new_server:
      directory: {new}/crm
      sockets: {crm}
      start: [{run}, --name, {name}-crm, --user, "{postgres}", -v, "{new}:{new}", -v, "{crm}:{crm}",
        --entrypoint, postgres, "{postgres_image}", -D, "{new}/crm/data"]
  dialler:
    new_server:
      directory: {data}
      sockets: {dialler}
      start: [{run}, --name, {name}-dialler, --user, mysql, -v, "{data}:{data}", -v, "{dialler}:{dialler}",
        --entrypoint, mariadbd, "{mariadb_image}", "--defaults-file={data}/my.cnf"]
  queues:
    new_server:
      directory: {new}/queues
      sockets: {queues}
      start: [{run}, --name, {name}-queues, --user, redis, -v, "{new}:{new}", -v, "{queues}:{queues}",
        --entrypoint, redis-server, "{redis_image}", "{new}/queues/redis.conf"]
  cdr: {{directory: {new}/cdr}}
  recordings: {{directory: {new}/recordings}}
"""
RUN = "docker, run, -d, --rm, --network, none"


class Host:
    """A host that knows nothing but the repository's address and key; `name` begins its servers' containers."""

    def __init__(self, root: Path, centre: WholeCentre) -> None:
        self.new, self.name = root / "new", f"ccdr-test-{root.name}-{time.monotonic_ns() % 10**6}"
        self.centre = centre
        root.mkdir()
        root.chmod(0o755)
        self.new.mkdir()
        self.console = Site(root / "console") if (root / "console").mkdir() is None else None
        key = self.console.write("key", (centre.site.root / "plans/key").read_text(), mode=0o600)
        done = self.console.run(
            "bootstrap", str(centre.site.repo), "--password-file", str(key), "--into", str(root / "found")
        )
        assert done.code == 0, done
        self.site = Site(root / "found")

    def recover(self, at: str) -> Any:
        targets = self.console.write(
            "targets.yaml",
            TARGETS.format(
                run=RUN,
                new=self.new,
                name=self.name,
                crm=self.centre.crm.sockets,
                dialler=self.centre.dialler.sockets,
                queues=self.centre.queues.directory,
                data=self.centre.data,
                postgres=owner("postgres"),
                postgres_image=_image(),
                mariadb_image=mariadb_image(MAJOR),
                redis_image=redis_image("redis"),
            ),
        )
        done = self.site.run("recover", "p", "--at", at, "--to", str(targets), "--yes-i-mean", "p", timeout=300)
        assert done.code == 0 and done.json["state"] == "done", done
        return done.json

    @property
    def crm(self) -> Primary:
        return Primary(f"{self.name}-crm", self.centre.crm.sockets, self.centre.crm.work)


def owner(user: str) -> str:
    """Whose files a new server's are: this host's own user, where it has one of that name; else the image's."""
    with contextlib.suppress(KeyError):
        found = pwd.getpwnam(user)
        return f"{found.pw_uid}:{found.pw_gid}"
    return user


@contextlib.contextmanager
def host(root: Path, centre: WholeCentre) -> Iterator[Host]:
    made = Host(root, centre)
    try:
        yield made
    finally:
        for store in ("crm", "dialler", "queues"):
            subprocess.run(["docker", "rm", "-f", f"{made.name}-{store}"], capture_output=True, check=False)


def answer(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(host: Host) -> tuple[set[tuple[int, int]], set[int]]:
    """What the clients find: which of their commits are there."""
    argv = ["docker", "exec", f"{host.name}-crm", "psql", "-XqAt", "-h", str(host.centre.crm.sockets), "-U", "postgres"]
    said = answer([*argv, "-c", "select client, n from acknowledged"])
    crm = {tuple(map(int, line.split("|"))) for line in said.split()}
    argv = ["docker", "exec", f"{host.name}-dialler", "mariadb", "--no-defaults", "-BN", "-u", "root"]
    argv += [f"--socket={host.centre.dialler.sockets}/mysqld.sock", "-e", "select n from crm.acknowledged"]
    said = answer(argv)
    return crm, set(map(int, said.split()))


def test_everything_before_the_moment_comes_back_and_is_protected_again(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "site").mkdir()
    with whole_centre(tmp_path / "centre", Site(tmp_path / "site")) as centre:
        with centre.at_work():
            time.sleep(2)
            moment = datetime.now(UTC)
            wait_for(moment, 3)
        centre.ship_once()
        # pgbench writes its list some time after it was told.
        assert eventually(lambda: min(map(len, (*centre.lists(moment)[:2], *centre.later(moment)))) > 20, 30)
        told, later = centre.lists(moment), centre.later(moment)
        centre.lose()
        with host(tmp_path / "host", centre) as found:
            document = found.recover(moment.isoformat())
            crm, dialler = rows(found)
            assert told[0] <= crm and not later[0] & crm
            assert told[1] <= dialler and not later[1] & dialler
            print(json.dumps(document)[:3000])
