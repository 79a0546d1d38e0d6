"""The page and docs/how-to/recover.md, typed by somebody who fetches a shipped log without ccdr: a server that was made
new writes its log under the names of the old one's."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.support.harness import PASSWORD, Site
from tests.support.pages import commands

from ccdr.telling.runbook import by_hand

DIALLER = (
    "crm: {engine: mariadb, method: physical, data_directory: /var/lib/mysql, log_shipping: {},"
    " connection: {host: /run/mysqld, user: ccdr, database: d}}"
)
# Of a server that was lost, of the one that ccdr made in its place, and of that one once it was reset.
BATCHES = (
    ("old", "10:00", "binlog.000001", ["server=7"]),
    ("old, more of it", "10:30", "binlog.000001", ["server=7"]),
    ("old, later", "11:00", "binlog.000002", ["server=7"]),
    ("new", "12:30", "binlog.000001", ["server=663818953", "anew=2026-11-24T12:00:00.5Z"]),
    ("reset", "13:30", "binlog.000001", ["server=663818953", "anew=2026-11-24T13:00:00Z"]),
)
CASES = [
    (7, "09:00", ["old, more of it", "old, later"]),
    (663818953, "12:00:01", ["new"]),
    (663818953, "13:00", ["reset"]),
]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("k")).with_repository()
    site.plan(DIALLER)  # and the log's own repository
    for says, at, batch, tags in BATCHES:
        directory = site.root / "batch"
        directory.mkdir(exist_ok=True)
        (directory / batch).write_text(says, "utf-8")
        told = ",".join([*tags, "kind=log", "plan=p", "asset=crm", f"batch={batch}"])
        argv = ["backup", "--tag", told, "--time", f"2026-11-24 {at}:00", str(directory)]
        subprocess.run(["restic", "-r", f"{site.repo}/log", *argv], env=_env(site), check=True, capture_output=True)
        (directory / batch).unlink()
    return site


def _env(site: Site) -> dict[str, str]:
    known = {"RESTIC_REPOSITORY": str(site.repo), "RESTIC_PASSWORD": PASSWORD, "HOME": str(site.root)}
    return {"PATH": os.environ["PATH"], "TZ": "UTC", **known}


def _fetched(site: Site, lines: Sequence[str], restore: Path, base: Path, server: int, at: str) -> list[str]:
    base.mkdir(parents=True)
    contents = {"settings": {"server_id": str(server)}}
    at = at if at.count(":") == 2 else f"{at}:00"
    said = {"consistent_point": f"2026-11-24T{at}Z", "contents": contents}
    (base / "ccdr-manifest.json").write_text(json.dumps(said), "utf-8")
    script = "\n".join(lines).replace("/restore/", f"{restore}/")
    done = subprocess.run(["bash", "-c", script], env=_env(site), capture_output=True, text=True, check=False)
    if "BAD: no log of this base" in done.stdout:
        return []
    assert done.returncode == 0 and "BAD" not in done.stdout, done
    (log,) = [path for path in restore.iterdir() if path.is_dir() and path.name.endswith("log")]
    return [path.read_text("utf-8") for path in sorted(log.iterdir())]


def _on_the_page(site: Site) -> Iterator[tuple[str, ...]]:
    plan = site.loaded().plan
    for part in by_hand.parts(plan, "crm", plan.assets["crm"]):
        if "The log that was shipped" in part.says:
            yield part.lines


@pytest.mark.parametrize(("server", "taken", "wanted"), CASES)
def test_the_log_that_is_fetched_by_hand_is_that_of_the_bases_server_and_of_its_history(
    stored: Site, tmp_path: Path, server: int, taken: str, wanted: list[str]
) -> None:
    (page,) = _on_the_page(stored)
    found = _fetched(stored, page, tmp_path / "a", tmp_path / "a/crm", server, taken)
    assert found == _fetched(stored, in_the_docs(), tmp_path / "b", tmp_path / "b/whole", server, taken) == wanted


def in_the_docs() -> list[str]:
    said = commands("how-to/recover.md", "By hand: a shipped log", "Fetch it")
    return [line.replace("PLAN", "p").replace("ASSET", "crm") for line in said]


def test_the_page_and_the_docs_choose_by_the_same_words(stored: Site) -> None:
    (page,) = _on_the_page(stored)
    chosen = [line for line in page if line.startswith(("jq", "def", "[$base", "|"))]
    assert len(chosen) == 8 and set(chosen) <= set(in_the_docs())


def test_a_base_without_any_log_of_its_own_is_told_and_none_of_another_is_fetched(stored: Site, tmp_path: Path) -> None:
    assert not _fetched(stored, in_the_docs(), tmp_path, tmp_path / "whole", 9, "12:40")
    assert not (tmp_path / "log").exists()
