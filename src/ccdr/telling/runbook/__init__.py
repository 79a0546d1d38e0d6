"""A runbook put into words: on a terminal, on paper (`page.py`), and for people who are not there."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from urllib.parse import urlsplit

from ccdr.jobs.runbook.runners import check_words, recover_words
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError
from ccdr.model.schema import format_duration
from ccdr.plans import LoadedPlan
from ccdr.plans.runbook import AnyStep, Check, Command, Confirm, Decision, Http, Manual, Recover, Sql


def does(step: AnyStep, plan: str) -> Iterator[str]:
    """What a step does, a line each; a command as a person would type it."""
    match step:
        case Recover():
            yield f"runs  ccdr {shlex.join(recover_words(step, plan))}"
        case Check(of="sources"):
            yield f"looks whether {', '.join(step.assets) or 'each source'} still answers"
        case Check():
            yield f"runs  ccdr {shlex.join(check_words(step, plan))}"
        case Command():
            yield f"runs  {shlex.join(step.argv)}"
        case Http():
            until = "" if step.look else f", tried for {format_duration(step.within)}"
            yield f"asks  {step.url}: must answer {step.status}{until}"
        case Sql():
            whom = step.server.shown if step.server else f"the target of {step.target}"
            yield f"asks  {f'the source of {step.asset}' if step.asset else whom}: {step.query}"
            yield f"      must give {'NULL' if step.expect is None else step.expect}"
        case Confirm():
            yield f"you are asked: {step.question}  yes or no"
        case Manual():
            if step.question:
                yield f"you are asked: {step.question}"
        case Decision():
            yield f"you are asked: {step.question}"
            for answer, to in step.answers.items():
                yield f"  {answer}: " + (f"go on with {', '.join(to)}" if to else "it ends here")


def host_of(url: str) -> str:
    return urlsplit(url).hostname or url


def tell_once(loaded: LoadedPlan, services: Services, name: str) -> bool:
    """Tell the plan's people of a step that waits for them, or stops the rest. True where somebody was told; a service
    that does not answer stops nobody."""
    from ccdr.telling.notify.telling import tell

    try:
        return tell(loaded, services, name)
    except CcdrError:
        return False
