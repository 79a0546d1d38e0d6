"""A handshake tells which TLS a server speaks, and whether its certificate verifies: with a real one."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from ccdr.host.tls import handshake
from ccdr.model.tls import Tls, number_of, tls_of
from ccdr.plans.floors import Floors, below_tls


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA's, another CA's, and a server's of the name localhost."""
    at = tmp_path_factory.mktemp("certificates")

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


def test_a_certificate_that_verifies_is_told_with_the_cas_that_it_was_verified_by(certificates: Path) -> None:
    ca = certificates / "ca.crt"
    with serving(certificates) as port:
        seen = handshake("localhost", port, ca_file=ca)
    assert seen is not None and (seen.version, seen.verified) == ("TLSv1.3", True)
    assert seen.ca_sha256 == sha256(ca.read_bytes()).hexdigest()


def test_one_that_does_not_verify_is_told_with_the_version(certificates: Path) -> None:
    with serving(certificates, ssl.TLSVersion.TLSv1_2) as port:
        seen = handshake("localhost", port, ca_file=certificates / "other.crt")
        assert seen is not None and (seen.version, seen.verified, seen.ca_sha256) == ("TLSv1.2", False, None)
        by_name = handshake("127.0.0.1", port, ca_file=certificates / "ca.crt")
        assert by_name is not None and not by_name.verified, "of another name"
        unnamed = handshake("127.0.0.1", port, ca_file=certificates / "ca.crt", named=False)
        assert unnamed is not None and unnamed.verified


def test_who_speaks_no_tls_or_nothing_is_not_known(certificates: Path) -> None:
    with serving(None) as port:
        assert handshake("localhost", port, ca_file=certificates / "ca.crt") is None
    assert handshake("localhost", port, ca_file=certificates / "ca.crt") is None
    assert handshake("localhost", port, ca_file=certificates / "no-such.crt") is None


def test_versions_below_the_floor() -> None:
    floors, strict = Floors(), Floors(tls="1.3")
    told = {version: Tls(version, None, True) for version in ("SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")}
    assert [version for version, seen in told.items() if below_tls(floors, seen)] == ["SSLv3", "TLSv1", "TLSv1.1"]
    assert below_tls(strict, told["TLSv1.2"]) and not below_tls(strict, told["TLSv1.3"])
    assert not below_tls(floors, Tls(None, None, True)), "nobody told"
    assert [number_of(version) for version in told] == [None, "1.0", "1.1", "1.2", "1.3"]


def test_what_is_no_version_is_not_recorded() -> None:
    assert (
        tls_of("", "", verified=False, ca_sha256=None) is None
        and tls_of(None, None, verified=True, ca_sha256=None) is None
    )
    odd = tls_of("Mrs Ionescu", "a b", verified=True, ca_sha256="0" * 64)
    assert odd == Tls(None, None, True, "0" * 64), "a server may say anything"
