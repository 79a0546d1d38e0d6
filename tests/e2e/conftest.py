"""Where its start or its end matters, `ccdr` is started as a person starts it: `pytest.mark.usefixtures("cold")`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.harness import Site


@pytest.fixture
def cold() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Site, "warm", False)
        yield
