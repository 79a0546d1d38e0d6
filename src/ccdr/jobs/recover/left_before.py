"""A recovery of this plan that nobody has brought to an end: what a new one would leave of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ccdr.host.state import State
from ccdr.jobs.recover.journal import Told, newest
from ccdr.jobs.recover.planned import Decision
from ccdr.jobs.restore.directory import root_for
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
    """Working copies that stand there: a restore's bears its own run, a new server's that of the recovery."""
    for planned in Decision.read(told).assets:
        run, to = told.assets[planned.asset].run, planned.place
        if run is None or to is None:
            continue
        bears = told.run if planned.where.new_server is not None else run
        yield from (root for inside in (False, True) if (root := root_for(to, bears, inside=inside)).is_dir())
