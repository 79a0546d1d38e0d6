"""What only people can say: a statement with its evidence, signed, and good until a day."""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.evidence.controls.known import Known
from ccdr.evidence.controls.values import Observed, Query


def attested(subject: str) -> Query:
    """The newest attestation of this subject."""

    def shown(known: Known) -> Iterator[Observed]:
        yield from ()

    return shown
