"""Consecutive runs that did not end well, and whether they were mended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from ccdr.telling.report.judged import Interruption
from ccdr.telling.report.runs import CRASHED, GOOD, RecordedRun, read_again


def interruptions(
    runs: Iterable[RecordedRun], mends: Callable[[RecordedRun, RecordedRun], bool] = lambda bad, good: True
) -> list[Interruption]:
    """Everything of the population that did not end well, newest last. Runs at work, and mere notes, are neither; nor
    is a restore that was refused: nothing was done, and there is nothing to mend.
    `mends`: does a good run take back a bad one, as far as its checks go?"""
    open_: dict[tuple[str | None, str | None, str], list[RecordedRun]] = {}
    unchecked: dict[tuple[str | None, str | None, str], RecordedRun] = {}
    ended: list[Interruption] = []
    for run in runs:
        key = (run.plan, run.asset, run.verb)
        if run.outcome in GOOD:
            if key not in open_:
                continue
            bad = open_.pop(key)
            weaker = {id(one) for one in bad if not mends(one, run)}
            if weaker:
                unchecked[key] = run
            if still := [
                one for one in bad if id(one) in weaker or (one.outcome == "DAMAGED" and not read_again(one, run))
            ]:
                open_[key] = still
            if mended := [one for one in bad if one not in still]:
                ended.append(_interruption(mended, run))
        elif run.outcome not in ("RUNNING", "NOTED", "REFUSED"):
            open_.setdefault(key, []).append(run)
    for key, bad in open_.items():  # what failed after the last good run was not passed by it
        passed = unchecked.get(key)
        old = [one for one in bad if passed is not None and one.seq < passed.seq]
        ended += [replace(_interruption(old, None), unchecked=passed)] if old else []
        ended += [_interruption(rest, None)] if (rest := bad[len(old) :]) else []
    return sorted(ended, key=lambda i: i.runs[-1].seq)


def _interruption(bad: list[RecordedRun], mended: RecordedRun | None) -> Interruption:
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for run in bad:
        outcomes[run.outcome] += run.count
        reasons[run.reason or ("it has no end" if run.outcome == CRASHED else "no reason given")] += run.count
    return Interruption(bad[0].plan, bad[0].asset, bad[0].verb, tuple(bad), mended, outcomes, reasons)
