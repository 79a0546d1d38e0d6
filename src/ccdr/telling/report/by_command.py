"""Whose hand began the restore tests of a period that no schedule began, as far as records tell."""

from __future__ import annotations

import contextlib
import pwd
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from ccdr.evidence.sign_offs import ROOT, UNREADABLE, names_somebody
from ccdr.host.who import TERMINAL
from ccdr.telling.report.runs import CONTROL, NO_RUN, TEST, RecordedRun, who_began

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@$\\ -]{0,79}")


def tests_by_command(runs: Iterable[RecordedRun], host: str) -> tuple[int, dict[str, int]]:
    """How many there were, and of each account, by its name: as whom ccdr ran, who had logged in, who sudo says it was.
    `host` is this one, whose login uids have names here. What root began for itself counts as root's: by whom is not
    known."""
    count, of = 0, Counter[str]()
    for run in runs:
        if run.verb in (TEST, CONTROL) and _by_hand(run) and run.outcome not in NO_RUN:
            count += 1
            of.update(_accounts(run, host))
    return count, dict(sorted(of.items()))


def _by_hand(run: RecordedRun) -> bool:
    """Not by `ccdr run`, or by one that somebody typed."""
    return run.by != "run" or who_began(run.who)[3] == TERMINAL


def _accounts(run: RecordedRun, host: str) -> set[str]:
    names = sorted(name if _NAME.fullmatch(name) else UNREADABLE for name in _names(run, host))
    return {name for name in names if names_somebody(name)} or {next((name for name in names if name != ROOT), ROOT)}


def _names(run: RecordedRun, host: str) -> Iterator[str]:
    yield from run.actor.split(" as ")  # `alice as root`
    uid, login, _, _, claimed = who_began(run.who)
    if claimed:
        yield claimed
    for number in (one for one in (uid, login) if one):
        name = f"uid {number}"
        if run.host == host and run.ledger is None:
            with contextlib.suppress(KeyError, OverflowError):
                name = pwd.getpwuid(number).pw_name
        yield name
