"""Here `ccdr` is started as a person starts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.harness import Site


@pytest.fixture(scope="module", autouse=True)
def cold() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Site, "warm", False)
        yield
