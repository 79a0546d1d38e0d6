"""Two stores compared after restore: rows that name files, and the files.

`check.py` is the check; `stores.py` says what either store holds, `rows.py` reads what was exported, `paths.py` says
which file a row means, `instants.py` what may be under way, `match.py` brings them together.
"""

from ccdr.checks.reconcile.check import Reconcile

__all__ = ["Reconcile"]
