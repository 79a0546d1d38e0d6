"""Object Lock of what is in use is pushed forward (`extending.py`); what was done is remembered (`remembered.py`)."""

from ccdr.jobs.object_locks.extending import DONE, LockExtension, extend, extend_daily, may_extend

__all__ = ["DONE", "LockExtension", "extend", "extend_daily", "may_extend"]
