"""Where a new server cannot be, nothing is begun: exit 2, and not a file is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.new_server import made, nothing_left
from tests.support.stored import assert_clean


def refused(site: Site, home: Path, *args: str, asset: str = "crm") -> str:
    done = made(site, asset, home, *args)
    assert done.code == 2, done
    assert site.records("restore.end")[-1]["result"] == "REFUSED"
    assert_clean(site)
    return done.stderr


def test_a_directory_that_will_do_is_told_of_and_not_made(site: Site, tmp_path: Path) -> None:
    """The healthy twin of all below."""
    done = made(site, "crm", tmp_path / "new", "--dry-run", "--port", "6543")
    told = done.json["would_restore"]
    assert done.code == 0 and told["target"] == {"kind": "new_server", "name": str(tmp_path / "new")}
    assert any("PostgreSQL 17" in text for text in told["will"]) and any("127.0.0.1:6543" in t for t in told["will"])
    assert any("this host has no PostgreSQL 17" in note for note in told["notes"]), told["notes"]
    nothing_left(tmp_path / "new")


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--owner", "nobody-of-that-name"], "this host has no user 'nobody-of-that-name'"),
        (["--owner", "4294967295"], "this host has no user '4294967295'"),
        (["--owner", "0"], "a new server does not run as root"),
    ],
)
def test_an_owner_that_will_not_do(site: Site, tmp_path: Path, args: list[str], why: str) -> None:
    assert why in refused(site, tmp_path / "new", *args)
    nothing_left(tmp_path / "new")


def test_a_directory_that_holds_something(site: Site, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine").write_text("mine")
    assert "is not empty" in refused(site, tmp_path / "new")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["mine"]


def test_a_place_of_ours_or_of_a_server(site: Site, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "PG_VERSION").write_text("17\n")
    for home, why in (
        (site.state / "new", "ccdr's own state"),
        (site.root / "repo" / "new", "the repository of plan p"),
        (tmp_path / "server" / "new", "a server's own data"),
    ):
        assert why in refused(site, home), home
        nothing_left(home)


def test_a_socket_whose_path_no_server_can_have(site: Site, tmp_path: Path) -> None:
    home = tmp_path / ("n" * 90)
    assert "the socket's path would have" in refused(site, home)
    nothing_left(home)


def test_no_place_and_two_places(site: Site, tmp_path: Path) -> None:
    for places in ([], ["--to", str(tmp_path / "a"), "--new-server", str(tmp_path / "b")]):
        assert site.run("restore", "p", "--asset", "crm", *places).code == 2
    done = site.run("restore", "p", "--asset", "crm", "--to", str(tmp_path / "a"), "--owner", "root")
    assert done.code == 2 and "--owner and --port are of a new server" in done.stderr


def test_a_file_tree_has_no_server(site: Site, tmp_path: Path) -> None:
    site.recordings(tmp_path)
    done = made(site, "recordings", tmp_path / "new")
    assert done.code == 2 and "has no server of its own" in done.stderr and "--to DIR" in done.stderr, done
    nothing_left(tmp_path / "new")
