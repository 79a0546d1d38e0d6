"""A handshake tells which TLS a server speaks, and whether its certificate verifies: with a real one."""

from __future__ import annotations

import ssl
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.tls import certificates_in, serving

from ccdr.host.tls import handshake
from ccdr.model.tls import Tls, number_of, tls_of
from ccdr.plans.floors import Floors, below_tls


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates_in(tmp_path_factory.mktemp("certificates"))


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
