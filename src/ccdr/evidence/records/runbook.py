"""Records of a runbook that was carried out: its start, each step, its end."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ccdr.evidence.records.values import (
    End,
    ObjectiveVerdict,
    OfPlan,
    OfRun,
    Reason,
    Record,
    RecordedTrigger,
    RecordedUser,
    Sentences,
    Start,
    Tenant,
)
from ccdr.model.kinds import Count, Digest, Seconds, Time, Value, Word, about

Words = Annotated[
    Digest | None,
    about("the salted SHA-256 of what a person wrote, kept apart in the state directory; null where nobody wrote"),
]


class RunbookStepOf(Value, frozen=True, kw_only=True, gc=False):
    """A step, as the runbook has it."""

    step: Word
    kind: Word
    sha256: Annotated[Digest, about("of the step, as canonical JSON")]


class RunbookStart(Start, frozen=True, kw_only=True, gc=False):
    """A runbook has begun; or another host has taken it over, and goes on with the same run."""

    kind: Literal["runbook.start"] = "runbook.start"
    plan: OfPlan
    run: OfRun
    version: Literal[4] = 4
    plan_sha256: Annotated[Digest, about("SHA-256 of the plan's file")]
    trigger: RecordedTrigger
    runbook_sha256: Annotated[Digest, about("SHA-256 of all its steps, as canonical JSON")]
    made: Annotated[bool, about("the plan states no runbook: it was made from the plan")]
    steps: list[RunbookStepOf]
    predicted_s: Annotated[Seconds | None, about("until all is done, as far as times are known; null: none is")] = None
    unknown: Annotated[Count, about("steps whose time nobody has said: they count as nothing in `predicted_s`")] = 0
    taken_over_from: Annotated[str | None, about("the host that had begun it; null: this one did")] = None
    sealed: Annotated[
        bool | None,
        about(
            "each line of this host's journal of it bears a seal, made with the repository's password; null: not said"
        ),
    ] = None


class RunbookStep(Record, frozen=True, kw_only=True, gc=False):
    """A step has come to a state. `WAITING`: for a person, where none was there."""

    kind: Literal["runbook.step"] = "runbook.step"
    plan: OfPlan
    run: OfRun
    version: Literal[4] = 4
    tenant: Tenant = "default"
    who: RecordedUser | None = None
    step: Word
    result: Literal["DONE", "FAILED", "SKIPPED", "WAITING", "RETRIED"]
    at: Annotated[Time, about("when that was")]
    attempt: Annotated[int, Meta(ge=0, description="which one it was; 0: it was never begun")] = 0
    seconds: Seconds = 0.0
    answer: Annotated[Word | None, about("of a person, where it is one of the words that the plan names")] = None
    words_sha256: Words = None
    reason: Reason = None
    facts: Annotated[dict[str, str], about("what it found, in words of ours, by asset or subject")] = {}
    left_behind: Sentences = []


class RunbookRto(Value, frozen=True, kw_only=True, gc=False):
    """From the beginning until the service's health was shown, people's waiting included. `MET_PARTIAL`: a health check
    was skipped, so that it is assumed and was not measured."""

    objective_s: Seconds
    achieved_s: Seconds | None
    machine_s: Seconds | None
    waited_s: Seconds | None
    verdict: ObjectiveVerdict
    shown_by: Annotated[Word | None, about("the step that was the last to show it")] = None
    assumed: Annotated[list[Word], about("health checks that were skipped")] = []


class RunbookEnd(End, frozen=True, kw_only=True, gc=False):
    """A runbook has ended: all its steps are done, skipped or not taken; or somebody has ended it before; or another
    host goes on with it. What was skipped, or failed and was passed over, is a deviation."""

    kind: Literal["runbook.end"] = "runbook.end"
    plan: OfPlan
    run: OfRun
    version: Literal[4] = 4
    result: Literal["DONE", "ABANDONED", "TAKEN_OVER"]
    reason: Reason = None
    words_sha256: Words = None
    elapsed_s: Seconds
    machine_s: Seconds
    waited_s: Seconds
    rto: RunbookRto | None = None
    done: Count = 0
    skipped: list[Word] = []
    failed: list[Word] = []
    not_taken: list[Word] = []
    jumps_s: Annotated[list[float], about("by how many seconds this host's clock was seen to jump meanwhile")] = []
    left_behind: Sentences = []
