"""Records of what people say of deviations: who answers for one, its cause, what is done, what risk is accepted."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ccdr.evidence.records.approvals import Nonce, SignedBy
from ccdr.evidence.records.values import Digest, Record, RecordedUser, Tenant, Time, Word, about

DeviationId = Annotated[
    str,
    Meta(
        min_length=8,
        max_length=8,
        extra_json_schema={
            "pattern": "^[0-9a-f]{8}$",
            "examples": ["3f9a2c1b"],
            "description": "the deviation's id: `ccdr deviation show` tells of it",
        },
    ),
]
OfCode = Annotated[Word, about("what the deviation is of: TEST_FAILED, or what a plan promises no more")]
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

    kind: Literal["deviation.assigned"]
    version: Literal[4]
    deviation: DeviationId
    code: OfCode
    owner: Owner
    due: Annotated[Time | None, about("null: as the plan says")] = None
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class DeviationNoted(Record, frozen=True, kw_only=True, gc=False):
    """Somebody wrote why a deviation came to be (`cause`), what is done about it (`action`), or a `note`."""

    kind: Literal["deviation.noted"]
    version: Literal[4]
    deviation: DeviationId
    code: OfCode
    what: Literal["cause", "action", "note"]
    words_sha256: Annotated[Digest, about("of a salt, a newline and the words, kept apart")]
    tenant: Tenant = "default"
    who: RecordedUser | None = None


class DeviationAccepted(Record, frozen=True, kw_only=True, gc=False):
    """Somebody who may approve accepts the risk of a deviation until a day: they signed the text that these values make
    with the plan's name. It mends nothing, and ends by itself."""

    kind: Literal["deviation.accepted"]
    version: Literal[4]
    deviation: DeviationId
    code: OfCode
    about_asset: Annotated[str | None, about("the asset of the deviation; null: it is about none alone")] = None
    until: Time
    reason_sha256: Annotated[Digest, about("of a salt, a newline and the words, kept apart: why it can stay so")]
    made: Annotated[Time, about("when the text was written that was signed")]
    nonce: Nonce
    by: SignedBy
    tenant: Tenant = "default"
    who: RecordedUser | None = None
