"""Are the lines of a ledger what its checkpoints, and their anchors, say; and up to where would a change have shown?

What comes of it depends on what the verifier had from elsewhere: pinned keys, and anchors. Without them all that can be
said is that it is internally consistent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import time

from ccdr.evidence.checkpoints.anchors import Anchor
from ccdr.evidence.checkpoints.checkpoint import Checkpoint
from ccdr.evidence.checkpoints.found import Boundary, Checked, Finding
from ccdr.evidence.checkpoints.keys import KeyRecord, Pin, in_force, keys_in, trusted
from ccdr.evidence.checkpoints.walk import Asked, Leaf, Walk

END_OF_A_DAY = time(23, 59, 59)
NOT_PINNED = "KEY_NOT_PINNED"  # the right key by the ledger's own records, and no pin vouches for it


def check(asked: Asked, tree_of: Iterable[Leaf]) -> Checked:
    """Walk the lines once, and hold the tree over them to each checkpoint and anchor."""
    keys, wrong = keys_in(asked.key_records, asked.ledger)
    found = [Finding("KEY_RECORD_WRONG", f"record {seq} names no key that this ledger can have", seq) for seq in wrong]
    found += asked.findings
    found += [Finding("CHECKPOINT_UNREADABLE", f"checkpoint {text}") for text in asked.unreadable]
    walk = Walk(asked)
    walk.over(tree_of)
    found += _of_keys(keys, asked.pins)
    vouched = trusted(keys, asked.pins)
    held = []
    for checkpoint in asked.checkpoints:
        wrong_of = list(_wrong(checkpoint, asked, walk, keys, vouched))
        found += wrong_of
        if not wrong_of:
            held.append(checkpoint.size)
    unproven, fitting, notes = list[str](), list[Anchor](), [*asked.notes]
    for anchor in asked.anchors:
        if anchor.checkpoint.origin != asked.origin:
            notes.append(f"{anchor} is of another ledger, {anchor.checkpoint.origin}: it says nothing of this one")
            continue
        if anchor.checkpoint.size < walk.tree.size and anchor.checkpoint.size not in walk.roots:
            notes.append(f"{anchor} is of {anchor.checkpoint.size} records, which lie among those that are hashes here")
            continue
        if asked.made is not None and anchor.at is not None and anchor.at > asked.made and not walk.reaches(anchor):
            here = f"{anchor} knows {anchor.checkpoint.size} records, {walk.tree.size} are here"
            if anchor.at.time() == END_OF_A_DAY and anchor.at.date() == asked.made.date():  # a date alone says no more
                unproven.append(f"{here}: was it had before this copy was made? say the time, as --anchor FILE@TIME")
            else:
                notes.append(f"{here}: it is from after this copy was made")
            continue
        problem, open_ = _of_anchor(anchor, asked, walk, keys, vouched)
        found += [problem] if problem else []
        unproven += [open_] if open_ else []
        if problem is None and open_ is None:
            fitting.append(anchor)
    found += walk.by_clocks(fitting)
    independent = [one for one in fitting if one.independent and _vouched_for(one.checkpoint, vouched)]
    best = max(independent, key=lambda one: one.checkpoint.size, default=None)
    timed = [one for one in independent if one.at is not None]
    first = min(timed, key=lambda one: (one.at, one.checkpoint.size), default=None)
    size = 0 if best is None else best.checkpoint.size
    boundary = None if best is None else Boundary(size, walk.times.get(size), best, first)
    newest = max(held, default=None)
    pinned = any(c.size == newest and _vouched_for(c, vouched) for c in asked.checkpoints)
    return Checked(
        ledger=asked.ledger,
        records=walk.tree.size,
        held=tuple(held),
        findings=tuple(_first_of_each(found)),
        unproven=tuple(unproven),
        boundary=boundary,
        keys=tuple(keys),
        pinned=pinned,
        notes=tuple(notes),
        brought=bool(asked.pins),
    )


def _first_of_each(found: Sequence[Finding]) -> Iterator[Finding]:
    """One change contradicts all checkpoints after it: the first one tells where to look."""
    by_code = dict[str, list[Finding]]()
    for one in dict.fromkeys(found):
        by_code.setdefault(one.code, []).append(one)
    for code, several in by_code.items():
        first, more = several[0], len(several) - 1
        yield Finding(code, f"{first.text}; and {more} more like this", first.record) if more else first


def _vouched_for(checkpoint: Checkpoint, vouched: Sequence[KeyRecord]) -> bool:
    return any(checkpoint.note.signed_by(one.key) for one in vouched)


def _of_keys(keys: Sequence[KeyRecord], pins: Sequence[Pin]) -> Iterator[Finding]:
    """Each key but the first must have been handed over to by the one before it, or be pinned itself."""
    for before, one in zip([None, *keys], keys, strict=False):
        pinned = any(pin.is_of(one.key) for pin in pins)
        if not one.proven:
            yield Finding("KEY_RECORD_WRONG", f"record {one.seq}: the key {one.key.id} did not sign it", one.seq)
        elif before is not None and not pinned and not (one.handed_over and one.replaces == before.key):
            text = f"record {one.seq}: the key {one.key.id} signs from here on, and {before.key.id} did not hand over"
            yield Finding("KEY_NOT_HANDED_OVER", text, one.seq)


def _wrong(
    checkpoint: Checkpoint, asked: Asked, walk: Walk, keys: Sequence[KeyRecord], vouched: Sequence[KeyRecord]
) -> Iterator[Finding]:
    size = checkpoint.size
    if checkpoint.origin != asked.origin:
        yield Finding("CHECKPOINT_OF_ANOTHER", f"the checkpoint of {size} records is of {checkpoint.origin}", size)
        return
    yield from _by_key(f"the checkpoint of {size} records", checkpoint, asked.pins, keys, vouched)
    if size > walk.tree.size:
        text = f"the checkpoint of {size} records knows more than the {walk.tree.size} that are here: they were cut off"
        yield Finding("RECORDS_CUT_OFF", text, size)
    elif size not in walk.roots:
        yield Finding("CHECKPOINT_UNREACHED", f"the checkpoint of {size} records cannot be held to what is here", size)
    elif walk.roots[size] != checkpoint.root:
        text = f"records 1 to {size} are not those that the checkpoint of {size} records was made of: changed since"
        yield Finding("CHECKPOINT_CONTRADICTED", text, size)


def _by_key(
    what: str, checkpoint: Checkpoint, pins: Sequence[Pin], keys: Sequence[KeyRecord], vouched: Sequence[KeyRecord]
) -> Iterator[Finding]:
    """The one key that may have signed it: that of the newest record of a key up to there."""
    right = in_force(keys, checkpoint.size)
    if right is None:
        yield Finding("KEY_UNKNOWN", f"{what}: no record up to there names a key", checkpoint.size)
    elif not checkpoint.note.signed_by(right.key):
        names = ", ".join(one.hash.hex() for one in checkpoint.note.signatures)
        text = f"{what} is not signed by {right.key.id}, which signs by record {right.seq}; it says by {names}"
        yield Finding("KEY_UNKNOWN", text, checkpoint.size)
    elif pins and right not in vouched:
        text = f"{what} is signed by {right.key.id}, for which no pinned key vouches"
        yield Finding(NOT_PINNED, text, checkpoint.size)


def _of_anchor(
    anchor: Anchor, asked: Asked, walk: Walk, keys: Sequence[KeyRecord], vouched: Sequence[KeyRecord]
) -> tuple[Finding | None, str | None]:
    """What contradicts it; or why it says nothing here."""
    checkpoint, size = anchor.checkpoint, anchor.checkpoint.size
    if size > walk.tree.size:
        here = f"{anchor} knows {size} records, {walk.tree.size} are here"
        if asked.made is not None and anchor.at is None:
            return None, f"{here}: is it from after this copy was made? say when you had it, as --anchor FILE@TIME"
        text = f"{anchor} knows {size} records, and {walk.tree.size} are here: the others were cut off"
        return Finding("RECORDS_CUT_OFF", text, size), None
    if walk.roots[size] != checkpoint.root:
        text = f"records 1 to {size} are not those that {anchor} knows: another record was shown there"
        return Finding("FORK", text, size), None
    return next(iter(_by_key(str(anchor), checkpoint, asked.pins, keys, vouched)), None), None
