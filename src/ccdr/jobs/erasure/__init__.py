"""People who were erased at the source, erased again from whatever is restored: GDPR 17 against backups that nobody
may change.

`register.py` is the register of a plan, which lies in its repository; `anchors.py` tells how far it went, by all that
says so elsewhere; `selectors.py` reads whom somebody adds, `adding.py` adds them; `replaying.py` replays the register
on what was restored, and says whether that may be handed over: `before_hand_over.py` for a restore, `in_test.py` for a
restore test; `horizon.py` tells the day from which no copy holds them.
"""

from ccdr.jobs.erasure.anchors import vouched_for
from ccdr.jobs.erasure.register import ERASURES, Register, stored_register
from ccdr.jobs.erasure.replaying import Outcome, Replaying

__all__ = ["ERASURES", "Outcome", "Register", "Replaying", "stored_register", "vouched_for"]
