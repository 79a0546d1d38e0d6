"""Servers on loopback that are told things: a mail server, and one for HTTP. What they were told is kept."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Mailbox:
    """Everything that was mailed to a server."""

    port: int
    raw: list[tuple[list[str], bytes]] = field(default_factory=list)

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        self.raw.append((envelope.rcpt_tos, envelope.content))
        return "250 OK"

    @property
    def messages(self) -> list[Message]:
        return [message_from_bytes(content) for _, content in self.raw]

    @property
    def subjects(self) -> list[str]:
        return [str(m["Subject"]) for m in self.messages]

    def text(self, number: int = -1) -> str:
        return self.messages[number].get_payload(decode=True).decode()  # type: ignore[union-attr]

    def url(self, to: str = "ops@callcentre.test") -> str:
        return f"mailto://127.0.0.1:{self.port}/?from=ccdr@callcentre.test&to={to}"


@contextmanager
def mail_server(port: int | None = None, **options: Any) -> Iterator[Mailbox]:
    """A real SMTP server; `options` are aiosmtpd's."""
    mailbox = Mailbox(port or free_port())
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port, **options)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


def refuse_logins() -> dict[str, Any]:
    """Options of a server that wants a login and takes none."""

    def refuse(*_: object) -> AuthResult:
        return AuthResult(success=False, handled=False)

    return {"authenticator": refuse, "auth_required": True, "auth_require_tls": False}


@dataclass
class Web:
    """What an HTTP server was asked: method and path, and the JSON that came along. `answer` is its status;
    `drip` makes it answer a byte now and then, for ever."""

    port: int
    asked: list[str] = field(default_factory=list)
    documents: list[dict[str, Any]] = field(default_factory=list)
    answer: int = 200
    drip: bool = False
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def titles(self) -> list[str]:
        return [str(d["title"]) for d in self.documents]

    def url(self, path: str = "hook", scheme: str = "json") -> str:
        return f"{scheme}://127.0.0.1:{self.port}/{path}"


@contextmanager
def web_server(port: int | None = None, certificate: tuple[Path, Path] | None = None) -> Iterator[Web]:
    web = Web(port or free_port())

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            web.asked.append(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            while web.drip and not web.closing.wait(0.2):
                self.wfile.write(b"H")
                self.wfile.flush()
            if body and web.answer < 300:
                web.documents.append(json.loads(body))
            self.send_response(web.answer)
            self.end_headers()
            self.wfile.write(b"what was asked: " + self.path.encode())

        do_GET = do_POST = handle_one

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", web.port), Handler)
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.closing.set()
        server.shutdown()
        server.server_close()
