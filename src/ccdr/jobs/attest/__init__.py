"""The repository holds the record: snapshots attest the ledger that tells of them, and the ledger is stored with them.

`comparison.py` compares the two, `storing.py` stores the ledger, `recovering.py` brings a lost one back,
`other_ledgers.py` takes in other hosts', `standing.py` says what is wrong.
"""

from ccdr.jobs.attest.comparison import (
    RECENT,
    LedgerComparison,
    attestation,
    compare,
    compare_due,
    compared,
    here,
    learned,
    listed_and_vanished,
    listed_of,
    record,
)
from ccdr.jobs.attest.standing import by_what_is_known, news, troubles
from ccdr.jobs.attest.storing import LedgerCopy, homes, places, prune_stored, store_due

__all__ = [
    "RECENT",
    "LedgerComparison",
    "LedgerCopy",
    "attestation",
    "by_what_is_known",
    "compare",
    "compare_due",
    "compared",
    "here",
    "homes",
    "learned",
    "listed_and_vanished",
    "listed_of",
    "news",
    "places",
    "prune_stored",
    "record",
    "store_due",
    "troubles",
]
