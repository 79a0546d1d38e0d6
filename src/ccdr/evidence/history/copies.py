"""The records of a plan's copies have a history of their own: what is found at one of them says nothing of another, but
that a snapshot was captured badly, or looks as if its source had been encrypted, says it of all."""

from __future__ import annotations

from dataclasses import replace

from ccdr.evidence.approvals import APPROVED_BEFORE, PLAN_APPROVED
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import DUTIES
from ccdr.evidence.history.places import Histories
from ccdr.model.values import at_copy
from ccdr.plans.versions import PLAN_VERSION

_OF_THE_PLAN = (PLAN_VERSION, DUTIES, PLAN_APPROVED, APPROVED_BEFORE)


def seen_from(known: Histories, plan: str, copy: str) -> Histories:
    """The same where `plan` is seen from its copy: each asset as what was done there tells, the plan itself with its
    own promises, approvals, incidents and duties, and that repository's care."""
    there: Histories = {key: history for key, history in known.items() if key[0] != plan}
    place = at_copy(plan, copy)
    of_plan = [asset for name, asset in known if name == plan]
    for asset in dict.fromkeys([*of_plan, *(asset for name, asset in known if name == place)]):
        own, here = known.get((plan, asset), AssetHistory()), known.get((place, asset), AssetHistory())
        there[plan, asset] = _of_plan(own, here) if asset is None else _of_asset(own, here)
    return there


def _of_asset(own: AssetHistory, here: AssetHistory) -> AssetHistory:
    bad = {one: "FAIL" for one in own.captured_badly if one not in here.proven}
    seen = replace(here, proven={**bad, **here.proven}, begun_here=own.begun_here, checks_at_start={})
    seen = replace(seen, looked_for=own.looked_for)
    return replace(seen, suspect=own.suspect, suspected=own.suspected)  # a copy of it is no better


def _of_plan(own: AssetHistory, here: AssetHistory) -> AssetHistory:
    newest = {kind: own.newest[kind] for kind in _OF_THE_PLAN if kind in own.newest}
    whose = replace(here, duties=own.duties, others=own.others, acks=own.acks, pauses=own.pauses)
    whose = replace(whose, incidents=own.incidents, without_incident=own.without_incident)
    return replace(
        whose, newest={**newest, **here.newest}, nonces=own.nonces, glass=own.glass, glass_reviews=own.glass_reviews
    )
