"""What the clock says where a repository lies."""

from __future__ import annotations

import os
import ssl
import urllib.error
import urllib.request
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ccdr.model.errors import RepositoryUnavailable

WITHIN = 5.0  # seconds


def server_time(address: str) -> datetime:
    """The server's clock, to the second: the Date of its answer, whatever else it answers.

    RepositoryUnavailable where there is no answer, or no date in it.
    """
    request = urllib.request.Request(f"{address}/", method="HEAD")  # noqa: S310 - http(s), as the plan was checked
    context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE"))
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _Stay())
    try:
        try:
            with opener.open(request, timeout=WITHIN) as answer:
                date = answer.headers.get("Date")
        except urllib.error.HTTPError as refused:  # 403 has a clock too
            date = refused.headers.get("Date")
            refused.close()
        return parsedate_to_datetime(str(date)).astimezone(UTC)
    except (OSError, ValueError) as error:
        raise RepositoryUnavailable(
            f"{address} tells no time: {getattr(error, 'reason', None) or error}",
            hint="check the address, the network and the store itself",
        ) from None


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect has a date like any other answer; where it leads is not asked."""

    def redirect_request(self, *_: object) -> None:
        return None
