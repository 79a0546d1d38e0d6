"""What `ccdr doctor` makes of clocks: of stores, and of the source. Every red line has its green twin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from tests.support.findings import FAIL, OK, WARN, states
from tests.support.harness import Site, in_background
from tests.support.sparse import sparse_record

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.model.errors import RepositoryUnavailable
from ccdr.model.values import Health
from ccdr.setup.doctor import readiness, repository
from ccdr.storage.endpoint import server_time


class Clockwork(BaseHTTPRequestHandler):
    """Answers HEAD by 403, with the date that it is told to have."""

    shift: ClassVar[timedelta | None] = timedelta(0)

    def do_HEAD(self) -> None:
        self.send_response_only(403)
        if self.shift is not None:
            self.send_header("Date", format_datetime(datetime.now(UTC) + self.shift, usegmt=True))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def clockwork(shift: timedelta | None) -> Iterator[str]:
    handler = type("Shifted", (Clockwork,), {"shift": shift})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        in_background(server.serve_forever)
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("seconds", "state"), [(0, OK), (20, OK), (-20, OK), (120, WARN), (-120, WARN), (900, FAIL), (-900, FAIL)]
)
def test_clock_against_the_stores(plain: Site, seconds: int, state: Health) -> None:
    with clockwork(timedelta(seconds=seconds)) as address:
        plain.plan("a: {engine: files, paths: [/x]}", repository=f"{{url: 'rest:{address}/r', password_file: key}}")
        (look,) = repository.clock(plain.loaded(), plain.services())
    assert look.state is state, look
    if state is not OK:
        assert ("behind" if seconds > 0 else "ahead") in look.answer


def test_store_that_tells_no_time() -> None:
    with clockwork(None) as address, pytest.raises(RepositoryUnavailable, match="tells no time"):
        server_time(address)
    with pytest.raises(RepositoryUnavailable, match="tells no time"):
        server_time(address)  # nobody is there any more


def test_source_clock_at_the_last_backup() -> None:
    for skew, expected in ((None, []), (0.2, [OK]), (-45, [WARN]), (400, [FAIL])):
        of = {"kind": "backup.end", "plan": "p", "asset": "a", "run": "r", "result": "STORED", "snapshot": {}}
        history = AssetHistory(last_good_backup=sparse_record(of | {"clock_skew_s": skew}))
        assert states(readiness.source_clock(history)) == expected
    assert states(readiness.source_clock(AssetHistory())) == []
