"""What a plan promises no more is a deviation until a version promises it again: by `plans/loosened.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ccdr.evidence.deviations.spans import Kept, Record, opened, settled
from ccdr.evidence.deviations.values import Span
from ccdr.model.values import number_of
from ccdr.plans.facts import PlanFacts, facts_from
from ccdr.plans.loosened import Code, Loosening, loosened

_GONE = frozenset((Code.PLAN_GONE, Code.ASSET_GONE))
_OF_CHECKS = frozenset((Code.CHECK_GONE, Code.CHECK_REPLACED, Code.CHECK_WEAKER))


def take_version(place: Kept, before: Record, record: Record, rules: Mapping[str, Any]) -> None:
    """A version took the place of the one before."""
    was, now = facts_from(before["facts"]), facts_from(record["facts"])
    found = loosened(was, now)
    _open(place, found, before, record, rules)
    _settle(place, now, record, rules, {(_code(one), one.asset, _what(one)) for one in found})
    used = {str(seq) for span in place.spans for seq in span["pending"].values() if isinstance(seq, int)}
    place.promised = {seq: facts for seq, facts in place.promised.items() if seq in used}


def _open(place: Kept, found: Iterable[Loosening], before: Record, record: Record, rules: Mapping[str, Any]) -> None:
    number = number_of(before)
    for one in found:
        place.promised.setdefault(str(number), before["facts"])
        opened(place, one.code.value, record, rules, what=_what(one), detail=number, asset=one.asset)


def _settle(
    place: Kept, now: PlanFacts, record: Record, rules: Mapping[str, Any], new: set[tuple[str, str | None, str]]
) -> None:
    """What this version promises again, by what stood before it was loosened. Of an asset that is back with less than
    it had, what lacks is open from here on."""
    lacking = {seq: loosened(facts_from(facts), now) for seq, facts in place.promised.items()}
    for span in [one for one in place.spans if one["code"] in Code.__members__]:
        for what, seq in list(span["pending"].items()):
            still = lacking.get(str(seq), [])
            if (span["code"], span["asset"], what) in new or any(_same(span, what, one) for one in still):
                continue
            if span["code"] in _GONE:
                gone = {"seq": seq, "facts": place.promised.get(str(seq))}
                left = [one for one in still if span["asset"] in (None, one.asset)]
                _open(place, left, gone, record, rules)
            settled(place, span["code"], record, what, asset=span["asset"])


def _same(span: Span, what: str, one: Loosening) -> bool:
    """Is it the same that lacks? A check that is gone may by now be replaced, and is no more checked for that."""
    if one.code in _GONE and span["code"] not in _GONE:
        return one.asset in (None, span["asset"])  # with all that it had
    code = _code(one) == span["code"] or (span["code"] in _OF_CHECKS and one.code in _OF_CHECKS)
    fits = _what(one) == what or (one.fingerprint is not None and one.fingerprint in what)
    return code and one.asset == span["asset"] and fits


def _code(one: Loosening) -> str:
    return one.code.value


def _what(one: Loosening) -> str:
    return " ".join(part for part in (one.item, one.fingerprint) if part)
