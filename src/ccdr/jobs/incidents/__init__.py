"""Incidents: each recovery opens one, or a person does; what is noted of it, what was filed, how it ended.

`opening.py` opens one, by hand or by a recovery, which it never delays; `statements.py` is what a person says of it
later, its weight and its end among that; `recording.py` writes it, `facts.py` finds one by its name, and has what
records tell of it, for a draft. Nothing is filed by ccdr.
"""

from ccdr.jobs.incidents.facts import Known, find, of_ledger
from ccdr.jobs.incidents.opening import Told, for_recovery, open_by_hand
from ccdr.jobs.incidents.statements import Assessment, assess, close, file, not_due, note, reopen

__all__ = [
    "Assessment",
    "Known",
    "Told",
    "assess",
    "close",
    "file",
    "find",
    "for_recovery",
    "not_due",
    "note",
    "of_ledger",
    "open_by_hand",
    "reopen",
]
