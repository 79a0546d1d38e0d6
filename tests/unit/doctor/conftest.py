"""A plan of one tree, for each test of `ccdr doctor`."""

from __future__ import annotations

import pytest
from tests.support.harness import Site
from tests.support.stored import settled_file


@pytest.fixture
def plain(site: Site) -> Site:
    """A plan for a tree, in a repository that is not there yet."""
    site.bare = True
    settled_file(site.root / "tree" / "a.wav", b"sound")
    site.recordings(site.root / "tree")
    return site
