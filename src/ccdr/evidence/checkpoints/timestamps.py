"""Tokens of time-stamping authorities (RFC 3161): somebody else's signature over a digest and a time. The only place
that reads or asks for one by its library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256, sha384, sha512

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

LARGEST = 64 * 1024  # bytes of a token
_DIGESTS = {  # what a token may be over
    "2.16.840.1.101.3.4.2.1": sha256,
    "2.16.840.1.101.3.4.2.2": sha384,
    "2.16.840.1.101.3.4.2.3": sha512,
}
_NOT_GRANTED = {2: "it was rejected", 3: "it is waiting", 4: "a revocation is near", 5: "it was revoked"}


class NotVerified(ValueError):
    """It is a token over what it is to be over, and no certificate that was given vouches for it."""


@dataclass(frozen=True)
class Request:
    """What an authority is asked: for a token with its certificate, over a digest, with a random number."""

    contents: bytes  # TimeStampReq, DER
    nonce: int


def request_of(data: bytes) -> Request:
    builder = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256)
    made = builder.nonce(nonce=True).cert_request(cert_request=True).build()
    assert made.nonce is not None  # it was asked for
    return Request(made.as_bytes(), made.nonce)


def certificates_of(pem: bytes) -> list[x509.Certificate]:
    """ValueError where it holds none."""
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ValueError("holds no certificate in PEM") from None
    return found


def over(token: bytes, data: bytes) -> datetime:
    """When this token (a TimeStampResp, DER) says that it was made, over exactly this data. ValueError where it is
    none, or over something else. Who signed it is not looked at."""
    return _time(_over(token, data))


def verified(token: bytes, data: bytes, certificates: Sequence[x509.Certificate], nonce: int | None = None) -> datetime:
    """The same, where the certificates vouch for it: as they were valid at the time that it says. NotVerified where
    they do not."""
    answer = _over(token, data)
    builder = VerifierBuilder(roots=list(certificates), nonce=nonce)
    try:
        builder.build().verify_message(answer, data)
    except VerificationError as error:
        raise NotVerified(_why(error)) from None
    except ValueError:
        raise NotVerified("its certificates cannot be read") from None
    return _time(answer)


def _over(token: bytes, data: bytes) -> TimeStampResponse:
    try:
        answer = decode_timestamp_response(token)
        status = answer.status
        imprint = answer.tst_info.message_imprint if status in (0, 1) else None
    except ValueError:
        raise ValueError("is no answer of a time-stamping authority") from None
    if imprint is None:
        raise ValueError(f"holds no token: {_NOT_GRANTED.get(status, 'the authority refused it')}")
    digest = _DIGESTS.get(imprint.hash_algorithm.dotted_string)
    if digest is None:
        raise ValueError("is a token by a digest that is not SHA-2")
    if digest(data).digest() != imprint.message:
        raise ValueError("is a token over something else")
    return answer


def _time(answer: TimeStampResponse) -> datetime:
    at = answer.tst_info.gen_time
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _why(error: VerificationError) -> str:
    """In words of ours: the library's may quote what is in the token."""
    text = str(error)
    for words, ours in (
        ("expired", "a certificate had expired when it was made"),
        ("not yet valid", "a certificate was not valid yet when it was made"),
        ("local issuer", "no certificate that was given has issued its own"),
        ("self", "no certificate that was given has issued its own"),
        ("Nonce", "it holds another random number than was sent"),
        ("EKU", "its certificate is not for time-stamping"),
        ("ertificates neither", "it holds no certificate"),
        ("GRANTED", "it was granted with changes"),
    ):
        if words in text:
            return ours
    return "its signature does not verify"
