"""What to do next where more is known than a trouble's code: `next_step` says the rest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntEnum

from ccdr.model.trouble import Trouble, next_step

_MEND = "docs/how-to/recover.md, A damaged repository, says how to repair it; another backup alone does not repair it"
NO_OLDER = "there is no older snapshot that may be good: "
AS_ITS_SOURCE = "what came back is equal to its source: mend that, or the checks of its restore test"
# The advice of whoever finds a backup bad; to back up again is in what stands for it where there is no older one.
_TAKE_AN_OLDER = re.compile(r"restore an older snapshot( meanwhile)?(, and back up again)?")


def where_it_can_be_done(step: str, *, backs_up: bool) -> str:
    """The same on a host that takes no backups, nor could: it has no sources, and no credentials for them."""
    if backs_up or "ccdr backup" not in step:
        return step
    first, sign, then = step.partition(NO_OLDER)
    there = "on the host that backs it up"
    return f"{first}{sign}{there}, {then}" if sign else f"{there}: {step}"


def no_older(plan: str, asset: str) -> str:
    return f"{NO_OLDER}`ccdr backup {plan} --asset {asset}` takes a new one"


def without_an_older(hint: str, plan: str, asset: str, *, damaged: bool = False) -> str:
    """The hint of whoever found a backup bad, and could not know that there is no older one. In a `damaged` repository
    another backup would stand on what is damaged: restic stores nothing that is there already."""
    instead = f"{NO_OLDER}{_MEND}" if damaged else no_older(plan, asset)
    return _TAKE_AN_OLDER.sub(lambda _: instead, hint)


# A test of the newest snapshot has met the damage: another one would, too, until it is mended.
_MEND_FIRST = (
    "docs/how-to/recover.md, A damaged repository, says how to repair it; then ccdr test {plan}{of_asset}   shows "
    "whether it is whole"
)
_WHO = "find out who removed it, and who has the right to: docs/how-to/recover.md, A snapshot that vanished"


# What ships the log says why it does not: the same command would say the same.
_SHIP_AGAIN = (
    "ccdr doctor {plan}   on its host looks for the cause; then ccdr ship {plan} --asset {asset}; if the source is "
    "gone, read "
    "docs/how-to/ship-logs.md, Restoring to a point"
)


def ship_again(plan: str, asset: str) -> str:
    return _SHIP_AGAIN.format(plan=plan, asset=asset)


def mend_first(plan: str, asset: str) -> str:
    return _MEND_FIRST.format(plan=plan, of_asset=f" --asset {asset}")


def by_a_copy(plan: str, asset: str, copies: Sequence[str]) -> str | None:
    """What leads on where the plan's own repository is away, and it has copies; else `next_step` does."""
    away = next_step(Trouble.REPOSITORY_AWAY, plan, asset)
    there = "; ".join(f"ccdr snapshots {plan} --from {name}   lists what the copy {name} holds" for name in copies)
    return f"{away}; if it is lost: {there}" if copies else None


def after_a_crash(plan: str, asset: str, left: str) -> str:
    """What leads on from RESTORE_CRASHED, where it is known what to look for."""
    what = f"remove {left}, if it is still there, and do not use it"
    return f"{what}; then ccdr restore {plan} --asset {asset} --to …   starts again"


def after_coming_apart(plan: str, asset: str, when: str) -> str:
    """What leads on from TEST_FAILED, where the recovery of `when` brought two stores back apart."""
    return (
        f'ccdr ack TEST_FAILED {plan} --asset {asset} --until 14d --why "…"   once somebody has looked at which (`ccdr '
        f"status {plan}` names the file): the recovery of {when} brought its stores back apart, and no backup mends "
        "that; docs/how-to/recover.md, Stores that came back apart"
    )


def after_a_recovery(plan: str) -> str:
    """What leads on from SOURCE_AWAY, where the plan was recovered just now: it is not dead once more."""
    return (
        f"start the new servers (`ccdr recover check {plan} --opened` says which do not answer), or write their new "
        "addresses into `connection:`"
    )


class Missing(IntEnum):
    """What of a snapshot that vanished is made up for."""

    NOTHING = 0
    STORED = 1  # there is a newer one
    SHOWN = 2  # and one has passed a test


def after_vanishing(plan: str, asset: str, made_up: Missing, *, retained: bool) -> str:
    """What leads on from SNAPSHOT_VANISHED; `retained`: by a retention, which would let it go once."""
    test = f"ccdr test {plan} --asset {asset}   shows whether the newest snapshot can be restored; {_WHO}"
    if made_up is Missing.NOTHING:
        return f"ccdr backup {plan} --asset {asset}   takes a new one; then {test}"
    if made_up is Missing.STORED:
        return test
    itself = "; this trouble ends when retention would have removed the snapshot" if retained else ""
    return f'{_WHO}; ccdr ack SNAPSHOT_VANISHED {plan} --asset {asset} --until 30d --why "…"   once you know{itself}'
