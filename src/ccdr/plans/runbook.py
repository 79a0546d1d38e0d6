"""What people and ccdr do in an emergency, step by step: `runbook:` of a plan, and where its state is shared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from ccdr.model.schema import Duration, Name, PlanPath, Strict, Text, one_or_several
from ccdr.plans.repository_url import repository_url
from ccdr.plans.targets import Target

Phase = Literal["triage", "still", "recover", "check", "switch", "protect", "all-clear"]
YES, NO = "yes", "no"
DONE, FAILED = "done", "failed"
_NOT_ONE = "names no server to ask, or several, expected one of asset, target and server"


# One text, or a list of them: one line each.
Lines = Annotated[
    tuple[Text, ...],
    Field(min_length=1),
    BeforeValidator(one_or_several),
    PlainSerializer(list, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
            ]
        }
    ),
]


def _http(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https"):
        raise ValueError("is not an http:// or https:// URL")
    if parts.username or parts.password:
        raise ValueError("holds a user or a password, and a secret is never a value in a plan")
    return url


def _several(answers: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    if len(answers) < 2:
        raise ValueError("leaves nothing to decide, expected two answers or more")
    return answers


class BaseStep(Strict):
    """What every step states, whatever its kind."""

    # Is it a person who carries it out? ccdr asks, and waits.
    by_person: ClassVar[bool] = False
    # May it be carried out again, where nobody knows whether it was?
    again: ClassVar[bool] = True

    title: Text | None = Field(None, description="what it is for, as a person says it (default: by its kind)")
    phase: Phase | None = Field(None, description="the heading under which it is shown")
    depends_on: tuple[Name, ...] = Field((), description="steps that must be done, or skipped, before it begins")
    expected: Duration | None = Field(None, description="how long it takes, people's time included")
    phone: Text | None = Field(None, description="whom to phone when it does not work: name and number")
    may_fail: bool = Field(False, description="what depends on it begins although it failed; that is a deviation")
    exercise: Literal["sandbox", "assume"] = Field(
        "assume", description="in an exercise it is carried out in the sandbox, or assumed and not timed"
    )

    @property
    def is_health(self) -> bool:
        """Does the service count as back only when this is green?"""
        return False

    @property
    def repeatable(self) -> bool:
        return self.again

    def leads_to(self) -> Mapping[str, tuple[str, ...]]:
        """By answer, the steps that it leads to."""
        return {}

    def default_title(self, step: str) -> str:
        return step.replace("-", " ").replace("_", " ")


class Recover(BaseStep):
    """Brings the plan's assets back to one moment, onto their targets: `ccdr recover`."""

    kind: Literal["recover"]
    at: Text = Field("latest", description="a time, or `latest`: all that is stored")
    assets: tuple[Name, ...] = Field((), description="only these (default: all)")
    leave_out: tuple[Name, ...] = Field((), description="all but these")
    to: PlanPath | None = Field(None, description="file with targets, in place of the plan's")
    under: PlanPath | None = Field(
        None, description="what has no target goes into a directory of its name below this one"
    )
    nearest: bool = Field(False, description="where there is no state by that moment, take the next one after it")


class Check(BaseStep):
    """Looks at the assets: at what was restored (`ccdr recover check`), also once it is opened, or at the sources: are
    they dead?"""

    kind: Literal["check"]
    of: Literal["restored", "opened", "sources"] = Field(
        "restored",
        description="`opened`: a new server that nobody has started fails; `sources` only looks whether each source "
        "still answers, and never fails",
    )
    assets: tuple[Name, ...] = Field((), description="of `sources`: only these (default: all)")

    @model_validator(mode="after")
    def _restored_as_a_whole(self) -> Self:
        if self.assets and self.of != "sources":
            raise ValueError("has assets, and what was restored is checked as a whole, expected them with of: sources")
        return self


class Command(BaseStep):
    """Runs a program on this host. Only its exit code counts; what it says goes to a terminal and a private file."""

    kind: Literal["command"]
    argv: Annotated[tuple[Text, ...], Field(min_length=1)] = Field(description="the command and its arguments, a list")
    timeout: Duration = Field(
        600.0, description="it is stopped after this long, and has failed; `ccdr` itself only where this is stated"
    )
    repeat: bool = Field(
        False,
        description="it does no harm to run it twice: where ccdr was killed while it ran, `resume` runs it again "
        "unasked",
    )

    @property
    def repeatable(self) -> bool:
        return self.repeat


class Http(BaseStep):
    """Asks a URL. As a health check it is asked again until it is green."""

    kind: Literal["http"]
    url: Annotated[Text, AfterValidator(_http)] = Field(description="http:// or https://, without a password")
    status: int = Field(200, ge=100, le=599, description="the status that it must answer")
    timeout: Duration = Field(10.0, description="how long one answer may take")
    within: Duration = Field(300.0, description="it is asked again for so long until it is green")
    ca_file: PlanPath | None = Field(None, description="CA that signed the server's certificate (default: system's)")
    look: bool = Field(False, description="it only tells whether it is green, is no health check, and never fails")

    @property
    def is_health(self) -> bool:
        return not self.look


class Sql(BaseStep):
    """Asks a database one value. As a health check it is asked again until it is as expected."""

    kind: Literal["sql"]
    asset: Name | None = Field(None, description="the asset whose source is asked, by its `connection:`")
    target: Name | None = Field(None, description="the asset whose target is asked, as the plan's `targets:` has it")
    server: Target | None = Field(None, description="another server: `server:` with `password_file:` and `ca_file:`")
    query: Text = Field(description="read-only; it gives one value")
    expect: bool | int | float | str | None = Field(description="the value that it must give")
    within: Duration = Field(60.0, description="it is asked again for so long until it is as expected")
    look: bool = Field(
        False, description="it only tells whether it is as expected, is no health check, and never fails"
    )

    @property
    def is_health(self) -> bool:
        return not self.look

    @model_validator(mode="after")
    def _one_server(self) -> Self:
        if sum(one is not None for one in (self.asset, self.target, self.server)) != 1:
            raise ValueError(_NOT_ONE)
        if self.server is not None and self.server.server is None:
            raise ValueError("names no server to ask, expected `server:` with a URL")
        return self


class Confirm(BaseStep):
    """Asks a person yes or no. No stops what depends on it."""

    by_person: ClassVar[bool] = True

    kind: Literal["confirm"]
    question: Text = Field(description="what is asked, to be answered by yes or no")


class Manual(BaseStep):
    """A person does something, and says when it is done."""

    by_person: ClassVar[bool] = True

    kind: Literal["manual"]
    instructions: Lines = Field(description="what to do: one text, or a list of them")
    question: Text | None = Field(None, description="what is asked when it is done; the answer is kept with the run")
    shows: tuple[Literal["start_lines", "plan_changes", "missing_secrets"], ...] = Field(
        (),
        description="what ccdr shows below the instructions when it asks: the literal lines that start each new server "
        "that the run's recoveries left, which keys of the plan are otherwise then, or the files of passwords that a "
        "backup needs and this host lacks",
    )


class Decision(BaseStep):
    """Asks a person to choose: each answer leads to steps, and the steps of the others are not taken."""

    by_person: ClassVar[bool] = True

    kind: Literal["decision"]
    question: Text = Field(description="what is decided")
    answers: Annotated[dict[Name, tuple[Name, ...]], AfterValidator(_several)] = Field(
        description="by answer, the steps that it leads to; an empty list ends that way"
    )

    def leads_to(self) -> Mapping[str, tuple[str, ...]]:
        return self.answers


AnyStep = Annotated[Recover | Check | Command | Http | Sql | Confirm | Manual | Decision, Field(discriminator="kind")]
Steps = dict[Name, AnyStep]


def _bucket(url: str, info: ValidationInfo) -> str:
    if not url.startswith("s3:"):
        raise ValueError("is no bucket, expected one like s3:https://s3.example/ccdr-runbooks")
    return repository_url(url, info)


class RunbookState(Strict):
    """A bucket in which a runbook's state lies as well, so that another host can go on."""

    url: Annotated[Text, AfterValidator(_bucket)] = Field(
        description="s3: as for a repository: bucket, and a folder in it"
    )
    env_file: PlanPath = Field(
        description="file of NAME=value lines: a credential that may get, put and list there, and nothing else"
    )
