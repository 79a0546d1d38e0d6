"""A plan's versions in its own repository: stored whenever they change, and had again from there.

`storing.py` stores them, `stored_versions.py` lists and reads them (whoever holds the password may have planted one),
`bootstrapping.py` writes them into an empty directory, `made.py` makes a plan where none was stored, `needed.py` says
which secrets are still needed.
"""

from ccdr.jobs.plan_in_repository.stored_versions import PLAN
from ccdr.jobs.plan_in_repository.storing import store, store_pending

__all__ = ["PLAN", "store", "store_pending"]
