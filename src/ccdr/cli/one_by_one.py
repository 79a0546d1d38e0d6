"""Assets one after the other: told to people at once, to programs as one document at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import click

from ccdr.cli.output import print_json
from ccdr.cli.progress import progress
from ccdr.cli.settings import settings
from ccdr.cli.trouble import show_words, tell_error
from ccdr.model.answers import NO_WORDS
from ccdr.model.errors import CcdrError, Exit, Locked, worst

if TYPE_CHECKING:
    from ccdr.plans.job import Job
    from ccdr.ports.place import Outcome, Progress


R = TypeVar("R", bound="Outcome")


@dataclass
class Outcomes:
    """What a verb has done of one asset after the other: told to people at once, to programs as one document at the
    end. `locked` is what stands for an asset that another run holds."""

    locked: Mapping[str, str]
    documents: list[dict[str, object]] = field(default_factory=list)
    codes: list[Exit] = field(default_factory=list)

    def did(self, done: R, tell: Callable[[R], None]) -> None:
        self.codes.append(done.exit_code)
        self.documents.append(done.as_json())
        if not settings().json:
            tell(done)
        show_words(getattr(done, "words", NO_WORDS), getattr(done, "run", None), done.exit_code)

    def passed_over(self, jobs: Iterable[Job], error: CcdrError) -> None:
        self.codes.append(error.exit_code)
        self.documents += [{"plan": j.plan, "asset": j.asset, **self.locked, "reason": str(error)} for j in jobs]
        click.echo(f"ccdr: {error}", err=True)

    def could_not_begin(self, job: Job, error: CcdrError) -> None:
        document: dict[str, object] = {"plan": job.plan, "asset": job.asset, "error": str(error), "hint": error.hint}
        self.codes.append(error.exit_code)
        self.documents.append(document)
        tell_error(error, in_json=False)

    def end(self, many: str, more: Mapping[str, object] | None = None) -> Exit:
        """The document where asked, with a list under `many` where there are several; `more` is beside it."""
        if settings().json:
            alone = len(self.documents) == 1 and not more
            print_json(self.documents[0] if alone else {many: self.documents, **(more or {})})
        return worst(self.codes)


def each_asset(
    jobs: Iterable[Job],
    do: Callable[[Job, Progress], R],
    tell: Callable[[R], None],
    *,
    many: str,
    locked: Mapping[str, str],
) -> Exit:
    """Do it for one asset after the other. An asset that another run holds is passed over."""
    outcomes = Outcomes(locked)
    for job in jobs:
        try:
            with progress() as watched:
                done = do(job, watched)
        except Locked as error:
            outcomes.passed_over([job], error)
        else:
            outcomes.did(done, tell)
    return outcomes.end(many)
