"""People who were erased at the source, erased again from whatever is restored: GDPR 17 against backups that nobody may
change.

`register.py` is the register of a plan, which lies in its repository, how far it went by all that says so elsewhere,
and what is shown of it; `entries.py` is whom somebody adds, and who answers for that; `replay.py` replays the register
on what was restored, and says whether that may be handed over (`before_hand_over.py` for a restore, `by_hand.py` where
it was restored already); `horizon.py` tells the day from which no copy holds them.
"""

from ccdr.jobs.erasure.register import ERASURES, Register, stored_register, vouched_for
from ccdr.jobs.erasure.replay import Outcome, Replaying

__all__ = ["ERASURES", "Outcome", "Register", "Replaying", "stored_register", "vouched_for"]
