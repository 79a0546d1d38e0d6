"""A bucket as a restic REST server on a Unix socket, for the one program that has the socket.

restic takes its S3 credentials from its environment, one pair for both repositories of a `copy`: what is read with
another pair than what is written comes through here. restic's REST protocol (its docs, *REST backend*) has few calls,
and of a repository that is read these are enough: the config, lists, objects and parts of them, and its locks.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccdr.storage.s3 import Bucket

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_FOLDERS = ("data", "keys", "locks", "snapshots", "index")
_OBJECT = re.compile(r"/(?P<folder>[a-z]+)/(?P<name>[0-9a-f]{64})?$")
_V2 = "application/vnd.x.restic.rest.v2"
_MISSING = ("404", "NoSuchKey", "NoSuchBucket", "NotFound")
_DENIED = ("403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch")
_CHUNK = 1 << 18


@contextlib.contextmanager
def bridged(bucket: Bucket, prefix: str, directory: Path) -> Iterator[str]:
    """The repository below `prefix`, as restic is to be told of it; served until the context ends. The socket lies in
    `directory`, which only this user may enter."""
    socket = directory / "s3"
    # A socket's path has an end; this way to it is short, wherever it lies.
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    short = f"/proc/{os.getpid()}/fd/{held}/{socket.name}"
    try:
        with _Server(short, _handler(bucket.client(), bucket.name, prefix)) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
            thread.start()
            try:
                yield f"rest:http+unix://{short}:/"
            finally:
                server.shutdown()
                thread.join()
    finally:
        os.close(held)
        socket.unlink(missing_ok=True)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """restic was stopped, or closed a connection: it tells what that means."""


def _handler(client: S3Client, bucket: str, prefix: str) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        store = client
        place = (bucket, prefix)

    return Handler


class _Handler(BaseHTTPRequestHandler):
    """One connection of restic's."""

    protocol_version = "HTTP/1.1"
    store: S3Client
    place: tuple[str, str]
    answered: bool  # the call, at least its head

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what restic asks for is nobody's news."""

    def do_HEAD(self) -> None:
        with self._answering():
            key = self._key()
            size = self.store.head_object(Bucket=self.place[0], Key=key)["ContentLength"]
            self._head(200, size)

    def do_GET(self) -> None:
        with self._answering():
            if (match := _OBJECT.match(self.path)) and match["name"] is None:
                self._list(match["folder"])
                return
            part = self.headers.get("Range")
            more: dict[str, Any] = {"Range": part} if part else {}
            got = self.store.get_object(Bucket=self.place[0], Key=self._key(), **more)
            self._head(206 if part else 200, got["ContentLength"])
            for chunk in got["Body"].iter_chunks(_CHUNK):
                self.wfile.write(chunk)

    def do_POST(self) -> None:
        with self._answering():
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if not self.path.startswith("/locks/"):
                self._head(403, 0)
                return
            self.store.put_object(Bucket=self.place[0], Key=self._key(), Body=body)
            self._head(200, 0)

    def do_DELETE(self) -> None:
        with self._answering():
            if not self.path.startswith("/locks/"):
                self._head(403, 0)
                return
            self.store.delete_object(Bucket=self.place[0], Key=self._key())
            self._head(200, 0)

    def parse_request(self) -> bool:
        self.answered = False
        return super().parse_request()

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """What the store says no to is passed on, as far as restic tells the answers apart. In the middle of an object
        there is no answer but to break off: what followed would be taken for its contents, and those for damaged."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except LookupError:
            self._head(404, 0)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            self._head(404 if code in _MISSING else 403 if code in _DENIED else 502, 0)
        except BotoCoreError:
            if self.answered:
                self.close_connection = True
            else:
                self._head(502, 0)

    def _key(self) -> str:
        """Of the object that is asked for, in restic's layout. LookupError where there is none such."""
        if self.path == "/config":
            return f"{self.place[1]}config"
        match = _OBJECT.match(self.path)
        if match is None or match["folder"] not in _FOLDERS or match["name"] is None:
            raise LookupError
        below = f"{match['name'][:2]}/" if match["folder"] == "data" else ""
        return f"{self.place[1]}{match['folder']}/{below}{match['name']}"

    def _list(self, folder: str) -> None:
        if folder not in _FOLDERS:
            raise LookupError
        pages = self.store.get_paginator("list_objects_v2").paginate(
            Bucket=self.place[0], Prefix=f"{self.place[1]}{folder}/"
        )
        there = [
            {"name": one["Key"].rpartition("/")[2], "size": one["Size"]}
            for page in pages
            for one in page.get("Contents", ())
        ]
        body = json.dumps([one for one in there if one["name"]]).encode()
        self.send_response(200)
        self.send_header("Content-Type", _V2)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _head(self, status: int, size: int) -> None:
        self.answered = True
        self.send_response(status)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def address_string(self) -> str:
        return "restic"
