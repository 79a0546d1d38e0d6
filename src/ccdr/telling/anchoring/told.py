"""The signed checkpoint, sent by Apprise to somebody who keeps it: pasted into a file it is an anchor for `ccdr ledger
verify --anchor`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ccdr.evidence.checkpoints.anchors import TOLD
from ccdr.evidence.checkpoints.receipts import Receipt, noted
from ccdr.model.errors import CcdrError
from ccdr.model.values import so_many
from ccdr.telling.anchoring.kinds import EACH
from ccdr.telling.notify.message import Message
from ccdr.telling.notify.targets import MessageTarget, at_once, read_targets, send

if TYPE_CHECKING:
    from ccdr.evidence.checkpoints.checkpoint import Checkpoint
    from ccdr.plans.anchors import Told
    from ccdr.ports.place import Clock


@dataclass(frozen=True)
class SentByApprise:
    """To all addresses of the file; it holds where each has taken it."""

    settings: Told
    clock: Clock

    def anchor(self, checkpoint: Checkpoint) -> Receipt:
        targets, message = read_targets(self.settings.urls_file), message_of(checkpoint)
        answers = at_once({one: _sending(one, message) for one in targets}, EACH)
        if failed := {target.name: why for target, why in answers.items() if why is not None}:
            name, why = next(iter(failed.items()))
            more = f"; and {len(failed) - 1} more like this" if len(failed) > 1 else ""
            raise CcdrError(f"{name}: {why}{more}", hint="correct the address; the next run tries again")
        kinds = ", ".join(sorted({target.url.partition("://")[0].lower() for target in targets}))
        where: dict[str, str | int] = {"addresses": len(targets), "kinds": kinds}
        return noted(TOLD, self.settings.name, checkpoint, self.clock.now(), where)


def _sending(target: MessageTarget, message: Message) -> Callable[[], str | None]:
    return lambda: send(target.url, message)


def message_of(checkpoint: Checkpoint) -> Message:
    """Origin, size and root for people; then the note, to be kept as it is."""
    return Message(
        f"ccdr: checkpoint of {so_many(checkpoint.size, 'record')}",
        f"ledger: {checkpoint.origin}\nrecords: {checkpoint.size}\nroot: {checkpoint.root.hex()}\n\n"
        "Keep this message. Later, save the lines below, from the first to the last, in a file:\n"
        "`ccdr ledger verify DIRECTORY --anchor FILE` then shows whether a record before it was changed.\n\n"
        f"{checkpoint.note}",
        wrong=False,
    )
