"""Telling the right person once: what is wrong, what is over, and that all went well.

concerns.py   what there is to tell of a plan
state.py      who was told what: STATE/told.json, and what is news to whom by it
message.py    the words
targets.py    the addresses, and how a message gets there in bounded time
telling.py    a run's end: what is news goes out, what got there is stamped
"""

from ccdr.telling.notify.concerns import (
    Concern,
    Key,
    RunAttempt,
    changed_duties,
    concerns_of,
    ledger_broken,
    missed,
    plan_wrong,
    summary_wrong,
)
from ccdr.telling.notify.message import summary
from ccdr.telling.notify.telling import SentMessage, Telling, after_run, send_test, untold, would_tell, would_test

__all__ = [
    "Concern",
    "Key",
    "RunAttempt",
    "SentMessage",
    "Telling",
    "after_run",
    "changed_duties",
    "concerns_of",
    "ledger_broken",
    "missed",
    "plan_wrong",
    "send_test",
    "summary",
    "summary_wrong",
    "untold",
    "would_tell",
    "would_test",
]
