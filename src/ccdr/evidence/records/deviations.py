"""Records of what people say of deviations: who answers for one, its cause, what is done, what risk is accepted."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ccdr.evidence.records.statements import DeviationId, OfCode
from ccdr.evidence.records.values import Digest, Record, RecordedUser, Tenant, Time, about

Owner = Annotated[
    str,
    Meta(
        max_length=128,
        extra_json_schema={
            "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.+@-]{0,127}$",
            "examples": ["dba@callcentre.example"],
            "description": "who answers for it: a name or an address of work",
        },
    ),
]


class DeviationAssigned(Record, frozen=True, kw_only=True, gc=False):
    """Somebody answers for a deviation from now on; where `due` says so, it is to be over by then."""

    kind: Literal["deviation.assigned"] = "deviation.assigned"
    version: Literal[4] = 4
    deviation: DeviationId
    code: OfCode
    owner: Owner
    due: Annotated[Time | None, about("null: as the plan says")] = None
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class DeviationNoted(Record, frozen=True, kw_only=True, gc=False):
    """Somebody wrote why a deviation came to be (`cause`), what is done about it (`action`), or a `note`."""

    kind: Literal["deviation.noted"] = "deviation.noted"
    version: Literal[4] = 4
    deviation: DeviationId
    code: OfCode
    what: Literal["cause", "action", "note"]
    words_sha256: Annotated[Digest, about("of a salt, a newline and the words, kept apart")]
    tenant: Tenant = "default"
    who: RecordedUser | None = None
