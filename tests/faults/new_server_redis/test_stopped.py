"""Whatever stops the making of a new Redis server leaves nothing under its final name, and what it goes on with was
looked at again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Quiet, Site
from tests.support.new_server import nothing_left
from tests.support.redis_source import redis_server
from tests.support.repository_damage import flip
from tests.support.stored import assert_clean, brought_back

from ccdr.engines.redis.new_server import Maker
from ccdr.jobs.restore import Request, RestoreResult, restoring
from ccdr.jobs.restore.new_server import OntoNewServer
from ccdr.plans.job import Job
from ccdr.plans.targets import NewServer
from ccdr.ports.place import Progress


@pytest.fixture
def site(captured_site: Site) -> Site:
    return captured_site


def restored(site: Site, home: Path, *, working: str | None = None, **of: Any) -> RestoreResult:
    """In this process."""
    asked = Request(to=str(home), new_server=NewServer(directory=home, **of), working=working)
    with restoring(Job(site.loaded(), "queues"), asked, site.services(), Quiet()) as one:
        one.carry_out(Quiet())
    return one.result


def test_a_damaged_rdb_leaves_nothing(site: Site, tmp_path: Path) -> None:
    with brought_back("dump.rdb", lambda captured: flip(next(captured.rglob("dump.rdb")))):
        result = restored(site, tmp_path / "new")
    assert (result.result, result.exit_code) == ("FAILED", 1), result
    nothing_left(tmp_path / "new")
    assert_clean(site)


def test_a_setting_that_the_server_does_not_know_is_told_before_it_is_needed(site: Site, tmp_path: Path) -> None:
    result = restored(site, tmp_path / "new", settings={"maxmemroy": "9mb"})
    assert (result.result, result.exit_code) == ("FAILED", 3) and "maxmemroy" in str(result.reason), (
        result,
        result.words.reveal(),
    )
    nothing_left(tmp_path / "new")


def test_a_live_servers_socket_where_its_own_is_to_be_is_told(site: Site, tmp_path: Path) -> None:
    def told(sockets: Path) -> list[str]:
        wanted = NewServer(directory=tmp_path / "new", sockets=sockets)
        with restoring(
            Job(site.loaded(), "queues"), Request(to=str(wanted.directory), new_server=wanted), site.services(), Quiet()
        ) as one:
            return [note for note in one.result.notes if note.startswith("something listens at ")]

    with redis_server("redis") as live:
        (note,) = told(live.socket.parent)
        assert f" {live.socket} now" in note
        assert told(tmp_path) == []


@pytest.fixture
def killed(site: Site, tmp_path: Path) -> Iterator[Path]:
    """Its server's container was killed while the checks ran, and so was ccdr; where its home stands."""

    def dies(way: OntoNewServer, progress: Progress) -> None:
        assert way.box is not None
        subprocess.run(["docker", "kill", way.box.id], check=True, capture_output=True)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OntoNewServer, "check", dies)
        with pytest.raises(KeyboardInterrupt):
            restored(site, tmp_path / "new", working="one")
        assert not (tmp_path / "new").exists()
    yield tmp_path / ".new.ccdr-restore-one" / "tree"


def test_what_was_loaded_is_not_loaded_again(site: Site, killed: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Maker, "load", None)  # whoever asks for it fails
        result = restored(site, tmp_path / "new", working="one", settings={"maxmemory-policy": "allkeys-lru"})
    assert (result.result, result.exit_code) == ("RESTORED", 0), (result.reason, result.checks)
    assert {c.status.value for c in result.checks} == {"PASS"}, result.checks
    assert 'maxmemory-policy "allkeys-lru"' in (tmp_path / "new" / "redis.conf").read_text()
    assert_clean(site)


def test_an_append_only_file_that_lacks_keys_is_not_gone_on_with(site: Site, killed: Path, tmp_path: Path) -> None:
    (manifest,) = killed.glob("data/appendonlydir/*.manifest")
    manifest.write_text("".join(line for line in manifest.read_text().splitlines(True) if "type i" in line))
    result = restored(site, tmp_path / "new", working="one")
    assert (result.result, result.exit_code) == ("FAILED", 3), result
    assert "has read" in str(result.reason) or "does not start" in str(result.reason), result.reason
    assert not (tmp_path / "new").exists()
