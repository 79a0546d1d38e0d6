"""A site that is well."""

from __future__ import annotations

import pytest
from tests.support.doctor import an_rpo_that_can_be_met
from tests.support.harness import Site


@pytest.fixture
def twin(twin: Site) -> Site:
    return an_rpo_that_can_be_met(twin)
