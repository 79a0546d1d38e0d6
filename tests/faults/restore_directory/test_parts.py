"""Parts of a tree: what the patterns name comes back as captured, is compared, and is never told as the whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.restored_files import beside, end, go, listing
from tests.support.stored import settled_file

NAMES = ("rec/2026/11/a.wav", "rec/2026/b [x].wav", "rec/2026/c.txt", "rec/2025/old.wav", "agent0/z.wav")


@pytest.fixture
def tree(twin: Site) -> Path:
    tree = twin.root / "tree"
    for name in NAMES:
        settled_file(tree / name, name.encode())
    (tree / "rec/2026/link").symlink_to("c.txt")
    os.utime(tree / "rec", (1_700_000_000, 1_700_000_000))
    twin.backed_up()
    return tree


def came(site: Site, tree: Path) -> set[str]:
    back = site.root / "back" / str(tree).lstrip("/")
    return {str(path.relative_to(back)) for path in back.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["rec/2026/*"], {"rec/2026/11/a.wav", "rec/2026/b [x].wav", "rec/2026/c.txt", "rec/2026/link"}),
        (["rec/2026"], {"rec/2026/11/a.wav", "rec/2026/b [x].wav", "rec/2026/c.txt", "rec/2026/link"}),
        (["rec/*/*.txt", "agent0/z.wav"], {"rec/2026/c.txt", "agent0/z.wav"}),
        (["rec/**/?.wav"], {"rec/2026/11/a.wav"}),
        (["rec/2026/b [x].wav"], {"rec/2026/b [x].wav"}),
    ],
    ids=["below", "directory", "several", "any depth", "brackets"],
)
def test_what_the_patterns_name_comes_back_and_nothing_else(
    twin: Site, tree: Path, parts: list[str], expected: set[str]
) -> None:
    before = beside(twin)
    done = go(twin, twin.root / "back", *(word for part in parts for word in ("--part", part)))
    assert done.code == 0, done
    assert came(twin, tree) == expected
    whole, part = listing(tree), listing(twin.root / "back" / str(tree).lstrip("/"))
    assert set(part) <= set(whole), "modes, times, owners, contents: those of the source"
    assert beside(twin) - before == {"back"}
    record = end(twin)
    files = sum(not name.endswith("link") for name in expected)
    assert (record["parts"]["files"], record["parts"]["patterns"]) == (files, len(parts))
    assert record["parts"]["of_files"] > files
    (same,) = (check for check in record["checks"] if check["kind"] == "identical")
    assert same["status"] == "PASS" and same["expected"].startswith(f"{files} file"), "of the parts alone"
    digests = ("time", "run", "snapshot", "prev")  # in which any four digits may be
    assert "2026" not in str({key: value for key, value in record.items() if key not in digests})


def test_the_whole_path_names_a_part_too(twin: Site, tree: Path) -> None:
    done = go(twin, twin.root / "back", "--part", str(tree / "rec/2025"))
    assert done.code == 0 and came(twin, tree) == {"rec/2025/old.wav"}, done


@pytest.mark.parametrize("part", ["rec/1999/*", "rec/2026/no", "../etc", "REC/2026/*", ""])
def test_a_part_that_names_no_file_is_a_slip_and_nothing_is_done(twin: Site, tree: Path, part: str) -> None:
    done = go(twin, twin.root / "back", "--part", "agent0/*", "--part", part)
    assert done.code == 2 and "chooses no file" in done.json["error"], done
    assert "number 2" in done.json["error"] and not (twin.root / "back").exists()


def test_a_part_that_is_damaged_in_the_repository_is_not_restored(twin: Site, tree: Path) -> None:
    """The twin is above: what is whole comes back."""
    packs = sorted((twin.repo / "data").rglob("*"), key=lambda p: p.stat().st_mtime if p.is_file() else 0)
    for pack in (p for p in packs if p.is_file()):
        body = bytearray(pack.read_bytes())
        body[: len(body) // 2] = os.urandom(len(body) // 2)
        pack.chmod(0o600)
        pack.write_bytes(bytes(body))
    done = go(twin, twin.root / "back", "--part", "rec/2026/*")
    assert done.code != 0 and not (twin.root / "back").exists(), done
