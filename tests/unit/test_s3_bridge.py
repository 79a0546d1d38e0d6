"""A bucket that restic reads through the bridge."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ResponseStreamingError

from ccdr.storage.s3 import Bucket
from ccdr.storage.s3_bridge import bridged

PACK = "/data/" + "ab" * 32


class Body:
    def __init__(self, sent: bytes, broken: bool) -> None:
        self.sent, self.broken = sent, broken

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        yield self.sent
        if self.broken:
            raise ResponseStreamingError(error="connection reset")


class Store:
    """Answers each call for an object with a body of 1000 bytes; the first ends early where it is `broken`."""

    def __init__(self, broken: bool) -> None:
        self.bodies = [Body(b"x" * 400, True)] * broken + [Body(b"x" * 1000, False)]

    def get_object(self, **call: Any) -> dict[str, Any]:
        assert call["Key"] == f"r/data/ab/{'ab' * 32}"
        return {"ContentLength": 1000, "Body": self.bodies.pop(0)}


class Given(Bucket):
    def client(self) -> Any:
        return Store(broken=self.token == "broken")


def asked(at: str) -> bytes:
    """What one connection gets, as restic asks: with the length that is told."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(at.removeprefix("rest:http+unix://").removesuffix(":/"))
        connection.sendall(f"GET {PACK} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 200
        return answer.read()


def test_a_store_that_breaks_off_in_an_object_breaks_the_connection_and_what_is_asked_again_comes_whole(
    tmp_path: Path,
) -> None:
    """Words of ours in the object's place would be damage of the plan's own repository, which there is none of."""
    with bridged(cast(Bucket, Given("http://x", "b", "k", "s", "broken")), "r/", tmp_path) as at:
        with pytest.raises(http.client.IncompleteRead) as told:
            asked(at)
        assert told.value.partial == b"x" * 400
        assert asked(at) == b"x" * 1000


def test_an_object_of_a_store_that_answers_comes_whole(tmp_path: Path) -> None:
    with bridged(cast(Bucket, Given("http://x", "b", "k", "s")), "r/", tmp_path) as at:
        assert asked(at) == b"x" * 1000
