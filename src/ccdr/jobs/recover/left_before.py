"""A recovery of this plan that nobody has brought to an end: what a new one would leave of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ccdr.host.state import RESTORE_MARK, State
from ccdr.jobs.recover.journal import Told, newest
from ccdr.jobs.recover.planned import Decision
from ccdr.model.errors import CcdrError
from ccdr.model.values import to_the_second


def left_before(state: State, plan: str) -> list[str]:
    """A sentence; none where the newest was finished, or is at work: then a new one is refused."""
    try:
        told = newest(state, plan)
        if told is None or not told.unfinished or state.at_work(told.run):
            return []
        there = ", ".join(map(str, _there(told)))
    except CcdrError:  # one that cannot be read cannot be gone on with
        return []
    left = f"; a new one leaves {there} of it behind" if there else "; a new one begins all of it anew"
    return [
        f"a recovery of {to_the_second(told.began)} is unfinished: `ccdr recover --resume {plan}` goes on with it{left}"
    ]


def _there(told: Told) -> Iterator[Path]:
    """Working copies that stand there."""
    for planned in Decision.read(told.decided).assets:
        run, to = told.assets[planned.asset].run, planned.where.directory
        to = planned.where.new_server.directory if planned.where.new_server is not None else to
        if run is None or to is None:
            continue
        mark = f"{RESTORE_MARK}-{run}"
        yield from (path for path in (to.parent / f".{to.name}.{mark}", to / f".{mark}") if path.is_dir())
