"""A new host whose state is of another plan of that name: what it knows says nothing of the plan that was brought back
from a repository."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.support.harness import Ran, Site
from tests.support.stored import settled_file

CODE = "PLAN_ELSEWHERE"


def host(root: Path, contents: bytes) -> Site:
    root.mkdir()
    site = Site(root)
    settled_file(root / "tree/one", contents)
    site.recordings(root / "tree")
    site.backed_up()
    return site


def asked(site: Site, into: Path, *verb: str) -> Ran:
    return site.run(*verb, "--plans", str(into / "plans"), "--restore-tests", str(into / "restore_tests"))


def codes(done: Ran) -> set[str]:
    return {trouble["code"] for plan in done.json["plans"] for trouble in plan["troubles"]}


@pytest.mark.parametrize("same", [False, True], ids=["another", "its own"])
def test_the_state_of_another_plan_of_that_name_makes_nothing_green(tmp_path: Path, same: bool) -> None:
    """The twin: only the plans were lost."""
    lost = host(tmp_path / "lost", b"one")
    new = lost if same else host(tmp_path / "new", b"two")
    assert new.run("test", "p").code == 0 and new.run("status", "p").code == 0
    into = tmp_path / "dr"
    key = lost.root / "plans/key"
    assert new.run("bootstrap", str(lost.repo), "--password-file", str(key), "--into", str(into)).code == 0
    seen = asked(new, into, "status", "p")
    assert (seen.code, CODE in codes(seen)) == ((0, False) if same else (1, True)), seen
    if same:
        return
    asked(new, into, "recover", "p", "--under", str(into / "recovered"), "--yes-i-mean", "p")
    assert CODE in codes(asked(new, into, "status", "p")), "what was known is still of the other one"
    shutil.rmtree(new.state)
    bare = asked(new, into, "status", "p")
    assert CODE not in codes(bare) and "tested" not in {a["coverage"] for a in bare.json["plans"][0]["assets"]}
