"""A job in the ledger: it has a start, and one end, whatever happens between them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from msgspec import structs

from ccdr.evidence.records.values import End, Record, Start
from ccdr.evidence.records.writing import unsealed
from ccdr.host import interrupts
from ccdr.jobs import in_force
from ccdr.jobs.services import Services, Trigger, wake
from ccdr.model.answers import NO_WORDS, FreeText
from ccdr.model.values import RecordRef
from ccdr.plans import LoadedPlan


@dataclass(frozen=True)
class Written(RecordRef):
    """Where a record stands in the ledger, and the record."""

    line: Record


def document(of: Record, written: RecordRef | None, **beside: object) -> dict[str, object]:
    """What a command prints of a run: its end record as it was written, or as it would be where that failed, what is
    told `beside` it, and where it stands in the ledger."""
    line = written.line if isinstance(written, Written) else of
    return {**unsealed(line), **beside, "record": written and written.as_json()}


@dataclass(kw_only=True)
class JobResult(ABC):
    """What a job came to, for people, for programs and for the ledger: why it ended as it did, and the next step.
    `words` are what programs said: for a person's eyes, never recorded."""

    reason: str | None = None
    hint: str | None = None
    words: FreeText = NO_WORDS
    record: RecordRef | None = None

    @abstractmethod
    def ended(self) -> Record:
        """For the ledger, and (with where it stands there) for `--json`: no check's detail, which may quote a row."""

    def as_json(self) -> dict[str, object]:
        return document(self.ended(), self.record, hint=self.hint)


@dataclass
class RecordedRun:
    """One run of work on a plan, or on an asset of it."""

    services: Services
    loaded: LoadedPlan
    asset: str | None
    run: str
    trigger: Trigger
    interrupted: KeyboardInterrupt | None = None

    def begin(self, start: type[Start], **about: object) -> RecordRef:
        """Record by which version of the plan, on whose data, why and by whom, and what is `about` this kind of work.
        CcdrError where the ledger cannot be written: then nothing was begun."""
        in_force.record(self.loaded, self.services)
        plan, make = self.loaded.plan, cast("Callable[..., Start]", start)
        whose = {"plan_sha256": self.loaded.sha256, "tenant": plan.tenant_of(self.asset), "copy": plan.seen_from}
        of = {"plan": plan.plan, "asset": self.asset, "run": self.run}
        return self.services.ledger.write(make(**of, **whose, **self.trigger.facts(), **about))

    @contextmanager
    def attempt(self, failed: Callable[[KeyboardInterrupt | Exception], None]) -> Iterator[None]:
        """What ends the work early is told to `failed`, and goes no further: there is an end to be recorded."""
        try:
            yield
        except KeyboardInterrupt as error:
            self.interrupted = error
            failed(error)
        except Exception as error:
            failed(error)

    @contextmanager
    def conclusion(self) -> Iterator[None]:
        """What was done is recorded: an interrupt waits for that, and is raised again."""
        with interrupts.deferred():
            yield
        if self.interrupted is not None:
            raise self.interrupted

    def end(self, record: End) -> Written:
        """Record what came of it, on which copy of whose data, and at which try."""
        plan = self.loaded.plan
        whose = {"attempt": self.trigger.attempt, "tenant": plan.tenant_of(self.asset), **plan.copy_facts}
        whole = structs.replace(record, **whose)
        ref = self.services.ledger.write(whole)
        if self.trigger.due is None:  # nothing need be due for the next run to tell of it
            wake(self.services)
        return Written(ref.seq, ref.hash, whole)
