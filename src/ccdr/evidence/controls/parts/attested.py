"""What only people can say: a declaration with its files, good until a day. It never counts as shown."""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.evidence.attested import ATTESTABLE, ATTESTATION, Attestation, named_for, same_files, standing
from ccdr.evidence.controls.known import Known
from ccdr.evidence.controls.parts.shared import CONTRADICTED, EXPIRED, NOTHING, STATED
from ccdr.evidence.controls.values import Observed, Query, RecordBehind, SignatureState, StatedBy, behind
from ccdr.evidence.judgement.statements import refusal
from ccdr.evidence.whose import UNREADABLE
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
            by = stated_by(one)
            said = f"{one.name}: {by}"
            if others := same.get(one.seq):
                said += f", by a file that stands for {', '.join(others)}, too"
            if one.holds(known.now) and _unread(one, known):
                yield Observed(CONTRADICTED, f"{said}: {one.whose.why}", records=records)
            elif one.holds(known.now) and (lack := _lack(one, known)) is not None:
                yield Observed(NOTHING, f"{said}; {lack}", records=records, step=f"{step} --key KEY")
            elif one.holds(known.now):
                yield Observed(STATED, said, records=records, stated=by)
            else:
                noted_until = noted.get(one.name)
                yield Observed(EXPIRED, f"{said}, and no longer", None, None, records, step, noted_until, by)
        strange = [one for one in known.history(None).refused if one["about"]["item"] == item]
        for record in strange:
            text = f"{Attestation.of(record).name}: {refusal(record)}"
            yield Observed(CONTRADICTED, text, records=behind(record), step=f"{step} --key KEY")
        if not mine and not strange:
            yield Observed(NOTHING, f"nobody states that {ATTESTABLE[item].what}", step=step)
        wanted = _WANTED.get(item, _none)(known) if mine else ()
        if lacking := sorted(name for name in wanted if attests(item, known, name) is None):
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
    counts = (one for one in mine if _lack(one, known) is None and not _unread(one, known))
    return next((one for one in counts if one.holds(known.now)), None)


def stated_by(one: Attestation) -> StatedBy:
    return StatedBy(one.by, one.valid_until, SignatureState.of(one.whose))


def _lack(one: Attestation, known: Known) -> str | None:
    """Why it does not count, in words that end a sentence: where plans name who may state it, nobody else's word
    does."""
    if not one.whose.signed and _to_be_approved(known):
        return "where plans are to be approved, whoever states it signs"
    if (named := named_for(one.item, [plan.loaded for plan in known.plans])) and one.by not in named:
        return f"for that the plans name {', '.join(named)}, so it does not count"
    return None


def _unread(one: Attestation, known: Known) -> bool:
    """Where plans name who may sign, what nobody can verify shows nothing."""
    return one.whose.state == UNREADABLE and _to_be_approved(known)


def _to_be_approved(known: Known) -> bool:
    return any(plan.loaded.plan.approval is not None for plan in known.plans)
