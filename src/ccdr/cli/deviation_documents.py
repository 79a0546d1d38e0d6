"""What `ccdr deviation` prints with `--json`, as types."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.cli.document_base import Doc, Text, Time
from ccdr.model.kinds import about
from ccdr.model.trouble import Severity


class DeviationRecord(Doc):
    """A record of the ledger, by its number."""

    record: int
    at: Time


class AcceptedRisk(Doc):
    """That somebody accepted the risk; it holds until then."""

    by: Annotated[str, about("as its record claims")]
    signature: Annotated[
        Literal["holds", "not_verified"], about("holds: it is by who may approve; not_verified: nobody looked, here")
    ]
    at: Time
    until: Time
    record: int
    reason_sha256: str


class SaidOfDeviation(Doc):
    """What a person said; `text` is null where there are no words, or they were taken back."""

    at: Time
    record: int
    by: str
    what: Annotated[str, about("assigned, cause, action, note or accepted")]
    text: Text


class DeviationDocument(Doc):
    """What went wrong at one place, for as long as it did."""

    deviation: Annotated[str, about("its id, the same whenever it is asked for")]
    plan: Annotated[Text, about("null: it is the ledger's own")]
    asset: Text
    copy: Annotated[Text, about("which of the plan's copies; null: its own repository")]
    code: str
    severity: Severity
    state: Literal["open", "accepted", "closed"]
    overdue: bool
    opened_at: Time
    opened_by_record: Annotated[int | None, about("null: it stands now, and no record tells of it yet")]
    ledger: Annotated[Text, about("whose record that is, where it is not this host's ledger")]
    since: Annotated[Time, about("when it began")]
    last: Annotated[Time, about("when it was last seen")]
    until: Annotated[Time | None, about("when it ended; null: it lasts")]
    times: Annotated[int, about("how often it was seen; of what was missed, how many due times")]
    owner: Text
    due: Time
    due_by_rule: Annotated[Time, about("as the plan that was in force says; another day may have been assigned")]
    retest: Annotated[DeviationRecord | None, about("what ended it")]
    no_longer_checked: Annotated[
        DeviationRecord | None, about("what is good by fewer or weaker checks since, and ended nothing")
    ]
    accepted: Annotated[AcceptedRisk | None, about("the acceptance that is in force")]
    acceptances: Annotated[list[int], about("every one that was recorded, by its record")]
    acceptances_refused: Annotated[list[int], about("those whose signature does not hold")]
    cause: Text
    action: Annotated[Text, about("the corrective action")]
    said: list[SaidOfDeviation]


class DeviationsDocument(Doc):
    period: Annotated[dict[str, str] | None, about("`from` and `to`; null: as they stand now")]
    deviations: list[DeviationDocument]
