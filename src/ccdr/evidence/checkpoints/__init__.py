"""Signed checkpoints of a ledger: what somebody else can keep of it, so that a later change shows (C2SP
tlog-checkpoint). The tree over its lines (`merkle.py`), signed notes (`notes.py`), checkpoints (`checkpoint.py`), the
keys that sign them (`keys.py`), and one record's proof (`proof.py`). Values and arithmetic; jobs/checkpoints does."""
