"""What a fetch takes for whole: every captured file, in full, by a manifest that is the one we know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.support.harness import Quiet
from tests.support.manifests import a_manifest

from ccdr.jobs.fetch import fetch
from ccdr.model.errors import BackupBad
from ccdr.model.values import Manifest
from ccdr.storage.manifest import MANIFEST, manifest_text, snapshot_of

# The manifest names all files itself, as most engines' do.
ENGINE: Any = SimpleNamespace(listed=lambda restored, manifest: manifest.files)
CAPTURED = "/state/ccdr-capture"


@dataclass
class Gives:
    """A repository that says that all is well, whatever it gives back."""

    manifest: Manifest
    harm: Callable[[Path], object]

    def held_as(self, snapshot: str) -> tuple[str, ...]:
        return (snapshot,)

    def restore(self, snapshot: str, root: str, target: Path, **_: object) -> None:
        there = Path(f"{target}{CAPTURED}")
        for name, digest in self.manifest.files.items():
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            (there / name).write_bytes(bytes(digest.bytes))
        (there / MANIFEST).write_text(manifest_text(self.manifest), "utf-8")
        self.harm(there)


def fetched(into: Path, harm: Callable[[Path], object]) -> Path:
    manifest = a_manifest()
    snapshot = snapshot_of(manifest, manifest_text(manifest), "1" * 64, CAPTURED, manifest.consistent_point)
    repo = cast("Any", Gives(manifest, harm))
    return fetch(repo, ENGINE, snapshot, manifest, into, Quiet())


def test_what_is_all_there_is_fetched(tmp_path: Path) -> None:
    assert fetched(tmp_path, lambda at: None) == Path(f"{tmp_path}{CAPTURED}")


def linked(at: Path) -> None:
    """A file of the same size in its place, by a link to somewhere else."""
    (at / "dump/toc.dat").rename(at.parent / "toc.dat")
    (at / "dump/toc.dat").symlink_to(at.parent / "toc.dat")


def of_another(at: Path) -> None:
    (at / MANIFEST).write_text(manifest_text(replace(a_manifest(), run="another")), "utf-8")


HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "shorter": (lambda at: (at / "dump/1.dat").write_bytes(bytes(89)), "has 89 bytes instead of 90"),
    "longer": (lambda at: (at / "dump/1.dat").write_bytes(bytes(91)), "has 91 bytes instead of 90"),
    "empty": (lambda at: (at / "dump/1.dat").write_bytes(b""), "has 0 bytes instead of 90"),
    "gone": (lambda at: (at / "dump/1.dat").unlink(), "is missing"),
    "a link": (linked, "is missing"),
    "one more": (lambda at: (at / "dump/2.dat").write_bytes(b"x"), "were not captured"),
    "another's manifest": (of_another, "not the one in the catalogue"),
    "no manifest": (lambda at: (at / MANIFEST).unlink(), "has no manifest"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_not_all_there_or_more_than_that_is_a_bad_backup(tmp_path: Path, harm: str) -> None:
    """Whatever the plan's checks look at, and whatever restic's exit code said."""
    done, said = HARMS[harm]
    with pytest.raises(BackupBad, match=said):
        fetched(tmp_path, done)
