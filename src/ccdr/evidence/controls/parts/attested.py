"""What only people can say: a statement with its evidence, good until a day."""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.evidence.attested import ATTESTABLE, ATTESTATION, standing
from ccdr.evidence.controls.known import Known
from ccdr.evidence.controls.parts.shared import LACKING, LATE, PRESENT
from ccdr.evidence.controls.values import Observed, Query, RecordBehind
from ccdr.model.values import rfc3339


def attested(item: str) -> Query:
    """Each attestation of this item that nobody has ended."""

    def shown(known: Known) -> Iterator[Observed]:
        step = f'ccdr attest {item} --statement "…" --evidence FILE --until {ATTESTABLE[item].until}'
        mine = [one for one in standing(known.history(None).attested) if one.item == item]
        noted = {p.about: p.acknowledged for p in known.of_people}
        for one in mine:
            records = (RecordBehind(one.seq, rfc3339(one.made), ATTESTATION),)
            signed = "" if one.key else ", and not signed"
            said = f"{one.name}: attested by {one.by}{signed}"
            if one.holds(known.now):
                yield Observed(PRESENT, f"{said}, until {one.valid_until:%Y-%m-%d}", records=records)
            else:
                text = f"{said}, until {one.valid_until:%Y-%m-%d} and no longer"
                yield Observed(LATE, text, records=records, step=step, acknowledged=noted.get(one.name))
        if not mine:
            yield Observed(LACKING, f"nobody attests that {ATTESTABLE[item].what}", step=step)

    return shown
