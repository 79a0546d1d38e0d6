"""What only people can say: a declaration with its files, good until a day. It never counts as shown."""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.evidence.attested import ATTESTABLE, ATTESTATION, Attestation, named_for, same_files, standing
from ccdr.evidence.controls.known import Known
from ccdr.evidence.controls.parts.shared import CONTRADICTED, EXPIRED, HOLDS, NOT_SIGNED, NOTHING, STATED
from ccdr.evidence.controls.values import Observed, Query, RecordBehind, SignatureState, StatedBy
from ccdr.evidence.history.kinds import EXAMINED
from ccdr.model.values import rfc3339


def attested(item: str) -> Query:
    """Each declaration of this item that nobody has ended."""

    def shown(known: Known) -> Iterator[Observed]:
        step = f'ccdr attest {item} --statement "…" --evidence FILE --until {ATTESTABLE[item].until}'
        there = standing(known.history(None).attested)
        mine, same = [one for one in there if one.item == item], same_files(there)
        noted = {p.about: p.acknowledged for p in known.of_people}
        for one in mine:
            records = (RecordBehind(one.seq, rfc3339(one.made), ATTESTATION),)
            by = stated_by(one, known)
            said = f"{one.name}: {by}"
            if others := same.get(one.seq):
                said += f", by a file that stands for {', '.join(others)}, too"
            if one.holds(known.now) and (refused := _refused(one, known)) is not None:
                yield Observed(CONTRADICTED, f"{said}: {refused}", records=records, step=f"{step} --key KEY")
            elif one.holds(known.now) and (lack := _lack(one, known)) is not None:
                yield Observed(NOTHING, f"{said}; {lack}", records=records, step=f"{step} --key KEY")
            elif one.holds(known.now):
                yield Observed(STATED, said, records=records, stated=by)
            else:
                noted_until = noted.get(one.name)
                yield Observed(EXPIRED, f"{said}, and no longer", None, None, records, step, noted_until, by)
        if not mine:
            yield Observed(NOTHING, f"nobody states that {ATTESTABLE[item].what}", step=step)
        elif lacking := sorted(name for name in _WANTED.get(item, _none)(known) if attests(item, known, name) is None):
            text = f"nobody states it of {', '.join(lacking)}"
            yield Observed(NOTHING, text, step=f"{step} --of {lacking[0]}")

    return shown


def _hosts(known: Known) -> set[str]:
    """On which an asset was tested last."""
    tests = (known.history(plan.name, asset.asset).last_conclusive_test for plan, asset in known.assets)
    return {str(test["host"]) for test in tests if test is not None}


def _tenants(known: Known) -> set[str]:
    """Whose data the plans hold, as they say."""
    plans = (plan.loaded.plan for plan in known.plans)
    return {plan.tenant_of(asset) for plan in plans for asset in plan.assets} - {"default"}


def _none(_: Known) -> set[str]:
    return set()


_WANTED = {"disk-encryption": _hosts, "processor-agreements": _tenants}  # of each of these, or of all by one word


def attests(item: str, known: Known, of: str) -> Attestation | None:
    """Who states this of the host, or the tenant, `of`, or of all; None where nobody does whose word counts now."""
    mine = [one for one in standing(known.history(None).attested) if one.item == item and one.scope in (None, of)]
    counts = (one for one in mine if (_lack(one, known) or _refused(one, known)) is None)
    return next((one for one in counts if one.holds(known.now)), None)


def stated_by(one: Attestation, known: Known) -> StatedBy:
    if one.key is None:
        signature = SignatureState.UNSIGNED
    else:
        signature = SignatureState.VERIFIED if HOLDS in _looks(one, known) else SignatureState.NOT_VERIFIED
    return StatedBy(one.by, one.valid_until, signature)


def _lack(one: Attestation, known: Known) -> str | None:
    """Why it does not count, in words that end a sentence: where plans name who may state it, nobody else's word
    does."""
    plans = [plan.loaded for plan in known.plans]
    if one.key is None and any(plan.plan.approval is not None for plan in plans):
        return "where plans are to be approved, whoever states it signs"
    if (named := named_for(one.item, plans)) and one.by not in named:
        return f"for that the plans name {', '.join(named)}, so it does not count"
    return None


def _refused(one: Attestation, known: Known) -> str | None:
    """That its signature was verified again since, and did not hold by anybody's signers."""
    found = _looks(one, known)
    return None if HOLDS in found else next((NOT_SIGNED[state] for state in NOT_SIGNED if state in found), None)


def _looks(one: Attestation, known: Known) -> set[str]:
    """What each plan's last look found of its signature."""
    looks = [known.history(plan.name).newest.get(EXAMINED) or {} for plan in known.plans]
    return {state for look in looks if (state := (look.get("attestations") or {}).get(str(one.seq))) is not None}
