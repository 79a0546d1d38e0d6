"""A plan's copies: what its repository holds, copied to others at other sites.

`view.py` is the plan as seen from a copy, with which every other use-case works there; `copying.py` fills one,
`wanted.py` says with what, `outcome.py` is what goes into the ledger.
"""

from ccdr.jobs.copies.copying import copy
from ccdr.jobs.copies.outcome import Copying
from ccdr.jobs.copies.testing import from_copies
from ccdr.jobs.copies.view import at, from_site, jobs_from

__all__ = ["Copying", "at", "copy", "from_copies", "from_site", "jobs_from"]
