"""What a kind of anchor owes, and the list of them. To add one: a class of settings in `plans/anchors.py`, a file here
that makes it, and a line below."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ccdr.evidence.checkpoints.checkpoint import Checkpoint
    from ccdr.evidence.checkpoints.receipts import Receipt
    from ccdr.jobs.services import Services

SECONDS = 20.0  # for all anchors together
EACH = 15.0  # for one answer


class Anchoring(Protocol):
    """One anchor of anchors.yaml, ready to be made. It works in a thread of its own, and may be given up: it writes
    nothing of ours."""

    def anchor(self, checkpoint: Checkpoint) -> Receipt:
        """Give the checkpoint away, and say what is to be kept of that. Within EACH seconds; CcdrError, in words of
        ours and without a secret, where it could not be done."""


def _rfc3161(settings: Any, services: Services) -> Anchoring:
    from ccdr.telling.anchoring.rfc3161 import TimeStamped

    return TimeStamped(settings, services.clock)


def _told(settings: Any, services: Services) -> Anchoring:
    from ccdr.telling.anchoring.told import SentByApprise

    return SentByApprise(settings, services.clock)


def _object_lock(settings: Any, services: Services) -> Anchoring:
    from ccdr.telling.anchoring.object_lock import LockedObject

    return LockedObject(settings, services)


# By `kind`: from its settings, and what use-cases are handed, to one that can be made. Imported when it is made.
KINDS: dict[str, Callable[[Any, Services], Anchoring]] = {
    "rfc3161": _rfc3161,
    "told": _told,
    "object_lock": _object_lock,
}
