"""Backups made once and then copied, so that a fault costs its own second and not another set-up."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from ccdr.demo.store import DemoStore
from ccdr.host.state import State
from ccdr.jobs.restore import Request, RestoreResult, restoring
from ccdr.jobs.restore_test import RestoreTest, restore_test
from ccdr.plans.job import Job
from ccdr.storage.restic import Restic
from tests.support.harness import PASSWORD, Quiet, Site
from tests.support.inside import names

LONG_AGO = 1_700_000_000  # a settled modification time


def restic_of(root: Path, *args: str, check: bool = True) -> str:
    """restic itself, as its user would call it, on the repository of a site."""
    done = subprocess.run(
        ["restic", "-r", str(root / "repo"), "--no-cache", *args],
        env={"PATH": os.environ["PATH"], "HOME": "/nowhere", "RESTIC_PASSWORD": PASSWORD},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout


def with_repository(site: Site) -> Site:
    """Give a new site an empty repository, before there is a plan of it."""
    return site.with_repository()


def settled_file(path: Path, contents: bytes, at: float = LONG_AGO) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)
    os.utime(path, (at, at))
    return path


def two_days(root: Path) -> Site:
    """A site with a tree of recordings that was backed up yesterday and, with one more file, today."""
    root.mkdir(exist_ok=True)
    site = with_repository(Site(root))
    tree = root / "tree"
    for n in range(6):
        settled_file(tree / f"agent{n % 2}" / f"call{n}.wav", os.urandom(20_000 + n))
    site.recordings(tree, LIMITS)
    site.backed_up()
    settled_file(tree / "agent0" / "today.wav", os.urandom(400_000))
    site.backed_up()
    return site


# Faults are waited for, so waits are short.
LIMITS = "limits: {lock_wait: 1s, no_progress: 4s}"


def pristine(site: Site) -> Path:
    """Keep all of a site, so that `again` can bring it back."""
    kept = site.root.with_name(f"{site.root.name}-kept")
    shutil.copytree(site.root, kept, symlinks=True)
    return kept


def again(site: Site, kept: Path) -> Site:
    """The site as it was kept, at the same place: a plan that names another tree has no backup yet."""
    for path in site.root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.copytree(kept, site.root, symlinks=True, dirs_exist_ok=True)
    return Site(site.root)


def copy_of(site: Site, root: Path) -> Site:
    """A site with a repository and state of its own, and the same tree."""
    for part in ("repo", "state", "plans", "restore_tests"):
        shutil.copytree(site.root / part, root / part, symlinks=True)
    (root / "tree").symlink_to(site.root / "tree")
    for plan in (root / "plans").glob("*.yaml"):
        plan.write_text(plan.read_text().replace(f"{site.root}/repo", f"{root}/repo"))
    return Site(root)


def other_host(site: Site, root: Path) -> Site:
    """The same plans and repository with a state directory that knows nothing."""
    root.mkdir(exist_ok=True)
    for part in ("plans", "restore_tests"):
        shutil.copytree(site.root / part, root / part, dirs_exist_ok=True)
    return Site(root, dict(site.env))


def on_store(site: Site, store: DemoStore, bucket: str, *, endpoint: str | None = None) -> Site:
    """Move a site's repository into a bucket of the S3 server; `endpoint` may be a proxy's."""
    there = store.bucket(bucket)
    there.create_versioned(patience=60)
    client = there._client(timeout=5)
    for path in site.repo.rglob("*"):
        if path.is_file():
            client.put_object(Bucket=bucket, Key=f"r/{path.relative_to(site.repo)}", Body=path.read_bytes())
    shutil.rmtree(site.repo)
    site.write("plans/s3.env", store.env_file(), mode=0o600)
    url = f"{{url: 's3:{endpoint or store.endpoint}/{bucket}/r', password_file: key, env_file: s3.env}}"
    for plan in (site.root / "plans").glob("*.yaml"):
        lines = plan.read_text().splitlines(keepends=True)
        plan.write_text("".join(f"repository: {url}\n" if n.startswith("repository:") else n for n in lines))
    return site


def left(site: Site) -> list[str]:
    """What a site's runs have left behind: containers of this installation, scratch of any run."""
    found = names(f"ccdr.state={State(site.state.absolute()).id}")
    scratch = site.state / "scratch"
    return found + [str(p) for p in scratch.rglob("*") if not p.is_dir() or p.name.startswith("run-")]


def assert_clean(site: Site) -> None:
    """Nothing is left behind, and the evidence holds."""
    assert left(site) == []
    site.ledger_holds()


@contextlib.contextmanager
def brought_back(beside: str, harm: Callable[[Path], object]) -> Iterator[None]:
    """As by a repository that holds something else under the snapshot's id, and says nothing of it. `harm` is given the
    captured directory: above the one that holds the file `beside`."""
    really = Restic.restore

    def restore(repo: Restic, snapshot: str, root: str, target: Path, **more: Any) -> None:
        really(repo, snapshot, root, target, **more)
        harm(next(target.rglob(beside)).parent.parent)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Restic, "restore", restore)
        yield


def tested(site: Site) -> RestoreTest:
    """The newest snapshot of the asset `crm`, in this process."""
    return restore_test(Job(site.loaded(), "crm"), "latest", site.services(), Quiet())


def restored(site: Site, to: Path) -> RestoreResult:
    """The same into the directory `to`."""
    with restoring(Job(site.loaded(), "crm"), Request(to=str(to)), site.services(), Quiet()) as one:
        one.carry_out(Quiet())
    return one.result


def retained(root: Path, count: int, size: int, settings: str, *, passed: Collection[int]) -> Site:
    """So many backups of a tree that grows by a file of `size` bytes each time, some of them tested good. `settings` are
    more YAML of the plan."""
    site = with_repository(Site(root))
    site.recordings(root / "tree", LIMITS)
    plan = root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("assets:\n", f"{settings}assets:\n"))
    for n in range(count):
        settled_file(root / "tree" / f"call{n}.wav", os.urandom(size))
        site.backed_up()
        if n in passed:
            assert site.run("test", "p").code == 0
    return site


def hashing_by(site: Site, script: str) -> dict[str, str]:
    """An environment in which whoever hashes files does this first: in it `"$@"` is the real hasher, which reads names
    from standard input, each ended by a zero byte."""
    real = shutil.which("setpriv")
    site.write("bin/setpriv", f'#!/bin/sh\ncase "$*" in *hashlib*) set -- {real} "$@"; {script} ;; esac\nexec {real} "$@"\n',
               mode=0o755)  # fmt: skip
    return {"PATH": f"{site.root / 'bin'}:{os.environ['PATH']}"}
