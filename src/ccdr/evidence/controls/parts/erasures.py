"""Legal compliance: are people who were erased still erased in what is restored?"""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.evidence.controls.known import Known
from ccdr.evidence.controls.parts.shared import FAILING, LACKING, LATE, PRESENT, first_of
from ccdr.evidence.controls.values import Observed, behind, by_problem
from ccdr.evidence.history.kinds import ERASURE_ADD, ERASURE_REPLAY
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.judgement.coverage import STALE
from ccdr.model.trouble import Trouble
from ccdr.model.values import so_many, to_the_second

_PROVEN, _FAILED = "PROVEN", "FAILED"


def erasures(known: Known) -> Iterator[Observed]:
    """Each asset that somebody was erased of: its newest replay of the register. A plan of which nobody was, is not
    covered: who answers for data protection says that nobody asked for it."""
    for plan in known.plans:
        of_plan = [one for status in plan.statuses for one in _of(known, plan.name, status)]
        yield from of_plan
        if not of_plan:
            text, step = "nobody is in its register of erasures", f"ccdr erasure add {plan.name}   if somebody asked"
            yield Observed(LACKING, text, plan.name, step=step)


def _of(known: Known, plan: str, status: AssetStatus) -> Iterator[Observed]:
    asset = status.asset
    newest, where = known.history(plan, asset).newest, (plan, asset)
    added, replayed = newest.get(ERASURE_ADD), newest.get(ERASURE_REPLAY)
    if returned := first_of(status.troubles, (Trouble.ERASED_RETURNED,)):
        yield by_problem(FAILING, returned, *where, added, replayed)
    elif replayed is not None and replayed["result"] == _FAILED:
        text = f"the register was replayed on {to_the_second(replayed['time'])}, and somebody may still be there"
        yield Observed(FAILING, text, *where, behind(added, replayed), f"ccdr erasure prove {plan} --asset {asset}")
    elif added is None or (added.get("withdraws") and replayed is not None and not replayed["entries"]):
        return  # nobody of it was erased, or only by mistake
    elif replayed is None:
        text = "nothing restored of it was cleared of erased people yet"
        yield Observed(LACKING, text, *where, behind(added), f"ccdr test {plan} --asset {asset}")
    elif status.coverage == STALE or (replayed.get("head") or {}).get("entries", 0) < added["head"]["entries"]:
        at = to_the_second(replayed["time"])
        text = f"the register was last replayed on {at}: before its newest entry, or too long ago"
        yield Observed(LATE, text, *where, behind(added, replayed), f"ccdr test {plan} --asset {asset}")
    elif replayed["result"] != _PROVEN:
        text = "erased people were looked for and not found; no canary shows that the probe finds anybody"
        yield Observed(LACKING, text, *where, behind(added, replayed))
    else:
        people = so_many(int(replayed["entries"]), "entry", "entries")
        text = f"{people} of the register erased again on {to_the_second(replayed['time'])}, found by a canary"
        yield Observed(PRESENT, text, *where, behind(added, replayed))
