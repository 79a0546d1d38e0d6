"""Five stores are lost in one moment, with the host that ran ccdr; address and key bring them back, and protected again."""

from __future__ import annotations

import contextlib
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import _image
from tests.support.harness import Site, eventually
from tests.support.mariadb_source import MAJOR, PASSWORD
from tests.support.mariadb_source import image_of as mariadb_image
from tests.support.redis_source import image_of as redis_image
from tests.support.whole_centre import WholeCentre, wait_for, whole_centre

from ccdr.jobs.shipping import background

pytestmark = pytest.mark.long

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


STORES = ("crm", "dialler", "queues", "cdr", "recordings")


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

    def protected_again(self) -> set[tuple[str, str]]:
        """What cron does, and nothing else; the one secret that no repository holds is put back. What was done well."""
        self.site.write("plans/dialler.pw", f"{PASSWORD}\n", mode=0o600)
        runs = [self.site.run("run", "p", timeout=300) for _ in range(2)]
        assert all(run.code == 0 for run in runs), [(run.code, run.json["did"], run.stderr) for run in runs]
        return {(did["asset"], did["verb"]) for run in runs for did in run.json["did"] if did["done"]}

    def ask(self, store: str, sql: str) -> str:
        inside = ["docker", "exec", "--user", "root", f"{self.name}-{store}"]
        if store == "crm":
            return answer([*inside, "psql", "-XqAt", "-h", str(self.centre.crm.sockets), "-U", "postgres", "-c", sql])
        where = f"--socket={self.centre.dialler.sockets}/mysqld.sock"
        return answer([*inside, "mariadb", "--no-defaults", "-BN", "-u", "root", where, "-e", sql])

    def end(self) -> None:
        background.stop(self.site.services().state)  # what `ccdr run` has started to ship the logs
        for store in ("crm", "dialler", "queues"):
            subprocess.run(["docker", "rm", "-f", f"{self.name}-{store}"], capture_output=True, check=False)

    def lose(self) -> None:
        """Its servers and all that they hold, once all that they were told has been shipped."""
        background.stop(self.site.services().state)
        done = [self.site.run("ship", "p", "--once") for _ in range(2)]
        assert done[-1].code == 0, done
        self.end()
        shutil.rmtree(self.new)
        for path in (*self.centre.data.iterdir(),):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.centre.clear_sockets()


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
        made.end()


def answer(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(host: Host) -> tuple[set[tuple[int, int]], set[int]]:
    """What the clients find: which of their commits are there."""
    crm = [line.split("|") for line in host.ask("crm", "select client, n from acknowledged").split()]
    dialler = host.ask("dialler", "select n from crm.acknowledged").split()
    return {(int(client), int(n)) for client, n in crm}, set(map(int, dialler))


def test_all_is_back(tmp_path: Path) -> None:
    """Everything before the moment, nothing after it; protected again by cron alone, and back from a second crash."""
    tmp_path.chmod(0o755)
    (tmp_path / "site").mkdir()
    with whole_centre(tmp_path / "centre", Site(tmp_path / "site")) as centre:
        with centre.at_work():
            time.sleep(2)
            moment = datetime.now(UTC).replace(microsecond=0)  # a binary log tells moments by the second
            wait_for(moment, 3)
        # pgbench writes its list some time after it was told.
        assert eventually(lambda: min(map(len, (*centre.lists(moment), *centre.later(moment)))) > 20, 30)
        centre.ship_once()
        told, later = centre.lists(moment), centre.later(moment)
        centre.lose()
        with host(tmp_path / "first", centre) as found:
            document = found.recover(moment.isoformat())
            assert {step["asset"]: step["state"] for step in document["steps"]} == dict.fromkeys(STORES, "done")
            crm, dialler = rows(found)
            assert told[0] <= crm and not later[0] & crm
            assert told[1] <= dialler and not later[1] & dialler
            wanted = {(store, verb) for store in ("crm", "dialler", "queues") for verb in ("backup", "test")}
            assert found.protected_again() >= wanted
            found.ask("crm", "insert into acknowledged values (99, 1)")
            found.ask("dialler", "insert into crm.acknowledged values (9999999)")
            found.lose()
        with host(tmp_path / "second", centre) as found:  # a second crash
            found.recover("latest")
            crm, dialler = rows(found)
            assert told[0] | {(99, 1)} <= crm and told[1] | {9999999} <= dialler
