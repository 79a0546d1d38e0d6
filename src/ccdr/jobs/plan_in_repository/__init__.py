"""A plan's versions in its own repository: stored whenever they change, and had again from there.

`stored_versions.py` stores, lists and reads them (whoever holds the password may have planted one); `bootstrap.py`
writes them into an empty directory, makes a plan where none was stored, and says which secrets are still needed.
"""

from ccdr.jobs.plan_in_repository.stored_versions import PLAN, store, store_pending

__all__ = ["PLAN", "store", "store_pending"]
