"""`command`: a program of yours, run in the sandbox, ends with exit status 0."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ccdr.checks.base import CheckConfig
from ccdr.schema import Text


class Command(CheckConfig):
    kind: Literal["command"]
    argv: Annotated[tuple[Text, ...], Field(min_length=1)] = Field(
        description="a list; run in the directory of the restored files"
    )
