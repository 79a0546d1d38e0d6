"""Records of a plan's copies: what was copied to another repository, and what is there."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.evidence.records.values import End, OfPlan, OfRun, Reason, RecordedTrigger, Repository, Sentences, Start
from ccdr.model.finding import Finding
from ccdr.model.kinds import Count, Digest, Seconds, Time, about


class CopyStart(Start, frozen=True, kw_only=True, gc=False):
    """Copying to one of a plan's copies has begun. Without an end it crashed, or is still at work."""

    kind: Literal["copy.start"] = "copy.start"
    plan: OfPlan
    run: OfRun
    version: Literal[4] = 4
    plan_sha256: Annotated[Digest, about("SHA-256 of the plan's file")]
    trigger: RecordedTrigger


class CopyEnd(End, frozen=True, kw_only=True, gc=False):
    """Copying to one of a plan's copies has ended. A snapshot goes by the id that it was first stored under."""

    kind: Literal["copy.end"] = "copy.end"
    plan: OfPlan
    run: OfRun
    version: Literal[4] = 4
    result: Literal["DONE", "FAILED"]
    reason: Reason = None
    made: Annotated[bool, about("the copy's repository was made by it")] = False
    copied: Annotated[dict[str, Count], about("how many snapshots were copied, by asset")] = {}
    log_copied: Annotated[Count, about("snapshots of shipped log that were copied")] = 0
    there: Annotated[
        dict[str, Count] | None, about("how many snapshots are there, by asset; null: they could not be asked for")
    ] = None
    newest: Annotated[dict[str, Time], about("the newest consistent point there, by asset")] = {}
    arrived: Annotated[dict[str, Time], about("when the snapshot of that point was there, by asset")] = {}
    log_until: Annotated[dict[str, Time], about("up to when its log is there and leads on, by asset")] = {}
    lacking: Annotated[dict[str, list[Digest]], about("what should be there and could not be copied, by asset")] = {}
    vanished: Annotated[
        dict[str, list[Digest]], about("what had been there, and was gone though no retention had removed it, by asset")
    ] = {}
    damaged: Annotated[bool, about("the plan's own repository could not give back what is lacking")] = False
    source: Repository = None
    repository: Repository = None
    findings: list[Finding] = []
    seconds: Seconds = 0.0
    left_behind: Sentences = []
