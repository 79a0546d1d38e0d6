"""Legal compliance: are people who were erased still erased in what is restored?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from ccdr.evidence.controls.known import Known, PlanKnown
from ccdr.evidence.controls.parts.shared import CONTRADICTED, EXPIRED, NOTHING, SHOWN, STATED, first_of
from ccdr.evidence.controls.values import Observed, SignatureState, StatedBy, behind, by_problem
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import ERASURE_ADD, ERASURE_NOBODY, ERASURE_REPLAY
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.judgement.coverage import STALE
from ccdr.evidence.verdicts import Record
from ccdr.model.erasure import Looked
from ccdr.model.trouble import Trouble
from ccdr.model.values import so_many, to_the_second
from ccdr.plans.one_server import sharing

_FAILED = "FAILED"
_AT_THE_SOURCE = "erase them there; ccdr backup {plan} --asset {asset}; ccdr erasure prove {plan} --asset {asset}"
_ANSWER = "ccdr erasure list {plan}   shows which; look in the source, then mend or answer for it: docs/how-to/erase.md"


def erasures(known: Known) -> Iterator[Observed]:
    """Each asset that somebody was erased of: its newest replay of the register. A plan of which nobody was, is not
    covered: who answers for data protection says that nobody asked for it."""
    for plan in known.plans:
        of_plan = [one for status in plan.statuses for one in _of(known, plan.name, status)]
        yield from of_plan
        yield from _in_another(plan, {str(one.asset) for one in of_plan})
        if not of_plan:
            text, step = "nobody is in its register of erasures", f"ccdr erasure add {plan.name}   if somebody asked"
            yield Observed(NOTHING, text, plan.name, step=step)


def _in_another(plan: PlanKnown, of: Collection[str]) -> Iterator[Observed]:
    """Assets whose register has nobody, though there is somebody in that of another one of the same server."""
    for asset in (status.asset for status in plan.statuses if status.asset not in of):
        if same := sharing(plan.loaded.plan.assets, asset, of):
            text = f"people were erased of {', '.join(same)}, of the same server, and nobody of this one"
            step = f"ccdr erasure add {plan.name}   for each of them: one entry is one person in one asset"
            yield Observed(NOTHING, text, plan.name, asset, (), step)


def _of(known: Known, plan: str, status: AssetStatus) -> Iterator[Observed]:
    asset = status.asset
    history, where = known.history(plan, asset), (plan, asset)
    newest = history.newest
    added, replayed = newest.get(ERASURE_ADD), newest.get(ERASURE_REPLAY)
    if returned := first_of(status.troubles, (Trouble.ERASED_RETURNED,)):
        yield by_problem(CONTRADICTED, returned, *where, added, replayed)
    elif _nobody(history, added, replayed):
        return  # nobody of it was erased, or only by mistake
    elif (failed := history.replay_failed) is not None:
        text = f"the register was replayed on {to_the_second(failed['time'])}, and somebody may still be there"
        yield Observed(CONTRADICTED, text, *where, behind(added, failed), f"ccdr erasure prove {plan} --asset {asset}")
    elif late := [one for one in history.looked_for if history.looked(one).still]:
        text = f"{_listed(late)} was in a snapshot taken after the person was erased: the source may hold them still"
        yield Observed(
            CONTRADICTED, text, *where, behind(added, replayed), _AT_THE_SOURCE.format(plan=plan, asset=asset)
        )
    elif replayed is None:
        text = "nothing restored of it was cleared of erased people yet"
        yield Observed(NOTHING, text, *where, behind(added), f"ccdr test {plan} --asset {asset}")
    elif status.coverage == STALE or _far(replayed) < _far(added):
        at = to_the_second(replayed["time"])
        text = f"the register was last replayed on {at}: before its newest entry, or too long ago"
        yield Observed(EXPIRED, text, *where, behind(added, replayed), f"ccdr test {plan} --asset {asset}")
    elif unshown := _unshown(history, replayed):
        yield Observed(NOTHING, _nobody_found(unshown), *where, behind(added, replayed), _look(plan, unshown[0].id))
    elif not replayed["canaries"]:
        text = "erased people were looked for and not found; no canary shows that the probe finds anybody"
        yield Observed(NOTHING, text, *where, behind(added, replayed))
    elif never := _never_there(history, replayed):
        text = (
            f"{so_many(never, 'entry', 'entries')} of its register found nobody, and no snapshot is from before the "
            "erasure: nothing shows that key and date are right"
        )
        yield Observed(NOTHING, text, *where, behind(added, replayed), _ANSWER.format(plan=plan))
    else:
        text, stated = _erased(history, replayed), newest.get(ERASURE_NOBODY)
        by = StatedBy(str(stated["actor"]), None, SignatureState.UNSIGNED) if stated and _stated(history) else None
        yield Observed(STATED if by else SHOWN, text, *where, behind(added, replayed, stated), stated=by)


def _nobody(history: AssetHistory, added: Record | None, replayed: Record | None) -> bool:
    """Does no entry stand, as far as is known here? Once none does, nothing is replayed, and no replay is recorded; of
    what another host has added a replay tells."""
    if replayed is not None and _since(added, replayed):
        return not replayed["entries"] and replayed["result"] != _FAILED
    return added is None or (added.get("withdraws") is not None and not history.looked_for)


def _since(added: Record | None, replayed: Record) -> bool:
    """Is the replay of a register that has this entry? One that could not be trusted tells no head."""
    if added is None or not replayed.get("head"):
        return added is None or bool(replayed["seq"] > added["seq"])
    return _far(replayed) >= _far(added)


def _far(record: Record | None) -> int:
    """How many entries the register had then."""
    return int(((record or {}).get("head") or {}).get("entries", 0))


@dataclass(frozen=True)
class _Unshown:
    id: str
    looked: Looked


def _unshown(history: AssetHistory, replayed: Record) -> list[_Unshown]:
    """Entries that nothing shows to find anybody: of the newest replay, without those that were found, answered for or
    withdrawn since."""
    standing = [one for one in replayed.get("not_shown") or () if one in history.looked_for]
    each = [_Unshown(one, history.looked(one)) for one in standing]
    return [one for one in each if not one.looked.found and not one.looked.stated]


def _nobody_found(unshown: Sequence[_Unshown]) -> str:
    never = [one.id for one in unshown if one.looked.missing]
    later = [one.id for one in unshown if not one.looked.missing]
    told = []
    if never:
        told.append(f"{_listed(never)} found nobody in snapshots from before the erasure: is its key mistyped?")
    if later:
        told.append(f"{_listed(later)} was not looked for in a snapshot from before the erasure")
    return "; ".join(told)


def _look(plan: str, entry: str) -> str:
    return f"ccdr erasure prove {plan} --entry {entry}   then mend or answer for it: docs/how-to/erase.md"


def _stated(history: AssetHistory) -> list[str]:
    each = {one: history.looked(one) for one in history.looked_for}
    return [one for one, looked in each.items() if looked.stated and not looked.found]


def _never_there(history: AssetHistory, replayed: Record) -> int:
    """Entries of which no replay found anybody, and nobody answers for that."""
    found = sum(history.looked(one).found > 0 for one in history.looked_for)
    return max(0, int(replayed["entries"]) - found - len(_stated(history)))


def _erased(history: AssetHistory, replayed: Record) -> str:
    """What the newest replay, and those before it, show of all entries. A canary is nobody."""
    entries, canaries = int(replayed["entries"]), int(replayed["canaries"])
    stated = _stated(history)
    found = max(0, entries - canaries - len(stated))
    text = f"{so_many(entries, 'entry', 'entries')} of the register replayed on {to_the_second(replayed['time'])}: "
    text += f"{so_many(canaries, 'canary was', 'canaries were')} found, and nobody after; "
    text += f"{so_many(found, 'person', 'people')} found in a snapshot before"
    return f"{text}, {_listed(stated)} with nobody to be found, as a person states" if stated else text


def _listed(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:5])
    return shown if len(ids) <= 5 else f"{shown} and {len(ids) - 5} more"
