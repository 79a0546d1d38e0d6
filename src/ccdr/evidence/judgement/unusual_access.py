"""Access to a plan's data that is not usual, until somebody has looked at it. By records alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ccdr.evidence.history.accesses import HOST, KEY, RECOVERY, USER, WRITER, about
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.pauses import windows, within
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import to_the_second, utc

_SAID = {
    HOST: ("the host {name} did something for this plan for the first time", "new host {name}"),
    USER: ("{name} did something for this plan for the first time", "new user {name}"),
    KEY: ("a key that was not there before opens a repository of it: {name}", "new key {name}"),
    WRITER: ("another host, of the ledger {name}, stored a snapshot of this plan for the first time", "new writer"),
    RECOVERY: ("its data was brought back (run {name}) outside of a pause or an incident", "recovery {name}"),
}


def unusual_of(history: AssetHistory) -> Iterator[Problem]:
    """`history` is the plan's."""
    for one in history.unusual:
        what, name, time, number = one
        if what == RECOVERY and expected(history, utc(time)):
            continue
        text, why = (said.format(name=name[:16] if what in (KEY, WRITER) else name) for said in _SAID[what])
        text = f"{text}, at {to_the_second(time)} (record {number})"
        yield Problem(Trouble.ACCESS_UNUSUAL, text, utc(time), about=about(one), why=why)


def expected(history: AssetHistory, at: datetime) -> bool:
    """Did people say that they were at work on the plan then? What else says so (an incident that is open) joins
    here."""
    return within(at, windows(history.pauses))
