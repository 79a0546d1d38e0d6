"""`command`: a program of yours, run in the sandbox, ends with exit status 0."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ccdr.checks.base import CheckConfig
from ccdr.model.schema import Text
from ccdr.model.values import CheckResult
from ccdr.ports.check import CheckContext
from ccdr.ports.restored import Restored

NOT_STARTED = (126, 127)  # not a finding about the backup: the image lacks the program
IN_RESTORED = 'cd "$1" && shift && exec "$@"'


class Command(CheckConfig):
    needs_sandbox: ClassVar[bool] = True

    kind: Literal["command"]
    argv: Annotated[tuple[Text, ...], Field(min_length=1)] = Field(
        description="a list; run where the restored files stand, source paths below it"
    )

    def default_name(self) -> str:
        return f"{PurePath(self.argv[0]).name} ends with 0"  # its arguments may quote somebody

    def run(self, engine: Restored, context: CheckContext) -> Iterator[CheckResult]:
        where = context.sandbox.path(context.data)
        argv = ["sh", "-c", IN_RESTORED, "sh", where, *self.argv]
        ends = [code for code in range(256) if code not in NOT_STARTED]
        out = context.sandbox.run(argv, what=self.label, ok=ends, alone=True)
        detail = (out.stdout[-2000:] + out.stderr.tail(2000).reveal()).strip() or None
        yield self.result(out.code == 0, "exit 0", f"exit {out.code}", detail)
