"""Signed checkpoints of a ledger: what somebody else can keep of it, so that a later change shows (C2SP
tlog-checkpoint). Checkpoints, the tree over a ledger's lines and signed notes (`checkpoint.py`), the keys that sign
them (`keys.py`), receipts and tokens of anchors (`receipts.py`, `timestamps.py`, `published.py`), and one record's
proof (`proof.py`). `verification.py` holds a ledger to them in one walk. Values and arithmetic; jobs/checkpoints does.
"""
