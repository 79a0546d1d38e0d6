"""A time-stamping authority made by `openssl ts`, behind a small HTTP server on loopback."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CONFIG = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = a CA of the tests
[v3_ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[v3_tsa]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = one
[one]
serial = {at}/serial
signer_cert = {at}/tsa.pem
signer_key = {at}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True)
class Authority:
    """Its CA, its certificate and its key, in a directory."""

    at: Path

    @property
    def ca(self) -> Path:
        return self.at / "ca.pem"

    def openssl(self, *args: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["openssl", *args], cwd=self.at, check=True, capture_output=True)

    def certified(self, *dates: str) -> None:
        """Its certificate, from its CA; `dates` are options of `openssl x509`."""
        sign = ("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
        self.openssl(
            *sign, *(dates or ("-days", "20")), "-extfile", "ts.cnf", "-extensions", "v3_tsa", "-out", "tsa.pem"
        )

    def answer(self, request: bytes) -> bytes:
        (self.at / "asked.tsq").write_bytes(request)
        self.openssl("ts", "-reply", "-config", "ts.cnf", "-queryfile", "asked.tsq", "-out", "answer.tsr")
        return (self.at / "answer.tsr").read_bytes()

    def token(self, data: bytes) -> bytes:
        """Over this data, without being asked by HTTP."""
        (self.at / "data").write_bytes(data)
        self.openssl("ts", "-query", "-data", "data", "-sha256", "-cert", "-out", "own.tsq")
        return self.answer((self.at / "own.tsq").read_bytes())

    def verifies(self, token: Path, data: Path) -> bool:
        """By openssl, which we have not written."""
        argv = ["openssl", "ts", "-verify", "-in", str(token), "-data", str(data), "-CAfile", str(self.ca)]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def new_authority(at: Path) -> Authority:
    at.mkdir(parents=True)
    made = Authority(at)
    (at / "ts.cnf").write_text(_CONFIG.format(at=at))
    (at / "serial").write_text("01\n")
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "ts.cnf")
    made.openssl(*new, "-x509", "-days", "30", "-extensions", "v3_ca", "-keyout", "ca.key", "-out", "ca.pem")
    made.openssl(*new, "-subj", "/CN=a TSA of the tests", "-keyout", "tsa.key", "-out", "tsa.csr")
    made.certified()
    return made


@dataclass
class Served:
    """An authority that answers by HTTP. `answer` makes its answer of a request's bytes; `status` is HTTP's; `hangs`:
    it takes what is sent, and says nothing."""

    authority: Authority
    port: int = 0
    answer: Callable[[bytes], bytes] | None = None
    status: int = 200
    hangs: bool = False
    asked: list[bytes] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/tsr"


@contextmanager
def serving(authority: Authority) -> Iterator[Served]:
    served, turn = Served(authority), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["Content-Length"]))
            served.asked.append(request)
            assert self.headers["Content-Type"] == "application/timestamp-query"
            if served.hangs:
                served.closing.wait()
                return
            with turn:
                body = (served.answer or authority.answer)(request) if served.status == 200 else b"no"
            self.send_response(served.status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield served
    finally:
        served.closing.set()
        server.shutdown()
        server.server_close()
