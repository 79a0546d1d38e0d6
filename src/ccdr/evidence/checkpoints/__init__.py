"""Signed checkpoints of a ledger: what somebody else can keep of it, so that a later change shows (C2SP
tlog-checkpoint). The tree over its lines (`merkle.py`), signed notes (`notes.py`), checkpoints (`checkpoint.py`), the
keys that sign them (`keys.py`), anchors, their receipts and tokens (`anchors.py`, `receipts.py`, `timestamps.py`,
`published.py`), and one record's proof (`proof.py`). `verifying.py` holds a ledger to them in one walk (`walk.py`);
`found.py` is what comes of it. Values and arithmetic; jobs/checkpoints does."""
