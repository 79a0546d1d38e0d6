"""One S3 server with a credential for each role, for all of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.roles import Staffed, staffed

BUCKETS = ("healthy", "jobs", "flat", "locked", "thief", "swapped", "coarse")


def _coarse() -> dict[str, object]:
    """Of SeaweedFS' own actions alone, which know no difference between put and delete."""
    return {
        "name": "coarse",
        "credentials": [{"accessKey": "KEYcoarse", "secretKey": "secret-of-coarse"}],
        "actions": ["Read:coarse", "Write:coarse", "List:coarse"],
    }


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staffed]:
    running = staffed(tmp_path_factory.mktemp("roles"), *BUCKETS, more={"identities": [_coarse()]})
    yield running
    running.store.stop()
