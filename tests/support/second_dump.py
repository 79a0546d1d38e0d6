"""What the tests of a second dump stand in for: calls to a server, and a host whose `sort` is the real one."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.model.answers import NO_WORDS
from ccdr.ports.place import Output


@dataclass
class Call:
    argv: list[str]
    stdin: str | None
    env: dict[str, str]
    what: str | None
    watch: Path | None


class Sorting:
    """This host: its `sort` is the real one."""

    def run(self, argv: Sequence[str], *, what: str) -> Output:
        assert what and Path(argv[5]).name == "out", "where it spills to"
        return Output(0, subprocess.run(argv, check=True, capture_output=True, text=True).stdout, NO_WORDS)
