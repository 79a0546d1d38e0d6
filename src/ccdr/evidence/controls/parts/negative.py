"""Security testing: is a damaged copy found?"""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.evidence.controls.known import Known
from ccdr.evidence.controls.parts.shared import (
    CONTRADICTED,
    EXPIRED,
    NOTHING,
    SHOWN,
    YEARLY,
    failed_before,
    first_of,
    taken_out,
)
from ccdr.evidence.controls.values import Observed, behind, by_problem
from ccdr.evidence.judgement.controls import kinds_of
from ccdr.model.trouble import Trouble
from ccdr.model.values import to_the_second, utc
from ccdr.plans.job import Job


def negative_controls(known: Known) -> Iterator[Observed]:
    """Each asset's newest negative control that has shown anything."""
    for plan, asset in known.assets:
        history, where = known.history(plan.name, asset.asset), (plan.name, asset.asset)
        last = history.last_control
        kind = str(((last or {}).get("damage") or {}).get("kind"))
        word = kind.replace("_", " ")
        if passed := first_of(asset.troubles, (Trouble.CONTROL_PASSED,)):
            yield by_problem(CONTRADICTED, passed, *where, *history.not_caught.values())
        elif last is None or last["result"] != "CAUGHT":
            text, step = (
                "no damaged copy was ever tested",
                "docs/how-to/negative-controls.md   tells how to schedule them",
            )
            yield Observed(NOTHING, text, *where, behind(last), step)
        elif kind not in kinds_of(Job(plan.loaded, asset.asset)):
            text, step = f"the last damaged copy was of another engine ({word})", f"ccdr test {plan.name} --asset "
            yield Observed(NOTHING, text, *where, behind(last), f"{step}{asset.asset} --negative-control")
        elif late := first_of(asset.troubles, (Trouble.CONTROL_LATE,)):
            yield by_problem(EXPIRED, late, *where, last)
        elif known.now - utc(last["time"]) > YEARLY:
            yield Observed(EXPIRED, "the last damaged copy was tested more than a year ago", *where, behind(last))
        else:
            text = f"a copy damaged on purpose ({word}) was found bad on {to_the_second(last['time'])}"
            yield Observed(SHOWN, text, *where, behind(last))
    for name, out, history in taken_out(known):
        missed = next(iter(history.not_caught.values()), None)
        yield from failed_before(known, name, out, missed, "a damaged copy of it passed its restore test")
