"""Brings a whole plan back to one moment, each asset onto its target, in order; goes on after whatever stopped it.

`states.py` is what is known and decided before anything is done: for each asset the state that is nearest to the moment
(`choice.py`), how it was proven, what is lost, how long it should take (`prediction.py`); `outlook.py` gathers all of
it. `planned.py` is that decision as the journal keeps it. `work.py` is the use-case, of one `session.py`;
`first_look.py` looks at every target before anything is done, and knows what an earlier process had brought.
`asking.py` asks the repositories, once for all assets. `turn.py` is what may be done next, and does it, with the checks
between two assets. `journal.py` is what was reached, by which another process goes on; `result.py` is what came of it.
"""

from ccdr.jobs.recover.asking import reading_on
from ccdr.jobs.recover.journal import Told, newest
from ccdr.jobs.recover.planned import Decision, Planned
from ccdr.jobs.recover.result import RecoveryResult
from ccdr.jobs.recover.session import Known, View
from ccdr.jobs.recover.work import Recovering, recovering, resuming

__all__ = [
    "Decision",
    "Known",
    "Planned",
    "Recovering",
    "RecoveryResult",
    "Told",
    "View",
    "newest",
    "reading_on",
    "recovering",
    "resuming",
]
