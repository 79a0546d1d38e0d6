"""A copy of a new server, for a look at it: what it needs, and what it may not be mistaken for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.new_server import as_it_is
from tests.unit.test_opening import left_in

from ccdr.host.processes import Host
from ccdr.jobs.recover import standing_assets as reopened
from ccdr.jobs.restore.directory import Staging
from ccdr.model.errors import TestBroken


@pytest.fixture
def copying(tmp_path: Path) -> Any:
    (home := tmp_path / "home").mkdir()
    (root := tmp_path / "scratch").mkdir()
    left = left_in(home, 1)
    order: Any = SimpleNamespace(services=SimpleNamespace(host=Host()))
    return order, SimpleNamespace(left=left), Staging(home, root, inside=False)


def test_it_is_what_it_is_a_copy_of(copying: Any) -> None:
    order, opening, staging = copying
    (opening.left.home / "link").symlink_to("/elsewhere")
    (opening.left.home / "conf").chmod(0o600)
    reopened._copy(order, opening, staging)
    assert as_it_is(staging.tree) == as_it_is(opening.left.home)


def test_without_room_it_is_not_opened_and_says_what_to_do(copying: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    order, opening, staging = copying

    def full(path: Path, needed: int) -> None:
        raise TestBroken(f"{path} has nothing free")

    monkeypatch.setattr(reopened, "room_for", full)
    try:
        reopened._copy(order, opening, staging)
    except TestBroken as error:
        assert "has nothing free" in str(error) and "start it" in str(error.hint)
    else:  # this file system shares: nothing more was taken
        assert as_it_is(staging.tree) == as_it_is(opening.left.home)


def test_one_that_is_started_while_it_is_copied_is_no_finding(copying: Any) -> None:
    order, opening, staging = copying
    (opening.left.home / "conf").write_text("it runs")
    with pytest.raises(TestBroken, match="was started while it was looked at"):
        reopened._copy(order, opening, staging)


def test_a_home_that_was_put_elsewhere_and_linked_is_copied_and_not_opened_itself(copying: Any) -> None:
    """The server would start on what it is to leave as it is."""
    order, opening, staging = copying
    home = opening.left.home
    home.rename(home.with_name("larger-disk"))
    home.symlink_to(home.with_name("larger-disk"))
    assert opening.left.untouched
    reopened._copy(order, opening, staging)
    assert not staging.tree.is_symlink() and as_it_is(staging.tree) == as_it_is(home.resolve())
