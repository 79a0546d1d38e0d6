"""Restoring files for real: only where nothing is, and only what was asked."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
from pathlib import Path

import pytest
from tests.support.harness import Quiet, Site
from tests.support.restored_files import beside, end, go, listing
from tests.support.stored import assert_clean, settled_file

from ccdr.jobs.restore import Request, restoring
from ccdr.model.errors import Locked
from ccdr.plans.job import Job

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


REFUSED = {
    "the source": (lambda s: s.root / "tree", "is backed up from"),
    "below the source": (lambda s: s.root / "tree" / "agent0" / "new", "is backed up from"),
    "above the source": (lambda s: s.root, "is backed up from"),
    "a link to the source": (lambda s: s.root / "link", "is a link"),
    "through a link": (lambda s: s.root / "link" / "new", "is backed up from"),
    "a source of another asset": (lambda s: s.root / "other" / "new", "is backed up from"),
    "the repository": (lambda s: s.root / "repo" / "new", "repository"),
    "the state": (lambda s: s.root / "state" / "new", "state"),
    "not empty": (lambda s: s.root / "full", "not empty"),
    "a file": (lambda s: s.root / "full" / "file", "not a directory"),
    "no parent": (lambda s: s.root / "no" / "parent", "not there"),
    "upwards": (lambda s: f"{s.root}/x/../tree", "goes up again"),
    "nothing": (lambda s: "", "empty"),
    "a server": (lambda s: "postgresql://a@b/c", "not onto a server"),
}


@pytest.mark.parametrize("target", REFUSED)
def test_refused_target(twin: Site, target: str) -> None:
    to, said = REFUSED[target]
    (twin.root / "link").symlink_to(twin.root / "tree")
    settled_file(twin.root / "full" / "file", b"x")
    (twin.root / "other").mkdir()
    plan = twin.root / "plans" / "p.yaml"
    assets = f"  configuration:\n    engine: files\n    paths: [{twin.root}/other]\n"
    plan.write_text(plan.read_text() + assets)
    before = listing(twin.root / "tree"), beside(twin), listing(twin.root / "repo")
    done = go(twin, to(twin), name=Path(to(twin)).name or "x")
    assert done.code == 2 and said in done.json["error"], done
    assert (listing(twin.root / "tree"), beside(twin), listing(twin.root / "repo")) == before
    record = end(twin)
    assert (record["result"], record["phases"]) == ("REFUSED", {}) and said in str(record["reason"])
    assert_clean(twin)


def with_plan(site: Site, name: str, text: str) -> None:
    """Another plan beside p."""
    head = (site.root / "plans" / "p.yaml").read_text().split("repository:")[0].replace("plan: p", f"plan: {name}")
    site.write(f"plans/{name}.yaml", head + text)


def test_sources_and_repositories_of_other_plans_are_refused_too(twin: Site) -> None:
    tree, repo = settled_file(twin.root / "theirs" / "a", b"x").parent, twin.root / "their-repo"
    (twin.root / "new").mkdir()
    repo.mkdir()
    with_plan(
        twin,
        "q",
        f"repository: {{url: {repo}, password_file: key}}\nassets:\n  x: {{engine: files, paths: [{tree}]}}\n",
    )
    done = go(twin, tree / "new")
    assert done.code == 2 and "lies in" in done.json["error"] and "q/x is backed up from" in done.json["error"], done
    done = go(twin, repo / "new")
    assert done.code == 2 and "the repository of plan q" in done.json["error"], done
    assert [p.name for p in tree.iterdir()] == ["a"] and list(repo.iterdir()) == []
    done = go(twin, twin.root / "new" / "back")
    assert done.code == 0 and done.json["notes"] == [], done


def test_a_plan_that_cannot_be_read_is_named(twin: Site) -> None:
    with_plan(twin, "broken", "assets: nonsense\n")
    done = go(twin, twin.root / "back")
    assert done.code == 0 and "broken.yaml" in done.json["notes"][0] and "could not be read" in done.json["notes"][0], (
        done
    )


def test_what_the_snapshot_is_of_is_refused_too(twin: Site) -> None:
    """The plan names another tree by now: the old one may still be in use."""
    _, new = [s["snapshot"]["id"] for s in twin.records("backup.end")]
    twin.recordings(twin.root / "elsewhere")
    done = go(twin, twin.root / "tree" / "new", "--snapshot", new)
    assert done.code == 2 and "the snapshot of" in done.json["error"], done
    done = go(twin, twin.root / "back", "--snapshot", new)
    assert done.code == 0 and any("plan names now" in note for note in done.json["notes"]), done


@root_only
def test_refused_through_a_bind_mount(twin: Site, tmp_path: Path) -> None:
    alias = tmp_path / "alias"
    alias.mkdir()
    if subprocess.run(["mount", "--bind", twin.root / "tree" / "agent0", alias]).returncode:
        pytest.skip("this host does not let us mount")
    try:
        done = go(twin, alias / "new")
        assert done.code == 2 and "is backed up from" in done.json["error"], done
        assert not (alias / "new").exists()
    finally:
        subprocess.run(["umount", alias], check=True)


def test_dry_run_does_nothing(twin: Site) -> None:
    before, records = beside(twin), len(twin.records())
    done = go(twin, twin.root / "back", "--dry-run")
    assert done.code == 0 and done.json["would_restore"]["target"]["name"] == str(twin.root / "back"), done
    assert go(twin, twin.root / "tree", "--dry-run").code == 2, "a refusal is seen by it too"
    assert beside(twin) == before and len(twin.records()) == records
    assert_clean(twin)


def test_wrong_name_for_a_script(twin: Site) -> None:
    done = go(twin, twin.root / "back", name="bcak")
    assert done.code == 2 and not (twin.root / "back").exists(), done
    assert end(twin)["result"] == "REFUSED"


def test_the_whole_name_as_it_was_given_will_do(twin: Site) -> None:
    done = go(twin, f"{twin.root}/back/", name=f"{twin.root}/back")
    assert done.code == 0 and done.json["result"] == "RESTORED", done


def test_nobody_to_ask(twin: Site) -> None:
    done = twin.run("restore", "p", "--asset", "recordings", "--to", str(twin.root / "back"))
    assert done.code == 2 and "--yes-i-mean back" in done.json["hint"], done
    assert not (twin.root / "back").exists()


def typed(site: Site, to: Path, answer: bytes) -> tuple[int, str]:
    """The command at a terminal, and what is typed at its question."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        site.argv("restore", "p", "--asset", "recordings", "--to", str(to)),
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    said = b""
    with contextlib.suppress(OSError):  # a terminal that is closed is an error on Linux
        while data := os.read(master, 4096):
            said += data
            if b"type the target's name" in said and answer:
                os.write(master, answer)
                answer = b""
    process.wait(30)
    os.close(master)
    return process.returncode, said.decode()


def test_the_right_name_is_typed(twin: Site) -> None:
    code, said = typed(twin, twin.root / "back", b"back\n")
    assert code == 0 and "RESTORED" in said and "never tested a restore of it" in said, said
    assert (twin.root / "back").is_dir()


@pytest.mark.parametrize("answer", [b"yes\n", b"Back\n", b"\x04"])
def test_anything_else_is_typed(twin: Site, answer: bytes) -> None:
    code, said = typed(twin, twin.root / "back", answer)
    assert code == 2 and "nothing was done" in said, said
    assert not (twin.root / "back").exists() and end(twin)["result"] == "REFUSED"
    assert_clean(twin)


def test_one_restore_of_an_asset_at_a_time(twin: Site) -> None:
    with twin.services().state.lock("p", "recordings", "restore"):
        done = go(twin, twin.root / "back")
    assert done.code == 5 and not (twin.root / "back").exists(), done
    with pytest.raises(Locked), twin.services().state.lock("p", "recordings", "restore"):
        with restoring(Job(twin.loaded(), "recordings"), Request(to="x"), twin.services(), Quiet()):
            pass
