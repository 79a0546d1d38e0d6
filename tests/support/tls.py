"""A server that speaks TLS and nothing else, and certificates for it."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def certificates_in(at: Path) -> Path:
    """A CA's, another CA's, and a server's of the name localhost."""

    def openssl(*args: str) -> None:
        subprocess.run(["openssl", *args], cwd=at, check=True, capture_output=True)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for ca in ("ca", "other"):
        openssl(*new, "-x509", "-days", "2", "-subj", f"/CN={ca}", "-keyout", f"{ca}.key", "-out", f"{ca}.crt")
    openssl(*new, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    (at / "names").write_text("subjectAltName=DNS:localhost\n")
    sign = ("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
    openssl(*sign, "-extfile", "names", "-out", "server.crt")
    return at


@contextmanager
def serving(at: Path | None, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Iterator[int]:
    """A server on localhost; without certificates one that speaks no TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if at is not None:
        context.load_cert_chain(at / "server.crt", at / "server.key")
        context.maximum_version = most
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    taken, _ = listening.accept()
                except OSError:
                    return
                with taken:
                    try:
                        if at is not None:
                            context.wrap_socket(taken, server_side=True).close()
                        else:
                            taken.sendall(b"220 mail.example\r\n")
                    except OSError:
                        pass

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
