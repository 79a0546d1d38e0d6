"""What the verbs of `ccdr runbook` print with `--json`, as types."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.cli.document_base import Doc, Map, Text, Time
from ccdr.evidence.records.runbook import RunbookRto
from ccdr.model.kinds import about

Names = list[str]
Answers = Annotated[dict[str, Names] | Names | None, about("by answer the steps it leads to, or the words alone")]


class RunbookStepDocument(Doc):
    step: str
    kind: str
    phase: Text
    title: str
    depends_on: Names
    expected_s: float | None
    phone: Text
    question: Text
    answers: Answers
    of: Annotated[Text, about("of a check: `restored` or `sources`")]


class RunbookStepStanding(RunbookStepDocument):
    state: Literal["pending", "running", "waiting", "done", "failed", "interrupted", "skipped", "not_taken"]
    since: Time | None
    seconds: float
    attempts: int
    by: Text
    answer: Text
    said: Annotated[Text, about("what a person wrote; null where it is not kept here")]
    reason: Text
    hint: Text
    facts: dict[str, str]
    left_behind: Names
    waits_for: Names


class RunbookBy(Doc):
    who: str
    host: str
    since: Time
    at_work: bool


class RunbookStanding(Doc):
    """Where a run of a runbook stands."""

    plan: str
    run: str
    state: Literal["running", "paused_by_failed_step", "waiting_for_decision", "done", "abandoned", "taken_over"]
    runbook: Annotated[Literal["plan", "made"], about("the plan states it, or it was made from the plan")]
    begun: Time
    by: RunbookBy | None
    elapsed_s: float
    machine_s: float
    waited_s: float
    jumps_s: list[float]
    predicted_s: Annotated[float | None, about("from now until all is done; null once it is over")]
    finish: Time | None
    unknown: Annotated[Names, about("steps whose time nobody has said: they count as nothing in `predicted_s`")]
    rto: RunbookRto
    running: Names
    waits_for_people: Names
    stopping: Names
    next: Names
    deviations: Annotated[Names, about("steps that were skipped, or failed and were passed over")]
    steps: list[RunbookStepStanding]
    notes: Names


class RunbookShown(Doc):
    plan: str
    runbook: Literal["plan", "made"]
    sha256: str
    predicted_s: float
    unknown: Names
    steps: list[RunbookStepDocument]


class RunbookPrinted(Doc):
    plan: str
    out: Annotated[Text, about("the file that was written; null: `html` is the page")]
    html: Text


class WouldRunRunbook(Doc):
    would_run: Map
