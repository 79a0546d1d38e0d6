"""A server that waits where its disk is full, for as long as it takes, until somebody frees some: nobody does, here.

So the disk is looked at while a command runs in its container, and where one has failed: that it is full says nothing
of the backup.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.ports.place import Output, Place, Pulse, Session

LOOK_EVERY = 5.0  # seconds: each look costs a tenth of one
FULL = 2**20  # bytes: with less nothing more is written
SCARCE = 2**27  # bytes: what a server takes at once may be more than there is
BUSY = 500  # ticks of the processor: an idle server uses as many in hours
# $1: the home, $2: the file with the server's process id. Bytes free and in use, and ticks that it has used.
_LOOK = """\
set -- "$1" "$(cat "$2" 2> /dev/null)"
stat -f -c '%a %S %b' "$1"
{ [ -z "$2" ] || cut -d ' ' -f 14,15 "/proc/$2/stat" 2> /dev/null; } || :
"""


@dataclass
class WithRoom:
    """The `Place` that `box` is, whose server has its files below `home`; `pid` is a file (both as named there)."""

    box: Place
    home: str
    pid: str
    _looked: float = field(default_factory=time.monotonic)
    _seen: object = None

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        what: str | None = None,
        watch: Path | None = None,
        ok: Sequence[int] = (0,),
        pulse: Pulse | None = None,
        alone: bool = False,
    ) -> Output:
        """As `Place.run`; TestBroken where there is no room."""
        what = what or argv[0]
        looks = pulse or (lambda: self._look(what))
        try:
            return self.box.run(argv, env=env, stdin=stdin, what=what, watch=watch, ok=ok, pulse=looks, alone=alone)
        except CommandFailed:
            if self._free()[0] < SCARCE:
                raise _full(what) from None
            raise

    def session(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> AbstractContextManager[Session]:
        return self.box.session(argv, env=env)

    def path(self, host: Path) -> str:
        return self.box.path(host)

    def _look(self, what: str) -> object:
        """What changes as long as something is done."""
        if time.monotonic() - self._looked >= LOOK_EVERY:
            self._looked = time.monotonic()
            free, self._seen = self._free()
            if free < FULL:
                raise _full(what)
        return self._seen

    def _free(self) -> tuple[int, object]:
        said = self.box.run(["sh", "-c", _LOOK, "look", self.home, self.pid], what="looking for room").stdout
        available, size, _, *ticks = map(int, said.split())
        return available * size, (available, sum(ticks) // BUSY)


def _full(what: str) -> TestBroken:
    return TestBroken(
        f"the disk of the new server's directory is full, during: {what}",
        hint="free space there, or name a directory on a larger disk",
    )
