"""Copies of a site that was backed up once: each test has a ledger and state of its own, the repository is shared."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.harness import Site


def copy_of(site: Site, root: Path) -> Site:
    """A site that knows the same snapshots and has done nothing else yet. Its tests must not write to the repository."""
    root.mkdir(exist_ok=True)
    for name in ("plans", "restore_tests", "state"):
        left_out = shutil.ignore_patterns("scratch", "locks", "cache")
        shutil.copytree(site.root / name, root / name, symlinks=True, ignore=left_out)
    (root / "repo").symlink_to(site.repo.resolve())
    made = Site(root, dict(site.env))
    (made.state / "cache").symlink_to(site.state / "cache")
    return made


def whole_copy_of(site: Site, root: Path) -> Site:
    """The same with a repository of its own, that its tests may write to; what its plan names lies in it, too."""
    shutil.copytree(site.root, root, symlinks=True, ignore=shutil.ignore_patterns("locks", "scratch", "cache"))
    (root / "repo/locks").mkdir(exist_ok=True)
    plan = root / "plans/p.yaml"
    plan.write_text(plan.read_text().replace(str(site.root), str(root)))
    return Site(root, bare=site.bare)
