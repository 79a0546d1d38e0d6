"""What is said of what is not well is true, tells apart what a person would do differently, and leads on."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.stored import settled_file


def told(site: Site, *words: str) -> str:
    """What a person reads, on a terminal's standard output and standard error alike."""
    out, err = site.start(*words).communicate()
    return out + err


# --- a backup that stores nothing -----------------------------------------------------------------------------


@pytest.fixture
def fresh(tmp_path: Path) -> Site:
    """A tree whose one recording was written just now."""
    site = Site(tmp_path)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.wav").write_bytes(b"a voice")
    files = f"recordings:\n  engine: files\n  paths: [{tmp_path / 'tree'}]\n  settle: 90s"
    site.plan(files)
    return site


def test_files_just_written_are_told_apart_from_an_empty_tree(fresh: Site) -> None:
    said = told(fresh, "backup", "p")
    assert "1 file was changed within the last 90 s" in said and "(`settle:` in the plan)" in said, said
    wait = re.search(r"back up again in 1m (\d\d)s; .* shorten `settle:`", said)
    assert wait and "mounted" not in said, said
    (fresh.root / "tree" / "a.wav").unlink()
    assert "no backup: is its file system mounted?" in told(fresh, "backup", "p")


def test_one_empty_tree_beside_one_just_written_is_told_as_empty(fresh: Site) -> None:
    (fresh.root / "tree2").mkdir()  # its name begins with the other's
    plan = fresh.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("tree]", f"tree, {fresh.root / 'tree2'}]"))
    said = told(fresh, "backup", "p")
    assert f"no settled file in {fresh.root / 'tree2'}\n" in said and "mounted?" in said, said
    settled_file(fresh.root / "tree2" / "b.wav", b"another voice")
    said = told(fresh, "backup", "p")
    assert f"no settled file in {fresh.root / 'tree'}: 1 file was changed" in said, said


# --- a run that has nothing to do -------------------------------------------------------------------------------


def on_a_terminal(site: Site, *words: str) -> str:
    """What a person reads whose terminal this is."""
    theirs, its = pty.openpty()
    try:
        done = subprocess.run(
            site.argv(*words), stdout=subprocess.PIPE, stderr=its, text=True, env={**os.environ, **site.env}, check=True
        )
    finally:
        os.close(its)
        os.close(theirs)
    return done.stdout


def test_a_run_with_nothing_to_do_says_so_to_a_person_and_nothing_to_cron(fresh: Site) -> None:
    plan = fresh.root / "plans" / "p.yaml"
    plan.write_text(f'{plan.read_text()}    backup: {{schedule: "15 4 1 1 *"}}\n')
    for _ in range(2):  # a new plan's first, and the one that need not look again
        said = on_a_terminal(fresh, "run", "--only", "backups")
        assert said.startswith("ccdr run: nothing was due\n"), said
        assert re.search(r"^next: p/recordings backup, due 20\d\d-01-01 04:15 UTC; schedules known: 1$", said, re.M), (
            said
        )
        assert told(fresh, "run", "--only", "backups") == ""
    assert "no plan here has a schedule for this" in on_a_terminal(fresh, "run", "--only", "tests")
