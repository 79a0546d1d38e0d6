"""A time-stamping authority's token over a checkpoint (RFC 3161): `openssl ts -verify -in RECEIPT -data CHECKPOINT
-CAfile CA` verifies it without us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ccdr.evidence.checkpoints import timestamps
from ccdr.evidence.checkpoints.receipts import Receipt
from ccdr.evidence.checkpoints.walk import CLOCKS_APART
from ccdr.model.errors import CcdrError
from ccdr.model.values import rfc3339
from ccdr.telling.anchoring.kinds import EACH

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from ccdr.evidence.checkpoints.checkpoint import Checkpoint
    from ccdr.plans.anchors import Rfc3161
    from ccdr.ports.place import Clock

_TYPE = "application/timestamp-query"


@dataclass(frozen=True)
class TimeStamped:
    """What is sent is a digest and a random number; the answer is verified before it is kept."""

    settings: Rfc3161
    clock: Clock

    def anchor(self, checkpoint: Checkpoint) -> Receipt:
        certificates = self._certificates()
        asked = timestamps.request_of(checkpoint.contents)
        answer = self._asked(asked.contents)
        try:
            at = timestamps.verified(answer, checkpoint.contents, certificates, asked.nonce)
        except ValueError as why:
            hint = f"{self.settings.ca_file} must hold the certificate of the authority's CA"
            raise CcdrError(f"what the time-stamping authority answered {_told(why)}", hint=hint) from None
        now = self.clock.now()
        if abs(at - now) > CLOCKS_APART:
            text = f"the time-stamping authority says that it is {rfc3339(at)}, and this host {rfc3339(now)}"
            raise CcdrError(text, hint="see to this host's clock")
        return Receipt(at, answer)

    def _certificates(self) -> list[Certificate]:
        path = self.settings.ca_file
        try:
            return timestamps.certificates_of(path.read_bytes())
        except OSError as error:
            raise CcdrError(f"{path} cannot be read: {error.strerror}", hint="name the CA's certificate") from None
        except ValueError as why:
            raise CcdrError(f"{path} {why}", hint="name the CA's certificate, in PEM") from None

    def _asked(self, request: bytes) -> bytes:
        """The answer's bytes. A redirect is not followed: it might lead anywhere."""
        from http.client import HTTPException
        from urllib.error import HTTPError, URLError
        from urllib.request import HTTPRedirectHandler, Request, build_opener

        class Stay(HTTPRedirectHandler):
            def redirect_request(self, *_: object) -> None:
                return None

        headers = {"Content-Type": _TYPE, "Accept": "application/timestamp-reply", "User-Agent": "ccdr"}
        sent = Request(self.settings.url, request, headers)  # noqa: S310 - http or https: see plans/anchors.py
        try:
            with build_opener(Stay).open(sent, timeout=EACH) as answer:
                contents: bytes = answer.read(timestamps.LARGEST + 1)
        except HTTPError as error:
            raise CcdrError(f"the time-stamping authority answered {error.code}", hint=_LATER) from None
        except (URLError, OSError, HTTPException, ValueError):
            raise CcdrError("the time-stamping authority does not answer", hint=_LATER) from None
        if len(contents) > timestamps.LARGEST:
            raise CcdrError("the time-stamping authority answered more than a token", hint=_LATER)
        return contents


_LATER = "check the address; the next run tries again"


def _told(why: ValueError) -> str:
    return f"does not verify: {why}" if isinstance(why, timestamps.NotVerified) else str(why)
