"""An `http` step asks a real server by TLS: whom it trusts, and what it says of whom it does not."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.listeners import Web, web_server

from ccdr.jobs.runbook.runners import _http_once
from ccdr.plans.runbook import Http


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, `ca.pem`, and what it has signed for 127.0.0.1: `server.pem`, `server.key`; another, `other.pem`."""
    root = tmp_path_factory.mktemp("authority")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    for name in ("ca", "other"):
        argv = [*new, "-x509", "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        openssl(root, *argv, "-keyout", f"{name}.key", "-out", f"{name}.pem")
    openssl(root, *new[:5], "-subj", "/CN=health", "-keyout", "server.key", "-out", "server.csr")
    (root / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    signed = ["openssl", "x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key"]
    openssl(root, *signed, "-CAcreateserial", "-extfile", "names", "-out", "server.pem")
    (root / "none.pem").write_text("no certificate\n")
    return root


def openssl(root: Path, *argv: str) -> None:
    subprocess.run(argv, cwd=root, capture_output=True, check=True)


@pytest.fixture(scope="module")
def web(authority: Path) -> Iterator[Web]:
    with web_server(certificate=(authority / "server.pem", authority / "server.key")) as made:
        yield made


@pytest.mark.parametrize(
    ("ca_file", "host", "said"),
    [
        ("ca.pem", "127.0.0.1", None),
        ("ca.pem", "localhost", "shows a certificate that is not verified"),  # it is for the address alone
        ("other.pem", "127.0.0.1", "shows a certificate that is not verified"),
        (None, "127.0.0.1", "shows a certificate that is not verified"),
        ("none.pem", "127.0.0.1", "cannot be asked: its ca_file holds no certificate"),
        ("gone.pem", "127.0.0.1", "cannot be asked: its ca_file is not there"),
        (".", "127.0.0.1", "cannot be asked: its ca_file cannot be read: Is a directory"),
    ],
)
def test_whom_it_trusts_and_why_not(
    authority: Path, web: Web, ca_file: str | None, host: str, said: str | None
) -> None:
    ca = {"ca_file": authority / ca_file} if ca_file else {}
    step = Http.model_validate({"kind": "http", "url": f"https://{host}:{web.port}/health", **ca})
    assert _http_once(step) == said


def test_another_status_and_a_server_that_speaks_no_tls(authority: Path, web: Web) -> None:
    ca = {"ca_file": authority / "ca.pem"}
    web.answer = 503
    try:
        step = Http.model_validate({"kind": "http", "url": f"https://127.0.0.1:{web.port}/", **ca})
        assert _http_once(step) == "answers 503, expected 200"
    finally:
        web.answer = 200
    with web_server() as plain:
        step = Http.model_validate({"kind": "http", "url": f"https://127.0.0.1:{plain.port}/", **ca})
        assert _http_once(step) == "does not answer by TLS"
        spoken = Http.model_validate({"kind": "http", "url": f"http://127.0.0.1:{plain.port}/"})
        assert _http_once(spoken) is None, "the twin"
